"""What a compiled function says of its launches: what lies in memory between them, and why."""

import numpy as np
import pytest

import symgrad as sg
from codegen.group import Why
from symgrad.expr import topological
from symgrad.options import Options

N = sg.dim("N")
x, v = sg.symbol("x", (N, 20)), sg.symbol("v", (N,))
W = sg.symbol("W", (20, 5))


def long_chain(u):
    for k in range(40):
        u = sg.tanh(u) + k
    return u


KEPT = {
    Why.WANTED: lambda: [h := sg.relu(x), h @ W],
    Why.FREELY: lambda: sg.relu(x) @ W,
    Why.SHARED: lambda: [(e := sg.exp(x)).sum(axis=0), e.max(axis=1)],
    Why.OFTEN: lambda: sg.exp(v)[:, None] * x,
    Why.FULL: lambda: long_chain(v),
    Why.ENDED: lambda: x - x.mean(axis=0),
    Why.REARRANGED: lambda: sg.concatenate([x, x], axis=1)[:, ::3].reshape((-1, 2)) @ W[:2],
}


def reasons(text):
    """Read the table: names, ways and reasons."""
    _, _, rest = text.partition("stored from launch to launch:\n")
    return [line.split("  ")[-1].strip() for line in rest.split("\n\n")[0].splitlines()]


@pytest.mark.parametrize("why", KEPT)
def test_a_listing_says_why_a_value_is_stored(why):
    outputs = KEPT[why]()
    below = set(topological(outputs if isinstance(outputs, list) else [outputs]))
    assert why in reasons(sg.function([n for n in (x, v, W) if n in below], outputs).as_text())


def test_without_fusion_that_is_the_reason():
    text = sg.function([x], sg.exp(x) * 2 + 1, options=Options(fuse=False)).as_text()
    assert reasons(text) == [Why.UNFUSED, Why.UNFUSED]


def test_one_launch_hands_nothing_on():
    function = sg.function([x], sg.softmax(x))
    assert "launch to launch" not in function.as_text()
    np.testing.assert_allclose(function(np.zeros((2, 20), "float32")).sum(), 2)


def test_makers_come_before_readers():
    text = sg.function([x, W], sg.relu(sg.relu(x) @ W) @ W.T).as_text()
    assert "  1 -> 2  " in text
    assert "  2 -> 3  " in text
