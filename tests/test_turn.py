"""Squares that change rows and columns in registers: alone, and where a product packs what it reads across."""

import numpy as np
import pytest
from loop_kernels import M, N, buffer, check, i, j, out, rows, vector

import symgrad as sg
from codegen.emit import emit
from codegen.ir import For, Kernel, Load, Store, Tag
from codegen.machine import host
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, DType
from symgrad.options import Options


def turned(rows, columns, dtype, lanes):
    copied = Store("y", (i, j + 1), Load("x", (j, i), dtype))
    square = For("i", 0, rows, (vector("j", 0, columns, copied, lanes=lanes),), lanes, Tag.TURN)
    buffers = (buffer("x", columns, rows, dtype=dtype), out("y", rows, columns + 1, dtype=dtype))
    return Kernel("turned", buffers, ("M", "N"), (square,))


SHAPES = [(0, 3), (3, 0), (1, 1), (8, 8), (16, 16), (7, 40), (40, 7), (33, 50), (17, 16)]


def check_turned(kernel, row, shape, dtype):
    x = np.arange(shape[0] * shape[1]).reshape(shape[::-1]).astype(dtype.numpy)
    y = np.ones((shape[0], shape[1] + 1), dtype.numpy)
    check(kernel, row, [x, y], {"M": shape[0], "N": shape[1]})


@rows
@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_is_turned(row, shape):
    check_turned(turned(*shape, FLOAT32, 16), row, shape, FLOAT32)


@rows
@pytest.mark.parametrize(("dtype", "lanes"), [(FLOAT32, 16), (FLOAT64, 8), (DType("int8"), 4), (BOOL, 16)])
def test_a_matrix_of_any_size_is_turned(row, dtype, lanes):
    for shape in ((3, 0), (33, 50), (7, 40)):
        check_turned(turned(M, N, dtype, lanes), row, shape, dtype)


def test_squares_are_not_gathered():
    text = emit(turned(64, 64, FLOAT32, 16), host())
    assert "gather" not in text
    assert text.count("load <16 x float>") == 16


SIZES = [0, 1, 7, 16, 17, 33, 64, 101]


@pytest.mark.parametrize("columns", SIZES)
@pytest.mark.parametrize("depth", [1, 16, 33, 1030])
def test_products_read_across(depth, columns):
    """The last columns of a panel are cut or have a tile of their own; memory beyond them is never touched."""
    draw = np.random.default_rng(0)
    for many in (1, 40):
        a, b = draw.standard_normal((many, depth)), draw.standard_normal((columns, depth))
        for dtype in ("float32", "float64"):
            x, y = sg.symbol("x", a.shape, dtype=dtype), sg.symbol("y", b.shape, dtype=dtype)
            found = [
                sg.function([x, y], sg.relu(x @ y.T), options=options)(a.astype(dtype), b.astype(dtype))
                for options in (
                    Options(poison=True, check=True),
                    Options(tiles=(3, 1), threads=2),
                    Options(packing=True),
                )
            ]
            assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
            np.testing.assert_allclose(found[0], np.maximum(a @ b.T, 0), rtol=1e-3, atol=1e-3)


def test_symbolic_sizes_read_across():
    x, y = sg.symbol("x", (M, N)), sg.symbol("y", (M, N))
    function = sg.function([x, y], x @ y.T, options=Options(poison=True))
    for m in SIZES:
        a = np.random.default_rng(m).integers(-3, 4, (m, 21)).astype("float32")
        np.testing.assert_array_equal(function(a, a), a @ a.T)
