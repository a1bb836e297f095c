"""Points at which a formula for the derivative would divide by zero: products with zeros, lengths of nothing, ties."""

import itertools

import numpy as np
import pytest

import symgrad as sg
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS

POINTS = ([2.0, 3.0, 4.0, 5.0], [2.0, 0.0, 4.0, 5.0], [0.0, 3.0, 0.0, 5.0], [0.0, 0.0, 0.0, 5.0], [0.0] * 4)
WEIGHTS = np.array([1.0, -2.0, 3.0, 0.5])


def both(outputs, env):
    """Evaluate, and compile and call; the two agree."""
    inputs = list(env)
    values = evaluate(outputs, env)
    compiled = sg.function(inputs, outputs)(*(np.asarray(env[x], x.dtype.numpy) for x in inputs))
    for got, want in zip(compiled, values, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
    return values


# -- products ------------------------------------------------------------------------------------------------------


def monomials(f, x):
    """Differentiate a polynomial in which every variable stands alone: by a variable, it is what that multiplies.

    f(x) = f(x with x_i = 0) + x_i * (f(x with x_i = 1) - f(x with x_i = 0)), exactly, and so on for the second and the
    third derivative.
    """
    size = len(x)

    def slope(g, i):
        return lambda v: g(np.where(np.arange(size) == i, 1, v)) - g(np.where(np.arange(size) == i, 0, v))

    first = np.array([slope(f, i)(x) for i in range(size)])
    second = np.zeros((size, size))
    third = np.zeros((size, size, size))
    for i, j in itertools.permutations(range(size), 2):
        second[i, j] = slope(slope(f, i), j)(x)
    for i, j, k in itertools.permutations(range(size), 3):
        third[i, j, k] = slope(slope(slope(f, i), j), k)(x)
    return first, second, third


@pytest.mark.parametrize("point", POINTS, ids=str)
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_derivatives_of_products_hold_at_zeros_to_any_order(name, point):
    x = sg.symbol("x", (4,), "float64")
    symbolic = {"prod": sg.prod, "cumprod": lambda v: sg.cumprod(v) @ WEIGHTS}[name](x)
    numeric = {"prod": np.prod, "cumprod": lambda v: np.cumprod(v) @ WEIGHTS}[name]
    slope = sg.grad(symbolic, x)
    ahead = sg.jvp(symbolic, x, WEIGHTS)
    bent = sg.jvp(ahead, x, WEIGHTS)
    found = both([slope, sg.hessian(symbolic, x), sg.jacobian(sg.hessian(symbolic, x), x), ahead, bent], {x: point})
    first, second, third = monomials(numeric, np.array(point))
    expected = [first, second, third, first @ WEIGHTS, WEIGHTS @ second @ WEIGHTS]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_products_over_several_axes_and_of_nothing():
    x = sg.symbol("x", (2, sg.dim("N"), 3), "float64")
    for axis in (0, 1, (0, 2), None):
        slope = sg.grad(sg.sum(sg.sin(sg.prod(x, axis=axis))), x)
        values = np.random.default_rng(0).standard_normal((2, 4, 3))
        values[0, 1, 2] = values[1, 1, 0] = 0
        (got,) = both([slope], {x: values})
        step = 1e-6
        for place in ((0, 1, 2), (1, 1, 0), (1, 3, 1)):
            shift = np.zeros_like(values)
            shift[place] = step
            ends = [np.sin(np.prod(values + s * shift, axis=axis)).sum() for s in (1, -1)]
            assert got[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)
        assert both([slope], {x: np.zeros((2, 0, 3))})[0].shape == (2, 0, 3)


def test_a_product_that_overflows_halfway_has_the_gradient_of_its_parts():
    x = sg.symbol("x", (3,), "float64")
    (slope,) = both([sg.grad(sg.prod(x), x)], {x: [1e200, 1e-200, 1e200]})
    np.testing.assert_allclose(slope, [1.0, np.inf, 1.0])


def test_a_recurrence_and_its_derivatives():
    a, b = sg.symbol("a", (3,), "float64"), sg.symbol("b", (3,), "float64")
    s = ROWS["recurrence"](a, b, axis=0)
    of_a, of_b = sg.jacobian(s, [a, b])
    env = {a: [np.inf, 2.0, 0.0], b: [1.0, 3.0, 4.0]}  # there is nothing that the first factor multiplies
    values, by_a, by_b = both([s, of_a, of_b], env)
    np.testing.assert_array_equal(values, [1, 5, 4])
    np.testing.assert_array_equal(by_a, [[0, 0, 0], [0, 1, 0], [0, 0, 5]])
    np.testing.assert_array_equal(by_b, [[1, 0, 0], [2, 1, 0], [0, 0, 1]])


# -- lengths -------------------------------------------------------------------------------------------------------


def test_the_length_of_nothing_has_the_slope_zero():
    x = sg.symbol("x", (2, 3), "float64")
    values = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]])
    whole, lines = sg.norm(x), sg.sum(sg.norm(x, axis=1))
    options = [(f, sg.grad(f, x), sg.hvp(f, x, np.ones((2, 3))), sg.jvp(f, x, np.ones((2, 3)))) for f in (whole, lines)]
    found = both([e for group in options for e in group], {x: np.zeros((2, 3))})
    assert all(np.all(value == 0) for value in found)
    slope, curve = both([sg.grad(lines, x), sg.hvp(lines, x, np.ones((2, 3)))], {x: values})
    np.testing.assert_allclose(slope, [[0, 0, 0], [0.6, 0, 0.8]])
    direction = np.array([0.6, 0, 0.8])
    np.testing.assert_allclose(curve, [[0, 0, 0], (1 - direction * direction.sum()) / 5], atol=1e-15)
    (spoiled,) = both([sg.grad(whole, x)], {x: np.full((2, 3), np.nan)})
    assert np.isnan(spoiled).all()


def test_elements_that_tie_share_the_slope_of_the_greatest_magnitude():
    x = sg.symbol("x", (4,), "float64")
    slope, zero = both([sg.grad(sg.norm(x, np.inf), x), sg.grad(sg.norm(0 * x, np.inf), x)], {x: [1.0, -3.0, 3.0, 0.0]})
    np.testing.assert_array_equal(slope, [0, -0.5, 0.5, 0])
    np.testing.assert_array_equal(zero, [0, 0, 0, 0])


# -- methods -------------------------------------------------------------------------------------------------------


def test_methods_along_an_axis_are_numpy_s():
    x = sg.symbol("x", (3, 4), "float64")
    values = np.random.default_rng(0).standard_normal((3, 4))
    pairs = [
        (x.cumsum(), values.cumsum()), (np.cumsum(x, axis=1), values.cumsum(axis=1)),
        (x.cumprod(axis=0), values.cumprod(axis=0)), (x.argsort(), values.argsort()),
        (np.argsort(x, axis=0), values.argsort(axis=0)), (x.sort(axis=0), np.sort(values, axis=0)),
        (x.sort(axis=None, descending=True), -np.sort(-values, axis=None)),
    ]  # fmt: skip
    for got, want in zip(both([node for node, _ in pairs], {x: values}), pairs, strict=True):
        np.testing.assert_allclose(got, want[1], rtol=1e-14)
    with pytest.raises(TypeError, match="out=None"):
        x.cumsum(out=values)
    with pytest.raises(TypeError, match="no fields"):
        x.argsort(order="name")
