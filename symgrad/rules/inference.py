"""What follows for a node from what is declared: the facts that operators hand on.

In: nodes. Out: for each the facts that are true of its elements. Facts about single elements are true as computed, with
roundings, underflow and overflow: exp(x) may be 0, so it is `nonnegative` and no more; where an operand is NaN nothing
is claimed. Facts about axes (`rows_sum_to_one`, `symmetric`) hold up to rounding. Tables by operator, and one look at
each node in a run. It must not know what rules make of a fact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from symgrad.dtypes import BOOL
from symgrad.expr import Expr, literal, topological
from symgrad.ops.facts import declared
from symgrad.ops.moves import is_transposed
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Cast, Gather, Layout, Map
from symgrad.rewrite import Context
from symgrad.rules.identity import identity_mask, lies_along

__all__ = ["facts_of", "knows"]

Facts: TypeAlias = frozenset[str]

NONE: Facts = frozenset()
POSITIVE: Facts = frozenset({"positive", "nonnegative", "nonzero"})
COUNTS: Facts = frozenset({"nonnegative", "integer_valued", "finite"})
SIGNED: Facts = frozenset({"positive", "nonnegative", "finite", "nonzero"})
ELEMENT: Facts = SIGNED | {"integer_valued"}
AXES: Facts = frozenset({"rows_sum_to_one", "symmetric"})


def knows(node: Expr, fact: str, context: Context) -> bool:
    """Tell whether a fact is declared of a node, or follows from what is declared of others."""
    return fact in facts_of(node, context)


def facts_of(node: Expr, context: Context) -> Facts:
    """Give all facts known of a node."""
    known = context.learned
    if node not in known:
        ready = all(arg in known for arg in node.args)
        for below in [node] if ready else topological([node], stop=known.__contains__):
            if below not in known:
                known[below] = _own(below, [known[a] for a in below.args])
    return known[node]


def _own(node: Expr, given: Sequence[Facts]) -> Facts:
    """Put together what is declared of a node, what its operator says, and what its dtype says."""
    found = declared(node) | ALWAYS.get(node.op, NONE)
    if node.op in KEPT:
        found |= frozenset.intersection(*given) & KEPT[node.op]
    rule = OWN.get(node.op)
    if rule is not None:
        found |= rule(node, given)
    if node.op in WRAPPING and not node.dtype.is_float:
        found = declared(node)
    if "positive" in found:
        found |= POSITIVE
    if not getattr(node.type, "shape", None):
        return found | _of_dtype(node)
    if _rows_sum_to_one(node, given):
        found |= {"rows_sum_to_one"}
    if node.ndim > 1 and node.shape[-1] == node.shape[-2] and _is_symmetric(node, given):
        found |= {"symmetric"}
    return found | _of_dtype(node)


def _of_dtype(node: Expr) -> Facts:
    dtype = getattr(node.type, "dtype", None)
    if dtype is None or dtype.is_float:
        return NONE
    return COUNTS if dtype is BOOL or dtype.kind == "u" else COUNTS - {"nonnegative"}


# -- facts about elements ----------------------------------------------------------------------------------------------

# What is true of every result. Activations and distributions that underflow are >= 0, not > 0.
ALWAYS: dict[str, Facts] = {
    **dict.fromkeys(
        ("abs", "sqrt", "square", "exp", "exp2", "sigmoid", "softplus", "relu", "relu6", "hard_sigmoid", "hypot",
         "erfc", "ndtr", "acos", "softmax", "var", "norm"),
        frozenset({"nonnegative"}),
    ),
    **dict.fromkeys(("floor", "ceil", "round", "trunc", "sign", "floor_divide"), frozenset({"integer_valued"})),
    "cosh": POSITIVE, "one_hot": COUNTS, "dim": COUNTS,
}  # fmt: skip

# What is true of the result if it is true of all operands.
_SAME_SIGN = frozenset({"nonnegative"})
_WHOLE = frozenset({"integer_valued"})
_MOVING = tuple(name for name, row in ROWS.items() if isinstance(row.structure, Layout | Gather) and row.arity == 1)
KEPT: dict[str, Facts] = {
    **dict.fromkeys(("add", "multiply", "matmul", "contract"), _SAME_SIGN | _WHOLE),
    **dict.fromkeys(("mean", "logaddexp", "tanh", "erf", "atan", "sinh", "asinh"), _SAME_SIGN),
    **dict.fromkeys(("subtract", "remainder", "fmod", "square"), _WHOLE),
    **dict.fromkeys(("sum", "prod", "cumsum", "cumprod"), _SAME_SIGN | _WHOLE),
    **dict.fromkeys(("max", "min", "sort", "concatenate", "maximum", "minimum", "clip"), ELEMENT),
    **dict.fromkeys(_MOVING, ELEMENT),
    **dict.fromkeys(("stop_gradient", "assume"), ELEMENT | AXES),
    **dict.fromkeys(("sqrt", "log1p", "expm1"), POSITIVE), "cbrt": SIGNED,
    "abs": frozenset({"finite", "integer_valued"}), "negative": frozenset({"finite", "nonzero", "integer_valued"}),
    **dict.fromkeys(("floor", "round", "trunc"), frozenset({"nonnegative", "finite"})),
    "ceil": SIGNED - {"nonzero"}, "relu": ELEMENT - {"nonzero"}, "place": COUNTS,
}  # fmt: skip
# Integers wrap around: nothing is known of the signs of these operators' results.
WRAPPING = frozenset({
    "add", "subtract", "multiply", "negative", "abs", "square", "power", "matmul", "contract", "sum", "prod", "cumsum",
    "cumprod", "scatter_add", "scatter_along_axis", "floor_divide",
})  # fmt: skip
_BOUNDED = ("tanh", "erf", "erfc", "ndtr", "atan", "sin", "cos", "sigmoid", "softsign", "sign", "softmax")
for _name in _BOUNDED:
    KEPT[_name] = KEPT.get(_name, NONE) | {"finite"}


def _add(node: Expr, given: Sequence[Facts]) -> Facts:
    """A sum of something > 0 and something >= 0 is > 0, however it is rounded."""
    one_positive = any("positive" in facts for facts in given)
    return POSITIVE if one_positive and all("nonnegative" in facts for facts in given) else NONE


def _quotient(node: Expr, given: Sequence[Facts]) -> Facts:
    """A divisor that may be 0 may be -0.0, too, by which a quotient is -inf."""
    return _SAME_SIGN if "positive" in given[-1] and "nonnegative" in given[0] else NONE


def _abs(node: Expr, given: Sequence[Facts]) -> Facts:
    return POSITIVE if "nonzero" in given[0] else NONE


def _maximum(node: Expr, given: Sequence[Facts]) -> Facts:
    """The larger of two is at least as positive as either."""
    either = given[0] | given[1]
    return POSITIVE if "positive" in either else either & _SAME_SIGN


def _choice(node: Expr, given: Sequence[Facts]) -> Facts:
    return given[1] & given[2] & ELEMENT


def _indexed(node: Expr, given: Sequence[Facts]) -> Facts:
    return given[0] & ELEMENT


def _added_up(node: Expr, given: Sequence[Facts]) -> Facts:
    return given[0] & (_SAME_SIGN | _WHOLE)


def _sum(node: Expr, given: Sequence[Facts]) -> Facts:
    """A sum of something, rather than of nothing, is as positive as its terms."""
    sizes = [node.args[0].shape[axis] for axis in node.attrs["axes"]]
    return POSITIVE if "positive" in given[0] and all(isinstance(n, int) and n > 0 for n in sizes) else NONE


def _power(node: Expr, given: Sequence[Facts]) -> Facts:
    exponent = literal(node.args[1])
    if exponent is None or not math.isfinite(exponent) or exponent < 0 or exponent != int(exponent):
        return given[0] & _SAME_SIGN
    return (given[0] & (_SAME_SIGN | _WHOLE)) | (NONE if exponent % 2 else _SAME_SIGN)


def _converted(node: Expr, given: Sequence[Facts]) -> Facts:
    """A narrower float may underflow or overflow; an integer may drop a fraction, or wrap around."""
    source, target = node.args[0].dtype, node.dtype
    if target.is_float:
        exact = not source.is_float or target.size >= source.size
        return given[0] & (AXES | (ELEMENT if exact else _SAME_SIGN | _WHOLE))
    widened = not source.is_float and target.size > source.size
    return given[0] & ({"symmetric"} | (ELEMENT if widened else NONE))


def _of_number(node: Expr, given: Sequence[Facts]) -> Facts:
    value = literal(node)
    if value is None or not math.isfinite(value):
        return NONE
    signs = POSITIVE if value > 0 else _SAME_SIGN if value == 0 else frozenset({"nonzero"})
    return signs | {"finite"} | (_WHOLE if value == int(value) else NONE)


def _of_range(node: Expr, given: Sequence[Facts]) -> Facts:
    start, step = node.attrs["start"], node.attrs["step"]
    rising = isinstance(start, int) and isinstance(step, int) and start >= 0 and step >= 0
    return COUNTS if rising else COUNTS - _SAME_SIGN


OWN: dict[str, Callable[[Expr, Sequence[Facts]], Facts]] = {
    "add": _add, "divide": _quotient, "reciprocal": _quotient, "abs": _abs, "maximum": _maximum,
    "where": _choice, "sum": _sum, "power": _power,
    **dict.fromkeys(("take", "pick", "take_along_axis"), _indexed),
    **dict.fromkeys(("scatter_add", "scatter_along_axis"), _added_up),
    "astype": _converted, "constant": _of_number, "arange": _of_range,
}  # fmt: skip


# -- facts about axes --------------------------------------------------------------------------------------------------


def _rows_sum_to_one(node: Expr, given: Sequence[Facts]) -> bool:
    """Tell whether the last axis is a distribution: made so, or moved as a whole."""
    last = node.ndim - 1
    match node.op:
        case "softmax":
            return bool(node.attrs["axis"] == last)
        case "one_hot":
            return node.dtype.is_float
        case "transpose":
            return "rows_sum_to_one" in given[0] and node.attrs["axes"][-1] == last
        case "broadcast_to":
            return "rows_sum_to_one" in given[0] and node.args[0].shape[-1] == node.shape[-1]
    return False


def _is_symmetric(node: Expr, given: Sequence[Facts]) -> bool:
    """Tell whether the last two axes, of one size, may be swapped."""
    structure = ROWS[node.op].structure
    if isinstance(structure, Map | Cast):
        even = all("symmetric" in facts or _is_even(x) for x, facts in zip(node.args, given, strict=True))
        return even or _is_diagonal(node) or (ROWS[node.op].commutative and _mirrored(*node.args))
    match node.op:
        case "matmul":
            return _mirrored(*node.args)  # X.T @ X, X @ X.T
        case "inv" | "broadcast_to":
            return "symmetric" in given[0] and node.args[0].shape[-2:] == node.shape[-2:]
        case "transpose":
            last = {node.ndim - 1, node.ndim - 2}
            return "symmetric" in given[0] and set(node.attrs["axes"][-2:]) == last
        case "sum" | "mean":
            return "symmetric" in given[0] and max(node.attrs["axes"], default=0) < node.args[0].ndim - 2
    return False


def _is_diagonal(node: Expr) -> bool:
    mask = identity_mask(node)
    return mask is not None and mask.axes == (node.ndim - 2, node.ndim - 1)


def _is_even(x: Expr) -> bool:
    """Tell whether an operand is the same everywhere along the last two axes."""
    return all(size == 1 for size in x.shape[-2:])


def _mirrored(a: Expr, b: Expr) -> bool:
    """Tell whether one operand is the other with the last two axes swapped."""
    if (is_transposed(a) and a.args[0] is b) or (is_transposed(b) and b.args[0] is a):
        return True
    sources = [x.args[0] if x.op == "reshape" else x for x in (a, b)]
    if sources[0] is not sources[1] or sources[0].ndim != 1:
        return False
    return sorted(lies_along(x, 2) for x in (a, b)) == [[0], [1]]
