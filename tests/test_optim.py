"""Optimizers: Keras' formulas, step by step, against plain NumPy."""

import numpy as np
import pytest

import symgrad as sg
from symgrad.dtypes import DType

N = sg.dim("N")


def sgd(w, gradient, state, lr=0.01, momentum=0.0, nesterov=False):
    if momentum == 0:
        return w - lr * gradient
    state["V"] = momentum * state.get("V", 0) - lr * gradient
    return w + (momentum * state["V"] - lr * gradient if nesterov else state["V"])


def rmsprop(w, gradient, state, lr=0.001, rho=0.9, eps=1e-7, momentum=0.0):
    state["V"] = rho * state.get("V", 0) + (1 - rho) * gradient**2
    step = lr * gradient / np.sqrt(state["V"] + eps)
    state["M"] = momentum * state.get("M", 0) + step
    return w - state["M"]


def adam(w, gradient, state, lr=0.001, b1=0.9, b2=0.999, eps=1e-7):
    t = state["t"] = state.get("t", 0) + 1
    state["M"] = b1 * state.get("M", 0) + (1 - b1) * gradient
    state["V"] = b2 * state.get("V", 0) + (1 - b2) * gradient**2
    alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    return w - alpha * state["M"] / (np.sqrt(state["V"]) + eps)


OPTIMIZERS = [
    (sg.optim.SGD(), sgd, {}),
    (sg.optim.SGD(0.1, momentum=0.9), sgd, {"lr": 0.1, "momentum": 0.9}),
    (sg.optim.SGD(0.1, momentum=0.9, nesterov=True), sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (sg.optim.RMSprop(), rmsprop, {}),
    (sg.optim.RMSprop(0.01, 0.8, 1e-3, momentum=0.5), rmsprop, {"lr": 0.01, "rho": 0.8, "eps": 1e-3, "momentum": 0.5}),
    (sg.optim.Adam(), adam, {}),
    (sg.optim.Adam(0.1, 0.8, 0.9, 1e-2), adam, {"lr": 0.1, "b1": 0.8, "b2": 0.9, "eps": 1e-2}),
]


@pytest.mark.parametrize(("optimizer", "reference", "options"), OPTIMIZERS)
def test_five_steps_follow_keras_formulas(optimizer, reference, options):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(3, 2)), rng.normal(size=2)]
    targets = [sg.parameter(n, v.shape, v, dtype="float64") for n, v in zip("Wb", start, strict=True)]
    x = sg.symbol("x", (N, 3), "float64")
    loss = sg.tanh(x @ targets[0] + targets[1]).sum()
    updates = optimizer.updates(loss, targets)
    again = optimizer.updates(loss, targets)
    assert [*updates.values()] == [*updates.values()] and all(again[p] is v for p, v in updates.items())  # noqa: PT018
    assert all(new.type == p.type for p, new in updates.items())

    values, states = start, [{}, {}]
    for _ in range(5):
        batch = rng.normal(size=(4, 3))
        slope = 1 - np.tanh(batch @ values[0] + values[1]) ** 2
        gradients = [batch.T @ slope, slope.sum(0)]
        values = [reference(w, g, s, **options) for w, g, s in zip(values, gradients, states, strict=True)]
        new = sg.evaluate(list(updates.values()), {x: batch})
        for target, value in zip(updates, new, strict=True):
            target.value = value
    for target, value in zip(targets, values, strict=True):
        np.testing.assert_allclose(target.value, value, rtol=1e-10)


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (sg.optim.SGD(), "W <- W - lr * dW"),
        (sg.optim.RMSprop(), "V <- rho * V + (1 - rho) * dW**2\nW <- W - lr * dW / sqrt(V + eps)"),
    ],
)
def test_equations_read_as_in_a_book(optimizer, text):
    pair = sg.symbol("dW", (3,)), sg.parameter("W", (3,))
    assert sg.format_equations({}, updates=optimizer.apply([pair])) == text


def test_slots_belong_to_an_optimizer_and_a_parameter():
    a, b = sg.optim.Adam(), sg.optim.Adam()
    v, w = sg.parameter("v", (2,)), sg.parameter("w", (3,))
    g = sg.constant(1.0)
    a.apply([(g * v, v), (g * w, w)])
    b.apply([(g * w, w)])
    assert a.slots(sg.parameter("w", (3,))) == {}
    first = a.slots(w)
    a.apply([(g * w, w)])
    assert all(a.slots(w)[name] is slot for name, slot in first.items())
    assert list(first) == ["M", "V"]
    assert first["M"] is not b.slots(w)["M"]
    assert [p.name for p in a.state] == ["t", "M", "V", "M", "V"]
    assert not any(p.trainable or p.value.any() for p in a.state)


