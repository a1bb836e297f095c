"""Accuracy of float32 functions over all 2^32 inputs: `python -m benchmarks.accuracy_float32 [NAME ...]`.

In: names of elementwise rows of one operand (without any, all that do more than round once). Out: a line per function
with its largest error in units in the last place, where that is, how many results are not the nearest float, and how
many differ in kind (finite, infinity of a sign, NaN). The reference is float64: NumPy's function, or for the functions
that NumPy lacks the row's own compiled float64 kernel, which `tests/test_accuracy.py` holds within 3 units of mpmath.
Either is off by some 2^-27 of a float32 unit, except beside the zeros of lgamma and digamma below 0, where it is up to
a hundredth. About a minute each; docs/quality.md records the results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import symgrad as sg
from symgrad.ops import generate
from symgrad.ops.row import ROWS

ROUNDED_ONCE = {
    "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "relu", "relu6", "hard_tanh", "stop_gradient",
}  # fmt: skip
NOT_IN_NUMPY = {"erf", "erfc", "ndtr", "lgamma", "digamma", "trigamma", "gelu", "gelu_tanh"}
CHUNK = 1 << 16  # its temporaries stay in the cache
SIGN_AND_EXPONENT = np.int64(0x7FF << 52)

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(slots=True)
class Record:
    """What the inputs seen so far show."""

    worst: float = 0.0
    place: float = 0.0
    misrounded: int = 0
    different: int = 0

    def add(self, x: np.ndarray, got: np.ndarray, want: np.ndarray) -> None:
        """Count in the results of some inputs."""
        error = np.abs(np.subtract(got, want, dtype=np.float64))
        error /= np.maximum((want.view(np.int64) & SIGN_AND_EXPONENT).view(np.float64), 2.0**-126)
        top = float(error.max())
        if not top < np.inf:  # an infinity or NaN among the results or references
            nearest = want.astype(np.float32)
            finite = np.isfinite(nearest) & np.isfinite(got)
            same = finite | (np.isnan(nearest) & np.isnan(got)) | (nearest == got)
            self.different += int(np.count_nonzero(~same))
            error[~finite] = 0
            top = float(error.max())
        self.misrounded += int(np.count_nonzero(error > 2.0**-24))
        if top * 2.0**23 > self.worst:
            self.worst, self.place = top * 2.0**23, float(x[np.argmax(error)])


def compiled(name: str, dtype: str) -> Function:
    """Compile a row for vectors, to run on one thread."""
    x = sg.symbol("x", (sg.dim("N"),), dtype=dtype)
    return sg.function([x], ROWS[name](x), threads=1)


def measure(name: str) -> str:
    """Run one function over every float and describe what was found."""
    function, began = compiled(name, "float32"), time.perf_counter()
    reference = compiled(name, "float64") if name in NOT_IN_NUMPY else ROWS[name].oracle
    record, patterns = Record(), np.arange(CHUNK, dtype=np.uint32)
    with np.errstate(all="ignore"):
        for start in range(0, 1 << 32, CHUNK):
            x = (patterns + np.uint32(start)).view(np.float32)
            record.add(x, function(x), reference(x.astype(np.float64)))
    return (
        f"{name:12} worst {record.worst:.3f} ulp at {np.float32(record.place)!s:15} "
        f"not nearest {record.misrounded / 2**32:.2%}  of another kind {record.different}  "
        f"({time.perf_counter() - began:.0f} s)"
    )


def names() -> list[str]:
    """List the rows of one float operand that do more than round once."""
    unary = [row.name for row in generate.rows() if row.arity == 1 and row.operands in ("float", "arithmetic")]
    return sorted(name for name in unary if ROWS[name].differentiable and name not in ROUNDED_ONCE)


if __name__ == "__main__":
    for name in sys.argv[1:] or names():
        print(measure(name), flush=True)
