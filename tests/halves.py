"""bfloat16 for tests: numbers to round, how NumPy rounds them, and whether the processor multiplies pairs of them."""

import llvmlite.binding as llvm
import numpy as np
import pytest

from codegen.machine import host

HAS_DOT = bool(host().dot) and llvm.get_host_cpu_features().get(host().dot, False)
needs_dot = pytest.mark.skipif(not HAS_DOT, reason="this processor has no dot product of bfloat16")
SPECIAL = [
    0.0, -0.0, 1.0, -1.5, 3.14159, 1.00390625, 1.01171875, -1.001953125, 65536.1, 1e-40, -1e-39, 1.1754943e-38, 3.4e38,
    -3.3953137e38, 3.39e38, np.inf, -np.inf, np.nan, 1e-20, -3e-20, 7e19, 2.0**-126,
]  # fmt: skip


def rounded(x):
    """Round normal numbers to bfloat16, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
