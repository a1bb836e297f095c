"""Emitted code against the interpreter of the loop IR, on every machine row that this host can run: whole kernels."""

import re

import numpy as np
import pytest
from loop_kernels import (
    FMA_ROWS,
    ROWS,
    K,
    M,
    N,
    buffer,
    check,
    execute,
    f32,
    i,
    j,
    k,
    load,
    numbers,
    op,
    out,
    r,
    rows,
    v,
    vector,
)

from codegen.emit import emit
from codegen.ir import (
    Alloc,
    Const,
    For,
    If,
    Index,
    Kernel,
    Let,
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
from codegen.jit import assembly, optimized_ir
from codegen.machine import machine
from codegen.scratch import scratch_bytes
from symgrad.dtypes import FLOAT32, INT32, INT64
from symgrad.errors import CompileError
from symgrad.shape import dim, evaluate

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


def test_emission_is_deterministic_and_the_comment_is_no_part_of_it():
    row = machine("avx2")
    commented = Kernel(SAXPY.name, SAXPY.buffers, SAXPY.dims, SAXPY.body, ("z = 2.5 x + y",))
    assert emit(commented, row) == emit(SAXPY, row)


def test_an_unknown_function_is_an_error():
    body = Store("y", (i,), Op("blancmange", (load("x", i),), FLOAT32))
    kernel = Kernel("curve", (buffer("x", N), out("y", N)), ("N",), (vector("i", 0, N, body),))
    with pytest.raises(CompileError, match="blancmange"):
        emit(kernel, ROWS[0])


def test_machine_names():
    assert machine() == ROWS[0]
    with pytest.raises(CompileError, match="avx512"):
        machine("avx1024")
