"""Short names for writing kernels of the loop IR by hand, and for running them both ways: as code and as meaning."""

import itertools

import numpy as np
import pytest

from codegen import meaning
from codegen.emit import emit
from codegen.ir import (
    Access,
    Buffer,
    Const,
    For,
    Load,
    Op,
    Tag,
)
from codegen.jit import compile_ir, link
from codegen.machine import runnable
from codegen.parse import parse_kernel
from codegen.scratch import scratch_bytes
from codegen.signature import COMPARISONS
from codegen.text import print_kernel
from codegen.vecmath import MATH
from codegen.verify import verify
from symgrad.dtypes import BOOL, FLOAT32
from symgrad.shape import dim, evaluate

ROWS = runnable()
FMA_ROWS = [row for row in ROWS if row.has_fma]
M, N, K, i, j, k, r, v = map(dim, ("M", "N", "K", "i", "j", "k", "r", "v"))
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def execute(kernel, row, arrays, dims, parts=2):
    """Run a kernel's native code on copies of the arrays, its tasks in `parts` calls; return the copies."""
    verify(kernel)
    assert parse_kernel(print_kernel(kernel)) == kernel
    library = link({kernel.name: compile_ir(emit(kernel, row), row)})
    copies = [array.copy() for array in arrays]
    pointers = np.array([array.ctypes.data for array in copies], np.uint64)
    sizes = np.array([dims[name] for name in kernel.dims] or [0], np.int64)
    memory = np.zeros(evaluate(scratch_bytes(kernel), dims) + 64, np.uint8)
    scratch = -(-memory.ctypes.data // 64) * 64
    call = library.function(kernel.name)
    tasks = evaluate(kernel.tasks, dims)
    cuts = [tasks * part // parts for part in range(parts + 1)] if tasks != 1 else [0, 1]
    for low, high in itertools.pairwise(cuts):
        call(pointers.ctypes.data, sizes.ctypes.data, low, high, scratch)
    return copies


def interpret(kernel, arrays, dims):
    copies = [array.copy() for array in arrays]
    meaning.run(kernel, copies, dims, MATH)
    return copies


def assert_same(got, want):
    """Compare bits, but let every NaN equal every other."""
    assert got.dtype == want.dtype
    if got.dtype.kind == "f":
        both = np.isnan(got) & np.isnan(want)
        got, want = np.where(both, 0, got), np.where(both, 0, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))
    np.testing.assert_array_equal(got, want)


def check(kernel, row, arrays, dims):
    for got, want in zip(execute(kernel, row, arrays, dims), interpret(kernel, arrays, dims), strict=True):
        assert_same(got, want)


def numbers(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def load(name, *index, dtype=FLOAT32):
    return Load(name, index, dtype)


def op(name, *args, dtype=None):
    return Op(name, args, dtype or (BOOL if name in COMPARISONS else args[-1].dtype))


def f32(value):
    return Const(value, FLOAT32)


def buffer(name, *shape, dtype=FLOAT32, access=Access.IN):
    return Buffer(name, dtype, shape, access)


def out(name, *shape, dtype=FLOAT32):
    return Buffer(name, dtype, shape, Access.OUT)


def vector(var, start, stop, *body, lanes=16):
    return For(var, start, stop, body, lanes, Tag.VECTOR)
