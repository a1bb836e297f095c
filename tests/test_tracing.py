"""A step-through of a function: every named value in order, true to the bit, with nothing changed afterwards."""

import re

import numpy as np
import pytest

import symgrad as sg
from symgrad.inspection.tracing import Extent

N = sg.dim("N")
DRAW = np.random.default_rng(5)
X = DRAW.normal(size=(16, 4)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[DRAW.integers(0, 3, 16)]


def network():
    """The reference network, small: its labels' rows sum to one."""
    x, y = sg.symbol("X", (N, 4)), sg.symbol("Y", (N, 3), facts={"rows_sum_to_one"})
    W1, b1 = sg.parameter("W1", (4, 8), seed=1), sg.parameter("b1", (8,), "zeros")
    W2, b2 = sg.parameter("W2", (8, 3), seed=2), sg.parameter("b2", (3,), "zeros")
    hidden = sg.relu(x @ W1 + b1).named("H")
    loss = sg.losses.categorical_crossentropy(y, hidden @ W2 + b2, from_logits=True)
    parameters = [W1, b1, W2, b2]
    return [x, y], loss, parameters


def stepped(optimizer=None, **options):
    inputs, loss, parameters = network()
    updates = (optimizer or sg.optim.RMSprop()).updates(loss, parameters)
    return sg.function(inputs, {"loss": loss}, updates=updates, name="step", options=sg.Options(**options)), parameters


def test_trace_of_the_reference_network(golden):
    f, _ = stepped()
    trace = f.trace(X, Y)
    golden("step.trace", "\n".join(value.line for value in trace))


def test_values_are_those_of_numpy():
    f, (W1, b1, W2, b2) = stepped()
    trace = f.trace(X, Y)
    z1 = X @ W1.value + b1.value
    logits = np.maximum(z1, 0) @ W2.value + b2.value
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    dW2 = np.maximum(z1, 0).T @ (p - Y) / 16
    for name, want in (("H", np.maximum(z1, 0)), ("P", p), ("dW2", dW2)):
        np.testing.assert_allclose(trace[name].value, want, rtol=2e-5, atol=2e-7)
    assert trace["loss"].shape == ()
    assert trace["H"].shape == (16, 8)


@pytest.mark.parametrize("options", [{}, {"fuse": False}, {"simplify": False}, {"machine": "avx2"}, {"poison": True}])
def test_values_are_to_the_bit_those_of_a_call(options):
    f, parameters = stepped(**options)
    before = [p.value for p in parameters]
    trace = f.trace(X, Y)
    assert all(np.array_equal(p.value, old) for p, old in zip(parameters, before, strict=True))
    said = f(X, Y)
    assert said["loss"] == trace["loss"].value
    for p, old in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(trace[p.name].before, old)
        np.testing.assert_array_equal(trace[p.name].value, p.value)


def test_every_value_comes_after_what_it_needs():
    trace = stepped(sg.optim.Adam())[0].trace(X, Y)
    later = [value.name for value in trace if value.before is None]
    assert len(later) > 8
    for value in trace:
        words = set(re.findall(r"\b[A-Za-z_]\w*", value.formula))
        assert not words & set(later), value.line
        later = [name for name in later if name != value.name]
    assert not later


def test_a_trace_is_a_sequence():
    f, _ = stepped()
    trace = f.trace(X, Y)
    assert len(trace) == len(trace.names) == len(list(trace))
    assert trace[0] is next(iter(trace))
    assert trace[-1].before is not None
    assert trace["H"] is trace[trace.names.index("H")]
    assert trace[:2].names == trace.names[:2]
    with pytest.raises(KeyError, match="no value 'HH'. Valid: G1, "):
        trace["HH"]
    assert repr(trace).startswith("<Trace of step: ")
    assert repr(trace["H"]) == "<TracedValue H = relu(Z1): (16, 8) float32>"
    assert str(trace["H"]).splitlines()[0] == "H = relu(Z1)"
    assert trace._repr_html_().count("<tr>") == 1 + sum(1 + (v.before is not None) for v in trace)


def test_the_table_says_what_lies_where():
    x = sg.symbol("x", (5,))
    u = sg.sqrt(x).named("u")
    trace = sg.function([x], {"v": u * 2, "low": sg.log(u)}).trace([0, 1, 4, -1, 9])
    assert str(trace).splitlines() == [
        "u = sqrt(x)",
        "      (5,)  float32  min  0  mean     1.5  max      3  zeros  20.0%  0.2 NaN",
        "v = 2 * u",
        "      (5,)  float32  min  0  mean       3  max      6  zeros  20.0%  0.2 NaN",
        "low = log(u)",
        "      (5,)  float32  min  0  mean  0.5973  max  1.099  zeros  20.0%  0.2 NaN, 0.2 inf",
    ]


def test_updates_show_both_values():
    w = sg.parameter("w", (2,), "ones")
    f = sg.function([], w.sum(), updates={w: w * 0.5})
    trace = f.trace()
    assert trace["w"].line == "w <- 0.5 * w"
    np.testing.assert_array_equal(trace["w"].before, [1, 1])
    np.testing.assert_array_equal(trace["w"].value, [0.5, 0.5])
    assert [line.split()[0] for line in str(trace).splitlines()][-2:] == ["before", "after"]
    np.testing.assert_array_equal(w.value, [1, 1])


def test_inputs_come_by_name_and_in_other_dtypes():
    f, _ = stepped()
    by_name = f.trace(Y=Y, X=X.astype(np.float64))
    np.testing.assert_array_equal(by_name["H"].value, f.trace(X, Y)["H"].value)
    with pytest.raises(TypeError, match="lacks a value for input 'Y'"):
        f.trace(X)


def test_a_trace_follows_the_parameters():
    f, _ = stepped()
    first = f.trace(X, Y)["loss"].value
    f(X, Y)
    assert f.trace(X, Y)["loss"].value < first


def test_extent_of_nothing_and_of_nan():
    assert np.isnan(Extent.of(np.zeros((0, 3))).min)
    odd = Extent.of(np.array([np.nan, -np.inf]))
    assert (odd.nans, odd.infs, odd.zeros) == (0.5, 0.5, 0.0)
    assert np.isnan(odd.mean)
    assert Extent.of(np.array([True, False])).mean == 0.5


def test_an_average_does_not_overflow():
    assert Extent.of(np.full(3, 1.6e308)).mean == pytest.approx(1.6e308)
