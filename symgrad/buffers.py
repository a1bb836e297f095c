"""Memory for arrays: 64-byte aligned, so that a vector never straddles two cache lines."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

ALIGNMENT = 64


def aligned_empty(shape: Sequence[int], dtype: np.dtype, alignment: int = ALIGNMENT) -> np.ndarray:
    """Allocate an uninitialised C-ordered array whose first byte is aligned.

    >>> aligned_empty((3, 5), np.dtype("float32")).ctypes.data % 64
    0
    """
    count = 1
    for extent in shape:
        count *= extent
    size = count * dtype.itemsize
    raw = np.empty(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].view(dtype).reshape(shape)


def address(array: np.ndarray) -> int:
    """Return where a C-ordered array begins; where it can be written, in a fourth of `array.ctypes.data`'s time.

    >>> import numpy as np
    >>> a = np.zeros(3)
    >>> address(a) == a.ctypes.data
    True
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # read-only, or without elements
        return array.ctypes.data


def span(array: np.ndarray) -> tuple[int, int]:
    """Return where a C-ordered array begins and ends."""
    first = address(array)
    return first, first + array.nbytes


def aligned_copy(array: np.ndarray, dtype: np.dtype | None = None) -> np.ndarray:
    """Copy an array into aligned, C-ordered memory."""
    out = aligned_empty(array.shape, dtype or array.dtype)
    out[...] = array
    return out
