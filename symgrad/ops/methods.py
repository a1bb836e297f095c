"""What Python's operators, NumPy's functions and method calls on an expression mean: entries in `surface.OPERATORS`.

In: the rows and the functions over them. Out: the registered meanings, nothing else: importing this module gives
expressions their syntax, and dimensions theirs where arithmetic leaves the integers (`x.sum() / N`, `0.5 * N`).
It must not know how anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from symgrad.dtypes import as_dtype
from symgrad.errors import ShapeError
from symgrad.expr import Expr
from symgrad.ops import composite, fill, layout, linalg, norms, order, rearrange, reduce, scalar
from symgrad.ops.body import replaced
from symgrad.ops.formulas import expression_to_sympy
from symgrad.ops.getitem import getitem
from symgrad.ops.index import take
from symgrad.ops.row import ROWS, as_expr, cast, describe, is_operand
from symgrad.ops.structure import Contraction, Map
from symgrad.shape import set_node_hook
from symgrad.surface import OPERATORS

# -- operators ----------------------------------------------------------------------------------------------------

ARITHMETIC = (
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "matmul",
    "bitwise_left_shift", "bitwise_right_shift",
)  # fmt: skip
BITS = {  # what & | ^ mean for bools, and for integers
    "logical_and": "bitwise_and", "logical_or": "bitwise_or", "logical_xor": "bitwise_xor",
    "logical_not": "bitwise_invert",
}  # fmt: skip
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
UNARY = ("negative", "abs")


def _arithmetic(name: str) -> Callable[[Any, Any], Any]:
    """Make an operator that leaves operands of foreign types to Python, which asks the other side, then raises."""
    row = ROWS[name]
    return lambda left, right: row(left, right) if is_operand(left) and is_operand(right) else NotImplemented


def _bitwise(name: str) -> Callable[..., Any]:
    """Make an operator that is logical where an operand is a tensor of bools, and works on bits of integers."""

    def apply(*operands: Any) -> Any:
        if not all(map(is_operand, operands)):
            return NotImplemented
        kinds = {x.dtype.kind for x in map(as_expr, operands)}
        return ROWS[BITS[name] if kinds and kinds <= {"i", "u"} else name](*operands)

    return apply


def _comparison(name: str) -> Callable[[Any, Any], Expr]:
    """Make a comparison; a foreign operand raises, for Python would answer False where an expression is meant."""
    row = ROWS[name]

    def compare(left: Any, right: Any) -> Expr:
        if not is_operand(right):
            kind = type(right).__name__
            raise TypeError(f"{name} compares elements, {kind} has none. Use `is` to ask whether two objects are one.")
        return row(left, right)

    return compare


def positive(x: Any) -> Expr:
    """Give x itself."""
    return as_expr(x)


# -- NumPy's functions --------------------------------------------------------------------------------------------

UFUNCS = {
    "absolute": "abs", "fabs": "abs", "true_divide": "divide", "mod": "remainder", "rint": "round",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "invert": "bitwise_invert", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
}  # fmt: skip
REDUCTIONS = {
    "add": reduce.sum, "multiply": reduce.prod, "maximum": reduce.max, "minimum": reduce.min,
    "logical_and": reduce.all, "logical_or": reduce.any,
}  # fmt: skip


def ufunc(function: np.ufunc, method: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> Expr:
    """Give the expression that a NumPy function of expressions stands for: `np.exp(x)`, `A @ x`, `np.add.reduce(x)`.

    Raises TypeError for functions without an operator, and for `out=`, as there is no array yet.
    """
    name = function.__name__
    if options.get("out") is not None:
        raise TypeError(f"np.{name} cannot write an expression to an array. Write `a = a + x` instead of `a += x`.")
    if method == "reduce" and name in REDUCTIONS and not set(options) - {"axis", "keepdims"}:
        return REDUCTIONS[name](*inputs, **{"axis": 0, **options})
    row = ROWS.get(UFUNCS.get(name, name))
    if method == "__call__" and not options and name == "positive":
        return positive(*inputs)
    if method != "__call__" or options or row is None or not isinstance(row.structure, (Map, Contraction)):
        called = f"np.{name}" if method == "__call__" else f"np.{name}.{method}"
        extra = f" with {', '.join(options)}" if options else ""
        raise TypeError(f"{called}{extra} has no symbolic form. Use sg.evaluate(expr, {{symbol: array}}) for arrays.")
    return row(*inputs)


# -- methods ------------------------------------------------------------------------------------------------------


def _reduction(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """Make a method with NumPy's parameters, so that `np.sum(x, axis=0)` works as `x.sum(axis=0)` does."""

    def method(x: Expr, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Expr:
        if out is not None:
            raise TypeError("a reduction of an expression cannot write to an array: leave out=None")
        operand = x if dtype is None else cast(x, as_dtype(dtype))
        return function(operand, axis=axis, keepdims=keepdims)

    method.__doc__ = function.__doc__
    return method


def _position(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def method(x: Expr, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Expr:
        if out is not None:
            raise TypeError("a reduction of an expression cannot write to an array: leave out=None")
        return function(x, axis=axis, keepdims=keepdims)

    method.__doc__ = function.__doc__
    return method


def _var(x: Expr, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """Give the mean squared distance from the mean."""
    return _reduction(partial(composite.var, ddof=ddof))(x, axis, dtype, out, keepdims)


def _std(x: Expr, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """Give the root of the mean squared distance from the mean."""
    return _reduction(partial(norms.std, ddof=ddof))(x, axis, dtype, out, keepdims)


def _running(function: Callable[..., Expr]) -> Callable[..., Expr]:
    def method(x: Expr, axis: Any = None, dtype: Any = None, out: None = None) -> Expr:
        if out is not None:
            raise TypeError("a running sum or product of an expression cannot write to an array: leave out=None")
        return function(x if dtype is None else cast(x, as_dtype(dtype)), axis=axis)

    method.__doc__ = function.__doc__
    return method


def _ordering(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """Make a method with NumPy's parameters; every kind of sort is the stable one."""

    def method(
        x: Expr, axis: Any = -1, kind: Any = None, order: None = None, *, stable: Any = None, descending: bool = False
    ) -> Expr:
        if order is not None:
            raise TypeError("an expression has no fields to sort by: leave order=None")
        return function(x, axis=axis, descending=descending)

    method.__doc__ = function.__doc__
    return method


def _reshape(x: Expr, *shape: Any, order: str = "C") -> Expr:
    """Give the same elements in another shape: x.reshape(2, 3) or x.reshape((2, 3))."""
    if order != "C":
        raise ValueError(f"reshape keeps the row-major order: order={order!r} is not supported")
    return layout.reshape(x, shape[0] if len(shape) == 1 else shape)


def _transpose(x: Expr, *axes: Any) -> Expr:
    """Give the axes in another order: x.transpose(), x.transpose(1, 0) or x.transpose((1, 0))."""
    if not axes or axes == (None,):
        return layout.transpose(x)
    return layout.transpose(x, axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes)


def _as_property(function: Callable[[Any], Expr]) -> Callable[[Any], Expr]:
    def view(x: Expr) -> Expr:
        return function(x)

    view.is_property = True  # type: ignore[attr-defined]
    return view


def subs(x: Expr, old: Mapping[Expr, Any] | Expr, new: Any = None) -> Expr:
    """Give the expression with nodes replaced, all at once; each replacement has the type of what it replaces.

    `x.subs(a, b)` or `x.subs({a: b, c: d})`. Raises ShapeError where types differ.
    """
    pairs = old if isinstance(old, Mapping) else {old: new}
    done: dict[Expr, Expr] = {}
    for before, after in pairs.items():
        if not isinstance(before, Expr):
            raise TypeError(f"subs: an expression is replaced, not {type(before).__name__} {before!r}")
        node = as_expr(after, before.dtype)
        if node.type != before.type:
            got = f"{describe(before)} of {before.dtype}, {describe(node)} of {node.dtype}"
            raise ShapeError("subs: the replacement has another type", got=got, hint="Use astype or reshape.")
        done[before] = node
    return replaced([x], done)[0]


METHODS: dict[str, Callable[..., Any]] = {
    "sum": _reduction(reduce.sum), "prod": _reduction(reduce.prod), "mean": _reduction(composite.mean), "var": _var,
    "std": _std,
    "max": _position(reduce.max), "min": _position(reduce.min),
    "argmax": _position(reduce.argmax), "argmin": _position(reduce.argmin),
    "any": _position(reduce.any), "all": _position(reduce.all),
    "cumsum": _running(order.cumsum), "cumprod": _running(order.cumprod),
    "argsort": _ordering(order.argsort), "sort": _ordering(order.sort),
    "reshape": _reshape, "ravel": layout.ravel, "flatten": layout.ravel, "squeeze": layout.squeeze,
    "transpose": _transpose, "swapaxes": layout.swapaxes,
    "T": _as_property(layout.transpose), "mT": _as_property(layout.matrix_transpose),
    "diagonal": fill.diagonal, "trace": fill.trace, "repeat": rearrange.repeat,
    "astype": scalar.astype, "dot": linalg.dot, "take": take, "subs": subs,
    "to_sympy": expression_to_sympy,
}  # fmt: skip

OPERATORS.update({name: _arithmetic(name) for name in ARITHMETIC})
OPERATORS.update({name: _bitwise(name) for name in BITS})
OPERATORS.update({name: _comparison(name) for name in COMPARISONS})
OPERATORS.update({name: ROWS[name] for name in UNARY})
OPERATORS.update({"positive": positive, "getitem": getitem, "ufunc": ufunc})
OPERATORS.update({f".{name}": function for name, function in METHODS.items()})
set_node_hook(lambda name, left, right: ROWS[name](left, right))
