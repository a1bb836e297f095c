"""The size and index algebra by example: simplification, text, what is refused, shapes, plain data."""

from __future__ import annotations

import copy
import operator
import os
import subprocess
import sys

import numpy as np
import pytest

from symgrad.errors import FormatError, ShapeError
from symgrad.shape import (
    Dim,
    FloorDiv,
    Mod,
    Name,
    bounds,
    broadcast_shapes,
    coefficient,
    dim,
    evaluate,
    exact_div,
    format_shape,
    from_data,
    infer_minus_one,
    names,
    product,
    set_node_hook,
    simplify_with,
)

N, M, k = dim("N"), dim("M"), dim("k")
i, j, l = dim("i"), dim("j"), dim("l")

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod}


SIMPLIFIED = [
    ((2 * N) // 2, N),
    ((N * M) // M, N),
    ((4 * N + 3) // 4, N),
    ((4 * N + 5) // 4, N + 1),
    ((4 * N + i) % 4, i % 4),
    ((N // 3) // 5, N // 15),
    ((N // M) // k, N // (M * k)),
    ((N % 12) % 4, N % 4),
    ((N % 12) // 4, (N // 4) % 3),
    ((N % 4) % 12, N % 4),
    ((N % 4) // 12, 0),
    ((2 * N) // 4, N // 2),
    ((2 * N + 1) % 4, 2 * (N % 2) + 1),
    ((N * M) % (2 * M), M * (N % 2)),
    (((N + 1) * i + j) // (N + 1), i + j // (N + 1)),
    ((N * N - 1) // (N + 1), N - 1),
    (N // (N + 1), 0),
    (N % (N + 1), N),
    (N // -1, -N),
    (N // (-M), (-N) // M),
    (N % (-M), -((-N) % M)),
    (0 // N, 0),
    (-1 // N, -1),
    (N // N, 1),
    ((N - 3) // 2 + 1, (N - 1) // 2),
    ((N - 1) // N, 0),
    ((N - 1) % N, N - 1),
    (N**3 * N**0, N * N * N),
]


@pytest.mark.parametrize(("got", "expected"), SIMPLIFIED, ids=lambda size: str(size))
def test_division_simplifies(got, expected):
    assert got == expected
    assert hash(got) == hash(expected)


WITHIN = [
    ((784 * i + j) // 784, {"i": N, "j": 784}, i),
    ((784 * i + j) % 784, {"i": N, "j": 784}, j),
    ((784 * i + j) // 28 % 28, {"i": N, "j": 784}, j // 28),
    ((M * i + j) // M, {"j": M}, i),
    ((M * i + j) % M, {"j": M}, j),
    ((28 * i + j) // 56, {"j": 28}, i // 2),
    ((28 * i + j) % 56, {"j": 28}, 28 * (i % 2) + j),
    ((28 * i + 27 - j) // 28, {"j": 28}, i),
    ((N * i + N - 1 - j) // N, {"j": N}, i),
    ((N * i + N - 1 - j) % N, {"j": N}, N - 1 - j),
    ((N * i + j) // (2 * N), {"j": N}, i // 2),
    ((N * M * i + M * j + l) // M % N, {"j": N, "l": M}, j),
    ((N * M * i + M * j + l) // (N * M), {"j": N, "l": M}, i),
    (j // 784 % N, {"j": 784 * N}, j // 784),
    (((N - k + 1) * i + j) // (N - k + 1), {"j": N - k + 1}, i),
    (784 * (j // 784) + 28 * (j // 28 % 28) + j % 28, {"j": 784 * N}, j),
    (M * (j // M) + j % M, {"j": N * M}, j),
    (i % 4 + j // 3, {"i": 4, "j": 3}, i),
    (i // 2 + j, {"i": 1, "j": N}, j),
    ((2 * i + j) // N, {"i": N // 2, "j": 2}, 0),
    ((-1 - i) // N, {"i": N}, -1),
    ((i + j - N) % N, {"i": N, "j": N}, (i + j) % N),
]


@pytest.mark.parametrize(("size", "extents", "expected"), WITHIN, ids=lambda case: str(case))
def test_simplify_with(size, extents, expected):
    assert simplify_with(size, extents) == expected


TEXTS = [
    (1 + N * 2, "2*N + 1"),
    (N * M, "M*N"),
    ((N - k) // 2 + 1, "(N - k)//2 + 1"),
    (N % 4, "N % 4"),
    (3 - N, "3 - N"),
    (-N - 3, "-N - 3"),
    (-N * N, "-N**2"),
    (1 + N + N * N * M, "M*N**2 + N + 1"),
    (2 * (N // 3), "2*(N//3)"),
    (-(N // 3), "-(N//3)"),
    (M - N // 3, "M - N//3"),
    ((N // 3) ** 2 * M, "M*(N//3)**2"),
    ((N // 2) % 3, "(N//2) % 3"),
    (N // (2 * M), "N//(2*M)"),
    (5 // N, "5//N"),
]


@pytest.mark.parametrize(("size", "expected"), TEXTS, ids=[text for _, text in TEXTS])
def test_text(size, expected):
    assert str(size) == repr(size) == expected


def test_constants_are_plain_ints():
    for size in (N - N, N * 0, 0 * N, (N + 3) - N, N**0, N // N, N % N, (4 * N + 3) % 4, np.int64(0) * N):
        assert type(size) is int


def test_numpy_integers_are_ints_on_either_side():
    for one in (np.int64(3), np.int32(3), np.uint8(3)):
        assert one + N == N + one == N + 3
        assert one * N == N * one == 3 * N
        assert one - N == 3 - N
        assert N // one == N // 3
        assert one % N == 3 % N
        assert N != one
        assert one != N
    assert type((N * np.int64(2)).terms()[0][0]) is int


@pytest.mark.parametrize("op", OPERATORS.values())
def test_bools_are_refused(op):
    for left, right in ((N, True), (False, N)):
        with pytest.raises(TypeError, match="not a size"):
            op(left, right)


def test_other_types_get_their_chance():
    class Other:
        def __radd__(self, left):
            return ("radd", left)

        def __rtruediv__(self, left):
            return ("rtruediv", left)

        def __eq__(self, other):
            return "eq"

        __hash__ = None

    assert N + Other() == ("radd", N)
    assert N / Other() == ("rtruediv", N)
    assert (N == Other()) == "eq"
    for bad in ("3", None, 1j, [1]):
        with pytest.raises(TypeError):
            N + bad
        assert N != bad


LEAVES = [
    (lambda: N / 2, ("divide", N, 2)),
    (lambda: 1 / N, ("divide", 1, N)),
    (lambda: N / M, ("divide", N, M)),
    (lambda: N + 0.5, ("add", N, 0.5)),
    (lambda: 0.5 - N, ("subtract", 0.5, N)),
    (lambda: N * np.float32(2), ("multiply", N, 2.0)),
    (lambda: np.float64(2) * N, ("multiply", 2.0, N)),
    (lambda: N**0.5, ("power", N, 0.5)),
    (lambda: 2**N, ("power", 2, N)),
    (lambda: N**M, ("power", N, M)),
]


@pytest.mark.parametrize(("leave", "expected"), LEAVES, ids=[f"{e[1]}-{e[0]}-{e[2]}" for _, e in LEAVES])
def test_what_leaves_the_algebra_goes_to_the_hook(leave, expected, monkeypatch):
    monkeypatch.setattr("symgrad.dimension._node_hook", None)
    with pytest.raises(TypeError, match="not an integer size"):
        leave()
    set_node_hook(lambda op, left, right: (op, left, right))
    assert leave() == expected


def test_negative_power_and_zero_divisors_are_refused():
    with pytest.raises(ValueError, match="negative power"):
        N**-1
    for divide in (lambda: N // 0, lambda: N % 0, lambda: N // (M - M)):
        with pytest.raises(ZeroDivisionError, match="N is divided by zero"):
            divide()
    with pytest.raises(ZeroDivisionError, match="M % N"):
        evaluate(M % N, {"N": 0, "M": 3})


def test_comparison_decides_only_what_holds_for_all_sizes():
    assert N >= 0
    assert N + 1 > N
    assert not N < 0
    assert N % 4 < 4
    assert N <= 2 * N
    assert -1 < N
    for undecided in (lambda: N > 0, lambda: N < M, lambda: N <= 5):
        with pytest.raises(TypeError, match="depends on the sizes"):
            undecided()


def test_no_truth_value_and_no_int_value():
    with pytest.raises(TypeError, match="2\\*N has no truth value|size 2\\*N"):
        bool(2 * N)
    for convert in (int, operator.index, range):
        with pytest.raises(TypeError, match="size N has no int value"):
            convert(N)


def test_equality_is_structural():
    assert dim("N") == N
    assert hash(dim("N")) == hash(N)
    assert N != M
    assert N != 3
    assert (N == 2.0) is False
    assert {N * M + 1: "a"}[1 + M * N] == "a"


@pytest.mark.parametrize("name", ["", "2N", "a b", "N-1", "lambda", "N\n"])
def test_bad_names(name):
    with pytest.raises(ValueError, match="cannot name a dimension"):
        dim(name)


def test_dim_is_immutable_and_only_made_by_dim():
    with pytest.raises(AttributeError, match="immutable"):
        N._terms = {}
    with pytest.raises(AttributeError):
        N.other = 1
    with pytest.raises(AttributeError, match="immutable"):
        del N._terms
    with pytest.raises(TypeError, match="made with dim"):
        Dim("N")
    assert copy.copy(N) is N


def test_terms_for_emitters():
    assert (3 - 2 * N * M + N // 2).terms() == (
        (-2, ((Name("M"), 1), (Name("N"), 1))),
        (1, ((FloorDiv(N, 2), 1),)),
        (3, ()),
    )
    assert (N % M).terms() == ((1, ((Mod(N, M), 1),)),)


def test_names_and_missing_values():
    size = (N + i) // M + k % 3
    assert size.names == names(size) == {"N", "M", "k", "i"}
    assert names(3) == frozenset()
    with pytest.raises(ShapeError, match="dimension M has no value; known: N, i, k"):
        evaluate(size, {"N": 1, "i": 2, "k": 3})
    assert evaluate(N * M, {"N": np.int32(2**20), "M": np.int32(2**20)}) == 2**40
    assert evaluate(7, {}) == 7


def test_coefficient_reads_strides():
    index = 784 * N * i + 28 * i + j - 5
    assert coefficient(index, "i") == 784 * N + 28
    assert coefficient(index, "j") == 1
    assert coefficient(index, "l") == 0
    assert coefficient(12, "i") == 0
    assert coefficient(i * i, "i") is None
    assert coefficient(i + i // 2, "i") is None
    assert coefficient(i * (N // 2), "i") == N // 2


def test_bounds_with_symbolic_ranges():
    assert bounds(N) == (0, None)
    assert bounds(7) == (7, 7)
    assert bounds(-N - 1) == (None, -1)
    assert bounds(2 * i - j, {"i": (0, 9), "j": (1, 4)}) == (-4, 17)
    assert bounds(N - 1 - i, {"i": (0, N - 1)}) == (0, None)
    assert bounds(N * M - 1 - M * i - j, {"i": (0, N - 1), "j": (0, M - 1)})[0] == 0
    assert bounds(i - j, {"i": (0, j - 1)})[1] == -1
    assert bounds(i * i, {"i": (-3, 2)}) == (0, 9)
    assert bounds(N - 2 * (N // 2)) == (0, 1)
    assert bounds(N - i % N, {"i": (0, M - 1)}) == (1, None)
    assert bounds(i, {"i": (0, j), "j": (0, i)}) == (0, None)


def test_exact_div_and_minus_one():
    assert exact_div(6 * N * M, 3 * N) == 2 * M
    assert exact_div(N * N - 1, N + 1) == N - 1
    assert exact_div(N + 1, 2) is None
    assert exact_div(N, M) is None
    assert exact_div(12, -4) == -3
    assert exact_div(0, N) == 0
    assert exact_div(N, 0) is None
    assert exact_div(5, N) is None
    assert infer_minus_one(784 * N, 28) == 28 * N
    assert infer_minus_one(784 * N, N) == 784
    assert infer_minus_one(10, 4) is None


def test_product():
    assert product(()) == 1
    assert product((2, 3)) == 6
    assert product((N, 28, M, 28)) == 784 * N * M
    assert product((N, 0)) == 0
    assert type(product((N, 0))) is int


def test_broadcast_shapes():
    assert broadcast_shapes() == ()
    assert broadcast_shapes((N, 1), (10,)) == (N, 10)
    assert broadcast_shapes((1,), (N, M), ()) == (N, M)
    assert broadcast_shapes((2 * N,), (N + N,)) == (2 * N,)
    assert broadcast_shapes((0,), (1,)) == (0,)
    with pytest.raises(ShapeError, match=r"shapes \(N, 784\) and \(M, 10\) do not broadcast; axis 0: N != M"):
        broadcast_shapes((N, 784), (1, 1), (M, 10))
    with pytest.raises(ShapeError, match=r"\(N,\) and \(1, 3\).*axis 1: N != 3"):
        broadcast_shapes((N,), (1, 3))


def test_format_shape():
    assert [format_shape(shape) for shape in ((N, 784), (N,), (), (2 * N + 1, 3))] == [
        "(N, 784)",
        "(N,)",
        "()",
        "(2*N + 1, 3)",
    ]


@pytest.mark.parametrize(
    "data",
    [
        None,
        "N",
        True,
        1.5,
        [1],
        [[1]],
        [["a", []]],
        [[1, [["N", 0]]]],
        [[1, [["N - 1", 1]]]],
        [[1, [[["/", 1, 2], 1]]]],
    ],
    ids=repr,
)
def test_bad_data_is_refused(data):
    with pytest.raises((FormatError, ShapeError)):
        from_data(data)


SCRIPT = """
import sys
from symgrad.shape import *
N, M, k = dim("N"), dim("M"), dim("k")
size = (M * N + k // 3 + N % M) * (k + M // 2) + simplify_with((M * k + N) // M, {"N": M})
print(size, stable_bytes(size), size.terms(), sorted({N + 1, M * 2, k, N}, key=sort_key))
"""


def test_text_order_and_bytes_are_the_same_under_every_hash_seed():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_the_algebra_itself_needs_neither_numpy_nor_sympy():
    # The package's root may import NumPy, so an empty one stands in for it.
    script = (
        "import sys, types, importlib.util\n"
        "import importlib.machinery\n"
        "spec = importlib.machinery.PathFinder.find_spec('symgrad')\n"
        "root = types.ModuleType('symgrad'); root.__path__ = list(spec.submodule_search_locations)\n"
        "sys.modules['symgrad'] = root\n"
        "import symgrad.shape\n"
        "assert symgrad.shape.dim('N') // 2 is not None\n"
        "print(sorted({'numpy', 'sympy', 'llvmlite'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
