"""What a formula says at one node, before any notation: sums, products, powers, calls.

A phrase is made of operands (expressions that follow), numbers and words; notations (`python`, `tex`, `mathml`,
`unicode`) give each kind of phrase its form. It must not know precedences, brackets or markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from symgrad.expr import Expr

__all__ = [
    "Call", "Convert", "Index", "MatMul", "Mask", "Named", "Not", "Number", "Outer", "Phrase", "Power", "Product",
    "Quotient", "Relation", "SizeOf", "Sum", "Transposed", "Words",
]  # fmt: skip


class Phrase:
    """What stands at one node."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Named(Phrase):
    """A value that stands under its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Number(Phrase):
    """A number, as short as it is exact."""

    text: str

    @property
    def is_negative(self) -> bool:
        """Tell whether it starts with a minus."""
        return self.text.startswith("-")


@dataclass(frozen=True, slots=True)
class Words(Phrase):
    """Text that every notation shows as it is: array([1, 2])."""

    text: str


@dataclass(frozen=True, slots=True)
class SizeOf(Phrase):
    """A size: N, 2 * N; `is_product` tells whether it needs brackets as a factor, `is_atom` that it never does."""

    text: str
    is_atom: bool
    is_product: bool


@dataclass(frozen=True, slots=True)
class Sum(Phrase):
    """Signed terms in the order of writing."""

    terms: tuple[tuple[int, Expr | Number], ...]


@dataclass(frozen=True, slots=True)
class Mask:
    """A factor that is 1 where a condition holds and 0 elsewhere."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Product(Phrase):
    """Factors in the order of writing, masks, then divisors; `contractions` tells which factors are matrix products.

    The first divisors, so many as `guarded` says, stand inside the masks: where they are 0, so may the mask be, whose 0
    makes the product 0.
    """

    sign: int
    above: tuple[Expr, ...]
    contractions: tuple[bool, ...]
    masks: tuple[Mask | Call, ...]
    below: tuple[Expr, ...]
    guarded: int = 0


@dataclass(frozen=True, slots=True)
class Quotient(Phrase):
    """One over an operand."""

    below: Expr


@dataclass(frozen=True, slots=True)
class MatMul(Phrase):
    """A product of matrices, or of vectors with them; `is_row`: the left one is a vector that stands as a row."""

    left: Expr
    right: Expr
    is_row: bool = False


@dataclass(frozen=True, slots=True)
class Outer(Phrase):
    """The product of a column and a row."""

    column: Expr
    row: Expr


@dataclass(frozen=True, slots=True)
class Power(Phrase):
    """A power; an exponent that is no operand is a number."""

    base: Expr
    exponent: Expr | Number


@dataclass(frozen=True, slots=True)
class Relation(Phrase):
    """Two operands and the operator between them: a comparison, a logical one, // or %."""

    op: str
    sign: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Not(Phrase):
    """What is true where the operand is not."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Transposed(Phrase):
    """An operand with its last two axes swapped."""

    operand: Expr
    is_matrix: bool


@dataclass(frozen=True, slots=True)
class Index(Phrase):
    """Part of an operand: positions between words, as in `x[` `arange(N), ` y `]`."""

    operand: Expr
    inside: tuple[str | Expr, ...]


@dataclass(frozen=True, slots=True)
class Convert(Phrase):
    """An operand in another dtype."""

    operand: Expr
    dtype: str


@dataclass(frozen=True, slots=True)
class Call(Phrase):
    """A function of operands and words; `keywords` say how, such as axis=0. `is_listed`: the operands are one tuple."""

    function: str
    args: tuple[Expr | str, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    is_listed: bool = False
