"""Positions beyond 2^31, in elements and bytes: on files without content, where only what is touched takes room."""

import sys
import tempfile

import numpy as np
import pytest

import symgrad as sg

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or sys.maxsize < 2**40, reason="needs sparse files of 2^33 bytes"
)

N = sg.dim("N")
BYTES = 2**32 + 2**20
BEYOND = (0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, BYTES - 1)


@pytest.fixture(scope="module")
def memory():
    """Give 4 GiB of zeros with marks at the interesting places."""
    with tempfile.TemporaryFile() as file:
        file.truncate(BYTES)
        mapped = np.memmap(file, np.uint8, "r+", shape=(BYTES,))
        for k, place in enumerate(BEYOND, 1):
            mapped[place] = k
        yield mapped


def test_take_beyond_two_to_the_31(memory):
    x, i = sg.symbol("x", (N,), "uint8"), sg.symbol("i", (sg.dim("K"),), "int64")
    f = sg.function([x, i], sg.take(x, i))
    assert f(memory, np.array(BEYOND)).tolist() == list(range(1, len(BEYOND) + 1))
    assert f(memory, np.array(BEYOND) - BYTES).tolist() == list(range(1, len(BEYOND) + 1))
    with pytest.raises(sg.IndexRangeError):
        f(memory, np.array([BYTES]))


def test_rows_beyond_two_to_the_31_bytes(memory):
    table = memory.view(np.float32).reshape(-1, 1024)
    x, i = sg.symbol("x", (N, 1024)), sg.symbol("i", (sg.dim("K"),), "int32")
    f = sg.function([x, i], sg.take(x, i, axis=0).astype("float64").sum(axis=1))
    rows = np.array([0, 2**31 // 4096 - 1, 2**31 // 4096, len(table) - 1], np.int32)
    want = table[rows].astype(np.float64).sum(axis=1)
    assert np.array_equal(f(table, rows), want)
    assert (want > 0).all()


@pytest.mark.parametrize("step", [2**27 + 1, -(2**26) - 3])
def test_steps_beyond_two_to_the_31(memory, step):
    x = sg.symbol("x", (N,), "uint8")
    f = sg.function([x], x[::step].astype("int32") + 1)
    assert np.array_equal(f(memory), memory[::step].astype(np.int32) + 1)


def test_a_slice_near_the_end(memory):
    x = sg.symbol("x", (N,), "uint8")
    f = sg.function([x], [x[-5:], x[2**31 - 2 : 2**31 + 3], x[::-1][:3]])
    for got, want in zip(f(memory), (memory[-5:], memory[2**31 - 2 : 2**31 + 3], memory[::-1][:3]), strict=True):
        assert np.array_equal(got, want)


def test_columns_far_apart(memory):
    """The distance of two rows is beyond 2^31 bytes, and elements too."""
    wide = memory[: 2**32].reshape(2, 2**31)
    x = sg.symbol("x", (2, N), "uint8")
    f = sg.function([x], [x[1, :4], x[:, -1], x.T[2**31 - 2 :]])
    for got, want in zip(f(wide), (wide[1, :4], wide[:, -1], wide.T[2**31 - 2 :]), strict=True):
        assert np.array_equal(got, want)


def test_rows_of_a_data_set_beyond_two_to_the_31(memory):
    images = memory[: 2**32].reshape(-1, 2**16)
    model = sg.Sequential([sg.layers.Dense(2, input_shape=(2**16,), kernel_initializer="ones")])
    model.compile(loss="mse")
    few = np.lib.stride_tricks.as_strided(images[2**15 - 2 :], (3, 2**16), (2**16, 1))
    assert model.predict(few).shape == (3, 2)
    last = images[:: 2**16 - 1]  # the first row and the last one, 4 GiB apart
    assert np.array_equal(model.predict(last)[:, 0], last.astype(np.float64).sum(axis=1).astype(np.float32))
