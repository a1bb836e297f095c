"""Tensor shapes and their sizes: the door to the size algebra, and what shapes are asked.

In: shapes, that is tuples of ints and symbolic sizes (`Dim`). Out: shapes, sizes, texts, plain data; ShapeError where
shapes do not fit. It must not know tensors, operators or dtypes.

The algebra behind it, lowest first: `polynomial.py` (integer polynomials as dictionaries), `interval.py` (ranges),
`atoms.py` (names, quotients, remainders), `dimension.py` (`Dim`), `division.py` (what `//` and `%` simplify to),
`indexing.py` (bounds and simplification within ranges: loop indices are names of the same algebra).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from symgrad import polynomial
from symgrad.atoms import FloorDiv, Mod, Name, evaluate, names, sort_key, substitute
from symgrad.dimension import Dim, Shape, Size, checked_size, dim, from_terms, set_node_hook, terms_of
from symgrad.division import exact_div
from symgrad.errors import FormatError, ShapeError
from symgrad.indexing import bounds, simplify_with

__all__ = [
    "Dim", "FloorDiv", "Mod", "Name", "Shape", "Size",
    "bounds", "broadcast_shapes", "checked_size", "coefficient", "dim", "dropped_axes", "evaluate", "exact_div",
    "format_shape", "from_data", "infer_minus_one", "names", "product", "repeated_axes", "set_node_hook",
    "simplify_with", "sort_key", "stable_bytes", "substitute", "to_data",
]  # fmt: skip


def product(shape: Iterable[Size]) -> Size:
    """Return the number of elements of a shape; 1 for ().

    >>> product((dim("N"), 28, 28))
    784*N
    """
    number: int = 1
    symbolic: Size = 1
    for size in shape:
        if isinstance(size, int):
            number *= size
        else:
            symbolic = symbolic * size
    return symbolic * number


def infer_minus_one(total: Size, known: Size) -> Size | None:
    """Return the size that -1 stands for in a reshape of `total` elements whose other sizes multiply to `known`.

    None where `known` does not provably divide `total`, or is 0.

    >>> infer_minus_one(784 * dim("N"), 784), infer_minus_one(10, 4)
    (N, None)
    """
    return exact_div(total, known)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that all shapes broadcast to, aligned at the right; only the int 1 stretches.

    Raises ShapeError that names two shapes and the first axis (of the result) at which they differ.

    >>> broadcast_shapes((dim("N"), 1), (10,)), broadcast_shapes()
    ((N, 10), ())
    """
    rank = max(map(len, shapes), default=0)
    out: list[Size] = [1] * rank
    origin: list[Shape] = [()] * rank
    for axis in range(rank):
        for shape in shapes:
            index = axis - rank + len(shape)
            if index < 0 or shape[index] == 1 or shape[index] == out[axis]:
                continue
            if out[axis] != 1:
                raise ShapeError(
                    f"shapes {format_shape(origin[axis])} and {format_shape(shape)} do not broadcast",
                    got=f"axis {axis}: {out[axis]} != {shape[index]}",
                )
            out[axis], origin[axis] = shape[index], shape
    return tuple(out)


def repeated_axes(shape: Shape, wide: Shape) -> tuple[int, ...]:
    """Return the axes of the wide shape along which what has the other shape, and broadcasts to it, is repeated.

    >>> repeated_axes((3, 1), (dim("N"), 3, 4)), repeated_axes((3,), (3,))
    ((0, 2), ())
    """
    extra = len(wide) - len(shape)
    return tuple(axis for axis, size in enumerate(wide) if axis < extra or shape[axis - extra] != size)


def dropped_axes(wide: Shape, narrow: Shape) -> tuple[int, ...] | None:
    """Return the axes of size 1 that lead from the wide shape to the narrow one when dropped; None if none do.

    >>> dropped_axes((1, 3, 1), (3,)), dropped_axes((3,), (3,)), dropped_axes((3, 2), (3,))
    ((0, 2), (), None)
    """
    left, dropped = list(narrow), list[int]()
    for axis, size in enumerate(wide):
        if left and left[0] == size:
            left.pop(0)
        elif size == 1:
            dropped.append(axis)
        else:
            return None
    return None if left else tuple(dropped)


def format_shape(shape: Iterable[Size]) -> str:
    """Return the text of a shape, as Python writes a tuple.

    >>> format_shape((dim("N"), 784)), format_shape((dim("N"),)), format_shape(())
    ('(N, 784)', '(N,)', '()')
    """
    sizes = [str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def coefficient(size: Size, name: str) -> Size | None:
    """Return the factor of `name` in a size that is affine in it: 0 if it does not occur, None if not affine.

    This is how a stride is read off an index.

    >>> i, M = dim("i"), dim("M")
    >>> coefficient(M * i + 3 * i + 1, "i"), coefficient(M, "i"), coefficient(i * i, "i"), coefficient(i // 2, "i")
    (M + 3, 0, None, None)
    """
    if name not in names(size):
        return 0
    factor: polynomial.Terms = {}
    for monomial, number in terms_of(size).items():
        others = tuple((atom, power) for atom, power in monomial if not (power == 1 and atom == name))
        if any(name in atom.contained() for atom, _ in others):
            return None
        if len(others) < len(monomial):
            factor[others] = number
    return from_terms(factor)


def to_data(size: Size) -> Any:
    """Return a size as JSON-plain data: an int, or a list of [coefficient, [[atom, power], ...]] terms.

    An atom is a name, or ["//" or "%", numerator, denominator].

    >>> to_data(2 * dim("N") // 3 + 1)
    [[1, [[['//', [[2, [['N', 1]]]], 3], 1]]], [1, []]]
    """
    if isinstance(size, int):
        return size
    return [[number, [[_atom_to_data(atom), power] for atom, power in monomial]] for number, monomial in size.terms()]


def from_data(data: Any) -> Size:
    """Return the size that `to_data` wrote; FormatError for anything else."""
    if type(data) is int:
        return data
    if not isinstance(data, list):
        raise FormatError("a size is an int or a list of terms", got=repr(data))
    total: Size = 0
    for term in data:
        match term:
            case [int(number), [*factors]]:
                total = total + number * product(_factor_from_data(factor) for factor in factors)
            case _:
                raise FormatError("a term of a size is [coefficient, factors]", got=repr(term))
    return total


def stable_bytes(size: Size) -> bytes:
    """Return bytes for digests: equal for equal sizes only, the same in every process.

    >>> stable_bytes(dim("N") + 1)
    b'[[1,[["N",1]]],[1,[]]]'
    """
    return json.dumps(to_data(size), separators=(",", ":")).encode()


_QUOTIENTS: dict[str, Callable[[Size, Size], Size]] = {"//": lambda x, d: x // d, "%": lambda x, d: x % d}


def _atom_to_data(atom: Any) -> Any:
    if isinstance(atom, Name):
        return str(atom)
    return ["//" if isinstance(atom, FloorDiv) else "%", to_data(atom.numerator), to_data(atom.denominator)]


def _factor_from_data(factor: Any) -> Size:
    match factor:
        case [str(name), int(power)] if power > 0:
            return dim(name) ** power
        case [[("//" | "%") as symbol, numerator, denominator], int(power)] if power > 0:
            base: Size = _QUOTIENTS[symbol](from_data(numerator), from_data(denominator))
            return base**power
        case _:
            raise FormatError("a factor of a size is [atom, power]", got=repr(factor))
