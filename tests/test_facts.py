"""Facts: what is declared, what follows from it for every row, on computed values; and what `vmap` leaves of them."""

import dataclasses

import numpy as np
import pytest
from row_cases import calls

import symgrad as sg
from symgrad.errors import ShapeError
from symgrad.expr import Expr, symbol_node
from symgrad.interpreter import evaluate
from symgrad.ops.leaves import FACTS
from symgrad.ops.structure import Sequential
from symgrad.rewrite import Context
from symgrad.rules.inference import AXES, facts_of, knows

N = sg.dim("N")
WORLDS = [
    (), ("positive",), ("nonzero",), ("finite",), ("integer_valued", "nonnegative"), ("finite", "positive"),
    ("rows_sum_to_one",), ("symmetric",),
]  # fmt: skip
CALLS = [
    dataclasses.replace(call, float_dtype="float64") for call in calls() if call.operands and call.row.name != "assume"
]

HOLDS = {
    "finite": np.isfinite,
    "nonzero": lambda v: v != 0,
    "positive": lambda v: v > 0,
    "nonnegative": lambda v: v >= 0,
    "integer_valued": lambda v: ~np.isfinite(v) | (v == np.trunc(v)),
}


def test_every_fact_can_be_declared_and_is_described():
    square = sg.symbol("x", (3, 3), facts=set(FACTS))
    assert set(square.attrs["facts"]) == set(FACTS)
    assert all(f"`{fact}`" in (sg.assume.__doc__ or "") for fact in FACTS)
    assert set(sg.assume(sg.symbol("x", (3, 3)), **dict.fromkeys(FACTS, True)).attrs["facts"]) == set(FACTS)


@pytest.mark.parametrize("declare", [lambda x, **f: sg.assume(x, **f), lambda x, **f: sg.symbol("y", x.shape, facts=f)])
def test_facts_that_cannot_be(declare):
    scalar, wide = sg.symbol("s"), sg.symbol("W", (3, 4))
    with pytest.raises(ValueError, match="Did you mean 'positive'"):
        declare(wide, positve=True)
    with pytest.raises(ShapeError, match="no rows"):
        declare(scalar, rows_sum_to_one=True)
    with pytest.raises(ShapeError, match="square"):
        declare(wide, symmetric=True)


def test_assumptions_add_up_and_false_says_nothing():
    x = sg.symbol("x", (3,), facts={"finite"})
    both = sg.assume(sg.assume(x, positive=True), integer_valued=True, nonzero=False)
    assert both.args == (x,)
    assert both.attrs["facts"] == ("finite", "integer_valued", "positive")
    assert sg.assume(x, finite=True, rows_sum_to_one=False) is x
    with pytest.raises(TypeError, match="True or False"):
        sg.assume(x, positive=1)


def wide(rng, shape, world):
    """Draw numbers of all magnitudes of which the facts are true: subnormals, zeros, huge ones, infinities."""
    drawn = rng.choice([-1.0, 1.0], shape) * np.exp2(rng.uniform(-1070, 1023, shape))
    drawn = np.where(rng.random(shape) < 0.5, 3 * rng.normal(size=shape), drawn)
    special = rng.choice([0.0, -0.0, np.inf, -np.inf, 5e-324, 1.7e308, -1.0], shape)
    return np.where(rng.random(shape) < 0.25, special, drawn) if "rows_sum_to_one" not in world else drawn


def true_of(drawn, world):
    if "finite" in world or set(world) & AXES:
        drawn = np.where(np.isfinite(drawn), drawn, 1.0)
    if "integer_valued" in world:
        drawn = np.trunc(drawn)
    if "positive" in world or "nonnegative" in world:
        drawn = np.abs(drawn)
    if "positive" in world or "nonzero" in world:
        drawn = np.where(drawn == 0, 1.0, drawn)
    if "rows_sum_to_one" in world:
        drawn = np.exp2(-np.abs(np.clip(drawn, -9, 9)))
        drawn = drawn / drawn.sum(axis=-1, keepdims=True)
    return np.tril(drawn) + np.swapaxes(np.tril(drawn, -1), -1, -2) if "symmetric" in world else drawn


