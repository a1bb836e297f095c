"""Rules that rely on facts: what is known of a value, declared by `assume` or following from it, shortens the formula.

In: nodes of whose operands something is known. Out: rules to the operand itself, a number, a truth value. Their class
is `real` where the sign of a zero may change, or where a computed NaN would have passed. It must not know where facts
come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.expr import Expr, constant_node
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.pattern import Op, build, match, op, variables
from symgrad.rewrite import Context, Rule, RuleClass, preserved, rule, structural
from symgrad.rules.inference import is_transpose, knows

BITWISE, REAL, REFINES, FINITE = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES, RuleClass.FINITE
x, y = variables("x y")


def given(name: str, fact: str, lhs: Op, rhs: Any, kind: RuleClass) -> Rule:
    """Make a rule of patterns for an x of which a fact is known."""

    def apply(node: Expr, context: Context) -> Expr | None:
        for bound in match(lhs, node, context.opaque, {}):
            if knows(bound["x"], fact, context):
                new = build(rhs, bound) if isinstance(rhs, Op) or rhs is x else rhs
                return preserved(constant_node(new, node.dtype) if isinstance(new, bool) else new, node)
        return None

    def examples() -> Sequence[Expr]:
        drawn = {"x": symbol("x", (4,), "float64", facts={fact}), "y": symbol("y", (4,), "float64")}
        return [build(lhs, drawn)]

    return Rule(name, (lhs.name,), str(lhs), str(rhs), kind, apply, f"x is {fact}", examples, lhs)


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
    return node.args[0] if is_transpose(node) and knows(node.args[0], "symmetric", context) else None


FACTS: tuple[Rule, ...] = (
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
)
