"""Random rows: pure functions of a key and of an element's position, known to users as `sg.random`.

In: a key (an int, or an int64 expression of rank 0), a shape. Out: nodes with the structure Random, whose oracle is
Philox in NumPy. The same key gives the same numbers: derive another one with `fold_in` for each use. A row also takes
a tensor of keys, as vmap makes one: each key has numbers of its own, those that it has alone. It must not know the
process seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.dtypes import DType, as_dtype
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr, TensorType, Type, constant_node
from symgrad.ops.axes import as_shape
from symgrad.ops.row import ROWS, Attrs, Case, Row, Sample, cast, describe, register, where_text
from symgrad.ops.structure import Random
from symgrad.philox import FOLD, as_key, draw_normal, draw_uniform, fold, permutation
from symgrad.shape import dim

__all__ = ["draw_normal", "draw_uniform", "fold_in", "normal", "permutation", "uniform"]

Draw = Callable[[int, tuple[int, ...], DType], np.ndarray]  # from a key, a shape and a dtype

n = dim("n")


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (key,), dtype = args, attrs["dtype"]
    if key.dtype is not DType.INT64:
        hint = "Convert it with astype."
        raise DTypeError("a random key is an int64", got=str(key.dtype), where=where_text(args), hint=hint)
    if not dtype.is_float:
        raise DTypeError("random numbers are floats", got=str(dtype), where=where_text(args))
    return TensorType((*key.shape, *attrs["shape"]), dtype)


def _oracle(draw: Draw) -> Callable[..., np.ndarray]:
    def oracle(key: np.ndarray, *, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        out = np.empty((*np.shape(key), *shape), dtype.numpy)
        for place, one in np.ndenumerate(key):
            out[place] = draw(int(one), shape, dtype)
        return out

    return oracle


def _row(name: str, draw: Draw, doc: str) -> Row:
    return register(
        Row(
            name=name, structure=Random(name), arity=1, infer=_infer, doc=doc,
            oracle=_oracle(draw), vjp=lambda node, g: (None,), differentiable=False,
            cases=tuple(
                Case((Sample(keys, 0, 1000, "int64"),), {"shape": shape, "dtype": dtype})
                for dtype in (DType.FLOAT32, DType.FLOAT64)
                for keys, shape in (((), (n, 3)), ((2, n), (3,)), ((n, 1), ()))
            ),
        )
    )  # fmt: skip


UNIFORM = _row("uniform", draw_uniform, "Numbers in [0, 1).")
NORMAL = _row("normal", draw_normal, "Numbers of the standard normal distribution.")


def uniform(key: Any, shape: Any, low: Any = 0.0, high: Any = 1.0, dtype: Any = "float32") -> Expr:
    """Give numbers spread evenly over [low, high).

    >>> uniform(7, (n, 3)).shape, uniform(7, (n, 3)) is uniform(7, (n, 3))
    ((n, 3), True)
    """
    unit = UNIFORM(_as_key(key), shape=as_shape(shape, "uniform"), dtype=as_dtype(dtype))
    scaled = unit if _is(_difference(high, low), 1.0) else ROWS["multiply"](unit, _difference(high, low))
    return scaled if _is(low, 0.0) else ROWS["add"](scaled, low)


def normal(key: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Expr:
    """Give numbers of the normal distribution with this mean and standard deviation.

    >>> normal(7, 5, dtype="float64").dtype.name
    'FLOAT64'
    """
    unit = NORMAL(_as_key(key), shape=as_shape(shape, "normal"), dtype=as_dtype(dtype))
    scaled = unit if _is(stddev, 1.0) else ROWS["multiply"](unit, stddev)
    return scaled if _is(mean, 0.0) else ROWS["add"](scaled, mean)


def fold_in(key: Any, i: Any) -> Any:
    """Derive a key from a key and a number, such as a step or a layer: other numbers, other keys.

    Ints give an int; where one of them is an expression the result is an int64 expression of the same value.

    >>> fold_in(0, 1) != fold_in(0, 2), fold_in(0, 1) == fold_in(0, 1)
    (True, True)
    """
    if isinstance(key, int) and isinstance(i, int):
        return fold(as_key(key), i)
    add, multiply = ROWS["add"], ROWS["multiply"]
    a, b, c = (constant_node(factor, DType.INT64) for factor in FOLD)
    h = add(add(multiply(_as_key(key), a), multiply(_as_key(i), b)), c)
    return multiply(h, add(multiply(h, 2), 1))


def _as_key(key: Any) -> Expr:
    if isinstance(key, Expr):
        if key.ndim != 0:
            hint = "Map over several keys with sg.vmap."
            raise ShapeError("a random key is a scalar", got=describe(key), where=where_text([key]), hint=hint)
        return cast(key, DType.INT64) if key.dtype.is_integer else key
    if isinstance(key, bool) or not hasattr(key, "__index__"):
        raise TypeError(f"a random key is an int or an expression, not {type(key).__name__}: {key!r}")
    return constant_node(as_key(int(key)), DType.INT64)


def _is(value: Any, number: float) -> bool:
    return isinstance(value, (int, float)) and value == number


def _difference(high: Any, low: Any) -> Any:
    plain = isinstance(high, (int, float)) and isinstance(low, (int, float))
    return high - low if plain else ROWS["subtract"](high, low)
