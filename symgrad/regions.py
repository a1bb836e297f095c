"""Regions: parts of a graph with a derivative of their own, or whose values are not kept.

In: functions of expressions. Out: nodes `custom` and `checkpoint`, which hold the function's graph as a `Body`: a name
for a definition, as every composite is, which evaluation and compilation put in the place of the node. A `custom` node
also holds the graph of its cotangents; forward mode transposes that graph, so that all derivatives agree. The backward
pass of a `checkpoint` goes through a fresh copy of its body, which starts behind a barrier (`ops/body.py`): nothing of
the original is shared, and so nothing inside it need be kept until then. It must not know how either is run.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad import side
from symgrad.batch import OWN_RULES, Operand, batch, spread_axis
from symgrad.errors import GradientError
from symgrad.expr import Body, Expr, Type, symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.body import barrier, substitute
from symgrad.ops.row import ROWS, Attrs, Row, as_expr, label, register, where_text
from symgrad.ops.structure import Composite
from symgrad.request import check_float
from symgrad.shape import Dim, Size, format_shape, names
from symgrad.shape import evaluate as size_value
from symgrad.simplifier import simplify
from symgrad.structures import parts, restore

__all__ = ["checkpoint", "custom_gradient"]


# -- tracing -------------------------------------------------------------------------------------------------------

_depth: contextvars.ContextVar[int] = contextvars.ContextVar("symgrad_region_depth", default=0)


@contextlib.contextmanager
def _one_deeper() -> Iterator[str]:
    """Give the prefix of the names of a region's inputs, other than that of any region around it."""
    token = _depth.set(_depth.get() + 1)
    try:
        yield f"_region{_depth.get()}"
    finally:
        _depth.reset(token)


def _placeholders(prefix: str, nodes: Sequence[Expr], first: int = 0) -> list[Expr]:
    return [symbol_node(f"{prefix}/x{first + k}", node.shape, node.dtype) for k, node in enumerate(nodes)]


def _closed_over(outputs: Sequence[Expr], inputs: Sequence[Expr]) -> list[Expr]:
    """List the symbols and parameters that a traced function uses beside its inputs."""
    own = set(inputs)
    return [n for n in topological(outputs) if n.op in ("symbol", "parameter") and n not in own]


# -- rows ----------------------------------------------------------------------------------------------------------


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (output,) = attrs["body"].outputs
    found: Type = output.type
    return found


def _define(node: Expr) -> Expr:
    """Put the operands in the place of the body's inputs."""
    (out,) = substitute(node.attrs["body"], node.args)
    return out


def _no_oracle(*arrays: Any, **attrs: Any) -> np.ndarray:
    raise TypeError("a region has no oracle of its own: its definition is evaluated")


def _custom_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Put operands, result and cotangent in the place of the pullback's inputs; `wrt` lists what it answers for."""
    found = substitute(node.attrs["pullback"], (*node.args, node, g))
    by_position = dict(zip(node.attrs["wrt"], found, strict=True))
    return tuple(by_position.get(position) for position in range(len(node.args)))


CUSTOM = register(
    Row(
        name="custom", structure=Composite(_define), infer=_infer, oracle=_no_oracle, vjp=_custom_vjp,
        doc="A function of the operands whose derivative is given with it.",
    )
)  # fmt: skip


def _renewed(node: Expr, g: Expr) -> list[Expr]:
    """Put the operands behind a barrier, which opens when the cotangent is there.

    What the function closes over, its parameters say, is no intermediate result: it needs no barrier.
    """
    count = node.attrs["count"]
    return [barrier(x, g) if k < count and x.dtype.is_float else x for k, x in enumerate(node.args)]


CHECKPOINT = register(
    Row(
        name="checkpoint", structure=Composite(_define, renew=_renewed), infer=_infer, oracle=_no_oracle,
        doc="A function of the operands that is computed again in the backward pass.",
    )
)  # fmt: skip


# -- custom gradients ----------------------------------------------------------------------------------------------


