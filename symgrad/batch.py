"""Vectorisation of graphs: what a batch axis does to each operator.

In: graphs, and values with a leading axis for some of their nodes. Out: graphs in which everything that depends on
these nodes has the leading axis, too. One rule per structural class; the axis is always the first, so that
broadcasting, folds and products need their attributes shifted and no more. The sweep is iterative; what does not depend
on the batch is left as it is. It must not know derivatives, nor operators beyond the attributes they have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.dtypes import INT64
from symgrad.errors import GradientError
from symgrad.expr import Expr, topological
from symgrad.formula import parse
from symgrad.formula import variables as names_in
from symgrad.ops.layout import moveaxis
from symgrad.ops.moves import reshaped
from symgrad.ops.row import ROWS, as_expr, cast, row_of, where_text
from symgrad.ops.structure import Cast, Composite, Contraction, Fold, Gather, Layout, Map, Place, Random, Scatter
from symgrad.shape import Size, format_shape

__all__ = ["OWN_RULES", "RULES", "batch", "spread_axis"]


# -- the sweep -----------------------------------------------------------------------------------------------------


def batch(roots: Sequence[Expr], batched: Mapping[Expr, Expr], size: Size) -> list[Expr]:
    """Give the roots with a leading axis of this size, along which the keys of `batched` take their values.

    Every value has the shape and dtype of its key, behind that axis.
    """
    found = spread_axis(roots, batched, size)
    return [node if has_axis else _repeated(node, size) for node, has_axis in found]


def spread_axis(roots: Sequence[Expr], batched: Mapping[Expr, Expr], size: Size) -> list[tuple[Expr, bool]]:
    """Rewrite the roots for a batch; tell for each whether it depends on the batch, and so has the axis."""
    new: dict[Expr, Operand] = {node: (value, True) for node, value in batched.items()}
    for node in topological(roots, stop=new.__contains__):
        if node not in new:
            new[node] = _renewed(node, [new[arg] for arg in node.args], size)
    return [new[root] for root in roots]


Operand = tuple[Expr, bool]  # a node of the batched graph, and whether it has the axis
Rule = Callable[[Expr, Sequence[Operand], Size], Expr]


def _renewed(node: Expr, args: Sequence[Operand], size: Size) -> Operand:
    """Give a node over new operands."""
    if not any(has_axis for _, has_axis in args):
        plain = [x for x, _ in args]
        same = all(x is arg for x, arg in zip(plain, node.args, strict=True))
        return (node if same else ROWS[node.op](*plain, **node.attrs)), False
    rule = OWN_RULES.get(node.op) or RULES.get(type(row_of(node).structure), _by_attributes)
    out = rule(node, args, size)
    has_axis = out.ndim > node.ndim
    if out.shape != ((size, *node.shape) if has_axis else node.shape) or out.dtype is not node.dtype:
        raise _not_mapped(node, f"{format_shape(out.shape)} for {format_shape((size, *node.shape))}")
    given = {node, *(x for x, _ in args)}
    side.explain(out, side.Origin("vmap", node), lambda made: made in given or bool(side.sites(made)))
    return out, has_axis


def _not_mapped(node: Expr, got: str) -> GradientError:
    hint = "Call it outside of vmap, or register a rule in symgrad.batch.OWN_RULES."
    return GradientError(f"vmap: {node.op} has no batching rule", got=got, where=where_text([node]), hint=hint)


def _repeated(x: Expr, size: Size) -> Expr:
    """Give what all samples share the axis."""
    return ROWS["broadcast_to"](x, shape=(size, *x.shape))


def _aligned(x: Expr, rank: int) -> Expr:
    """Insert unit axes behind the batch's, so that a sample of lower rank broadcasts as it did."""
    return reshaped(x, (x.shape[0], *(1,) * (rank + 1 - x.ndim), *x.shape[1:]))


def _everywhere(args: Sequence[Operand], size: Size) -> list[Expr]:
    """Give every operand the axis."""
    return [x if has_axis else _repeated(x, size) for x, has_axis in args]


# -- one rule per structural class ---------------------------------------------------------------------------------


