"""Losses: scalars, the mean over the batch.

In: labels `y_true` and predictions `y_pred`, the batch along the first axis. Out: a rank-0 expression in plain rows.

Probabilities are never clipped. Clipping makes a wrong answer of every confident one; instead the logarithm meets what
made the probability. `log(softmax(z))` and `log(sigmoid(z))` are written as they stand: the stability rules, which run
before a gradient is derived and before anything is compiled, make them log_softmax and softplus, finite for all finite
logits, so that 0 * log never meets an infinity, and the gradient becomes (P - Y) / N.
Where the probabilities come from elsewhere nothing can be rewritten, and 0 * log(0), a label that excludes what the
prediction excludes, counts as 0: its limit. There the term is y * log(where((y == 0) & (p == 0), 1, p)), whose
derivatives are finite wherever the loss is, while a label that contradicts a probability of 0 costs inf, as it should.
The interpreter evaluates what is written: there, softmax of logits that are more than 700 apart is 0, and its logarithm
-inf. Apply `sg.simplify` first, or give logits.

It must not know training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symgrad.dtypes import DType
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr, TensorType
from symgrad.nn.lookup import check_flag, find
from symgrad.ops.activations import softplus
from symgrad.ops.composite import log_softmax, mean
from symgrad.ops.index import pick
from symgrad.ops.layout import reshape
from symgrad.ops.reduce import sum as sum_over
from symgrad.ops.row import as_expr, cast, describe, where_text
from symgrad.ops.scalar import equal, log, logical_and, square, where
from symgrad.shape import Shape, format_shape

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "MeanAbsoluteError", "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy", "categorical_crossentropy", "mae", "mean_absolute_error", "mean_squared_error", "mse",
    "sparse_categorical_crossentropy",
    "get", "label_type", "same_shape",
]  # fmt: skip

LossFunction = Callable[[Any, Any], Expr]

# Rows whose logarithm the stability rules replace: it is finite wherever their operand is.
_STABLE_LOGARITHM = frozenset({"softmax", "sigmoid"})


# -- the losses ----------------------------------------------------------------------------------------------------


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Expr:
    """Average -sum(y * log(p)) over the batch; y and p are (N, classes), the rows of y distributions.

    With `from_logits` the predictions are logits z, and p is softmax(z). Raises ShapeError where the shapes differ.

    >>> import numpy as np
    >>> from symgrad.interpreter import evaluate
    >>> loss = categorical_crossentropy(np.eye(2), np.array([[0.5, 0.5], [0.0, 1.0]]))
    >>> round(float(evaluate(loss)), 4)
    0.3466
    """
    name = "categorical_crossentropy"
    p = _classes(name, y_true, y_pred)
    hint = "Integer labels belong to sparse_categorical_crossentropy; sg.one_hot makes rows of them."
    y = cast(same_shape(name, as_expr(y_true), p, hint), p.dtype)
    terms = y * log_softmax(p, axis=-1) if check_flag("from_logits", from_logits) else _times_log(y, p)
    return _average(-sum_over(terms, axis=-1))


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Expr:
    """Average -log(p[i, y[i]]) over the batch; y holds integers below the number of classes, p is (N, classes).

    y may be (N,) or (N, 1). With `from_logits` the predictions are logits z, and p is softmax(z). Raises DTypeError for
    labels that are no integers, ShapeError where the shapes do not fit.

    >>> import numpy as np
    >>> from symgrad.interpreter import evaluate
    >>> loss = sparse_categorical_crossentropy([0, 1], np.array([[0.5, 0.5], [0.0, 1.0]]))
    >>> round(float(evaluate(loss)), 4)
    0.3466
    """
    p = _classes("sparse_categorical_crossentropy", y_true, y_pred)
    y = class_labels("sparse_categorical_crossentropy", as_expr(y_true), p)
    if check_flag("from_logits", from_logits):
        return _average(-pick(log_softmax(p, axis=-1), y))
    return _average(-log(pick(p, y)))


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Expr:
    """Average -(y * log(p) + (1 - y) * log(1 - p)) over the batch and all other axes.

    With `from_logits` the predictions are logits z, p is sigmoid(z), and the terms are softplus(z) - y * z. Labels (N,)
    fit predictions (N, 1). Raises ShapeError where the shapes differ.

    >>> import numpy as np
    >>> from symgrad.interpreter import evaluate
    >>> round(float(evaluate(binary_crossentropy([1, 0], np.array([0.5, 0.0])))), 4)
    0.3466
    """
    y, p = _pair("binary_crossentropy", y_true, y_pred)
    if check_flag("from_logits", from_logits):
        return _average(softplus(p) - y * p)
    if p.op == "sigmoid":
        return _average(-(y * log(p) + (1 - y) * log(1 - p)))
    return _average(-(_times_log(y, p) + _times_log(1 - y, 1 - p)))


def mean_squared_error(y_true: Any, y_pred: Any) -> Expr:
    """Average (p - y)**2 over the batch and all other axes.

    Labels (N,) fit predictions (N, 1). Raises ShapeError where the shapes differ.

    >>> from symgrad.interpreter import evaluate
    >>> float(evaluate(mean_squared_error([1.0, 2.0], [1.0, 4.0])))
    2.0
    """
    y, p = _pair("mean_squared_error", y_true, y_pred)
    return _average(square(p - y))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Expr:
    """Average abs(p - y) over the batch and all other axes; its slope where p is y counts as 0.

    Labels (N,) fit predictions (N, 1). Raises ShapeError where the shapes differ.

    >>> from symgrad.interpreter import evaluate
    >>> float(evaluate(mean_absolute_error([1.0, 2.0], [1.0, 4.0])))
    1.0
    """
    y, p = _pair("mean_absolute_error", y_true, y_pred)
    return _average(abs(p - y))


mse, mae = mean_squared_error, mean_absolute_error


# -- parts ---------------------------------------------------------------------------------------------------------


def _times_log(y: Expr, p: Expr) -> Expr:
    """Give y * log(p) with 0 * log(0) = 0; the module's docstring says why this is two forms."""
    if p.op in _STABLE_LOGARITHM:
        return y * log(p)
    return y * log(where(logical_and(equal(y, 0), equal(p, 0)), 1, p))


