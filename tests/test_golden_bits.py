"""The bits of every elementwise operator, as they were when somebody last looked: arithmetic changes on purpose only.

A bound on errors does not see a constant that is off in its last digits, nor on which side of an edge formulas meet.
"""

import hashlib

import numpy as np
import pytest

import symgrad as sg
from codegen.machine import host
from symgrad.errors import SymgradError
from symgrad.ops import generate
from symgrad.ops.row import ROWS

N = sg.dim("N")


def points(dtype):
    """List numbers of both signs: eighths, powers of two, small and large numbers, all with neighbours, and others."""
    form, rng = np.finfo(dtype), np.random.default_rng(20)
    powers = np.ldexp(1.0, np.arange(form.minexp - form.nmant, form.maxexp, 3))
    edges = np.concatenate([np.arange(0, 240) / 8, np.arange(30, 200), powers, [form.max, form.tiny]]).astype(dtype)
    scaled = np.ldexp(rng.uniform(1, 2, 400), rng.integers(-60, 60, 400))
    others = np.concatenate([rng.uniform(0, 1, 400), rng.uniform(0, 30, 400), scaled])
    with np.errstate(over="ignore"):
        near = [edges, np.nextafter(edges, np.inf, dtype=dtype), np.nextafter(edges, -np.inf, dtype=dtype)]
    x = np.concatenate([*near, others.astype(dtype), np.array([np.inf, np.nan], dtype)])
    return np.concatenate([x, -x])


def operands(dtype, arity):
    """Give numbers, or pair them with others, each with itself too."""
    x, rng = points(dtype), np.random.default_rng(21)
    if arity == 1:
        return [x]
    columns = [np.concatenate([x, x])]
    while len(columns) < arity:
        columns.append(np.concatenate([x, rng.permutation(x)]))
    return columns


def called(row, dtype):
    """Call a row on symbols of a dtype, if it takes them."""
    try:
        return row(*(sg.symbol(f"x{k}", (N,), dtype) for k in range(row.arity)))
    except (SymgradError, TypeError, ValueError):
        return None


def digest(array):
    array = np.where(np.isnan(array), np.nan, array) if array.dtype.kind == "f" else array
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


@pytest.mark.skipif(not host().has_fma, reason="without fused multiply-add the bits are others")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits(dtype, golden):
    lines = []
    for row in (ROWS[row.name] for row in generate.rows()):
        node = called(row, dtype)
        if node is None:
            continue
        symbols = [sg.symbol(f"x{k}", (N,), dtype) for k in range(row.arity)]
        value = np.asarray(sg.function(symbols, node)(*operands(dtype, row.arity)))
        lines.append(f"{row.name:20} {value.dtype!s:8} {digest(value)}")
    golden(f"bits_{dtype}.txt", "\n".join(lines))
