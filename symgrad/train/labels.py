"""Labels: class numbers, one-hot rows, and the checks that training makes before its first step."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexRangeError


def to_categorical(labels: Any, num_classes: int | None = None, dtype: Any = "float32") -> np.ndarray:
    """Turn class numbers into one-hot rows.

    - `labels`: integers of any shape; a last axis of size 1 is dropped.
    - `num_classes`: the length of a row; by default the largest number plus one.

    Raise IndexRangeError for a label outside 0 .. num_classes - 1, DTypeError for labels that are not integers.

    >>> to_categorical([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    array = np.asarray(labels)
    if array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    whole = array.dtype.kind in "biu" or (array.dtype.kind == "f" and bool(np.all(np.trunc(array) == array)))
    if not whole or not np.all(np.isfinite(array)):
        raise DTypeError("labels must be integers", got=str(array.dtype))
    numbers = array.astype(np.int64)
    if num_classes is None:
        num_classes = int(numbers.max(initial=-1)) + 1
    check_classes(numbers, num_classes)
    result = np.zeros((*numbers.shape, num_classes), dtype)
    np.put_along_axis(result, numbers[..., None], 1, axis=-1)
    return result


def check_classes(labels: np.ndarray, classes: int) -> None:
    """Raise IndexRangeError for the first label outside 0 .. classes - 1."""
    at = _first_outside(labels, 0, classes)
    if at is None:
        return
    raise IndexRangeError(
        f"label {labels[at]} at position {', '.join(map(str, at))} is no class",
        got=f"{classes} classes", hint=f"Labels run from 0 to {classes - 1}.",
    )  # fmt: skip


def check_range(name: str, indices: np.ndarray, least: int, bound: int) -> None:
    """Raise IndexRangeError for the first of the indices outside least .. bound - 1."""
    at = _first_outside(indices, least, bound)
    if at is not None:
        place = ", ".join(map(str, at))
        what = f"{name}[{place}] = {indices[at]} is outside an axis of size {bound}"
        raise IndexRangeError(what, hint=f"Valid: {least} to {bound - 1}.")


def _first_outside(numbers: np.ndarray, least: int, bound: int) -> tuple[int, ...] | None:
    if numbers.size == 0 or (numbers.min() >= least and numbers.max() < bound):
        return None
    return tuple(int(i) for i in np.argwhere((numbers < least) | (numbers >= bound))[0])
