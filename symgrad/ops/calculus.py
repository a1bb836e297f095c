"""What formulas mean for nodes and arrays: the calculus of the elementwise rows, without SymPy.

In: names of rows, formulas, and what their variables stand for. Out: local derivatives as formulas, graphs built from
formulas, values of formulas by the rows' oracles. A row's operands are the variables x, y, z, w, its result is `out`.
It must not know where a derivative came from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL, DType
from symgrad.errors import FormatError, GradientError, nearest
from symgrad.expr import Expr, constant_node
from symgrad.formula import Call, Const, Formula, Num, Var, fold, parse, substitute
from symgrad.ops.derived import DERIVED
from symgrad.ops.row import ROWS, Row
from symgrad.ops.structure import Map

__all__ = ["OPERANDS", "compute", "derivative_of", "expand", "instantiate", "scale"]

OPERANDS = ("x", "y", "z", "w")


def derivative_of(name: str) -> tuple[Formula, ...]:
    """Give the local derivatives of an elementwise row, one per operand, over x, y, z, w and out.

    >>> from symgrad.ops import scalar
    >>> [str(d) for d in derivative_of("divide")], [str(d) for d in derivative_of("subtract")]
    (['1 / y', '-out / y'], ['1', '-1'])
    """
    row = _row(name)
    texts = row.derivatives if row.derivatives is not None else DERIVED.get(name)
    if texts is None:
        raise GradientError(f"{name} has no local derivatives", hint="Only elementwise rows have; others have a vjp.")
    return tuple(map(parse, texts))


def expand(formula: Formula) -> Formula:
    """Replace calls of rows that have a formula by these formulas, down to the primitive rows.

    >>> from symgrad.ops import scalar
    >>> str(expand(parse("square(relu(x))")))
    'where(x <= 0, 0, x) * where(x <= 0, 0, x)'
    """

    def leaf(node: Formula) -> Formula:
        return node

    def call(name: str, args: tuple[Formula, ...]) -> Formula:
        structure = _row(name).structure
        if not isinstance(structure, Map) or structure.formula is None:
            return Call(name, args)
        return substitute(expand(parse(structure.formula)), dict(zip(OPERANDS, args, strict=False)))

    return fold(formula, leaf, call)


def instantiate(formula: Formula, env: Mapping[str, Expr], dtype: DType) -> Expr:
    """Build the graph of a formula; `env` gives the nodes of its variables, `dtype` is that of its numbers."""

    def leaf(node: Any) -> Expr:
        if isinstance(node, Var):
            return _bound(node, env)  # type: ignore[no-any-return]
        if isinstance(node, Num) and isinstance(node.value, bool):
            return constant_node(node.value, BOOL)
        return constant_node(_number(node, dtype), dtype)

    return fold(formula, leaf, lambda name, args: _row(name)(*args))


def scale(g: Expr, factor: Formula, env: Mapping[str, Expr]) -> Expr | None:
    """Multiply a cotangent by a local derivative, as a person would write it; None where the factor is 0.

    A factor 1 adds nothing, `-a` is -(g * a), and `1 / a` divides.
    """
    match factor:
        case Num(value=0):
            return None
        case Num(value=1):
            return g
        case Num(value=-1):
            return ROWS["negative"](g)
        case Call(name="negative", args=(a,)):
            inner = scale(g, a, env)
            return None if inner is None else ROWS["negative"](inner)
        case Call(name="divide", args=(a, b)):
            upper = scale(g, a, env)
            return None if upper is None else ROWS["divide"](upper, instantiate(b, env, g.dtype))
    return ROWS["multiply"](g, instantiate(factor, env, g.dtype))


def compute(formula: Formula, env: Mapping[str, np.ndarray], dtype: DType) -> np.ndarray:
    """Evaluate a formula by the rows' oracles; `dtype` is that of its numbers.

    >>> from symgrad.ops import scalar
    >>> compute(parse("where(x > 0, x, 0.5 * x)"), {"x": np.array([-2.0, 3.0])}, DType.FLOAT64)
    array([-1.,  3.])
    """

    def leaf(node: Any) -> np.ndarray:
        if isinstance(node, Var):
            return _bound(node, env)  # type: ignore[no-any-return]
        if isinstance(node, Num) and isinstance(node.value, bool):
            return np.asarray(node.value)
        return np.asarray(_number(node, dtype), dtype.numpy)

    return fold(formula, leaf, lambda name, args: _row(name).oracle(*args))


def _row(name: str) -> Row:
    if name not in ROWS:
        raise FormatError(f"{name!r} is not an operator", hint=nearest(name, ROWS))
    return ROWS[name]


def _bound(node: Var, env: Mapping[str, Any]) -> Any:
    if node.name not in env:
        raise FormatError(f"variable {node.name!r} has no value", got=f"known: {', '.join(env) or 'none'}")
    return env[node.name]


def _number(node: Num | Const, dtype: DType) -> int | float:
    """Give the value of a number or named constant in a dtype."""
    if isinstance(node, Num):
        return node.value
    if node.name in ("lowest", "highest") and not dtype.is_float:
        limits = (0, 1) if dtype is BOOL else (np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max)
        return int(limits[node.name == "highest"])
    return {"pi": math.pi, "nan": math.nan, "inf": math.inf, "highest": math.inf, "lowest": -math.inf}[node.name]
