"""Scalar factors: taken apart, merged, and put back in one canonical place.

In: nodes of the form `2 * lam * x / N`. Out: the same with one number in front, scalar factors after it, one division
last; and rules that move factors outward through everything linear, so that a mean's `/ N` is applied once.
Canonical: divide(multiply(number * factors, core), divisors), negative(core) for the number -1. Only floats are
touched. A factor is any rank-0 expression beside a core of higher rank; within a rank-0 expression only numbers and
dimensions are factors. Values that other nodes need as they are (`Context.kept`) are not taken apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.expr import Expr, constant_node, dim_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass, order_key, structural
from symgrad.shape import Size, dim, exact_div

# Operators that commute with a scalar factor of operand 0 and are linear in it alone.
LINEAR = ("sum", "mean", "reshape", "transpose", "slice", "place", "take", "pick", "scatter_add")


@dataclass(frozen=True, slots=True)
class Scaled:
    """number * size * product(factors) * core / (divisor * product(divisors)); a core of None stands for 1.

    Dimensions are kept apart from other factors: sizes are polynomials, so N * 10 is one and N / N is 1.
    """

    number: float
    core: Expr | None
    factors: tuple[Expr, ...] = ()
    divisor: float = 1.0
    divisors: tuple[Expr, ...] = ()
    size: Size = 1
    divisor_size: Size = 1

    @property
    def is_trivial(self) -> bool:
        """Tell whether there is nothing but the core."""
        return self.number == 1 and not self.factors and not self.is_divided and self.size == 1

    @property
    def is_divided(self) -> bool:
        """Tell whether there is any divisor."""
        return self.divisor != 1 or bool(self.divisors) or self.divisor_size != 1


def split(node: Expr, context: Context) -> Scaled:
    """Take a node apart; its operands must be canonical.

    What was found is remembered: a product of products is asked for its parts at every level, and in a square both
    times.
    """
    if not node.dtype.is_float or id(node) in context.kept:
        return Scaled(1.0, node)
    known = context.parts.get(node)
    if known is None:
        known = context.parts[node] = _parts(node, context)
    return known


def _parts(node: Expr, context: Context) -> Scaled:
    match node.op:
        case "constant":
            value = float(literal(node) or 0.0)
            plain = value != 0 and math.isfinite(value)
            return Scaled(value, None) if plain else Scaled(1.0, node)
        case "dim":
            return Scaled(1.0, None, size=node.attrs["size"])
        case "negative":
            return _times(Scaled(-1.0, None), split(node.args[0], context), ())
        case "multiply" if any(a.ndim == 0 for a in node.args):
            a, b = sorted(node.args, key=lambda n: n.ndim)
            left, right = split(a, context), split(b, context)
            plain = left.core is a and right.core is b and a.ndim == b.ndim
            if plain and order_key(a) <= order_key(b):
                return Scaled(1.0, node)
            return _times(left, right, b.shape)
        case "divide" if node.args[1].ndim == 0:
            return _over(split(node.args[0], context), split(node.args[1], context))
    return Scaled(1.0, node)


def _times(a: Scaled, b: Scaled, shape: Sequence[Size]) -> Scaled:
    """Multiply; the core of a rank-0 `a` becomes a factor of a `b` of higher rank."""
    factors, core = a.factors + b.factors, b.core
    if a.core is not None and shape:
        factors = (*factors, a.core)
    elif a.core is not None:
        core = a.core if core is None else ordered_product(a.core, core)
    return Scaled(
        a.number * b.number, core, factors, a.divisor * b.divisor, a.divisors + b.divisors, a.size * b.size,
        a.divisor_size * b.divisor_size,
    )  # fmt: skip


def _over(a: Scaled, d: Scaled) -> Scaled:
    """Divide by a rank-0 scale, whose core is a divisor."""
    below = d.factors if d.core is None else (*d.factors, d.core)
    return Scaled(
        a.number * d.divisor, a.core, a.factors + d.divisors, a.divisor * d.number, a.divisors + below,
        a.size * d.divisor_size, a.divisor_size * d.size,
    )  # fmt: skip


def ordered_product(a: Expr, b: Expr) -> Expr:
    """Multiply in the canonical order."""
    return ROWS["multiply"](*sorted((a, b), key=lambda n: (n.ndim > 0, order_key(n))))


def join(s: Scaled, like: Expr) -> Expr:
    """Put a scaled value together in the canonical form, in the dtype of a node."""
    number, divisor = _reduced(s.number, s.divisor)
    size, divisor_size = _cancelled(s.size, s.divisor_size)
    number, divisor_size = _reduced_by_size(number, divisor_size)
    front = sorted(s.factors, key=order_key)
    if size != 1:
        front.insert(0, dim_node(size, like.dtype))
    if abs(number) != 1 or (s.core is None and not front):
        front.insert(0, constant_node(number, like.dtype))
        number = 1.0
    out = _product(front)
    if s.core is not None:
        out = s.core if out is None else ROWS["multiply"](out, s.core)
    assert out is not None
    if number < 0:
        out = ROWS["negative"](out)
    return _divided(out, divisor, divisor_size, s.divisors, like)


def joined(s: Scaled, like: Expr) -> Expr | None:
    """Put a scaled value together, unless its number or divisor would leave the normal range of the dtype.

    What is finite step by step must not become 0, inf or NaN because the steps were taken together.
    """
    limits = np.finfo(like.dtype.numpy)
    inside = all(float(limits.tiny) <= abs(v) <= float(limits.max) for v in _reduced(s.number, s.divisor))
    return join(s, like) if inside else None


def _divided(out: Expr, divisor: float, size: Size, divisors: tuple[Expr, ...], like: Expr) -> Expr:
    below = sorted(divisors, key=order_key)
    if float(divisor).is_integer() and size != 1:
        size, divisor = size * int(divisor), 1.0
    if size != 1:
        below.insert(0, dim_node(size, like.dtype))
    if divisor != 1:
        below.insert(0, constant_node(divisor, like.dtype))
    whole = _product(below)
    return out if whole is None else ROWS["divide"](out, whole)


def _product(factors: Sequence[Expr]) -> Expr | None:
    out: Expr | None = None
    for factor in factors:
        out = factor if out is None else ROWS["multiply"](out, factor)
    return out


def _reduced(number: float, divisor: float) -> tuple[float, float]:
    """Cancel what can be cancelled exactly; the divisor keeps no sign."""
    if divisor < 0:
        number, divisor = -number, -divisor
    if abs(number) == 1:
        return number, divisor
    if math.frexp(divisor)[0] == 0.5 or (number / divisor).is_integer():
        return number / divisor, 1.0
    if number.is_integer() and divisor.is_integer():
        common = math.gcd(int(number), int(divisor))
        return number / common, divisor / common
    return number, divisor


def _reduced_by_size(number: float, divisor: Size) -> tuple[float, Size]:
    """Cancel a whole number with the common factor of a divisor's coefficients."""
    if isinstance(divisor, int) or not number.is_integer():
        return number, divisor
    common = math.gcd(int(number), *(coefficient for coefficient, _ in divisor.terms()))
    part = exact_div(divisor, common)
    return (number / common, part) if common > 1 and part is not None else (number, divisor)


