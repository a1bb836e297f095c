"""Reductions of what is repeated look at each element once, for all axes and both forms of the result."""

import itertools

import numpy as np
import pytest
from formulas import N, symbol

import symgrad as sg
from symgrad.expr import topological
from symgrad.ops.row import ROWS

SOURCES = {
    "scalar": symbol("s"),
    "row": symbol("r", (3,)),
    "column": symbol("c", (N, 1)),
    "plane": symbol("p", (2, 1, 3)),
}  # fmt: skip
SHAPE = (2, N, 3)
AXES = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("op", ["sum", "mean", "max", "min"])
def test_a_reduction_of_a_broadcast(op, source, axes, keepdims):
    x = SOURCES[source]
    before = ROWS[op](ROWS["broadcast_to"](x, shape=SHAPE), axes=axes, keepdims=keepdims)
    after = sg.simplify(before)
    assert after.type == before.type
    assert sg.simplify(after) is after
    for node in topological([after]):
        assert node.op != op or node.args[0].size == x.size, f"{node} looks at elements twice"
    value = np.random.default_rng(0).uniform(1, 2, [4 if size is N else size for size in x.shape])
    np.testing.assert_allclose(*sg.evaluate([after, before], {x: value, N: 4}), rtol=1e-14)


@pytest.mark.parametrize("op", ["sum", "mean", "max", "var", "logsumexp", "prod"])
def test_a_reduction_has_the_shape_that_is_wanted(op):
    x = symbol("x", (N, 3))
    kept = ROWS[op](x, axes=(1,), keepdims=True)
    assert sg.simplify(sg.reshape(kept, (N,))) is ROWS[op](x, axes=(1,), keepdims=False)
    shared = sg.simplify([sg.reshape(kept, (N,)), x - kept])
    assert sum(node.op == op for node in topological(shared)) == 1
