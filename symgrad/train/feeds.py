"""Feeds: the caller's arrays matched with the symbols of a model.

In: arrays, input symbols, the symbol of the labels. Out: `Rows` in the shape the graph wants, or an error that says what
to give instead, before anything runs. It must not know models or layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr
from symgrad.shape import format_shape
from symgrad.train.labels import check_classes
from symgrad.train.rows import Rows, as_rows

ROW_SUM_TOLERANCE = 1e-5


def arrays_of(x: Any, inputs: int) -> list[np.ndarray]:
    """Give one array per input; several inputs take a list or tuple of arrays."""
    if inputs <= 1:
        return [np.asarray(x)]
    if not isinstance(x, list | tuple) or len(x) != inputs:
        got = f"{len(x)} arrays" if isinstance(x, list | tuple) else type(x).__name__
        raise ShapeError(f"the model has {inputs} inputs: give a list of as many arrays", got=got)
    return [np.asarray(a) for a in x]


def input_rows(arrays: Sequence[np.ndarray], symbols: Sequence[Expr]) -> list[Rows]:
    """View the samples of each input; ShapeError where they do not have its shape."""
    rows = [as_rows(name, a) for name, a in zip(_input_names(len(symbols)), arrays, strict=True)]
    for name, r, symbol in zip(_input_names(len(symbols)), rows, symbols, strict=True):
        if r.array.shape[1:] != symbol.shape[1:]:
            got = f"{format_shape(r.array.shape)} for {format_shape(symbol.shape)}"
            hint = f"Try {name}.reshape({', '.join(['len(' + name + ')', *map(str, symbol.shape[1:])])})."
            raise ShapeError(f"{name}: samples have another shape than the model's input", got=got, hint=hint)
    return rows


def label_rows(y: Any, labels: Expr, classes: Any) -> Rows:
    """View the labels in the shape the loss takes; class numbers are checked against the number of classes."""
    array = np.asarray(y)
    if array.ndim == labels.ndim + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    elif array.ndim == labels.ndim - 1 and labels.shape[-1:] == (1,):
        array = array[..., None]
    if array.ndim != labels.ndim or array.shape[1:] != labels.shape[1:]:
        got = f"{format_shape(array.shape)} for {format_shape(labels.shape)}"
        raise ShapeError("y: labels have another shape than the loss takes", got=got, hint=_hint(array, labels.ndim))
    if labels.dtype.is_integer:
        if array.dtype.kind not in "biu":
            hint = "Use y.astype('int32'), or a loss for one-hot rows."
            raise DTypeError("y: this loss takes class numbers, which are integers", got=str(array.dtype), hint=hint)
        check_classes(array, int(classes))
    return as_rows("y", array)


def check_samples(inputs: Sequence[Rows], labels: Rows | None) -> None:
    """Refuse data sets of different lengths, or without samples."""
    named = dict(zip(_input_names(len(inputs)), inputs, strict=True))
    if labels is not None:
        named["y"] = labels
    lengths = {name: r.samples for name, r in named.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ShapeError("the numbers of samples differ", got=got)
    if not inputs[0].samples:
        raise ShapeError("there are no samples", got="x is empty")


def rows_sum_to_one(labels: np.ndarray) -> bool:
    """Tell whether labels are distributions, up to rounding."""
    return bool(np.all(np.abs(labels.sum(axis=-1, dtype=np.float64) - 1) <= ROW_SUM_TOLERANCE))


def split_off(x: Any, y: Any, share: float, validation: Any) -> tuple[Any, Any, Any]:
    """Hold back the end of the data for validation where a share is given; give x, y and the validation pair or None."""
    if validation is not None:
        if not isinstance(validation, list | tuple) or len(validation) != 2:
            raise TypeError("validation_data is a pair (x, y)")
        return x, y, validation
    if not share:
        return x, y, None
    if not 0 < share < 1:
        raise ValueError(f"validation_split lies between 0 and 1, not {share}")
    labels = np.asarray(y)
    at = int(len(labels) * (1 - share))
    if isinstance(x, list | tuple) and x and isinstance(x[0], np.ndarray):
        return [a[:at] for a in x], labels[:at], ([a[at:] for a in x], labels[at:])
    samples = np.asarray(x)
    return samples[:at], labels[:at], (samples[at:], labels[at:])


def _input_names(count: int) -> list[str]:
    return ["x"] if count == 1 else [f"x[{k}]" for k in range(count)]


def _hint(array: np.ndarray, wanted: int) -> str:
    if array.ndim == 1 and wanted == 2:
        return "For class numbers use the loss 'sparse_categorical_crossentropy', or sg.to_categorical(y)."
    if array.ndim == 2 and wanted == 1:
        return "For one-hot rows use the loss 'categorical_crossentropy'."
    return ""