def _average(loss: Expr) -> Expr:
    return loss if loss.ndim == 0 else mean(loss)


def _floats(name: str, y_true: Any, y_pred: Any) -> Expr:
    p = as_expr(y_pred)
    if not p.dtype.is_float:
        got = f"{describe(p)} of {p.dtype}"
        hint = "The labels come first: (y_true, y_pred)." if as_expr(y_true).dtype.is_float else ""
        raise DTypeError(f"{name}: predictions are floats", got=got, where=where_text([p]), hint=hint)
    return p


def _pair(name: str, y_true: Any, y_pred: Any) -> tuple[Expr, Expr]:
    """Give labels and predictions in one shape and dtype."""
    p = _floats(name, y_true, y_pred)
    return cast(same_shape(name, as_expr(y_true), p), p.dtype), p


def _classes(name: str, y_true: Any, y_pred: Any) -> Expr:
    p = _floats(name, y_true, y_pred)
    if p.ndim == 0:
        raise ShapeError(f"{name}: predictions have an axis of classes", got=describe(p), where=where_text([p]))
    return p


def same_shape(name: str, y: Expr, p: Expr, hint: str = "") -> Expr:
    """Give the labels in the shape of the predictions; a last axis of size 1 may be missing in either.

    Nothing but a scalar broadcasts: (N,) against (N, 1) would make (N, N) pairs. Raises ShapeError.
    """
    if y.shape == p.shape or y.ndim == 0:
        return y
    if (*y.shape, 1) == p.shape or y.shape == (*p.shape, 1):
        return reshape(y, p.shape)
    got = f"{describe(y)}, {describe(p)}"
    raise ShapeError(f"{name}: labels and predictions differ in shape", got=got, where=where_text([y, p]), hint=hint)