def _cancelled(size: Size, divisor: Size) -> tuple[Size, Size]:
    """Cancel sizes where one divides the other; a dimension of 0 has no mean to begin with."""
    if size == 1 or divisor == 1:
        return size, divisor
    if size == divisor:
        return 1, 1
    whole = exact_div(size, divisor)
    if whole is not None:
        return whole, 1
    part = exact_div(divisor, size)
    return (1, part) if part is not None else (size, divisor)


# -- rules --------------------------------------------------------------------------------------------------------


def _samples() -> tuple[Expr, Expr, Expr, Expr, Expr]:
    n = dim("n")
    return (
        symbol("x", (n, 3), "float64"), symbol("y", (n, 3), "float64"), symbol("s", (), "float64"),
        symbol("W", (3, 4), "float64"), dim_node(n, symbol("s", (), "float64").dtype),
    )  # fmt: skip


def _product_examples() -> list[Expr]:
    x, y, s, _, n = _samples()
    return [(2 * x) * (y / n), x * s * 3, (x / n) * s, -(2 * x), (x * 4) / 2, x / n / 10, (x / s) / (y + 3), -(x / n)]


@structural(
    "scale_product", "multiply divide negative", "(a * x / c) * (b * y / d)", "(a * b) * (x * y) / (c * d)",
    RuleClass.REAL, condition="a, b, c, d have rank 0", examples=_product_examples,
)  # fmt: skip
def scale_product(node: Expr, context: Context) -> Expr | None:
    """Collect the scalar factors of a product in front, and the divisors in one division."""
    if not node.dtype.is_float:
        return None
    if node.op == "negative" or any(a.ndim == 0 for a in node.args[node.op == "divide" :]):
        whole = split(node, context)
    elif node.op == "divide":
        whole = split(node.args[0], context)
        if whole.core is None:
            return None
        whole = _with_core(whole, ROWS["divide"](whole.core, node.args[1]))
    else:
        a, b = (split(n, context) for n in node.args)
        if (a.is_trivial and b.is_trivial) or a.core is None or b.core is None:
            return None
        whole = _with_core(_times(_with_core(a, None), b, ()), ordered_product(a.core, b.core))
    return joined(whole, node)


