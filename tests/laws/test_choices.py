"""Choices by `where`: the branch that is not taken leaks nothing, whatever is infinite or NaN in it.

Each trap is a function of a vector `x` and a matrix `w` whose values and derivatives are NaN or infinite in a branch
that is not taken at POINT. Its derivatives, in both modes, of both orders, bare and simplified, interpreted and
compiled, are those of a function without the trap, its twin, which has only what is taken at POINT.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from row_cases import differentiable

import symgrad as sg
from symgrad.expr import Expr, topological
from symgrad.interpreter import evaluate

POINT = np.array([-1.0, 0.0, 0.25, 4.0])
TAKEN = np.array([False, False, True, True])
MATRIX = np.arange(1.0, 13.0).reshape(4, 3) / 6
Function = Callable[[Expr, Expr], Expr]


@dataclass(frozen=True)
class Trap:
    """A function, and its twin: by default the sum over the rows of x and w that are taken, of what is taken there."""

    whole: Function
    twin: Function


def column(x):
    return x[:, None]


def rows(f):
    """Make a trap that takes f of a row where x > 0, and 0 elsewhere."""
    return Trap(lambda x, w: sg.where(x > 0, f(x, w), 0), lambda x, w: f(x[2:], w[2:]))


def elements(f, other=lambda x: 0 * x):
    """Make a trap that takes f of an element where x > 0, and something else elsewhere."""
    return Trap(
        lambda x, w: sg.where(x > 0, f(x), other(x)), lambda x, w: sg.concatenate([other(x[:2]), f(x[2:])])
    )  # fmt: skip


def never(f):
    """Make a trap with one condition for all, which does not hold: a length is 0 by which f divides."""
    return Trap(lambda x, w: sg.where(sg.sum(0 * x) > 0, f(x, w), sg.sum(x**2 * w[:, 0])), lambda x, w: x**2 @ w[:, 0])


def positive(x):
    """Give x where it is positive, else what is the worst for most functions: 0."""
    return sg.maximum(x, 0)


TRAPS = {
    # functions with poles and edges
    "sqrt": elements(sg.sqrt),
    "log": elements(sg.log),
    "x log x": elements(lambda x: x * sg.log(x)),
    "reciprocal": elements(lambda x: sg.sin(1 / x) * x**2, lambda x: x),
    "division": elements(lambda x: sg.expm1(x) / x, lambda x: 1 + x / 2),
    "power": elements(lambda x: x**1.5 + x**-0.5),
    "power of a power": elements(lambda x: x**x),
    "arccos": Trap(
        lambda x, w: sg.where(sg.abs(x) < 1, sg.acos(x), x),
        lambda x, w: sg.concatenate([x[:1], sg.acos(x[1:3]), x[3:]]),
    ),
    "atan2": elements(lambda x: sg.atan2(positive(x), positive(x))),
    "overflow": Trap(
        lambda x, w: sg.where(x < 1, sg.exp(x**6), x), lambda x, w: sg.concatenate([sg.exp(x[:3] ** 6), x[3:]])
    ),
    "lgamma": elements(lambda x: sg.lgamma(x)),
    "logarithm of a softmax": elements(lambda x: sg.log(sg.softmax(sg.stack([sg.log(x), x]), axis=0)[0])),
    # where conditions stand
    "else": Trap(lambda x, w: sg.where(x <= 0, 0, sg.sqrt(x)), lambda x, w: sg.sqrt(x[2:])),
    "nested": Trap(
        lambda x, w: sg.where(x > 0, sg.where(x > 1, sg.sqrt(x - 1), sg.sqrt(x)), 0),
        lambda x, w: sg.sqrt(x[2:] - np.array([0.0, 1.0])),
    ),
    "twice": Trap(
        lambda x, w: sg.where(x > 0, sg.sqrt(x), 0) + sg.where(x > 2, 0, sg.where(x > 0, sg.log(x), x)),
        lambda x, w: sg.concatenate([x[:2], sg.sqrt(x[2:3]) + sg.log(x[2:3]), sg.sqrt(x[3:])]),
    ),
    "inside a function": Trap(
        lambda x, w: sg.tanh(sg.where(x > 0, sg.sqrt(x), x)) * w[:, 0],
        lambda x, w: sg.tanh(sg.concatenate([x[:2], sg.sqrt(x[2:])])) * w[:, 0],
    ),
    "broadcast condition": rows(lambda x, w: sg.sum(column(sg.log(x)) * w, axis=1)),
    "constant condition": Trap(
        lambda x, w: sg.where(TAKEN, sg.log(x), x), lambda x, w: sg.concatenate([x[:2], sg.log(x[2:])])
    ),
    "half of the row": Trap(
        lambda x, w: sg.where((column(x) > 0) & (sg.arange(3) > 0), column(sg.log(x)) * w, w),
        lambda x, w: sg.concatenate([w[:2], w[2:, :1], column(sg.log(x[2:])) * w[2:, 1:]], axis=None),
    ),
    # a norm of nothing
    "norm": never(lambda x, w: sg.sum(x / sg.norm(0 * x))),
    "norm of rows": Trap(
        lambda x, w: sg.where(sg.norm(column(x) * w, axis=1) > 0, sg.log(sg.norm(column(x) * w, axis=1)), 0),
        lambda x, w: sg.concatenate([sg.log(sg.norm(column(x[k]) * w[k], axis=1)) for k in ([0], [2], [3])]),
    ),
    "std": never(lambda x, w: sg.std(0 * x)),
    # sums, products, softmax, order, layout
    "sum": rows(lambda x, w: sg.sqrt(sg.sum(sg.stack([x, 0 * x]), axis=0))),
    "mean": rows(lambda x, w: sg.mean(column(sg.sqrt(x)) * w, axis=1)),
    "prod": rows(lambda x, w: sg.prod(column(sg.log(x)) * w, axis=1)),
    "max": rows(lambda x, w: sg.max(column(sg.sqrt(x)) * w, axis=1)),
    "softmax": rows(lambda x, w: sg.sum(sg.softmax(column(sg.log(x)) * w, axis=1) * w, axis=1)),
    "logsumexp": rows(lambda x, w: sg.logsumexp(column(sg.log(x)) * w, axis=1)),
    "cumsum": rows(lambda x, w: sg.cumsum(column(sg.log(x)) * w, axis=1)[:, 1]),
    "cumprod": rows(lambda x, w: sg.cumprod(column(sg.sqrt(x)) * w, axis=1)[:, 1]),
    "sort": rows(lambda x, w: sg.sort(column(sg.sqrt(x)) * w, axis=1)[:, 1]),
    "gather": rows(lambda x, w: sg.take(sg.sqrt(x), np.arange(x.shape[0]))),
    "concatenation": Trap(
        lambda x, w: sg.where(np.arange(8) >= 6, sg.concatenate([sg.log(0 * x), sg.log(x)]), 0),
        lambda x, w: sg.log(x[2:]),
    ),
    # contractions, which mix the elements of all rows
    "vector times matrix": rows(lambda x, w: column(sg.log(x)) * np.ones((1, 3)) @ w[-1]),
    "matrix of both": rows(lambda x, w: ((column(sg.sqrt(x)) * w) @ w[-2:].T)[:, 0]),
    "contraction of quotients": rows(lambda x, w: (w / column(x)) @ np.array([1.0, 2.0, 3.0])),
    "labelled": rows(lambda x, w: sg.einsum("i,ij,ij->i", sg.log(x), w, w)),
    "never taken": never(lambda x, w: sg.sum((x / sg.sum(0 * x)) @ w)),
    "other side": never(lambda x, w: sg.sum(w.T @ (x / sg.sum(0 * x)))),
    "solve": never(lambda x, w: sg.sum(sg.linalg.solve(sg.outer(0 * x, x), x))),
    "determinant": never(lambda x, w: sg.log(sg.linalg.det(sg.outer(0 * x, x)))),
    "inverse": never(lambda x, w: sg.sum(sg.inv(sg.outer(0 * x, x)))),
    # regions and maps
    "checkpoint": rows(sg.checkpoint(lambda x, w: sg.log(x) * w[:, 1])),
    "custom": rows(sg.custom_gradient(
        lambda x, w: sg.sqrt(x) * w[:, 1], lambda xs, out, g: (
            g * xs[1][:, 1] / (2 * sg.sqrt(xs[0])), sg.stack([0 * g, g * sg.sqrt(xs[0]), 0 * g], axis=1)
        ),
    )),
    "contraction in a checkpoint": rows(sg.checkpoint(lambda x, w: column(sg.log(x)) * np.ones((1, 3)) @ w[-1])),
    "mapped": rows(sg.vmap(lambda v, row: sg.log(v) * (row @ row) / v)),
    "choice inside a map": Trap(
        sg.vmap(lambda v, row: sg.where(v > 0, sg.log(v) * (row @ row) / v, 0)),
        lambda x, w: sg.vmap(lambda v, row: sg.log(v) * (row @ row) / v)(x[2:], w[2:]),
    ),
    "norm inside a map": Trap(
        sg.vmap(lambda v, row: sg.where(sg.sum(v * row) > 0, (v * row / sg.sum(v * row)) @ (row * v), v)),
        lambda x, w: sg.concatenate([
            x[:2], sg.vmap(lambda v, row: (v * row / sg.sum(v * row)) @ (row * v))(x[2:], w[2:])
        ]),
    ),
}  # fmt: skip


def derivatives(f, x, w, simplify):
    """Give the value and all derivatives of a function's weighted sum up to the second, along one direction."""
    options = {"simplify": simplify, "disconnected": "zero"}
    out = f(x, w)
    loss, along = sg.sum(sg.sin(out)), [np.array([1.0, -0.5, 2.0, 0.25]), np.ones((4, 3))]
    slope = sg.grad(loss, [x, w], **options)
    swept = sum(sg.sum(g * d) for g, d in zip(slope, along, strict=True))
    forward = sg.jvp(loss, [x, w], along, **options)
    return [
        *slope, *sg.grad(swept, [x, w], **options), *sg.hvp(loss, [x, w], along, **options), forward,
        sg.jvp(forward, [x, w], along, **options), *sg.grad(forward, [x, w], **options),
    ]  # fmt: skip


