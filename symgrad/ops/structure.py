"""The structural classes: what an operator does to elements, in the terms that lowering understands.

A row names one of these; codegen matches on the class and never on the operator's name. Every index is a polynomial of
the dimension algebra: an index map takes the index of an element of the result (one polynomial per axis) and gives the
index of the operand's element. Nothing here says how fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symgrad.expr import Expr
from symgrad.shape import Shape, Size

Indices = tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A symbol, parameter, constant, constant array or dimension: a value that is given."""


@dataclass(frozen=True, slots=True)
class Map:
    """out[i] = f(x[i], y[i], ...), operands broadcast. `formula` is text over x, y, z, w in terms of other scalar rows;
    None makes the row a primitive, which lowering knows by name."""

    formula: str | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """out[i] = x[i] converted to the node's dtype."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """out[i] = a number made of the index: `value(node, index)` is a polynomial."""

    value: Callable[[Expr, Indices], Size]


@dataclass(frozen=True, slots=True)
class Fold:
    """A reduction of one operand over the axes in the attribute `axes` (sorted tuple; `keepdims` is an attribute).

    A tuple state, each part with a dtype ("x": the operand's, "out": the result's, or a name); `init`, `step` (over the
    state, the element `x` and its position `i` along the flattened reduced axes, int64), `combine` (the state and a
    later state, whose names end in `_`) and `finish` are formulas. `lowest` and `highest` are the least and the
    greatest value of the part's dtype (-inf and inf for floats). `empty` tells whether a reduction of nothing is
    defined.
    """

    state: tuple[tuple[str, str], ...]
    init: tuple[str, ...]
    step: tuple[str, ...]
    combine: tuple[str, ...]
    finish: str
    empty: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """out[i] = x[index(node, i)]: reshape, transpose, broadcast, slice, flip, expand; no arithmetic on elements."""

    index: Callable[[Expr, Indices], Indices]


@dataclass(frozen=True, slots=True)
class Place:
    """out[i + offset_p] = operand_p[i] for every piece p, and zero where no piece lies: concatenate, pad with zeros.

    `offsets(node)` gives one offset tuple per operand; `steps(node)` one step per axis (1: dense). Pieces do not
    overlap.
    """

    offsets: Callable[[Expr], Sequence[Indices]]
    covers: bool  # the pieces cover the result: no zero fill is needed
    steps: Callable[[Expr], Indices] | None = None


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of a contraction by label: labels in `out` are kept, all others are summed. A size-1 axis broadcasts."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    out: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contraction:
    """out[...] = sum over the labels that are not kept of left[...] * right[...]."""

    axes: Callable[[Expr], Axes]


@dataclass(frozen=True, slots=True)
class Gather:
    """out[i] = x[where(position)], position = indices[at(i)]: operand 0 is x, operand 1 the integer indices.

    `at(node, i)` gives the index into the indices, `source(node, i, position)` the index into x, `extent(node)` the
    size that positions must stay below (negative ones count from the end).
    """

    at: Callable[[Expr, Indices], Indices]
    source: Callable[[Expr, Indices, Size], Indices]
    extent: Callable[[Expr], Size]


@dataclass(frozen=True, slots=True)
class Scatter:
    """out = zeros; out[target(i, position)] += x[i] in the order of i: operand 0 is x, operand 1 the integer indices.

    `at(node, i)` and `target(node, i, position)` take the index i of an element of x. Positions along `serial` axes of
    x may collide and are added in order; the other axes of x are independent.
    """

    at: Callable[[Expr, Indices], Indices]
    target: Callable[[Expr, Indices, Size], Indices]
    extent: Callable[[Expr], Size]
    serial: Callable[[Expr], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Random:
    """out[k, i] = a pure function of the key at k (operand 0, int64; usually of rank 0) and of the flat index i.

    `kind` is uniform or normal.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Sequential:
    """Steps of which each needs the ones before: running sums, sorting, elimination.

    Computed by a kernel written in loop IR, which `codegen.sequential` knows by its `kind`. Operands are read as stored
    tensors. Along `core` axes of the operands (counted from the end; None: the one axis in the attribute `axis`) the
    elements depend on one another; the axes before are a batch.
    """

    kind: str
    core: int | None = None


@dataclass(frozen=True, slots=True)
class Composite:
    """A name for a definition in other rows: `define(node)` gives the same value in more primitive rows.

    `renew(node, g)` gives, where there is one, the operands over which the definition is computed again to be
    differentiated, rather than differentiated as it was computed.
    """

    define: Callable[[Expr], Expr]
    renew: Callable[[Expr, Expr], Sequence[Expr]] | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Result number `item` of a node of tuple type."""


Structure = (
    Leaf | Map | Cast | Coordinate | Fold | Layout | Place
    | Contraction | Gather | Scatter | Random | Sequential | Composite | Project
)  # fmt: skip


def reduced_axes(node: Expr) -> tuple[int, ...]:
    """Give the reduced axes of a Fold node."""
    axes: tuple[int, ...] = node.attrs["axes"]
    return axes


def kept_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Give the shape of a reduction's result."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)
