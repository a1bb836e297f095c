"""The leaves of a graph: symbols, constants, dimensions, parameters; and `project`, which takes one of several results.

In: what the user declares. Out: leaf nodes, after every part was checked; and their rows, so that each pass finds them
in the registry. It must not know how a parameter gets its first value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn

import numpy as np

from symgrad.dtypes import BOOL, DType, as_dtype
from symgrad.errors import DTypeError, GradientError, ShapeError, nearest
from symgrad.expr import Expr, TupleType, Type, buffer_node, constant_node, dim_node, symbol_node
from symgrad.ops.axes import as_shape
from symgrad.ops.row import Attrs, Row, as_expr, register
from symgrad.ops.structure import Leaf, Project
from symgrad.shape import Dim, Shape, Size, dim, format_shape

__all__ = ["constant", "dim", "symbol"]

# What may be declared of a tensor.
FACTS = {
    "finite": "no element is an infinity or NaN",
    "nonzero": "no element is 0",
    "positive": "every element is > 0, and so neither 0 nor NaN",
    "nonnegative": "every element is >= 0",
    "integer_valued": "every element is a whole number, whatever the dtype",
    "rows_sum_to_one": "the elements along the last axis sum to 1: labels of categorical cross-entropy",
    "symmetric": "the last two axes may be swapped",
}


def symbol(name: str, shape: Any = (), dtype: Any = "float32", facts: Collection[str] = ()) -> Expr:
    """Declare a free tensor: an input of compiled functions.

    - `name`: a Python identifier, or several joined by `/`.
    - `shape`: ints and dimensions, `()` for a scalar.
    - `facts`: properties that rewrites may rely on, such as `positive`: those of `assume`, which says what they mean.

    Equal declarations give the same object. Raises ShapeError, DTypeError or ValueError for what cannot be declared.

    >>> x = symbol("x", (dim("N"), 784))
    >>> x.shape, str(x.dtype), x is symbol("x", [dim("N"), 784])
    ((N, 784), 'float32', True)
    """
    what = f"symbol {check_name(name)!r}"
    sizes, element = as_shape(shape, what), as_dtype("float32" if dtype is None else dtype)
    declared = (facts,) if isinstance(facts, str) else tuple(facts)
    check_fact_names(what, declared)
    check_facts(what, declared, sizes)
    return symbol_node(name, sizes, element, tuple(dict.fromkeys(declared)))


def check_fact_names(what: str, facts: Collection[str]) -> None:
    """Raise ValueError for a fact that does not exist."""
    for fact in facts:
        if fact not in FACTS:
            raise ValueError(f"{what}: unknown fact {fact!r}. {nearest(str(fact), FACTS)}")


def check_facts(what: str, facts: Collection[str], shape: Shape, got: str = "", where: str = "") -> None:
    """Raise ShapeError for a fact that a tensor of this shape cannot have."""
    if "rows_sum_to_one" in facts and not shape:
        raise ShapeError(f"{what}: a scalar has no rows that sum to one", got=got, where=where)
    if "symmetric" in facts and (len(shape) < 2 or shape[-1] != shape[-2]):
        got = got or format_shape(shape)
        raise ShapeError(f"{what}: only square matrices, the last two axes, are symmetric", got=got, where=where)


def constant(value: Any, dtype: Any = None) -> Expr:
    """Give the node of a number, a (nested) list or an array; Python's floats become float32 without `dtype`.

    Raises DTypeError where `dtype` cannot hold the values: a float for an integer dtype, an int out of its range.

    >>> constant(2.5).dtype.name, constant([1, 2]).shape, constant(1) is constant(True)
    ('FLOAT32', (2,), False)
    """
    if isinstance(value, Expr):
        raise TypeError("the value of a constant is a number or an array, not an expression. Use astype to convert.")
    if dtype is None:
        return as_expr(value)
    element = as_dtype(dtype)
    if isinstance(value, Dim):
        return dim_node(value, element)
    array = np.asarray(value)
    if not _holds(array, element):
        raise DTypeError(f"a constant of dtype {element} cannot hold the value", got=f"{array.dtype}: {value!r}")
    return constant_node(array.item(), element) if array.ndim == 0 else buffer_node(array, element)


def check_name(name: object) -> str:
    """Give back a name that may stand for a symbol or parameter; TypeError or ValueError for any other."""
    if not isinstance(name, str):
        raise TypeError(f"a name is a string, not {type(name).__name__}: {name!r}")
    if not all(part.isidentifier() for part in name.split("/")):
        raise ValueError(f"{name!r} cannot be a name. Use letters, digits and underscores, a/b for b in a.")
    return name


def _holds(array: np.ndarray, dtype: DType) -> bool:
    """Tell whether an array's values keep their meaning in a dtype: rounding of floats is allowed, nothing else."""
    if array.dtype.kind not in "biuf":
        return False
    if dtype.is_float or array.dtype.kind == "b":
        return True
    if dtype is BOOL or array.dtype.kind == "f":
        return False
    limits = np.iinfo(dtype.numpy)
    return array.size == 0 or bool(limits.min <= int(array.min()) and int(array.max()) <= limits.max)


# -- rows ---------------------------------------------------------------------------------------------------------


def _refuse_call(args: tuple[Expr, ...], attrs: Attrs) -> NoReturn:
    raise TypeError("a leaf has no operands to infer a type from: sg.symbol, sg.parameter, sg.constant make them")


def _no_oracle(*arrays: Any, **attrs: Any) -> NoReturn:
    raise TypeError("the value of a leaf is given, not computed")


def _no_vjp(node: Expr, g: Expr) -> tuple[()]:
    return ()


def _leaf(name: str, doc: str) -> Row:
    row = Row(name=name, structure=Leaf(), arity=0, infer=_refuse_call, oracle=_no_oracle, vjp=_no_vjp, doc=doc)
    return register(row)


SYMBOL = _leaf("symbol", "A free tensor.")
PARAMETER = _leaf("parameter", "A tensor with a value.")
CONSTANT = _leaf("constant", "A number.")
BUFFER = _leaf("buffer", "A constant array.")
DIMENSION = _leaf("dim", "A symbolic size as a number.")


def _infer_project(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (source,), item = args, attrs["item"]
    if not isinstance(source.type, TupleType):
        raise ShapeError(f"{source.op} has one result", got=str(source.type), hint="Use it as it is.")
    if not 0 <= item < len(source.type.items):
        raise ShapeError(f"{source.op} has no result number {item}", got=str(source.type))
    return source.type.items[item]


def _vjp_project(node: Expr, g: Expr) -> NoReturn:
    raise GradientError(f"the cotangents of {node.args[0].op} are collected by the sweep, not by its projections")


PROJECT = register(
    Row(
        name="project", structure=Project(), arity=1, infer=_infer_project, vjp=_vjp_project,
        oracle=lambda results, *, item: results[item], doc="One result of an operator that has several.",
    )
)  # fmt: skip


def dimension_value(size: Size, dtype: Any = "int64") -> Expr:
    """Give the rank-0 node whose value is a size."""
    return dim_node(size, as_dtype(dtype))
