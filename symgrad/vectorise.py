"""Functions of one sample made functions of a batch, and the Jacobians that follow from it.

In: functions of expressions, or expressions and what to differentiate them with respect to. Out: expressions. A
function is called once, on symbols that stand for one sample; its graph is then rewritten for all (`batch.py`). A
Jacobian is the pullback of the unit cotangents, all of them in one batch: nothing is unrolled. It must not know how an
operator is batched, nor how it is differentiated.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.batch import batch
from symgrad.dtypes import INT64, DType
from symgrad.errors import ShapeError
from symgrad.expr import Expr, symbol_node
from symgrad.ops.axes import normalize_axis
from symgrad.ops.facts import without_axis
from symgrad.ops.layout import moveaxis
from symgrad.ops.row import ROWS, as_expr, cast, describe, is_operand, label, where_text
from symgrad.request import check_float, check_loss, variables
from symgrad.reverse import grad, vjp
from symgrad.shape import Shape, Size
from symgrad.simplifier import simplify as simplify_graph
from symgrad.structures import parts, restore

__all__ = ["hessian", "jacobian", "vmap"]


# -- functions of a batch ------------------------------------------------------------------------------------------


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Vectorise a function of expressions: the result maps it over an axis of its arguments, without a loop.

    - `in_axes`: the axis of each argument that is mapped over, None for one that every call shares, which may then be
      anything; one for all, or a tuple with one entry per argument. An entry for an argument that is a list, tuple or
      dict holds for all its parts, or has its structure.
    - `out_axes`: where the axis stands in the results: one for all, or the structure of what `f` returns.

    `f` sees its arguments without the axis, and is called once, when the result is. All mapped axes must have one size,
    which may be symbolic. Raises ShapeError where they have not, or an argument has no such axis, and GradientError for
    an operator that no batch can pass.

    >>> import symgrad as sg
    >>> A, x = sg.symbol("A", (3, 3)), sg.symbol("x", (sg.dim("N"), 3))
    >>> sg.vmap(lambda v: v @ A @ v)(x).shape
    (N,)
    """
    _check_function(f)

    def mapped(*arguments: Any) -> Any:
        axes = list(_axes_of(arguments, in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(arguments)))
        values = zip(parts(arguments), axes, strict=True)
        given = [value if axis is None else _as_leaf(value) for value, axis in values]
        size = _mapped_size([(node, axis) for node, axis in zip(given, axes, strict=True) if axis is not None])
        batched: dict[Expr, Expr] = {}
        with _one_deeper():
            seen = [_without_axis(node, axis, batched) for node, axis in zip(given, axes, strict=True)]
            results = f(*restore(arguments, iter(seen)))
        flat = [_as_leaf(value) for value in parts(results)]
        places = list(_axes_of(results, out_axes))
        with side.building_at(None):
            found = batch(flat, batched, size)
            moved = [_placed(*pair) for pair in zip(found, places, strict=True)]
        return restore(results, iter(moved))

    return mapped


def _check_function(f: Any) -> None:
    if callable(f):
        return
    given = f"the expression {label(f)}" if isinstance(f, Expr) else f"{type(f).__name__} {f!r}"
    raise TypeError(f"vmap takes a function and gives one, not {given}. Write sg.vmap(lambda x: ...)(X).")


def _as_leaf(value: Any) -> Expr:
    if not is_operand(value):
        raise TypeError(f"vmap maps expressions and arrays, in lists, tuples and dicts; not {type(value).__name__}")
    return as_expr(value)


def _axes_of(structure: Any, axes: Any) -> Iterator[int | None]:
    """List the axis of each leaf of a structure; one entry stands for everything below its place."""
    if not isinstance(structure, (list, tuple, Mapping)) or axes is None or isinstance(axes, int):
        for _ in parts(structure):
            yield axes
        return
    own = list(structure.values()) if isinstance(structure, Mapping) else list(structure)
    given = [axes[key] for key in structure] if isinstance(structure, Mapping) else list(axes)
    if len(own) != len(given):
        raise ValueError(f"vmap takes one axis for each of {len(own)} values, not {len(given)}")
    for part, axis in zip(own, given, strict=True):
        yield from _axes_of(part, axis)


def _mapped_size(given: Sequence[tuple[Expr, int]]) -> Size:
    sizes: dict[Size, Expr] = {}
    for node, axis in given:
        sizes.setdefault(node.shape[normalize_axis(axis, node.ndim, "vmap")], node)
    if len(sizes) != 1:
        hint = "Give an axis to map over." if not sizes else "None marks an argument that all calls share."
        got = ", ".join(map(describe, sizes.values())) or "no axis"
        raise ShapeError(
            "vmap: the mapped axes have one size", got=got, where=where_text(list(sizes.values())), hint=hint
        )
    return next(iter(sizes))


