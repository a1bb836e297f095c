"""Integer polynomials over opaque atoms, as plain dictionaries: the arithmetic below the dimension algebra.

In: `Terms`, a dictionary from monomial to non-zero int coefficient; a monomial is a tuple of (atom, power) pairs,
sorted by the atoms' keys, each atom once; the empty monomial is the constant. Out: new `Terms`, text.
It must not know what an atom means: an atom is hashable, has a `key` for ordering and a text.
The dictionary makes equality and hashing independent of how a polynomial was built; only printing and division sort.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any, Protocol, TypeAlias


class Atom(Protocol):
    """What a polynomial asks of the things it multiplies."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Return the total order of atoms: (kind, name, operand key, operand key)."""

    @property
    def is_compound(self) -> bool:
        """Tell whether the text needs brackets inside a product."""

    def __hash__(self) -> int: ...


Monomial: TypeAlias = tuple[tuple[Any, int], ...]
Terms: TypeAlias = dict[Monomial, int]
Key: TypeAlias = tuple[Any, ...]

CONSTANT: Monomial = ()


@lru_cache(maxsize=4096)
def monomial_key(monomial: Monomial) -> Key:
    """Order monomials as printed: higher degree first, then alphabetically (graded lexicographic order).

    The order is compatible with multiplication, so division by a leading term terminates.
    """
    degree = sum(power for _, power in monomial)
    return (-degree, tuple((atom.key, -power) for atom, power in monomial))


@lru_cache(maxsize=4096)
def multiply_monomials(a: Monomial, b: Monomial) -> Monomial:
    """Return the product a*b."""
    if not a:
        return b
    if not b:
        return a
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=_atom_order))


def divide_monomials(a: Monomial, b: Monomial) -> Monomial | None:
    """Return a/b, or None where b does not divide a."""
    if not b:
        return a
    powers = dict(a)
    for atom, power in b:
        rest = powers.get(atom, 0) - power
        if rest < 0:
            return None
        powers[atom] = rest
    return tuple(pair for pair in powers.items() if pair[1])


def common_monomial(a: Monomial, b: Monomial) -> Monomial:
    """Return the greatest monomial that divides both."""
    others = dict(b)
    return tuple((atom, min(power, others[atom])) for atom, power in a if atom in others)


def sorted_terms(terms: Terms) -> tuple[tuple[int, Monomial], ...]:
    """Return the (coefficient, monomial) pairs in printing order."""
    return tuple((terms[monomial], monomial) for monomial in sorted(terms, key=monomial_key))


def leading(terms: Terms) -> Monomial:
    """Return the monomial that is printed first."""
    return min(terms, key=monomial_key)


def add(a: Terms, b: Terms) -> Terms:
    """Return a + b."""
    out = a.copy()
    for monomial, coefficient in b.items():
        total = out.get(monomial, 0) + coefficient
        if total:
            out[monomial] = total
        else:
            del out[monomial]
    return out


def scale(a: Terms, factor: int) -> Terms:
    """Return factor*a."""
    return {monomial: coefficient * factor for monomial, coefficient in a.items()} if factor else {}


def multiply(a: Terms, b: Terms) -> Terms:
    """Return a*b."""
    out: Terms = {}
    for left, left_coefficient in a.items():
        for right, right_coefficient in b.items():
            monomial = multiply_monomials(left, right)
            out[monomial] = out.get(monomial, 0) + left_coefficient * right_coefficient
    return {monomial: coefficient for monomial, coefficient in out.items() if coefficient}


def truncated(a: int, b: int) -> int:
    """Return a/b rounded towards zero: the remainder keeps the sign of `a`, so `N - k` stays `N - k`."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def divide(a: Terms, b: Terms) -> tuple[Terms, Terms]:
    """Return (q, r) with a = b*q + r, by long division on the leading term of b; r is empty where b divides a."""
    head = leading(b)
    head_coefficient = b[head]
    tail = [(monomial, coefficient) for monomial, coefficient in b.items() if monomial != head]
    pending, quotient, remainder = dict(a), {}, {}
    while pending:
        monomial = leading(pending)
        coefficient = pending.pop(monomial)
        ratio = divide_monomials(monomial, head)
        times = truncated(coefficient, head_coefficient) if ratio is not None else 0
        if ratio is not None and times:
            quotient[ratio] = times
            for other, factor in tail:
                product = multiply_monomials(ratio, other)
                total = pending.get(product, 0) - times * factor
                pending[product] = total
                if not total:
                    del pending[product]
            coefficient -= times * head_coefficient
        if coefficient:
            remainder[monomial] = coefficient
    return quotient, remainder


def content(*polynomials: Terms) -> tuple[int, Monomial]:
    """Return the greatest (positive int, monomial) that divides every term of all the polynomials."""
    number, shared = 0, None
    for terms in polynomials:
        for monomial, coefficient in terms.items():
            number = gcd(number, coefficient)
            shared = monomial if shared is None else common_monomial(shared, monomial)
    return number, shared or CONSTANT


def divide_content(terms: Terms, number: int, monomial: Monomial) -> Terms:
    """Return terms/(number*monomial), which must divide every term."""
    out: Terms = {}
    for term, coefficient in terms.items():
        ratio = divide_monomials(term, monomial)
        assert ratio is not None and coefficient % number == 0
        out[ratio] = coefficient // number
    return out


def text(terms: Terms) -> str:
    """Return the polynomial as a Python expression, a positive term first where there is one."""
    ordered = list(sorted_terms(terms))
    first = next((index for index, (coefficient, _) in enumerate(ordered) if coefficient > 0), 0)
    ordered.insert(0, ordered.pop(first))
    coefficient, monomial = ordered[0]
    words = [("-" if coefficient < 0 else "") + _term_text(abs(coefficient), monomial, bare=coefficient > 0)]
    for coefficient, monomial in ordered[1:]:
        words.append("-" if coefficient < 0 else "+")
        words.append(_term_text(abs(coefficient), monomial, bare=True))
    return " ".join(words)


def _term_text(coefficient: int, monomial: Monomial, *, bare: bool) -> str:
    """Return one term without its sign; `bare` says that a lone quotient needs no brackets where it stands."""
    if not monomial:
        return str(coefficient)
    if bare and coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
        return str(monomial[0][0])
    factors = [] if coefficient == 1 else [str(coefficient)]
    for atom, power in monomial:
        base = f"({atom})" if atom.is_compound else str(atom)
        factors.append(base if power == 1 else f"{base}**{power}")
    return "*".join(factors)


def _atom_order(pair: tuple[Any, int]) -> Key:
    key: Key = pair[0].key
    return key
