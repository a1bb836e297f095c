"""Feeds: the caller's arrays matched with the symbols of a model.

In: arrays, input symbols, the symbol of the labels. Out: `Rows` in the shape the graph wants, or an error that says
what to give instead, before anything runs. It must not know models or layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.boundary import accepts, refusal, to_array
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr
from symgrad.shape import Shape, format_shape
from symgrad.train.labels import check_classes
from symgrad.train.rows import Rows, as_rows, check_array

ROW_SUM_TOLERANCE = 1e-5


def arrays_of(x: Any, names: Sequence[str]) -> list[np.ndarray]:
    """Give one array per input; several inputs take a list of arrays, or a dict by the names of the inputs."""
    if isinstance(x, Mapping):
        if x.keys() != set(names):
            raise TypeError(f"x has the keys {list(x)}, the model's inputs are {list(names)}")
        x = [x[name] for name in names] if len(names) > 1 else x[names[0]]
    if len(names) <= 1:
        return [to_array("x", x)]
    if not isinstance(x, list | tuple) or len(x) != len(names):
        got = f"{len(x)} arrays" if isinstance(x, list | tuple) else type(x).__name__
        raise ShapeError(f"the model has {len(names)} inputs: give a list of as many arrays", got=got)
    return [to_array(name, a) for name, a in zip(_input_names(len(names)), x, strict=True)]


def input_rows(arrays: Sequence[np.ndarray], symbols: Sequence[Expr]) -> list[Rows]:
    """View the samples of each input; ShapeError where they do not have its shape."""
    for name, array, symbol in zip(_input_names(len(symbols)), arrays, symbols, strict=True):
        if array.shape[1:] != symbol.shape[1:]:
            got = f"{format_shape(array.shape)} for {format_shape(symbol.shape)}"
            hint = _reshape_hint(name, array.shape, symbol.shape[1:])
            raise ShapeError(f"{name}: samples have another shape than the model's input", got=got, hint=hint)
        if not accepts(symbol.dtype, array):
            hint = refusal(symbol.dtype, array)
            raise DTypeError(f"{name}: the model's input is {symbol.dtype}", got=f"{array.dtype} values", hint=hint)
    return [as_rows(f"x{k}", array) for k, array in enumerate(arrays)]


def label_rows(y: Any, labels: Expr, classes: Any) -> Rows:
    """View the labels in the shape the loss takes; class numbers are checked against the number of classes."""
    array = to_array("y", y)
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


def check_samples(inputs: Sequence[np.ndarray], labels: Any = None) -> None:
    """Refuse data sets of different lengths, without samples, or that are no data sets."""
    named = dict(zip(_input_names(len(inputs)), inputs, strict=True))
    if labels is not None:
        named["y"] = to_array("y", labels)
    for name, array in named.items():
        check_array(name, array)
    lengths = {name: len(a) for name, a in named.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ShapeError("the numbers of samples differ", got=got)
    if not len(inputs[0]):
        raise ShapeError("there are no samples", got="x is empty")


def rows_sum_to_one(labels: np.ndarray) -> bool:
    """Tell whether labels are distributions, up to rounding."""
    return bool(np.all(np.abs(labels.sum(axis=-1, dtype=np.float64) - 1) <= ROW_SUM_TOLERANCE))


def split_off(arrays: Sequence[np.ndarray], y: Any, share: object) -> tuple[Any, Any, tuple[Any, Any] | None]:
    """Hold back a share at the end of the data for validation; give x, y and the pair held back, all of them views."""
    if isinstance(share, bool) or not isinstance(share, int | float | np.integer | np.floating):
        raise TypeError(f"validation_split is a number, not {type(share).__name__}: {share!r}")
    if not 0 <= share < 1:
        raise ValueError(f"validation_split lies between 0 and 1, not {share}")
    labels = to_array("y", y)
    check_samples(arrays, labels)
    if not share:
        return _one_or_all(arrays), labels, None
    at = int(len(labels) * (1 - share))
    if not at:
        raise ValueError(f"validation_split {share} leaves none of {len(labels)} samples to train on")
    held_back = _one_or_all([a[at:] for a in arrays]), labels[at:]
    return _one_or_all([a[:at] for a in arrays]), labels[:at], held_back


def check_pair(validation: Any) -> tuple[Any, Any]:
    """Refuse validation data that are no pair (x, y)."""
    if not isinstance(validation, list | tuple) or len(validation) != 2:
        raise TypeError("validation_data is a pair (x, y)")
    return validation[0], validation[1]


def _one_or_all(arrays: Sequence[np.ndarray]) -> Any:
    return arrays[0] if len(arrays) == 1 else list(arrays)


def _input_names(count: int) -> list[str]:
    return ["x"] if count == 1 else [f"x[{k}]" for k in range(count)]


def _reshape_hint(name: str, shape: tuple[int, ...], sample: Shape) -> str:
    """Say how the array becomes samples of this shape, where it can."""
    if shape == sample:
        return f"A single sample is {name}[None]."
    if math.prod(shape[1:]) == math.prod(n for n in sample if isinstance(n, int)):
        return f"Try {name}.reshape({', '.join(['len(' + name + ')', *map(str, sample)])})."
    return ""


def _hint(array: np.ndarray, wanted: int) -> str:
    if array.ndim == 1 and wanted == 2:
        return "For class numbers use the loss 'sparse_categorical_crossentropy', or sg.to_categorical(y)."
    if array.ndim == 2 and wanted == 1:
        return "For one-hot rows use the loss 'categorical_crossentropy'."
    return ""
