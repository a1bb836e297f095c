"""Masks: what relu's derivative does to a cotangent, in one canonical form, where(c, g, 0), printed as g * [c].

In: products with ones and zeros chosen by a condition. Out: rules to a selection, which machine code does in one
instruction. The class is `refines`: where c is false the selection gives 0 for any g, the product NaN for an infinite
one and -0 for a negative one; the product's infinities are not what the derivative of relu means by 0.
It must not know where masks come from.
"""

from __future__ import annotations

from symgrad.dtypes import BOOL, FLOAT32, FLOAT64
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import stretched
from symgrad.ops.row import ROWS
from symgrad.pattern import op, variables
from symgrad.rewrite import Context, Rule, RuleClass, rule, structural
from symgrad.rules.scale import split
from symgrad.shape import dim

BITWISE, REFINES = RuleClass.BITWISE, RuleClass.REFINES
x, y, c = variables("x y c")


def _samples() -> tuple[Expr, Expr, Expr]:
    shape = (dim("n"), 3)
    return symbol("x", shape, "float64"), symbol("y", shape, "float64"), symbol("c", shape, "bool")


def _select_examples() -> list[Expr]:
    x, y, c = _samples()
    return [x * ROWS["where"](c, y, 0)]


@structural(
    "mask_outward", "multiply", "x * where(c, y, 0)", "where(c, x * y, 0)", REFINES, condition="x is no scalar factor",
    examples=_select_examples,
)  # fmt: skip
def mask_outward(node: Expr, context: Context) -> Expr | None:
    """Move a mask out of a product; of two masks the left one first. Scalar factors stay outside."""
    for this, other in (node.args, node.args[::-1]):
        if other.ndim == 0 and (node.ndim > 0 or _is_number(other, context)):
            continue
        if this.op == "where" and id(this) not in context.kept and _is_zero(this.args[2]):
            return ROWS["where"](this.args[0], ROWS["multiply"](other, this.args[1]), constant_node(0, node.dtype))
    return None


def _is_number(node: Expr, context: Context) -> bool:
    """Tell whether a scalar is made of numbers and sizes, which are factors beside scalars, too (see `scale.py`)."""
    return node.op in ("constant", "dim") or split(node, context).core is None


def _cast_examples() -> list[Expr]:
    x, _, c = _samples()
    return [x * ROWS["astype"](c, dtype=x.dtype)]


@structural(
    "mask_of_cast", "multiply", "x * astype(c)", "where(c, x, 0)", REFINES, condition="c is bool",
    examples=_cast_examples,
)  # fmt: skip
def mask_of_cast(node: Expr, context: Context) -> Expr | None:
    """Read a product with a converted bool as a mask."""
    for this, other in (node.args, node.args[::-1]):
        if this.op == "astype" and this.args[0].dtype == "bool":
            return ROWS["where"](this.args[0], other, constant_node(0, node.dtype))
    return None


def _is_zero(node: Expr) -> bool:
    return node.op == "constant" and node.attrs["bits"] == 0


def _known_examples() -> list[Expr]:
    x, y, _ = _samples()
    row = symbol("r", (3,), "float64")
    return [ROWS["where"](True, x, y), ROWS["where"](False, 0, x), ROWS["where"](True, row, x)]


@structural(
    "where_known", "where", "where(True, x, y)", "x", BITWISE, condition="or False and y", examples=_known_examples
)
def where_known(node: Expr, context: Context) -> Expr | None:
    """Take the side that a constant condition chooses."""
    chosen = literal(node.args[0])
    if chosen is None:
        return None
    return stretched(node.args[1 if chosen else 2], node.shape)


def _negated(name: str) -> Rule:
    """Make the rule that chooses zero on the false side. Of a NaN the opposite comparison is false as well."""
    compared = op(name, x, y)
    return rule(f"mask_{name}", op("where", compared, 0, c), op("where", op("logical_not", compared), c, 0), BITWISE)


def _converted_examples() -> list[Expr]:
    _, _, c = _samples()
    return [ROWS["astype"](ROWS["where"](c, constant_node(1, FLOAT32), constant_node(0, FLOAT32)), dtype=FLOAT64)]