def test_the_learning_rate_is_a_parameter_of_the_equations():
    optimizer = sg.optim.SGD(0.5)
    w = sg.parameter("w", (), 1.0)
    ((_, new),) = optimizer.apply([(sg.constant(1.0), w)]).items()
    assert any(node is optimizer.hyper("lr") for node in new.free_symbols)
    assert (optimizer.learning_rate, float(sg.evaluate(new))) == (0.5, 0.5)
    optimizer.learning_rate = 0.001
    assert optimizer.learning_rate == 0.001
    assert float(sg.evaluate(new)) == pytest.approx(0.999)
    optimizer.hyper("lr").value = np.float32(0.25)  # as an update of a compiled function does
    assert optimizer.learning_rate == 0.25
    with pytest.raises(ValueError, match="learning_rate is 0 or more"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.25


def test_hyperparameters_have_the_dtype_of_what_they_train():
    optimizer = sg.optim.RMSprop()
    single, double = sg.parameter("s", (2,)), sg.parameter("d", (2,), dtype="float64")
    updates = optimizer.apply([(sg.exp(single), single), (sg.exp(double), double)])
    assert [(p.name, p.dtype) for p in updates] == [
        ("V", "float32"), ("s", "float32"), ("V", "float64"), ("d", "float64"),
    ]  # fmt: skip
    assert all(new.dtype is p.dtype for p, new in updates.items())
    assert optimizer.hyperparameters == {"lr": 0.001, "rho": 0.9, "eps": 1e-7}
    assert float(optimizer.hyper("rho", DType.FLOAT64).value) == 0.9


def test_optimizers_by_name():
    assert repr(sg.optim.get("RMSprop")) == "RMSprop(lr=0.001, rho=0.9, eps=1e-07)"
    assert sg.optim.get("adam") is not sg.optim.get("adam")
    given = sg.optim.SGD()
    assert sg.optim.get(given) is given
    assert isinstance(sg.optim.get(sg.optim.Adam), sg.optim.Adam)


W = sg.parameter("W", (2,))
FROZEN = sg.parameter("frozen", (2,), trainable=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sg.optim.get("rmsprp"), ValueError, "unknown optimizer 'rmsprp'. Did you mean 'rmsprop'"),
        (lambda: sg.optim.get(None), TypeError, "not NoneType"),
        (lambda: sg.optim.SGD("fast"), TypeError, "learning_rate is a number"),
        (lambda: sg.optim.SGD(-0.1), ValueError, "learning_rate is 0 or more"),
        (lambda: sg.optim.SGD(float("nan")), ValueError, "learning_rate is finite"),
        (lambda: sg.optim.SGD(nesterov=1), TypeError, "nesterov is True or False"),
        (lambda: sg.optim.RMSprop(rho=1.5), ValueError, "rho lies between 0 and 1"),
        (lambda: sg.optim.Adam(lr=0.1), TypeError, "Adam takes no 'lr'. It is called 'learning_rate' here"),
        (lambda: sg.optim.SGD(momentun=0.9), TypeError, "Did you mean 'momentum'\\? Valid: learning_rate, mom"),
        (lambda: sg.optim.RMSprop(beta_2=0.9), TypeError, "takes no 'beta_2'. Valid: epsilon, learning_rate, mom"),
        (lambda: sg.optim.Adam(beta_1=1.0), ValueError, "beta_1 lies between 0 and 1"),
        (lambda: sg.optim.SGD().updates(W.sum(), [sg.symbol("x", (2,))]), TypeError, "x is none"),
        (lambda: sg.optim.SGD().updates(W.sum(), [W, W]), ValueError, "given twice"),
        (lambda: sg.optim.SGD().updates(FROZEN.sum(), [FROZEN]), ValueError, "not trainable"),
        (lambda: sg.optim.SGD().updates(W, [W]), sg.GradientError, "scalar loss"),
        (lambda: sg.optim.SGD().updates(FROZEN.sum(), [W]), sg.GradientError, "does not depend on W"),
        (lambda: sg.optim.SGD().apply([(sg.symbol("g", (3,)), W)]), sg.ShapeError, r"\(3,\) for W is \(2,\)"),
    ],
)
def test_bad_optimizers(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_optimizer_of_ones_own_takes_what_it_declares():
    class Signed(sg.optim.Optimizer):
        def __init__(self, learning_rate=0.1, **others):
            super().__init__(lr=learning_rate, **others)

        def equations(self, W, dW):
            return {W: W - self.hyper("lr", W.dtype) * sg.sign(dW)}

    assert Signed(0.5, slack=2.0).hyperparameters == {"lr": 0.5, "slack": 2.0}
    new = sg.evaluate(Signed().updates((3 * W).sum(), [W])[W])
    np.testing.assert_allclose(new, W.value - 0.1, rtol=1e-6)
