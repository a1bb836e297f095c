"""Rules of arithmetic: neutral elements, folding of constants, powers, the order of commutative operands.

In: elementwise nodes. Out: rules. Scalar factors and signs are the business of `scale.py`. It must not know shapes.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Cast, Map
from symgrad.pattern import Bindings, op, variables
from symgrad.rewrite import Condition, Context, Rule, RuleClass, order_key, rule, structural

BITWISE, REAL, REFINES = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES
x, y, c, d = variables("x y c d")

ELEMENTWISE = tuple(sorted(name for name, row in ROWS.items() if isinstance(row.structure, (Map, Cast))))
COMMUTATIVE = tuple(name for name in ELEMENTWISE if ROWS[name].commutative)


# -- conditions ----------------------------------------------------------------------------------------------------


def _are_constants(bound: Bindings, context: Context) -> bool:
    return all(literal(bound[name]) is not None for name in "cd" if name in bound)


CONSTANTS = Condition("c, d are numbers", _are_constants)
SIGNED = Condition("x is of signed dtype", lambda b, _: b["x"].dtype.kind != "u")
FLOAT = Condition("x is of float dtype", lambda b, _: b["x"].dtype.is_float)


# -- structural rules -----------------------------------------------------------------------------------------------


def _constants() -> list[Expr]:
    two = constant_node(2.0, symbol("x", (), "float64").dtype)
    return [two * 3, ROWS["exp"](two), two / 4]


@structural(
    "fold", " ".join(ELEMENTWISE), "f(numbers)", "number", BITWISE,
    condition="f is elementwise; quotients only if exact", examples=_constants,
)  # fmt: skip
def fold(node: Expr, context: Context) -> Expr | None:
    """Compute an elementwise operator of numbers with its row's oracle, in the node's own dtype."""
    if not node.args or node.shape or any(a.op != "constant" for a in node.args):
        return None
    values = [np.asarray(literal(a), a.dtype.numpy) for a in node.args]
    result = ROWS[node.op].oracle(*values, **node.attrs).astype(node.dtype.numpy).item()
    if node.op == "divide" and not _is_exact(values[0].item(), values[1].item(), result):
        return None
    if node.op in ("log", "exp", "sqrt", "sin", "cos", "tanh", "erf") and not math.isfinite(result):
        return None
    return constant_node(result, node.dtype)


def _is_exact(a: float, b: float, quotient: float) -> bool:
    if not all(map(math.isfinite, (a, b, quotient))):
        return False
    return Fraction(quotient) * Fraction(b) == Fraction(a)


def _unordered() -> list[Expr]:
    a, b = (symbol(name, (4,), "float64") for name in "ab")
    return [f for f in (ROWS["add"](a, b), ROWS["add"](b, a)) if order_key(f.args[0]) > order_key(f.args[1])]


@structural("commute", " ".join(COMMUTATIVE), "x + y", "y + x", BITWISE, examples=_unordered)
def commute(node: Expr, context: Context) -> Expr | None:
    """Order the operands of a commutative operator by structure, numbers first."""
    a, b = node.args
    if node.op == "multiply" and node.dtype.is_float and (a.ndim == 0 or b.ndim == 0):
        return None  # scalar factors have their own order
    key_a, key_b = (order_key(a), order_key(b))
    return ROWS[node.op](b, a) if key_b < key_a else None


def _exponentials() -> list[Expr]:
    x, y = (ROWS["exp"](symbol(name, (4,), "float64")) for name in "xy")
    return [x * y, x / y, ROWS["square"](x), ROWS["sqrt"](x)]


@structural(
    "merge_exp", "multiply divide square sqrt", "exp(x) * exp(y)", "exp(x + y)", REFINES,
    condition="of one shape, and used by nothing else; also quotients, squares and roots", examples=_exponentials,
)  # fmt: skip
def merge_exp(node: Expr, context: Context) -> Expr | None:
    """Compute one exponential, which is finite where one of two would overflow."""
    powers = [a.args[0] if context.owns(a, "exp") else None for a in node.args]
    x, y = powers[0], powers[-1]
    if node.op in ("square", "sqrt"):
        return None if x is None else ROWS["exp"](ROWS["multiply"](2 if node.op == "square" else 0.5, x))
    if x is None or y is None or x.shape != node.shape or y.shape != node.shape:
        return None
    return ROWS["exp"](ROWS["add" if node.op == "multiply" else "subtract"](x, y))


ALGEBRA: tuple[Rule, ...] = (
    fold,
    rule("multiply_one", x * 1, x, BITWISE),
    rule("divide_one", x / 1, x, BITWISE),
    rule("add_zero", x + 0, x, REAL),
    rule("add_minus_zero", x + (-0.0), x, BITWISE),
    rule("subtract_zero", x - 0, x, BITWISE),
    rule("zero_minus", 0 - x, -x, REAL),
    rule("double_negation", -op("negative", x), x, BITWISE),
    rule("add_numbers", (x + c) + d, x + (c + d), REAL, CONSTANTS),
    rule("subtract_numbers", (x - c) - d, x - (c + d), REAL, CONSTANTS),
    rule("power_zero", x ** 0, 1, REAL),
    rule("power_one", x ** 1, x, REAL),
    rule("power_two", x ** 2, op("square", x), REAL),
    rule("power_half", x ** 0.5, op("sqrt", x), REAL, FLOAT),
    rule("power_minus_half", x ** -0.5, 1 / op("sqrt", x), REAL, FLOAT),
    rule("power_minus_two", x ** -2, 1 / op("square", x), REAL, FLOAT),
    rule("power_minus_one", x ** -1, 1 / x, REAL, FLOAT),
    rule("reciprocal", op("reciprocal", x), 1 / x, REAL),
    rule("multiply_self", x * x, op("square", x), BITWISE),
    rule("multiply_reciprocal", x * (1 / y), x / y, REAL, Condition("y has a rank", lambda b, _: b["y"].ndim > 0)),
    rule("square_negative", op("square", -x), op("square", x), BITWISE),
    rule("abs_negative", op("abs", -x), op("abs", x), BITWISE, SIGNED),
    rule("square_abs", op("square", op("abs", x)), op("square", x), BITWISE),
    rule("square_sqrt", op("square", op("sqrt", x)), x, REFINES),
    rule("tanh_negative", op("tanh", -x), -op("tanh", x), REAL),
    merge_exp,
    commute,
)  # fmt: skip
