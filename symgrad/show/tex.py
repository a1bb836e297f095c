r"""LaTeX's notation, for MathJax, KaTeX and amsmath.

In: phrases, by way of `mathematics`. Out: TeX; several lines are an `aligned` environment. It must not know operators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from symgrad.expr import Expr
from symgrad.show.mathematics import Items, Markup, notation_of
from symgrad.show.notation import OPEN, Notation, Written
from symgrad.show.spelling import spelled

__all__ = ["LATEX", "escaped"]

SIGNS = {
    "+": " + ", "-": " - ", "unary -": "-", "⊙": r" \odot ", "raised ⊙": r"\odot ", "·": r" \cdot ", "/": " / ",
    "(": r"\left(", ")": r"\right)", "[": r"\left[", "]": r"\right]", "|": "|", "‖": r"\|", "⌊": r"\left\lfloor ",
    "⌋": r"\right\rfloor ", "⌈": r"\left\lceil ", "⌉": r"\right\rceil ", "⊤": r"\top", "¬": r"\lnot ",
    ",": ", ", "∅": r"\emptyset", "∑": r"\sum", "∏": r"\prod",
    "=": " = ", "≠": r" \ne ", "<": " < ", "≤": r" \le ", ">": " > ", "≥": r" \ge ",
    "∧": r" \land ", "∨": r" \lor ", "⊕": r" \oplus ", "mod": r" \bmod ",
}  # fmt: skip
GREEK = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "ζ": r"\zeta", "η": r"\eta",
    "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi", "π": r"\pi", "ρ": r"\rho",
    "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega", "Γ": r"\Gamma",
    "Δ": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Ξ": r"\Xi", "Σ": r"\Sigma", "Φ": r"\Phi", "Ψ": r"\Psi",
    "Ω": r"\Omega",
}  # fmt: skip
# Functions that TeX knows; others are operator names.
KNOWN = frozenset(
    ("arccos", "arcsin", "arctan", "cos", "cosh", "det", "log", "max", "min", "sin", "sinh", "tan", "tanh")
)
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def escaped(text: str) -> str:
    """Write text so that TeX shows it as it is."""
    return re.sub(r"[\\~^{}_%&#$]", lambda found: _SPECIAL.get(found[0], "\\" + found[0]), text)


def _letters(letters: str) -> str:
    if len(letters) == 1:
        return GREEK.get(letters, letters)
    return rf"\{'mathrm' if letters.isascii() else 'text'}{{{escaped(letters)}}}"


class TeX(Markup):
    """TeX's commands."""

    thin = r"\, "

    def name(self, name: str) -> str:
        """Set a name: subscripts below, differentials upright, words upright."""
        parts = spelled(name)
        order = f"^{{{parts.differential}}}" if parts.differential > 1 else ""
        differential = rf"\mathrm{{d}}{order}" if parts.differential else ""
        base = _letters(parts.letters)
        below = ",".join(part if part.isdigit() else _letters(part) for part in parts.subscript.split(",") if part)
        return f"{differential}{base}_{{{below}}}" if below else f"{differential}{base}"

    def word(self, text: str) -> str:
        """Set a function's name."""
        if text == "e":
            return r"\mathrm{e}"
        if text == "arg max" or text == "arg min":
            return rf"\operatorname{{arg\,{text[4:]}}}"
        return rf"\{text}" if text in KNOWN else rf"\operatorname{{{escaped(text)}}}"

    def number(self, text: str) -> str:
        """Set a number; powers of ten as such."""
        found = re.fullmatch(r"(-?)([\d.]+)e([+-]?)0*(\d+)", text)
        if found is None:
            return {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{NaN}"}.get(text, text)
        digits = "" if found[2] == "1" else rf"{found[2]} \cdot "
        return rf"{found[1]}{digits}10^{{{found[3].replace('+', '')}{found[4]}}}"

    def sign(self, sign: str) -> str:
        """Set a sign."""
        return SIGNS[sign]

    def plain(self, text: str) -> str:
        """Set code."""
        return rf"\texttt{{{escaped(text)}}}"

    def size(self, text: str) -> str:
        """Set a size: its names are letters."""
        text = text.replace("**", "^").replace(" * ", r"\,").replace("*", r"\,").replace("//", r" \mathbin{/\!\!/} ")
        return re.sub(r"[A-Za-z_]\w*", lambda found: self.name(found[0]), text.replace("%", r" \bmod "))

    def axis(self, axes: str) -> str:
        """Set axes."""
        return rf"\mathrm{{axis}}\,{axes}"

    def fraction(self, above: Items, below: Items) -> Items:
        """Set a fraction."""
        return [r"\frac{", *above, "}{", *below, "}"]

    def power(self, base: Items, exponent: Items) -> Items:
        """Set an exponent."""
        return [*base, "^{", *exponent, "}"]  # a base that has an exponent of its own stands in brackets

    def subscript(self, base: Items, below: Items) -> Items:
        """Set a subscript."""
        is_word = len(base) == 1 and isinstance(base[0], str)
        return [*base, "_{", *below, "}"] if is_word else ["{", *base, "}_{", *below, "}"]

    def root(self, inside: Items) -> Items:
        """Set a root."""
        return [r"\sqrt{", *inside, "}"]

    def cases(self, condition: Expr, then: Expr, otherwise: Expr) -> Items:
        """Set a choice as cases."""
        return [
            r"\begin{cases} ", (then, OPEN), r" & \text{if } ", (condition, OPEN), r" \\ ", (otherwise, OPEN),
            r" & \text{otherwise} \end{cases}",
        ]  # fmt: skip

    def lines(self, lines: Sequence[Written]) -> str:
        """Align lines at their signs."""
        if len(lines) == 1 and not lines[0].name:
            return lines[0].value + self._shape(lines[0], r"\quad ")
        rows = [f"  {_left(line)}{line.value}{self._shape(line, ' &&')}" for line in lines]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def _shape(self, line: Written, before: str) -> str:
        return before + r"\quad " + self.plain(line.shape) if line.shape else ""


def _left(line: Written) -> str:
    sign = {"=": "=", "<-": r"\leftarrow"}[line.sign]
    return f"{line.name} &{sign} " if line.name else "& "


LATEX: Final[Notation] = notation_of("latex", TeX())