def class_labels(name: str, y: Expr, p: Expr) -> Expr:
    """Give integer labels in the shape of the predictions without their last axis. Raises DTypeError or ShapeError."""
    if not y.dtype.is_integer:
        hint = "Rows of probabilities belong to categorical_crossentropy; astype('int32') converts whole numbers."
        got = f"{describe(y)} of {y.dtype}"
        raise DTypeError(f"{name}: labels are integers", got=got, where=where_text([y]), hint=hint)
    if y.shape == p.shape[:-1]:
        return y
    if y.shape == (*p.shape[:-1], 1):
        return reshape(y, p.shape[:-1])
    got = f"{describe(y)}, {describe(p)}"
    hint = f"Labels of shape {format_shape(p.shape[:-1])} fit."
    raise ShapeError(f"{name}: one label per prediction is needed", got=got, where=where_text([y, p]), hint=hint)


# -- losses as objects, by name ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CategoricalCrossentropy:
    """`categorical_crossentropy` with its option chosen, for `compile(loss=...)`."""

    from_logits: bool = False

    def __call__(self, y_true: Any, y_pred: Any) -> Expr:
        """Give the loss."""
        return categorical_crossentropy(y_true, y_pred, self.from_logits)


@dataclass(frozen=True, slots=True)
class SparseCategoricalCrossentropy:
    """`sparse_categorical_crossentropy` with its option chosen, for `compile(loss=...)`."""

    from_logits: bool = False

    def __call__(self, y_true: Any, y_pred: Any) -> Expr:
        """Give the loss."""
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits)


@dataclass(frozen=True, slots=True)
class BinaryCrossentropy:
    """`binary_crossentropy` with its option chosen, for `compile(loss=...)`."""

    from_logits: bool = False

    def __call__(self, y_true: Any, y_pred: Any) -> Expr:
        """Give the loss."""
        return binary_crossentropy(y_true, y_pred, self.from_logits)


@dataclass(frozen=True, slots=True)
class MeanSquaredError:
    """`mean_squared_error` as an object, for `compile(loss=...)`."""

    def __call__(self, y_true: Any, y_pred: Any) -> Expr:
        """Give the loss."""
        return mean_squared_error(y_true, y_pred)


@dataclass(frozen=True, slots=True)
class MeanAbsoluteError:
    """`mean_absolute_error` as an object, for `compile(loss=...)`."""

    def __call__(self, y_true: Any, y_pred: Any) -> Expr:
        """Give the loss."""
        return mean_absolute_error(y_true, y_pred)


LOSSES: dict[str, LossFunction] = {
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "binary_crossentropy": binary_crossentropy,
    "mean_squared_error": mean_squared_error, "mse": mean_squared_error,
    "mean_absolute_error": mean_absolute_error, "mae": mean_absolute_error,
}  # fmt: skip

_CLASSES: tuple[Callable[[], LossFunction], ...] = (
    CategoricalCrossentropy, SparseCategoricalCrossentropy, BinaryCrossentropy, MeanSquaredError, MeanAbsoluteError,
)  # fmt: skip


def get(loss: object) -> LossFunction:
    """Give the loss of a name, or the callable `(y_true, y_pred) -> scalar` given.

    Raises ValueError for an unknown name, TypeError for anything else.

    >>> get("mse") is mean_squared_error, get(CategoricalCrossentropy)
    (True, CategoricalCrossentropy(from_logits=False))
    """
    for make in _CLASSES:
        if loss is make:
            return make()
    return loss if callable(loss) else find("loss", loss, LOSSES)


def label_type(loss: LossFunction, output: Expr) -> tuple[TensorType, tuple[str, ...]]:
    """Give the type and the facts of the labels that a loss takes for an output of a model.

    Categorical cross-entropy takes distributions, the sparse one int32 classes, any other what the output is.

    >>> from symgrad.ops import dim, symbol
    >>> type_, facts = label_type(categorical_crossentropy, symbol("p", (dim("N"), 10)))
    >>> str(type_), facts
    ('float32(N, 10)', ('rows_sum_to_one',))
    """
    shape: Shape = output.shape
    if loss is sparse_categorical_crossentropy or isinstance(loss, SparseCategoricalCrossentropy):
        return TensorType(shape[:-1], DType.INT32), ()
    distribution = loss is categorical_crossentropy or isinstance(loss, CategoricalCrossentropy)
    return TensorType(shape, output.dtype), ("rows_sum_to_one",) if distribution else ()
