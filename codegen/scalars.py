"""Scalars: formulas and scalar operators as values of the loop IR.

In: formula text or a row's name, and operand values. Out: one `Value` whose shared parts are shared objects. A row with
a formula is expanded through it; the others are the primitives of the tables below. It must not know tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from codegen.ir import Const, Index, Load, Name, Op, Value
from symgrad.dtypes import BOOL, INT64, DType
from symgrad.errors import CompileError
from symgrad.formula import Call, Formula, Num, Var, parse
from symgrad.formula import Const as Constant
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Map

Builder = Callable[..., Value]


def _same(op: str) -> Builder:
    return lambda *args: Op(op, args, dtype_of(args[0]))


def _commutative(op: str) -> Builder:
    """Put memory behind names and constants last, so that kernels that differ in the order alone are one."""

    def build(a: Value, b: Value) -> Value:
        args = (b, a) if ORDER.index(type(a)) > ORDER.index(type(b)) else (a, b)
        return Op(op, args, dtype_of(a))

    return build


ORDER = (Op, Name, Load, Index, Const)


def _compare(op: str) -> Builder:
    return lambda *args: Op(op, args, BOOL)


def where(cond: Value, a: Value, b: Value) -> Value:
    """Choose between two values."""
    return Op("select", (cond, a, b), dtype_of(a))


def _power(x: Value, y: Value) -> Value:
    """Raise to a power; small constant powers by products, which round better than the general routine."""
    dtype = dtype_of(x)
    if isinstance(y, Const):
        if y.value == 1:
            return x
        if y.value in (2, 3):
            square = Op("mul", (x, x), dtype)
            return square if y.value == 2 else Op("mul", (square, x), dtype)
        if y.value == -1 and dtype.is_float:
            return Op("div", (Const(1.0, dtype), x), dtype)
    return Op("pow", (x, y), dtype) if dtype.is_float else _integer_power(x, y)


def _integer_power(x: Value, y: Value) -> Value:
    """Raise an integer to an integer by squaring, modulo the dtype's range; negative powers round towards zero."""
    dtype = dtype_of(x)
    zero, one = Const(0, dtype), Const(1, dtype)
    left, square = _abs(y), x
    result: Value = one
    for bit in range(8 * dtype.size):
        odd = Op("ne", (Op("and", (left, one), dtype), zero), BOOL)
        result = Op("select", (odd, Op("mul", (result, square), dtype), result), dtype)
        if bit < 8 * dtype.size - 1:
            left, square = Op("lshr", (left, one), dtype), Op("mul", (square, square), dtype)
    if dtype.kind == "u":
        return result
    fraction = Op("and", (Op("lt", (y, zero), BOOL), Op("ne", (_abs(x), one), BOOL)), BOOL)
    return Op("select", (fraction, zero, result), dtype)


def _abs(x: Value) -> Value:
    return x if dtype_of(x).kind == "u" else Op("abs", (x,), dtype_of(x))


def _floor_divide(x: Value, y: Value) -> Value:
    """Divide and round down: integers by an operation of their own, floats without rounding x / y first."""
    dtype = dtype_of(x)
    return formula(FLOOR_DIVIDE, {"x": x, "y": y}, dtype) if dtype.is_float else Op("floordiv", (x, y), dtype)


def _rounding(op: str) -> Builder:
    """Round floats; integers are whole already."""
    return lambda x: Op(op, (x,), dtype_of(x)) if dtype_of(x).is_float else x


def _right_shift(x: Value, y: Value) -> Value:
    return Op("lshr" if dtype_of(x).kind == "u" else "ashr", (x, y), dtype_of(x))


# x // y of floats as NumPy has it: the multiple of y in x, divided, is within rounding of the integer; the quotient's
# sign for a result of 0; the plain quotient where y is 0.
_REST = "fmod(x, y)"
_QUOTIENT = f"((x - {_REST}) / y - where(({_REST} != 0) & (({_REST} < 0) ^ (y < 0)), 1, 0))"
_WHOLE = f"floor({_QUOTIENT})"
_NEAREST = f"where({_QUOTIENT} - {_WHOLE} > 0.5, {_WHOLE} + 1, {_WHOLE})"
FLOOR_DIVIDE = f"where(y == 0, x / y, where({_QUOTIENT} == 0, 0 * (x / y), {_NEAREST}))"

