"""Random numbers that are pure functions of a key and a position: Philox-4x32-10, in NumPy.

In: a 64-bit key and positions. Out: words, uniform and normal numbers, permutations; the same words on every machine.
Compiled code computes the same ones. It must not know seeds, nor what the numbers are for.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; known answers of Random123.

How words become numbers, element i using block (i low, i high, 0, 0) with the key (low, high):
    float32 uniform   (word0 >> 8) * 2^-24
    float64 uniform   ((word0 >> 5) * 2^26 + (word1 >> 6)) * 2^-53
    normal            sqrt(-2 log u1) * cos(2 pi u2): u1 as above plus one unit, so that it lies in (0, 1];
                      u2 likewise from word2 (and word3), without the unit
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from symgrad.dtypes import DType
from symgrad.errors import DTypeError

Words = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MASK = 2**64 - 1
_PERMUTATION = 1  # word 2 of the counter: permutations draw from other blocks than the elements of tensors
_CHUNK = 1 << 14  # blocks at a time: the working set stays in the cache


def as_key(value: int) -> int:
    """Give a key as the int64 that stands for its 64 bits.

    >>> as_key(-1) == as_key(2**64 - 1), as_key(7)
    (True, 7)
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"a seed is an int, not {type(value).__name__}: {value!r}")
    value = int(value)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"a key has 64 bits: {value} does not fit")
    return value - 2**64 if value >= 2**63 else value


# A, B, C of `fold` as int64: odd, their bits well mixed (the golden ratio's fraction, the multipliers of SplitMix64).
FOLD = (as_key(0x9E3779B97F4A7C15), as_key(0xBF58476D1CE4E5B9), as_key(0x94D049BB133111EB))


def philox(counter: Sequence[np.ndarray | int], key: tuple[int, int]) -> Words:
    """Give the four 32-bit words of each counter block, as uint64 arrays.

    `counter` has four words, each an array of uint64 below 2^32 or an int; `key` has two.

    >>> [f"{int(word):08x}" for word in philox((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    for round_number in range(_ROUNDS):
        k0, k1 = ((k + w * round_number) & 0xFFFFFFFF for k, w in zip(key, _WEYL, strict=True))
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = (second >> _HALF) ^ c1 ^ np.uint64(k0), (first >> _HALF) ^ c3 ^ np.uint64(k1)
        c1, c3 = second & _LOW, first & _LOW
    return c0, c1, c2, c3


def blocks(key: int, start: int, count: int, stream: int = 0) -> Words:
    """Give the words of `count` blocks from position `start` on."""
    position = np.arange(start, start + count, dtype=np.uint64)
    bits = key & _MASK
    return philox((position & _LOW, position >> _HALF, stream, 0), (bits & 0xFFFFFFFF, bits >> 32))


def fold(key: int, i: int) -> int:
    """Give a key derived from a key and a number: another key for every number.

    With h = key * A + i * B + C modulo 2^64 the result is h * (2 h + 1), a bijection in h: int64 arithmetic that wraps,
    so that compiled code derives the same keys from a step counter.
    """
    h = (key * FOLD[0] + i * FOLD[1] + FOLD[2]) & _MASK
    return as_key(h * (2 * h + 1) & _MASK)


def draw_uniform(key: int, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> np.ndarray:
    """Draw numbers in [0, 1), element i (row-major) from block i."""
    return _draw(key, shape, dtype, lambda words: _unit(words[0], words[1], dtype))


def draw_normal(key: int, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> np.ndarray:
    """Draw from the standard normal distribution, element i (row-major) from block i, in float64 and rounded once."""

    def normal(words: Words) -> np.ndarray:
        unit = 2.0**-24 if dtype.size == 4 else 2.0**-53
        radius = np.sqrt(-2.0 * np.log(_unit(words[0], words[1], dtype) + unit))
        out: np.ndarray = radius * np.cos(2.0 * np.pi * _unit(words[2], words[3], dtype))
        return out

    return _draw(key, shape, dtype, normal)


def permutation(key: int, n: int) -> np.ndarray:
    """Give a random order of 0, 1, ... n - 1 as int64: positions sorted by a random word, then by position.

    >>> sorted(permutation(0, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if not 0 <= n <= 2**32:
        raise ValueError(f"cannot order {n} elements: between 0 and 2**32 are possible")
    quads = [blocks(key, s, min(_CHUNK, -(-n // 4) - s), _PERMUTATION) for s in range(0, -(-n // 4), _CHUNK)]
    words = np.concatenate([np.stack(quad, axis=1).ravel() for quad in quads] or [np.empty(0, np.uint64)])[:n]
    ordered = np.sort((words << _HALF) | np.arange(n, dtype=np.uint64))  # no two are equal: any sort gives this order
    return (ordered & _LOW).astype(np.int64)


def _unit(high: np.ndarray, low: np.ndarray, dtype: DType) -> np.ndarray:
    """Give words as float64 numbers in [0, 1) with as many bits as the dtype has."""
    if dtype.size == 4:
        return (high >> np.uint64(8)) * 2.0**-24
    return ((high >> np.uint64(5)) * 2.0**26 + (low >> np.uint64(6))) * 2.0**-53


def _draw(key: int, shape: Sequence[int], dtype: DType, number: Callable[[Words], np.ndarray]) -> np.ndarray:
    """Fill an array chunk by chunk with what `number` makes of each element's words."""
    if not dtype.is_float:
        raise DTypeError("random numbers are floats", got=str(dtype), hint="Convert them with astype.")
    out = np.empty(math.prod(shape), dtype.numpy)
    for start in range(0, out.size, _CHUNK):
        count = min(_CHUNK, out.size - start)
        out[start : start + count] = number(blocks(key, start, count))
    return out.reshape(tuple(shape))
