"""Burgers' equation: the example's exact solution solves it, and its network's derivatives are those of the network."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import symgrad as sg

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "05_second_derivatives.py"


@pytest.fixture(scope="module")
def burgers():
    spec = importlib.util.spec_from_file_location("burgers", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def quotients(f, t, x, h):
    """Give f_t, f_x and f_xx by central differences of the fourth order."""
    first, second = np.array([1, -8, 0, 8, -1]) / 12, np.array([-1, 16, -30, 16, -1]) / 12
    along_t = np.stack([f(t + k * h, x) for k in range(-2, 3)])
    along_x = np.stack([f(t, x + k * h) for k in range(-2, 3)])
    f_t, f_x = (np.tensordot(first, values, 1) / h for values in (along_t, along_x))
    return f_t, f_x, np.tensordot(second, along_x, 1) / h**2


@pytest.mark.parametrize(("t", "h", "bound"), [(0.1, 1e-3, 1e-6), (0.25, 1e-3, 1e-3), (0.9, 1e-4, 1e-3)])
def test_the_exact_solution_solves_the_equation(burgers, t, h, bound):
    """The shock, where u_x is -152 at most, is on the grid: terms of the size of 100 must cancel."""
    x = np.linspace(-0.99, 0.99, 397)
    t = np.full_like(x, t)
    u_t, u_x, u_xx = quotients(burgers.exact, t, x, h)
    residual = u_t + burgers.exact(t, x) * u_x - burgers.NU * u_xx
    assert np.abs(residual).max() < bound


def test_the_exact_solution_has_its_initial_and_boundary_values(burgers):
    x = np.linspace(-1, 1, 101)
    np.testing.assert_allclose(burgers.exact(np.full_like(x, 1e-9), x), -np.sin(np.pi * x), atol=1e-7)
    t = np.linspace(0.01, 1, 50)
    for side in (-1.0, 0.0, 1.0):
        np.testing.assert_allclose(burgers.exact(t, np.full_like(t, side)), 0, atol=1e-12)


def test_the_steepest_slope_is_that_of_the_literature(burgers):
    """Basdevant et al. (1986), table 1: abs(u_x) at x = 0 is 152.00516 at most, at t = 1.6037 / pi."""
    h = 1e-5
    t = np.linspace(1.55, 1.65, 1001) / np.pi
    slope = (burgers.exact(t, np.full_like(t, -h)) - burgers.exact(t, np.full_like(t, h))) / (2 * h)
    assert slope.max() == pytest.approx(152.00516, abs=2e-3)
    assert t[slope.argmax()] * np.pi == pytest.approx(1.6037, abs=2e-3)


def test_the_derivatives_of_the_network(burgers):
    """Compiled in float32 and interpreted in float64, against differences of the interpreted network.

    The constants of a float32 graph are float32: so is pi**2, which the simplifier computes.
    """
    u, _ = burgers.network([20, 20, 20])
    expressions = [*burgers.derivatives(u)]
    draw = np.random.default_rng(0)
    t, x = draw.random((50, 1)), draw.uniform(-1, 1, (50, 1))
    expected = quotients(lambda t, x: sg.evaluate(u, {burgers.t: t, burgers.x: x}), t, x, 1e-3)
    interpreted = sg.evaluate(expressions, {burgers.t: t, burgers.x: x})
    compiled = sg.function([burgers.t, burgers.x], expressions)(t, x)
    for exact, in_double, in_single in zip(expected, interpreted, compiled, strict=True):
        np.testing.assert_allclose(in_double, exact, rtol=6e-8, atol=1e-7)
        np.testing.assert_allclose(in_single, in_double, rtol=1e-5, atol=1e-5)


def test_reverse_mode_gives_the_same_derivatives(burgers):
    u, _ = burgers.network([20, 20])
    u_t, u_x = sg.grad(u.sum(), [burgers.t, burgers.x])
    u_xx = sg.grad(u_x.sum(), burgers.x)
    t, x = np.full((7, 1), 0.3), np.linspace(-0.9, 0.9, 7)[:, None]
    env = {burgers.t: t, burgers.x: x}
    for forward, reverse in zip(burgers.derivatives(u), (u_t, u_x, u_xx), strict=True):
        np.testing.assert_allclose(sg.evaluate(forward, env), sg.evaluate(reverse, env), rtol=1e-12, atol=1e-12)
