"""Poison: a program's memory between unmapped pages, filled with patterns before each run; for tests.

In: how many bytes each buffer of a run needs. Out: a `Fence` for each: memory that ends where a page without access
begins, so that the first byte read or written beyond it stops the process, with a strip before it whose pattern tells
whether anything was written there. What a kernel reads before it is written is a NaN, or an absurd index.

It must not know kernels, nor launches.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from symgrad.errors import CompileError

PAGE: Final = mmap.PAGESIZE
# Eight bytes of it are a signalling NaN of float64, each half is a NaN of float32, and no index is as great.
PATTERN: Final = np.array([0x7FF4DEAD7FA4DEAD], np.uint64)
NO_ACCESS: Final = 0
READ: Final = 1
READ_WRITE: Final = 3


class Fence:
    """Memory of `size` bytes whose end is the end of what may be touched; `alignment` is a power of two.

    >>> fence = Fence("h", 12, 4)
    >>> fence.address % 4, len(fence.bytes), bool(np.isnan(fence.bytes.view(np.float32)).all())
    (0, 12, True)
    """

    def __init__(self, name: str, size: int, alignment: int) -> None:
        self.name = name
        inside = max(1, -(-(size + alignment) // PAGE)) * PAGE
        self._map = mmap.mmap(-1, inside + 2 * PAGE)
        everything: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self._first: int = everything.ctypes.data
        self._inside = everything[PAGE : PAGE + inside]
        start = inside - -(-size // alignment) * alignment
        self.bytes = self._inside[start : start + size]
        self.address: int = self._first + PAGE + start
        self._start, self._end = start, start + size
        _protect(self._first, PAGE, NO_ACCESS)
        _protect(self._first + PAGE + inside, PAGE, NO_ACCESS)
        self.fill()

    def fill(self) -> None:
        """Write the pattern everywhere, the strips before and after the memory included."""
        self._inside.view(np.uint64)[:] = PATTERN

    def read(self, address: int) -> None:
        """Copy what lies at an address here."""
        ctypes.memmove(self.address, address, len(self.bytes))

    def write(self, address: int) -> None:
        """Copy what lies here to an address."""
        ctypes.memmove(address, self.address, len(self.bytes))

    def allow(self, access: int) -> None:
        """Let the memory be read, or read and written."""
        _protect(self._first + PAGE, len(self._inside), access)

    def check(self) -> None:
        """Raise CompileError if anything was written in the strips."""
        expected = np.resize(PATTERN.view(np.uint8), len(self._inside))
        for side, strip in (("before", slice(self._start)), ("after", slice(self._end, None))):
            if not np.array_equal(self._inside[strip], expected[strip]):
                raise CompileError(f"a kernel wrote {side} the memory of {self.name}: this is an error of symgrad")


def _protect(address: int, size: int, access: int) -> None:
    """Set what may be done with pages."""
    if sys.platform == "win32":
        raise CompileError("Options(poison=True) needs mprotect, which this system lacks")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), access):
        raise OSError(ctypes.get_errno(), "mprotect failed")
