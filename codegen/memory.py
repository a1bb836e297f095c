"""Memory of a program: lifetimes of buffers to offsets in one arena.

In: how many bytes each temporary buffer needs and the barrier epochs in which it lives. Out: an offset for each and the
size of the arena. Two launches with no barrier between them may run at the same time on different threads, so time is
counted in *barrier epochs* (`program.epochs`), not in launches: a buffer's bytes are given away only to a buffer whose
first epoch is later than its own last one.

It knows no kernels, no launches and no pointers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symgrad import buffers
from symgrad.buffers import ALIGNMENT


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer of so many bytes, live from its first barrier epoch to its last, both included."""

    id: str | int
    bytes: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.bytes < 0 or self.last < self.first:
            raise ValueError(f"not a lifetime: {self}")


@dataclass(frozen=True, slots=True)
class Arena:
    """Where each buffer lies, and how many bytes they take together."""

    offsets: Mapping[str | int, int]
    size: int


def aligned(size: int) -> int:
    """Round a size up to the alignment of buffers.

    >>> aligned(0), aligned(1), aligned(64)
    (0, 64, 64)
    """
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(lifetimes: Iterable[Lifetime]) -> Arena:
    """Place buffers in one arena so that no two that live in one epoch overlap.

    The largest is placed first, each in the smallest gap that holds it between the buffers that live beside it. The
    plan is a function of the sizes and lifetimes alone, and never larger than all buffers side by side.

    >>> plan([Lifetime("z", 256, 0, 1), Lifetime("h", 256, 1, 2), Lifetime("dz", 200, 2, 3)])
    Arena(offsets={'z': 0, 'h': 256, 'dz': 0}, size=512)
    """
    lives = list(lifetimes)
    offsets: dict[str | int, int] = {life.id: 0 for life in lives}
    if len(offsets) != len(lives):
        raise ValueError("two buffers have one name")
    # The position breaks ties: names may be of mixed type, and need not sort.
    order = sorted(range(len(lives)), key=lambda i: (-aligned(lives[i].bytes), lives[i].first, i))
    placed = np.empty((4, len(lives)), np.int64)  # rows: offset, end, first, last; columns in the order of offsets
    count = 0
    for life in (lives[i] for i in order if lives[i].bytes):
        size = aligned(life.bytes)
        low, high, first, last = placed[:, :count]
        beside = (first <= life.last) & (last >= life.first)
        offset = offsets[life.id] = _best_fit(low[beside], high[beside], size)
        at = int(np.searchsorted(low, offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count].copy()
        placed[:, at] = offset, offset + size, life.first, life.last
        count += 1
    return Arena(offsets, int(placed[1, :count].max(initial=0)))


def _best_fit(low: NDArray[np.int64], high: NDArray[np.int64], size: int) -> int:
    """Find the start of the smallest gap that holds `size` bytes among ranges sorted by offset; else where they end."""
    if not len(low):
        return 0
    ends = np.maximum.accumulate(high)
    before = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    gaps = low - before
    fits = np.flatnonzero(gaps >= size)
    return int(before[fits[np.argmin(gaps[fits])]] if len(fits) else ends[-1])


def peak(lifetimes: Iterable[Lifetime]) -> int:
    """Return the most bytes that live in one epoch: no arena can be smaller.

    >>> peak([Lifetime("a", 64, 0, 1), Lifetime("b", 128, 1, 2), Lifetime("c", 64, 2, 2)])
    192
    """
    change: defaultdict[int, int] = defaultdict(int)
    for life in lifetimes:
        change[life.first] += aligned(life.bytes)
        change[life.last + 1] -= aligned(life.bytes)
    most = live = 0
    for epoch in sorted(change):
        live += change[epoch]
        most = max(most, live)
    return most


def aligned_empty(size: int, alignment: int = ALIGNMENT) -> NDArray[np.uint8]:
    """Allocate `size` bytes whose address is a multiple of `alignment`, a power of two; the contents are undefined.

    >>> aligned_empty(100).ctypes.data % 64
    0
    """
    return buffers.aligned_empty((size,), np.dtype(np.uint8), alignment)