def _with_core(s: Scaled, core: Expr | None) -> Scaled:
    return Scaled(s.number, core, s.factors, s.divisor, s.divisors, s.size, s.divisor_size)


def _linear_examples() -> list[Expr]:
    x, _, s, _, n = _samples()
    return [
        ROWS["sum"](2 * x / n, axes=(0,), keepdims=False), ROWS["transpose"](x / s, axes=(1, 0)),
        ROWS["reshape"](-x, shape=(3 * dim("n"),)), ROWS["mean"](s * x, axes=(1,), keepdims=True),
    ]  # fmt: skip


@structural(
    "scale_linear", " ".join(LINEAR), "f(a * x / c)", "a * f(x) / c", RuleClass.REAL,
    condition="f is linear: " + ", ".join(LINEAR), examples=_linear_examples,
)  # fmt: skip
def scale_linear(node: Expr, context: Context) -> Expr | None:
    """Move a scalar factor out of a sum, a mean, a layout or a gather."""
    inner = split(node.args[0], context)
    if inner.is_trivial or inner.core is None:
        return None
    return joined(_with_core(inner, ROWS[node.op](inner.core, *node.args[1:], **node.attrs)), node)


def _contraction_examples() -> list[Expr]:
    x, _, s, W, n = _samples()
    labels = {"left": (0, 2), "right": (2, 1), "out": (0, 1)}
    return [(x / n) @ W, (2 * x) @ (W * s), x @ -W, ROWS["contract"](x / n, -s * W, **labels)]


@structural(
    "scale_contraction", "matmul contract", "(a * x / c) @ (b * y / d)", "(a * b) * (x @ y) / (c * d)", RuleClass.REAL,
    condition="a, b, c, d have rank 0", examples=_contraction_examples,
)  # fmt: skip
def scale_contraction(node: Expr, context: Context) -> Expr | None:
    """Move scalar factors out of a contraction."""
    a, b = (split(n, context) for n in node.args)
    if (a.is_trivial and b.is_trivial) or a.core is None or b.core is None:
        return None
    core = ROWS[node.op](a.core, b.core, **node.attrs)
    return joined(_with_core(_times(_with_core(a, None), b, ()), core), node)


def _mask_examples() -> list[Expr]:
    x, y, s, _, n = _samples()
    return [
        ROWS["where"](y > 0, x / n, 0), ROWS["where"](y > 0, -x, 0), ROWS["where"](y > 0, s * x, 0),
        ROWS["where"](s > 0, 2 * (x / s), 0),
    ]  # fmt: skip