def possible(x, world):
    """Leave out the facts that a tensor of this shape cannot have."""
    square = x.ndim > 1 and x.shape[-1] == x.shape[-2]
    return tuple(f for f in world if (f != "symmetric" or square) and (f != "rows_sum_to_one" or x.ndim))


def check(node: Expr, value: np.ndarray):
    """Check what is claimed of a node; a NaN (inf - inf, 0 / 0) is no number of which anything is claimed."""
    claimed = facts_of(node, Context())
    for fact in claimed & HOLDS.keys():
        wrong = ~HOLDS[fact](value) & (~np.isnan(value) if fact != "finite" else True)
        assert not wrong.any(), (fact, value[wrong][:3])
    if "symmetric" in claimed:
        np.testing.assert_allclose(value, np.swapaxes(value, -1, -2), rtol=1e-9)
    if "rows_sum_to_one" in claimed:
        sums = value.sum(axis=-1)
        np.testing.assert_allclose(sums[~np.isnan(sums)], 1.0, rtol=1e-9)
    return claimed


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_what_is_claimed_is_true_of_computed_values(call):
    rng = np.random.default_rng(0)
    n = 3 if 3 in call.case.sizes else call.case.sizes[0]
    gentle = isinstance(call.row.structure, Sequential) or call.row.name == "inv"
    for world in WORLDS:
        operands = [
            symbol_node(x.attrs["name"], x.shape, x.dtype, possible(x, world)) if x.dtype.is_float else x
            for x in call.operands
        ]
        node = call.row(*operands, **call.case.attrs)
        for _ in range(2):
            values = call.draw(n, seed=int(rng.integers(1 << 30)))
            for i, (x, value) in enumerate(zip(operands, values, strict=True)):
                if x.dtype.is_float:
                    drawn = value if gentle else wide(rng, value.shape, x.attrs["facts"])
                    values[i] = true_of(drawn, x.attrs["facts"])
            env = {sg.dim("n"): n, sg.dim("m"): n, **dict(zip(operands, values, strict=True))}
            try:
                value = np.asarray(evaluate(node, env), dtype=np.float64)
            except np.linalg.LinAlgError:
                continue
            if node.type.shape is not None:
                check(node, value)


x = sg.symbol("x", (3,), "float64")
p, k = sg.symbol("p", (3,), "float64", facts="positive"), sg.symbol("k", (3,), "float64", facts="integer_valued")
S = sg.symbol("S", (3, 3), "float64", facts={"symmetric"})
A = sg.symbol("A", (3, 3), "float64")
FOLLOWS = {
    "positive": [
        p + 1, 1 + sg.exp(x), sg.sqrt(p), sg.maximum(p, x), sg.abs(p), sg.sum(p), p[::-1], sg.cosh(x),
        sg.where(x > 0, p, 1.0), sg.assume(x, positive=True), sg.log1p(p), sg.constant(0.5),
    ],
    "nonnegative": [
        sg.exp(x), sg.softmax(x), sg.sigmoid(x), p * p, p / (1 + p), 1 / p, x**2, x**4, sg.relu(x), sg.sum(sg.abs(x)),
        sg.mean(p), sg.one_hot(sg.symbol("i", (2,), "int32"), 3), sg.arange(4), sg.linalg.norm(x), p.astype("float32"),
    ],
    "nonzero": [p, -p, sg.constant(-2.0), sg.abs(sg.assume(x, nonzero=True))],
    "finite": [sg.sign(sg.assume(x, finite=True)), sg.tanh(sg.assume(x, finite=True)), sg.arange(3), sg.constant(1.0)],
    "integer_valued": [
        sg.floor(x), sg.round(x), k + 1, 2 * k - k * k, sg.sum(k), sg.maximum(k, 0), k % 2, k**3,
        sg.arange(3).astype("float64"), sg.symbol("i", (), "int8"), sg.symbol("i", (), "int8").astype("float32"),
        sg.sign(x), sg.cumsum(k),
    ],
    "rows_sum_to_one": [
        sg.softmax(A), sg.one_hot(sg.symbol("i", (2,), "int32"), 3), sg.assume(x, rows_sum_to_one=True),
        sg.broadcast_to(sg.softmax(x), (4, 3)), sg.stop_gradient(sg.softmax(A)),
    ],
    "symmetric": [
        S.T, S + 2 * S, S * 3, S / sg.sum(x), A + A.T, A * A.T, A.T @ A, A @ A.T, sg.exp(S), sg.linalg.inv(S),
        sg.outer(x, x), sg.eye(3), sg.where(sg.eye(3, dtype="bool"), x, 0.0), sg.broadcast_to(S, (2, 3, 3)),
        sg.sum(sg.broadcast_to(S, (2, 3, 3)), axis=0), x[:, None] + x,
        sg.sum(sg.broadcast_to(S, (2, 3, 3, 3)), axis=(0, 1)), sg.mean(sg.broadcast_to(S, (2, 3, 3, 3)), axis=1),
    ],
}  # fmt: skip
FOLLOWS_NOT = {
    "positive": [sg.exp(x), p * p, 1 / p, sg.softmax(x), x**2, sg.constant(0.0), p.astype("float32"), sg.sigmoid(x)],
    "nonnegative": [x, p - 1, -p, x**3, sg.tanh(x), sg.log(p), sg.maximum(x, -1)],
    "nonzero": [p * p, sg.constant(0.0), sg.exp(x)],
    "finite": [p, x + 1, sg.tanh(x), sg.exp(sg.assume(x, finite=True)), sg.constant(np.inf)],
    "integer_valued": [k / 2, x, sg.mean(k), sg.sqrt(k), sg.constant(0.5), k**-1],
    "rows_sum_to_one": [sg.softmax(A, axis=0), sg.softmax(A).T, sg.softmax(A) * 2, sg.one_hot(sg.arange(2), 3) + 1],
    "symmetric": [
        A, S @ S, S + A, S + x, A @ A, S[::-1], sg.where(sg.eye(3, dtype="bool"), x, 1.0), sg.outer(x, p),
        sg.sum(sg.broadcast_to(S, (3, 3, 3, 3)), axis=(0, 3)), sg.mean(sg.broadcast_to(S, (3, 3, 3)), axis=2),
    ],
}


