"""Mathematical notation: what LaTeX, MathML and Unicode have in common.

Matrix products and scalar factors stand side by side, elementwise products have a sign of their own, divisors go below
a fraction bar where there is one, sums have their axis as a subscript, masks are Iverson's brackets. In: phrases, and a
`Markup` that says how a fraction or a power is set. Out: forms. It must not know nodes' operators, nor any markup.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from symgrad.expr import Expr
from symgrad.show.notation import ATOM, COMPARE, MATMUL, OPEN, POWER, PRODUCT, SUM, UNARY, Form, Item, Notation, Written
from symgrad.show.phrase import (
    Call,
    Convert,
    Index,
    Mask,
    MatMul,
    Named,
    Not,
    Number,
    Outer,
    Phrase,
    Power,
    Product,
    Quotient,
    Relation,
    SizeOf,
    Sum,
    Transposed,
    Words,
)
from symgrad.show.plain import data_text
from symgrad.show.python import BINDING, separated, signed
from symgrad.show.spelling import spelled

__all__ = ["Items", "Markup", "notation_of"]

Items = Sequence[Item]

# Python's names of functions that have a symbol, or another name, in mathematics.
NAMES = {
    "acos": "arccos", "acosh": "arcosh", "asin": "arcsin", "asinh": "arsinh", "atan": "arctan", "atanh": "artanh",
    "argmax": "arg max", "argmin": "arg min", "maximum": "max", "minimum": "min", "trace": "tr",
}  # fmt: skip
ENCLOSURES = {"abs": ("|", "|"), "norm": ("‖", "‖"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}
BIG = {"sum": "∑", "prod": "∏"}
SIGNS = {
    "equal": "=", "not_equal": "≠", "less": "<", "less_equal": "≤", "greater": ">", "greater_equal": "≥",
    "logical_and": "∧", "logical_or": "∨", "logical_xor": "⊕", "remainder": "mod",
}  # fmt: skip


class Markup(ABC):
    """How the pieces of mathematics are set; signs come in Unicode."""

    brackets: tuple[str, str] = ("(", ")")
    stacks: bool = True  # whether a fraction has a bar with its parts above and below
    thin: str = " "  # between factors side by side

    @abstractmethod
    def name(self, name: str) -> str:
        """Set the name of a value."""

    @abstractmethod
    def word(self, text: str) -> str:
        """Set the name of a function, upright."""

    @abstractmethod
    def number(self, text: str) -> str:
        """Set a number."""

    @abstractmethod
    def sign(self, sign: str) -> str:
        """Set an operator or a bracket."""

    @abstractmethod
    def plain(self, text: str) -> str:
        """Set text as Python has it."""

    @abstractmethod
    def size(self, text: str) -> str:
        """Set a size that is no name: 2 * N."""

    @abstractmethod
    def axis(self, axes: str) -> str:
        """Set the axes of a reduction, as its subscript."""

    @abstractmethod
    def fraction(self, above: Items, below: Items) -> Items:
        """Set a quotient; without a bar the parts have brackets where they need them."""

    @abstractmethod
    def power(self, base: Items, exponent: Items) -> Items:
        """Set an exponent."""

    @abstractmethod
    def subscript(self, base: Items, below: Items) -> Items:
        """Set a subscript."""

    @abstractmethod
    def root(self, inside: Items) -> Items:
        """Set a square root."""

    @abstractmethod
    def cases(self, condition: Expr, then: Expr, otherwise: Expr) -> Items:
        """Set a choice."""

    @abstractmethod
    def lines(self, lines: Sequence[Written]) -> str:
        """Put lines below each other."""

    def argument(self, text: str) -> str:
        """Set a word among operands: a number, a size, or code."""
        if text.lstrip("-").isdigit():
            return self.number(text)
        return self.name(text) if text.isidentifier() else self.plain(text)

    def fenced(self, first: str, inside: Items, last: str) -> Items:
        """Set something between brackets of a kind."""
        return [self.sign(first), *inside, self.sign(last)]


def notation_of(title: str, markup: Markup) -> Notation:
    """Make a notation of a markup."""
    forms: dict[type[Phrase], Callable[[Any], Form]] = {kind: partial(form, markup) for kind, form in FORMS.items()}
    first, last = markup.fenced("(", (), ")")
    assert isinstance(first, str)
    assert isinstance(last, str)
    return Notation(title, forms, (first, last), markup.name, markup.lines, one_equality=True)


# -- products ----------------------------------------------------------------------------------------------------------


def _beside(
    m: Markup, factors: Sequence[tuple[Expr, bool]], masks: Sequence[Mask | Call], single: int = PRODUCT
) -> list[Item]:
    """Set factors: scalars side by side, arrays with the sign of the elementwise product between them.

    `single` is the precedence that a factor must have which is the only one.
    """
    parts: list[tuple[Items, str]] = []  # items, and of what kind: number, scalar or array
    alone = len(factors) == 1 and not masks
    for factor, contracts in factors:
        kind = "number" if factor.op in ("constant", "dim") else "scalar" if factor.ndim == 0 else "array"
        is_last = factor is factors[-1][0] and not masks
        least = MATMUL if contracts and (kind == "array" or is_last) else UNARY
        parts.append(([(factor, single if alone else least)], kind))
    for mask in masks:
        items = m.fenced("[", [(mask.condition, OPEN)], "]") if isinstance(mask, Mask) else _call(m, mask).items
        parts.append((items, "array"))
    out: list[Item] = []
    for position, (items, kind) in enumerate(parts):
        if position:
            before = parts[position - 1][1]
            numbers = before == kind == "number"
            out.append(m.sign("⊙") if before == kind == "array" else m.sign("·") if numbers else m.thin)
        out += items
    return out or [m.number("1")]


def _product(m: Markup, p: Product) -> Form:
    factors = list(zip(p.above, p.contractions, strict=True))
    minus: list[Item] = [m.sign("unary -")] if p.sign < 0 else []
    if p.guarded:  # a mask has the last word about the divisors inside it
        inner = replace(p, sign=1, masks=(), below=p.below[: p.guarded], guarded=0)
        masks = [m.sign("⊙"), *_beside(m, (), p.masks)]
        rest = [item for divisor in p.below[p.guarded :] for item in (m.sign("/"), (divisor, UNARY))]
        return Form(PRODUCT, (*minus, *_product(m, inner).items, *masks, *rest))
    if not p.below:
        alone = not factors and len(p.masks) == 1 and not minus
        return Form(ATOM if alone else PRODUCT, (*minus, *_beside(m, factors, p.masks)))
    if not m.stacks:
        rest = [item for divisor in p.below for item in (m.sign("/"), (divisor, UNARY))]
        return Form(PRODUCT, (*minus, *_beside(m, factors, p.masks), *rest))
    scalars = [f for f in factors if f[0].ndim == 0]
    arrays = [f for f in factors if f[0].ndim > 0]
    below = _beside(m, [(divisor, False) for divisor in p.below], (), OPEN)
    if all(divisor.ndim == 0 for divisor in p.below) and (arrays or p.masks):  # numbers go before matrices
        front = m.fraction(_beside(m, scalars, (), OPEN), below)
        return Form(PRODUCT, (*minus, *front, m.thin, *_beside(m, arrays, p.masks)))
    return Form(PRODUCT if minus else UNARY, (*minus, *m.fraction(_beside(m, factors, p.masks, OPEN), below)))


def _quotient(m: Markup, p: Quotient) -> Form:
    if not m.stacks:
        return Form(PRODUCT, (m.number("1"), m.sign("/"), (p.below, UNARY)))
    return Form(UNARY, tuple(m.fraction([m.number("1")], [(p.below, OPEN)])))


def _matmul(m: Markup, p: MatMul) -> Form:
    left: Items = m.power([(p.left, ATOM)], [m.sign("⊤")]) if p.is_row else [(p.left, MATMUL)]
    return Form(MATMUL, (*left, m.thin, (p.right, UNARY)))


def _outer(m: Markup, p: Outer) -> Form:
    return Form(MATMUL, ((p.column, UNARY), m.thin, *m.power([(p.row, ATOM)], [m.sign("⊤")])))


def _power(m: Markup, p: Power) -> Form:
    exponent: Item = m.number(p.exponent.text) if isinstance(p.exponent, Number) else (p.exponent, OPEN)
    elementwise = [m.sign("raised ⊙")] if m.stacks and p.base.ndim else []
    return Form(POWER, tuple(m.power([(p.base, ATOM)], [*elementwise, exponent])))


# -- functions ---------------------------------------------------------------------------------------------------------


def _operands(m: Markup, p: Call) -> list[Item]:
    return separated(p.args, m.argument, m.sign(","))


def _axis(m: Markup, axis: Any) -> Items:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return [m.axis(", ".join(map(str, axes)))] if axes else [m.sign("∅")]


def _reduced(m: Markup, p: Call) -> Form:
    """Set a sum or a product over axes; the brackets say where it ends."""
    big: Items = [m.sign(BIG[p.function])]
    if "axis" in p.keywords:
        big = m.subscript(big, _axis(m, p.keywords["axis"]))
    return Form(ATOM, (*big, *m.fenced("(", _operands(m, p), ")")))


def _enclosed(m: Markup, p: Call) -> Form:
    items = m.fenced(ENCLOSURES[p.function][0], _operands(m, p), ENCLOSURES[p.function][1])
    return Form(ATOM, tuple(m.subscript(items, _axis(m, p.keywords["axis"])) if "axis" in p.keywords else items))


def _exp(m: Markup, p: Call) -> Form:
    (x,) = p.args
    assert isinstance(x, Expr)
    return Form(POWER, tuple(m.power([m.word("e")], [(x, OPEN)])))


def _inverse(m: Markup, p: Call) -> Form:
    (x,) = p.args
    assert isinstance(x, Expr)
    return Form(POWER, tuple(m.power([(x, ATOM)], [m.number("-1")])))


def _chosen(m: Markup, p: Call) -> Form:
    condition, then, otherwise = (arg for arg in p.args if isinstance(arg, Expr))
    return Form(SUM, tuple(m.cases(condition, then, otherwise)))


def _identity(m: Markup, p: Call) -> Form:
    return Form(ATOM, tuple(m.subscript([m.name("I")], [m.argument(str(p.args[0]))])))


SPECIAL: Final[Mapping[str, Callable[[Markup, Call], Form]]] = {
    **dict.fromkeys(BIG, _reduced), **dict.fromkeys(ENCLOSURES, _enclosed), "exp": _exp, "inv": _inverse,
    "where": _chosen, "eye": _identity, "sqrt": lambda m, p: Form(POWER, tuple(m.root(_operands(m, p)))),
}  # fmt: skip


def _call(m: Markup, p: Call) -> Form:
    """Set a function: the axis as its subscript, other keywords behind the operands."""
    special = SPECIAL.get(p.function)
    if special is not None:
        return special(m, p)
    head: Items = [m.word(NAMES.get(p.function, p.function))]
    keywords = {key: value for key, value in p.keywords.items() if key != "keepdims"}
    if "axis" in keywords:
        head = m.subscript(head, _axis(m, keywords.pop("axis")))
    inside = _operands(m, p)
    words = ", ".join(f"{key}={data_text(value)}" for key, value in keywords.items())
    inside += [m.sign(",")] if words and inside else []
    inside += [m.plain(words)] if words else []
    return Form(ATOM, (*head, *m.fenced("(", inside, ")")))


# -- the rest ----------------------------------------------------------------------------------------------------------


def _sum(m: Markup, p: Sum) -> Form:
    return Form(SUM, signed(p.terms, m.number, m.sign("+"), m.sign("-"), m.sign("unary -")))


def _relation(m: Markup, p: Relation) -> Form:
    if p.op == "floor_divide":
        inside = m.fraction([(p.left, OPEN)], [(p.right, OPEN)]) if m.stacks else _linear(m, p)
        return Form(ATOM, tuple(m.fenced("⌊", inside, "⌋")))
    binding = BINDING.get(p.op, COMPARE)
    left = binding + (binding == COMPARE)
    return Form(binding, ((p.left, left), m.sign(SIGNS[p.op]), (p.right, binding + 1)))


def _linear(m: Markup, p: Relation) -> Items:
    return [(p.left, PRODUCT), m.sign("/"), (p.right, UNARY)]


def _index(m: Markup, p: Index) -> Form:
    inside = [m.plain(part) if isinstance(part, str) else (part, OPEN) for part in p.inside]
    return Form(ATOM, tuple(m.subscript([(p.operand, ATOM)], inside)))


def _size(m: Markup, p: SizeOf) -> Form:
    precedence = ATOM if p.is_atom else PRODUCT if p.is_product else OPEN
    return Form(precedence, (m.name(p.text) if p.text.isidentifier() else m.size(p.text),))


def _transposed(m: Markup, p: Transposed) -> Form:
    return Form(POWER, tuple(m.power([(p.operand, ATOM)], [m.sign("⊤")])))


FORMS: Final[Mapping[type[Phrase], Callable[[Markup, Any], Form]]] = {
    Named: lambda m, p: Form(POWER if spelled(p.name).differential else ATOM, (m.name(p.name),)),
    Number: lambda m, p: Form(UNARY if p.is_negative else ATOM, (m.number(p.text),)),
    Words: lambda m, p: Form(ATOM, (m.plain(p.text),)),
    SizeOf: _size, Sum: _sum, Product: _product, Quotient: _quotient, MatMul: _matmul, Outer: _outer, Power: _power,
    Relation: _relation, Index: _index, Call: _call, Transposed: _transposed,
    Not: lambda m, p: Form(UNARY, (m.sign("¬"), (p.operand, UNARY))),
    Convert: lambda m, p: Form(ATOM, (m.word(p.dtype), *m.fenced("(", [(p.operand, OPEN)], ")"))),
}  # fmt: skip
