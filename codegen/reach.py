"""Reach: which element of which stored tensor an index reaches.

In: a node and the index of one of its elements. Out: the node behind its layouts with the element's index there, and
the operands that an elementwise node reads at that index. Pure index algebra; nothing is emitted.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from symgrad.expr import Expr
from symgrad.ops.row import row_of
from symgrad.ops.structure import Cast, Coordinate, Gather, Indices, Layout, Leaf, Map, Random
from symgrad.shape import Shape, Size, dim, simplify_with

ELEMENTWISE = (Map, Cast, Coordinate, Gather, Random)


def is_elementwise(node: Expr) -> bool:
    """Tell whether each element of the node is computed by itself from single elements of its operands."""
    return isinstance(row_of(node).structure, ELEMENTWISE)


def is_literal(node: Expr) -> bool:
    """Tell whether the node is a number known when the kernel is compiled or its dims are bound."""
    return node.op in ("constant", "dim")


def is_memory(node: Expr) -> bool:
    """Tell whether the node is given as an array: a symbol, a parameter, a constant array."""
    return isinstance(row_of(node).structure, Leaf) and not is_literal(node)


def is_unit(size: Size) -> bool:
    """Tell whether an axis has the constant size 1."""
    return isinstance(size, int) and size == 1


def index_names(shape: Shape, prefix: str = "i") -> Indices:
    """Give a named index for every axis, 0 for axes of size 1; names count the other axes only."""
    names = (dim(f"{prefix}{k}") for k in range(len(shape)))
    return tuple(0 if is_unit(n) else next(names) for n in shape)


def squeezed(shape: Shape) -> Shape:
    """Drop the axes of size 1."""
    return tuple(n for n in shape if not is_unit(n))


def squeezed_index(index: Indices, shape: Shape) -> Indices:
    """Drop the index of the axes of size 1."""
    return tuple(i for i, n in zip(index, shape, strict=True) if not is_unit(n))


def extents_of(index: Indices, shape: Shape) -> dict[str, Size]:
    """Give the range of each named index."""
    return {str(i): n for i, n in zip(index, shape, strict=True) if not isinstance(i, int)}


def strip(
    node: Expr, index: Indices, extents: Mapping[str, Size] | None = None, stop: Container[Expr] = ()
) -> tuple[Expr, Indices]:
    """Follow layouts down to the node that holds the element; nodes in `stop` are held in memory.

    A reshape of a held tensor is held as well: it is the same memory under another shape.
    """
    while node not in stop and isinstance(layout := row_of(node).structure, Layout) and reshaped(node, stop) is None:
        index = layout.index(node, index)
        if extents:
            index = tuple(i if isinstance(i, int) else simplify_with(i, extents) for i in index)
        node = node.args[0]
    return node, index


def reshaped(node: Expr, held: Container[Expr]) -> Expr | None:
    """Give the tensor in memory of which the node is another shape, None if there is none."""
    source = node
    while source.op == "reshape" and source not in held:
        source = source.args[0]
    if source is node or not (is_memory(source) or source in held) or squeezed(source.shape) == squeezed(node.shape):
        return None
    return source


def base(node: Expr, stop: Container[Expr] = ()) -> Expr:
    """Give the node behind the layouts; layouts in `stop` are held themselves."""
    while node not in stop and isinstance(row_of(node).structure, Layout):
        node = node.args[0]
    return node


def broadcast_index(index: Indices, shape: Shape) -> Indices:
    """Give the index into an operand that broadcasts to the index's rank."""
    own = index[len(index) - len(shape) :]
    return tuple(0 if is_unit(n) else i for i, n in zip(own, shape, strict=True))


def reads_in_place(consumer: Expr, operand: Expr, target: Expr) -> bool:
    """Tell whether each element of `consumer` reads, through an operand's layouts, the target at its own index.

    Axes of size 1 do not count. Then the consumer can be computed where the target's element is in a register.
    """
    if squeezed(consumer.shape) != squeezed(target.shape):
        return False
    index = index_names(consumer.shape)
    own = broadcast_index(index, operand.shape)
    node, reached = strip(operand, own, extents_of(index, consumer.shape), stop={target})
    return node is target and squeezed_index(index, consumer.shape) == squeezed_index(reached, target.shape)


def operand_sites(node: Expr, index: Indices) -> Iterator[tuple[Expr, Indices]]:
    """Yield the operands that an elementwise node reads at this index, with their own indices.

    A Gather yields its indices operand only: which element of the table it reads is known at run time.
    """
    structure = row_of(node).structure
    if isinstance(structure, Gather):
        yield node.args[1], structure.at(node, index)
        return
    if isinstance(structure, Random):
        index = index[: node.args[0].ndim]
    for arg in node.args:
        yield arg, broadcast_index(index, arg.shape)
