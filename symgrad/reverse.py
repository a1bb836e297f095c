"""Reverse-mode differentiation: the chain rule, from a result back to what it depends on, as another graph.

In: expressions, what to differentiate with respect to (any expressions), cotangents. Out: expressions of the same rows,
so gradients can be printed, simplified, compiled and differentiated again. The sweep is iterative, visits each node
once, and only nodes that lie between the results and what is asked for; broadcasting is undone here and nowhere else.
Every cotangent remembers the chain-rule step it came from (`side.origins`). It must not know any operator by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.errors import GradientError, nearest
from symgrad.expr import Expr, TensorType, constant_node, topological
from symgrad.ops.calculus import derivative_of, scale
from symgrad.ops.row import ROWS, Row, as_expr, cast, describe, label, no_gradient, row_of, unbroadcast, where_text
from symgrad.ops.structure import Composite, Map
from symgrad.shape import format_shape
from symgrad.simplifier import simplify as simplify_graph
from symgrad.simplifier import stabilise

__all__ = ["grad", "value_and_grad", "vjp"]


# -- the public functions ------------------------------------------------------------------------------------------


def grad(loss: Expr, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Derive the gradient of a scalar expression, as expressions of the shapes of `wrt`.

    - `wrt`: an expression of float dtype (a parameter, a symbol, any intermediate result), or a list, tuple or dict of
      them; the gradients come back in the same structure.
    - `simplify`: bring the loss into its numerically stable form first (never through a `wrt`), and the result into
      the form that a person would write; off, it is the bare chain rule.
    - `disconnected`: "error", or "zero" to get zeros for what the loss does not depend on.

    Raises GradientError for a loss that is no float scalar, for an integer `wrt` and for one that the loss does not
    depend on in a differentiable way.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> [float(v) for v in sg.evaluate(sg.grad((x * x).sum(), x), {x: [1.0, 2.0, 3.0]})]
    [2.0, 4.0, 6.0]
    """
    return value_and_grad(loss, wrt, simplify=simplify, disconnected=disconnected)[1]


