"""A notation for lane-wise arithmetic: loop-IR values with Python's operators.

In: `codegen.ir` values wrapped in `Lane`, Python numbers. Out: the same IR values, built operation by operation,
nothing folded or reordered; the Python objects are shared where the formula shares them. Knows nothing of vectors or
of LLVM.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir import Const, Op, Value
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, INT64, DType

BITS: dict[DType, DType] = {FLOAT32: INT32, FLOAT64: INT64, INT32: FLOAT32, INT64: FLOAT64}


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One lane's value; a Python number beside it takes its dtype.

    >>> from codegen.ir import Name
    >>> x = Lane(Name("x", FLOAT32), FLOAT32)
    >>> (x * x + 1).value.name, (x < 0).dtype, x.bits.dtype
    ('add', <DType.BOOL: 'bool'>, <DType.INT32: 'int32'>)
    """

    value: Value
    dtype: DType

    def like(self, number: Lane | float) -> Lane:
        """Give a number as a constant of this lane's dtype; a lane unchanged."""
        if isinstance(number, Lane):
            return number
        return Lane(Const(float(number) if self.dtype.is_float else int(number), self.dtype), self.dtype)

    def __add__(self, other: Lane | float) -> Lane:
        return apply("add", self, other)

    def __radd__(self, other: float) -> Lane:
        return apply("add", self.like(other), self)

    def __sub__(self, other: Lane | float) -> Lane:
        return apply("sub", self, other)

    def __rsub__(self, other: float) -> Lane:
        return apply("sub", self.like(other), self)

    def __mul__(self, other: Lane | float) -> Lane:
        return apply("mul", self, other)

    def __rmul__(self, other: float) -> Lane:
        return apply("mul", self.like(other), self)

    def __truediv__(self, other: Lane | float) -> Lane:
        return apply("div", self, other)

    def __rtruediv__(self, other: float) -> Lane:
        return apply("div", self.like(other), self)

    def __neg__(self) -> Lane:
        return apply("neg", self)

    def __abs__(self) -> Lane:
        return apply("abs", self)

    def __and__(self, other: Lane | int) -> Lane:
        return apply("and", self, other)

    def __or__(self, other: Lane | int) -> Lane:
        return apply("or", self, other)

    def __xor__(self, other: Lane | int) -> Lane:
        return apply("xor", self, other)

    def __invert__(self) -> Lane:
        return apply("not", self)

    def __lshift__(self, other: Lane | int) -> Lane:
        return apply("shl", self, other)

    def __rshift__(self, other: Lane | int) -> Lane:
        """Shift right, copying the sign."""
        return apply("ashr", self, other)

    def lshr(self, other: Lane | int) -> Lane:
        """Shift right, filling with zeros."""
        return apply("lshr", self, other)

    def __lt__(self, other: Lane | float) -> Lane:
        return apply("lt", self, other)

    def __le__(self, other: Lane | float) -> Lane:
        return apply("le", self, other)

    def __gt__(self, other: Lane | float) -> Lane:
        return apply("gt", self, other)

    def __ge__(self, other: Lane | float) -> Lane:
        return apply("ge", self, other)

    def equals(self, other: Lane | float) -> Lane:
        """Compare: true where equal (0.0 and -0.0 are)."""
        return apply("eq", self, other)

    def differs(self, other: Lane | float) -> Lane:
        """Compare: true where not equal, NaN included."""
        return apply("ne", self, other)

    @property
    def bits(self) -> Lane:
        """Reinterpret as the integer (or float) of the same width."""
        return Lane(Op("bitcast", (self.value,), BITS[self.dtype]), BITS[self.dtype])

    def cast(self, dtype: DType) -> Lane:
        """Convert to another dtype; a lane of that dtype stays as it is."""
        return self if dtype == self.dtype else Lane(Op("cast", (self.value,), dtype), dtype)


COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))


def apply(name: str, first: Lane, *others: Lane | float) -> Lane:
    """Build the operation `name`; numbers take the first operand's dtype."""
    args = (first.value, *(first.like(o).value for o in others))
    dtype = BOOL if name in COMPARISONS else first.dtype
    return Lane(Op(name, args, dtype), dtype)


def fma(a: Lane, b: Lane | float, c: Lane | float) -> Lane:
    """Give a * b + c, rounded once where the machine can."""
    return apply("fma", a, b, c)


def where(cond: Lane, yes: Lane | float, no: Lane | float) -> Lane:
    """Choose by lane; one of the two must be a lane."""
    typed = yes if isinstance(yes, Lane) else no
    assert isinstance(typed, Lane), "where() of two numbers has no dtype"
    args = (cond.value, typed.like(yes).value, typed.like(no).value)
    return Lane(Op("select", args, typed.dtype), typed.dtype)


def rarely(cond: Lane, yes: Lane, no: Lane) -> Lane:
    """Choose by lane as `where` does; `yes` costs little where no lane wants it, more than a choice where one does."""
    return Lane(Op("rarely", (cond.value, yes.value, no.value), yes.dtype), yes.dtype)


def residue(a: Lane, b: Lane | float, c: Lane | float) -> Lane:
    """Give a * b + c for c near -a * b, exactly without fma too."""
    return apply("residue", a, b, c)


def exact_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """Give a + b and what its rounding loses (Knuth)."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def copysign(magnitude: Lane, sign: Lane) -> Lane:
    """Give the magnitude of one and the sign of the other."""
    return apply("copysign", magnitude, sign)


def sqrt(x: Lane) -> Lane:
    """Give the correctly rounded square root."""
    return apply("sqrt", x)


def rint(x: Lane) -> Lane:
    """Round to the nearest integer, ties to even."""
    return apply("rint", x)


def floor(x: Lane) -> Lane:
    """Give the greatest integer not above."""
    return apply("floor", x)


def truncate(x: Lane, count: int) -> Lane:
    """Clear so many of the last bits of a float."""
    return (x.bits & -(1 << count)).bits


def clamp(x: Lane, low: float, high: float) -> Lane:
    """Limit to [low, high]; NaN stays NaN (each side is one minimum or maximum instruction)."""
    x = where(x < low, low, x)
    return where(x > high, high, x)


def horner(x: Lane, coefficients: tuple[float, ...]) -> Lane:
    """Evaluate a polynomial, lowest power first, by a chain of fma."""
    *rest, top = coefficients
    result = x.like(top)
    for c in reversed(rest):
        result = fma(result, x, c)
    return result
