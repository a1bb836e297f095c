"""Every case of every row, mapped along the last axis and compiled: a loop over the samples.

All operands have the axis, and the result has it last. The cases that admit the same sizes are one compiled function.
Every choice of mapped operands, along the first axis and interpreted, stands in `test_batch.py`.
"""

import dataclasses

import numpy as np
import pytest
from row_cases import calls

import symgrad as sg
from symgrad.expr import symbol_node
from symgrad.interpreter import evaluate

MOST = 30  # cases in one function
COUNT = 3  # samples
B, N = sg.dim("B"), sg.dim("n")
SIZE = symbol_node("size", (N,), sg.symbol("x").dtype)  # tells n where no operand does


def batches():
    """Group the cases by the sizes they admit, each group cut into pieces."""
    found = {}
    for call in calls():
        if call.operands:
            exact = dataclasses.replace(call, float_dtype="float64")
            found.setdefault(call.case.sizes, []).append(exact)
    return [same[k : k + MOST] for same in found.values() for k in range(0, len(same), MOST)]


@pytest.mark.parametrize("same", batches(), ids=lambda same: f"{same[0]}...{same[-1]}")
def test_compiled_maps_along_the_last_axis_are_loops(same):
    n = 3 if 3 in same[0].case.sizes else max(same[0].case.sizes)
    inputs, arrays, outputs, expected = [SIZE], [np.zeros(n, "float32")], [], []
    for k, call in enumerate(same):
        operands = [symbol_node(f"c{k}{x.attrs['name']}", (*x.shape, B), x.dtype) for x in call.operands]
        apply = lambda *args, call=call: call.row(*args, **call.case.attrs)  # noqa: E731
        outputs.append(sg.vmap(apply, in_axes=-1, out_axes=-1)(*operands))
        samples = [call.draw(n, seed=k) for k in range(COUNT)]
        stacked = [np.stack(parts, axis=-1) for parts in zip(*samples, strict=True)]
        inputs += operands
        arrays += [np.asarray(a, x.dtype.numpy) for a, x in zip(stacked, operands, strict=True)]
        env = {N: n, sg.dim("m"): n}
        each = [evaluate(call.node, {**env, **dict(zip(call.operands, one, strict=True))}) for one in samples]
        expected.append(np.stack(each, axis=-1))
    for call, node, got, want in zip(same, outputs, sg.function(inputs, outputs)(*arrays), expected, strict=True):
        eps = np.finfo(got.dtype).eps if node.dtype.is_float else 0
        scale = max(1.0, float(np.abs(want).max(initial=0)))
        np.testing.assert_allclose(got, want, rtol=0, atol=300 * eps * scale, err_msg=str(call))
