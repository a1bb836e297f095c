"""Initializers and parameters: distributions, seeds, refusals."""

import math

import numpy as np
import pytest

import symgrad as sg
from symgrad.dtypes import DType
from symgrad.nn import initializers as init

N = sg.dim("N")


@pytest.fixture(autouse=True)
def default_seed():
    sg.set_seed(0)
    yield
    sg.set_seed(0)


# -- initializers ---------------------------------------------------------------------------------------------------

SHAPE = (300, 200)
UNIFORM = {"glorot_uniform": 6 / (300 + 200), "he_uniform": 6 / 300, "lecun_uniform": 3 / 300}
NORMAL = {"glorot_normal": 2 / (300 + 200), "he_normal": 2 / 300, "lecun_normal": 1 / 300}


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize(("name", "squared_limit"), UNIFORM.items())
def test_uniform_initializers(name, squared_limit, dtype):
    w, limit = init.get(name).draw(SHAPE, dtype, key=1), math.sqrt(squared_limit)
    assert (w.shape, w.dtype) == (SHAPE, dtype.numpy)
    assert 0.999 * limit < np.abs(w).max() <= np.asarray(limit, dtype.numpy)
    assert abs(w.mean()) < 0.02 * limit
    assert w.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("name", "variance"), NORMAL.items())
def test_normal_initializers_are_truncated_and_have_the_wanted_deviation(name, variance):
    w, stddev = init.get(name).draw(SHAPE, DType.FLOAT32, key=1), math.sqrt(variance)
    cut = 2 * stddev / 0.87962566103423978
    assert 0.99 * cut < np.abs(w).max() <= np.float32(cut)
    assert abs(w.mean()) < 0.02 * stddev
    assert w.std() == pytest.approx(stddev, rel=0.01)


def test_truncation_redraws_instead_of_clipping():
    w = init.TruncatedNormal(1.0, 2.0).draw((100_000,), DType.FLOAT64, key=3)
    inside = np.abs(w - 1.0) / 2.0
    assert inside.max() < 2.0
    assert np.unique(w).size == w.size
    # P(|x| < 1 given |x| < 2) = 0.6827 / 0.9545
    assert (inside < 1.0).mean() == pytest.approx(0.71525, abs=0.005)


def test_random_initializers():
    u = init.random_uniform(-1.0, 3.0).draw((50_000,), DType.FLOAT64, key=2)
    z = init.random_normal(1.0, 2.0).draw((50_000,), DType.FLOAT64, key=2)
    v = init.VarianceScaling(2.0, "fan_out", "untruncated_normal").draw(SHAPE, DType.FLOAT64, key=2)
    assert -1.0 <= u.min() < -0.99
    assert 2.99 < u.max() < 3.0
    assert (z.mean(), z.std()) == pytest.approx((1.0, 2.0), abs=0.03)
    assert v.std() == pytest.approx(math.sqrt(2 / 200), rel=0.01)
    assert np.abs(v).max() > 3.5 * math.sqrt(2 / 200)


def test_defaults_are_those_of_keras():
    assert init.Constant() == init.Constant(0.0)
    assert init.RandomUniform() == init.RandomUniform(-0.05, 0.05)
    assert init.RandomNormal() == init.RandomNormal(0.0, 0.05)
    assert init.TruncatedNormal() == init.TruncatedNormal(0.0, 0.05)
    assert init.VarianceScaling() == init.VarianceScaling(1.0, "fan_in", "truncated_normal")


