"""Quotients of many elements: a sum is divided once, a quotient that is there is used, masks leave products."""

import numpy as np
import pytest
from formulas import N, symbol

import symgrad as sg
from symgrad.expr import topological
from symgrad.rules.quotients import QUOTIENTS

x, y, s, wide = symbol("x", (N, 3)), symbol("y", (N, 3)), symbol("s", (N, 1)), symbol("d", (N, 3))
A, v, t = symbol("A", (4, 3)), symbol("v", (3,)), symbol("t")
cube, column = symbol("B", (2, 3, 4)), symbol("c", (3, 1))
shared, n = x / s, (symbol("a", (N, 3)) / s).named("n")

SIMPLIFIED = {
    "two": (x / s + y / s, "(x + y) / s"),
    "numbers": (2 * x / s - y / (3 * s), "(2 * x - y / 3) / s"),
    "negative": (-(x / s) - y / s, "-(x + y) / s"),
    "three": (x / s - y / s + x * y / s, "(x + x * y - y) / s"),
    "of elements": (x / wide + y / wide, "(x + y) / d"),
    "twice": (x / s + y / s / s, "(x + y / s) / s"),
    "mean": (x / s - sg.mean(y / s, axis=1, keepdims=True), "(x - mean(y, axis=1, keepdims=True)) / s"),
    "mean of the same": (shared - sg.mean(shared, axis=1, keepdims=True), "(x - mean(x, axis=1, keepdims=True)) / s"),
    "known": (
        {"n": n, "z": y * symbol("a", (N, 3)) / s}, {"n": "n = a / s", "z": "n = a / s\nn * y"},
    ),
    "known once of two": (
        {"n": n, "z": y * symbol("a", (N, 3)) / s / s}, {"n": "n = a / s", "z": "n = a / s\nn * y / s"},
    ),
    "mask of a vector": (A @ sg.where(t > 0, v, 0), "A @ v * [t > 0]"),
    "guarded": (A @ (v * sg.where(t != 0, 1 / t, 0)), "A @ v / t * [t != 0]"),
    "mask of numbers": (2 * N * sg.where(t > 0, t, 0), "2 * N * t * [t > 0]"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIMPLIFIED)
def test_what_is_divided_by_the_same_is_divided_once(name):
    before, text = SIMPLIFIED[name]
    after = sg.simplify(before)
    assert (str(after) if isinstance(text, str) else {key: str(part) for key, part in after.items()}) == text
    pairs = [(before, after)] if isinstance(text, str) else [(before[key], after[key]) for key in before]
    for old, new in pairs:
        assert sg.simplify(new) is new
        check_equal(old, new)


def check_equal(before, after):
    rng = np.random.default_rng(0)
    env = {node: rng.uniform(0.5, 2, [5 if n is N else n for n in node.shape]) for node in before.free_symbols}
    old, new = sg.evaluate([before, after], {**env, N: 5})
    np.testing.assert_allclose(new, old, rtol=1e-12)


STAYS = {
    "other divisors": x / s + y / wide,
    "a term without": x / s + y,
    "a divisor that is averaged": x / wide - sg.mean(y / wide, axis=1, keepdims=True),
    "a divisor of one of two axes": cube / column - sg.sum(symbol("C", (2, 3, 4)) / column, axis=(0, 1)),
    "a narrower term": x / s + symbol("r", (3,)) / symbol("q", (3,)),
    "a mask of rows": A @ sg.where(v > 0, v, 0),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_stays(name):
    assert sg.simplify(STAYS[name]) is sg.simplify(sg.simplify(STAYS[name]))
    ops = [[node.op for node in topological([e])] for e in (STAYS[name], sg.simplify(STAYS[name]))]
    assert ops[0].count("divide") == ops[1].count("divide")
    check_equal(STAYS[name], sg.simplify(STAYS[name]))


def test_a_term_with_a_name_is_no_part_of_the_quotient():
    assert str(sg.simplify(x / s + n)) == "n = a / s\nn + x / s"


def test_the_rules_are_needed_for_layer_normalisation(monkeypatch):
    """As it is defined; the text with names is among the golden ones."""
    G, eps = symbol("G", (N, 3)), symbol("eps")
    out = (x - sg.mean(x, axis=-1, keepdims=True)) / sg.sqrt(sg.var(x, axis=-1, keepdims=True) + eps)
    (dx,) = sg.vjp(out, [x], G)
    assert [node.op for node in topological([dx])].count("divide") <= 3
    assert len(QUOTIENTS) == 2
    env = {x: np.random.default_rng(0).normal(size=(4, 3)), G: np.random.default_rng(1).normal(size=(4, 3)), eps: 0.1}
    (plain,) = sg.vjp(out, [x], G, simplify=False)
    np.testing.assert_allclose(sg.evaluate(dx, env), sg.evaluate(plain, env), rtol=1e-11, atol=1e-13)
