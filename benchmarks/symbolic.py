"""What deriving, printing and drawing costs: `python -m benchmarks.symbolic`. Medians of several runs, in seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import symgrad as sg

RUNS = 5


def median(work: Callable[[], object]) -> float:
    """Time something several times."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sines(levels: int) -> tuple[sg.Expr, sg.Expr]:
    """Nest e = sin(e) * e + e."""
    x = sg.symbol("x", dtype="float64")
    e = x
    for _ in range(levels):
        e = sg.sin(e) * e + e
    return e, x


def deep_network(layers: int) -> tuple[sg.Expr, list[sg.Expr]]:
    """Give the loss of a tanh network of so many layers, and its kernels."""
    x = sg.symbol("X", (sg.dim("N"), 64))
    weights = [sg.symbol(f"W{k}", (64, 64)) for k in range(layers)]
    for w in weights:
        x = sg.tanh(x @ w)
    return sg.mean(x**2), weights


def main() -> None:
    e, x = sines(60)
    print(f"gradient of e = sin(e) * e + e, 60 deep   {median(lambda: sg.grad(e, x)):.3f}")
    loss, weights = deep_network(1000)
    gradients = sg.grad(loss, weights)
    print(f"gradient of 1,000 layers                  {median(lambda: sg.grad(loss, weights)):.3f}")
    equations = {f"d{w.attrs['name']}": g for w, g in zip(weights, gradients, strict=True)}
    print(f"its text                                  {median(lambda: sg.format_equations(equations)):.3f}")
    print(f"its LaTeX                                 {median(lambda: sg.latex(equations)):.3f}")


if __name__ == "__main__":
    main()
