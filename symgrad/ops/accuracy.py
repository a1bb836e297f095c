"""How accurate compiled operators are, for their documentation and for the tests that hold them to it.

In: nothing. Out: `MEASURED`, the largest errors found of the scalar rows that round more than once; `EXACT` and
`ROUNDED_ONCE`, the other scalar rows; `STATED`, sentences on rows that work on many elements; and `statement`, what
the documentation says of a row. It must not know how a row becomes machine code.

Errors are in units in the last place (ulp) of the exact result. float32: among all 2^32 inputs of the functions that
docs/quality.md lists, among millions of others'; float64: among ten thousand points and more over all exponents. A test
measures again, and fails where it finds more.
"""

from __future__ import annotations

from symgrad.ops.row import Row
from symgrad.ops.structure import Coordinate, Gather, Layout, Place

__all__ = ["EXACT", "MEASURED", "ROUNDED_ONCE", "STATED", "statement"]

MEASURED: dict[str, tuple[float, float]] = {  # name -> float32, float64
    "acos": (1.24, 1.19), "acosh": (0.51, 1.70), "asin": (1.20, 1.18), "asinh": (0.51, 1.60), "atan": (1.27, 1.23),
    "atan2": (1.53, 1.44), "atanh": (0.51, 1.60), "cbrt": (0.50, 0.66), "celu": (2.27, 1.75), "cos": (1.60, 0.74),
    "cosh": (1.51, 1.22), "digamma": (0.54, 2.33), "elu": (1.83, 1.31), "erf": (1.25, 0.95), "erfc": (0.76, 2.48),
    "exp": (1.57, 1.25), "exp2": (1.60, 1.41), "expm1": (1.61, 1.66), "gelu": (0.76, 3.11), "gelu_tanh": (0.50, 2.30),
    "hard_sigmoid": (1.00, 1.00), "hard_swish": (1.88, 1.77), "hypot": (0.50, 0.88), "leaky_relu": (0.50, 0.50),
    "lgamma": (0.51, 2.65), "log": (0.91, 0.75), "log10": (1.06, 1.96), "log1p": (1.48, 1.20), "log2": (1.15, 0.86),
    "log_sigmoid": (2.73, 1.32), "logaddexp": (1.53, 1.32), "mish": (3.26, 2.10), "ndtr": (0.76, 2.84),
    "polygamma": (0.50, 2.90), "power": (0.51, 0.90), "selu": (2.40, 1.57), "sigmoid": (2.41, 1.65),
    "silu": (3.40, 1.85), "sin": (1.60, 0.74), "sinh": (1.52, 1.15), "softplus": (2.73, 1.68), "softsign": (1.52, 1.36),
    "tan": (0.62, 2.03), "tanh": (1.94, 1.84), "trigamma": (0.50, 2.22),
}  # fmt: skip
ROUNDED_ONCE = {"add", "subtract", "multiply", "divide", "square", "reciprocal", "sqrt"}
EXACT = {
    "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "maximum", "minimum", "clip", "where", "relu",
    "relu6", "hard_tanh", "stop_gradient", "recompute", "fmod", "equal", "not_equal", "less", "less_equal", "greater",
    "greater_equal", "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_xor", "logical_not",
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift",
    "all", "any", "argmax", "argmin", "max", "min", "argsort", "searchsorted", "sort", "one_hot",
}  # fmt: skip

_SUM = "of n floats within 4 log2(n) units in the last place of {}"
_ELIMINATION = "that of elimination with row exchanges: the exact result for a matrix within rounding of the given one"
STATED: dict[str, str] = {
    "floor_divide": "the bits of NumPy", "remainder": "the bits of NumPy",
    "astype": "rounded once to floats; floats become integers exactly",
    "sum": _SUM.format("the sum of magnitudes"), "mean": _SUM.format("the mean magnitude"),
    "norm": _SUM.format("the result"), "var": _SUM.format("the result, as the mean is taken off first"),
    "logsumexp": _SUM.format("1 or, if larger, the result's magnitude"),
    "prod": "one rounding per factor", "cumprod": "one rounding per factor",
    "recurrence": "one rounding per product and per sum",
    "cumsum": "within 4 units in the last place of the sum of magnitudes, however many",
    "matmul": "chains of at most 1024 products, rounded once each; their sum is compensated",
    "contract": "chains of at most 1024 products, rounded once each; their sum is compensated",
    "scatter_add": "added in order, rounded once per addition",
    "scatter_along_axis": "added in order, rounded once per addition",
    "softmax": "that of exp and of a sum", "log_softmax": "that of logsumexp and one difference",
    "solve": _ELIMINATION, "inv": _ELIMINATION, "det": _ELIMINATION, "det_sign": _ELIMINATION,
    "logdet": _ELIMINATION, "triangular_solve": "the exact result for a matrix within rounding of the given one",
    "cholesky": "the exact factor of a matrix within rounding of the given one",
}  # fmt: skip


def statement(row: Row) -> str:
    """Say how accurate a row is; nothing where it has no value of its own, or where that is drawn at random."""
    if row.name in MEASURED:
        single, double = MEASURED[row.name]
        return f"within {single:.2f} ulp in float32, {double:.2f} in float64"
    if row.name in ROUNDED_ONCE:
        return "rounded once"
    if row.name in EXACT or isinstance(row.structure, (Layout, Place, Coordinate, Gather)):
        return "exact"
    return STATED.get(row.name, "")
