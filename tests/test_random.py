"""Philox: known answers, how words become numbers, keys; the rows on top and the process seed."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import symgrad.ops as sg
from symgrad import seeds
from symgrad.dtypes import FLOAT32, FLOAT64, INT32
from symgrad.errors import DTypeError, ShapeError
from symgrad.interpreter import evaluate
from symgrad.philox import as_key, blocks, draw_normal, draw_uniform, fold, permutation, philox
from symgrad.shape import dim

N = dim("N")


@pytest.fixture(autouse=True)
def default_seed():
    yield
    seeds.set_seed(0)


@pytest.mark.parametrize(  # Random123, kat_vectors, philox4x32 with 10 rounds
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)  # fmt: skip
def test_known_answers(counter, key, words):
    assert " ".join(f"{int(word):08x}" for word in philox(counter, key)) == words


def test_blocks_count_through_64_bits():
    start = 2**32 - 1
    words = blocks(-1, start, 2)
    for i in range(2):
        expected = philox(((start + i) & 0xFFFFFFFF, (start + i) >> 32, 0, 0), (2**32 - 1, 2**32 - 1))
        assert [int(w[i]) for w in words] == [int(w) for w in expected]


def test_uniform_numbers_are_made_of_the_leading_bits():
    w0, w1, _, _ = (w.astype(object) for w in blocks(5, 0, 6))
    np.testing.assert_array_equal(draw_uniform(5, (2, 3), FLOAT32).ravel(), [(int(a) >> 8) * 2.0**-24 for a in w0])
    expected = [((int(a) >> 5) * 2**26 + (int(b) >> 6)) * 2.0**-53 for a, b in zip(w0, w1, strict=True)]
    np.testing.assert_array_equal(draw_uniform(5, (6,), FLOAT64), expected)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
def test_distributions(dtype):
    u, z = draw_uniform(1, (200_000,), dtype), draw_normal(1, (200_000,), dtype)
    assert u.dtype == z.dtype == dtype.numpy
    assert 0.0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1.0
    assert abs(u.mean() - 0.5) < 3e-3
    assert abs(np.mean(u**2) - 1 / 3) < 3e-3
    assert np.isfinite(z).all()
    assert abs(z.mean()) < 1e-2
    assert abs(z.var() - 1.0) < 2e-2
    assert abs(np.mean(z**4) - 3.0) < 0.1
    assert abs(np.mean(np.abs(z) < 1.0) - 0.6827) < 5e-3


def test_numbers_depend_on_key_and_position_alone():
    long = draw_normal(3, (40_000,))
    np.testing.assert_array_equal(long[:100], draw_normal(3, (10, 10)).ravel())
    assert not np.array_equal(long, draw_normal(4, (40_000,)))
    assert draw_uniform(0, (0, 3)).shape == (0, 3)
    assert draw_uniform(0, ()).shape == ()
    with pytest.raises(DTypeError, match="floats; int32"):
        draw_uniform(0, (3,), INT32)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 128, 70_001])
def test_permutations(n):
    order = permutation(9, n)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, permutation(9, n))


def test_permutations_are_fair():
    counts = np.zeros((4, 4))
    for key in range(2000):
        counts[np.arange(4), permutation(key, 4)] += 1
    assert abs(counts - 500).max() < 100  # five standard deviations
    assert not np.array_equal(permutation(0, 1000), permutation(1, 1000))


# -- keys ---------------------------------------------------------------------------------------------------------


def test_folded_keys_differ():
    keys = {fold(key, i) for key in range(-5, 5) for i in range(1000)}
    assert len(keys) == 10_000
    assert all(-(2**63) <= key < 2**63 for key in keys)


@pytest.mark.parametrize(("key", "i"), [(0, 0), (3, 5), (-(2**63), 1), (2**63 - 1, 2**31), (12345, -7)])
def test_expressions_fold_as_ints_do(key, i):
    k, step = sg.symbol("k", (), "int64"), sg.symbol("t", (), "int32")
    expected = sg.random.fold_in(key, i)
    assert int(evaluate(sg.random.fold_in(k, i), {k: np.int64(key)})) == expected
    if abs(i) < 2**31:
        assert int(evaluate(sg.random.fold_in(key, step), {step: np.int32(i)})) == expected


def test_keys_have_64_bits():
    assert as_key(2**64 - 1) == -1
    for bad in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="64 bits"):
            as_key(bad)


# -- rows ---------------------------------------------------------------------------------------------------------


def test_rows_draw_what_the_functions_draw():
    node = sg.random.uniform(7, (N, 3))
    x = sg.symbol("x", (N, 3))
    value = evaluate(node + 0 * x, {x: np.zeros((4, 3))}, dtype=None)
    np.testing.assert_array_equal(value, draw_uniform(7, (4, 3)))
    key = sg.symbol("key", (), "int32")
    np.testing.assert_array_equal(evaluate(sg.random.normal(key, 5), {key: 3}, dtype=None), draw_normal(3, (5,)))


def test_ranges_and_moments():
    u = evaluate(sg.random.uniform(1, 1000, low=-2.0, high=3.0), dtype=None)
    np.testing.assert_allclose(u, draw_uniform(1, (1000,)) * 5 - 2, rtol=0, atol=1e-6)
    z = evaluate(sg.random.normal(1, 1000, mean=1.0, stddev=0.5, dtype="float64"), dtype=None)
    np.testing.assert_allclose(z, draw_normal(1, (1000,), FLOAT64) * 0.5 + 1.0, rtol=0, atol=1e-14)
    plain = sg.random.uniform(1, 4)
    assert plain.op == "uniform"
    assert sg.random.uniform(1, 4, high=1) is plain


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: sg.random.uniform(0.5, 3), TypeError, "key is an int"),
        (lambda: sg.random.uniform(True, 3), TypeError, "key is an int"),
        (lambda: sg.random.uniform(2**64, 3), ValueError, "64 bits"),
        (lambda: sg.random.uniform(sg.symbol("k", (2,), "int64"), 3), ShapeError, r"key is a scalar; k is \(2,\)"),
        (lambda: sg.random.uniform(sg.symbol("k", ()), 3), DTypeError, "int64; float32"),
        (lambda: sg.random.normal(0, 3, dtype="int32"), DTypeError, "floats; int32"),
        (lambda: sg.random.normal(0, -3), ShapeError, "negative"),
    ],
)
def test_rows_refuse(build, error, message):
    with pytest.raises(error, match=message):
        build()


# -- seeds --------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_keys_again():
    def keys(seed):
        seeds.set_seed(seed)
        return [seeds.next_key() for _ in range(5)]

    assert keys(0) == keys(0)
    assert len({*keys(0), *keys(1), *keys(2**63), *keys(-1)}) == 20


def test_the_default_seed_is_zero():
    code = "from symgrad import seeds; print(seeds.get_seed(), seeds.next_key())"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    seeds.set_seed(0)
    assert fresh == ["0", str(seeds.next_key())]


def test_none_draws_a_seed_and_records_it():
    drawn = seeds.set_seed(None)
    assert drawn == seeds.get_seed()
    first = seeds.next_key()
    assert seeds.set_seed(None) != drawn
    seeds.set_seed(drawn)
    assert seeds.next_key() == first


def test_threads_never_get_the_same_key():
    found = []
    threads = [threading.Thread(target=lambda: found.extend(seeds.next_key() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2000


@pytest.mark.parametrize(
    ("seed", "error"), [(0.5, TypeError), ("1", TypeError), (True, TypeError), (2**64, ValueError)]
)
def test_bad_seeds_change_nothing(seed, error):
    seeds.set_seed(3)
    with pytest.raises(error):
        seeds.set_seed(seed)
    assert seeds.get_seed() == 3
