"""Rules that rely on facts: what is known of a value, declared by `assume` or following from it, shortens the formula.

In: nodes of whose operands something is known. Out: rules to the operand itself, a number, a truth value. Their class
is `real` where the sign of a zero may change, or where a computed NaN would have passed. It must not know where facts
come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.expr import Expr
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import is_transposed
from symgrad.ops.row import ROWS
from symgrad.pattern import Bindings, Op, build, op, variables
from symgrad.rewrite import Condition, Context, Rule, RuleClass, rule, structural
from symgrad.rules.inference import knows

BITWISE, REAL, REFINES, FINITE = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES, RuleClass.FINITE
x, y = variables("x y")


def given(name: str, facts: str, lhs: Op, rhs: Any, kind: RuleClass) -> Rule:
    """Make a rule of patterns for an x of which facts, divided by spaces, are known."""
    needed = facts.split()

    def are_known(bound: Bindings, context: Context) -> bool:
        return all(knows(bound["x"], fact, context) for fact in needed)

    def examples() -> Sequence[Expr]:
        drawn = {"x": symbol("x", (4,), "float64", facts=needed), "y": symbol("y", (4,), "float64")}
        return [build(lhs, drawn)]

    return rule(name, lhs, rhs, kind, Condition(f"x is {' and '.join(needed)}", are_known), examples)


def _symmetric_examples() -> list[Expr]:
    S = symbol("S", (3, 3), "float64", facts={"symmetric"})
    X = symbol("X", (4, 3), "float64")
    turned = ROWS["transpose"](X, axes=(1, 0))
    return [ROWS["transpose"](a, axes=(1, 0)) for a in (S, 2 * S, turned @ X, ROWS["inv"](S + 4 * (turned @ X)))]


@structural(
    "transpose_symmetric", "transpose", "x.T", "x", REAL, condition="x is symmetric", examples=_symmetric_examples
)
def transpose_symmetric(node: Expr, context: Context) -> Expr | None:
    """Leave a symmetric matrix as it is."""
    return node.args[0] if is_transposed(node) and knows(node.args[0], "symmetric", context) else None


def _row_times_symmetric() -> list[Expr]:
    S = symbol("S", (3, 3), "float64", facts={"symmetric"})
    return [symbol("v", (3,), "float64") @ S]


@structural(
    "vector_matmul_symmetric", "matmul", "v @ A", "A @ v", REAL, condition="v is a vector; A is symmetric",
    examples=_row_times_symmetric,
)  # fmt: skip
def vector_matmul_symmetric(node: Expr, context: Context) -> Expr | None:
    """Write a product with a symmetric matrix in one way, so that equal ones are one node."""
    v, A = node.args
    return ROWS["matmul"](A, v) if v.ndim == 1 and A.ndim == 2 and knows(A, "symmetric", context) else None


FACTS: tuple[Rule, ...] = (
    given("multiply_zero", "finite", x * 0, 0, FINITE),
    given("subtract_self", "finite", x - x, 0, FINITE),
    given("divide_self", "finite nonzero", x / x, 1, FINITE),
    given("abs_nonnegative", "nonnegative", op("abs", x), x, REAL),
    given("relu_nonnegative", "nonnegative", op("relu", x), x, REAL),
    given("maximum_nonnegative", "nonnegative", op("maximum", x, 0), x, REAL),
    given("minimum_nonnegative", "nonnegative", op("minimum", x, 0), 0, REAL),
    given("sign_positive", "positive", op("sign", x), 1, REAL),
    rule("sign_times", x * op("sign", x), op("abs", x), REAL),
    given("greater_positive", "positive", op("greater", x, 0), True, REAL),
    given("less_positive", "positive", op("less", 0, x), True, REAL),
    given("less_equal_positive", "positive", op("less_equal", x, 0), False, REAL),
    given("greater_equal_nonnegative", "nonnegative", op("greater_equal", x, 0), True, REAL),
    given("less_nonnegative", "nonnegative", op("less", x, 0), False, REAL),
    given("equal_nonzero", "nonzero", op("equal", x, 0), False, REAL),
    given("not_equal_nonzero", "nonzero", op("not_equal", x, 0), True, REAL),
    given("isfinite_finite", "finite", op("isfinite", x), True, FINITE),
    given("isnan_finite", "finite", op("isnan", x), False, FINITE),
    given("isinf_finite", "finite", op("isinf", x), False, FINITE),
    given("log_square_positive", "positive", op("log", op("square", x)), 2 * op("log", x), REFINES),
    given("log_power_positive", "positive", op("log", x**y), y * op("log", x), REFINES),
    *(
        given(f"{name}_integer_valued", "integer_valued", op(name, x), x, BITWISE)
        for name in ("floor", "ceil", "round", "trunc")
    ),
    transpose_symmetric,
    vector_matmul_symmetric,
)
