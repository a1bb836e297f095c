"""What `//` and `%` of symbolic sizes simplify to: the rules behind a Dim's operators.

In: two sizes, the divisor not zero. Out: the floor quotient or the remainder (with the divisor's sign, as Python's),
equal to the written one for every value of the names for which the divisor is not zero.
It must not know the ranges of index variables: those rules are in `indexing.py`, which comes here for the rest.

    x // d   = q + r // d   where x = d*q + r             (4*N + 5)//4 = N + 1
    x % d    = r % d                                      (4*N + i) % 4 = i % 4
    (g*x)//(g*d) = x // d,  (g*x) % (g*d) = g*(x % d)     (2*N)//4 = N//2
    (x // a) // d = x // (a*d)      for d > 0
    (x % a) // d = (x // d) % (a/d),  (x % a) % d = x % d      where d divides a
"""

from __future__ import annotations

from math import gcd

from symgrad import polynomial
from symgrad.atoms import FloorDiv, Mod, interval
from symgrad.dimension import Size, from_atom, from_terms, set_division_rules, terms_of
from symgrad.polynomial import CONSTANT


def floor_divide(x: Size, d: Size) -> Size:
    """Return x // d, rounded towards minus infinity."""
    _refuse_zero(x, d)
    if isinstance(x, int) and isinstance(d, int):
        return x // d
    if _leads_negative(d):
        x, d = -x, -d
    if d == 1:
        return x
    quotient, rest = split(x, d)
    return quotient + _floor_of_rest(rest, d)


def remainder(x: Size, d: Size) -> Size:
    """Return x % d, which has the sign of d."""
    _refuse_zero(x, d)
    if isinstance(x, int) and isinstance(d, int):
        return x % d
    if _leads_negative(d):
        return -remainder(-x, -d)
    if d == 1:
        return 0
    _, rest = split(x, d)
    constant = constant_quotient(rest, d)
    if constant is not None:
        return rest - constant * d
    small, small_d, factor, offset = cancel(rest, d)
    if factor != 1:
        return factor * remainder(small, small_d) + offset
    unwrapped = _without_remainders(rest, d)
    return from_atom(Mod(rest, d)) if unwrapped == rest else remainder(unwrapped, d)


