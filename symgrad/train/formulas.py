"""The names in a model's formulas: W1, b1, H1 (H if there is one), P.

In: the layers and the output of a model. Out: names beside the nodes, for printers only. It must not know how formulas
are printed.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad import side
from symgrad.expr import Expr, topological
from symgrad.nn.layer import Layer, calls_below


def name_formulas(layers: Sequence[Layer], output: Expr) -> None:
    """Give parameters and activations the names that formulas show: W1, b1, H1 (H if there is one), P."""
    weighted = [layer for layer in layers if layer.parameters_by_name.keys() >= {"kernel"}]
    for number, layer in enumerate(weighted, 1):
        for short, letter in (("kernel", "W"), ("bias", "b")):
            if short in layer.parameters_by_name:
                digits = str(number) if len(weighted) > 1 else ""
                side.set_name(layer.parameters_by_name[short], f"{letter}{digits}")
    hidden = [n for n in topological([output]) if n is not output and _is_activation(n)]
    for number, node in enumerate(hidden, 1):
        side.set_name(node, f"H{number}" if len(hidden) > 1 else "H")
    if output.op == "softmax":
        side.set_name(output, "P")


def _is_activation(node: Expr) -> bool:
    calls = calls_below([node])
    return node.op in ("relu", "tanh", "sigmoid", "softplus") and bool(calls) and len(node.args) == 1