def _of_map(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Broadcast: samples keep their places from the right. An operand that only has to come first needs no axis."""
    structure = row_of(node).structure
    assert isinstance(structure, Map)
    used = None if structure.formula is None else names_in(parse(structure.formula))
    operands = []
    for name, (x, has_axis) in zip("xyzw", args, strict=False):
        if has_axis and used is not None and name not in used:
            x = ROWS["corner"](x, keep=0)
        elif has_axis:
            x = _aligned(x, node.ndim)
        operands.append(x)
    return ROWS[node.op](*operands, **node.attrs)


def _of_cast(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    return ROWS[node.op](args[0][0], **node.attrs)


def _of_fold(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Reduce the same axes, one further right; several of which positions are counted along become one first."""
    structure, (x, _), axes = row_of(node).structure, args[0], node.attrs["axes"]
    assert isinstance(structure, Fold)
    counts = any("i" in names_in(parse(text)) for text in structure.step)
    if counts and len(axes) > 1:
        flat = ROWS[node.op](reshaped(x, (size, node.args[0].size)), axes=(1,), keepdims=False)
        return reshaped(flat, (size, *node.shape))
    return ROWS[node.op](x, **{**node.attrs, "axes": _one_further(axes)})


def _one_further(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


# What a batch axis in front does to an attribute, by the attribute's name: names mean the same in all rows.
ATTRIBUTES: dict[str, Callable[[Any, Size], Any]] = {
    "axes": lambda axes, size: _one_further(axes),
    "axis": lambda axis, size: axis + 1,
    "keep": lambda count, size: count + 1,
    "shape": lambda shape, size: (size, *shape),
    "starts": lambda starts, size: (0, *starts),
    "stops": lambda stops, size: (size, *stops),
    "steps": lambda steps, size: (1, *steps),
    **dict.fromkeys(
        ("keepdims", "dtype", "depth", "size", "lower", "unit_diagonal", "descending", "side", "facts"),
        lambda v, size: v,
    ),
}


def _shifted(node: Expr, size: Size) -> dict[str, Any]:
    """Give the attributes for operands with the axis."""
    unknown = [name for name in node.attrs if name not in ATTRIBUTES]
    if unknown:
        raise _not_mapped(node, f"attribute {unknown[0]!r}")
    return {name: ATTRIBUTES[name](value, size) for name, value in node.attrs.items()}


def _by_attributes(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Give every operand the axis, and shift the attributes."""
    return ROWS[node.op](*_everywhere(args, size), **_shifted(node, size))


def _of_layout(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Move elements within each sample; a permutation leaves the batch in front, memory lies in one row."""
    if "strides" in node.attrs:
        return _of_memory(node, args[0][0], size)
    ((x, _),), attrs = args, _shifted(node, size)
    if "axes" in attrs:
        attrs["axes"] = (0, *attrs["axes"])
    return ROWS[node.op](_aligned(x, node.ndim) if x.ndim <= node.ndim else x, **attrs)


def _of_memory(node: Expr, x: Expr, size: Size) -> Expr:
    """See the memory of all samples, one behind the other, with one more stride: the length of a sample's."""
    (length,) = node.args[0].shape
    attrs = {**node.attrs, "shape": (size, *node.shape), "strides": (length, *node.attrs["strides"])}
    return ROWS[node.op](reshaped(x, (size * length,)), **attrs)


def _of_contraction(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Multiply stacks of matrices; a matrix that all samples share meets the batch as one tall matrix."""
    if "out" in node.attrs:
        return _of_labelled(node, args)
    if node.attrs:
        return _of_labelled_product(node, args)
    (a, a_has), (b, b_has) = args
    left, right = node.args
    if not b_has and right.ndim <= 2 and (right.ndim == 2 or left.ndim == 1):
        return ROWS[node.op](a, b)
    if not a_has and right.ndim == 1 and left.ndim <= 2:
        return ROWS[node.op](b, a if left.ndim == 1 else ROWS["transpose"](a, axes=(1, 0)))
    between = max(left.ndim, right.ndim, 2) - 2  # the batch axes that the samples have themselves
    stacks = [
        _as_matrices(x, arg, has_axis, side == 0, between)
        for side, (x, arg, has_axis) in enumerate(((a, left, a_has), (b, right, b_has)))
    ]
    return reshaped(ROWS[node.op](*stacks), (size, *node.shape))


def _of_labelled(node: Expr, args: Sequence[Operand]) -> Expr:
    """Give the batch the label 0, before all others."""
    labels = {name: _one_further(node.attrs[name]) for name in ("left", "right", "out")}
    for name, (_, has_axis) in zip(("left", "right", "out"), (*args, (node, True)), strict=True):
        labels[name] = (0, *labels[name]) if has_axis else labels[name]
    return ROWS[node.op](*(x for x, _ in args), **labels)


def _of_labelled_product(node: Expr, args: Sequence[Operand]) -> Expr:
    """Give the batch the first label, which is kept: an operand that all samples share does not bear it."""
    if set(node.attrs) != {"left", "right", "out"}:
        raise _not_mapped(node, f"attributes {', '.join(node.attrs)}")
    (a, a_has), (b, b_has) = args
    left, right, out = (_one_further(node.attrs[name]) for name in ("left", "right", "out"))
    return ROWS[node.op](a, b, left=(0, *left) if a_has else left, right=(0, *right) if b_has else right, out=(0, *out))


def _as_matrices(x: Expr, arg: Expr, has_axis: bool, is_left: bool, between: int) -> Expr:
    """Give an operand of a product as a stack of matrices, with unit axes for the stacks it is not part of."""
    core = arg.shape[-2:] if arg.ndim > 1 else (1, *arg.shape) if is_left else (*arg.shape, 1)
    if not has_axis:
        return reshaped(x, (*arg.shape[:-2], *core))
    own = arg.shape[:-2]
    return reshaped(x, (x.shape[0], *(1,) * (between - len(own)), *own, *core))


def _of_gather(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Read in each sample: shared positions along the shifted axis, own ones from rows that are seen side by side."""
    (x, x_has), (indices, indices_have) = args
    if "axis" not in node.attrs:
        return ROWS[node.op](*_everywhere(args, size))
    axis, rank = node.attrs["axis"], node.args[1].ndim
    if not indices_have:
        return ROWS[node.op](x, indices, axis=axis + 1)
    if not x_has:
        out = ROWS[node.op](x, indices, axis=axis)
        return out if axis == 0 else moveaxis(out, axis, 0)
    return _taken(x, indices, axis + 1, rank)


def _taken(x: Expr, indices: Expr, axis: int, rank: int) -> Expr:
    """Take along an axis at positions of which each sample has its own: x (B, P, K, S), indices (B, I) to (B, P, I, S).

    Every result's row of K elements is the same memory seen again: broadcasting copies nothing.
    """
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    inner = indices.shape[1:]
    last = ROWS["transpose"](x, axes=(*range(axis), *range(axis + 1, x.ndim), axis))
    shape = (*before, *inner, *after)
    rows = reshaped(last, (*before, *(1,) * rank, *after, x.shape[axis]))
    rows = ROWS["broadcast_to"](rows, shape=(*shape, x.shape[axis]))
    at = reshaped(indices, (before[0], *(1,) * (axis - 1), *inner, *(1,) * len(after)))
    return ROWS["pick"](rows, ROWS["broadcast_to"](at, shape=shape))


def _of_scatter(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Add into each sample: at shared positions along the shifted axis, at own ones in one long row of all samples."""
    (values, _), (indices, indices_have) = args
    if "axis" not in node.attrs:
        return _by_attributes(node, args, size)
    axis, extent = node.attrs["axis"], node.attrs["size"]
    if not indices_have:
        return ROWS[node.op](values, indices, axis=axis + 1, size=extent)
    values = _everywhere(args, size)[0]
    rank = node.args[1].ndim
    span = tuple(range(axis + 1, axis + 1 + rank))
    rest = tuple(i for i in range(1, values.ndim) if i not in span)
    joined = ROWS["transpose"](values, axes=(0, *span, *rest))
    flat = ROWS[node.op](joined, _in_one_row(indices, size, extent), axis=0, size=size * extent)
    split = reshaped(flat, (size, extent, *(values.shape[i] for i in rest)))
    return ROWS["transpose"](split, axes=(0, *range(2, axis + 2), 1, *range(axis + 2, split.ndim)))


def _in_one_row(indices: Expr, size: Size, extent: Size) -> Expr:
    """Give positions in a row of all samples' elements; what lies outside of its own sample lies outside of the row."""
    wide = cast(indices, INT64)
    length, end = as_expr(extent, INT64), as_expr(size * extent, INT64)
    position = ROWS["where"](ROWS["less"](wide, 0), ROWS["add"](wide, length), wide)
    first = ROWS["arange"](start=0, step=1, size=size, dtype=INT64)
    first = reshaped(ROWS["multiply"](first, length), (size, *(1,) * (wide.ndim - 1)))
    inside = ROWS["logical_and"](ROWS["greater_equal"](position, 0), ROWS["less"](position, length))
    return ROWS["where"](inside, ROWS["add"](position, first), end)


def _of_random(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Draw from each sample's key the numbers that it has alone."""
    return ROWS[node.op](args[0][0], **node.attrs)


def _of_composite(node: Expr, args: Sequence[Operand], size: Size) -> Expr:
    """Keep the name where the attributes tell where the axes are; else map the definition."""
    if len(node.args) == 1 and all(name in ATTRIBUTES for name in node.attrs):
        return _by_attributes(node, args, size)
    structure = row_of(node).structure
    assert isinstance(structure, Composite)
    inner = {arg: x for arg, (x, has_axis) in zip(node.args, args, strict=True) if has_axis}
    return batch([structure.define(node)], inner, size)[0]


RULES: dict[type, Rule] = {
    Map: _of_map, Cast: _of_cast, Fold: _of_fold, Layout: _of_layout, Place: _by_attributes,
    Contraction: _of_contraction, Gather: _of_gather, Scatter: _of_scatter, Random: _of_random,
    Composite: _of_composite,
}  # fmt: skip

# Rules of single rows, for those whose attributes are graphs.
OWN_RULES: dict[str, Rule] = {}