def symbols():
    return sg.symbol("x", (4,), "float64"), sg.symbol("w", (4, 3), "float64")


def check(found, expected):
    for k, (got, want) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9 * max(1, np.abs(want).max()), err_msg=str(k))


@pytest.mark.parametrize("name", TRAPS)
def test_a_branch_that_is_not_taken_does_not_leak(name):
    x, w = symbols()
    trap, env = TRAPS[name], {x: POINT, w: MATRIX}
    expected = evaluate(derivatives(trap.twin, x, w, simplify=True), env)
    assert all(np.isfinite(value).all() for value in expected)
    check(evaluate(derivatives(trap.whole, x, w, simplify=False), env), expected)
    simplified = derivatives(trap.whole, x, w, simplify=True)
    check(evaluate(simplified, env), expected)
    check(sg.function([x, w], simplified)(POINT, MATRIX), expected)


@pytest.mark.parametrize("name", ["sqrt", "log", "division", "nested", "norm of rows", "vector times matrix"])
def test_a_trap_inside_of_a_map_and_behind_a_jacobian(name):
    x, w = symbols()
    trap = TRAPS[name]
    batch = np.stack([POINT, 2 * POINT])
    X = sg.symbol("X", (2, 4), "float64")
    loss = lambda f: lambda v: sg.sum(sg.sin(f(v, w)))  # noqa: E731
    each = sg.vmap(lambda v: sg.grad(loss(trap.whole)(v), v))(X)
    curves = sg.vmap(lambda v: sg.hessian(loss(trap.whole)(v), v))(X)
    through = sg.grad(sg.sum(sg.vmap(loss(trap.whole))(X)), X)
    want = [evaluate(sg.grad(loss(trap.twin)(x), x), {x: p, w: MATRIX}) for p in batch]
    bent = [evaluate(sg.hessian(loss(trap.twin)(x), x), {x: p, w: MATRIX}) for p in batch]
    env = {X: batch, w: MATRIX}
    check(evaluate([each, through, curves], env), [np.stack(want), np.stack(want), np.stack(bent)])
    check(sg.function([X, w], [each, through, curves])(batch, MATRIX), [np.stack(want), np.stack(want), np.stack(bent)])


