"""Rows: the caller's arrays as the training loop reads them, in place.

In: an array of samples along its first axis: any integer or float dtype, any strides. Out: an expression for its rows
as a view of memory, the address of that memory, and what identifies the compiled program. Only arrays that no strides
describe (byte-swapped, misaligned) are copied. It must not know models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.dtypes import DType, as_dtype
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr, symbol_node
from symgrad.ops.row import ROWS, cast
from symgrad.shape import Shape, Size, dim


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """An array and its view: `memory` is the symbol to bind to `address`, `samples` the number of rows."""

    array: np.ndarray
    memory: Expr
    view: Expr
    address: int

    @property
    def samples(self) -> int:
        """Give the number of samples."""
        return len(self.array)

    @property
    def key(self) -> tuple[Any, ...]:
        """Give what a compiled program depends on."""
        return self.array.dtype.str, self.array.shape[1:], self.array.strides

    def take(self, positions: Expr, dtype: DType) -> Expr:
        """Give the rows at these positions in another dtype."""
        return cast(ROWS["take"](self.view, positions, axis=0), dtype)


def check_array(name: str, array: np.ndarray) -> None:
    """Raise ShapeError for what has no rows, DTypeError for what is not numbers."""
    if array.ndim == 0:
        what = "is a single number" if array.dtype.kind in "biufc" else f"is no array: {array[()]!r}"
        raise ShapeError(f"{name} {what}", hint="Give an array with one sample per row.")
    if array.dtype.name not in {str(d) for d in DType}:
        hint = f"Use {name}.astype('float32')." if array.dtype.kind == "f" else "Give integers or floats."
        raise DTypeError(f"{name} has a dtype that cannot be trained on", got=str(array.dtype), hint=hint)


def as_rows(name: str, array: np.ndarray) -> Rows:
    """View an array of samples."""
    check_array(name, array)
    item = array.dtype.itemsize
    if not (array.dtype.isnative and array.flags.aligned) or any(s % item for s in array.strides):
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    dtype = as_dtype(array.dtype)
    samples = dim(f"{name}_samples")
    strides = tuple(s // item for s in array.strides)
    shape: Shape = (samples, *array.shape[1:])
    lowest = sum(min(0, s * (n - 1)) for s, n in zip(array.strides, array.shape, strict=True) if n)
    first: Size = 0
    for size, stride in zip(shape, strides, strict=True):
        first = first + (size - 1) * -stride if stride < 0 else first
    memory = symbol_node(f"{name}_memory", (dim(f"{name}_length"),), dtype)
    view = ROWS["view"](memory, shape=shape, strides=strides, offset=first)
    return Rows(array, memory, view, array.ctypes.data + lowest)
