"""A physics-informed network: derivatives with respect to the inputs stand in the loss, which is differentiated again.

A network u(t, x) learns to solve Burgers' equation, without any data (Raissi, Perdikaris, Karniadakis 2019):

    u_t + u u_x = nu u_xx,   nu = 0.01 / pi,   u(0, x) = -sin(pi x),   u(t, -1) = u(t, 1) = 0

A wave runs into itself: from t = 0.3 on there is a shock at x = 0, whose width is a hundredth. The loss is the mean
square of what the equation leaves over at random points; its gradient and Adam's equations become one native step.
"""

import sys
import time

import numpy as np

import symgrad as sg

NU = 0.01 / np.pi
N = sg.dim("N")
x, t = sg.symbol("x", (N, 1)), sg.symbol("t", (N, 1))


def network(hidden):
    """Give u and its parameters; u is right at t = 0 and at x = -1 and 1, whatever these are."""
    A, B = sg.parameter("A", (1, hidden[0])), sg.parameter("B", (1, hidden[0]))
    b = sg.parameter("b1", (hidden[0],), init="zeros")
    parameters, h = [A, B, b], x * A + (2 * t - 1) * B + b
    for k, (size, units) in enumerate(zip(hidden, [*hidden[1:], 1], strict=True), start=2):
        W, b = sg.parameter(f"W{k}", (size, units)), sg.parameter(f"b{k}", (units,), init="zeros")
        parameters, h = [*parameters, W, b], sg.tanh(h) @ W + b
    return t * (1 - x**2) * h - sg.sin(np.pi * x), parameters


def derivatives(u):
    """Give u_t, u_x and u_xx: u at a point depends on t and x there alone, so a tangent of ones gives all slopes."""
    ones = sg.ones((N, 1))
    u_x = sg.jvp(u, x, ones)
    return sg.jvp(u, t, ones), u_x, sg.jvp(u_x, x, ones)


def exact(t, x):
    """Give the solution for t > 0: Cole and Hopf's integral, by Gauss and Hermite's rule (Basdevant et al. 1986)."""
    node, weight = np.polynomial.hermite.hermgauss(100)
    y = x[..., None] - np.sqrt(4 * NU * t)[..., None] * node
    exponent = -np.cos(np.pi * y) / (2 * np.pi * NU)
    factor = weight * np.exp(exponent - exponent.max(axis=-1, keepdims=True))  # up to exp(50) without the maximum
    return -(np.sin(np.pi * y) * factor).sum(axis=-1) / factor.sum(axis=-1)


def train(hidden, steps, points=1000, learning_rate=0.003, seed=0):
    """Train on fresh random points in every step, at a rate that falls to zero; give u as a compiled function."""
    u, parameters = network(hidden)
    u_t, u_x, u_xx = derivatives(u)
    loss = sg.mean(sg.square(u_t + u * u_x - NU * u_xx))
    adam = sg.optim.Adam()

    begun = time.perf_counter()
    step = sg.function([t, x], loss, updates=adam.updates(loss, parameters))
    print(f"{len(parameters)} parameters, derived and compiled in {time.perf_counter() - begun:.1f} s")

    draw = np.random.default_rng(seed)
    begun = time.perf_counter()
    for k in range(steps):
        adam.learning_rate = learning_rate * (1 + np.cos(np.pi * k / steps)) / 2
        value = step(draw.random((points, 1)), draw.uniform(-1, 1, (points, 1)))
        if (k + 1) % (steps // 5) == 0:
            print(f"step {k + 1:5d}  loss {value:.1e}")
    spent = time.perf_counter() - begun
    print(f"{spent:.0f} s, {spent / steps * 1e6:.0f} us a step")
    return sg.function([t, x], u)


def main():
    # What symgrad derives, for one hidden layer: no framework of numbers shows this.
    u, _ = network([20])
    u = sg.simplify(u)
    print(sg.format_equations(dict(zip(["u", "u_t", "u_x", "u_xx"], [u, *derivatives(u)], strict=True))))
    print()

    short = "--short" in sys.argv
    hidden, steps = ([20] * 4, 2500) if short else ([20] * 8, 20000)
    solution = train(hidden, steps)

    times, places = np.meshgrid(np.linspace(0, 1, 101)[1:], np.linspace(-1, 1, 256), indexing="ij")
    found = solution(times.reshape(-1, 1), places.reshape(-1, 1)).reshape(times.shape)
    error = np.linalg.norm(found - exact(times, places)) / np.linalg.norm(exact(times, places))
    print(f"relative L2 error on a grid of 100 x 256 points: {error:.4f}")
    if short:
        print("That is as expected of half the layers and an eighth of the steps: in full it is about 0.006.")


if __name__ == "__main__":
    main()