@structural(
    "scale_mask", "where", "where(m, a * x / c, 0)", "a * where(m, x, 0) / c", RuleClass.REAL,
    condition="a is made of numbers, sizes and symbols, c of numbers and sizes", examples=_mask_examples,
)  # fmt: skip
def scale_mask(node: Expr, context: Context) -> Expr | None:
    """Move a scalar factor out of a mask, unless it may be what the mask guards: a divisor, or a computed number."""
    mask, x, other = node.args
    if not node.dtype.is_float or literal(other) != 0:
        return None
    inner = split(x, context)
    if inner.is_trivial or inner.core is None:
        return None
    guarded = Scaled(
        1.0, inner.core, tuple(f for f in inner.factors if f.args), divisors=inner.divisors,
        divisor_size=1 if mask.ndim else inner.divisor_size,
    )  # fmt: skip
    free = Scaled(
        inner.number, None, tuple(f for f in inner.factors if not f.args), inner.divisor, (), inner.size,
        inner.divisor_size if mask.ndim else 1,
    )  # fmt: skip
    if free.is_trivial:
        return None
    return joined(_with_core(free, ROWS["where"](mask, join(guarded, x), other)), node)


def _sum_examples() -> list[Expr]:
    x, y, s, _, n = _samples()
    return [
        x / n + y / n, x / n - 2 * y / n, -x + y, x + (-2) * y, x - (-y), -x - y, x + 3 * x, x * s - (-3 * s) * x,
        -x / n + y / n,
    ]  # fmt: skip


@structural(
    "scale_sum", "add subtract", "a * x / c + b * y / c", "(a * x + b * y) / c", RuleClass.REAL,
    condition="signs go outward and equal terms are counted, too", examples=_sum_examples,
)  # fmt: skip
def scale_sum(node: Expr, context: Context) -> Expr | None:
    """Take a common divisor and signs out of a sum; add up multiples of the same term."""
    if not node.dtype.is_float:
        return None
    a, b = (split(n, context) for n in node.args)
    if a.is_trivial and b.is_trivial and a.core is not b.core:
        return None
    if node.op == "subtract":
        b = _replaced_number(b, -b.number)
    together = _counted(a, b)
    if together is not None:
        return joined(together, node)
    if a.is_divided and _same_divisor(a, b):
        inner = _signed_sum(_undivided(a), _undivided(b), node)
        sign = split(inner, context)
        return joined(
            Scaled(sign.number, sign.core, sign.factors, a.divisor, a.divisors, sign.size, a.divisor_size), node
        )
    return _signed_sum(a, b, node)


def _same_divisor(a: Scaled, b: Scaled) -> bool:
    return a.divisor == b.divisor and a.divisor_size == b.divisor_size and _same(a.divisors, b.divisors)


def _same(a: Sequence[Expr], b: Sequence[Expr]) -> bool:
    return list(map(id, a)) == list(map(id, b))


def _replaced_number(s: Scaled, number: float) -> Scaled:
    return Scaled(number, s.core, s.factors, s.divisor, s.divisors, s.size, s.divisor_size)


def _undivided(s: Scaled) -> Scaled:
    return Scaled(s.number, s.core, s.factors, size=s.size)


def _counted(a: Scaled, b: Scaled) -> Scaled | None:
    """Add multiples of one term; None where the terms differ or cancel (that infinities cancel is not known)."""
    if a.core is not b.core or a.core is None or a.size != b.size:
        return None
    if not (_same(a.factors, b.factors) and _same_divisor(a, b)):
        return None
    return _replaced_number(a, a.number + b.number) if a.number + b.number != 0 else None


def _signed_sum(a: Scaled, b: Scaled, like: Expr) -> Expr:
    """Add two terms, with minus rather than plus times -1."""
    x, y = (join(_replaced_number(s, abs(s.number)), like) for s in (a, b))
    if a.number > 0 and b.number > 0:
        return ROWS["add"](*sorted((x, y), key=order_key))
    if a.number > 0:
        return ROWS["subtract"](x, y)
    if b.number > 0:
        return ROWS["subtract"](y, x)
    return ROWS["negative"](ROWS["add"](*sorted((x, y), key=order_key)))


SCALE: tuple[Rule, ...] = (scale_product, scale_linear, scale_contraction, scale_mask, scale_sum)
ABSORBING = frozenset(name for one in SCALE for name in one.ops)
