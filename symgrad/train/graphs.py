"""The graphs of a model: its loss, its reports, its gradients and its training step, in the symbols of one batch.

In: inputs and output of a model, a loss, metrics, an optimizer. Out: expressions. Nothing here is simplified or
compiled. It must not know arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import ShapeError
from symgrad.expr import Expr, Parameter, symbol_node, topological
from symgrad.nn import losses, metrics
from symgrad.ops.composite import mean
from symgrad.ops.row import describe
from symgrad.reverse import grad

BATCH = "N"  # the dimension of the batch axis in every model


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


def check_graph(inputs: Sequence[Any], output: Any) -> None:
    """Refuse a graph that no data set can feed: inputs and output have the batch axis first, and only there."""
    for node in inputs:
        if not isinstance(node, Expr) or node.op != "symbol":
            kind = repr(node) if isinstance(node, Expr) else type(node).__name__
            raise TypeError(f"a model's input is what sg.layers.Input or sg.symbol gives, not {kind}")
        if not node.ndim or str(node.shape[0]) != BATCH or not all(isinstance(n, int) for n in node.shape[1:]):
            what = f"a model's input has the batch axis {BATCH} first, and fixed sizes after it"
            raise ShapeError(what, got=describe(node), hint="sg.layers.Input(shape) declares one.")
    given = [node.attrs["name"] for node in inputs]
    for name in given:
        if given.count(name) > 1:
            raise ValueError(f"two inputs are named {name!r}. Give each its own name.")
    if not isinstance(output, Expr):
        raise TypeError(f"a model has one output, an expression, not {type(output).__name__}")
    if not output.ndim or str(output.shape[0]) != BATCH or not all(isinstance(n, int) for n in output.shape[1:]):
        raise ShapeError(f"a model's output has the batch axis {BATCH} first", got=describe(output))
    for node in topological([output]):
        if node.op == "symbol" and not any(node is i for i in inputs):
            raise ValueError(f"the output needs {node.attrs['name']!r}, which is not among the inputs")


def metrics_by_name(given: Any) -> dict[str, Any]:
    """Give metrics by their keys in a History: functions of one name are numbered, and none takes the loss's place."""
    if given is None or isinstance(given, str) or callable(given):
        given = [] if given is None else [given]
    if not isinstance(given, list | tuple):
        raise TypeError(f"metrics is a list of names or functions, not {type(given).__name__}: {given!r}")
    named: dict[str, Any] = {}
    for metric in given:
        name, number = metrics.name_of(metric), 1
        found = metrics.get(metric)
        if named.get(name) is found:
            continue
        key = name
        while key in named or key == "loss":
            key, number = f"{name}_{number}", number + 1
        named[key] = found
    return named


def objective(
    inputs: Sequence[Expr], output: Expr, loss: Any, named_metrics: Mapping[str, Any], with_facts: bool = True
) -> Objective:
    """Build loss and metrics of a batch; `with_facts` lets the labels carry what the loss expects of them."""
    kind, facts = losses.label_type(loss, output)
    taken = {node.attrs["name"] for node in inputs}
    name = next(name for name in ("Y", "Y_true", "Y_labels") if name not in taken)  # equal symbols would be one
    labels = symbol_node(name, kind.shape, kind.dtype, facts if with_facts else ())
    reports = {"loss": _averaged("loss", loss(labels, output))}
    for name, metric in named_metrics.items():
        reports[name] = _averaged(f"metric {name!r}", metrics.get(metric)(labels, output))
    return Objective(tuple(inputs), labels, reports)


def _averaged(what: str, value: Any) -> Expr:
    """Give a scalar: what a user's function gives for each sample is averaged, as in Keras."""
    if not isinstance(value, Expr):
        raise TypeError(f"the {what} gives {type(value).__name__} instead of an expression of (y_true, y_pred)")
    return value if value.ndim == 0 else mean(value)


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
    """Give the reports and the new values of all parameters of one step, to be simplified as one graph."""
    updates: dict[Parameter, Expr] = {**optimizer.updates(target.loss, list(parameters)), **dict(registered)}
    return dict(target.reports), updates