@pytest.mark.parametrize("fact", FACTS)
def test_what_follows_and_what_does_not(fact):
    for node in FOLLOWS[fact]:
        assert knows(node, fact, Context()), str(node)
    for node in FOLLOWS_NOT[fact]:
        assert not knows(node, fact, Context()), str(node)


def test_nothing_is_known_of_a_variable_from_its_operands():
    e = sg.exp(x)
    assert knows(sg.sqrt(e) + 1, "positive", Context())
    assert sg.simplify(sg.abs(e)) is e
    assert sg.simplify(sg.abs(e), wrt=e).op == "abs"


def test_a_deep_graph_is_looked_at_without_recursion():
    e = p
    for _ in range(5_000):
        e = sg.sqrt(e + 1)
    assert sg.simplify(sg.abs(e), wrt=()).op == "sqrt"


# -- batches ------------------------------------------------------------------------------------------------------


def test_an_assumption_outlives_vmap():
    X, M = sg.symbol("X", (N, 3), "float64"), sg.symbol("M", (N, 3, 3), "float64")
    element = sg.vmap(lambda v: sg.assume(v, positive=True, rows_sum_to_one=True))(X)
    assert element.attrs["facts"] == ("positive", "rows_sum_to_one")
    assert sg.simplify(sg.vmap(lambda v: sg.abs(sg.assume(v, positive=True)))(X)).op == "assume"
    turned = sg.vmap(lambda m: sg.assume(m, symmetric=True).T)(M)
    assert sg.simplify(turned) is sg.assume(M, symmetric=True)


def test_a_sample_has_the_facts_that_a_slice_keeps():
    Y = sg.symbol("Y", (N, 3), "float64", facts={"rows_sum_to_one", "finite"})
    seen = []
    sg.vmap(lambda y: seen.append(y) or y)(Y)
    sg.vmap(lambda y: seen.append(y) or y, in_axes=1)(Y)
    assert [node.attrs["facts"] for node in seen] == [("finite", "rows_sum_to_one"), ("finite",)]
    M = sg.symbol("M", (2, 3, 3), "float64", facts={"symmetric"})
    sg.vmap(lambda m: seen.append(m) or m)(M)
    sg.vmap(lambda m: seen.append(m) or m, in_axes=2)(M)
    assert [node.attrs["facts"] for node in seen[2:]] == [("symmetric",), ()]
