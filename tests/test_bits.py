"""The same bits always: how a step is compiled and on how many threads it runs changes nothing; what updates mean."""

import functools
import subprocess
import sys

import numpy as np
import pytest

import codegen.kernel
import symgrad as sg
from codegen.machine import runnable
from codegen.program import encode
from symgrad.dtypes import as_dtype
from symgrad.expr import parameter_node
from symgrad.options import Options

N = sg.dim("N")
X, Y = sg.symbol("X", (N, 30)), sg.symbol("Y", (N, 5))
WIDE = [row.name for row in runnable() if row.name in ("avx512", "avx2", "neon")]


def parameter(name, value, dtype="float32"):
    return parameter_node(name, np.asarray(value, dtype), as_dtype(dtype))


class Step:
    """A training step of a 30-20-5 network with RMSprop, all of it one program."""

    def __init__(self):
        rng = np.random.default_rng(0)
        shapes = {"W1": (30, 20), "b1": (20,), "W2": (20, 5), "b2": (5,)}
        self.weights = [parameter(n, rng.standard_normal(s) * 0.3) for n, s in shapes.items()]
        self.slots = [parameter(f"v{p.name}", np.zeros(p.shape)) for p in self.weights]
        W1, b1, W2, b2 = self.weights
        P = sg.softmax(sg.relu(X @ W1 + b1) @ W2 + b2, axis=1)
        self.loss = -(Y * sg.log(P)).sum(axis=1).mean()
        self.updates = {}
        for w, g, v in zip(self.weights, sg.grad(self.loss, self.weights), self.slots, strict=True):
            self.updates[v] = 0.9 * v + 0.1 * sg.square(g)
            self.updates[w] = w - 0.01 * g / sg.sqrt(self.updates[v] + 1e-7)
        self.start = [p.value for p in self.updates]

    def train(self, options, batch=13, steps=5):
        """Run some steps from the start; give the losses and the final values as bytes."""
        for p, value in zip(self.updates, self.start, strict=True):
            p.value = value
        function = sg.function([X, Y], self.loss, updates=self.updates, options=options)
        rng = np.random.default_rng(1)
        losses = []
        for _ in range(steps):
            x = rng.random((batch, 30), np.float32)
            losses.append(function(x, np.eye(5, dtype=np.float32)[rng.integers(0, 5, batch)]))
        return [float(loss) for loss in losses], [p.value.tobytes() for p in self.updates]


@functools.cache
def network():
    step = Step()
    return step, step.train(Options(threads=1, check=True))


def every_thread(monkeypatch):
    monkeypatch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))


@pytest.mark.parametrize(
    "options",
    [
        Options(fuse=False), Options(threads=2), Options(threads=3), Options(threads=3, fuse=False),
        Options(tiles=(4, 32)), Options(tiles=(1, 16)), Options(packing=True), Options(packing=False),
        *(Options(machine=m) for m in WIDE),
    ],
    ids=str,
)  # fmt: skip
def test_a_training_step_has_the_same_bits(options, monkeypatch):
    every_thread(monkeypatch)
    step, (losses, weights) = network()
    assert step.train(options) == (losses, weights)
    assert losses[-1] < losses[0]


def test_a_training_step_is_what_the_interpreter_says():
    step, _ = network()
    for p, value in zip(step.updates, step.start, strict=True):
        p.value = value
    rng = np.random.default_rng(2)
    x, y = rng.random((13, 30), np.float32), np.eye(5, dtype=np.float32)[rng.integers(0, 5, 13)]
    want = sg.evaluate([step.loss, *step.updates.values()], {X: x, Y: y})
    loss = sg.function([X, Y], step.loss, updates=step.updates)(x, y)
    assert loss == pytest.approx(want[0], rel=1e-5)
    for p, w in zip(step.updates, want[1:], strict=True):
        np.testing.assert_allclose(p.value, w, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 129])
def test_any_batch_size_has_the_same_bits(batch, monkeypatch):
    every_thread(monkeypatch)
    step, _ = network()
    assert step.train(Options(threads=2), batch, 2) == step.train(Options(fuse=False, threads=1), batch, 2)