# The operators that are not defined by others; names with no entry are functions of `codegen.vecmath`.
PRIMITIVES: dict[str, Builder] = {
    "add": _commutative("add"), "subtract": _same("sub"), "multiply": _commutative("mul"), "divide": _same("div"),
    "negative": _same("neg"), "abs": _abs, "sqrt": _same("sqrt"),
    "floor": _rounding("floor"), "ceil": _rounding("ceil"), "trunc": _rounding("trunc"), "round": _rounding("rint"),
    "power": _power, "floor_divide": _floor_divide, "where": where,
    "fmod": _same("rem"),
    "equal": _compare("eq"), "not_equal": _compare("ne"), "less": _compare("lt"), "less_equal": _compare("le"),
    "greater": _compare("gt"), "greater_equal": _compare("ge"),
    "logical_and": _commutative("and"), "logical_or": _commutative("or"), "logical_xor": _commutative("xor"),
    "logical_not": _same("not"),
    "bitwise_and": _commutative("and"), "bitwise_or": _commutative("or"), "bitwise_xor": _commutative("xor"),
    "bitwise_invert": _same("not"), "bitwise_left_shift": _same("shl"), "bitwise_right_shift": _right_shift,
}  # fmt: skip


def dtype_of(value: Value) -> DType:
    """Give the element type of a value."""
    return getattr(value, "dtype", INT64)


def cast(value: Value, dtype: DType) -> Value:
    """Convert a value; to bool by comparison with zero, floats beyond the integers to their ends, NaN to 0."""
    own = dtype_of(value)
    if own is dtype:
        return value
    if dtype is BOOL:
        return Op("ne", (value, Const(0.0 if own.is_float else 0, own)), BOOL)
    converted = Op("cast", (value,), dtype)
    return _saturated(value, converted) if own.is_float and not dtype.is_float else converted


def _saturated(x: Value, converted: Value) -> Value:
    """Take the place of what the conversion leaves unspecified; both ends are floats without rounding."""
    source, target = dtype_of(x), dtype_of(converted)
    low, high = _extreme(False, target), _extreme(True, target)
    below_end = Op("lt", (x, Const(float(high + 1), source)), BOOL)
    result = where(below_end, converted, Const(high, target))
    result = where(Op("gt", (x, Const(float(low), source)), BOOL), result, Const(low, target))
    return result if low == 0 else where(Op("eq", (x, x), BOOL), result, Const(0, target))


def apply(name: str, args: tuple[Value, ...]) -> Value:
    """Apply a scalar operator by its row's name."""
    structure = ROWS[name].structure
    if isinstance(structure, Map) and structure.formula is not None:
        return formula(structure.formula, dict(zip("xyzw", args, strict=False)), dtype_of(args[-1]))
    builder = PRIMITIVES.get(name)
    return builder(*args) if builder is not None else Op(name, args, dtype_of(args[0]))


def formula(text: str, env: Mapping[str, Value], dtype: DType) -> Value:
    """Build the value of a formula; numbers take the dtype of their neighbours, `dtype` where they have none."""
    done: dict[Formula, Value | Formula] = {}

    def resolve(item: Value | Formula, own: DType) -> Value:
        return _number(item, own) if isinstance(item, Num | Constant) else item  # type: ignore[return-value]

    for node in _parts(text):
        if isinstance(node, Var):
            if node.name not in env:
                raise CompileError(f"formula {text!r} mentions {node.name!r}", hint=f"Known: {', '.join(env)}.")
            done[node] = env[node.name]
        elif isinstance(node, Call):
            args = [done[a] for a in node.args]
            typed = [a for a in args[node.name == "where" :] if not isinstance(a, Num | Constant)]
            own = dtype_of(typed[0]) if typed else dtype  # type: ignore[arg-type]
            done[node] = apply(node.name, tuple(resolve(a, own) for a in args))
        else:
            done[node] = node
    return resolve(done[_parts(text)[-1]], dtype)


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[Formula, ...]:
    """List the nodes of a formula, operands first."""
    order: dict[Formula, None] = {}

    def visit(node: Formula) -> None:
        if isinstance(node, Call):
            for arg in node.args:
                visit(arg)
        order.setdefault(node)

    visit(parse(text))
    return tuple(order)


def _number(node: Num | Constant, dtype: DType) -> Const:
    if isinstance(node, Num):
        value = node.value
    elif node.name in ("lowest", "highest"):
        value = _extreme(node.name == "highest", dtype)
    else:
        value = getattr(math, node.name)
    return Const(float(value) if dtype.is_float else bool(value) if dtype is BOOL else int(value), dtype)


def _extreme(high: bool, dtype: DType) -> bool | int | float:
    if dtype.is_float:
        return math.inf if high else -math.inf
    if dtype is BOOL:
        return high
    info = np.iinfo(dtype.numpy)
    return int(info.max if high else info.min)