_depth: contextvars.ContextVar[int] = contextvars.ContextVar("symgrad_vmap_depth", default=0)


@contextlib.contextmanager
def _one_deeper() -> Iterator[None]:
    """Count how many functions are being traced, so that an inner sample is never taken for an outer one."""
    token = _depth.set(_depth.get() + 1)
    try:
        yield
    finally:
        _depth.reset(token)


def _without_axis(node: Any, axis: int | None, batched: dict[Expr, Expr]) -> Any:
    """Give the symbol of one sample of an argument, and note what stands for all of them: the axis in front."""
    if axis is None:
        return node
    place = normalize_axis(axis, node.ndim, "vmap")
    shape = (*node.shape[:place], *node.shape[place + 1 :])
    sample = _sample(len(batched), shape, node.dtype, without_axis(node, place))
    batched[sample] = node if place == 0 else moveaxis(node, place, 0)
    return sample


def _sample(number: int, shape: Shape, dtype: DType, facts: tuple[str, ...] = ()) -> Expr:
    return symbol_node(f"_sample{_depth.get()}/x{number}", shape, dtype, facts)


def _placed(node: Expr, axis: int | None) -> Expr:
    if axis is None:
        raise ValueError("vmap: out_axes says where the mapped axis stands in each result; None is no place")
    place = normalize_axis(axis, node.ndim, "vmap")
    return node if place == 0 else moveaxis(node, 0, place)


# -- Jacobians -----------------------------------------------------------------------------------------------------


def jacobian(outputs: Any, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Derive the Jacobian: every element of the outputs by every element of `wrt`.

    - `outputs`: an expression of float dtype and any shape, or a list, tuple or dict of them.
    - `wrt`: expressions, as for `grad`.

    The result has the structure of `outputs`, and inside it that of `wrt`; its parts have the shape
    `output.shape + variable.shape`, of which any size may be symbolic. It is one pullback of a batch of unit
    cotangents: its graph is as large as that of a gradient. Raises GradientError as `grad` does.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2,))
    >>> sg.evaluate(sg.jacobian(sg.stack([x[0] * x[1], x[0] + x[1]]), x), {x: [2.0, 3.0]}).tolist()
    [[3.0, 2.0], [1.0, 1.0]]
    """
    targets = variables(wrt, disconnected)
    with side.building_at(None):
        blocks = [_rows_of(check_float("output", out), targets, simplify, disconnected) for out in parts(outputs)]
        if simplify:
            blocks = simplify_graph(blocks)
    return restore(outputs, iter([restore(wrt, iter(row)) for row in blocks]))


def hessian(loss: Expr, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Derive the second derivatives of a scalar expression: the Jacobian of its gradient.

    For one variable the result has the shape `wrt.shape + wrt.shape`; for a structure of variables it has that
    structure in that structure, block (a, b) of the shape `a.shape + b.shape`. Raises GradientError as `grad` does.
    Where only its product with vectors is needed, `hvp` is cheaper.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2,))
    >>> sg.evaluate(sg.hessian(x[0] ** 2 * x[1], x), {x: [2.0, 3.0]}).tolist()
    [[6.0, 4.0], [4.0, 0.0]]
    """
    gradients = grad(check_loss(loss, "hessian"), wrt, simplify=simplify, disconnected=disconnected)
    return jacobian(gradients, wrt, simplify=simplify, disconnected="zero")


def _rows_of(out: Expr, targets: Sequence[Expr], simplify: bool, disconnected: str) -> list[Expr]:
    """Pull all unit cotangents of an output back to the targets, in one batch."""
    if out.shape == ():
        pulled: list[Expr] = vjp(out, list(targets), 1.0, simplify=simplify, disconnected=disconnected)
        return pulled
    with _one_deeper():
        g = _sample(0, out.shape, out.dtype)
    pulled = vjp(out, list(targets), g, simplify=simplify, disconnected=disconnected)
    found = batch(pulled, {g: unit_cotangents(out)}, out.size)
    return [ROWS["reshape"](part, shape=(*out.shape, *x.shape)) for part, x in zip(found, targets, strict=True)]


def unit_cotangents(node: Expr) -> Expr:
    """Give, along a first axis, the tensors of a node's shape and dtype with a single 1, in row-major order."""
    count = node.size
    index = ROWS["arange"](start=0, step=1, size=count, dtype=INT64)
    row, column = (ROWS["reshape"](index, shape=shape) for shape in ((count, 1), (1, count)))
    return ROWS["reshape"](cast(ROWS["equal"](row, column), node.dtype), shape=(count, *node.shape))
