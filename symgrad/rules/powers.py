"""Rules of monomials: in a chain of products and quotients each base stands once, with one exponent.

In: chains such as `a * b / a**2 / a**2`, read once as a tree of factors, each a base with an exponent. Out: the same
tree with exponents changed and factors left out, so that the order of what stays is kept. What cancels is `refines`:
0 / 0 becomes the quotient's limit, and no exponent grows. What is merged is `real`, and not done where quotients keep
numbers in range: `x / y / y` has a value where `y**2` overflows. Only floats are touched. Numbers and sizes are the
business of `scale.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from symgrad import side
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.row import ROWS
from symgrad.pattern import op, variables
from symgrad.rewrite import Context, Rule, RuleClass, rule, structural
from symgrad.rules.algebra import FLOAT
from symgrad.rules.chains import Branch, leaves_of, read_chain, write_chain
from symgrad.rules.examples import tensor
from symgrad.rules.scale import Scaled, join, joined, split
from symgrad.shape import dim

__all__ = ["POWERS", "Factor", "Monomial", "read_monomial", "write_monomial"]

REAL, REFINES = RuleClass.REAL, RuleClass.REFINES
_ATOMS = ("constant", "dim")  # collected by scale.py
_EXPONENTS = {"square": 2.0, "sqrt": 0.5}


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Factor:
    """A base with a positive exponent at one place of a chain, above the line or `below` it."""

    node: Expr
    base: Expr
    exponent: float
    below: bool

    def written(self) -> Expr | None:
        """Write the factor; None for exponent 0, which leaves nothing to write."""
        return None if self.exponent == 0 else power_of(self.base, self.exponent)


Monomial: TypeAlias = Branch[Factor] | Factor


def base_and_exponent(node: Expr, context: Context) -> tuple[Expr, float]:
    """Read a power of a power as one; only a whole exponent may meet an inner one: sqrt(x**2) is not x.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> base, exponent = base_and_exponent(sg.square(x) ** 3, Context())
    >>> base is x, exponent
    (True, 6.0)
    """
    exponent = 1.0
    while True:
        outer = _own_exponent(node)
        if outer is None or side.name_of(node) is not None:
            return node, exponent
        if not exponent.is_integer():
            return node, exponent
        node, exponent = node.args[0], exponent * outer


def _own_exponent(node: Expr) -> float | None:
    if node.op == "power":
        value = literal(node.args[1])
        usual = value is not None and node.shape == node.args[0].shape and value > 0 and float(2 * value).is_integer()
        return float(value) if usual and value is not None else None
    return _EXPONENTS.get(node.op)


def power_of(base: Expr, exponent: float) -> Expr:
    """Raise to a positive exponent, in the canonical form.

    >>> import symgrad as sg
    >>> print(power_of(sg.symbol("x", (3,)), 0.5))
    sqrt(x)
    """
    if exponent == 1:
        return base
    if exponent in (2, 0.5):
        return ROWS["square" if exponent == 2 else "sqrt"](base)
    return ROWS["power"](base, constant_node(exponent, base.dtype))


def read_monomial(node: Expr, context: Context) -> Monomial:
    """Read a chain of products and quotients that nothing else uses; several rules ask for the same one in turn."""
    if context.latest is not None and context.latest[0] is node:
        return context.latest[1]  # type: ignore[no-any-return]

    def factor(part: Expr, below: bool) -> Factor:
        return Factor(part, *base_and_exponent(part, context), below)

    tree = read_chain(node, context, ("multiply", "divide"), factor)
    context.latest = node, tree
    return tree


def write_monomial(tree: Monomial, factors: Iterator[Factor]) -> Expr | None:
    """Write a chain with other factors, given in the same order; None stands for 1."""
    return write_chain(tree, factors, Factor.written, _product)


def _product(node: Expr, parts: list[Expr | None]) -> Expr | None:
    left, right = parts
    if right is None:
        return left
    if left is None:
        return right if node.op == "multiply" else ROWS["divide"](_one(right), right)
    return ROWS[node.op](left, right)


def _one(like: Expr) -> Expr:
    return constant_node(1, like.dtype)


Change: TypeAlias = Callable[[list[Factor], int], "list[float] | None"]


def _changed(node: Expr, context: Context, change: Change) -> Expr | None:
    """Change the exponents of each base that stands several times in a chain; None if none is changed."""
    tree = read_monomial(node, context)
    factors = list(leaves_of(tree))
    places: dict[int, list[int]] = {}
    for place, factor in enumerate(factors):
        if factor.base.op not in _ATOMS:
            places.setdefault(id(factor.base), []).append(place)
    found = False
    for same in places.values():
        exponents = change([factors[i] for i in same], len(places)) if len(same) > 1 else None
        for place, exponent in zip(same, exponents or (), strict=False):
            if exponent != factors[place].exponent:
                factors[place] = replace(factors[place], exponent=exponent)
                found = True
    if not found:
        return None
    new = write_monomial(tree, iter(factors))
    return _one(node) if new is None else new


# -- cancelling and merging ----------------------------------------------------------------------------------------


def _is_usual(exponent: float) -> bool:
    """Tell whether an exponent reads well and is computed by products and roots."""
    return exponent.is_integer() or exponent == 0.5


def _cancelled(same: list[Factor], bases: int) -> list[float] | None:
    """Take from both sides what they have in common; the side that has more keeps the rest."""
    above, below = (sum(f.exponent for f in same if f.below is side_) for side_ in (False, True))
    rest = {False: min(above, below), True: min(above, below)}
    exponents = []
    for factor in same:
        taken = min(rest[factor.below], factor.exponent)
        rest[factor.below] -= taken
        exponents.append(factor.exponent - taken)
    return exponents if above and below and all(map(_is_usual, exponents)) else None


def _merged(same: list[Factor], bases: int) -> list[float] | None:
    """Give the first factor what all have together, if they stand on one side."""
    first, *others = same
    if any(f.below is not first.below for f in others):
        return None
    if _is_mask(first.base) and not first.below:
        return [1.0] + [0.0] * len(others)
    total = sum(f.exponent for f in same)
    if not _is_usual(total) or (first.below and bases > 1 and not _is_divided_together(same)):
        return None
    return [total] + [0.0] * len(others)


def _is_divided_together(same: list[Factor]) -> bool:
    """Tell whether divisors may be multiplied: scalars, as in scale.py, and a base that is raised before it divides."""
    return same[0].base.ndim == 0 or any(f.exponent >= 2 for f in same)


def _is_mask(node: Expr) -> bool:
    return node.op == "where" and [literal(a) for a in node.args[1:]] == [1, 0]


# -- rules ---------------------------------------------------------------------------------------------------------


def _cancelling() -> list[Expr]:
    a, b = tensor("a", 4), tensor("b", 3, 4)
    e = ROWS["exp"](a)
    return [a * b / a, a**2 / a, a / a**2, e * b / e, b / b, a / ROWS["sqrt"](a), 2 * a * b / a**2 / a**2, b / (a * b)]


@structural(
    "cancel_powers", "multiply divide", "x**m * y / x**n", "x**(m - n) * y", REFINES,
    condition="m, n > 0, or y / x**(n - m) for n > m; nothing else uses the products inside", examples=_cancelling,
)  # fmt: skip
def cancel_powers(node: Expr, context: Context) -> Expr | None:
    """Cancel what stands above and below: 0 / 0 becomes the limit, and what overflowed between comes out finite."""
    return _changed(node, context, _cancelled) if node.dtype.is_float else None


def _merging() -> list[Expr]:
    a, b, s = tensor("a", 4), tensor("b", 3, 4), tensor("s")
    c = ROWS["where"](b > 0, _one(b), 0)
    return [a * b * a, a**2 * a, 1 / a / a, b / a**2 / a, b / s / s, ROWS["sqrt"](a) * b * ROWS["sqrt"](a), c * a * c]


@structural(
    "merge_powers", "multiply divide", "x**m * y * x**n", "x**(m + n) * y", REAL,
    condition="m, n > 0; also y / x**m / x**n where x is a scalar, m or n is 2 or more, or y is a number;"
    " a mask [c] * [c] is [c]",
    examples=_merging,
)  # fmt: skip
def merge_powers(node: Expr, context: Context) -> Expr | None:
    """Write the powers of one base as one power."""
    return _changed(node, context, _merged) if node.dtype.is_float else None


def _nested() -> list[Expr]:
    x = tensor("x", 4)
    return [ROWS["square"](ROWS["square"](x)), ROWS["square"](x**3), (x**3) ** 2]


@structural(
    "power_of_power", "square power", "(x**m)**n", "x**(m * n)", REAL, condition="n is whole, and m * n is",
    examples=_nested,
)  # fmt: skip
def power_of_power(node: Expr, context: Context) -> Expr | None:
    """Raise once."""
    if not node.dtype.is_float or not node.args[0].dtype.is_float:
        return None
    base, exponent = base_and_exponent(node, context)
    nested = base is not node and base is not node.args[0]
    return power_of(base, exponent) if nested and exponent.is_integer() else None


def _scaled() -> list[Expr]:
    a, b = tensor("a", 4), tensor("b", 4)
    n = dim("n")
    return [b * ROWS["square"](2 * a), b / ROWS["square"](-0.5 * a**2), (2 * a) ** 3 * b, b / ROWS["square"](a * n / 3)]


@structural(
    "power_of_scaled", "multiply divide", "y * (c * x)**n", "y * (c**n * x**n)", REAL,
    condition="c is a number or a size, n is whole; also quotients; nothing else uses c * x", examples=_scaled,
)  # fmt: skip
def power_of_scaled(node: Expr, context: Context) -> Expr | None:
    """Raise a number by itself in a product, where it meets other numbers."""
    if not node.dtype.is_float:
        return None
    new = [_number_outside(a, context) for a in node.args]
    return ROWS[node.op](*new) if any(a is not b for a, b in zip(new, node.args, strict=True)) else None


def _number_outside(node: Expr, context: Context) -> Expr:
    exponent = _own_exponent(node) if context.owns(node, node.op) else None
    if exponent is None or not exponent.is_integer() or not context.owns(node.args[0], node.args[0].op):
        return node
    x = node.args[0]
    inner = split(x, context)
    if inner.core is None or (abs(inner.number), inner.divisor, inner.size, inner.divisor_size) == (1, 1, 1, 1):
        return node
    rest = power_of(join(Scaled(1.0, inner.core, inner.factors, divisors=inner.divisors), x), exponent)
    number, divisor = (_power(n, exponent) for n in (inner.number, inner.divisor))
    size, divisor_size = (n ** int(exponent) for n in (inner.size, inner.divisor_size))
    new = joined(Scaled(number, rest, divisor=divisor, size=size, divisor_size=divisor_size), node)
    return node if new is None else new


def _power(number: float, exponent: float) -> float:
    """Raise a number; beyond the range of floats it is infinite."""
    try:
        return float(number**exponent)
    except OverflowError:
        return math.inf


def _whole_masks() -> list[Expr]:
    mask = ROWS["where"](tensor("b", 4) > 0, _one(tensor("b")), 0)
    return [ROWS["square"](mask), mask**3]


@structural(
    "power_of_mask", "square power", "[c]**n", "[c]", RuleClass.BITWISE, condition="n > 0", examples=_whole_masks
)
def power_of_mask(node: Expr, context: Context) -> Expr | None:
    """Leave a mask as it is: 0 and 1 are their own powers."""
    (x, *_) = node.args
    plain = _own_exponent(node) is not None and x.dtype is node.dtype
    return x if plain and _is_mask(x) else None


def _masked() -> list[Expr]:
    a, b, s = tensor("a", 4), tensor("b", 4), tensor("s")
    inner = ROWS["where"](b > 0, a, 0)
    return [ROWS["where"](b > 0, factor, 0) for factor in (inner / s, b * inner, a / inner)]


@structural(
    "masked_factor", "where", "where(c, y * where(c, x, z), 0)", "where(c, y * x, 0)", RuleClass.BITWISE,
    condition="also quotients; nothing else uses the products inside", examples=_masked,
)  # fmt: skip
def masked_factor(node: Expr, context: Context) -> Expr | None:
    """Ask once: where the outer condition holds the inner one does."""
    condition, x, _ = node.args
    if not node.dtype.is_float or not (context.owns(x, "multiply") or context.owns(x, "divide")):
        return None
    tree = read_monomial(x, context)
    factors = list(leaves_of(tree))
    opened = [_opened(factor, condition, context) for factor in factors]
    if all(new is old for new, old in zip(opened, factors, strict=True)):
        return None
    return ROWS["where"](condition, write_monomial(tree, iter(opened)), node.args[2])


def _opened(factor: Factor, condition: Expr, context: Context) -> Factor:
    inner = factor.node
    if inner.op != "where" or inner.args[0] is not condition or side.name_of(inner) is not None:
        return factor
    return replace(factor, base=inner.args[1], exponent=1.0)


def _active() -> list[Expr]:
    x, y = tensor("x", 4), tensor("y", 4)
    return [f * ROWS["where"](x > 0, _one(x), y) for f in (ROWS["maximum"](x, 0), ROWS["relu"](x))]


@structural(
    "active_factor", "multiply", "maximum(x, 0) * where(x > 0, c, y)", "c * maximum(x, 0)", REFINES,
    condition="c is a number other than 0; also relu(x)", examples=_active,
)  # fmt: skip
def active_factor(node: Expr, context: Context) -> Expr | None:
    """Leave out a choice that is made where the other factor is zero anyway."""
    for factor, choice in (node.args, node.args[::-1]):
        x = _rectified(factor, context)
        if x is None or choice.op != "where" or choice.shape != x.shape:
            continue
        condition, c, _ = choice.args
        positive = condition.op == "greater" and condition.args[0] is x and literal(condition.args[1]) == 0
        if positive and literal(c):
            return ROWS["multiply"](c, factor)
    return None


def _rectified(node: Expr, context: Context) -> Expr | None:
    """Give the x of relu(x) or maximum(x, 0)."""
    if node.op == "relu":
        return node.args[0]
    if node.op != "maximum":
        return None
    return next((x for x, zero in (node.args, node.args[::-1]) if literal(zero) == 0), None)


x, y = variables("x y")
POWERS: tuple[Rule, ...] = (
    cancel_powers, merge_powers, power_of_power, power_of_scaled, power_of_mask, masked_factor, active_factor,
    rule("square_of_quotient", (op("square", x) / y) / y, op("square", x / y), REFINES, FLOAT),
)  # fmt: skip
