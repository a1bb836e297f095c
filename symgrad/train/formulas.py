"""A model's formulas: what its nodes are called, and its gradients as mathematics.

In: the layers and the output of a model. Out: names proposed to the printers (W1, b1, Z1, H1, P), and a mapping of
gradients that prints as equations. It must not know how expressions are written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgrad import side
from symgrad.expr import Expr, Parameter, topological
from symgrad.late import late
from symgrad.nn.layer import Layer, calls_of
from symgrad.ops.row import row_of
from symgrad.ops.structure import Map

if TYPE_CHECKING:
    from symgrad.show.look import latex, mathml, unicode
    from symgrad.show.text import format_equations
else:
    latex = late("symgrad.show.look", "latex")
    mathml = late("symgrad.show.look", "mathml")
    unicode = late("symgrad.show.look", "unicode")
    format_equations = late("symgrad.show.text", "format_equations")

LETTERS = {"kernel": "W", "bias": "b"}


def name_formulas(layers: Sequence[Layer], output: Expr) -> None:
    """Propose X, W1 b1 W2 b2, Z1 Z2 before activations, H1 H2 (H if there is one) after them, P at the end."""
    weighted = [layer for layer in layers if "kernel" in layer.parameters_by_name]
    for number, layer in enumerate(weighted, 1):
        for short, parameter in layer.parameters_by_name.items():
            if short in LETTERS:
                side.suggest_name(parameter, LETTERS[short] + (str(number) if len(weighted) > 1 else ""))
    activations = [node for node in topological([output]) if _is_activation(node)]
    hidden = [node for node in activations if node is not output]
    for number, node in enumerate(activations, 1):
        side.suggest_name(node.args[0], f"Z{number}" if len(activations) > 1 else "Z")
    for number, node in enumerate(hidden, 1):
        side.suggest_name(node, f"H{number}" if len(hidden) > 1 else "H")
    if output.op == "softmax":
        side.suggest_name(output, "P")
    inputs = [n for n in topological([output]) if n.op == "symbol"]
    for number, node in enumerate(inputs, 1):
        if re.fullmatch(r"input(_\d+)?", node.attrs["name"]):  # the user chose no name
            side.suggest_name(node, f"X{number}" if len(inputs) > 1 else "X")


def _is_activation(node: Expr) -> bool:
    """Tell whether a layer ends in this node, and it is a function of one value."""
    if not calls_of(node) or len(node.args) != 1:
        return False
    return isinstance(row_of(node).structure, Map) or node.op in ("softmax", "log_softmax")


class Gradients(dict[str, Expr]):
    """The gradients of a model by the names of its parameters; printed, the equations that compute them."""

    def __init__(self, items: Sequence[tuple[str, Parameter, Expr]]) -> None:
        super().__init__({name: gradient for name, _, gradient in items})
        self._lines = {f"d{side.suggested_name(p) or name.replace('/', '_')}": g for name, p, g in items}

    @property
    def latex(self) -> str:
        """Give the equations as LaTeX."""
        return latex(self._lines)

    @property
    def unicode(self) -> str:
        """Give the equations in mathematical signs."""
        return unicode(self._lines)

    def __str__(self) -> str:
        return format_equations(self._lines)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"

    def _repr_html_(self) -> str:
        return mathml(self._lines)
