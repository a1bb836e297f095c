"""Metrics: what a training run reports beside its loss, as an expression of one batch.

In: labels and predictions, the batch along the first axis. Out: a rank-0 expression, the mean over the batch; whoever
runs several batches weights by their sizes, as Keras does. It must not know training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.expr import Expr
from symgrad.nn.lookup import find
from symgrad.nn.losses import LOSSES, class_labels, mean_absolute_error, mean_squared_error, same_shape
from symgrad.ops.composite import mean
from symgrad.ops.reduce import argmax
from symgrad.ops.row import as_expr
from symgrad.ops.scalar import equal, greater

__all__ = [
    "accuracy", "binary_accuracy", "categorical_accuracy", "mean_absolute_error", "mean_squared_error",
    "sparse_categorical_accuracy", "get", "name_of",
]  # fmt: skip

Metric = Callable[[Any, Any], Expr]


def categorical_accuracy(y_true: Any, y_pred: Any) -> Expr:
    """Tell the share of rows whose greatest prediction stands where the greatest label does; the first of equals."""
    p = as_expr(y_pred)
    y = same_shape("categorical_accuracy", as_expr(y_true), p)
    return _share(equal(argmax(y, axis=-1), argmax(p, axis=-1)))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Expr:
    """Tell the share of rows whose greatest prediction stands at the label, an integer."""
    p = as_expr(y_pred)
    return _share(equal(argmax(p, axis=-1), class_labels("sparse_categorical_accuracy", as_expr(y_true), p)))


def binary_accuracy(y_true: Any, y_pred: Any) -> Expr:
    """Tell the share of predictions that lie on the label's side of 0.5 (0.5 itself counts as 0)."""
    p = as_expr(y_pred)
    y = same_shape("binary_accuracy", as_expr(y_true), p)
    return _share(equal(y, greater(p, 0.5)))


def accuracy(y_true: Any, y_pred: Any) -> Expr:
    """Tell the share of right predictions; which accuracy is meant follows from the shapes, as in Keras.

    Binary where the predictions have one number per sample, sparse where labels have an axis less or one of size 1,
    else categorical.

    >>> from symgrad.interpreter import evaluate
    >>> float(evaluate(accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]])))
    0.5
    """
    y, p = as_expr(y_true), as_expr(y_pred)
    if p.ndim < 2 or p.shape[-1] == 1:
        return binary_accuracy(y, p)
    if y.ndim < p.ndim or y.shape[-1] == 1:
        return sparse_categorical_accuracy(y, p)
    return categorical_accuracy(y, p)


def _share(hits: Expr) -> Expr:
    return mean(hits)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy, "acc": accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "binary_accuracy": binary_accuracy,
    **LOSSES,
}  # fmt: skip


def get(metric: object) -> Metric:
    """Give the metric of a name (every loss is one too), or the callable `(y_true, y_pred) -> scalar` given.

    Raises ValueError for an unknown name, TypeError for anything else.

    >>> get("accuracy") is accuracy
    True
    """
    return metric if callable(metric) else find("metric", metric, METRICS)


def name_of(metric: object) -> str:
    """Give the key of a metric in a History: the name as the user wrote it, or that of the function.

    >>> name_of("acc"), name_of(accuracy)
    ('acc', 'accuracy')
    """
    return metric if isinstance(metric, str) else str(getattr(metric, "__name__", type(metric).__name__))