def value_and_grad(loss: Expr, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> tuple[Expr, Any]:
    """Give (loss, gradients): as `grad`, with the loss in the form that shares most with its gradients.

    >>> import symgrad as sg
    >>> x = sg.symbol("x")
    >>> value, slope = sg.value_and_grad(x * x, x)
    >>> float(sg.evaluate(value, {x: 3.0})), float(sg.evaluate(slope, {x: 3.0}))
    (9.0, 6.0)
    """
    _check_loss(loss)
    targets = _targets(wrt, disconnected)
    with side.building_at(None):
        _check_reached([loss], targets, disconnected)
        if simplify:
            loss = stabilise(loss, targets)
        grads = _complete(_sweep([(loss, constant_node(1, loss.dtype))], targets), targets)
        if simplify:
            loss, *grads = simplify_graph([loss, *grads])
    return loss, _rebuild(wrt, iter(grads))


def vjp(outputs: Any, wrt: Any, cotangents: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Multiply cotangents by the Jacobian: the gradient of sum(cotangent * output) over all outputs.

    - `outputs`: an expression or a list, tuple or dict of them, of float dtype and any shapes.
    - `cotangents`: one for each output, in the same order, of the output's shape.

    The result has the structure of `wrt`. Raises GradientError as `grad` does, and for cotangents that do not fit.

    >>> import symgrad as sg
    >>> A, x, g = sg.symbol("A", (2, 3)), sg.symbol("x", (3,)), sg.symbol("g", (2,))
    >>> sg.vjp(A @ x, A, g).shape
    (2, 3)
    """
    results, given = list(_parts(outputs)), list(_parts(cotangents))
    if len(results) != len(given):
        raise GradientError("vjp takes one cotangent for each output", got=f"{len(given)} for {len(results)}")
    targets = _targets(wrt, disconnected)
    with side.building_at(None):
        seeds = [(_check_float("output", out), _seed(out, g)) for out, g in zip(results, given, strict=True)]
        _check_reached(results, targets, disconnected)
        if simplify:
            stable = stabilise([out for out, _ in seeds], targets)
            seeds = [(out, g) for out, (_, g) in zip(stable, seeds, strict=True)]
        grads = _complete(_sweep(seeds, targets), targets)
        if simplify:
            grads = simplify_graph(grads)
    return _rebuild(wrt, iter(grads))


# -- what is asked for ---------------------------------------------------------------------------------------------


def _parts(structure: Any) -> Iterator[Any]:
    """List the leaves of nested lists, tuples and dicts."""
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        for part in structure:
            yield from _parts(part)
    else:
        yield structure


def _rebuild(structure: Any, items: Iterator[Expr]) -> Any:
    """Put the items where the leaves of a structure stand."""
    if isinstance(structure, Mapping):
        return {key: _rebuild(part, items) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        parts = [_rebuild(part, items) for part in structure]
        return parts if isinstance(structure, list) else tuple(parts)
    return next(items)


def _check_loss(loss: Any) -> None:
    _check_float("loss", loss)
    if loss.shape != ():
        hint = "Reduce it first, with mean() or sum(), or use sg.vjp with a cotangent."
        raise GradientError("grad takes a scalar loss", got=describe(loss), where=where_text([loss]), hint=hint)


def _check_float(what: str, node: Any) -> Expr:
    if not isinstance(node, Expr):
        raise TypeError(f"the {what} of a gradient is an expression, not {type(node).__name__}")
    if not node.dtype.is_float:
        got, hint = f"{label(node)} is {node.type}", "Convert it with astype('float32') where it enters."
        raise GradientError(f"the {what} of a gradient is a float", got=got, where=where_text([node]), hint=hint)
    return node


def _targets(wrt: Any, disconnected: str) -> list[Expr]:
    if disconnected not in ("error", "zero"):
        raise ValueError(f"disconnected={disconnected!r} is unknown. {nearest(str(disconnected), ('error', 'zero'))}")
    return [_check_float("variable", node) for node in _parts(wrt)]


def _seed(out: Expr, cotangent: Any) -> Expr:
    g = cast(as_expr(cotangent, out.dtype), out.dtype)
    if g.shape != out.shape:
        got = f"{format_shape(g.shape)} for {describe(out)}"
        raise GradientError("a cotangent has the shape of its output", got=got, where=where_text([out]))
    return g


def _check_reached(results: Sequence[Expr], targets: Sequence[Expr], disconnected: str) -> None:
    """Refuse a target to which no differentiable path leads, unless zeros are asked for."""
    if disconnected == "zero":
        return
    reached = set(topological(results, stop=lambda node: not _flows(node)))
    for target in targets:
        if target not in reached:
            what, got = f"the loss does not depend on {label(target)}", "no differentiable path leads there"
            hint = 'Pass disconnected="zero" to get zeros.'
            raise GradientError(what, got=got, where=where_text([target]), hint=hint)


def _complete(found: Mapping[Expr, Expr], targets: Sequence[Expr]) -> list[Expr]:
    """Give one gradient per target: zeros where the derivative vanishes."""
    return [found[target] if target in found else zeros_like(target) for target in targets]


def zeros_like(node: Expr) -> Expr:
    """Give zeros of a node's shape and dtype."""
    zero = constant_node(0, node.dtype)
    return ROWS["broadcast_to"](zero, shape=node.shape) if node.shape else zero


# -- the sweep -----------------------------------------------------------------------------------------------------


def _flows(node: Expr) -> bool:
    """Tell whether a derivative passes from the node to its operands."""
    if not node.args or not row_of(node).differentiable:
        return False
    return not isinstance(node.type, TensorType) or node.dtype.is_float


def _sweep(
    seeds: Sequence[tuple[Expr, Expr]], targets: Sequence[Expr], leaves: frozenset[Expr] = frozenset()
) -> dict[Expr, Expr]:
    """Carry cotangents from the seeds to the targets; a target without an entry has the gradient zero.

    Contributions to one node are added in the order in which its users are visited, which depends on the graph alone.
    Nodes in `leaves` are not entered.
    """
    results = [out for out, _ in seeds]
    forward = topological(results, stop=lambda node: node in leaves or not _flows(node))
    known, wanted = set(topological(results)), set(targets)
    passing = _between(forward, wanted, leaves)
    pending: dict[Expr, Expr] = {}
    found: dict[Expr, Expr] = {}
    for out, g in seeds:
        _add(pending, out, g)
    for node in reversed(forward):
        g_node = pending.pop(node, None)
        if g_node is None:
            continue
        if node in wanted:
            found[node] = g_node
        if node not in passing:
            continue
        for position, (arg, part) in enumerate(zip(node.args, _cotangents(node, g_node), strict=True)):
            if part is None or not (arg in passing or arg in wanted):
                continue
            if part is not g_node and part not in known:
                side.record_origin(part, side.Origin(f"{node.op}[{position}]", node, g_node))
            _add(pending, arg, part)
    return found


def _between(forward: Sequence[Expr], wanted: set[Expr], leaves: frozenset[Expr]) -> set[Expr]:
    """Give the nodes that pass a derivative on to something wanted."""
    passing: set[Expr] = set()
    for node in forward:
        if node not in leaves and _flows(node) and any(arg in passing or arg in wanted for arg in node.args):
            passing.add(node)
    return passing


def _add(pending: dict[Expr, Expr], node: Expr, part: Expr) -> None:
    """Add a contribution to what a node has got from its other users."""
    before = pending.get(node)
    if before is None:
        pending[node] = part
        return
    pending[node] = total = ROWS["add"](before, part)
    side.record_origin(total, side.Origin("sum over uses", node, before))


# -- one node ------------------------------------------------------------------------------------------------------


def _cotangents(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Apply the chain rule to one node: a cotangent, of the operand's shape and dtype, for each operand."""
    row = row_of(node)
    parts = _local_rule(row)(node, g)
    fitted: list[Expr | None] = []
    for arg, part in zip(node.args, parts, strict=True):
        if part is None or not arg.dtype.is_float:
            fitted.append(None)
            continue
        if isinstance(row.structure, Map):
            part = unbroadcast(part, arg)
        if part.shape != arg.shape:
            got = f"{format_shape(part.shape)} for {describe(arg)}"
            raise GradientError(f"{node.op}: its vjp gives a cotangent of the wrong shape", got=got)
        fitted.append(cast(part, arg.dtype))
    return tuple(fitted)


def _local_rule(row: Row) -> Callable[[Expr, Expr], tuple[Expr | None, ...]]:
    """Choose where a row's derivative stands: its own vjp, its scalar formulas, or its definition."""
    if row.vjp is not None:
        return row.vjp
    if isinstance(row.structure, Map):
        return _map_vjp
    if isinstance(row.structure, Composite):
        return _composite_vjp
    return _refuse


def _map_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Multiply by the local derivatives, which are formulas over the operands and the result."""
    env = {**dict(zip("xyzw", node.args, strict=False)), "out": node}
    return tuple(
        scale(g, formula, env) if arg.dtype.is_float else None
        for arg, formula in zip(node.args, derivative_of(node.op), strict=True)
    )


def _composite_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    """Differentiate the definition down to the operands; one that stands at several places answers at the first."""
    structure = row_of(node).structure
    assert isinstance(structure, Composite)
    floats = [arg for arg in node.args if arg.dtype.is_float]
    found = _sweep([(structure.define(node), g)], floats, leaves=frozenset(node.args))
    return tuple(found.pop(arg, None) for arg in node.args)


def _refuse(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    raise no_gradient(node, "Wrap the operand in stop_gradient where no derivative is meant.")