def custom_gradient(
    f: Callable[..., Expr] | None = None, vjp: Callable[..., Any] | None = None, *, check: bool = True
) -> Callable[..., Any]:
    """Give a function a derivative of its own: in place of the chain rule through what it does.

    - `f`: takes expressions and returns one. It must not use other symbols or parameters: pass them as operands.
    - `vjp(operands, out, g)`: takes the operands, the result and its cotangent, and returns one cotangent for each
      operand (None for no derivative; one expression will do for one operand), each of the operand's shape and linear
      in g. Forward mode transposes it.
    - `check`: compare with difference quotients at random points when operands of new types first come. Pass False
      where the derivative is meant to differ, as that of a rounding that is to be trained through.

    It is also a decorator: `@custom_gradient(vjp=...)`. Raises GradientError, at the call, where the derivative is
    wrong or has the wrong shape.

    >>> import symgrad as sg
    >>> straight = sg.custom_gradient(lambda x: sg.floor(x), lambda operands, out, g: g, check=False)
    >>> x = sg.symbol("x", (2,))
    >>> sg.evaluate(sg.grad(sg.sum(straight(x) * x), x), {x: [0.5, 2.5]}).tolist()
    [0.5, 4.5]
    """
    if f is None:
        return functools.partial(custom_gradient, vjp=vjp, check=check)
    if vjp is None:
        raise TypeError("custom_gradient takes a function and its vjp: vjp(operands, out, g) gives the cotangents")
    name = _name_of(f)
    checked: dict[tuple[Body, Body], None] = {}  # bodies are equal only as long as their nodes live: they are kept

    @functools.wraps(f)
    def call(*operands: Any) -> Expr:
        args = [as_expr(x) for x in operands]
        body, pullback, wrt = _traced(name, f, vjp, args)
        if check and (body, pullback) not in checked:
            _compare(name, body, pullback, wrt)
            checked[body, pullback] = None
        return CUSTOM(*args, name=name, body=body, pullback=pullback, wrt=wrt)

    return call


def _name_of(f: Callable[..., Any]) -> str:
    """Give the name under which formulas show calls of the function."""
    name = getattr(f, "__name__", "")
    return name if name.isidentifier() else "custom"


def _traced(
    name: str, f: Callable[..., Any], vjp: Callable[..., Any], args: Sequence[Expr]
) -> tuple[Body, Body, tuple[int, ...]]:
    """Call both functions on symbols."""
    with _one_deeper() as prefix:
        inputs = _placeholders(prefix, args)
        out = check_float("output", f(*inputs))
        _refuse_closures(name, [out], inputs)
        result, g = _placeholders(prefix, [out, out], len(inputs))
        given = vjp(tuple(inputs), result, g)
    cotangents = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(cotangents) != len(args):
        raise GradientError(
            f"{name}: its vjp gives one cotangent per operand", got=f"{len(cotangents)} for {len(args)}"
        )
    wrt, found = [], []
    for position, (x, cotangent) in enumerate(zip(inputs, cotangents, strict=True)):
        if cotangent is None:
            continue
        part = as_expr(cotangent, x.dtype)
        if part.type != x.type:
            got = f"{_described(part)} for operand {position}, {label(args[position])}, which is {_described(x)}"
            hint = "Sum what was broadcast; do not sum what was not."
            raise GradientError(f"{name}: its vjp gives a cotangent of another type", got=got, hint=hint)
        wrt.append(position)
        found.append(part)
    _refuse_closures(name, found, (*inputs, result, g))
    return Body(inputs, [out]), Body((*inputs, result, g), found), tuple(wrt)


def _described(node: Expr) -> str:
    return f"{node.dtype} of shape {format_shape(node.shape)}"


def _refuse_closures(name: str, outputs: Sequence[Expr], inputs: Sequence[Expr]) -> None:
    others = _closed_over(outputs, inputs)
    if others:
        what, hint = f"{name} uses {label(others[0])}, whose derivative would be lost", "Pass it as an operand."
        raise GradientError(what, where=where_text(others[:1]), hint=hint)


# -- the check -----------------------------------------------------------------------------------------------------

_STEP = 1e-5
_TOLERANCE = 1e-4
_RANGES = ((-1.5, 1.5), (0.2, 1.5), (2.0, 5.0), (-0.9, 0.9))  # the first in which everything is finite is taken
_SIZES = (3, 2, 4, 5)  # what symbolic sizes are bound to


def _compare(name: str, body: Body, pullback: Body, wrt: Sequence[int]) -> None:
    """Compare the pullback with central differences along random directions; GradientError where they differ."""
    sizes = {dim: _SIZES[k % len(_SIZES)] for k, dim in enumerate(_dims(body))}
    for span in _RANGES:
        errors = [_error(body, pullback, wrt, sizes, span, seed) for seed in range(3)]
        if all(np.isfinite(errors)):
            if max(errors) > _TOLERANCE:
                got = f"a relative difference of {max(errors):.2g} from the difference quotient"
                hint = "Pass check=False where it is meant to differ."
                raise GradientError(f"{name}: its vjp is not its derivative", got=got, hint=hint)
            return
    hint = "Pass check=False, and test it where it is defined."
    raise GradientError(f"{name}: its vjp cannot be checked", got="no finite value at random points", hint=hint)


def _dims(body: Body) -> list[str]:
    return sorted({name for x in body.inputs for size in x.shape if isinstance(size, Dim) for name in names(size)})


