"""Rules that keep numbers finite and accurate: the forms that a numerical analyst would write.

In: compositions such as log(softmax(z)), exact over the reals and useless in floats. Out: rules to operators that
compute the same number well. They run before a gradient is derived, so that softmax with cross-entropy has a gradient
that never divides by a probability. It must not know gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from symgrad.expr import Expr, dim_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.reduce import reduced_size
from symgrad.ops.row import ROWS
from symgrad.pattern import Op, Pattern, attr, op, variables
from symgrad.rewrite import Context, Rule, RuleClass, rule, structural
from symgrad.shape import dim

REFINES = RuleClass.REFINES
x, y, z, i = variables("x y z i")
k, axes, keepdims = attr("k"), attr("axes"), attr("keepdims")


# Operators that only move elements of their first operand: a logarithm may be taken before.
MOVES = ("pick", "take", "take_along_axis", "slice", "reshape", "transpose")


def _picked() -> list[Expr]:
    n = dim("n")
    probabilities = ROWS["softmax"](symbol("z", (n, 4), "float64"), axis=1)
    taken = ROWS["take"](probabilities, symbol("k", (), "int32"), axis=1)
    picked = ROWS["pick"](probabilities, symbol("i", (n,), "int32"))
    return [ROWS["log"](picked), ROWS["log"](taken), ROWS["log"](ROWS["reshape"](probabilities, shape=(4 * n,)))]


@structural(
    "log_moved_softmax", "log", "log(pick(softmax(z), i))", "pick(log_softmax(z), i)", REFINES,
    condition="or, instead of pick, " + ", ".join(MOVES[1:]), examples=_picked,
)  # fmt: skip
def log_moved_softmax(node: Expr, context: Context) -> Expr | None:
    """Take the logarithm before elements are moved or chosen, where softmax can meet it."""
    (moved,) = node.args
    if moved.op not in MOVES or moved.args[0].op != "softmax":
        return None
    probabilities = moved.args[0]
    logarithms = ROWS["log_softmax"](probabilities.args[0], axis=probabilities.attrs["axis"])
    return ROWS[moved.op](logarithms, *moved.args[1:], **moved.attrs)


# -- several operators that stand for one --------------------------------------------------------------------------


def _rows() -> Expr:
    return symbol("x", (dim("n"), 4), "float64")


def _softmaxes() -> list[Expr]:
    e = ROWS["exp"](_rows())
    return [e / ROWS["sum"](e, axes=(1,), keepdims=True)]


@structural(
    "softmax", "divide", "exp(x) / sum(exp(x), axis, keepdims=True)", "softmax(x, axis)", REFINES,
    condition="one axis is summed", examples=_softmaxes,
)  # fmt: skip
def softmax_of_exp(node: Expr, context: Context) -> Expr | None:
    """Read normalised exponentials as softmax, which never overflows."""
    e, total = node.args
    if e.op != "exp" or total.op != "sum" or total.args[0] is not e:
        return None
    axis = _only_axis(total)
    return None if axis is None else ROWS["softmax"](e.args[0], axis=axis)


def _only_axis(total: Expr) -> int | None:
    """Give the axis that a reduction keeps as 1, if it is one and may have elements: nothing has no distribution."""
    axes, keepdims = total.attrs["axes"], total.attrs["keepdims"]
    return axes[0] if len(axes) == 1 and keepdims and total.args[0].shape[axes[0]] != 0 else None


def _shifted() -> list[Expr]:
    x = _rows()
    most = ROWS["max"](x, axes=(1,), keepdims=True)
    return [ROWS["softmax"](x - most, axis=1), ROWS["log_softmax"](x + most, axis=1)]


@structural(
    "softmax_shift", "softmax log_softmax", "softmax(x - c, axis)", "softmax(x, axis)", REFINES,
    condition="c has the size 1 along the axis; also log_softmax, and x + c", examples=_shifted,
)  # fmt: skip
def softmax_shift(node: Expr, context: Context) -> Expr | None:
    """Leave out what is the same for all elements: softmax subtracts the greatest by itself."""
    (moved,), axis = node.args, node.attrs["axis"]
    if moved.op not in ("subtract", "add"):
        return None
    x, c = moved.args
    if moved.op == "add" and x.shape != moved.shape:
        x, c = c, x
    own = axis - moved.ndim + c.ndim
    constant = c.ndim > 0 and (own < 0 or c.shape[own] == 1) and moved.shape[axis] != 1
    return ROWS[node.op](x, axis=axis) if constant and x.shape == moved.shape else None


def _normalised() -> list[Expr]:
    x = _rows()
    return [x - ROWS["logsumexp"](x, axes=(1,), keepdims=True)]


@structural(
    "log_softmax_of_difference", "subtract", "x - logsumexp(x, axis, keepdims=True)", "log_softmax(x, axis)", REFINES,
    condition="one axis is summed", examples=_normalised,
)  # fmt: skip
def log_softmax_of_difference(node: Expr, context: Context) -> Expr | None:
    """Subtract the greatest element before the sum's logarithm, not after."""
    x, total = node.args
    if total.op != "logsumexp" or total.args[0] is not x:
        return None
    axis = _only_axis(total)
    return None if axis is None else ROWS["log_softmax"](x, axis=axis)


