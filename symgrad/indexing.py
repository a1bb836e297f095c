"""Sizes whose names have known ranges: bounds, and the simplification that turns a reshape into an index map.

In: a size, and for some of its names (loop variables) a range whose ends may be symbolic, as in 0 <= i < N.
Out: bounds that hold, and a size that is equal for every value in range. It must not know loops, tensors or buffers.

Flattening then unflattening cancels by four rules, applied from the inside out until nothing changes:

    x // d = 0,  x % d = x                       where 0 <= x < d is proved
    x // d = (y // (d/g)),  x % d = g*(y % (d/g)) + s        where x = g*y + s and 0 <= s < g is proved
    d*(y // d) + y % d = y
    what `//` and `%` simplify to without ranges
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from typing import Any

from symgrad import polynomial
from symgrad.atoms import FloorDiv, Mod, Name, interval, names, substitute
from symgrad.dimension import Size, from_atom, from_terms, terms_of
from symgrad.division import exact_div, never_negative, split
from symgrad.interval import SIZE, Interval
from symgrad.polynomial import Monomial

_ROUNDS = 8  # every round shortens the expression; nested reshapes need two or three


def bounds(size: Size, ranges: Mapping[str, tuple[Size, Size]] | None = None) -> Interval:
    """Return (lowest, highest), both inclusive, None where not known; `ranges` gives inclusive ends for names.

    A name without a range is any size >= 0.

    >>> from symgrad.shape import dim
    >>> N, i = dim("N"), dim("i")
    >>> bounds(N + 1), bounds(i - N, {"i": (0, N - 1)}), bounds(i % 4 + 1)
    ((1, None), (None, -1), (1, 4))
    """
    if isinstance(size, int):
        return size, size
    scope = _Scope(dict(ranges or {}))
    negated = scope.lowest(-size)
    return scope.lowest(size), None if negated is None else -negated


def simplify_with(size: Size, extents: Mapping[str, Size]) -> Size:
    """Return a size that is equal wherever 0 <= v < extents[v] for every name v in `extents`, which may be symbolic.

    >>> from symgrad.shape import dim
    >>> M, i, j = dim("M"), dim("i"), dim("j")
    >>> simplify_with((784*i + j) // 28 % 28, {"j": 784}), simplify_with((M*i + j) // M, {"j": M})
    (j//28, i)
    """
    inside = {name: extent for name, extent in extents.items() if name in names(size)}
    size = substitute(size, {name: 0 for name, extent in inside.items() if extent == 1})
    if not _has_quotient(size):
        return size
    return _simplified(size, tuple(inside.items()))


@lru_cache(maxsize=4096)
def _simplified(size: Size, extents: tuple[tuple[str, Size], ...]) -> Size:
    """Simplify within extents; the same index is asked for by every pass that meets its buffer."""
    inside = dict(extents)
    positive = _divisor_names(size).union(*(_factors(extent) for extent in inside.values()))
    scope = _Scope({name: (0, extent - 1) for name, extent in inside.items()}, positive - inside.keys())
    for _ in range(_ROUNDS):
        before, size = size, _joined(scope.simplified(size))
        if size == before:
            break
    return size


@dataclass(slots=True)
class _Scope:
    """The ranges in force: `ends` by name, inclusive; `positive` names are >= 1, as loop sizes and divisors are."""

    ends: dict[str, tuple[Size, Size]]
    positive: frozenset[str] = frozenset()
    ranges: dict[str, Interval] = field(default_factory=dict)
    proved: dict[Size, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.ends:
            self.ranges[name] = self._resolved(name, frozenset())

    def _resolved(self, name: str, seen: frozenset[str]) -> Interval:
        """Return the int range of a name; one whose ends depend on itself is unknown at that end."""
        if name not in self.ends:
            return SIZE
        if name in seen:
            return None, None
        low, high = self.ends[name]
        inner = {other: self._resolved(other, seen | {name}) for other in names(low) | names(high)}
        return interval(low, inner)[0], interval(high, inner)[1]

    def lowest(self, size: Size) -> int | None:
        """Return a lower bound of a size, None if none is known."""
        candidates = [interval(size, self.ranges)[0]]
        reduced = self.at_lowest(size)
        if reduced is not None:
            for form in (reduced, _unrounded(reduced)) if _has_quotient(reduced) else (reduced,):
                candidates.append(interval(self._without_positive(form), self.ranges)[0])
        return max((low for low in candidates if low is not None), default=None)

    def proves(self, size: Size) -> bool:
        """Tell whether size >= 0 for all values in range."""
        if isinstance(size, int):
            return size >= 0
        known = self.proved.get(size)
        if known is None:
            low = interval(size, self.ranges)[0]  # the cheap answer first
            if low is None or low < 0:
                low = self.lowest(size)
            known = self.proved[size] = low is not None and low >= 0
        return known

    def at_lowest(self, size: Size) -> Size | None:
        """Return a size free of ranged names that is <= the given one, or None; each name goes to one of its ends."""
        variables = list(self._variables(size))
        for variable in variables:
            parts = _affine_in(size, variable)
            if parts is None:
                return None
            factor, rest = parts
            if factor == 0:
                continue
            end = self._end(variable, factor)
            if end is None:
                return None
            size = rest + factor * end
        return None if any(name in self.ends for name in names(size)) else size

    def _variables(self, size: Size) -> Iterator[Any]:
        """Give the atoms to be replaced by their ends: quotients first, then names, those declared last first."""
        atoms = {atom: None for monomial in terms_of(size) for atom, _ in monomial}
        compound = [atom for atom in atoms if atom.is_compound and not self.ends.keys().isdisjoint(atom.contained())]
        yield from sorted(compound, key=lambda atom: atom.key, reverse=True)
        yield from (Name(name) for name in reversed(self.ends) if name in names(size))

    def _end(self, variable: Any, factor: Size) -> Size | None:
        """Return the end of the variable's range at which factor * variable is lowest."""
        upwards = self.proves(factor)
        if not upwards and not self.proves(-factor):
            return None
        if isinstance(variable, Name):
            return self.ends[variable][0 if upwards else 1]
        divisor = variable.denominator
        if not never_negative(divisor) or not self.ends.keys().isdisjoint(names(divisor)):
            return None
        if isinstance(variable, Mod):
            return 0 if upwards else divisor - 1
        if upwards:
            low = self.at_lowest(variable.numerator)
            return None if low is None else low // divisor
        high = self.at_lowest(-variable.numerator)
        return None if high is None else -high // divisor

    def _without_positive(self, size: Size) -> Size:
        """Write p + 1 for every name p >= 1 outside quotients, so that a polynomial >= 0 shows no minus.

        The new p >= 0 and the old one inside quotients are then bounded separately, which is sound.
        """
        total: Size = 0
        for monomial, coefficient in terms_of(size).items():
            product: Size = coefficient
            for atom, power in monomial:
                shift = 1 if isinstance(atom, Name) and atom in self.positive else 0
                product = product * (from_atom(atom) + shift) ** power
            total = total + product
        return total

    def simplified(self, size: Size) -> Size:
        """Return an equal size, every quotient and remainder inside simplified from the inside out."""
        if not _has_quotient(size):
            return size
        total: Size = 0
        for monomial, coefficient in terms_of(size).items():
            product: Size = coefficient
            for atom, power in monomial:
                product = product * self._simplified_atom(atom) ** power
            total = total + product
        return total

    def _simplified_atom(self, atom: Any) -> Size:
        if not atom.is_compound:
            return from_atom(atom)
        x, d = self.simplified(atom.numerator), self.simplified(atom.denominator)
        return self.divided(x, d)[0 if isinstance(atom, FloorDiv) else 1]

    def divided(self, x: Size, d: Size) -> tuple[Size, Size]:
        """Return (x // d, x % d), simplified by what the ranges prove."""
        known = self._known_quotient(x, d)
        if known is not None:
            return known, x - known * d
        quotient, rest = split(x, d)
        known = self._known_quotient(rest, d)
        if known is not None:
            return quotient + known, rest - known * d
        for factor in _common_factors(rest, d):
            outer, inner = split(rest, factor)
            known = self._known_quotient(inner, factor)
            if outer != 0 and known is not None:
                divisor = exact_div(d, factor)
                assert divisor is not None
                high, low = self.divided(outer + known, divisor)
                return quotient + high, factor * low + inner - known * factor
        return quotient + rest // d, rest % d

    def _known_quotient(self, x: Size, d: Size) -> int | None:
        """Return x // d where the ranges leave one value only."""
        low, high = interval(x, self.ranges)
        if isinstance(d, int) and low is not None and high is not None:
            return low // d if low // d == high // d else None
        if self.proves(x) and self.proves(d - 1 - x):
            return 0
        if self.proves(-1 - x) and self.proves(x + d):
            return -1
        return None


def _joined(size: Size) -> Size:
    """Put d*(y // d) + y % d together to y, wherever that leaves fewer quotients."""
    while True:
        weight = _weight(size)
        if weight < 2:
            return size
        remainders = sorted(
            {atom for monomial in terms_of(size) for atom, _ in monomial if isinstance(atom, Mod)},
            key=lambda atom: atom.key,
        )
        candidates = (_without(size, atom) for atom in remainders)
        shorter = next((other for other in candidates if _weight(other) < weight), None)
        if shorter is None:
            return size
        size = shorter


def _without(size: Size, atom: Mod) -> Size:
    """Write y - d*(y // d) for y % d where it stands to the first power."""
    parts = _affine_in(size, atom)
    if parts is None:
        return size
    factor, rest = parts
    x, d = atom.numerator, atom.denominator
    written: Size = x - d * (x // d)
    return rest + factor * written


def _unrounded(size: Size) -> Size:
    """Write y - y % d for d*(y // d), to be bounded: `N - 2*(N//2)` is `N % 2`, which is 0 or 1."""
    total = size
    for monomial, coefficient in terms_of(size).items():
        for atom, power in monomial:
            others = polynomial.divide_monomials(monomial, ((atom, 1),))
            if power != 1 or others is None or not isinstance(atom, FloorDiv):
                continue
            ratio = exact_div(from_terms({others: coefficient}), atom.denominator)
            if ratio is not None:
                x, d = atom.numerator, atom.denominator
                total = total + ratio * (x - x % d - d * from_atom(atom))
                break
    return total


def _affine_in(size: Size, atom: Any) -> tuple[Size, Size] | None:
    """Return (factor, rest) with size = factor*atom + rest, the atom in neither at this level; None for a power."""
    factor: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, coefficient in terms_of(size).items():
        ratio = polynomial.divide_monomials(monomial, ((atom, 1),))
        if ratio is None:
            rest[monomial] = coefficient
        elif any(other == atom for other, _ in ratio):
            return None
        else:
            factor[ratio] = coefficient
    return from_terms(factor), from_terms(rest)


def _common_factors(x: Size, d: Size) -> list[Size]:
    """Return the common factors of d with single terms of x, greatest first, 1 and d left out; d must be one term."""
    if len(terms_of(d)) != 1:
        return []
    ((whole, number),) = terms_of(d).items()
    found = {
        (gcd(number, coefficient), polynomial.common_monomial(monomial, whole))
        for monomial, coefficient in terms_of(x).items()
    } - {(1, ()), (number, whole)}
    ordered = sorted(found, key=lambda factor: (polynomial.monomial_key(factor[1]), -factor[0]))
    return [from_terms({monomial: factor}) for factor, monomial in ordered]


def _has_quotient(size: Size) -> bool:
    return bool(_compound_atoms(size))


def _weight(size: Size) -> int:
    """Count the quotients and remainders in a size, nested ones included."""
    return sum(1 + _weight(atom.numerator) + _weight(atom.denominator) for atom in _compound_atoms(size))


def _compound_atoms(size: Size) -> list[Any]:
    return [atom for monomial in terms_of(size) for atom, _ in monomial if atom.is_compound]


def _factors(size: Size) -> frozenset[str]:
    """Return the names that divide a size of one term: none of them is 0 where the size is not."""
    if len(terms_of(size)) != 1:
        return frozenset()
    (monomial,) = terms_of(size)
    return frozenset(str(atom) for atom, _ in monomial if isinstance(atom, Name))


def _divisor_names(size: Size) -> frozenset[str]:
    """Return the names that divide some divisor in a size."""
    found: frozenset[str] = frozenset()
    for atom in _compound_atoms(size):
        found |= _factors(atom.denominator) | _divisor_names(atom.numerator) | _divisor_names(atom.denominator)
    return found
