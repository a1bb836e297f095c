"""Bandwidth: how many bytes a second this machine's memory moves for kernels of our own, on all threads.

Copy is y = x, triad is y = a + 3 b (McCalpin's STREAM), on arrays that no cache holds. Counted is what the kernels read
and write: 8 bytes an element for copy, 12 for triad. Ordinary stores fetch a line before they write it, which is
not counted here and not counted where a rung is held against the bandwidth; with it the memory moves half as much
again for copy and a third more for triad. The best of several runs counts, as for the peak of arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import symgrad as sg

ELEMENTS = 1 << 25  # 128 MiB of float32 in each array
RUNS = 30


def copy_bandwidth(elements: int = ELEMENTS, runs: int = RUNS) -> float:
    """Measure bytes a second of a copy."""
    x = sg.symbol("x", (elements,))
    copy = sg.function([x], x)
    source, out = np.ones(elements, np.float32), np.zeros(elements, np.float32)
    return 8 * elements / _shortest(lambda: copy(source, out=out), runs)


def triad_bandwidth(elements: int = ELEMENTS, runs: int = RUNS) -> float:
    """Measure bytes a second of a sum of two arrays, one of them scaled."""
    a, b = sg.symbol("a", (elements,)), sg.symbol("b", (elements,))
    triad = sg.function([a, b], a + 3 * b)
    first, second = (np.full(elements, value, np.float32) for value in (1, 2))
    out = np.zeros(elements, np.float32)
    return 12 * elements / _shortest(lambda: triad(first, second, out=out), runs)


def _shortest(work: Callable[[], object], runs: int) -> float:
    """Time something after it has run once."""
    work()
    best = float("inf")
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best