@pytest.mark.parametrize("call", differentiable(), ids=str)
def test_any_operator_of_quotients_by_zero_in_a_branch_that_is_not_taken(call):
    """One condition for all elements, which does not hold; it is not known that what follows would be NaN."""
    zero = sg.symbol("zero", (), "float64")
    floats = [x for x in call.operands if x.dtype.is_float]
    node = call.row(*(x / zero if x in set(floats) else x for x in call.operands), **call.case.attrs)
    loss = sg.where(zero > 0, sg.sum(node), sum(sg.sum(x * x) for x in floats))
    slopes = sg.grad(loss, floats, simplify=False)
    ones = [sg.ones_like(x) for x in floats]
    n = min(size for size in call.case.sizes if size)
    env = {sg.dim("n"): n, sg.dim("m"): n, zero: 0.0, **dict(zip(call.operands, call.draw(n), strict=True))}
    outputs = [slopes, sg.hvp(loss, floats, ones, simplify=False), sg.jvp(loss, floats, ones, simplify=False)]
    first, second, forward = evaluate(outputs, env)
    for x, slope, curve in zip(floats, first, second, strict=True):
        np.testing.assert_allclose(slope, 2 * env[x], rtol=1e-12)
        np.testing.assert_allclose(curve, np.full_like(env[x], 2), rtol=1e-12)
    assert forward == pytest.approx(sum(2 * np.sum(env[x]) for x in floats), rel=1e-9, abs=1e-9)


# -- what it costs -------------------------------------------------------------------------------------------------


def count(nodes, op):
    return sum(node.op == op for node in topological(nodes))


def test_a_choice_costs_one_selection():
    x = sg.symbol("x", (4,))
    slope = sg.grad(sg.sum(sg.where(x > 0, sg.sqrt(x), 0)), x)
    assert count([slope], "where") == 1


def test_a_choice_behind_a_product_of_given_matrices_costs_no_more():
    X, W, V = sg.symbol("X", (sg.dim("N"), 5)), sg.symbol("W", (5, 4)), sg.symbol("V", (4, 3))
    Z = X @ W
    H = sg.where(Z > 0, Z, 0)
    Y = H @ V
    slopes = sg.grad(sg.sum(sg.where(Y > 1, Y, 1) ** 2), [W, V])
    assert count(slopes, "any") == 0
    assert count(slopes, "where") == 3  # two forward, one back: the upper ones are one
