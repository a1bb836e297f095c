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


def transformer_block(width: int = 64) -> tuple[sg.Expr, list[sg.Expr]]:
    """Give a loss over attention with four heads, two layer norms and a perceptron, and all its parameters."""
    batch, length = sg.dim("B"), sg.dim("T")
    x, target = (sg.symbol(name, (batch, length, width)) for name in ("x", "target"))
    found: list[sg.Expr] = []

    def parameter(name: str, *shape: int) -> sg.Expr:
        found.append(sg.symbol(name, shape))
        return found[-1]

    def norm(v: sg.Expr, k: int) -> sg.Expr:
        scale = sg.sqrt(sg.var(v, axis=-1, keepdims=True) + 1e-5)
        normal = (v - sg.mean(v, axis=-1, keepdims=True)) / scale
        return normal * parameter(f"g{k}", width) + parameter(f"s{k}", width)

    def heads(v: sg.Expr) -> sg.Expr:
        return sg.transpose(sg.reshape(v, (batch, length, 4, width // 4)), (0, 2, 1, 3))

    h = norm(x, 1)
    q, k, v = (heads(h @ parameter(name, width, width)) for name in ("Wq", "Wk", "Wv"))
    mixed = sg.transpose(sg.softmax(q @ k.mT / (width // 4) ** 0.5, axis=-1) @ v, (0, 2, 1, 3))
    r = x + sg.reshape(mixed, (batch, length, width)) @ parameter("Wo", width, width)
    inner = sg.gelu(norm(r, 2) @ parameter("W1", width, 4 * width) + parameter("c1", 4 * width))
    y = r + inner @ parameter("W2", 4 * width, width) + parameter("c2", width)
    return sg.mean((y - target) ** 2), found


def main() -> None:
    e, x = sines(60)
    print(f"gradient of e = sin(e) * e + e, 60 deep   {median(lambda: sg.grad(e, x)):.3f}")
    loss, weights = deep_network(1000)
    gradients = sg.grad(loss, weights)
    print(f"gradient of 1,000 layers                  {median(lambda: sg.grad(loss, weights)):.3f}")
    equations = {f"d{w.attrs['name']}": g for w, g in zip(weights, gradients, strict=True)}
    print(f"its text                                  {median(lambda: sg.format_equations(equations)):.3f}")
    print(f"its LaTeX                                 {median(lambda: sg.latex(equations)):.3f}")
    block, parameters = transformer_block()
    print(f"derivation of a transformer block, told   {median(lambda: str(sg.derivation(block, parameters))):.3f}")
    print(f"its drawing with the gradient             {median(lambda: sg.graph(block, wrt=parameters).svg()):.3f}")


if __name__ == "__main__":
    main()
