"""Rules of averages: a sum that is divided by the number of its terms.

In: quotients in which a factor is a sum along axes that are kept. Out: means. Only where axes are kept: a sum over the
whole batch stays a sum, its division by N the last thing that is written. It must not know where sums come from.
"""

from __future__ import annotations

from symgrad.expr import Expr
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.examples import summed, tensor
from symgrad.rules.scale import Scaled, joined, split
from symgrad.shape import Size, dim, exact_div, product

REAL = RuleClass.REAL
MOST_FACTORS = 8
n = dim("n")


def _quotients() -> list[Expr]:
    x, y, wide = tensor("x", n, 3), tensor("y", n, 3), tensor("z", 3, n)
    total = summed(x, 1, keepdims=True)
    return [
        total / 3, y * total / 6, (-2 * (y * total)) / 3, summed(wide, 1, keepdims=True) / n,
        (y / (1 + y * y) * total) / 3,
    ]  # fmt: skip


@structural(
    "mean_of_sum", "divide", "x * sum(y, axis=i, keepdims=True) / n", "x * mean(y, axis=i, keepdims=True)", REAL,
    condition=f"n is the number of elements along i; among up to {MOST_FACTORS} factors", examples=_quotients,
)  # fmt: skip
def mean_of_sum(node: Expr, context: Context) -> Expr | None:
    """Write a sum that is divided by its number of terms as a mean."""
    if not node.dtype.is_float or node.args[1].ndim:
        return None
    whole = split(node, context)
    if whole.core is None:
        return None
    for path in _paths(whole.core, context):
        total = _at(path)
        axes = total.attrs["axes"]
        rest = _divided(whole, product(total.args[0].shape[axis] for axis in axes))
        if rest is not None:
            mean = ROWS["mean"](total.args[0], axes=axes, keepdims=True)
            return joined(_with_core(rest, _replaced(path, mean)), node)
    return None


Path = tuple[tuple[Expr, int], ...]  # from the whole down: a node, and which operand of it comes next; last (node, -1)


def _at(path: Path) -> Expr:
    return path[-1][0]


def _paths(core: Expr, context: Context) -> list[Path]:
    """List the ways to the factors that are sums along kept axes, with no other users."""
    found: list[Path] = []
    queue: list[Path] = [((core, -1),)]
    for path in queue:  # grows while it is read
        node = _at(path)
        if context.owns(node, "sum") and node.attrs["keepdims"] and node.attrs["axes"]:
            found.append(path)
        open_ = node.op in ("multiply", "divide") and (len(path) == 1 or context.owns(node, node.op))
        if open_ and id(node) not in context.kept and len(queue) < 2 * MOST_FACTORS:
            places = (0, 1) if node.op == "multiply" else (0,)
            queue += [(*path[:-1], (node, place), (node.args[place], -1)) for place in places]
    return found


def _replaced(path: Path, new: Expr) -> Expr:
    """Put another factor at the end of a way."""
    for node, place in reversed(path[:-1]):
        args = (new, node.args[1]) if place == 0 else (node.args[0], new)
        new = ROWS[node.op](*args)
    return new


def _divided(whole: Scaled, count: Size) -> Scaled | None:
    """Take a count out of the divisors; None where it is not part of them."""
    if isinstance(count, int):
        if count < 2 or whole.divisor % count:
            return None
        return _with_divisor(whole, whole.divisor / count, whole.divisor_size)
    rest = exact_div(whole.divisor_size, count)
    return None if rest is None else _with_divisor(whole, whole.divisor, rest)


def _with_divisor(s: Scaled, divisor: float, size: Size) -> Scaled:
    return Scaled(s.number, s.core, s.factors, divisor, s.divisors, s.size, size)


def _with_core(s: Scaled, core: Expr) -> Scaled:
    return Scaled(s.number, core, s.factors, s.divisor, s.divisors, s.size, s.divisor_size)


AVERAGES: tuple[Rule, ...] = (mean_of_sum,)
