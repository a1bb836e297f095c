"""What a notation is, and how an expression is written in one.

A notation is a table: for each kind of phrase its form (pieces of text and operands, each with the precedence that it
must have to stand without brackets), and how names, brackets and lines look. In: a node, and who knows its phrase. Out:
text. Writing is iterative and linear in what is written. It must not know any notation, nor any operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from symgrad.expr import Expr
from symgrad.show.phrase import Phrase

__all__ = [
    "AND", "ATOM", "COMPARE", "MATMUL", "MODULO", "OPEN", "OR", "POWER", "PRODUCT", "SUM", "UNARY", "XOR", "Form",
    "Item", "Notation", "Speaker", "Written", "write",
]  # fmt: skip

# Python's precedences; MATMUL binds like a product, but only a chain of matrix products may stand to its left. MODULO
# does, too, but no minus: -x // y is (-x) // y.
OPEN, COMPARE, OR, XOR, AND, SUM, MODULO, PRODUCT, MATMUL, UNARY, POWER, ATOM = range(12)

Item = str | tuple[Expr, int]


@dataclass(frozen=True, slots=True)
class Form:
    """Pieces in order, and the precedence of the whole."""

    precedence: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A line: the name of a value (none for what is shown itself), what stands between, the value, its type's shape."""

    name: str
    sign: str
    value: str
    shape: str


class Speaker(Protocol):
    """Knows what a formula says at each node."""

    def phrase(self, node: Expr, *, defined: bool = False) -> Phrase:
        """Give a node's phrase: its name, if it has one and is not being `defined`."""


@dataclass(frozen=True, slots=True)
class Notation:
    """Forms by kind of phrase; `name` styles a name, `lines` puts written lines with such names together.

    With `one_equality`, one sign says that a name stands for a value and that two values are equal.
    """

    title: str
    forms: Mapping[type[Phrase], Callable[[Any], Form]]
    brackets: tuple[str, str]
    name: Callable[[str], str]
    lines: Callable[[Sequence[Written]], str]
    one_equality: bool = False

    def form(self, phrase: Phrase) -> Form:
        """Give the form of a phrase."""
        return self.forms[type(phrase)](phrase)

    def set(self, lines: Sequence[Written]) -> str:
        """Put lines together, whose names are as programs write them."""
        return self.lines([replace(line, name=self.name(line.name)) if line.name else line for line in lines])


def write(node: Expr, speaker: Speaker, notation: Notation, *, defined: bool = False) -> str:
    """Write a node; what has a name stands under it, but the node itself if it is being `defined`."""
    out: list[str] = []
    first, last = notation.brackets
    whole = notation.form(speaker.phrase(node, defined=defined))
    stack: list[Item] = list(reversed(whole.items))
    if defined and notation.one_equality and whole.precedence == COMPARE:
        stack = [last, *stack, first]  # t = (x = y)
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            continue
        inner, needed = item
        form = notation.form(speaker.phrase(inner))
        if form.precedence < needed:
            out.append(first)
            stack.append(last)
        stack.extend(reversed(form.items))
    return "".join(out)
