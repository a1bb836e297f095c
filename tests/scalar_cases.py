"""The elementwise rows by what they have, their cases as arrays, and their graphs evaluated by their oracles."""

import numpy as np

from symgrad.expr import literal, topological
from symgrad.ops import generate
from symgrad.ops.row import ROWS
from symgrad.shape import Dim

NAMES = [row.name for row in generate.rows()]
FORMULAS = [name for name in NAMES if ROWS[name].structure.formula]
DIFFERENTIABLE = [name for name in NAMES if ROWS[name].differentiable and name != "stop_gradient"]


def draw(case, n=5, seed=0):
    """Draw a case's operands as float64 (or int32, bool) arrays."""
    rng = np.random.default_rng(seed)

    def array(sample):
        shape = tuple(s.evaluate({"n": n}) if isinstance(s, Dim) else s for s in sample.shape)
        if sample.dtype == "bool":
            return rng.random(shape) < 0.5
        values = rng.uniform(sample.low, sample.high, shape)
        return np.asarray(values if sample.dtype == "float" else np.floor(values).astype(sample.dtype))

    return [array(sample) for sample in case.operands]


def value_of(root, env):
    """Evaluate a graph of elementwise rows by their oracles."""
    values = {}
    for node in topological([root]):
        if node.op == "constant":
            values[node] = np.asarray(literal(node), node.dtype.numpy)
        elif node.op == "symbol":
            values[node] = env[node.attrs["name"]]
        else:
            values[node] = ROWS[node.op].oracle(*(values[a] for a in node.args), **node.attrs)
    return values[root]