def _averages() -> list[Expr]:
    return [ROWS["log"](ROWS["mean"](ROWS["exp"](_rows()), axes=(1,), keepdims=False))]


@structural(
    "log_mean_exp", "log", "log(mean(exp(x)))", "logsumexp(x) - log(size)", REFINES,
    condition="size elements are averaged", examples=_averages,
)  # fmt: skip
def log_mean_exp(node: Expr, context: Context) -> Expr | None:
    """Average exponentials without computing them."""
    (average,) = node.args
    if average.op != "mean" or average.args[0].op != "exp":
        return None
    total = ROWS["logsumexp"](average.args[0].args[0], **average.attrs)
    return ROWS["subtract"](total, ROWS["log"](dim_node(reduced_size(average), node.dtype)))


def _variances() -> list[Expr]:
    x, attrs = _rows(), {"axes": (0,), "keepdims": True}
    return [ROWS["mean"](ROWS["square"](x), **attrs) - ROWS["square"](ROWS["mean"](x, **attrs))]


@structural(
    "variance", "subtract", "mean(x**2) - mean(x)**2", "var(x)", REFINES, condition="both means over the same axes",
    examples=_variances,
)  # fmt: skip
def variance(node: Expr, context: Context) -> Expr | None:
    """Square deviations from the mean: the difference of two large numbers loses all digits of a small variance."""
    squares, square = node.args
    if squares.op != "mean" or square.op != "square":
        return None
    (mean,), (inner,) = square.args, squares.args
    if mean.op != "mean" or mean.attrs != squares.attrs or inner.op != "square":
        return None
    return ROWS["var"](mean.args[0], **mean.attrs) if inner.args[0] is mean.args[0] else None


def _complements() -> list[Expr]:
    return [1 - ROWS["sigmoid"](_rows())]


@structural(
    "one_minus_sigmoid", "subtract", "1 - sigmoid(x)", "sigmoid(-x)", REFINES,
    condition="nothing else uses sigmoid(x), for else the difference costs nothing", examples=_complements,
)  # fmt: skip
def one_minus_sigmoid(node: Expr, context: Context) -> Expr | None:
    """Compute a small probability itself rather than what its complement lacks to 1."""
    one, p = node.args
    if literal(one) != 1 or not context.owns(p, "sigmoid"):
        return None
    return ROWS["sigmoid"](ROWS["negative"](p.args[0]))


# -- patterns ------------------------------------------------------------------------------------------------------


def _rule(name: str, lhs: Op, rhs: Pattern, examples: Callable[[], Sequence[Expr]] | None = None) -> Rule:
    return rule(name, lhs, rhs, REFINES, examples=examples)


def _determinants() -> list[Expr]:
    det = ROWS["det"](symbol("A", (dim("n"), 3, 3), "float64"))
    return [ROWS["log"](det), ROWS["log"](ROWS["abs"](det))]


def _log_complement() -> Op:
    """Give log(1 - exp(x)) for x < 0: near 0 and far from it each form loses digits where the other one does not."""
    near = x + op("log", op("expm1", -x))
    return op("where", op("greater", x, -math.log(2)), near, op("log1p", -op("exp", x)))


