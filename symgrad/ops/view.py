"""Views: a strided array in memory seen as a tensor.

In: a vector that stands for a stretch of memory, a shape, a stride in elements per axis and the position of the first
element. Out: a Layout node; nothing is copied. The training loop reads the caller's data sets through it. It must not
know arrays.
"""

from __future__ import annotations

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, TensorType, Type
from symgrad.ops.row import Attrs, Case, Row, Sample, describe, register
from symgrad.ops.structure import Indices, Layout
from symgrad.shape import Size, dim

__all__ = ["VIEW"]

n = dim("n")


def _position(node: Expr, index: Indices) -> Indices:
    position: Size = node.attrs["offset"]
    for i, stride in zip(index, node.attrs["strides"], strict=True):
        position = position + i * stride
    return (position,)


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    if x.ndim != 1 or len(attrs["shape"]) != len(attrs["strides"]):
        raise ShapeError("view: memory is a vector, and each axis has a stride", got=describe(x))
    return TensorType(attrs["shape"], x.dtype)


def _oracle(x: np.ndarray, *, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> np.ndarray:
    positions = np.full(shape, offset, np.int64)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        along = np.arange(size) * stride
        positions += along.reshape((-1,) + (1,) * (len(shape) - axis - 1))
    return np.asarray(x)[positions]


VIEW: Row = register(
    Row(
        name="view", structure=Layout(_position), arity=1, infer=_infer, oracle=_oracle, differentiable=False,
        vjp=lambda node, g: (None,), doc="Strided memory as a tensor; element i lies at offset + i . strides.",
        cases=(
            Case((Sample((4 * n + 1,)),), {"shape": (n, 3), "strides": (4, 1), "offset": 1}),
            Case((Sample((3 * n,)),), {"shape": (n, 3), "strides": (1, n), "offset": 0}),
        ),
    )
)  # fmt: skip