@structural(
    "cast_of_mask", "astype", "astype(where(c, 1, 0))", "where(c, 1, 0)", BITWISE, condition="a choice of two numbers",
    examples=_converted_examples,
)  # fmt: skip
def cast_of_mask(node: Expr, context: Context) -> Expr | None:
    """Choose between numbers of the right dtype."""
    (choice,) = node.args
    if choice.op != "where" or any(a.op != "constant" for a in choice.args[1:]):
        return None
    return ROWS["where"](choice.args[0], *(ROWS["astype"](a, dtype=node.dtype) for a in choice.args[1:]))


def _twice_converted() -> list[Expr]:
    _, _, c = _samples()
    return [ROWS["astype"](ROWS["astype"](c, dtype=FLOAT32), dtype=FLOAT64)]


@structural(
    "cast_of_bool", "astype", "astype(astype(c))", "astype(c)", BITWISE, condition="c is bool; to dtypes of numbers",
    examples=_twice_converted,
)  # fmt: skip
def cast_of_bool(node: Expr, context: Context) -> Expr | None:
    """Convert a bool once: every dtype of numbers holds 0 and 1."""
    (inner,) = node.args
    if inner.op != "astype" or inner.args[0].dtype is not BOOL or node.dtype is BOOL:
        return None
    return ROWS["astype"](inner.args[0], dtype=node.dtype)


def _nested_examples() -> list[Expr]:
    x, y, c = _samples()
    return [ROWS["where"](c, ROWS["where"](y > 0, x, 0), 0)]


@structural(
    "mask_of_mask", "where", "where(c, where(d, x, 0), 0)", "where(c & d, x, 0)", BITWISE, examples=_nested_examples
)
def mask_of_mask(node: Expr, context: Context) -> Expr | None:
    """Ask both conditions at once."""
    outer, inner, zero = node.args
    if not (_is_zero(zero) and inner.op == "where" and _is_zero(inner.args[2])) or id(inner) in context.kept:
        return None
    return ROWS["where"](ROWS["logical_and"](outer, inner.args[0]), inner.args[1], zero)


def _contraction_examples() -> list[Expr]:
    x, y, _ = _samples()
    s, A = symbol("s", (), "float64"), symbol("A", (3, 4), "float64")
    labels = {"left": (0, 1), "right": (0, 2), "out": (0, 1, 2)}
    return [ROWS["where"](s != 0, x / s, 0) @ A, A @ ROWS["where"](s > 0, symbol("v", (4,), "float64"), 0),
            ROWS["contract"](x, ROWS["where"](s > 0, y, 0), **labels)]  # fmt: skip


@structural(
    "mask_of_contraction", "matmul contract", "x @ where(c, y, 0)", "where(c, x @ y, 0)", REFINES,
    condition="c has rank 0; nothing else uses the mask", examples=_contraction_examples,
)  # fmt: skip
def mask_of_contraction(node: Expr, context: Context) -> Expr | None:
    """Ask once for the whole product."""
    for place, this in enumerate(node.args):
        if context.owns(this, "where") and this.args[0].ndim == 0 and _is_zero(this.args[2]):
            args = [stretched(this.args[1], this.shape) if i == place else a for i, a in enumerate(node.args)]
            return ROWS["where"](this.args[0], ROWS[node.op](*args, **node.attrs), this.args[2])
    return None


def _compared(name: str) -> list[Expr]:
    _, _, c = _samples()
    return [ROWS[name](ROWS["where"](c, constant_node(1, FLOAT64), constant_node(0, FLOAT64)), 0)]


def _both(name: str) -> Expr:
    _, _, c = _samples()
    return ROWS[name](c, c)


MASK: tuple[Rule, ...] = (
    where_known,
    rule("and_same", op("logical_and", x, x), x, BITWISE, examples=lambda: [_both("logical_and")]),
    rule("or_same", op("logical_or", x, x), x, BITWISE, examples=lambda: [_both("logical_or")]),
    rule("where_same", op("where", c, x, x), x, BITWISE),
    rule("positive_mask", op("greater", op("where", c, 1, 0), 0), c, BITWISE, examples=lambda: _compared("greater")),
    rule("nonzero_mask", op("not_equal", op("where", c, 1, 0), 0), c, BITWISE, examples=lambda: _compared("not_equal")),
    rule("positive_relu", op("greater", op("relu", x), 0), op("greater", x, 0), BITWISE),
    _negated("less_equal"),
    _negated("less"),
    _negated("greater"),
    _negated("greater_equal"),
    cast_of_mask,
    cast_of_bool,
    mask_of_cast,
    mask_of_mask,
    mask_outward,
    mask_of_contraction,
)