def test_batches_longer_than_a_chunk_have_the_same_bits(monkeypatch):
    every_thread(monkeypatch)
    x, W = sg.symbol("x", (N, 7)), parameter("W", np.linspace(-1, 1, 35).reshape(7, 5))
    loss = sg.tanh(x @ W).sum(axis=0).max() + sg.mean(x, axis=0).sum() + sg.log(sg.exp(x).sum())
    outputs = [loss, sg.grad(loss, W), sg.argmax(x, axis=0), x.T @ (x @ W), x[:, 0] @ x[:, 1]]
    data = np.random.default_rng(0).standard_normal((9001, 7)).astype("float32")
    results = [
        [np.asarray(r).tobytes() for r in sg.function([x], outputs, options=o)(data)]
        for o in (Options(threads=1), Options(threads=3), Options(fuse=False), *(Options(machine=m) for m in WIDE))
    ]
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("batch", [1, 33, 1024, 1030])
@pytest.mark.parametrize(("rows", "columns"), [(1, 70), (9, 65), (8, 64), (23, 100), (40, 9)])
def test_epilogues_that_divide_have_the_same_bits_beside_the_next_tile(rows, columns, batch, monkeypatch):
    every_thread(monkeypatch)
    A, B = sg.symbol("A", (N, rows)), sg.symbol("B", (N, columns))
    rng = np.random.default_rng(0)
    first = [rng.random((rows, columns), np.float32) for _ in range(2)]
    W, V = parameter("W", first[0]), parameter("V", first[1])
    g = A.T @ B / N
    new = 0.9 * V + 0.1 * g * g
    updates = {V: new, W: W - 0.01 * g / sg.sqrt(new + 1e-7)}
    a, b = rng.standard_normal((batch, rows)).astype("f"), rng.standard_normal((batch, columns)).astype("f")
    want = None
    for options in (Options(fuse=False), Options(threads=1, poison=True), Options(threads=3), Options(tiles=(3, 32)),
                    Options(packing=False), *(Options(machine=m) for m in WIDE)):  # fmt: skip
        for p, value in zip((W, V), first, strict=True):
            p.value = value
        sg.function([A, B], [], updates=updates, options=options)(a, b)
        found = W.value.tobytes(), V.value.tobytes()
        want = want or found
        assert found == want, options


# -- updates -----------------------------------------------------------------------------------------------------------

x = sg.symbol("x", (3,))
DATA = np.array([1.0, 2.0, 3.0], "float32")


def pair(shape=(3,)):
    size = int(np.prod(shape))
    values = np.arange(1, size + 1, dtype="float32").reshape(shape)
    return parameter("a", values), parameter("b", 10 * values)


