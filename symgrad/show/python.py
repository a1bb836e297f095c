"""Python's notation: the text of a formula runs with NumPy.

In: phrases. Out: forms, and aligned lines. It must not know nodes' operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symgrad.expr import Expr
from symgrad.show.notation import (
    AND,
    ATOM,
    COMPARE,
    MATMUL,
    MODULO,
    OPEN,
    OR,
    POWER,
    PRODUCT,
    SUM,
    UNARY,
    XOR,
    Form,
    Item,
    Notation,
    Written,
)
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

__all__ = ["BINDING", "TEXT", "aligned", "separated", "signed"]

# How tightly the operators of relations bind; comparisons do not chain.
BINDING = {"logical_or": OR, "logical_xor": XOR, "logical_and": AND, "floor_divide": MODULO, "remainder": MODULO}


def signed(
    terms: Iterable[tuple[int, Expr | Number]], number: Callable[[str], str] = str,
    plus: str = " + ", minus: str = " - ", first: str = "-",
) -> tuple[Item, ...]:  # fmt: skip
    """Give the items of a sum: its terms with their signs between them; `first` stands before a negative first one."""
    items: list[Item] = []
    for position, (sign, term) in enumerate(terms):
        if position or sign < 0:
            items.append((minus if sign < 0 else plus) if position else first)
        needed = PRODUCT if sign < 0 and not position else MODULO
        items.append(number(term.text) if isinstance(term, Number) else (term, needed))
    return tuple(items)


def separated(args: Sequence[Expr | str], word: Callable[[str], str] = str, comma: str = ", ") -> list[Item]:
    """Give operands and words with commas between them."""
    items: list[Item] = []
    for position, arg in enumerate(args):
        items += [comma] if position else []
        items.append(word(arg) if isinstance(arg, str) else (arg, OPEN))
    return items


def _product(phrase: Product) -> Form:
    items: list[Item] = ["-"] if phrase.sign < 0 else []
    leading = True  # so far only scalars: a matrix product may follow without brackets
    for position, (factor, contracts) in enumerate(zip(phrase.above, phrase.contractions, strict=True)):
        items += [" * "] if position else []
        items.append((factor, MATMUL if leading and contracts else UNARY if position else PRODUCT))
        leading = leading and factor.ndim == 0
    guarded, below = phrase.below[: phrase.guarded], phrase.below[phrase.guarded :]
    items += ["1"] if guarded and not phrase.above else []
    for divisor in guarded:  # in front of the mask: its 0 is the last word
        items += [" / ", (divisor, UNARY)]
    for position, mask in enumerate(phrase.masks):
        items += [" * "] if phrase.above or guarded or position else []
        items += ["[", (mask.condition, OPEN), "]"] if isinstance(mask, Mask) else _call(mask).items
    if not phrase.above and not phrase.masks:
        items.append("1")
    for divisor in below:
        items += [" / ", (divisor, UNARY)]
    alone = len(items) == 3 and not phrase.above and len(phrase.masks) == 1
    return Form(ATOM if alone else PRODUCT, tuple(items))


def _power(phrase: Power) -> Form:
    exponent: Item = phrase.exponent.text if isinstance(phrase.exponent, Number) else (phrase.exponent, UNARY)
    return Form(POWER, ((phrase.base, ATOM), "**", exponent))


def _relation(phrase: Relation) -> Form:
    binding = BINDING.get(phrase.op, COMPARE)
    left = binding + (binding == COMPARE)  # Python chains comparisons
    return Form(binding, ((phrase.left, left), f" {phrase.sign} ", (phrase.right, binding + 1)))


def _index(phrase: Index) -> Form:
    inside: list[Item] = [part if isinstance(part, str) else (part, OPEN) for part in phrase.inside]
    return Form(ATOM, ((phrase.operand, ATOM), "[", *inside, "]"))


def _call(phrase: Call) -> Form:
    inside = separated(phrase.args)
    if phrase.is_listed:
        inside = ["(", *inside, ")"]
    keywords = ", ".join(f"{key}={data_text(value)}" for key, value in phrase.keywords.items())
    between = ", " if keywords and inside else ""
    return Form(ATOM, (f"{phrase.function}(", *inside, f"{between}{keywords})"))


def _size(phrase: SizeOf) -> Form:
    return Form(ATOM if phrase.is_atom else PRODUCT if phrase.is_product else OPEN, (phrase.text,))


def aligned(lines: Sequence[Written]) -> str:
    """Put lines below each other, equals signs aligned, shapes behind them as comments."""
    width = max((len(line.name) for line in lines), default=0)
    texts = [f"{line.name:{width}} {line.sign} {line.value}" if line.name else line.value for line in lines]
    margin = max(map(len, texts), default=0)
    shaped = zip(texts, lines, strict=True)
    return "\n".join(f"{text:{margin}}  # {line.shape}" if line.shape else text for text, line in shaped)


FORMS: Mapping[type, Any] = {
    Named: lambda p: Form(ATOM, (p.name,)),
    Number: lambda p: Form(UNARY if p.is_negative else ATOM, (p.text,)),
    Words: lambda p: Form(ATOM, (p.text,)),
    SizeOf: _size,
    Sum: lambda p: Form(SUM, signed(p.terms)),
    Product: _product,
    Quotient: lambda p: Form(PRODUCT, ("1 / ", (p.below, UNARY))),
    MatMul: lambda p: Form(MATMUL, ((p.left, MATMUL), " @ ", (p.right, UNARY))),
    Outer: lambda p: _call(Call("outer", (p.column, p.row))),
    Power: _power,
    Relation: _relation,
    Not: lambda p: Form(UNARY, ("~", (p.operand, UNARY))),
    Transposed: lambda p: Form(ATOM, ((p.operand, ATOM), ".T" if p.is_matrix else ".mT")),
    Index: _index,
    Convert: lambda p: Form(ATOM, ((p.operand, ATOM), f".astype({p.dtype})")),
    Call: _call,
}

TEXT = Notation("text", FORMS, ("(", ")"), str, aligned)
