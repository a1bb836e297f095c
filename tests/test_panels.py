"""Operands of products that are packed: in every order of axes, with ragged ends, and only where it pays."""

import numpy as np
import pytest

import symgrad as sg
from symgrad.options import Options

N = sg.dim("N")
FORMS = ["mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->mn", "bmk,bkn->bmn", "kbm,bnk->mbn", "mbk,kn->mbn"]
SIZES = {"b": 3, "m": 37, "k": 19, "n": 85}


def drawn(axes, sizes):
    return np.random.default_rng(len(axes)).integers(-4, 5, [sizes[a] for a in axes]).astype("float32")


def launches(function):
    return [name.split("_")[0] for name in function.subject.compiled.kernels]


@pytest.mark.parametrize("symbolic", ["", "m", "k", "n"])
@pytest.mark.parametrize("form", FORMS)
def test_packed_operands_give_the_same_sums(form, symbolic):
    left, right = form.split("->")[0].split(",")
    shapes = [[N if a == symbolic else SIZES[a] for a in axes] for axes in (left, right)]
    x, y = sg.symbol("x", shapes[0]), sg.symbol("y", shapes[1])
    product = sg.einsum(form, x, y)
    functions = [
        sg.function([x, y], product, options=o)
        for o in (
            Options(packing=True, poison=True, check=True),
            Options(packing=True, threads=3),
            Options(packing=False),
        )
    ]
    assert "pack" in launches(functions[0])
    assert "pack" not in launches(functions[2])
    for size in (0, 1, 16, 70) if symbolic else (0,):
        sizes = {**SIZES, symbolic: size} if symbolic else SIZES
        a, b = drawn(left, sizes), drawn(right, sizes)
        for function in functions:
            np.testing.assert_array_equal(function(a, b), np.einsum(form, a, b))


@pytest.mark.parametrize(("rows", "is_packed"), [(2048, True), (2064, False), (96, False)])
def test_left_is_packed_where_its_elements_compete_for_the_cache(rows, is_packed):
    x, y = sg.symbol("x", (256, rows)), sg.symbol("y", (256, 320))
    function = sg.function([x, y], x.T @ y)
    assert ("pack" in launches(function)) == is_packed
    a, b = drawn("mk", {"m": 256, "k": rows}), drawn("mk", {"m": 256, "k": 320})
    np.testing.assert_array_equal(function(a, b), a.T @ b)


def test_few_columns_do_not_repay_a_copy():
    x, y = sg.symbol("x", (256, 2048)), sg.symbol("y", (256, 64))
    assert launches(sg.function([x, y], x.T @ y)) == ["product"]