@pytest.mark.parametrize("fuse", [True, False])
class TestUpdates:
    """All right-hand sides and outputs see the old values, in whatever order kernels run."""

    def run(self, fuse, outputs, updates, data=DATA):
        return sg.function([x], outputs, updates=updates, options=Options(fuse=fuse, check=True))(data)

    def test_swap(self, fuse):
        a, b = pair()
        old = a.value, b.value
        self.run(fuse, x, {a: b, b: a})
        assert np.array_equal(a.value, old[1])
        assert np.array_equal(b.value, old[0])

    def test_swap_with_arithmetic(self, fuse):
        a, b = pair()
        A, B = a.value, b.value
        self.run(fuse, x, {a: a + b, b: a - b})
        assert np.array_equal(a.value, A + B)
        assert np.array_equal(b.value, A - B)

    def test_rotation_of_three(self, fuse):
        values = [parameter(f"p{k}", np.full(3, k)) for k in range(3)]
        self.run(fuse, (), list(zip(values, [*values[1:], values[0]], strict=True)))
        assert [p.value[0] for p in values] == [1, 2, 0]

    def test_transposed_self(self, fuse):
        a, _ = pair((4, 4))
        A = a.value
        self.run(fuse, x, {a: a.T + 1})
        assert np.array_equal(a.value, A.T + 1)

    def test_reversed_self(self, fuse):
        a, _ = pair()
        A = a.value
        self.run(fuse, x, {a: a[::-1]})
        assert np.array_equal(a.value, A[::-1])

    def test_product_with_itself(self, fuse):
        a, b = pair((5, 5))
        A, B = a.value, b.value
        self.run(fuse, x, {a: a @ a, b: b @ a})
        assert np.array_equal(a.value, A @ A)
        assert np.array_equal(b.value, B @ A)

    def test_one_value_for_two(self, fuse):
        a, b = pair()
        new = self.run(fuse, x * 2, {a: x * 2, b: x * 2})
        assert np.array_equal(a.value, new)
        assert np.array_equal(b.value, new)
        assert np.array_equal(new, DATA * 2)

    def test_value_is_an_output(self, fuse):
        a, _ = pair()
        A = a.value
        new, again = self.run(fuse, [a + x, a + x], {a: a + x})
        assert np.array_equal(a.value, A + DATA)
        assert np.array_equal(new, a.value)
        assert np.array_equal(new, again)
        assert new is not again

    def test_old_value_is_an_output(self, fuse):
        a, _ = pair()
        A = a.value
        assert np.array_equal(self.run(fuse, a, {a: a + x}), A)
        assert np.array_equal(a.value, A + DATA)

    def test_later_readers_see_the_old_value(self, fuse):
        a, b = pair((3, 3))
        A, B = a.value, b.value
        out = self.run(fuse, sg.sum(b @ (a @ x)), {a: a - 1, b: b + sg.sum(a)})
        assert out == np.sum(B @ (A @ DATA))
        assert np.array_equal(a.value, A - 1)
        assert np.array_equal(b.value, B + A.sum())

    def test_values_that_are_given(self, fuse):
        a, b = pair()
        self.run(fuse, (), {a: x, b: sg.broadcast_to(sg.constant(2.5), (3,))})
        assert np.array_equal(a.value, DATA)
        assert np.array_equal(b.value, np.full(3, 2.5, "float32"))

    def test_unchanged_value(self, fuse):
        a, _ = pair()
        A = a.value
        self.run(fuse, x, {a: a})
        assert np.array_equal(a.value, A)

    def test_norm_of_all(self, fuse):
        a, b = pair((4, 4))
        A, B = a.value, b.value
        norm = sg.sqrt(sg.sum(a * a) + sg.sum(b * b))
        self.run(fuse, x, {a: a / norm, b: b / norm})
        np.testing.assert_allclose(a.value, A / np.sqrt((A * A).sum() + (B * B).sum()), rtol=1e-6)
        np.testing.assert_allclose(b.value, B / np.sqrt((A * A).sum() + (B * B).sum()), rtol=1e-6)


# -- outputs -----------------------------------------------------------------------------------------------------------


def test_outputs_that_nothing_computes():
    a, _ = pair((2, 3))
    constant = sg.constant(np.arange(4.0))
    given = {"input": x, "parameter": a, "constant": constant, "number": sg.constant(7)}
    results = sg.function([x], {**given, "transpose": a.T, "view": x[::-1]})(DATA)
    assert np.array_equal(results["input"], DATA)
    assert not np.shares_memory(results["input"], DATA)
    assert np.array_equal(results["parameter"], a.value)
    assert not np.shares_memory(results["parameter"], a.buffer)
    assert np.array_equal(results["transpose"], a.value.T)
    assert np.array_equal(results["constant"], np.arange(4.0))
    assert results["number"] == 7
    assert np.array_equal(results["view"], DATA[::-1])


def test_dimensions_as_values():
    z = sg.symbol("z", (N,))
    f = sg.function([z], [z.sum() / N, sg.broadcast_to(sg.mean(z) * N, (N,)), (N + 1) * sg.sum(z * 0 + 1)])
    mean, total, square = f(np.arange(5, dtype="float32"))
    assert mean == 2
    assert np.array_equal(total, np.full(5, 10.0))
    assert square == 30


