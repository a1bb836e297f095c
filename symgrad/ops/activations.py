"""Elementwise rows that neural networks use between their layers.

In: nothing; importing this file registers the rows. Out: the rows themselves, which are the public functions, and
functions where an operand has a default (`leaky_relu elu celu`) or a choice is to be made (`gelu`). Formulas and
derivatives do not overflow; those of one exponential have it of a negative number. It must not know how a row becomes
machine code.

Defaults are Keras'. Values and derivatives at the infinities are the limits there: where a factor is 0 far out, or two
magnitudes would be divided, x is limited to where the result has reached its limit in both float types.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symgrad.expr import Expr
from symgrad.ops.scalar import POSITIVE, REAL, WIDE, by_element, scalar

__all__ = [
    "celu", "elu", "gelu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "softplus", "softsign",
]  # fmt: skip

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. (2017), section 2


# -- oracles ---------------------------------------------------------------------------------------------------------


def _sigmoid(x: np.ndarray) -> np.ndarray:
    tail: np.ndarray = np.exp(-np.abs(x))
    result: np.ndarray = np.where(x < 0, tail, 1) / (1 + tail)
    return result


def _softplus(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result


def _elu_oracle(x: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


def _gelu_tanh_oracle(x: float) -> float:
    v = math.sqrt(8 / math.pi) * x * (1 + 0.044715 * min(x * x, 1e100))
    tail = math.exp(-abs(v))
    return max(x, -60) * (tail if x < 0 else 1) / (1 + tail)


def _softsign_oracle(x: np.ndarray) -> np.ndarray:
    limited: np.ndarray = np.clip(x, -1e30, 1e30)
    result: np.ndarray = limited / (1 + np.abs(limited))
    return result


# -- rectifiers ------------------------------------------------------------------------------------------------------

relu = scalar(
    "relu", lambda x: np.where(x <= 0, 0, x), "where(x <= 0, 0, x)", operands="arithmetic",
    derivatives=("where(x > 0, 1, 0)",), smooth=False, sub_gradient="0 at 0",
    latex=r"\operatorname{relu}({x})", doc="Give x above 0 and 0 below; NaN stays NaN.",
)  # fmt: skip
relu6 = scalar(
    "relu6", lambda x: np.minimum(np.where(x <= 0, 0, x), x.dtype.type(6)), "minimum(relu(x), 6)",
    operands="arithmetic", domain=(WIDE,), derivatives=("where((x > 0) & (x < 6), 1, 0)",), smooth=False,
    sub_gradient="0 at 0 and at 6", latex=r"\operatorname{relu6}({x})",
    doc="Give x limited to [0, 6]; NaN stays NaN.",
)  # fmt: skip
_leaky_relu = scalar(
    "leaky_relu", lambda x, y: np.where(x > 0, x, y * x), "where(x > 0, x, y * x)", domain=(REAL, POSITIVE),
    derivatives=("where(x > 0, 1, y)", "minimum(x, 0)"), smooth=False, sub_gradient="the slope y at 0",
    latex=r"\operatorname{leaky\_relu}({x}, {y})", doc="Give x above 0 and y * x below.",
)  # fmt: skip
_elu = scalar(
    "elu", _elu_oracle, "where(x > 0, x, y * expm1(minimum(0, x)))", domain=(REAL, POSITIVE),
    derivatives=("where(x > 0, 1, y * exp(minimum(x, 0)))", "expm1(minimum(x, 0))"), smooth=False,
    sub_gradient="y at 0", latex=r"\operatorname{elu}({x}, {y})", doc="Give x above 0 and y * (exp(x) - 1) below.",
)  # fmt: skip
selu = scalar(
    "selu", lambda x: (SELU_SCALE * _elu_oracle(x, SELU_ALPHA)).astype(x.dtype), f"{SELU_SCALE} * elu(x, {SELU_ALPHA})",
    derivatives=(f"{SELU_SCALE} * where(x > 0, 1, {SELU_ALPHA} * exp(minimum(x, 0)))",), smooth=False,
    sub_gradient="the left slope at 0, 1.758", latex=r"\operatorname{selu}({x})",
    doc="Give 1.0507 * elu(x, 1.6733): self-normalising.",
)  # fmt: skip
_celu = scalar(
    "celu", lambda x, y: np.where(x > 0, x, y * np.expm1(np.where(x > 0, 0, x) / y)),
    "where(x > 0, x, y * expm1(minimum(0, x) / y))", domain=(REAL, POSITIVE),
    derivatives=(
        "where(x > 0, 1, exp(minimum(x, 0) / y))",
        "expm1(minimum(x, 0) / y) - clip(x / y, -1000, 0) * exp(minimum(x, 0) / y)",
    ),
    smooth=False, sub_gradient="1 at 0 (the first derivative is continuous)",
    latex=r"\operatorname{celu}({x}, {y})", doc="Give x above 0 and y * (exp(x / y) - 1) below, y > 0.",
)  # fmt: skip

# -- the logistic function and its kin -------------------------------------------------------------------------------

sigmoid = scalar(
    "sigmoid", _sigmoid, derivatives=("out * (1 - out)",),
    latex=r"\sigma({x})", doc="Give the logistic function 1 / (1 + exp(-x)).",
)  # fmt: skip
softplus = scalar(
    "softplus", _softplus, "maximum(x, 0) + log1p(exp(-abs(x)))",
    derivatives=("sigmoid(x)",), latex=r"\operatorname{softplus}({x})", doc="Give log(1 + exp(x)) without overflow.",
)  # fmt: skip
log_sigmoid = scalar(
    "log_sigmoid", lambda x: -_softplus(-x), "-softplus(-x)", derivatives=("sigmoid(-x)",),
    latex=r"\log \sigma({x})", doc="Give log(sigmoid(x)), finite where sigmoid(x) rounds to 0.",
)  # fmt: skip
silu = scalar(
    "silu", lambda x: np.maximum(x, -1000) * _sigmoid(x),
    derivatives=("sigmoid(x) * (1 + clip(x, -1000, 1000) * sigmoid(-x))",),
    latex=r"\operatorname{silu}({x})", doc="Give x * sigmoid(x), also called swish.",
)  # fmt: skip
mish = scalar(
    "mish", lambda x: np.maximum(x, -1000) * np.tanh(_softplus(x)),
    derivatives=("tanh(softplus(x)) + clip(x, -1000, 1000) * sigmoid(x) * (1 - square(tanh(softplus(x))))",),
    latex=r"\operatorname{mish}({x})", doc="Give x * tanh(softplus(x)).",
)  # fmt: skip
softsign = scalar(
    "softsign", _softsign_oracle, "clip(x, -1e30, 1e30) / (1 + abs(clip(x, -1e30, 1e30)))",
    derivatives=("square(1 / (1 + abs(x)))",),
    smooth=False, sub_gradient="1 at 0 (the first derivative is continuous)",
    latex=r"\operatorname{softsign}({x})", doc="Give x / (1 + abs(x)).",
)  # fmt: skip

# -- Gauss' error linear unit ----------------------------------------------------------------------------------------

_gelu = scalar(
    "gelu", by_element(lambda x: max(x, -40) * 0.5 * math.erfc(-x * math.sqrt(0.5))),
    derivatives=("ndtr(x) + clip(x, -40, 40) * exp(-0.5 * square(x)) / sqrt(2 * pi)",),
    latex=r"\operatorname{gelu}({x})", doc="Give x times the distribution function of the standard normal law.",
)  # fmt: skip
_X = "clip(x, -40, 40)"
_V = f"(sqrt(8 / pi) * {_X} * (1 + 0.044715 * square({_X})))"
_gelu_tanh = scalar(
    "gelu_tanh", by_element(_gelu_tanh_oracle),
    derivatives=(f"sigmoid{_V} * (1 + sqrt(8 / pi) * {_X} * (1 + 0.134145 * square({_X})) * sigmoid(-{_V}))",),
    latex=r"\operatorname{gelu_{tanh}}({x})",
    doc="Give x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, an approximation of gelu.",
)  # fmt: skip

# -- piecewise linear --------------------------------------------------------------------------------------------------

hard_sigmoid = scalar(
    "hard_sigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, "relu6(x + 3) / 6", domain=(WIDE,),
    derivatives=("where((x > -3) & (x < 3), 1 / 6, 0)",), smooth=False, sub_gradient="0 at -3 and at 3",
    latex=r"\operatorname{hard\_sigmoid}({x})", doc="Give (x + 3) / 6 limited to [0, 1].",
)  # fmt: skip
hard_tanh = scalar(
    "hard_tanh", lambda x: np.clip(x, -1, 1), "clip(x, -1, 1)",
    derivatives=("where((x > -1) & (x < 1), 1, 0)",), smooth=False, sub_gradient="0 at -1 and at 1",
    latex=r"\operatorname{hard\_tanh}({x})", doc="Give x limited to [-1, 1].",
)  # fmt: skip
hard_swish = scalar(
    "hard_swish", lambda x: np.maximum(x, -3) * (np.clip(x + 3, 0, 6) / 6), "maximum(x, -3) * hard_sigmoid(x)",
    domain=(WIDE,), derivatives=("where(x > -3, where(x < 3, (2 * x + 3) / 6, 1), 0)",), smooth=False,
    sub_gradient="0 at -3 and 1 at 3", latex=r"\operatorname{hard\_swish}({x})", doc="Give x * hard_sigmoid(x).",
)  # fmt: skip


# -- functions -------------------------------------------------------------------------------------------------------


def leaky_relu(x: Any, alpha: Any = 0.3) -> Expr:
    """Give x above 0 and alpha * x below; at 0 the derivative is alpha.

    >>> import symgrad as sg
    >>> [float(v) for v in sg.evaluate(sg.leaky_relu([-2.0, 2.0], 0.25), {})]
    [-0.5, 2.0]
    """
    return _leaky_relu(x, alpha)


def elu(x: Any, alpha: Any = 1.0) -> Expr:
    """Give x above 0 and alpha * (exp(x) - 1) below; at 0 the derivative is alpha."""
    return _elu(x, alpha)


def celu(x: Any, alpha: Any = 1.0) -> Expr:
    """Give x above 0 and alpha * (exp(x / alpha) - 1) below, for a positive alpha; at 0 the derivative is 1."""
    return _celu(x, alpha)


def gelu(x: Any, approximate: bool = False) -> Expr:
    """Give x times the distribution function of the normal law, or its approximation by tanh.

    >>> import symgrad as sg
    >>> [round(float(sg.evaluate(sg.gelu(1.0, approximate=a), {})), 4) for a in (False, True)]
    [0.8413, 0.8412]
    """
    return _gelu_tanh(x) if approximate else _gelu(x)
