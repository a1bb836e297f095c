"""Rows that are gathered are asked for ahead of their turn: which, and that nothing else changes."""

import numpy as np
import pytest

import symgrad as sg
from symgrad.options import Options

N = sg.dim("N")
at = sg.symbol("at", (N,), dtype="int32")


def asks(expression, *inputs):
    return "prefetch" in sg.function([*inputs, at], expression).as_text()


@pytest.mark.parametrize("shape", [(300,), (2, 150), (3, 5, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_rows_are_those_of_the_table(shape, dtype):
    x = sg.symbol("x", (50, *shape), dtype=dtype)
    rows = x[at].astype("float32") * 2
    assert asks(rows, x) == (np.prod(shape) * np.dtype(dtype).itemsize >= 512)
    table = np.random.default_rng(0).integers(0, 9, (50, *shape)).astype(dtype)
    for options in (Options(check=True), Options(threads=3), Options(poison=True, machine="sse")):
        function = sg.function([x, at], rows, options=options)
        for count in (0, 1, 3, 40):
            where = np.random.default_rng(count).integers(-50, 50, count).astype("int32")
            np.testing.assert_array_equal(function(table, where), table[where].astype("float32") * 2)


def test_positions_are_checked_before_anything_is_read():
    x = sg.symbol("x", (50, 300))
    function = sg.function([x, at], x[at])
    with pytest.raises(sg.IndexRangeError):
        function(np.zeros((50, 300), "float32"), np.array([0, 1, 50], "int32"))


def test_short_rows_and_single_elements_are_not_asked_for():
    x, v = sg.symbol("x", (50, 32)), sg.symbol("v", (5000,))
    assert not asks(x[at], x)
    assert not asks(v[at], v)


def test_rows_of_unknown_length_are_not_asked_for():
    x = sg.symbol("x", (50, sg.dim("M")))
    assert not asks(x[at], x)


def test_positions_that_change_within_a_row_are_not_asked_for():
    x, columns = sg.symbol("x", (50, 300)), sg.symbol("c", (N, 300), dtype="int32")
    assert "prefetch" not in sg.function([x, columns], sg.take_along_axis(x, columns, axis=0)).as_text()
