"""The graphs of a model: its loss, its reports, its gradients and its training step, in the symbols of one batch.

In: inputs and output of a model, a loss, metrics, an optimizer. Out: expressions, simplified together. Nothing here is
compiled. It must not know arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.expr import Expr, Parameter, symbol_node, topological
from symgrad.nn import losses, metrics
from symgrad.reverse import grad
from symgrad.simplifier import simplify


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """What a compiled model minimises and reports: `reports` maps names to scalars, the loss first."""

    inputs: tuple[Expr, ...]
    labels: Expr
    reports: Mapping[str, Expr]

    @property
    def loss(self) -> Expr:
        """Give the loss."""
        return self.reports["loss"]


def objective(
    inputs: Sequence[Expr], output: Expr, loss: Any, named_metrics: Mapping[str, Any], with_facts: bool = True
) -> Objective:
    """Build loss and metrics of a batch; `with_facts` lets the labels carry what the loss expects of them."""
    kind, facts = losses.label_type(loss, output)
    labels = symbol_node("Y", kind.shape, kind.dtype, facts if with_facts else ())
    reports = {"loss": loss(labels, output)}
    reports.update({name: metrics.get(m)(labels, output) for name, m in named_metrics.items()})
    return Objective(tuple(inputs), labels, reports)


def trainable_parameters(output: Expr) -> list[Parameter]:
    """List the parameters that a gradient step moves, in the order of their first use."""
    return [n for n in topological([output]) if isinstance(n, Parameter) and n.trainable]


def gradients(target: Objective, parameters: Sequence[Parameter]) -> list[Expr]:
    """Derive the gradient function of the loss."""
    result: list[Expr] = grad(target.loss, list(parameters))
    return result


def training_step(
    target: Objective, parameters: Sequence[Parameter], optimizer: Any, registered: Sequence[tuple[Parameter, Expr]]
) -> tuple[dict[str, Expr], dict[Parameter, Expr]]:
    """Give the reports and the new values of all parameters of one step, simplified as one graph."""
    updates: dict[Parameter, Expr] = {**optimizer.updates(target.loss, list(parameters)), **dict(registered)}
    names = list(target.reports)
    roots = simplify([*target.reports.values(), *updates.values()])
    reports = dict(zip(names, roots[: len(names)], strict=True))
    return reports, dict(zip(updates, roots[len(names) :], strict=True))
