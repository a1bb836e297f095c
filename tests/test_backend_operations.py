"""Emitted code against the interpreter of the loop IR: every operation in every dtype, and random programs."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_kernels import (
    FMA_ROWS,
    ROWS,
    N,
    assert_same,
    buffer,
    check,
    execute,
    f32,
    i,
    interpret,
    load,
    numbers,
    op,
    out,
    rows,
    vector,
)

from codegen.emit import emit
from codegen.ir import (
    OPS,
    Access,
    Buffer,
    Const,
    For,
    If,
    Index,
    Kernel,
    Let,
    Local,
    Name,
    Op,
    Set,
    Store,
)
from codegen.jit import assembly, compile_ir, link
from codegen.machine import MACHINES, machine
from codegen.signature import CHOICES, COMPARISONS, admits
from codegen.verify import verify
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, UINT8, DType

INTERESTING = {
    "f": [0.0, -0.0, 1.0, -1.5, 2.5, 0.5, -0.5, 1e-40, 3.4e38, -3.4e38, math.inf, -math.inf, math.nan, 7.25, 1e9],
    "i": [0, 1, -1, 2, -3, 7, -8, 100, 31, 8, 64, -128, 127],
    "u": [0, 1, 2, 3, 7, 8, 31, 64, 100, 200, 255],
    "b": [False, True],
}


def operands(dtype, count=3, size=45):
    """Give arrays of interesting values, extremes of the dtype included."""
    values = list(INTERESTING[dtype.kind])
    if dtype.is_integer:
        values += [np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max]
    pick = np.random.default_rng(dtype.size).integers(len(values), size=(count, size))
    with np.errstate(all="ignore"):
        return [np.array([values[n] for n in line]).astype(dtype.numpy) for line in pick]


def table(dtype, lanes):
    """Apply every operation of the table that admits a dtype, one output each."""
    cases = [name for name in OPS if admits(name, dtype) and name not in ("cast", "bitcast", *CHOICES)]
    args = [load(name, i, dtype=dtype) for name in "abc"]
    buffers = [buffer(name, N, dtype=dtype) for name in "abc"]
    stores = []
    for name in cases:
        value = op(name, *args[: OPS[name]])
        buffers.append(out(f"out_{name}", N, dtype=value.dtype))
        stores.append(Store(f"out_{name}", (i,), value))
    for name in sorted(CHOICES):
        buffers.append(out(f"out_{name}", N, dtype=dtype))
        stores.append(Store(f"out_{name}", (i,), op(name, op("le", args[0], args[1]), args[1], args[2])))
    loop = vector("i", 0, N, *stores, lanes=lanes) if lanes else For("i", 0, N, tuple(stores))
    return Kernel("operations", tuple(buffers), ("N",), (loop,))


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize("lanes", [0, 8])
def test_every_operation_for_every_dtype(dtype, lanes):
    kernel = table(dtype, lanes)
    arrays = operands(dtype)
    arrays += [np.zeros(45, b.dtype.numpy) for b in kernel.buffers[3:]]
    want = interpret(kernel, arrays, {"N": 45})
    for row in ROWS:
        for buf, got, expected in zip(kernel.buffers, execute(kernel, row, arrays, {"N": 45}), want, strict=True):
            if row.has_fma or buf.name not in ("out_fma", "out_residue"):
                assert_same(got, expected)


@pytest.mark.parametrize("source", list(DType))
@pytest.mark.parametrize("lanes", [0, 8])
def test_casts(source, lanes):
    exact = {"b": [0, 1], "u": [0, 1, 5, 100, 127], "i": [0, 1, 5, 100, 127, -1, -128], "f": [0, 1.5, -0.0, 99.9]}
    x = np.resize(np.array(exact[source.kind]), 19).astype(source.numpy)
    buffers = [buffer("x", N, dtype=source), *(out(f"to_{dtype}", N, dtype=dtype) for dtype in DType)]
    element = load("x", i, dtype=source)
    stores = [Store(f"to_{dtype}", (i,), op("cast", element, dtype=dtype)) for dtype in DType]
    loop = vector("i", 0, N, *stores, lanes=lanes) if lanes else For("i", 0, N, tuple(stores))
    kernel = Kernel("casts", tuple(buffers), ("N",), (loop,))
    for row in ROWS:
        check(kernel, row, [x, *(np.zeros(19, dtype.numpy) for dtype in DType)], {"N": 19})


@rows
def test_bitcasts_and_a_shared_node(row):
    x = load("x", i)
    bits = op("bitcast", x, dtype=INT32)
    deep = op("and", bits, Const(0x7FFFFFFF, INT32))
    for _ in range(40):  # a tree of 2**40 nodes, a graph of 40
        deep = op("add", deep, deep)
    body = Store("y", (i,), op("bitcast", op("xor", deep, bits), dtype=FLOAT32))
    kernel = Kernel("bits", (buffer("x", N), out("y", N)), ("N",), (vector("i", 0, N, body),))
    x = numbers(20)
    pointers, y = x.copy(), np.zeros(20, np.float32)
    verify(kernel)
    library = link({"bits": compile_ir(emit(kernel, row), row)})
    args, dims = np.array([pointers.ctypes.data, y.ctypes.data], np.uint64), np.array([20], np.int64)
    library.function("bits")(args.ctypes.data, dims.ctypes.data, 0, 1, 0)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_functions_are_the_same_in_scalars_and_lanes(name):
    value = Op(name, (load("x", i),), FLOAT32)
    results = []
    x = numbers(37) * np.float32(5)
    for row in FMA_ROWS:
        for loop in (For("i", 0, N, (Store("y", (i,), value),)), vector("i", 0, N, Store("y", (i,), value))):
            kernel = Kernel("curve", (buffer("x", N), out("y", N)), ("N",), (loop,))
            results.append(execute(kernel, row, [x, np.zeros_like(x)], {"N": 37})[1])
    np.testing.assert_allclose(results[0], getattr(np, name)(x.astype(np.float64)), rtol=3e-7)
    for other in results[1:]:
        assert_same(other, results[0])


leaves = st.one_of(
    st.sampled_from([load("x", i), load("x", 0), load("x", (3 * i + 1) % N), Name("p", FLOAT32), Name("q", FLOAT32)]),
    st.floats(width=32, allow_nan=False).map(f32),
    st.just(op("cast", Index(2 * i + 1), dtype=FLOAT32)),
)
arithmetic = ["add", "sub", "mul", "div", "copysign", "fma", "neg", "abs", "sqrt", "floor", "rint"]


def grow(inner):
    operation = st.sampled_from(arithmetic).flatmap(
        lambda name: st.tuples(*[inner] * OPS[name]).map(lambda args: op(name, *args))
    )
    names = st.sampled_from(sorted(CHOICES)), st.sampled_from(sorted(COMPARISONS))
    choice = st.tuples(*names, *[inner] * 4).map(lambda c: op(c[0], op(c[1], c[2], c[3]), c[4], c[5]))
    return st.one_of(operation, choice)


values = st.recursive(leaves, grow, max_leaves=8)
conditions = st.tuples(st.sampled_from(sorted(COMPARISONS)), values, values).map(lambda c: op(*c))
simple = st.one_of(
    values.map(lambda value: Set("q", value)),
    values.map(lambda value: Store("y", (i,), value)),
    values.map(lambda value: Store("z", (N - 1 - i,), value)),
)
branches = st.tuples(conditions, st.lists(simple, max_size=2), st.lists(simple, max_size=2)).map(
    lambda c: If(c[0], tuple(c[1]), tuple(c[2]))
)
repeats = st.lists(st.one_of(simple, branches), min_size=1, max_size=2).map(lambda body: For("k", 0, 3, tuple(body)))
programs = st.lists(st.one_of(simple, branches, repeats), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(programs, values, st.sampled_from([1, 5, 16, 23]), st.sampled_from([4, 8, 16]))
def test_random_vector_loops_compute_what_they_mean(body, first, size, lanes):
    start = (Local("q", f32(0.5)), Let("p", _without_names(first)))
    kernel = Kernel(
        "random",
        (buffer("x", N), Buffer("y", FLOAT32, (N,), Access.INOUT), out("z", N)),
        ("N",),
        (vector("i", 0, N, *start, *body, lanes=lanes),),
    )
    for row in FMA_ROWS:
        check(kernel, row, [numbers(size), numbers(size, seed=9), np.zeros(size, np.float32)], {"N": size})


def _without_names(value):
    """Replace names, which are not yet bound where the first value stands."""
    if isinstance(value, Name):
        return f32(1.25)
    return Op(value.name, tuple(map(_without_names, value.args)), value.dtype) if isinstance(value, Op) else value


@pytest.mark.parametrize("name", MACHINES)
def test_no_row_calls_anything(name):
    row = machine(name)
    for dtype in (FLOAT32, FLOAT64, INT32, UINT8, BOOL):
        text = emit(table(dtype, 16), row)
        flags = re.findall(r"\b(?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc|ptrtoint|noalias)\b", text)
        assert not flags
        code = assembly(text, row)
        assert not re.search(r"^\s+(?:callq?|bl|blr|jmp\s+[a-z_]+@)\s", code, re.MULTILINE)
