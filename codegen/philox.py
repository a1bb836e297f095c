"""Random numbers as values of the loop IR: Philox-4x32-10, a pure function of a key and of an element's flat index.

In: the key and the index as int64 values. Out: one uniform or normal value; `symgrad.ops.random` states the same
functions in NumPy, bit for bit in the words. Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3"
(2011). It must not know tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from codegen.ir import Const, Index, Op, Value
from symgrad.dtypes import DType
from symgrad.shape import Size

U32, I64, F64 = DType.UINT32, DType.INT64, DType.FLOAT64
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
Words = tuple[Value, Value, Value, Value]


def _word(number: int) -> Const:
    return Const(number & 0xFFFFFFFF, U32)


def _halves(value: Value) -> tuple[Value, Value]:
    """Split an int64 into its lower and its upper word."""
    low = Op("cast", (Op("and", (value, Const(0xFFFFFFFF, I64)), I64),), U32)
    high = Op("cast", (Op("and", (Op("ashr", (value, Const(32, I64)), I64), Const(0xFFFFFFFF, I64)), I64),), U32)
    return low, high


def words(key: Value, index: Value) -> Words:
    """Give the four words of the block that belongs to an index."""
    k0, k1 = _halves(key)
    c0, c1 = _halves(index)
    c2: Value = _word(0)
    c3: Value = _word(0)
    for _ in range(ROUNDS):
        high0, low0 = (Op(op, (c0, _word(MULTIPLIERS[0])), U32) for op in ("mulhi", "mul"))
        high1, low1 = (Op(op, (c2, _word(MULTIPLIERS[1])), U32) for op in ("mulhi", "mul"))
        c0, c2 = (_xor(high1, c1, k0), _xor(high0, c3, k1))
        c1, c3 = low1, low0
        k0, k1 = (Op("add", (k, _word(w)), U32) for k, w in zip((k0, k1), WEYL, strict=True))
    return c0, c1, c2, c3


def _xor(a: Value, b: Value, c: Value) -> Value:
    return Op("xor", (Op("xor", (a, b), U32), c), U32)


def _unit(high: Value, low: Value, dtype: DType, more: int = 0) -> Op:
    """Give (bits + more) units: 24 bits of one word for float32, 53 bits of two words for float64."""
    if dtype is DType.FLOAT32:
        bits, scale = Op("lshr", (high, Const(8, U32)), U32), 2.0**-24
        number = Op("cast", (Op("add", (bits, _word(more)), U32),), dtype)
    else:
        upper = Op("shl", (Op("cast", (Op("lshr", (high, Const(5, U32)), U32),), I64), Const(26, I64)), I64)
        lower = Op("cast", (Op("lshr", (low, Const(6, U32)), U32),), I64)
        total = Op("add", (Op("add", (upper, lower), I64), Const(more, I64)), I64)
        number, scale = Op("cast", (total,), dtype), 2.0**-53
    return Op("mul", (number, Const(scale, dtype)), dtype)


def uniform(block: Words, dtype: DType) -> Value:
    """Give a number in [0, 1)."""
    return _unit(block[0], block[1], dtype)


def normal(block: Words, dtype: DType) -> Value:
    """Give a standard normal number by the Box-Muller transform of two uniform ones, the first in (0, 1].

    It is computed in float64 and rounded once, as `symgrad.philox` does.
    """
    first, second = _wide(_unit(block[0], block[1], dtype, 1)), _wide(_unit(block[2], block[3], dtype))
    length = Op("sqrt", (Op("mul", (Const(-2.0, F64), Op("log", (first,), F64)), F64),), F64)
    number = Op("mul", (length, Op("cos", (Op("mul", (second, Const(2 * math.pi, F64)), F64),), F64)), F64)
    return number if dtype is F64 else Op("cast", (number,), dtype)


def _wide(value: Op) -> Op:
    return value if value.dtype is F64 else Op("cast", (value,), F64)


KINDS: dict[str, Callable[[Words, DType], Value]] = {"uniform": uniform, "normal": normal}


def value(kind: str, key: Value, index: Size, dtype: DType) -> Value:
    """Give the random value of an element."""
    return KINDS[kind](words(key, Index(index)), dtype)
