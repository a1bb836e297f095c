"""The boundary between the caller's arrays and graphs: what is accepted, and what dimensions arrays bind.

In: symbols and the values given for them. Out: native, C-ordered arrays of the declared dtype, and the values of the
dimensions; ShapeError or DTypeError where they do not fit. Conversion is `same_kind`: float64 to float32 rounds, int to
float converts, int to int only if all values fit, float to int is refused. It must not know what is done with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL, DType
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr
from symgrad.ops.row import label
from symgrad.shape import Dim, Size, evaluate, format_shape, names


def accepts(target: DType, array: np.ndarray) -> bool:
    """Tell whether an array's values can become this dtype without silent loss beyond rounding."""
    kind = array.dtype.kind
    if kind not in "biuf":
        return False
    if target.is_float or array.dtype == target.numpy or array.size == 0:
        return True
    if kind == "f" or target is BOOL:
        return False
    if kind == "b":
        return True
    info = np.iinfo(target.numpy)
    return int(array.min()) >= info.min and int(array.max()) <= info.max


def as_array(node: Expr, value: Any, working: DType | None = None) -> np.ndarray:
    """Convert a value given for a symbol; the very array if it is native, C-ordered and of the right dtype already.

    With `working` float symbols take that dtype instead of their own.
    """
    if isinstance(value, Expr | Dim):
        raise TypeError(f"the value of {label(node)} is an expression. Give an array.")
    array = to_array(label(node), value)
    if not accepts(node.dtype, array):
        raise DTypeError(f"{label(node)} is {node.dtype}", got=f"{array.dtype} values", hint=refusal(node.dtype, array))
    check_rank(node, array.shape)
    target = working if working is not None and node.dtype.is_float else node.dtype
    with np.errstate(over="ignore"):  # float64 to float32 rounds, beyond the largest float32 to infinity
        return np.require(array, target.numpy, ["C", "A"])


def to_array(name: str, value: Any) -> np.ndarray:
    """Make an array of what was given; ShapeError for nested lists of different lengths."""
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ShapeError(f"{name}: the parts of a list differ in shape", hint="An array has one shape.") from None


def check_rank(node: Expr, shape: tuple[int, ...]) -> None:
    """Compare the rank of an array with the one declared."""
    if len(shape) != node.ndim:
        got = f"{format_shape(shape)} instead of {format_shape(node.shape)}"
        raise ShapeError(f"{label(node)} has the wrong rank", got=got)


def refusal(target: DType, array: np.ndarray) -> str:
    """Say why values were refused, and what to do."""
    kind = array.dtype.kind
    if kind == "O":
        return "Give numbers, not Python objects."
    if kind not in "biuf":
        return "Only real numbers are accepted."
    if kind in "iu" and target is not BOOL:
        return f"The values run from {array.min()} to {array.max()} and do not fit."
    return f"Convert the array first, e.g. with astype({str(target)!r})."


class Binding:
    """The dimensions read so far, each with the place it was read from."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.source: dict[str, str] = {}

    def bind(self, size: Size, value: int, source: str) -> None:
        """Give a dimension its value; ShapeError if it has another one."""
        name = str(size)
        known = self.sizes.setdefault(name, value)
        self.source.setdefault(name, source)
        if known != value:
            raise ShapeError(
                f"dimension {name} has two values", got=f"{known} ({self.source[name]}), {value} ({source})"
            )

    def read(self, node: Expr, shape: Sequence[int]) -> None:
        """Bind every dimension that stands alone in the node's shape."""
        for axis, (size, value) in enumerate(zip(node.shape, shape, strict=True)):
            if is_alone(size):
                self.bind(size, value, f"axis {axis} of {label(node)}")

    def check(self, node: Expr, shape: tuple[int, ...]) -> None:
        """Compare the sizes that are constant, or computed from dimensions, with the array's."""
        for axis, (size, value) in enumerate(zip(node.shape, shape, strict=True)):
            if names(size) <= self.sizes.keys() and evaluate(size, self.sizes) != value:
                wanted = size if isinstance(size, int) else f"{size} = {evaluate(size, self.sizes)}"
                what = f"axis {axis} of {label(node)} has the wrong size"
                raise ShapeError(what, got=f"{value} instead of {wanted}; the array is {format_shape(shape)}")


def is_alone(size: Size) -> bool:
    """Tell whether a size is a dimension by itself, so that an array's shape tells its value."""
    return isinstance(size, Dim) and str(size) in size.names


def bind_shapes(shapes: Mapping[Expr, tuple[int, ...]]) -> dict[str, int]:
    """Read the dimensions off the shapes of the arrays given for symbols."""
    binding = Binding()
    for node, shape in shapes.items():
        check_rank(node, shape)
        binding.read(node, shape)
    for node, shape in shapes.items():
        binding.check(node, shape)
    return binding.sizes


def unbound(inputs: Iterable[Expr], needed: Iterable[str]) -> list[str]:
    """List the needed dimensions that stand alone in no input's shape."""
    alone = {str(n) for node in inputs for n in node.shape if is_alone(n)}
    return sorted(set(needed) - alone)