def _error(
    body: Body, pullback: Body, wrt: Sequence[int], sizes: Mapping[str, int], span: tuple[float, float], seed: int
) -> float:
    """Give the relative difference between the two slopes of <g, f> along one direction, at one point."""
    draw = np.random.default_rng(seed)
    (out,), g = body.outputs, pullback.inputs[-1]
    point = {x: _drawn(draw, x, sizes, span) for x in body.inputs}
    weights = draw.standard_normal(_shape(out, sizes))
    moving = [x for x in body.inputs if x.dtype.is_float]
    direction = {x: draw.standard_normal(point[x].shape) for x in moving}
    free: dict[Any, Any] = dict(_named(body, sizes))

    def value(step: float) -> Any:
        return evaluate(out, {**free, **point, **{x: point[x] + step * d for x, d in direction.items()}})

    found = evaluate(list(pullback.outputs), {**free, **point, pullback.inputs[-2]: value(0.0), g: weights})
    terms = [np.sum(part * direction[body.inputs[k]]) for k, part in zip(wrt, found, strict=True)]
    slope = np.sum(weights * (value(_STEP) - value(-_STEP))) / (2 * _STEP)
    return float(abs(sum(terms) - slope) / (1 + abs(slope) + sum(map(abs, terms))))


def _named(body: Body, sizes: Mapping[str, int]) -> Iterator[tuple[Dim, int]]:
    """Pair each dimension that stands alone with its value."""
    for x in body.inputs:
        for size in x.shape:
            if isinstance(size, Dim) and str(size) in size.names:
                yield size, sizes[str(size)]


def _shape(node: Expr, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size_value(size, sizes) for size in node.shape)


def _drawn(draw: np.random.Generator, x: Expr, sizes: Mapping[str, int], span: tuple[float, float]) -> np.ndarray:
    """Draw an operand: floats from the range, integers and bools 0 or 1, which are positions of most axes."""
    shape = _shape(x, sizes)
    return draw.uniform(*span, shape) if x.dtype.is_float else draw.integers(0, 2, shape).astype(x.dtype.numpy)


# -- checkpoints ---------------------------------------------------------------------------------------------------


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Trade time for memory: the result computes what `f` does, and computes it again for the backward pass.

    Between the two passes only the operands are kept, not what `f` computes on the way to its results. `f` takes and
    returns expressions, or lists, tuples and dicts of them, and may use parameters. Values and derivatives, of any
    order, are those of `f`. What is computed inside is not seen from outside: it has no gradient.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> y = sg.checkpoint(lambda x: sg.exp(sg.sin(x)))(x)
    >>> [round(float(v), 4) for v in sg.evaluate(sg.grad(sg.sum(y), x), {x: [0.0, 1.0, 2.0]})]
    [1.0, 1.2534, -1.0331]
    """

    @functools.wraps(f)
    def call(*operands: Any) -> Any:
        args = [as_expr(x) for x in parts(operands)]
        with _one_deeper() as prefix:
            inputs = _placeholders(prefix, args)
            results = f(*restore(operands, iter(inputs)))
        with side.building_at(None):
            outputs = simplify([as_expr(out) for out in parts(results)])
        return restore(results, iter([_kept_closed(out, inputs, args) for out in outputs]))

    return call


def _kept_closed(out: Expr, inputs: Sequence[Expr], args: Sequence[Expr]) -> Expr:
    """Make the node of one result; what the function closes over becomes further operands."""
    others = _closed_over([out], inputs)
    return CHECKPOINT(*args, *others, body=Body((*inputs, *others), [out]), count=len(args))


# -- regions in a batch --------------------------------------------------------------------------------------------


def _batched_inputs(body: Body, keep: Sequence[bool], size: Size) -> tuple[list[Expr], dict[Expr, Expr]]:
    """Give a body's inputs with the axis where it is wanted, and what the old ones become."""
    inputs, become = [], {}
    for x, has_axis in zip(body.inputs, keep, strict=True):
        new = symbol_node(x.attrs["name"], (size, *x.shape), x.dtype) if has_axis else x
        inputs.append(new)
        if has_axis:
            become[x] = new
    return inputs, become


def _checkpoint_of_batch(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Map the body; what all samples share stays shared."""
    inputs, become = _batched_inputs(node.attrs["body"], [has_axis for _, has_axis in args], size)
    ((out, has_axis),) = spread_axis(node.attrs["body"].outputs, become, size)
    new = CHECKPOINT(*(x for x, _ in args), body=Body(inputs, [out]), count=node.attrs["count"])
    return new if has_axis else ROWS["broadcast_to"](new, shape=(size, *new.shape))


def _custom_of_batch(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Map both graphs, with every operand repeated: so the cotangents of what is shared add up by themselves."""
    body, pullback = node.attrs["body"], node.attrs["pullback"]
    bodies = []
    for graph in (body, pullback):
        inputs, become = _batched_inputs(graph, [True] * len(graph.inputs), size)
        bodies.append(Body(inputs, batch(graph.outputs, become, size)))
    operands = [x if has_axis else ROWS["broadcast_to"](x, shape=(size, *x.shape)) for x, has_axis in args]
    return CUSTOM(*operands, **{**node.attrs, "body": bodies[0], "pullback": bodies[1]})


OWN_RULES["checkpoint"] = _checkpoint_of_batch
OWN_RULES["custom"] = _custom_of_batch