@pytest.mark.parametrize("names", [("i0", "i1"), ("n1", "k5"), ("lo", "hi"), ("b0", "v1"), ("out", "β")])
def test_a_dimension_may_be_called_like_something_in_a_kernel(names):
    rows, columns = map(sg.dim, names)
    z = sg.symbol("z", (rows, columns))
    f = sg.function([z], [sg.tanh(z) / rows, z.sum(), z.sum(axis=0), z @ z.T], options=Options(check=True))
    data = np.random.default_rng(0).random((3, 5), np.float32)
    for got, want in zip(f(data), (np.tanh(data) / 3, data.sum(), data.sum(axis=0), data @ data.T), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_reduction_of_adjacent_axes_divides_no_index():
    z = sg.symbol("z", (N, 28, 28))
    f = sg.function([z], [sg.sum(sg.exp(z)), sg.sum(sg.exp(z), axis=(1, 2))])
    data = np.random.default_rng(0).random((5, 28, 28), np.float32)
    np.testing.assert_allclose(f(data)[1], np.exp(data).sum(axis=(1, 2)), rtol=1e-5)
    assert "% 28" not in f.as_text()


# -- guards ------------------------------------------------------------------------------------------------------------

I = sg.symbol("I", (5,), "int32")


@pytest.mark.parametrize("index", [5, -6, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(
    "read",
    [
        lambda a: sg.take(a, I, axis=0).sum(),
        lambda a: sg.take(a, I + 0 * I, axis=1).sum(),
        lambda a: sg.pick(a, I).sum(),
        lambda a: (sg.one_hot(I, 5) @ a).sum(),
        lambda a: sg.grad(sg.square(sg.take(a, I, axis=0)).sum(), a).sum(),
    ],
    ids=["take", "computed", "pick", "one_hot", "scatter"],
)
@pytest.mark.parametrize("fuse", [True, False])
def test_an_index_out_of_range_changes_nothing(read, index, fuse):
    a = parameter("a", np.arange(25.0).reshape(5, 5))
    other = parameter("other", [1.0])
    value = read(a)
    f = sg.function([I], value, updates={a: a + value, other: other + 1}, options=Options(fuse=fuse))
    with pytest.raises(sg.IndexRangeError, match=r"= -?\d+ is outside an axis of size 5"):
        f(np.array([0, 1, index, 3, 4], "int32"))
    assert np.array_equal(a.value, np.arange(25.0).reshape(5, 5))
    assert other.value == [1.0]
    f(np.array([0, 1, -5, 3, -1], "int32"))
    assert other.value == [2.0]


def test_a_maximum_of_nothing_is_refused_when_dimensions_are_bound():
    z = sg.symbol("z", (N, 3))
    f = sg.function([z], [sg.max(z, axis=0), sg.sum(z, axis=0)])
    with pytest.raises(sg.ShapeError, match="max"):
        f(np.zeros((0, 3), "float32"))
    assert np.array_equal(sg.function([z], sg.max(z, axis=1))(np.zeros((0, 3), "float32")), np.zeros(0))


# -- deep graphs -------------------------------------------------------------------------------------------------------

DEEP = """
import sys
sys.setrecursionlimit(200)
import numpy as np
import symgrad as sg
from symgrad.expr import parameter_node
from symgrad.dtypes import FLOAT32
N = sg.dim("N")
if {layers}:
    x = h = sg.symbol("x", (N, 8))
    parameters = []
    for k in range({layers}):
        W = parameter_node(f"W{{k}}", np.eye(8) + np.random.default_rng(k).normal(0, 0.01, (8, 8)), FLOAT32)
        b = parameter_node(f"b{{k}}", np.zeros(8), FLOAT32)
        parameters += [W, b]
        h = (sg.tanh if k % 2 else sg.relu)(h @ W + b)
    loss = sg.mean(sg.square(h - 1))
    updates = [(p, p - 0.01 * g) for p, g in zip(parameters, sg.grad(loss, parameters))]
    step = sg.function([x], loss, updates=updates)
    losses = [float(step(np.ones((4, 8), "float32"))) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2], losses
else:
    x = c = sg.symbol("x", (N,))
    for _ in range(10_000):
        c = sg.sin(c) + x
    data = np.linspace(-1, 1, 5).astype("float32")
    want = data.astype(float)
    for _ in range(10_000):
        want = np.sin(want) + data
    assert np.allclose(sg.function([x], c)(data), want, atol=1e-3)
    sg.grad(c.sum(), x, simplify=False)
"""


@pytest.mark.parametrize("layers", [300, 0], ids=["300 layers", "a chain of 10000 nodes"])
def test_deep_graphs_at_recursion_limit_200(layers):
    script = DEEP.format(layers=layers)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)
