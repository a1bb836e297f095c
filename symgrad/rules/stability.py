"""Rules that keep numbers finite and accurate: the forms that a numerical analyst would write.

In: compositions such as log(softmax(z)), exact over the reals and useless in floats. Out: rules to operators that
compute the same number well. They run before a gradient is derived, so that softmax with cross-entropy has a gradient
that never divides by a probability. It must not know gradients.
"""

from __future__ import annotations

from symgrad.expr import Expr
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.pattern import attr, op, variables
from symgrad.rewrite import Condition, Context, Rule, RuleClass, rule, structural
from symgrad.shape import dim

REFINES = RuleClass.REFINES
x, y, z, i = variables("x y z i")
k, axes, keepdims = attr("k"), attr("axes"), attr("keepdims")


def _picked() -> list[Expr]:
    n = dim("n")
    probabilities = ROWS["softmax"](symbol("z", (n, 4), "float64"), axis=1)
    return [ROWS["log"](ROWS["pick"](probabilities, symbol("i", (n,), "int32")))]


@structural(
    "log_pick_softmax", "log", "log(pick(softmax(z), i))", "pick(log_softmax(z), i)", REFINES,
    condition="softmax runs along the last axis", examples=_picked,
)  # fmt: skip
def log_pick_softmax(node: Expr, context: Context) -> Expr | None:
    """Take the logarithm before the picking, where softmax can meet it."""
    (picked,) = node.args
    if not context.sees(picked, "pick") or not context.sees(picked.args[0], "softmax"):
        return None
    probabilities, positions = picked.args
    if probabilities.attrs["axis"] != probabilities.ndim - 1:
        return None
    return ROWS["pick"](ROWS["log_softmax"](probabilities.args[0], axis=probabilities.attrs["axis"]), positions)


def _rule(name: str, lhs: object, rhs: object, condition: Condition | None = None) -> Rule:
    return rule(name, lhs, rhs, REFINES, condition)  # type: ignore[arg-type]


STABILITY: tuple[Rule, ...] = (
    _rule("log_softmax", op("log", op("softmax", x, axis=k)), op("log_softmax", x, axis=k)),
    log_pick_softmax,
    _rule("log_sigmoid", op("log", op("sigmoid", x)), -op("softplus", -x)),
    _rule("log_one_minus_sigmoid", op("log", 1 - op("sigmoid", x)), -op("softplus", x)),
    _rule(
        "logsumexp",
        op("log", op("sum", op("exp", x), axes=axes, keepdims=keepdims)),
        op("logsumexp", x, axes=axes, keepdims=keepdims),
    ),
    _rule("softplus", op("log1p", op("exp", x)), op("softplus", x)),
    _rule("log1p", op("log", 1 + x), op("log1p", x)),
    _rule("expm1", op("exp", x) - 1, op("expm1", x)),
    _rule("log_exp", op("log", op("exp", x)), x),
    _rule("exp_log", op("exp", op("log", x)), x),
    _rule("exp_log_softmax", op("exp", op("log_softmax", x, axis=k)), op("softmax", x, axis=k)),
    _rule("sigmoid", 1 / (1 + op("exp", -x)), op("sigmoid", x)),
    _rule("sqrt_square", op("sqrt", op("square", x)), op("abs", x)),
    _rule(
        "binary_crossentropy",
        y * op("softplus", -x) + (1 - y) * op("softplus", x),
        op("softplus", x) - y * x,
    ),
)