STABILITY: tuple[Rule, ...] = (
    _rule("log_softmax", op("log", op("softmax", x, axis=k)), op("log_softmax", x, axis=k)),
    log_moved_softmax,
    _rule("log_sigmoid", op("log", op("sigmoid", x)), -op("softplus", -x)),
    _rule("log_one_minus_sigmoid", op("log", 1 - op("sigmoid", x)), -op("softplus", x)),
    _rule("log1p_minus_sigmoid", op("log1p", -op("sigmoid", x)), -op("softplus", x)),
    _rule(
        "logsumexp",
        op("log", op("sum", op("exp", x), axes=axes, keepdims=keepdims)),
        op("logsumexp", x, axes=axes, keepdims=keepdims),
    ),
    log_mean_exp,
    _rule("logaddexp", op("log", op("exp", x) + op("exp", y)), op("logaddexp", x, y)),
    _rule("softplus", op("log1p", op("exp", x)), op("softplus", x)),
    _rule("log1p", op("log", 1 + x), op("log1p", x)),
    _rule("log1p_minus", op("log", 1 - x), op("log1p", -x)),
    _rule("log_one_minus_exp", op("log", -op("expm1", x)), _log_complement()),
    _rule("expm1", op("exp", x) - 1, op("expm1", x)),
    _rule("minus_expm1", 1 - op("exp", x), -op("expm1", x)),
    _rule("log_exp", op("log", op("exp", x)), x),
    _rule("exp_log", op("exp", op("log", x)), x),
    _rule("log1p_expm1", op("log1p", op("expm1", x)), x),
    _rule("expm1_log1p", op("expm1", op("log1p", x)), x),
    _rule("exp_log1p", op("exp", op("log1p", x)), 1 + x),
    _rule("log2_exp2", op("log2", op("exp2", x)), x),
    _rule("exp2_log2", op("exp2", op("log2", x)), x),
    _rule("exp_log_softmax", op("exp", op("log_softmax", x, axis=k)), op("softmax", x, axis=k)),
    softmax_of_exp,
    softmax_shift,
    log_softmax_of_difference,
    _rule("sigmoid_of_exp", op("exp", x) / (1 + op("exp", x)), op("sigmoid", x)),
    _rule("sigmoid", 1 / (1 + op("exp", -x)), op("sigmoid", x)),
    _rule("sigmoid_minus", 1 / (1 + op("exp", x)), op("sigmoid", -x)),
    one_minus_sigmoid,
    _rule("tanh", (op("exp", x) - op("exp", -x)) / (op("exp", x) + op("exp", -x)), op("tanh", x)),
    _rule("sinh", (op("exp", x) - op("exp", -x)) / 2, op("sinh", x)),
    _rule("sinh_half", 0.5 * (op("exp", x) - op("exp", -x)), op("sinh", x)),
    _rule("cosh", (op("exp", x) + op("exp", -x)) / 2, op("cosh", x)),
    _rule("cosh_half", 0.5 * (op("exp", x) + op("exp", -x)), op("cosh", x)),
    _rule("one_minus_cos", 1 - op("cos", x), 2 * op("square", op("sin", 0.5 * x))),
    _rule("one_minus_erf", 1 - op("erf", x), op("erfc", x)),
    _rule("one_minus_erfc", 1 - op("erfc", x), op("erf", x)),
    _rule("one_minus_ndtr", 1 - op("ndtr", x), op("ndtr", -x)),
    variance,
    _rule("sqrt_square", op("sqrt", op("square", x)), op("abs", x)),
    _rule("hypot", op("sqrt", op("square", x) + op("square", y)), op("hypot", x, y)),
    _rule("log_det", op("log", op("det", x)), op("logdet", x), lambda: _determinants()[:1]),
    _rule("log_abs_det", op("log", op("abs", op("det", x))), op("logdet", x), lambda: _determinants()[1:]),
    _rule(
        "binary_crossentropy",
        y * op("softplus", -x) + (1 - y) * op("softplus", x),
        op("softplus", x) - y * x,
    ),
)
