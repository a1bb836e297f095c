"""The elementwise operators, one row each: arithmetic, powers and logarithms, rounding, choice, comparison, conversion.

In: nothing; importing this file registers the rows. Out: the rows themselves, which are the public functions, `astype`
and `clip`; and `scalar`, with which `trigonometry.py special.py activations.py bitwise.py` register theirs. Derivatives
stand here in the stable form that a person would write, where it is not the one SymPy finds; `derived.py` holds all of
them. It must not know SymPy, nor how a row becomes machine code.

Meaning where NumPy's is not followed: an integer power with a negative exponent is rounded towards 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL, INT32, DType, as_dtype
from symgrad.expr import Expr, TensorType
from symgrad.ops.row import Attrs, Case, Row, Sample, as_expr, broadcast_type, cast, register
from symgrad.ops.structure import Cast, Map
from symgrad.shape import Shape, dim

__all__ = [
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "negative", "power", "square",
    "reciprocal", "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp",
    "abs", "sign", "floor", "ceil", "round", "trunc", "maximum", "minimum", "clip", "where", "stop_gradient", "astype",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isnan", "isinf", "isfinite",
    "logical_and", "logical_or", "logical_xor", "logical_not",
]  # fmt: skip

Range = tuple[float, float]
Oracle = Callable[..., Any]

# Where tests draw operands from: far enough from poles and branch points that differences are accurate.
REAL: Range = (-2.0, 2.0)
WIDE: Range = (-9.0, 9.0)
POSITIVE: Range = (0.2, 3.0)
ABOVE_MINUS_ONE: Range = (-0.7, 3.0)
ONE, TWO = (REAL,), (REAL, REAL)

_n = dim("n")
_SHAPES: dict[int, Sequence[tuple[Shape, ...]]] = {  # by arity: equal shapes, then broadcasting
    1: [((_n,),), ((_n, 3),), ((),)],
    2: [((_n, 3), (_n, 3)), ((_n, 3), (3,)), ((), (_n,)), ((3, 1), (_n,)), ((), ())],
    3: [((_n, 3), (_n, 3), (_n, 3)), ((_n, 3), (3,), ()), ((_n, 1), (), (3,)), ((), (), ())],
    4: [((_n, 3), (_n, 3), (_n, 3), (_n, 3)), ((_n, 3), (3,), (), (_n, 1)), ((), (), (), ())],
}


def _cases(operands: str, domain: Sequence[Range], integers: Sequence[Range]) -> list[Case]:
    """List the test calls of a row: all shapes with floats, and the first with int32 where integers are operands."""
    kinds = {
        "bool": ["bool"] * len(domain), "select": ["bool", "float", "float"], "bits": ["int32"] * len(domain),
        "order": ["int32", "float"],
    }  # fmt: skip
    dtypes = kinds.get(operands, ["float"] * len(domain))
    cases = []
    for shapes in _SHAPES[len(domain)]:
        samples = [Sample(s, *span, dtype=d) for s, span, d in zip(shapes, domain, dtypes, strict=True)]
        symbolic = any(not isinstance(size, int) for shape in shapes for size in shape)
        cases.append(Case(tuple(samples), sizes=(0, 1, 3, 17, 64) if symbolic else (1,)))
    more = {"arithmetic": ["int32"], "same": ["int32"], "bits": ["uint8", "int64"]}.get(operands, [])
    shapes = _SHAPES[len(domain)][0]
    for dtype in more:
        cases.append(Case(tuple(Sample(s, *span, dtype=dtype) for s, span in zip(shapes, integers, strict=True))))
    return cases


def by_element(function: Callable[[float], float]) -> Oracle:
    """Make an oracle of a function of one number, computed in float64."""

    def oracle(x: np.ndarray) -> np.ndarray:
        values = np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size)
        return values.reshape(x.shape).astype(x.dtype)

    return oracle


def quiet(function: Oracle) -> Callable[..., np.ndarray]:
    """Give the oracle that returns an array and no warnings: inf and NaN are values here."""

    def oracle(*arrays: Any, **attrs: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays, **attrs))

    return oracle


def scalar(
    name: str,
    oracle: Oracle,
    formula: str | None = None,
    *,
    doc: str,
    domain: Sequence[Range] = ONE,
    integers: Sequence[Range] | None = None,
    operands: str = "float",
    result: DType | None = None,
    **facts: Any,
) -> Row:
    """Register an elementwise row: its operands have one dtype (bool aside), its result `result` or that dtype."""

    def infer(args: tuple[Expr, ...], attrs: Attrs) -> TensorType:
        return broadcast_type(name, args, result or args[-1].dtype)

    cases = _cases(operands, domain, integers or ((-5, 6),) * len(domain))
    return register(
        Row(
            name=name, structure=Map(formula), infer=infer, oracle=quiet(oracle), doc=doc, arity=len(domain),
            operands=operands, cases=cases, **facts,
        )
    )  # fmt: skip


# -- oracles that NumPy does not have under one name -----------------------------------------------------------------


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.power(x, y if x.dtype.kind == "f" else np.abs(y))
    return result if x.dtype.kind == "f" else np.where((y < 0) & (np.abs(x) != 1), 0, result)


def _identity_on_integers(ufunc: Oracle) -> Oracle:
    return lambda x: ufunc(x) if x.dtype.kind == "f" else x


# -- arithmetic ------------------------------------------------------------------------------------------------------

add = scalar(
    "add", np.add, operands="arithmetic", domain=TWO, commutative=True,
    symbol="+", latex="{x} + {y}", doc="Add elementwise.",
)  # fmt: skip
subtract = scalar(
    "subtract", np.subtract, operands="arithmetic", domain=TWO,
    symbol="-", latex="{x} - {y}", doc="Subtract elementwise.",
)  # fmt: skip
multiply = scalar(
    "multiply", np.multiply, operands="arithmetic", domain=TWO, commutative=True,
    symbol="*", latex=r"{x} \odot {y}", doc="Multiply elementwise.",
)  # fmt: skip
divide = scalar(
    "divide", np.divide, domain=(REAL, POSITIVE), derivatives=("1 / y", "-out / y"),
    symbol="/", latex=r"\frac{{x}}{{y}}", doc="Divide elementwise; integers give a float.",
)  # fmt: skip
floor_divide = scalar(
    "floor_divide", np.floor_divide, operands="arithmetic", domain=(WIDE, POSITIVE), integers=((-9, 10), (1, 5)),
    derivatives=("0", "0"), smooth=False, sub_gradient="0 everywhere",
    symbol="//", latex=r"\left\lfloor {x} / {y} \right\rfloor",
    doc="Give the greatest integer not above x / y, which is not rounded before; an integer with y = 0 gives 0.",
)  # fmt: skip
remainder = scalar(
    "remainder", np.remainder,
    "where(fmod(x, y) == 0, where(y < 0, negative(0), 0),"
    " where((fmod(x, y) < 0) ^ (y < 0), fmod(x, y) + y, fmod(x, y)))",
    operands="arithmetic", domain=(WIDE, POSITIVE), integers=((-9, 10), (1, 5)),
    derivatives=("1", "-(x // y)"), smooth=False, sub_gradient="1 in x and -floor(x / y) in y at the jumps too",
    symbol="%", latex=r"{x} \bmod {y}",
    doc="Give x - y * floor(x / y) without rounding, which has the sign of y; an integer with y = 0 gives 0.",
)  # fmt: skip
fmod = scalar(
    "fmod", np.fmod, operands="arithmetic", domain=(WIDE, POSITIVE), integers=((-9, 10), (1, 5)),
    derivatives=("1", "-trunc(x / y)"), smooth=False, sub_gradient="1 in x and -trunc(x / y) in y at the jumps too",
    latex=r"\operatorname{fmod}({x}, {y})",
    doc="Give x - y * trunc(x / y) without rounding, which has the sign of x; an integer with y = 0 gives 0.",
)  # fmt: skip
negative = scalar("negative", np.negative, operands="arithmetic", symbol="-", latex="-{x}", doc="Change the sign.")
power = scalar(
    "power", _power, operands="arithmetic", domain=(POSITIVE, REAL), integers=((-3, 4), (0, 4)),
    derivatives=("where(y == 0, 0, y * x**(y - 1))", "out * log(where(x == 0, 1, x))"),
    symbol="**", latex="{x}^{{y}}", sub_gradient="0 in y at x = 0 for y > 0, the limit from above",
    doc="Raise x to the power y; integers to a negative power give the quotient 1 / x**-y without its fraction.",
)  # fmt: skip
square = scalar(
    "square", np.square, "x * x", operands="arithmetic", derivatives=("2 * x",), latex="{x}^2", doc="Give x * x.",
)  # fmt: skip
reciprocal = scalar(
    "reciprocal", np.reciprocal, "1 / x", domain=(POSITIVE,), derivatives=("-square(out)",),
    latex=r"\frac{1}{{x}}", doc="Give 1 / x.",
)  # fmt: skip

# -- smooth functions ------------------------------------------------------------------------------------------------

sqrt = scalar(
    "sqrt", np.sqrt, domain=(POSITIVE,), derivatives=("0.5 / out",),
    latex=r"\sqrt{{x}}", doc="Give the square root; NaN below zero.",
)  # fmt: skip
cbrt = scalar(
    "cbrt", np.cbrt, domain=(POSITIVE,), derivatives=("1 / (3 * square(out))",),
    latex=r"\sqrt[3]{{x}}", doc="Give the cube root, negative below zero.",
)  # fmt: skip
exp = scalar("exp", np.exp, derivatives=("out",), latex="e^{{x}}", doc="Give e to the power x.")
exp2 = scalar("exp2", np.exp2, derivatives=("log(2) * out",), latex="2^{{x}}", doc="Give 2 to the power x.")
expm1 = scalar(
    "expm1", np.expm1, derivatives=("exp(x)",), latex="e^{{x}} - 1", doc="Give exp(x) - 1, accurate near 0.",
)  # fmt: skip
log = scalar(
    "log", np.log, domain=(POSITIVE,), derivatives=("1 / x",),
    latex=r"\log {x}", doc="Give the natural logarithm; -inf at 0, NaN below.",
)  # fmt: skip
log2 = scalar(
    "log2", np.log2, domain=(POSITIVE,), derivatives=("1 / (x * log(2))",),
    latex=r"\log_2 {x}", doc="Give the logarithm to base 2, exact for powers of 2.",
)  # fmt: skip
log10 = scalar(
    "log10", np.log10, domain=(POSITIVE,), derivatives=("1 / (x * log(10))",),
    latex=r"\log_{10} {x}", doc="Give the logarithm to base 10.",
)  # fmt: skip
log1p = scalar(
    "log1p", np.log1p, domain=(ABOVE_MINUS_ONE,), derivatives=("1 / (1 + x)",),
    latex=r"\log(1 + {x})", doc="Give log(1 + x), accurate near 0.",
)  # fmt: skip
logaddexp = scalar(  # equal operands apart, for the difference of two infinities is NaN
    "logaddexp", np.logaddexp, "where(x == y, x + log(2), maximum(x, y) + log1p(exp(-abs(x - y))))",
    domain=TWO, commutative=True, derivatives=("sigmoid(x - y)", "sigmoid(y - x)"),
    latex=r"\log(e^{{x}} + e^{{y}})", doc="Give log(exp(x) + exp(y)) without overflow.",
)  # fmt: skip
# -- functions with kinks and jumps ----------------------------------------------------------------------------------

abs = scalar(
    "abs", np.abs, operands="arithmetic", derivatives=("sign(x)",), smooth=False, sub_gradient="0 at 0",
    latex="|{x}|", doc="Give the absolute value.",
)  # fmt: skip
sign = scalar(  # negative(1), not -1: an unsigned type has no -1, and none of its values takes that branch
    "sign", np.sign, "where(x > 0, 1, where(x < 0, negative(1), where(x == 0, 0, x)))", operands="arithmetic",
    derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    latex=r"\operatorname{sign} {x}", doc="Give -1, 0 or 1; NaN stays NaN.",
)  # fmt: skip
floor = scalar(
    "floor", _identity_on_integers(np.floor), operands="arithmetic", domain=(WIDE,),
    derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    latex=r"\lfloor {x} \rfloor", doc="Give the greatest integer not above x, in x's dtype.",
)  # fmt: skip
ceil = scalar(
    "ceil", _identity_on_integers(np.ceil), operands="arithmetic", domain=(WIDE,),
    derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    latex=r"\lceil {x} \rceil", doc="Give the least integer not below x, in x's dtype.",
)  # fmt: skip
round = scalar(
    "round", _identity_on_integers(np.rint), operands="arithmetic", domain=(WIDE,),
    derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    latex=r"\operatorname{round} {x}", doc="Give the integer nearest to x, of two the even one, in x's dtype.",
)  # fmt: skip
trunc = scalar(
    "trunc", _identity_on_integers(np.trunc), operands="arithmetic", domain=(WIDE,),
    derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    latex=r"\operatorname{trunc} {x}", doc="Give x without its fraction, in x's dtype.",
)  # fmt: skip
maximum = scalar(
    "maximum", np.maximum, "where((x > y) | isnan(x), x, y)", operands="same", domain=TWO, commutative=True,
    derivatives=("where(x > y, 1, where(x == y, 0.5, 0))", "where(y > x, 1, where(x == y, 0.5, 0))"),
    smooth=False, sub_gradient="0.5 for each operand where they are equal",
    latex=r"\max({x}, {y})", doc="Give the greater of two elements; NaN wins.",
)  # fmt: skip
minimum = scalar(
    "minimum", np.minimum, "where((x < y) | isnan(x), x, y)", operands="same", domain=TWO, commutative=True,
    derivatives=("where(x < y, 1, where(x == y, 0.5, 0))", "where(y < x, 1, where(x == y, 0.5, 0))"),
    smooth=False, sub_gradient="0.5 for each operand where they are equal",
    latex=r"\min({x}, {y})", doc="Give the lesser of two elements; NaN wins.",
)  # fmt: skip
_clip = scalar(
    "clip", np.clip, "minimum(maximum(x, y), z)", operands="arithmetic",
    domain=(WIDE, (-3.0, -0.5), (0.5, 3.0)), integers=((-9, 10), (-4, 0), (1, 5)),
    derivatives=(
        "where((x > y) & (x < z), 1, 0)",
        "where((x <= y) & (y < z), 1, 0)",
        "where((x >= z) | (y >= z), 1, 0)",
    ),
    smooth=False, sub_gradient="1 in x strictly inside, 0 at and beyond the edges; there 1 in the edge that counts",
    latex=r"\operatorname{clip}({x}, {y}, {z})",
    doc="Give x, but y where x is below, then z where that is above; NaN stays NaN.",
)  # fmt: skip
where = scalar(
    "where", np.where, operands="select", domain=(REAL, REAL, REAL),
    latex=r"\begin{cases} {y} & {x} \\ {z} & \text{else} \end{cases}", doc="Give y where x is true, z elsewhere.",
)  # fmt: skip
stop_gradient = scalar(
    "stop_gradient", np.array, "x", operands="free", derivatives=("0",), smooth=False, sub_gradient="0 everywhere",
    doc="Give x itself, as a constant to differentiation.",
)  # fmt: skip

# -- comparisons and logic: bool results, nothing to differentiate ---------------------------------------------------


def _comparison(name: str, oracle: Oracle, symbol: str, latex: str, doc: str, commutative: bool = False) -> Row:
    return scalar(
        name, oracle, operands="same", domain=TWO, result=BOOL, derivatives=("0", "0"), smooth=False,
        differentiable=False, commutative=commutative, symbol=symbol, latex=f"{{x}} {latex} {{y}}", doc=doc,
    )  # fmt: skip


def _logical(name: str, oracle: Oracle, symbol: str, latex: str, doc: str, domain: Sequence[Range] = TWO) -> Row:
    return scalar(
        name, oracle, operands="bool", domain=domain, result=BOOL, derivatives=("0",) * len(domain), smooth=False,
        differentiable=False, commutative=len(domain) == 2, symbol=symbol, latex=latex, doc=doc,
    )  # fmt: skip


equal = _comparison("equal", np.equal, "==", "=", "Tell where two elements are equal.", commutative=True)
not_equal = _comparison("not_equal", np.not_equal, "!=", r"\ne", "Tell where two elements differ.", commutative=True)
less = _comparison("less", np.less, "<", "<", "Tell where x is below y.")
less_equal = _comparison("less_equal", np.less_equal, "<=", r"\le", "Tell where x is not above y.")
greater = _comparison("greater", np.greater, ">", ">", "Tell where x is above y.")
greater_equal = _comparison("greater_equal", np.greater_equal, ">=", r"\ge", "Tell where x is not below y.")
isnan = scalar(
    "isnan", lambda x: x != x, "x != x", operands="same", result=BOOL, derivatives=("0",), smooth=False,
    differentiable=False, doc="Tell where an element is NaN.",
)  # fmt: skip
isinf = scalar(
    "isinf", np.isinf, "(x == x) & (x - x != 0)", operands="arithmetic", result=BOOL, derivatives=("0",), smooth=False,
    differentiable=False, doc="Tell where an element is an infinity.",
)  # fmt: skip
isfinite = scalar(
    "isfinite", np.isfinite, "x - x == 0", operands="arithmetic", result=BOOL, derivatives=("0",), smooth=False,
    differentiable=False, doc="Tell where an element is neither an infinity nor NaN.",
)  # fmt: skip
logical_and = _logical("logical_and", np.logical_and, "&", r"{x} \land {y}", "Tell where both are true.")
logical_or = _logical("logical_or", np.logical_or, "|", r"{x} \lor {y}", "Tell where one or both are true.")
logical_xor = _logical("logical_xor", np.logical_xor, "^", r"{x} \oplus {y}", "Tell where exactly one is true.")
logical_not = _logical("logical_not", np.logical_not, "~", r"\lnot {x}", "Tell where x is false.", domain=ONE)

# -- conversion ------------------------------------------------------------------------------------------------------


def _astype_vjp(node: Expr, g: Expr) -> tuple[Expr | None, ...]:
    operand = node.args[0]
    return (cast(g, operand.dtype) if operand.dtype.is_float and node.dtype.is_float else None,)


def _converted(x: np.ndarray, *, dtype: DType) -> np.ndarray:
    """Convert as compiled code does: NumPy leaves to the processor what a float beyond the integers becomes."""
    if x.dtype.kind != "f" or dtype.kind not in "iu":
        return x.astype(dtype.numpy)
    ends = np.iinfo(dtype.numpy)
    inside = (x > ends.min) & (x < float(ends.max + 1))
    outside = np.where(x > 0, ends.max, np.where(x < 0, ends.min, 0)).astype(dtype.numpy)
    return np.where(inside, np.where(inside, x, 0).astype(dtype.numpy), outside)


register(
    Row(
        name="astype", structure=Cast(), arity=1, vjp=_astype_vjp,
        infer=lambda args, attrs: TensorType(args[0].shape, attrs["dtype"]),
        oracle=quiet(_converted),
        doc="Convert the elements; floats to integers by truncation, to the nearest where these end, NaN to 0.",
        cases=[
            Case((Sample((_n, 3)),), attrs={"dtype": DType.FLOAT32}),
            Case((Sample((_n, 3)),), attrs={"dtype": DType.FLOAT64}),
            Case((Sample((_n, 3), -9, 9),), attrs={"dtype": INT32}),
            Case((Sample((_n, 3), -9, 9, "int32"),), attrs={"dtype": DType.FLOAT32}),
            Case((Sample((_n,), dtype="bool"),), attrs={"dtype": DType.FLOAT32}),
            Case((Sample((_n,), 0, 2, "int32"),), attrs={"dtype": BOOL}),
        ],
    )
)  # fmt: skip


def astype(x: Any, dtype: object) -> Expr:
    """Convert the elements of `x` to a dtype; `x` itself if it has that dtype."""
    return cast(as_expr(x), as_dtype(dtype))


def clip(x: Any, low: Any = None, high: Any = None) -> Expr:
    """Limit x to [low, high]; either side may be None. NaN stays NaN; where low is above high, high it is.

    The derivative in x is 1 strictly inside and 0 at and beyond the edges.

    >>> import symgrad as sg
    >>> [float(v) for v in sg.evaluate(sg.clip([-2.0, 0.5, 3.0], 0, 1), {})]
    [0.0, 0.5, 1.0]
    """
    node = as_expr(x)
    if low is None and high is None:
        return node
    least = float("-inf") if low is None else low
    if node.dtype.is_integer and (low is None or high is None):
        return minimum(node, high) if low is None else maximum(node, low)
    return _clip(node, least, float("inf") if high is None else high)