def exact_div(a: Size, b: Size) -> Size | None:
    """Return a / b where b divides a as a polynomial, else None (also for b == 0).

    >>> from symgrad.shape import dim
    >>> exact_div(6 * dim("N") * dim("M"), 2 * dim("N")), exact_div(dim("N"), 2)
    (3*M, None)
    """
    if isinstance(b, int):
        if b == 0:
            return None
        terms = terms_of(a)
        if any(coefficient % b for coefficient in terms.values()):
            return None
        return from_terms({monomial: coefficient // b for monomial, coefficient in terms.items()})
    quotient, rest = polynomial.divide(terms_of(a), terms_of(b))
    return None if rest else from_terms(quotient)


def split(x: Size, d: Size) -> tuple[Size, Size]:
    """Return (q, r) with x = d*q + r and r simpler than x, or (0, x).

    By an int, coefficients are rounded towards zero, so that `(N - k)//2` stays as written, but the constant is rounded
    down, so that `(N - 3)//2 + 1` and `(N - 1)//2` are one size. By a sum, only a shorter rest counts as simpler.
    """
    terms = terms_of(x)
    if isinstance(d, int):
        quotient = {monomial: polynomial.truncated(coefficient, d) for monomial, coefficient in terms.items()}
        if CONSTANT in terms:
            quotient[CONSTANT] = terms[CONSTANT] // d
        q = from_terms({monomial: coefficient for monomial, coefficient in quotient.items() if coefficient})
        return q, x - d * q
    quotient, rest = polynomial.divide(terms, terms_of(d))
    if len(terms_of(d)) > 1 and len(rest) >= len(terms):
        return 0, x
    return from_terms(quotient), from_terms(rest)


def constant_quotient(x: Size, d: Size) -> int | None:
    """Return x // d where the default ranges of the names leave one value only."""
    low, high = interval(x)
    if isinstance(d, int):
        return low // d if low is not None and high is not None and low // d == high // d else None
    if not never_negative(d):
        return None
    smallest = max(1, interval(d)[0] or 0)  # a divisor is not zero
    if low is not None and low >= 0 and ((high is not None and high < smallest) or never_negative(d - 1 - x)):
        return 0
    if high is not None and high < 0 and ((low is not None and low >= -smallest) or never_negative(d + x)):
        return -1
    return None


def never_negative(size: Size) -> bool:
    """Tell whether a size is >= 0 for all values of its names."""
    low = interval(size)[0]
    return low is not None and low >= 0


def cancel(x: Size, d: Size) -> tuple[Size, Size, Size, int]:
    """Return (x', d', g, c) with x = g*x' + c, d = g*d', 0 <= c < g, for the greatest common factor g."""
    terms = terms_of(x)
    if isinstance(d, int):
        factor = gcd(d, *(coefficient for monomial, coefficient in terms.items() if monomial))
        offset = terms.get(CONSTANT, 0) % factor
        small = {monomial: coefficient // factor for monomial, coefficient in terms_of(x - offset).items()}
        return from_terms(small), d // factor, factor, offset
    number, monomial = polynomial.content(terms, terms_of(d))
    small_x = from_terms(polynomial.divide_content(terms, number, monomial))
    small_d = from_terms(polynomial.divide_content(terms_of(d), number, monomial))
    return small_x, small_d, from_terms({monomial: number}), 0


def _floor_of_rest(rest: Size, d: Size) -> Size:
    """Return rest // d for a rest of `split`."""
    constant = constant_quotient(rest, d)
    if constant is not None:
        return constant
    small, small_d, factor, _ = cancel(rest, d)
    if factor != 1:
        return floor_divide(small, small_d)
    nested = _floor_of_quotient(rest, d)
    return from_atom(FloorDiv(rest, d)) if nested is None else nested


def _floor_of_quotient(rest: Size, d: Size) -> Size | None:
    """Return rest // d for a rest that is one quotient or remainder, perhaps plus a constant; else None."""
    terms = terms_of(rest)
    offset = terms.get(CONSTANT, 0)
    others = [(monomial, coefficient) for monomial, coefficient in terms.items() if monomial]
    if len(others) != 1 or others[0][1] != 1 or len(others[0][0]) != 1 or not never_negative(d):
        return None
    ((atom, power),) = others[0][0]
    if power == 1 and isinstance(atom, FloorDiv):
        return floor_divide(atom.numerator + offset * atom.denominator, atom.denominator * d)
    if power == 1 and isinstance(atom, Mod) and offset == 0 and never_negative(atom.denominator):
        ratio = exact_div(atom.denominator, d)
        if ratio is not None and never_negative(ratio):
            return remainder(floor_divide(atom.numerator, d), ratio)
    return None


def _without_remainders(x: Size, d: Size) -> Size:
    """Replace y % a by y in x where d divides a: they leave the same remainder by d."""
    total: Size = x
    for monomial, coefficient in terms_of(x).items():
        for atom, power in monomial:
            if power == 1 and isinstance(atom, Mod) and exact_div(atom.denominator, d) is not None:
                others = polynomial.divide_monomials(monomial, ((atom, 1),))
                assert others is not None
                total = total + from_terms({others: coefficient}) * (atom.numerator - from_atom(atom))
                break
    return total


def _leads_negative(d: Size) -> bool:
    if isinstance(d, int):
        return d < 0
    terms = terms_of(d)
    return terms[polynomial.leading(terms)] < 0


def _refuse_zero(x: Size, d: Size) -> None:
    if isinstance(d, int) and d == 0:
        raise ZeroDivisionError(f"the size {x} is divided by zero")


set_division_rules(floor_divide, remainder)
