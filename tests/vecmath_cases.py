"""Functions of the vector mathematics as NumPy functions, points to try them at, and the error of what they give."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from codegen.emit import emit
from codegen.ir import Access, Buffer, For, Kernel, Load, Op, Store, Tag
from codegen.jit import compile_ir, link
from codegen.machine import Machine, runnable
from codegen.vecmath import BINARY
from symgrad.dtypes import DType
from symgrad.shape import dim

N, I = dim("N"), dim("i")
FMA = [row for row in runnable() if row.has_fma]
INF, NAN = math.inf, math.nan


@functools.cache
def compiled(name: str, dtype: DType, machine: Machine, lanes: int) -> Callable[..., np.ndarray]:
    """Compile a function for a machine row, so many lanes at a time."""
    kernel = kernel_of(name, dtype, lanes)
    function = link({kernel.name: compile_ir(emit(kernel, machine), machine)}).function(kernel.name)

    def call(*arrays: np.ndarray) -> np.ndarray:
        inputs = [np.ascontiguousarray(a, dtype=dtype.numpy) for a in arrays]
        out = np.empty_like(inputs[0])
        pointers = (ctypes.c_void_p * (len(inputs) + 1))(*(a.ctypes.data for a in (*inputs, out)))
        function(pointers, (ctypes.c_int64 * 1)(out.size), 0, 1, None)
        return out

    return call


def kernel_of(name: str, dtype: DType, lanes: int) -> Kernel:
    """Give the loop that applies a function to arrays x, or x and y."""
    names = ("x", "y")[: 2 if name in BINARY else 1]
    value = Op(name, tuple(Load(b, (I,), dtype) for b in names), dtype)
    buffers = [Buffer(b, dtype, (N,), Access.IN) for b in names] + [Buffer("o", dtype, (N,), Access.OUT)]
    loop = For("i", 0, N, (Store("o", (I,), value),), step=lanes, tag=Tag.VECTOR if lanes > 1 else Tag.SERIAL)
    return Kernel(f"{name}_{dtype}_{lanes}", tuple(buffers), ("N",), (loop,))


def best(name: str, dtype: DType) -> Callable[..., np.ndarray]:
    """Compile a function for the widest row that has fma."""
    if not FMA:
        pytest.skip("the bounds hold where fma rounds once")
    return compiled(name, dtype, FMA[0], FMA[0].lanes(dtype))


def points(dtype: DType, low: float, high: float, count: int) -> np.ndarray:
    """Give random bit patterns, even values, and values thinning out towards 0."""
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2 ** (8 * dtype.size), count, dtype=np.uint64)
    wild = bits.astype(f"uint{8 * dtype.size}").view(dtype.numpy)
    even = rng.uniform(low, high, count)
    small = rng.uniform(low, high, count) * np.exp(-rng.uniform(0, 40, count))
    return np.concatenate([wild[np.isfinite(wild)], even.astype(dtype.numpy), small.astype(dtype.numpy)])


def ulps(got: np.ndarray, exact: list[mp.mpf]) -> np.ndarray:
    """Give |got - exact| in units of the last place of exact, 0 where both overflow or both are NaN, else inf."""
    info = np.finfo(got.dtype)
    result = np.empty(got.size)
    for i, (g, e) in enumerate(zip(got.tolist(), exact, strict=True)):
        if not mp.isfinite(e) or abs(e) > float(info.max) * (1 + float(info.eps) / 4):
            expected = NAN if mp.isnan(e) else math.copysign(INF, e)
            result[i] = 0 if g == expected or (g != g and expected != expected) else INF
            continue
        exponent = mp.frexp(e)[1] if e else -5000
        unit = mp.ldexp(1, max(exponent - info.nmant - 1, info.minexp - info.nmant))
        result[i] = float(abs(mp.mpf(g) - e) / unit) if math.isfinite(g) else INF
    return result


def real(f: Callable[..., mp.mpf], *args: float) -> mp.mpf:
    """Give f in the reals, NaN where it has no real value, mpmath's poles as infinities."""
    if f is mp.erfc and abs(args[0]) > 1000:
        return mp.mpf(0 if args[0] > 0 else 2)
    try:
        value = f(*map(mp.mpf, args))
    except (ValueError, ZeroDivisionError):
        return mp.nan
    except OverflowError:  # an exponent beyond what mpmath holds: only e^(+-huge) gets here
        return mp.inf
    return mp.nan if isinstance(value, mp.mpc) else value