@pytest.mark.parametrize("name", init.INITIALIZERS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 4), (2, 3, 4, 5)])
def test_every_initializer_fills_every_shape(name, shape):
    a, b = (init.get(name).draw(shape, DType.FLOAT32, key=7) for _ in range(2))
    assert (a.shape, a.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(a, b)


def test_plain_initializers_fill_integers_too():
    assert init.get("ones").draw((2,), DType.INT32, 0).tolist() == [1, 1]
    assert init.get(np.int64(3)).draw((2,), DType.INT32, 0).tolist() == [3, 3]
    with pytest.raises(sg.DTypeError, match="0.5 does not fit int32"):
        init.Constant(0.5).draw((2,), DType.INT32, 0)
    with pytest.raises(sg.DTypeError, match="random numbers are floats"):
        init.get("glorot_uniform").draw((2,), DType.INT32, 0)


def test_initializers_by_name_object_function_and_number():
    assert init.get("He_Normal") == init.get(init.he_normal) == init.get(init.he_normal()) == init.he_normal()
    assert init.get(init.Zeros) == init.Zeros()
    assert init.get(2) == init.Constant(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.get("glorot_unifrom"), ValueError, "unknown initializer.*Did you mean 'glorot_uniform'"),
        (lambda: init.get(None), TypeError, "not NoneType"),
        (lambda: init.VarianceScaling(mode="fan_inn"), ValueError, "unknown mode.*Did you mean 'fan_in'"),
        (lambda: init.VarianceScaling(distribution="normal"), ValueError, "unknown distribution.*truncated_normal"),
        (lambda: init.VarianceScaling(scale=0.0), ValueError, "scale is above 0"),
        (lambda: init.RandomNormal(stddev=-1.0), ValueError, "not negative"),
        (lambda: init.RandomUniform(1.0, 0.0), ValueError, "above maxval"),
    ],
)
def test_bad_initializers(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- parameters -----------------------------------------------------------------------------------------------------


def test_the_process_seed_decides_first_values():
    def draw():
        return [sg.parameter(n, (3, 4)).value for n in "ab"]

    first, second = draw(), draw()
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], second[0])
    sg.set_seed(0)
    np.testing.assert_array_equal(first, draw())
    sg.set_seed(1)
    assert not np.array_equal(first[0], draw()[0])


def test_what_one_parameter_is_made_of_changes_no_other():
    def second(first_init):
        sg.set_seed(0)
        sg.parameter("a", (4,), first_init)
        return sg.parameter("b", (4,)).value

    np.testing.assert_array_equal(second("zeros"), second("he_normal"))
    np.testing.assert_array_equal(second([1.0] * 4), second("he_normal"))


def test_a_seed_of_its_own_takes_no_key_of_the_process():
    a = sg.parameter("a", (4,), seed=5).value
    b = sg.parameter("b", (4,)).value
    np.testing.assert_array_equal(a, sg.parameter("c", (4,), seed=5).value)
    sg.set_seed(0)
    np.testing.assert_array_equal(b, sg.parameter("d", (4,)).value)


def test_parameters_from_arrays_and_numbers():
    array = np.arange(6.0).reshape(2, 3)
    p = sg.parameter("p", (2, 3), array, dtype="float32", trainable=False)
    array[:] = 0
    assert (p.dtype, p.trainable, p.value.tolist()) == (DType.FLOAT32, False, [[0, 1, 2], [3, 4, 5]])
    assert sg.parameter("s", (), 0.25).value == 0.25
    assert sg.parameter("i", 2, [1, 2], dtype="int64").value.tolist() == [1, 2]
    assert sg.parameter("q", (2,)) is not sg.parameter("q", (2,))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sg.parameter("W", (N, 3)),
            sg.ShapeError,
            r"sizes are ints; \(N, 3\) \(test_initializers.py:\d+\)",
        ),
        (lambda: sg.parameter("W", (2, -3)), sg.ShapeError, "a size is negative"),
        (lambda: sg.parameter("W", (2, 2.5)), sg.ShapeError, "a size is an int"),
        (lambda: sg.parameter("2W", (2,)), ValueError, "cannot be a name"),
        (lambda: sg.parameter("W", (2,), "hee_normal"), ValueError, "Did you mean 'he_normal'"),
        (lambda: sg.parameter("W", (2,), np.zeros(3)), sg.ShapeError, r"wrong shape; \(3,\) instead of \(2,\)"),
        (lambda: sg.parameter("W", (2,), np.zeros(2), dtype="int32"), sg.DTypeError, "cannot become int32"),
        (lambda: sg.parameter("W", (2,), np.zeros(2, complex)), sg.DTypeError, "complex128"),
        (lambda: sg.parameter("W", (2,), dtype="flaot32"), sg.DTypeError, "Did you mean 'float32'"),
    ],
)
def test_bad_parameters(call, error, message):
    with pytest.raises(error, match=message):
        call()
