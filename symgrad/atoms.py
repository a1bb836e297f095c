"""The atoms of the size algebra: a name, a floor quotient, a remainder; and the questions every size can be asked.

In: sizes, that is ints or the polynomials of `dimension.py`, which this file knows by their methods only (`names`,
`evaluate`, `substitute`, `sort_key`, `interval`, `//`, `%`). Out: values, ranges, order keys and texts of atoms.
It must not know how a quotient is simplified: `x // y` does that before it makes an atom.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from symgrad import interval as intervals
from symgrad import polynomial
from symgrad.errors import ShapeError
from symgrad.interval import Interval
from symgrad.polynomial import CONSTANT, Key

_NO_RANGES: Mapping[str, Interval] = {}


class Name(str):
    """An atom that stands for one size or index; it hashes and compares as the plain string."""

    __slots__ = ()
    is_compound: ClassVar[bool] = False

    @property
    def key(self) -> Key:
        """Return the place in the order of atoms."""
        return (0, str(self), (), ())

    def contained(self) -> frozenset[str]:
        """Return the names inside."""
        return frozenset((str(self),))

    def range(self, ranges: Mapping[str, Interval]) -> Interval:
        """Return the range given for this name, else that of a size."""
        return ranges.get(self, intervals.SIZE)

    def value(self, env: Mapping[str, int]) -> int:
        """Return the value bound to this name."""
        try:
            return operator.index(env[self])
        except KeyError:
            known = ", ".join(sorted(env)) or "none"
            raise ShapeError(f"dimension {self} has no value", got=f"known: {known}") from None


@dataclass(frozen=True, slots=True)
class _Quotient:
    """An atom made of two sizes. Build it with `//` or `%`, which simplify first."""

    numerator: Any  # a Size, as the denominator is
    denominator: Any
    is_compound: ClassVar[bool] = True

    def contained(self) -> frozenset[str]:
        """Return the names inside."""
        return names(self.numerator) | names(self.denominator)


@dataclass(frozen=True, slots=True)
class FloorDiv(_Quotient):
    """The atom numerator // denominator, rounded towards minus infinity."""

    @property
    def key(self) -> Key:
        """Return the place in the order of atoms."""
        return (1, "", sort_key(self.numerator), sort_key(self.denominator))

    def range(self, ranges: Mapping[str, Interval]) -> Interval:
        """Return the range of the quotient."""
        return intervals.floor_divide(interval(self.numerator, ranges), interval(self.denominator, ranges))

    def value(self, env: Mapping[str, int]) -> int:
        """Return the quotient's value."""
        return evaluate(self.numerator, env) // _nonzero(evaluate(self.denominator, env), self)

    def replaced(self, env: Mapping[str, Any]) -> Any:
        """Return the quotient with names replaced."""
        return substitute(self.numerator, env) // substitute(self.denominator, env)

    def __str__(self) -> str:
        return f"{_operand_text(self.numerator)}//{_operand_text(self.denominator)}"


@dataclass(frozen=True, slots=True)
class Mod(_Quotient):
    """The atom numerator % denominator, with the denominator's sign."""

    @property
    def key(self) -> Key:
        """Return the place in the order of atoms."""
        return (2, "", sort_key(self.numerator), sort_key(self.denominator))

    def range(self, ranges: Mapping[str, Interval]) -> Interval:
        """Return the range of the remainder."""
        return intervals.remainder(interval(self.numerator, ranges), interval(self.denominator, ranges))

    def value(self, env: Mapping[str, int]) -> int:
        """Return the remainder's value."""
        return evaluate(self.numerator, env) % _nonzero(evaluate(self.denominator, env), self)

    def replaced(self, env: Mapping[str, Any]) -> Any:
        """Return the remainder with names replaced."""
        return substitute(self.numerator, env) % substitute(self.denominator, env)

    def __str__(self) -> str:
        return f"{_operand_text(self.numerator)} % {_operand_text(self.denominator)}"


AtomOfSize: TypeAlias = Name | FloorDiv | Mod


def names(size: Any) -> frozenset[str]:
    """Return every name inside a size."""
    return frozenset() if isinstance(size, int) else size.names


def evaluate(size: Any, env: Mapping[str, int]) -> int:
    """Return the value of a size for the given names; ShapeError names one that is missing.

    >>> from symgrad.shape import dim
    >>> evaluate(dim("N") // 2 + 1, {"N": 9})
    5
    """
    return size if isinstance(size, int) else size.evaluate(env)


def substitute(size: Any, env: Mapping[str, Any]) -> Any:
    """Return a size with all given names replaced at once.

    >>> from symgrad.shape import dim
    >>> substitute(dim("N") * dim("M"), {"N": dim("M"), "M": 3})
    3*M
    """
    return size if isinstance(size, int) else size.substitute(env)


def sort_key(size: Any) -> Key:
    """Return a key of a total order of sizes that is the same in every process; constants come in order."""
    if isinstance(size, int):
        return ((polynomial.monomial_key(CONSTANT), size),)
    return tuple((polynomial.monomial_key(monomial), coefficient) for coefficient, monomial in size.terms())


def interval(size: Any, ranges: Mapping[str, Interval] = _NO_RANGES) -> Interval:
    """Return (lowest, highest) of a size for names within int ranges; a name without one is any size >= 0."""
    if isinstance(size, int):
        return size, size
    total: Interval = (0, 0)
    for coefficient, monomial in size.terms():
        term: Interval = (coefficient, coefficient)
        for atom, power in monomial:
            term = intervals.multiply(term, intervals.power(atom.range(ranges), power))
        total = intervals.add(total, term)
    return total


def _operand_text(size: Any) -> str:
    text = str(size)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _nonzero(divisor: int, atom: object) -> int:
    if divisor == 0:
        raise ZeroDivisionError(f"the divisor in {atom} is 0")
    return divisor
