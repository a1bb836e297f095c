"""Rules of quotients of many elements: what is divided by the same is divided once.

In: sums whose terms have one divisor, and products that hold a quotient which the formula computes anyway. Out: one
division of the sum; the quotient itself. Layer normalisation's gradient becomes what textbooks write,
`(u - mean(u) - n * mean(n * u)) / s` with `n = (x - mean(x)) / s`. It must not know scalar divisors: `scale.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from symgrad import side
from symgrad.expr import Expr
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.chains import Branch, leaves_of, write_chain
from symgrad.rules.examples import tensor
from symgrad.rules.powers import Factor, Monomial, read_monomial, write_monomial
from symgrad.rules.scale import joined, split
from symgrad.rules.terms import Term, add_parts, read_sum

__all__ = ["QUOTIENTS"]

REAL = RuleClass.REAL
_AVERAGES = ("mean", "sum")


# -- one divisor of all terms --------------------------------------------------------------------------------------


def _sums() -> list[Expr]:
    a, b, s = tensor("a", 3, 4), tensor("b", 3, 4), tensor("s", 3, 1)
    shared = a / s
    return [
        a / s + b / s, a / s - 2 * b / s, shared - ROWS["mean"](shared, axes=(1,), keepdims=True),
        a * b / s - b / s / s, (a / s - b / s) + a * b / s, -(a / s) - b / s,
        a / ROWS["sqrt"](s) - ROWS["sum"](b / ROWS["sqrt"](s), axes=(1,), keepdims=True),
    ]  # fmt: skip


@structural(
    "common_divisor", "add subtract", "x / s + mean(y / s, axis=i, keepdims=True)",
    "(x + mean(y, axis=i, keepdims=True)) / s", REAL,
    condition="s has axes, and size 1 along i; also sums, and products with such quotients, in any number of terms",
    examples=_sums,
)  # fmt: skip
def common_divisor(node: Expr, context: Context) -> Expr | None:
    """Divide a sum once."""
    if not node.dtype.is_float or not node.ndim or not any(_may_divide(a, context) for a in node.args):
        return None
    tree = read_sum(node, context)
    terms = list(leaves_of(tree))
    for divisor in _divisors(terms[0], context):
        undivided = [new for term in terms if (new := _undivided_term(term, divisor, context)) is not None]
        if len(undivided) == len(terms):
            total = write_chain(tree, iter(undivided), lambda term: term.new, add_parts)
            return None if total is None else ROWS["divide"](total, divisor)
    return None


def _may_divide(node: Expr, context: Context) -> bool:
    """Tell whether a term may have a divisor, at a glance."""
    core = split(node, context).core
    return core is not None and core.op in ("divide", "multiply", "add", "subtract", *_AVERAGES)


def _divisors(term: Term, context: Context) -> Iterator[Expr]:
    """List what a term is divided by, of the divisors with axes."""
    core = term.scaled.core
    if core is None or side.name_of(core) is not None:
        return
    if core.op in ("divide", "multiply"):
        below = [f for f in leaves_of(read_monomial(core, context)) if f.below and f.node.ndim]
        yield from {id(x): x for f in below for x in (f.node, f.base) if x is f.node or f.exponent > 1}.values()


def _without(factor: Factor, divisor: Expr) -> Factor | None:
    """Give what is left of a factor that divides if the divisor is taken away once; None if it is no part of it."""
    if not factor.below or not divisor.ndim:
        return None
    if factor.node is divisor:
        return replace(factor, exponent=0)
    return replace(factor, exponent=factor.exponent - 1) if factor.base is divisor and factor.exponent > 1 else None


def _undivided_term(term: Term, divisor: Expr, context: Context) -> Term | None:
    core = term.scaled.core
    new = None if core is None else _undivided(core, divisor, context)
    if new is None:
        return None
    written = joined(replace(term.scaled, core=new), term.node)
    return None if written is None else replace(term, new=written)


def _undivided(node: Expr, divisor: Expr, context: Context) -> Expr | None:
    """Give the x of x / divisor; a quotient that others use has its x already, a product would be computed again."""
    if side.name_of(node) is not None:
        return None
    if node.op == "divide" and node.args[1] is divisor:
        return node.args[0] if node.args[0].shape == node.shape else None
    if node.op in _AVERAGES and context.owns(node, node.op):
        inner = _undivided(node.args[0], divisor, context) if _is_constant(divisor, node) else None
        return None if inner is None else ROWS[node.op](inner, **node.attrs)
    if not context.owns(node, "multiply") and not context.owns(node, "divide"):
        return None
    tree = read_monomial(node, context)
    factors = list(leaves_of(tree))
    for place, factor in enumerate(factors):
        rest = _without(factor, divisor)
        if rest is not None:
            factors[place] = rest
            new = write_monomial(tree, iter(factors))
            return new if new is not None and new.shape == node.shape else None
    return None


def _is_constant(divisor: Expr, total: Expr) -> bool:
    """Tell whether a divisor is the same for all that a sum or mean takes together, and divides the result as it is."""
    absent = total.args[0].ndim - divisor.ndim
    if absent < 0:
        return False
    kept = total.attrs["keepdims"]
    return all(axis < absent or (kept and divisor.shape[axis - absent] == 1) for axis in total.attrs["axes"])


# -- a quotient that is there ----------------------------------------------------------------------------------------


def _known() -> list[Expr]:
    a, s = tensor("a", 3, 4), tensor("s", 3, 1)
    n = a / s
    b = ROWS["mean"](n * ROWS["exp"](n), axes=(1,), keepdims=True)
    return [a * b / s, b * a / s / s, b / s * a]


@structural(
    "known_quotient", "multiply divide", "x * y / s", "(x / s) * y", REAL,
    condition="s has axes; x / s has other users or a name", examples=_known,
)  # fmt: skip
def known_quotient(node: Expr, context: Context) -> Expr | None:
    """Use a quotient that is computed anyway."""
    if not context.quotients or not node.dtype.is_float:
        return None
    tree = read_monomial(node, context)
    factors = list(leaves_of(tree))
    above = [i for i, f in enumerate(factors) if not f.below]
    below = [(j, x) for j, f in enumerate(factors) if f.below for x in {id(x): x for x in (f.node, f.base)}.values()]
    inside = {id(branch.node) for branch in _branches(tree)} if above and below else set()
    for i, (j, divisor) in itertools.product(above, below):
        known = context.quotients.get((id(factors[i].node), id(divisor)))
        rest = _without(factors[j], divisor)
        if known is not None and rest is not None and id(known) not in inside:
            factors[i] = replace(factors[i], base=known, exponent=1)
            factors[j] = rest
            return write_monomial(tree, iter(factors))
    return None


def _branches(tree: Monomial) -> Iterator[Branch[Factor]]:
    """List the products and quotients that a chain consists of."""
    if isinstance(tree, Branch):
        yield tree
        for part in tree.parts:
            yield from _branches(part)


QUOTIENTS: tuple[Rule, ...] = (common_divisor, known_quotient)
