"""Unicode's notation: one line for a terminal, with mathematical signs.

In: phrases, by way of `mathematics`. Out: text. It must not know operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from symgrad.expr import Expr
from symgrad.show.mathematics import Items, Markup, notation_of
from symgrad.show.notation import ATOM, OPEN, Notation, Written
from symgrad.show.python import aligned
from symgrad.show.spelling import spelled

__all__ = ["UNICODE"]

SIGNS = {
    ",": ", ", "unary -": "-", "raised ⊙": "", "⊤": "ᵀ", "|": "|", "‖": "‖", "¬": "¬", "∅": "∅", "∑": "∑", "∏": "∏",
    **{bracket: bracket for bracket in "()[]⌊⌋⌈⌉"},
}  # fmt: skip
RAISED = str.maketrans("0123456789-+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")
LOWERED = str.maketrans("0123456789-+,", "₀₁₂₃₄₅₆₇₈₉₋₊,")
LOW_LETTERS = dict(zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))


def _lowered(text: str) -> str | None:
    """Write text with subscript characters, where there are such."""
    if all(c.isdigit() or c in "-+," for c in text):
        return text.translate(LOWERED)
    return "".join(LOW_LETTERS[c] for c in text) if all(c in LOW_LETTERS for c in text) else None


class Unicode(Markup):
    """Signs and raised characters."""

    stacks = False

    def name(self, name: str) -> str:
        """Set a name; what cannot be lowered stays as it is."""
        parts = spelled(name)
        low = [_lowered(part) for part in parts.subscript.split(",")] if parts.subscript else []
        below = "".join(text or "" for text in low) if None not in low else "_" + parts.subscript.replace(",", "_")
        differential = "d" + (str(parts.differential).translate(RAISED) if parts.differential > 1 else "")
        return f"{differential if parts.differential else ''}{parts.letters}{below}"

    def word(self, text: str) -> str:
        """Set a function's name."""
        return text.replace(" ", "")

    def number(self, text: str) -> str:
        """Set a number."""
        return text.replace("inf", "∞")

    def sign(self, sign: str) -> str:
        """Set a sign; between operands it has room."""
        return SIGNS.get(sign, f" {sign} ")

    def plain(self, text: str) -> str:
        """Set code."""
        return text

    def size(self, text: str) -> str:
        """Set a size."""
        return text

    def axis(self, axes: str) -> str:
        """Set axes."""
        return axes.replace(" ", "")

    def fraction(self, above: Items, below: Items) -> Items:
        """Set a quotient on the line."""
        return [*above, " / ", *below]

    def power(self, base: Items, exponent: Items) -> Items:
        """Raise what can be raised; put other exponents behind a caret."""
        texts = [item for item in exponent if isinstance(item, str)]
        if len(texts) == len(exponent):
            text = "".join(texts)
            whole = all(c.isdigit() or c in "-ᵀ" for c in text)
            return [*base, text.translate(RAISED) if whole else f"^{text}"]
        return [*base, "^", *((item[0], ATOM) if isinstance(item, tuple) else item for item in exponent)]

    def subscript(self, base: Items, below: Items) -> Items:
        """Lower numbers; put anything else between brackets, as an index."""
        if len(below) == 1 and isinstance(below[0], str) and _lowered(below[0]) is not None:
            return [*base, str(_lowered(below[0]))]
        return [*base, "[", *below, "]"]

    def root(self, inside: Items) -> Items:
        """Set a root."""
        return ["√(", *inside, ")"]

    def cases(self, condition: Expr, then: Expr, otherwise: Expr) -> Items:
        """Set a choice as a function."""
        return ["where(", (condition, OPEN), ", ", (then, OPEN), ", ", (otherwise, OPEN), ")"]

    def lines(self, lines: Sequence[Written]) -> str:
        """Align lines at their signs."""
        arrows = [Written(line.name, line.sign.replace("<-", "←"), line.value, line.shape) for line in lines]
        return aligned(arrows)


UNICODE: Final[Notation] = notation_of("unicode", Unicode())
