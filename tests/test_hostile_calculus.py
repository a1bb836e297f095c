"""Programs that once went wrong: products of products without end, and diagonals of what no reshape had laid out,
masks that took NaN to the other side."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad.expr import topological


def _squared(x: sg.Expr, times: int) -> sg.Expr:
    for _ in range(times):
        x = x * x
    return x


def _sines(x: sg.Expr, depth: int) -> sg.Expr:
    for _ in range(depth):
        x = sg.sin(x)
    return x


# -- products of products ------------------------------------------------------------------------------------------


def test_a_square_of_squares_is_differentiated_without_opening_each_twice() -> None:
    """Opened at both operands of each product, 60 squares have 2**60 factors."""
    x = sg.symbol("x", (), "float64")
    slope = sg.grad(_squared(x, 60), x)
    assert len(topological([slope])) < 400
    assert sg.evaluate(slope, {x: 1.0}) == 2.0**60


def test_a_scalar_chain_longer_than_the_stack_is_deep_is_differentiated() -> None:
    x = sg.symbol("x", (), "float64")
    slope = sg.grad(_sines(x, 1500), x)
    value, expected = 0.5, 1.0
    for _ in range(1500):
        value, expected = np.sin(value), expected * np.cos(value)
    assert sg.evaluate(slope, {x: 0.5}) == pytest.approx(expected, rel=1e-10)


# -- diagonals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-3, -2, 3])
def test_a_power_laid_along_a_row_keeps_its_exponent(exponent: int) -> None:
    """The vector that becomes a diagonal has the row's shape already: no reshape is there to look through."""
    S, x, y = (sg.symbol(n, s, "float64") for n, s in (("S", (3, 3)), ("x", (3,)), ("y", (1, 3))))
    rng = np.random.default_rng(0)
    env = {S: rng.uniform(1, 2, (3, 3)), x: rng.uniform(1, 2, 3), y: rng.uniform(3, 5, (1, 3))}
    loss = ((sg.diagonal(S * x) - y) ** exponent).sum()
    simple, plain = sg.grad(loss, x), sg.grad(loss, x, simplify=False)
    diagonal = np.diagonal(env[S])
    expected = exponent * (diagonal * env[x] - env[y][0]) ** (exponent - 1) * diagonal
    for slope in (simple, plain):
        np.testing.assert_allclose(sg.evaluate(slope, env), expected, rtol=1e-12)


@pytest.mark.parametrize("reduce", [sg.sum, sg.mean])
def test_the_gradient_of_a_stack_of_diagonals(reduce: object) -> None:
    A, y = sg.symbol("A", (3, 3), "float64"), sg.symbol("y", (3,), "float64")
    joined = reduce(sg.stack([sg.diagonal(A), y]), axis=0)  # type: ignore[operator]
    rng = np.random.default_rng(1)
    env = {A: rng.normal(size=(3, 3)), y: rng.normal(size=3)}
    weight = 1.0 if reduce is sg.sum else 0.5
    expected = np.diag(2 * weight**2 * (np.diagonal(env[A]) + env[y]))
    slope = sg.grad((joined * joined).sum(), A)
    np.testing.assert_allclose(sg.evaluate(slope, env), expected, rtol=1e-12)
    np.testing.assert_allclose(sg.function([A, y], slope)(*env.values()), expected, rtol=1e-12)


# -- choices by NaN ------------------------------------------------------------------------------------------------

COMPARISONS = {
    "less": sg.less, "less_equal": sg.less_equal, "greater": sg.greater, "greater_equal": sg.greater_equal,
    "equal": sg.equal, "not_equal": sg.not_equal,
}  # fmt: skip
POINTS = np.array([np.nan, 1.0, 0.0, -1.0])


@pytest.mark.parametrize("name", COMPARISONS)
def test_simplifying_a_choice_of_zero_keeps_what_nan_chooses(name: str) -> None:
    x = sg.symbol("x", (4,), "float64")
    choice = sg.where(COMPARISONS[name](x, 0), 0, x)
    expected = np.where(getattr(np, name)(POINTS, 0), 0, POINTS)
    np.testing.assert_array_equal(sg.evaluate(sg.simplify(choice), {x: POINTS}), expected)
    np.testing.assert_array_equal(sg.function([x], choice)(POINTS), expected)


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_gradient_goes_to_the_branch_that_nan_chooses(name: str) -> None:
    x, y, z = (sg.symbol(n, (4,), "float64") for n in "xyz")
    slopes = sg.grad(sg.where(COMPARISONS[name](x, 0), y, z).sum(), [y, z])
    taken = getattr(np, name)(POINTS, 0)
    for found in (sg.evaluate(slopes, {x: POINTS}), sg.function([x], slopes)(POINTS)):
        np.testing.assert_array_equal(found[0], taken)
        np.testing.assert_array_equal(found[1], ~taken)
