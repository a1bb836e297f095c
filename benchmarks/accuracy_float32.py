"""Accuracy of float32 functions over all 2^32 inputs: `python -m benchmarks.accuracy_float32 [NAME ...]`.

In: names of elementwise rows of one operand (all of `NAMES` without any). Out: a line per function with its largest
error in units in the last place, where that is, how many results are not the nearest float, and whether infinities and
NaN stand where the reference has them. The reference is the row's float64 oracle, whose own error is some 2^-29 of a
float32 unit for NumPy's functions. About a minute each for these; the oracles of erf and the gamma functions, which
call Python's `math` for each number, take hours, so they are sampled: every 997th input. docs/quality.md records the
results.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import symgrad as sg
from symgrad.ops.row import ROWS

NAMES = (
    "sqrt", "cbrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "erf", "erfc", "ndtr", "lgamma", "digamma", "gelu_tanh",
)  # fmt: skip
BY_ELEMENT = {"erf", "erfc", "ndtr", "lgamma", "digamma", "gelu_tanh"}
STRIDE = 997
CHUNK = 1 << 22


def inputs(start: int, stop: int, stride: int) -> np.ndarray:
    """Give the floats of the bit patterns in [start, stop)."""
    return np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def compare(got: np.ndarray, want: np.ndarray) -> tuple[np.ndarray, int]:
    """Give the errors in units in the last place of `want`, and how many results differ in kind: inf, NaN or finite."""
    rounded = want.astype(np.float32)
    finite = np.isfinite(rounded) & np.isfinite(got)
    same = finite | (np.isnan(rounded) & np.isnan(got)) | (rounded == got)
    lower = np.float64(2.0) ** (np.clip(np.frexp(want)[1], -125, 128) - 24)
    error = np.where(finite, np.abs(got.astype(np.float64) - want) / lower, 0.0)
    return error, int(np.count_nonzero(~same))


def measure(name: str) -> None:
    """Run one function over its inputs and print its line."""
    x = sg.symbol("x", (sg.dim("N"),))
    function = sg.function([x], ROWS[name](x))
    stride, began = STRIDE if name in BY_ELEMENT else 1, time.perf_counter()
    worst, place, misrounded, different, count = 0.0, 0.0, 0, 0, 0
    with np.errstate(all="ignore"):
        for start in range(0, 1 << 32, CHUNK * stride):
            values = inputs(start, min(start + CHUNK * stride, 1 << 32), stride)
            error, other = compare(function(values), ROWS[name].oracle(values.astype(np.float64)))
            top = int(np.argmax(error))
            if error[top] > worst:
                worst, place = float(error[top]), float(values[top])
            misrounded += int(np.count_nonzero(error > 0.5))
            different += other
            count += values.size
    share, seconds = misrounded / count, time.perf_counter() - began
    print(
        f"{name:10} {count:>10} inputs  worst {worst:.3f} ulp at {place!r}  "
        f"not nearest {share:.2%}  of another kind {different}  ({seconds:.0f} s)",
        flush=True,
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        measure(name)
