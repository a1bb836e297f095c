"""Twelve ways for the same values to lie in memory, as callers' arrays do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided


class Tagged(np.ndarray):
    """A subclass with an operator of its own, which nobody but its owner may call."""

    def __mul__(self, other):
        raise AssertionError("the array's own operators were used")

    __add__ = __radd__ = __rmul__ = __matmul__ = __mul__


def _stepped(array: np.ndarray) -> np.ndarray:
    wide = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _reversed(array: np.ndarray) -> np.ndarray:
    back = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[back])[back]


def _misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _mapped(array: np.ndarray) -> np.ndarray:
    if not array.size:
        return array.copy()  # a file of no bytes cannot be mapped
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return mapped


def _broadcast(array: np.ndarray) -> np.ndarray:
    """Give a view with a stride of 0: its values are those of the first row everywhere."""
    return np.broadcast_to(array[:1], array.shape)


def _overlapping(array: np.ndarray) -> np.ndarray:
    """Give windows of one vector: every row begins one element after the row before it."""
    flat = array.ravel()
    columns = int(np.prod(array.shape[1:]))
    vector = np.resize(flat, array.shape[0] + columns)
    inner = [int(np.prod(array.shape[k + 1 :])) for k in range(1, array.ndim)]
    return as_strided(vector, array.shape, [s * array.itemsize for s in (1, *inner)], writeable=False)


# name -> view; all but the last two have the values of the array given, these two have values of their own.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran": lambda a: np.array(a, order="F"),
    "negative step": _reversed,
    "stepped": _stepped,
    "misaligned": _misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": _read_only,
    "size 0": lambda a: np.array(a[:0], order="F"),
    "size 1": lambda a: _reversed(a[:1]),
    "memory-mapped": _mapped,
    "subclass": lambda a: a.copy().view(Tagged),
    "broadcast": _broadcast,
    "overlapping": _overlapping,
}


def layouts(array: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Give each layout's name, the array in it, and a plain array of the same values."""
    for name, make in LAYOUTS.items():
        view = make(array)
        yield name, view, np.array(np.asarray(view), array.dtype.newbyteorder("="), order="C")
