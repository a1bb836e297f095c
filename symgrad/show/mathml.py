"""MathML's notation, which browsers show without a script.

In: phrases, by way of `mathematics`. Out: a `<math>` element; several lines are a table. It must not know operators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final

from symgrad.expr import Expr
from symgrad.show.mathematics import Items, Markup, notation_of
from symgrad.show.notation import OPEN, Notation, Written
from symgrad.show.spelling import spelled

__all__ = ["MATHML"]

FENCES = frozenset("()[]|‖⌊⌋⌈⌉")
SIZE_SIGNS = {"*": "\u2062", "**": "^", "//": "÷", "%": "mod", "-": "−"}  # a product of sizes has no sign
LEFT, RIGHT = (f'<mtd style="text-align:{side}">' for side in ("left", "right"))


def _size_part(part: str) -> str:
    """Set a number, or a sign, of a size."""
    return f"<mn>{part}</mn>" if part.isdigit() else f"<mo>{SIZE_SIGNS.get(part, part)}</mo>"


def _identifier(letters: str) -> str:
    return f"<mi>{escape(letters)}</mi>" if len(letters) == 1 else f'<mi mathvariant="normal">{escape(letters)}</mi>'


class MathML(Markup):
    """Elements of presentation MathML."""

    thin = '<mspace width="0.17em"/>'

    def name(self, name: str) -> str:
        """Set a name: subscripts below, differentials upright."""
        parts = spelled(name)
        base = _identifier(parts.letters)
        if parts.subscript:
            below = [f"<mn>{p}</mn>" if p.isdigit() else _identifier(p) for p in parts.subscript.split(",")]
            base = f"<msub>{base}<mrow>{'<mo>,</mo>'.join(below)}</mrow></msub>"
        if not parts.differential:
            return base
        d = '<mi mathvariant="normal">d</mi>'
        power = f"<msup>{d}<mn>{parts.differential}</mn></msup>"
        return f"<mrow>{power if parts.differential > 1 else d}{base}</mrow>"

    def word(self, text: str) -> str:
        """Set a function's name."""
        return f'<mi mathvariant="normal">{escape(text)}</mi>'

    def number(self, text: str) -> str:
        """Set a number."""
        text = text.replace("inf", "∞")
        return f"<mo>−</mo><mn>{text[1:]}</mn>" if text.startswith("-") else f"<mn>{text}</mn>"

    def sign(self, sign: str) -> str:
        """Set an operator or a bracket."""
        if sign == "unary -":
            return '<mo form="prefix">−</mo>'
        if sign == ",":
            return '<mo separator="true">,</mo>'
        if sign == "raised ⊙":
            return '<mo lspace="0" rspace="0">⊙</mo>'
        if sign in FENCES:
            return f'<mo fence="true">{sign}</mo>'
        if sign in ("∑", "∏"):
            return f'<mo largeop="true" movablelimits="false">{sign}</mo>'
        return f"<mo>{escape(sign.replace('-', '−'))}</mo>"

    def plain(self, text: str) -> str:
        """Set code."""
        return f"<mtext>{escape(text)}</mtext>"

    def size(self, text: str) -> str:
        """Set a size: its names are letters."""
        parts = re.findall(r"[A-Za-z_]\w*|\d+|\*\*|//|[-+*%()]", text)
        return "".join(self.name(p) if p[0].isalpha() or p[0] == "_" else _size_part(p) for p in parts)

    def axis(self, axes: str) -> str:
        """Set axes."""
        return f"<mtext>axis\u00a0{axes}</mtext>"

    def fraction(self, above: Items, below: Items) -> Items:
        """Set a fraction."""
        return ["<mfrac><mrow>", *above, "</mrow><mrow>", *below, "</mrow></mfrac>"]

    def power(self, base: Items, exponent: Items) -> Items:
        """Set an exponent."""
        return ["<msup><mrow>", *base, "</mrow><mrow>", *exponent, "</mrow></msup>"]

    def subscript(self, base: Items, below: Items) -> Items:
        """Set a subscript."""
        return ["<msub><mrow>", *base, "</mrow><mrow>", *below, "</mrow></msub>"]

    def root(self, inside: Items) -> Items:
        """Set a root."""
        return ["<msqrt><mrow>", *inside, "</mrow></msqrt>"]

    def cases(self, condition: Expr, then: Expr, otherwise: Expr) -> Items:
        """Set a choice as cases."""
        return [
            '<mrow><mo fence="true" form="prefix">{</mo><mtable displaystyle="true"><mtr><mtd>', (then, OPEN),
            "</mtd><mtd><mtext>if\u00a0</mtext>", (condition, OPEN), "</mtd></mtr><mtr><mtd>", (otherwise, OPEN),
            "</mtd><mtd><mtext>otherwise</mtext></mtd></mtr></mtable></mrow>",
        ]  # fmt: skip

    def fenced(self, first: str, inside: Items, last: str) -> Items:
        """Set something between brackets, as a row of its own so that they grow with it."""
        return ["<mrow>" + self.sign(first), *inside, self.sign(last) + "</mrow>"]

    def lines(self, lines: Sequence[Written]) -> str:
        """Set lines as the rows of a table, aligned at their signs."""
        if len(lines) == 1 and not lines[0].name and not lines[0].shape:
            return f'<math display="block"><mrow>{lines[0].value}</mrow></math>'
        rows = "".join(map(_row, lines))
        return f'<math display="block"><mtable displaystyle="true">{rows}</mtable></math>'


def _row(line: Written) -> str:
    sign = {"=": "=", "<-": "←"}[line.sign]
    left = f"{RIGHT}{line.name}</mtd><mtd><mo>{sign}</mo></mtd>" if line.name else "<mtd></mtd><mtd></mtd>"
    shape = f"{LEFT}<mtext>{escape(line.shape)}</mtext></mtd>" if line.shape else ""
    return f"<mtr>{left}{LEFT}<mrow>{line.value}</mrow></mtd>{shape}</mtr>"


MATHML: Final[Notation] = notation_of("mathml", MathML())
