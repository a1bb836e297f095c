"""Rules of sums of several terms: multiples of one term are counted wherever they stand in the sum.

In: nested sums and differences that nothing else uses, read once as a tree of signed terms. Out: the same tree with
the first of equal terms counted and the others left out, so that the order of what stays is kept. Terms that cancel
stay: that an infinity less itself is nothing is not known. Only floats are touched. Two terms alone are the business
of `scale.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from symgrad.expr import Expr
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.chains import Branch, leaves_of, read_chain, write_chain
from symgrad.rules.examples import tensor
from symgrad.rules.powers import read_monomial, write_monomial
from symgrad.rules.scale import Scaled, joined, split

__all__ = ["TERMS", "Term", "add_parts", "read_sum"]


@dataclass(frozen=True, slots=True)
class Term:
    """A term with its sign; `new` is what replaces it, None for nothing."""

    node: Expr
    sign: int
    scaled: Scaled
    new: Expr | None

    def key(self) -> tuple[object, ...]:
        """Say what the term is a multiple of."""
        s = self.scaled
        parts = (tuple(map(id, s.factors)), tuple(map(id, s.divisors)))
        return (id(s.core), *parts, s.size, s.divisor_size, self.node.shape)


Sum: TypeAlias = Branch[Term] | Term


def read_sum(node: Expr, context: Context) -> Sum:
    """Read nested sums that nothing else uses."""

    def term(part: Expr, negated: bool) -> Term:
        return Term(part, -1 if negated else 1, split(part, context), part)

    return read_chain(node, context, ("add", "subtract", "negative"), term)


def _written(tree: Sum, terms: Iterator[Term]) -> Expr | None:
    """Write a sum with other terms, given in the same order; None stands for nothing."""
    return write_chain(tree, terms, lambda term: term.new, add_parts)


def add_parts(node: Expr, parts: list[Expr | None]) -> Expr | None:
    """Apply the operator of a sum to parts of which some are left out."""
    *first, last = parts
    if last is None:
        return first[0] if first else None
    if first and first[0] is not None:
        return ROWS[node.op](first[0], last)
    return last if node.op == "add" else ROWS["negative"](last)


def _counted(same: list[Term]) -> list[Term] | None:
    """Give the first term what all are together; None where nothing would be left, or the number leaves its range."""
    first, *others = same
    number, divisor = 0.0, 1.0
    for term in same:
        own = term.sign * term.scaled.number
        if term.scaled.divisor == divisor:
            number += own
        else:
            number, divisor = number * term.scaled.divisor + own * divisor, divisor * term.scaled.divisor
    if number == 0:
        return None
    new = joined(replace(first.scaled, number=first.sign * number, divisor=divisor), first.node)
    return None if new is None else [replace(first, new=new), *(replace(t, new=None) for t in others)]


def _collected(node: Expr, context: Context) -> Expr | None:
    """Count equal terms of the sum that a node is the root of; None if there are none."""
    tree = read_sum(node, context)
    terms = list(leaves_of(tree))
    places: dict[tuple[object, ...], list[int]] = {}
    for place, term in enumerate(terms):
        if term.scaled.core is not None:
            places.setdefault(term.key(), []).append(place)
    found = False
    for same in places.values():
        counted = _counted([terms[i] for i in same]) if len(same) > 1 else None
        for place, term in zip(same, counted or (), strict=False):
            terms[place] = term
            found = True
    return _written(tree, iter(terms)) if found else None


# -- rules ---------------------------------------------------------------------------------------------------------


def _like_terms() -> list[Expr]:
    a, b, s = tensor("a", 4), tensor("b", 4), tensor("s")
    return [
        a + (a + b), (b - a) - 2 * a, a + (2 * a - b), a - (b - a / 2), (s * a - b) - (b + 3 * s * a), -(a + b) + 3 * a,
    ]  # fmt: skip


@structural(
    "like_terms", "add subtract", "a * x + y + b * x", "(a + b) * x + y", RuleClass.REAL,
    condition="a, b are numbers with a + b != 0; nothing else uses the sums inside", examples=_like_terms,
)  # fmt: skip
def like_terms(node: Expr, context: Context) -> Expr | None:
    """Count equal terms of a sum."""
    nested = any(a.op in ("add", "subtract", "negative") for a in node.args)
    return _collected(node, context) if nested and node.dtype.is_float else None


def _bracketed() -> list[Expr]:
    a, b = tensor("a", 4), tensor("b", 4)
    return [a + (a - b) / 2, b - 2 * (a + b), -0.5 * (a + b) - a]


@structural(
    "open_bracket", "add subtract", "x + c * (a * x + y)", "(1 + c * a) * x + c * y", RuleClass.REAL,
    condition="a, c are numbers; a term stands inside and outside; nothing else uses the bracket", examples=_bracketed,
)  # fmt: skip
def open_bracket(node: Expr, context: Context) -> Expr | None:
    """Multiply a bracket out where one of its terms meets another multiple of itself."""
    if not node.dtype.is_float:
        return None
    for place, bracket in enumerate(node.args):
        whole = split(bracket, context) if context.owns(bracket, bracket.op) else None
        if whole is None or whole.core is None or not _is_number_times_sum(whole, context):
            continue
        tree, other = read_sum(whole.core, context), read_sum(node.args[1 - place], context)
        if {t.key() for t in leaves_of(tree)}.isdisjoint(t.key() for t in leaves_of(other)):
            continue
        terms = [_multiplied(term, whole) for term in leaves_of(tree)]
        opened = _written(tree, iter(terms)) if all(t.new is not None for t in terms) else None
        if opened is not None:
            return _collected(ROWS[node.op](*(opened if a is bracket else a for a in node.args)), context)
    return None


def _is_number_times_sum(whole: Scaled, context: Context) -> bool:
    core = whole.core
    plain = replace(whole, number=1.0, divisor=1.0).is_trivial and (whole.number, whole.divisor) != (1, 1)
    return plain and core is not None and (context.owns(core, "add") or context.owns(core, "subtract"))


def _multiplied(term: Term, by: Scaled) -> Term:
    s = term.scaled
    return replace(term, new=joined(replace(s, number=s.number * by.number, divisor=s.divisor * by.divisor), term.node))


def _fractions() -> list[Expr]:
    a, b, c = tensor("a", 4), tensor("b", 4), tensor("c", 4)
    return [2 * (a / 2 - 1.5 * b), (2 * a + 4 * b) / 2, -2 * (c * (1.5 * a - b))]


@structural(
    "clear_fractions", "multiply divide negative", "c * (a * x + b * y) * z", "(c * a * x + c * b * y) * z",
    RuleClass.REAL, condition="a, b, c are numbers, not all whole, but c * a and c * b are; nothing else uses the sum",
    examples=_fractions,
)  # fmt: skip
def clear_fractions(node: Expr, context: Context) -> Expr | None:
    """Multiply a number into a sum where this leaves whole numbers."""
    whole = split(node, context)
    if (whole.number, whole.divisor) == (1, 1) or whole.core is None or not node.dtype.is_float:
        return None
    tree = read_monomial(whole.core, context)
    factors = list(leaves_of(tree))
    for place, factor in enumerate(factors):
        new = None if factor.below or factor.exponent != 1 else _cleared(factor.node, whole, context)
        if new is not None:
            factors[place] = replace(factor, base=new)
            return joined(replace(whole, number=1.0, divisor=1.0, core=write_monomial(tree, iter(factors))), node)
    return None


def _cleared(node: Expr, by: Scaled, context: Context) -> Expr | None:
    """Multiply a sum by a number if all numbers become whole that were not."""
    if not (context.owns(node, "add") or context.owns(node, "subtract")):
        return None
    tree = read_sum(node, context)
    terms = list(leaves_of(tree))
    before = [t.scaled.number / t.scaled.divisor for t in terms] + [by.number / by.divisor]
    after = [before[-1] * number for number in before[:-1]]
    if all(n.is_integer() for n in before) or not all(n.is_integer() for n in after):
        return None
    multiplied = [_multiplied(term, by) for term in terms]
    return _written(tree, iter(multiplied)) if all(t.new is not None for t in multiplied) else None


def _differences() -> list[Expr]:
    return [-(tensor("a", 4) - tensor("b", 4)), ROWS["negative"](1 - tensor("a", 4))]


@structural(
    "minus_difference", "negative", "-(x - y)", "y - x", RuleClass.REAL, condition="nothing else uses the difference",
    examples=_differences,
)  # fmt: skip
def minus_difference(node: Expr, context: Context) -> Expr | None:
    """Subtract the other way round."""
    (inner,) = node.args
    return ROWS["subtract"](*inner.args[::-1]) if node.dtype.is_float and context.owns(inner, "subtract") else None


TERMS: tuple[Rule, ...] = (like_terms, open_bracket, clear_fractions, minus_difference)
