"""Emitted code against the interpreter of the loop IR, on every machine row that this host can run."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen import meaning
from codegen.emit import emit
from codegen.ir import (
    OPS,
    Access,
    Alloc,
    Buffer,
    Const,
    For,
    If,
    Index,
    Kernel,
    Let,
    Load,
    Local,
    Name,
    Op,
    Prefetch,
    Set,
    Space,
    Store,
    Tag,
    While,
)
from codegen.jit import assembly, compile_ir, link, optimized_ir
from codegen.machine import MACHINES, machine, runnable
from codegen.parse import parse_kernel
from codegen.scratch import scratch_bytes
from codegen.signature import COMPARISONS, admits
from codegen.text import print_kernel
from codegen.vecmath import MATH
from codegen.verify import verify
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, INT64, UINT8, DType
from symgrad.errors import CompileError
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


SAXPY = Kernel(
    "saxpy",
    (buffer("x", N), buffer("y", N), out("z", N)),
    ("N",),
    (vector("i", 0, N, Store("z", (i,), op("fma", load("x", i), f32(2.5), load("y", i)))),),
)


@rows
@pytest.mark.parametrize("size", [0, 1, 3, 16, 17, 64])
@pytest.mark.parametrize("lanes", [4, 16])
def test_map_with_a_masked_tail(row, size, lanes):
    loop = SAXPY.body[0]
    kernel = Kernel("saxpy", SAXPY.buffers, ("N",), (For("i", 0, N, loop.body, lanes, Tag.VECTOR),))
    arrays = [numbers(size, seed=1), numbers(size, seed=2), np.zeros(size + 5, np.float32)]
    if row.has_fma:
        check(kernel, row, arrays, {"N": size})
    else:
        z = execute(kernel, row, arrays, {"N": size})[2]
        np.testing.assert_array_equal(z[:size], arrays[0] * np.float32(2.5) + arrays[1])
        assert not z[size:].any()


@rows
@pytest.mark.parametrize("size", [1, 3, 16, 17, 64])
def test_constant_bounds_are_written_out(row, size):
    body = Store("z", (i,), op("add", load("x", i), op("cast", Index(i + N), dtype=FLOAT32)))
    kernel = Kernel("shift", (buffer("x", size), out("z", size)), ("N",), (vector("i", 0, size, body),))
    check(kernel, row, [numbers(size), np.zeros(size, np.float32)], {"N": 3})
    assert " phi " not in emit(kernel, row)


@rows
@pytest.mark.parametrize("columns", [3, 16, 21])
def test_column_sums_with_a_serial_loop_inside_a_vector_loop(row, columns):
    body = (
        Local("s", f32(0.0)),
        For("i", 0, M, (Set("s", op("add", Name("s", FLOAT32), load("x", i, j))),)),
        Store("z", (j,), Name("s", FLOAT32)),
    )
    kernel = Kernel("sums", (buffer("x", M, N), out("z", N)), ("M", "N"), (vector("j", 0, N, *body),))
    check(kernel, row, [numbers((5, columns)), np.zeros(columns, np.float32)], {"M": 5, "N": columns})


@rows
@pytest.mark.parametrize("size", [1, 16, 19])
def test_predicated_statements(row, size):
    x = load("x", i)
    nested = If(op("gt", x, f32(1.0)), (Set("s", f32(10.0)),), (Store("w", (i,), x),))
    body = (
        Local("s", f32(0.0)),
        If(
            op("lt", x, f32(0.0)),
            (Set("s", op("neg", x)), Store("z", (i,), load("u", i // 2))),
            (Set("s", op("mul", x, load("u", 0))), nested),
        ),
        Store("y", (i,), Name("s", FLOAT32)),
    )
    buffers = (buffer("x", N), buffer("u", N), out("y", N), out("z", N), out("w", N))
    kernel = Kernel("choose", buffers, ("N",), (vector("i", 0, N, *body),))
    arrays = [numbers(size), numbers(size, seed=5), *(np.full(size, 7, np.float32) for _ in range(3))]
    check(kernel, row, arrays, {"N": size})


@rows
@pytest.mark.parametrize("size", [1, 16, 35])
def test_gather_and_scatter(row, size):
    at = Let("t", load("index", i, dtype=INT64))
    t = dim("t")
    body = (
        at,
        Store("y", (t,), load("x", i)),  # a permutation: every lane its own element
        Store("z", (i,), op("add", load("x", t), load("x", (i * 3 + 1) % N))),
        Store("s", (2 * i,), load("x", N - 1 - i)),
    )
    buffers = (buffer("index", N, dtype=INT64), buffer("x", N), out("y", N), out("z", N), out("s", 2 * N))
    kernel = Kernel("permute", buffers, ("N",), (vector("i", 0, N, *body),))
    index = np.random.default_rng(3).permutation(size)
    arrays = [index, numbers(size), *(np.zeros(size, np.float32) for _ in range(2)), np.zeros(2 * size, np.float32)]
    check(kernel, row, arrays, {"N": size})


@rows
def test_index_arithmetic_rounds_down(row):
    stores = [
        Store("y", (i, 0), Index((i - 7) // 3)),
        Store("y", (i, 1), Index((i - 7) % 3)),
        Store("y", (i, 2), Index((i - 7) // N)),
        Store("y", (i, 3), Index((i * i + i) % (N + 1))),
        Store("y", (i, 4), Index(i * i * N - i // 4)),
    ]
    for loop in (vector("i", 0, M, *stores, lanes=8), For("i", 0, M, tuple(stores))):
        kernel = Kernel("quotients", (out("y", M, 5, dtype=INT64),), ("M", "N"), (loop,))
        check(kernel, row, [np.zeros((21, 5), np.int64)], {"M": 21, "N": 4})


def matmul(tile=8, columns=32, lanes=16):
    """C = A @ B in register tiles; M and N are multiples of the tile."""
    acc = load("acc", r, v)
    product = op("fma", load("a", i + r, k), load("b", k, j + v), acc)

    def tiled(*body):
        return For("r", 0, tile, (vector("v", 0, columns, *body, lanes=lanes),), 1, Tag.UNROLL)

    nest = (
        Alloc("acc", FLOAT32, (tile, columns), Space.REGISTER),
        tiled(Store("acc", (r, v), f32(0.0))),
        For("k", 0, K, (Prefetch("b", (k + 4, j)), tiled(Store("acc", (r, v), product)))),
        tiled(Store("c", (i + r, j + v), acc)),
    )
    loops = For("i", 0, M, (For("j", 0, N, nest, columns),), tile, Tag.PARALLEL)
    return Kernel("matmul", (buffer("a", M, K), buffer("b", K, N), out("c", M, N)), ("M", "N", "K"), (loops,))


@pytest.mark.parametrize("row", FMA_ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize(("tile", "columns", "lanes"), [(8, 32, 16), (3, 20, 8)])
def test_tiled_matmul(row, tile, columns, lanes):
    dims = {"M": 2 * tile, "N": 2 * columns, "K": 9}
    arrays = [numbers((2 * tile, 9)), numbers((9, 2 * columns), seed=1), np.zeros((2 * tile, 2 * columns), np.float32)]
    check(matmul(tile, columns, lanes), row, arrays, dims)


@pytest.mark.parametrize(("name", "fma"), [("avx512", r"vfmadd\d+ps\s.*%zmm"), ("neon", r"fmla\s+v")])
def test_a_register_tile_stays_in_registers(name, fma):
    row = machine(name)
    kernel = matmul(*((8, 32, 16) if name == "avx512" else (8, 8, 4)))
    text = assembly(emit(kernel, row), row)
    blocks = re.split(r"^\.\w+:|^\s+(?:j|b\.)\w+\s.*", text, flags=re.MULTILINE)
    inner = max(blocks, key=lambda block: len(re.findall(fma, block)))
    assert len(re.findall(fma, inner)) == 16, "the K loop has one fma per vector of the tile"
    assert not re.search(r"vmovaps|vmovups\s+%|\bmul|\[sp|%rsp|\bcall|\bbl\s", inner), "a spill or a call"


@rows
def test_scratch_arrays_and_while(row):
    n = Name("n", INT64)
    body = (
        Alloc("t", FLOAT32, (N + 1,), Space.SCRATCH),
        Alloc("u", INT32, (3,), Space.SCRATCH),
        vector("i", 0, N, Store("t", (i,), op("mul", load("x", i), f32(3.0)))),
        Local("n", Const(0, INT64)),
        While(op("lt", n, Index(N)), (
            Let("m", n),
            Store("u", (dim("m") % 3,), op("cast", n, dtype=INT32)),
            Let("u_m", op("cast", load("u", dim("m") % 3, dtype=INT32), dtype=FLOAT32)),
            Store("y", (dim("m"),), op("add", load("t", N - 1 - dim("m")), Name("u_m", FLOAT32))),
            Set("n", op("add", n, Const(1, INT64))),
        )),
    )  # fmt: skip
    kernel = Kernel("reverse", (buffer("x", N), out("y", N)), ("N",), body)
    assert evaluate(scratch_bytes(kernel), {"N": 16}) == 128 + 64
    check(kernel, row, [numbers(19), np.zeros(19, np.float32)], {"N": 19})


@rows
def test_register_arrays_with_a_tail_and_a_tree(row):
    """Sum rows by four partial vectors and a fixed tree, all in registers."""

    def add(lanes):
        return vector("v", 0, lanes, Store("p", (v,), op("add", load("p", v), load("p", v + lanes))), lanes=lanes)

    body = (
        Alloc("p", FLOAT32, (16,), Space.REGISTER),
        vector("v", 0, 16, Store("p", (v,), f32(0.0))),
        For("j", 0, N, (vector("v", 0, 11, Store("p", (v,), op("add", load("p", v), load("x", i, j + v)))),), 11),
        *(add(lanes) for lanes in (8, 4, 2, 1)),
        Store("y", (i,), load("p", 0)),
    )
    kernel = Kernel("rows", (buffer("x", M, N), out("y", M)), ("M", "N"), (For("i", 0, M, body),))
    check(kernel, row, [numbers((3, 44)), np.zeros(3, np.float32)], {"M": 3, "N": 44})
    assert "alloca" not in optimized_ir(emit(kernel, row), row)


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
    cases = [name for name in OPS if admits(name, dtype) and name not in ("cast", "bitcast", "select")]
    args = [load(name, i, dtype=dtype) for name in "abc"]
    buffers = [buffer(name, N, dtype=dtype) for name in "abc"]
    stores = []
    for name in cases:
        value = op(name, *args[: OPS[name]])
        buffers.append(out(f"out_{name}", N, dtype=value.dtype))
        stores.append(Store(f"out_{name}", (i,), value))
    buffers.append(out("out_select", N, dtype=dtype))
    stores.append(Store("out_select", (i,), op("select", op("le", args[0], args[1]), args[1], args[2])))
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
            if row.has_fma or buf.name != "out_fma":
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
    choice = st.tuples(st.sampled_from(sorted(COMPARISONS)), inner, inner, inner, inner).map(
        lambda c: op("select", op(c[0], c[1], c[2]), c[3], c[4])
    )
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


def test_emission_is_deterministic_and_the_comment_is_no_part_of_it():
    row = machine("avx2")
    commented = Kernel(SAXPY.name, SAXPY.buffers, SAXPY.dims, SAXPY.body, ("z = 2.5 x + y",))
    assert emit(commented, row) == emit(SAXPY, row)
    assert compile_ir(emit(SAXPY, row), row) is compile_ir(emit(commented, row), row)


def test_an_unknown_function_is_an_error():
    body = Store("y", (i,), Op("blancmange", (load("x", i),), FLOAT32))
    kernel = Kernel("curve", (buffer("x", N), out("y", N)), ("N",), (vector("i", 0, N, body),))
    with pytest.raises(CompileError, match="blancmange"):
        emit(kernel, ROWS[0])


def test_machine_names():
    assert machine() == ROWS[0]
    with pytest.raises(CompileError, match="avx512"):
        machine("avx1024")
