"""Ways to look at formulas: `pprint` on a terminal, `latex` in a paper, both kinds of mathematics in a notebook.

In: an expression, equations, or several of them. Out: text of a notation. Importing this module gives expressions their
representations in notebooks. It must not know how an expression is written.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from symgrad.expr import Expr
from symgrad.show.mathml import MATHML
from symgrad.show.notation import Notation
from symgrad.show.python import TEXT
from symgrad.show.tex import LATEX
from symgrad.show.text import format_equations, format_expression
from symgrad.show.unicode import UNICODE
from symgrad.surface import PRINTERS

__all__ = ["formatted", "latex", "mathml", "pprint", "unicode"]


def formatted(target: Any, notation: Notation, shapes: bool = False) -> str:
    """Write an expression, a dict of equations, or a list of either, one below the other.

    What has a form of its own in a notation, as a derivation has, gives it as the attribute of that title.
    """
    own = getattr(type(target), notation.title, None)
    if own is not None and not isinstance(target, Expr):
        return str(getattr(target, notation.title))
    if isinstance(target, Mapping):
        return format_equations(target, notation=notation, shapes=shapes)
    if isinstance(target, list | tuple):
        return "\n".join(formatted(item, notation, shapes) for item in target)
    return format_expression(target, notation=notation, shapes=shapes)


def pprint(*targets: Any, shapes: bool = False) -> None:
    """Print formulas in mathematical signs: one after the other, lists and tuples too; a dict prints as equations.

    Where the terminal has no such signs, the text of `str` is printed. With `shapes`, each line says its value's shape.

    >>> import symgrad as sg
    >>> A, x = sg.symbol("A", (2, 2)), sg.symbol("x", (2,))
    >>> pprint(A.T @ x, [sg.sqrt(x) * 2])
    Aᵀ x
    2 √(x)
    >>> pprint({"dx": sg.grad(sg.sum(x**2), x)}, shapes=True)
    dx = 2 x  # (2,)
    """
    for target in targets:
        text = formatted(target, UNICODE, shapes)
        try:
            text.encode(getattr(sys.stdout, "encoding", None) or "utf8")
        except UnicodeEncodeError:
            text = formatted(target, TEXT, shapes)
        print(text)


def latex(target: Any, *, shapes: bool = False) -> str:
    r"""Write LaTeX, to be put between dollar signs or in an equation: several lines are an `aligned` environment.

    - `target`: an expression, a dict of equations (its keys are names), or a list of either.

    >>> import symgrad as sg
    >>> A, x = sg.symbol("A", (2, 2)), sg.symbol("x", (2,))
    >>> print(latex(sg.grad(x @ A @ x, x)))
    \left(A + A^{\top}\right)\, x
    """
    return formatted(target, LATEX, shapes)


def unicode(target: Any, *, shapes: bool = False) -> str:
    """Write mathematical signs, as `pprint` does where the terminal has them."""
    return formatted(target, UNICODE, shapes)


def mathml(target: Any, *, shapes: bool = False) -> str:
    """Write MathML, which browsers show as it is: one `<math>` element for each formula.

    >>> import symgrad as sg
    >>> mathml(sg.symbol("x") + 1)
    '<math display="block"><mrow><mi>x</mi><mo>+</mo><mn>1</mn></mrow></math>'
    """
    return formatted(target, MATHML, shapes)


def _notebook_latex(expr: Expr) -> str:
    return rf"$\displaystyle {latex(expr)}$"


PRINTERS["latex"] = _notebook_latex
PRINTERS["html"] = mathml
