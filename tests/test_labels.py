"""Labels are true: what a launch stores is what its lines say, read as NumPy by somebody who knows no compiler.

After every launch the memory that it wrote is looked at, before another launch takes it over; in the end the outputs
and the parameters.
"""

import numpy as np
import pytest
from reader import read

import symgrad as sg
from codegen.kernel import bind_launches
from codegen.threads import team
from symgrad.buffers import aligned_copy

N = sg.dim("N")
ROWS = 37


def classifier():
    """Relu, softmax over integer labels, RMSprop."""
    x, y = sg.symbol("X", (N, 20)), sg.symbol("y", (N,), "int32")
    W1, b1 = sg.parameter("W1", (20, 33), seed=1), sg.parameter("b1", (33,), "zeros")
    W2 = sg.parameter("W2", (33, 5), seed=2)
    loss = sg.losses.sparse_categorical_crossentropy(y, sg.relu(x @ W1 + b1) @ W2, from_logits=True)
    return [x, y], {"loss": loss}, sg.optim.RMSprop().updates(loss, [W1, b1, W2])


def shared_weights():
    """One matrix three times, Adam."""
    h = x = sg.symbol("X", (N, 6))
    W = sg.parameter("W", (6, 6), seed=3)
    for _ in range(3):
        h = sg.tanh(h @ W)
    loss = sg.mean(h**2)
    return [x], {"loss": loss, "h": h}, sg.optim.Adam().updates(loss, [W])


def embedding():
    """A gather, whose gradient is a sum into rows; two outputs."""
    k, y = sg.symbol("k", (N,), "int64"), sg.symbol("y", (N, 3))
    table, w = sg.parameter("table", (5, 4), seed=4), sg.parameter("w", (4, 3), seed=5)
    residual = (table[k] @ w - y).named("residual")
    loss = sg.sum(sg.abs(residual)) / N
    return [k, y], [loss, residual.max(axis=0)], sg.optim.SGD(0.1, momentum=0.9).updates(loss, [table, w])


def normalised():
    """Rows with mean 0 and variance 1, sigmoid, a cumulative sum."""
    x = sg.symbol("X", (N, 7))
    gain = sg.parameter("gain", (7,), "ones")
    centred = x - sg.mean(x, axis=1, keepdims=True)
    scaled = centred / sg.sqrt(sg.mean(centred**2, axis=1, keepdims=True) + 1e-3) * gain
    loss = sg.mean(sg.cumsum(sg.sigmoid(scaled), axis=1)) + 0.1 * sg.sum(gain**2)
    return [x], {"loss": loss}, {gain: gain - 0.5 * sg.grad(loss, gain)}


def swapped():
    """Two parameters that take each other's place."""
    a, b = sg.parameter("a", (3,), "ones"), sg.parameter("b", (3,), "zeros")
    return [], {"total": a.sum() + sg.exp(b).sum()}, {a: b + 1, b: a * 3}


NETWORKS = [classifier, shared_weights, embedding, normalised, swapped]


def drawn(node, rng):
    shape = tuple(ROWS if size is N else size for size in node.shape)
    return rng.normal(size=shape).astype(node.dtype.numpy) if node.dtype.is_float else rng.integers(0, 5, shape).astype(
        node.dtype.numpy
    )


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-6 * max(1.0, np.abs(want).max(initial=0)))


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
def test_launches_store_what_their_lines_say(network, fuse):
    inputs, outputs, updates = network()
    f = sg.function(inputs, outputs, updates=updates, options=sg.Options(machine="avx2", fuse=fuse))
    rng = np.random.default_rng(6)
    arrays = [drawn(node, rng) for node in f.inputs]
    dims = {"N": ROWS} if inputs else {}
    memory, names, compiled = f.memory_analysis(**dims), f._labels.names, f.subject.compiled
    copies = {p: aligned_copy(p.value, p.value.dtype) for p in compiled.parameters}
    results = [np.empty(m.shape, m.dtype.numpy) for m in memory.outputs]
    launches = bind_launches(f.executable, dims, copies)
    launches.use([a.ctypes.data for a in (*arrays, *results)])
    arena = launches.keep[1]
    scope = {**dims, **{m.name: a for m, a in zip(memory.inputs, arrays, strict=True)}}
    scope |= {names[p]: array.astype(np.float64) for p, array in copies.items() if p in names}
    seen = set()
    for number, (table, lines) in enumerate(zip(launches.tables, f._labels.launches, strict=True), 1):
        assert team().run(table, 1).code == 0
        whole = [line for line in lines if not line.startswith(("parts of ", "check "))]
        scope = read("\n".join(whole), scope)
        for one in memory.temporaries:
            if one.first <= number <= one.last and one.name in {line.split()[0] for line in whole}:
                stored = arena[one.offset : one.offset + one.bytes].view(one.dtype.numpy).reshape(one.shape)
                close(stored, scope[one.name])
                seen.add(one.name)
    complete = {t.name for t in memory.temporaries if not t.name.startswith(("parts of ", "check of "))}
    assert seen == complete
    for one, result in zip(memory.outputs, results, strict=True):
        close(result, scope[one.name])
    for p, array in copies.items():
        if p in names:
            close(array, scope[names[p]])
