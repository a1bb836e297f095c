"""Groups of one form are lowered once, and get the kernels that they would have got by themselves."""

import numpy as np
import pytest

import symgrad as sg
from codegen import forms
from codegen.pipeline import Compiled

N = sg.dim("N")
X = sg.symbol("x", (N, 8), dtype="float32")


def network(layers: int) -> sg.Function:
    h, weights = X, []
    for k in range(layers):
        weights.append(sg.parameter(f"w{k}", (8, 8), seed=k))
        h = sg.tanh(h @ weights[-1])
    loss = sg.mean(h * h)
    gradients = sg.grad(loss, weights)
    return sg.function([X], loss, updates={w: w - g / 8 for w, g in zip(weights, gradients, strict=True)})


def test_layers_of_one_form_are_lowered_once(monkeypatch):
    made: list[str] = []
    lower = forms.lower

    def counted(group, home, machine, options):
        made.append(str(group))
        return lower(group, home, machine, options)

    monkeypatch.setattr(forms, "lower", counted)
    counts = []
    for layers in (4, 20):
        made.clear()
        network(layers)
        counts.append(len(made))
    assert counts[0] == counts[1] < 12


def described(compiled: Compiled) -> list[object]:
    """Tell the launches: kernels by their content, operands by the order in which they come into use."""
    order: dict[int, int] = {}
    return [
        (s.kernel.name, *((order.setdefault(id(o), len(order)), o.shape, o.dtype) for o in s.operands))
        for s in compiled.steps
    ]


def long_sums(x: sg.Expr, y: sg.Expr) -> list[sg.Expr]:
    return [sg.sum(a * b, axis=0) for a in (x, y) for b in (x, y, x + 1)]


BIG = [sg.symbol(name, (N, 5)) for name in "ab"]
PROGRAMS = {
    "long sums": ([*BIG], long_sums(*BIG)),
    "places": ([X], [sg.concatenate([X, X]), sg.concatenate([X, 2 * X]), X[1:], X[2:], sg.flip(X, 1), sg.flip(X, 0)]),
    "attributes": ([X], [sg.sum(X, axis=0), sg.sum(X, axis=1), sg.max(X, axis=0), sg.softmax(X, 0), sg.softmax(X, 1)]),
    "numbers": ([X], [X * 2, X * 3, X * N, X + 2, sg.sum(X * 2, 0), sg.sum(X * 3, 0), sg.sum(X * N, 0)]),
    "types": ([X], [sg.sum(X.astype(t), axis=1) for t in ("float64", "int32", "int64")]),
    "products": ([X], [X @ X.T, X.T @ X, sg.tanh(X @ X.T), (X * 2) @ X.T, X @ sg.flip(X, 1).T]),
    "random": ([X], [sg.random.normal(1, (N, 3)), sg.random.normal(2, (N, 3)), sg.random.uniform(1, (N, 3)), X * 2]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_forms_change_no_program(name, monkeypatch):
    inputs, outputs = PROGRAMS[name]
    together = sg.function(inputs, outputs)
    form_of = forms.form_of
    monkeypatch.setattr(forms, "form_of", lambda group, home: (object(), form_of(group, home)[1]))
    alone = sg.function(inputs, outputs)
    assert described(together.subject.compiled) == described(alone.subject.compiled)
    arrays = [np.arange(5 * x.shape[1], dtype=x.dtype.numpy).reshape(5, -1) for x in inputs]
    for got, want in zip(together(*arrays), alone(*arrays), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_network_trains_as_without_forms(monkeypatch):
    array = np.linspace(-1, 1, 40, dtype=np.float32).reshape(5, 8)
    together = network(6)
    form_of = forms.form_of
    monkeypatch.setattr(forms, "form_of", lambda group, home: (object(), form_of(group, home)[1]))
    alone = network(6)
    assert [together(array).tobytes() for _ in range(3)] == [alone(array).tobytes() for _ in range(3)]
