"""The results of a compiled function: the arrays they are written to, and the structure in which they are given back.

In: the structure of the outputs, the nodes that hold them, the caller's arrays if there are any. Out: an array for each
node; the structure with arrays for leaves. It must not know how they are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codegen.operand import Operand
from symgrad.buffers import span
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr
from symgrad.shape import format_shape
from symgrad.structures import matched, restore

__all__ = ["Outputs"]

Sizes = Sequence[tuple[int, ...]]


class Outputs:
    """What a function gives: `nodes` are computed, each once; `structure` has a leaf for every output.

    `kept` is memory that the function has for itself, where no result may lie.
    """

    def __init__(self, name: str, structure: Any, computed: Sequence[Operand], kept: Sequence[np.ndarray]) -> None:
        self.nodes = tuple(dict.fromkeys(computed))
        self._name, self._structure = name, structure
        places = {id(node): k for k, node in enumerate(self.nodes)}
        self._places = [places[id(node)] for node in computed]
        self._dtypes = [node.dtype.numpy for node in self.nodes]
        self._is_one = isinstance(structure, Expr)
        self._kept = list(map(span, kept))

    @property
    def is_distinct(self) -> bool:
        """Tell whether no value is given twice."""
        return len(self.nodes) == len(self._places)

    def fresh(self, shapes: Sizes) -> list[np.ndarray]:
        """Make arrays for the results."""
        return list(map(np.empty, shapes, self._dtypes))

    def checked(self, out: Any, shapes: Sizes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the caller's arrays: right in shape, dtype and order, in memory of their own."""
        if not self.is_distinct:
            raise TypeError(f"{self._name} gives one value twice; out= needs distinct outputs")
        given = [out] if self._is_one else matched(self._structure, out, "out= must have the structure of the outputs")
        results: list[np.ndarray] = [np.empty(0)] * len(self.nodes)
        for array, place in zip(given, self._places, strict=True):
            _check(array, shapes[place], self._dtypes[place])
            results[place] = array
        spans = [*map(span, inputs), *self._kept]
        for array in results:
            first, last = span(array)
            for begin, end in spans:
                if begin < last and first < end:
                    raise ValueError("out= overlaps an input, a parameter or another output. Give memory of its own.")
            spans.append((first, last))
        return results

    def assembled(self, results: Sequence[np.ndarray]) -> Any:
        """Give the results in the structure of the outputs; rank 0 as NumPy scalars."""
        if self._is_one:
            return results[0] if results[0].ndim else results[0][()]
        seen: set[int] = set()
        flat: list[Any] = []
        for place in self._places:
            array = results[place]
            flat.append(array[()] if array.ndim == 0 else array.copy() if place in seen else array)
            seen.add(place)
        return restore(self._structure, iter(flat))


def _check(array: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"out= takes arrays, got {type(array).__name__}")
    if array.shape != shape:
        got = f"{format_shape(array.shape)} instead of {format_shape(shape)}"
        raise ShapeError("out= has the wrong shape", got=got)
    if array.dtype != dtype:
        raise DTypeError("out= has the wrong dtype", got=f"{array.dtype} instead of {dtype}")
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise ValueError("out= must be a C-ordered, aligned, writeable array. Use np.empty(shape, dtype).")
