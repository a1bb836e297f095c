"""Every case of every row, compiled: forward and reverse mode are transposes, <u, jvp(t)> = <vjp(u), t>.

The cases that admit the same sizes are one compiled function. The interpreter's side of the law stands in
`test_forward.py`.
"""

import numpy as np
import pytest
from row_cases import differentiable, inner

import symgrad as sg
from symgrad.expr import symbol_node
from symgrad.shape import evaluate as size_value

MOST = 24  # cases in one function
N = sg.dim("n")
SIZE = symbol_node("size", (N,), sg.symbol("x").dtype)  # tells n where no operand does


def batches():
    """Group the cases by the sizes they admit, each group cut into pieces."""
    found = {}
    for call in (c for c in differentiable() if c.node.dtype == "float64"):
        found.setdefault(call.case.sizes, []).append(call)
    return [calls[k : k + MOST] for calls in found.values() for k in range(0, len(calls), MOST)]


def renamed(node, prefix):
    return symbol_node(f"{prefix}{node.attrs['name']}", node.shape, node.dtype)


@pytest.mark.parametrize("calls", batches(), ids=lambda calls: f"{calls[0]}...{calls[-1]}")
def test_compiled_derivatives_are_transposes(calls):
    inputs, outputs, laws = [SIZE], [], []
    for k, call in enumerate(calls):
        operands = [renamed(x, f"c{k}") for x in call.operands]
        node = call.row(*operands, **call.case.attrs)
        floats = [x for x in operands if x.dtype.is_float]
        u, ts = symbol_node(f"u{k}", node.shape, node.dtype), [renamed(x, "t") for x in floats]
        forward = sg.jvp(node, floats, ts, simplify=False, disconnected="zero")
        outputs.append((forward, sg.vjp(node, floats, u, simplify=False, disconnected="zero")))
        laws.append((call, operands, u, ts))
        inputs += [*operands, u, *ts]
    function = sg.function(inputs, outputs)
    for n in sorted({1, 17} & set(calls[0].case.sizes)) or [max(calls[0].case.sizes)]:
        rng = np.random.default_rng(n)
        env = {SIZE: np.zeros(n)}
        for call, operands, u, ts in laws:
            env |= dict(zip(operands, call.draw(n), strict=True))
            env |= {x: rng.standard_normal([size_value(s, {"n": n, "m": n}) for s in x.shape]) for x in (u, *ts)}
        results = function(*(np.asarray(env[x], x.dtype.numpy) for x in inputs))
        for (call, _, u, ts), (forward, backward) in zip(laws, results, strict=True):
            left, _ = inner([(forward, env[u])])
            right, scale = inner([(g, env[t]) for g, t in zip(backward, ts, strict=True)])
            assert abs(left - right) <= 1e-12 * scale, call
