"""`sg.derivation`: the chain rule told step by step, as text, LaTeX and HTML, and checked.

In: a scalar loss and what to differentiate by. Out: a `Derivation`, which prints itself and can check itself. It must
not know how steps are found, nor how formulas are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from symgrad.chainrule.checking import Report, check_steps
from symgrad.chainrule.setting import as_equations, as_html, as_latex, as_text, sections
from symgrad.chainrule.steps import Account, Step, derive
from symgrad.expr import Expr
from symgrad.show.unicode import UNICODE

__all__ = ["Derivation", "derivation"]


class Derivation:
    """A derivation: `steps` is the chain rule as data; `str`, `latex` and `html` tell it, `check` doubts it."""

    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def steps(self) -> tuple[Step, ...]:
        """Give the steps, from the loss to the variables."""
        return self.account.steps

    def __len__(self) -> int:
        return len(self.steps)

    def check(self, points: int = 5, seed: int = 0, given: Mapping[Expr, Any] | None = None) -> Report:
        """Evaluate both sides of every step at random points, in float64 and without any compiled code.

        In each step, what comes from above times the local derivative must be the derivative that is stated, and that
        must be what central differences of the loss give, which know no calculus.

        - `points`: how many points; their sizes are drawn, too. `seed`: from which they are drawn.
        - `given`: arrays for symbols and parameters that are not to be drawn, such as a matrix that must be invertible.

        The report says which steps agree and how well, and is false if one does not. Raises ValueError if the loss has
        no finite value at the points drawn.

        >>> import symgrad as sg
        >>> x = sg.symbol("x", (3,))
        >>> print(str(sg.derivation(sg.sum(sg.exp(x) ** 2), x).check()).partition(" (")[0])
        checked: 2 of 2 steps agree at 5 random points
        """
        return check_steps(self.account, points, seed, dict(given or {}))

    @cached_property
    def unicode(self) -> str:
        """Give the derivation as text in mathematical signs."""
        return as_text(self.account, UNICODE)

    @cached_property
    def latex(self) -> str:
        """Give the derivation as LaTeX for a document with amsmath: a `description` list."""
        return as_latex(self.account)

    @cached_property
    def html(self) -> str:
        """Give the derivation as HTML: sections with MathML, which need no script."""
        return as_html(self.account)

    def sections(self) -> list[tuple[str, str]]:
        """Give number and HTML of each step, for pages that show one at a time; what is no step has no number."""
        return list(sections(self.account))

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return as_text(self.account)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html

    def _repr_latex_(self) -> str:
        return as_equations(self.account)


def derivation(loss: Expr, wrt: Any, *, names: Mapping[Expr, str] | None = None) -> Derivation:
    """Derive the gradient of a scalar expression step by step, as a textbook would.

    - `loss`: a float scalar. `wrt`: what to differentiate by: an expression, or a list, tuple or dict of them.
    - `names`: what parameters, symbols and values are called, if not by names of their own.

    A step states one derivative of the loss, with the factor that comes from above, the local derivative, the user's
    line, the rules that simplified their product and the facts that licensed these. Values have the user's names.
    Raises GradientError where `grad` does.

    >>> import symgrad as sg
    >>> w, x, y = sg.symbol("w", (3,)), sg.symbol("x", (3,)), sg.symbol("y")
    >>> print(sg.derivation((x @ w - y) ** 2, w).steps[-1].number)
    2
    """
    _check_names(names or {})
    return Derivation(derive(loss, wrt, names))


def _check_names(names: Mapping[Any, Any]) -> None:
    for node, name in names.items():
        if not isinstance(node, Expr) or not isinstance(name, str):
            raise TypeError(f"derivation: names has strings by expression, not {name!r} by {node!r}")
