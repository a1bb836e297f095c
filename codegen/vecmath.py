"""Vector mathematics: the functions that loop IR may name beside its own operations.

In: a function's name and a float dtype. Out: a builder from argument values to a value made of `codegen.ir.OPS`
alone, whose shared parts are shared objects. What it builds is lane-wise: no table in memory, library call or estimate,
no branch that shows (`rarely` chooses by lane), hence the same bits in a scalar and in every lane of a vector of any
width. It must not know how values are emitted.

Accuracy, in units in the last place, with fma (measured points, references and the machine are in `docs/quality.md`,
where the tests' bounds stand too): at most 2 for float32, 3 for float64.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen import vecmath_erf, vecmath_exp, vecmath_gamma, vecmath_log, vecmath_root, vecmath_sigmoid, vecmath_trig
from codegen.ir import Value
from codegen.lanes import Lane
from symgrad.dtypes import FLOAT32, FLOAT64, DType

Builder = Callable[..., Value]

UNARY: dict[str, Callable[[Lane], Lane]] = {
    "exp": vecmath_exp.exp,
    "exp2": vecmath_exp.exp2,
    "expm1": vecmath_exp.expm1,
    "tanh": vecmath_exp.tanh,
    "sinh": vecmath_exp.sinh,
    "cosh": vecmath_exp.cosh,
    "log": vecmath_log.log,
    "log1p": vecmath_log.log1p,
    "log2": vecmath_log.log2,
    "log10": vecmath_log.log10,
    "asinh": vecmath_log.asinh,
    "acosh": vecmath_log.acosh,
    "atanh": vecmath_log.atanh,
    "erf": vecmath_erf.erf,
    "erfc": vecmath_erf.erfc,
    "ndtr": vecmath_erf.ndtr,
    "gelu": vecmath_erf.gelu,
    "gelu_tanh": vecmath_erf.gelu_tanh,
    "sigmoid": vecmath_sigmoid.sigmoid,
    "silu": vecmath_sigmoid.silu,
    "mish": vecmath_sigmoid.mish,
    "lgamma": vecmath_gamma.lgamma,
    "digamma": vecmath_gamma.digamma,
    "trigamma": vecmath_gamma.trigamma,
    "cbrt": vecmath_root.cbrt,
    "sin": vecmath_trig.sin,
    "cos": vecmath_trig.cos,
    "tan": vecmath_trig.tan,
    "asin": vecmath_trig.asin,
    "acos": vecmath_trig.acos,
    "atan": vecmath_trig.atan,
}

BINARY: dict[str, Callable[[Lane, Lane], Lane]] = {
    "pow": vecmath_log.pow,
    "atan2": vecmath_trig.atan2,
    "hypot": vecmath_root.hypot,
    "rem": vecmath_root.rem,
    "polygamma": vecmath_gamma.polygamma,
}


def builder(formula: Callable[..., Lane], dtype: DType) -> Builder:
    """Turn a formula over lanes into one over values of a dtype."""

    def build(*args: Value) -> Value:
        return formula(*(Lane(value, dtype) for value in args)).value

    build.__name__ = build.__qualname__ = formula.__name__
    build.__doc__ = formula.__doc__
    return build


MATH: dict[tuple[str, DType], Builder] = {
    (name, dtype): builder(formula, dtype)
    for table in (UNARY, BINARY)
    for name, formula in table.items()
    for dtype in (FLOAT32, FLOAT64)
}
