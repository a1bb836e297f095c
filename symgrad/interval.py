"""Arithmetic of integer intervals: what is known of a size when only the ranges of its names are.

In: `Interval`, a pair (lowest, highest), both inclusive, None where nothing is known on that side. Out: an interval
that holds every value that the operation can give for operands inside theirs. It must not know names or polynomials.
"""

from __future__ import annotations

from typing import TypeAlias

Interval: TypeAlias = tuple[int | None, int | None]

UNKNOWN: Interval = (None, None)
SIZE: Interval = (0, None)  # a name stands for a size

_INFINITY = float("inf")  # only ever compared: finite ends stay exact ints


def add(a: Interval, b: Interval) -> Interval:
    """Return the range of x + y."""
    low = None if a[0] is None or b[0] is None else a[0] + b[0]
    high = None if a[1] is None or b[1] is None else a[1] + b[1]
    return low, high


def multiply(a: Interval, b: Interval) -> Interval:
    """Return the range of x * y."""
    if a[0] is not None and b[0] is not None and a[0] >= 0 and b[0] >= 0:  # sizes: nearly always
        if a[1] is None or b[1] is None:
            return a[0] * b[0], 0 if a[1] == 0 or b[1] == 0 else None
        return a[0] * b[0], a[1] * b[1]
    corners = [_corner(x, y) for x in _ends(a) for y in _ends(b)]
    return _closed(min(corners)), _closed(max(corners))


def power(a: Interval, exponent: int) -> Interval:
    """Return the range of x ** exponent, exponent >= 1 (x is the same in every factor, so a square is not negative)."""
    low, high = a
    if exponent % 2 or (low is not None and low >= 0):
        return (None if low is None else low**exponent), (None if high is None else high**exponent)
    if high is not None and high <= 0:
        return high**exponent, None if low is None else low**exponent
    return 0, None if low is None or high is None else max(-low, high) ** exponent


def floor_divide(a: Interval, b: Interval) -> Interval:
    """Return the range of x // y for y != 0."""
    low, high = a
    divisor = _positive(b)
    if divisor is None:
        return UNKNOWN
    smallest, largest = divisor
    if low is not None:
        low = low // smallest if low < 0 else (0 if largest is None else low // largest)
    if high is not None:
        high = high // smallest if high >= 0 else (-1 if largest is None else high // largest)
    return low, high


def remainder(a: Interval, b: Interval) -> Interval:
    """Return the range of x % y for y != 0."""
    divisor = _positive(b)
    if divisor is None:
        return UNKNOWN
    limit = None if divisor[1] is None else divisor[1] - 1
    if a[0] is None or a[0] < 0 or a[1] is None:
        return 0, limit
    return 0, a[1] if limit is None else min(limit, a[1])


def _positive(b: Interval) -> tuple[int, int | None] | None:
    """Return the range of a divisor that cannot be negative; as it is no zero either, it is at least 1."""
    if b[0] is None or b[0] < 0:
        return None
    smallest = max(1, b[0])
    return smallest, None if b[1] is None else max(smallest, b[1])


def _ends(a: Interval) -> tuple[int | float, int | float]:
    return (-_INFINITY if a[0] is None else a[0]), (_INFINITY if a[1] is None else a[1])


def _corner(x: int | float, y: int | float) -> int | float:
    """Multiply two ends; zero times an infinite end is zero, for every value inside is finite."""
    if x == 0 or y == 0:
        return 0
    if isinstance(x, int) and isinstance(y, int):
        return x * y
    return _INFINITY if (x > 0) == (y > 0) else -_INFINITY


def _closed(end: int | float) -> int | None:
    return end if isinstance(end, int) else None
