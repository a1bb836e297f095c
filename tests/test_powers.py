"""Monomials and sums: one power for each base, one number in front, equal terms counted; and what must stay."""

import numpy as np
import pytest
import sympy
from formulas import N, symbol

import symgrad as sg
from symgrad.expr import topological
from symgrad.rewrite import Context, RuleClass
from symgrad.rules.chains import LONGEST
from symgrad.rules.powers import POWERS
from symgrad.rules.terms import TERMS

a, b, s, sigma = (symbol(name) for name in ("a", "b", "s", "sigma"))
u, v, w = (symbol(name, (4,)) for name in "uvw")
X, mu = symbol("X", (N,)), symbol("mu")
M = symbol("M", (3, 4))


SIMPLIFIED = {
    "t * t": (u * u, "u**2"),
    "three": (u * u * u, "u**3"),
    "apart": (u * v * u, "v * u**2"),
    "power of power": ((a**2) ** 2, "a**4"),
    "one base": (a / a**2 / a**2, "1 / a**3"),
    "vectors, one base": (u / u**2 / u**2, "1 / u**3"),
    "quotient of itself": (u / u, "broadcast_to(1, (4,))"),
    "exponential cancels": (sg.exp(u) * v / sg.exp(u), "v"),
    "scalar cancels": (sg.exp(s) * X.sum() / sg.exp(s) / sg.dim("N"), "sum(X) / N"),
    "what is left is wider": (u * M / u, "M"),
    "what is left is narrower": (u * M / M, "broadcast_to(u, (3, 4))"),
    "below the line": (v / (u * v), "1 / u"),
    "roots": (sg.sqrt(u) * v * sg.sqrt(u), "u * v"),
    "half a power": (u / sg.sqrt(u), "sqrt(u)"),
    "numbers": (-(-400 * 2 * a * a), "800 * a**2"),
    "number in a square": (b / (2 * a) ** 2, "b / (4 * a**2)"),
    "square of a quotient": (2 * u * u / v / v, "2 * (u / v)**2"),
    "like terms": (u + 2 * u, "3 * u"),
    "like terms apart": (u + (v + 2 * u), "v + 3 * u"),
    "like terms of three": (u - v + u + v * 3 - 3 * u, "2 * v - u"),
    "bracket": (u + (u - v) / 2, "1.5 * u - v / 2"),
    "fractions": (2 * (1.5 * u - v / 2), "3 * u - v"),
    "difference": (-(u - v), "v - u"),
    "mask twice": (sg.where(s > 0, 1.0, 0.0) * sg.where(s > 0, 1.0, 0.0) * b, "b * [s > 0]"),
    "mask in a mask": (sg.where(s > 0, sg.where(s > 0, u, 0) / v, 0), "u / v * [s > 0]"),
    "sub-gradient": (sg.relu(u) * sg.where(u > 0, 2.0, v), "2 * relu(u)"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIMPLIFIED)
def test_one_power_for_each_base_and_one_number_for_each_term(name):
    before, text = SIMPLIFIED[name]
    after = sg.simplify(before)
    assert str(after) == text
    assert sg.simplify(after) is after
    check_equal(before, after)


def check_equal(before, after):
    rng = np.random.default_rng(0)
    env = {node: rng.uniform(0.5, 2, [5 if n is N else n for n in node.shape]) for node in before.free_symbols}
    env[N] = 5
    old, new = sg.evaluate([before, after], env)
    np.testing.assert_allclose(new, old, rtol=1e-12)


STAYS = {
    "u - u": u - u, "0 * u": u * 0.0, "u * sqrt(u)": u * sg.sqrt(u), "abs(u)": sg.sqrt(u**2), "u * u**v": u**v * u,
    "w * u**2 / v / v": u * u * w / v / v, "(u * w)**2 / v": (u * w) ** 2 / v,
}  # fmt: skip


@pytest.mark.parametrize("text", STAYS)
def test_what_stays(text):
    assert str(sg.simplify(STAYS[text])) == text


def test_divisors_of_elements_are_not_multiplied_where_their_square_may_overflow():
    after = sg.simplify((u * w) / v / v)
    values = {u: np.full(4, 1e-20), w: np.full(4, 1e-10), v: np.full(4, 1e-25)}
    assert np.isfinite(sg.evaluate(after, values, dtype="float32")).all()


def test_values_that_others_need_are_not_taken_apart():
    product = u * v
    first, second = sg.simplify([product, product / u])
    assert first is sg.simplify(product)
    assert any(node is first for node in topological([second]))
    total = u + v
    first, second = sg.simplify([total, total + u])
    assert any(node is first for node in topological([second]))


def test_nothing_looks_into_a_variable_behind_a_number():
    product = v * (1.5 * u - b)
    assert str(sg.grad((-2 * product).sum(), product)) == "broadcast_to(-2, (4,))"
    assert any(node is product for node in topological([sg.simplify(-2 * product, wrt=product)]))


def test_names_stay():
    root = (mu**2).named("Q")
    assert "Q" in str(sg.simplify(root * mu))


GRADIENTS = {
    "1 / a**2": (1 / a**2, a, "-2 / a**3"),
    "b / (2 * a**2)": (b / (2 * a**2), a, "-b / a**3"),
    "normal law": (
        sg.log(sigma) + ((X - mu) ** 2).sum() / (2 * sigma**2), sigma, "1 / sigma - sum((X - mu)**2) / sigma**3",
    ),
    "normal law, by its logarithm": (
        s / 2 + ((X - mu) ** 2).sum() / (2 * sg.exp(s) * N), s, "0.5 - sum((X - mu)**2) / (2 * N * exp(s))",
    ),
    "Rosenbrock": ((1 - a) ** 2 + 100 * (b - a**2) ** 2, a, "-(2 * (1 - a) + 400 * a * (b - a**2))"),
    "rational": ((w / (1 + w**2)).sum(), w, "t1 = w**2 + 1\n1 / t1 - 2 * w**2 / t1**2"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_elementary_calculus(name):
    loss, x, text = GRADIENTS[name]
    assert str(sg.grad(loss, x)) == text


def test_second_derivatives_count_equal_terms():
    rosenbrock = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    assert str(sg.grad(sg.grad(rosenbrock, a), a)) == "2 + 1200 * a**2 - 400 * b"
    bump = (w * sg.exp(-(w**2) / 2)).sum()
    assert str(sg.hessian(bump, w)).split("\n")[-1] == "diag(t1 * w**3) - 3 * diag(t1 * w)"


def test_the_slope_of_a_squared_maximum():
    own = sg.elementwise("squared_positive_part", lambda x: sympy.Max(x, 0) ** 2)
    assert str(sg.grad(own(w).sum(), w)) == "2 * maximum(w, 0)"


def test_long_products_and_sums_take_linear_time_and_keep_their_value():
    factors = [symbol(f"f{i}", (2,)) for i in range(3 * LONGEST)]
    product, total = factors[0], factors[0]
    for factor in factors[1:]:
        product, total = product * factor, total + 2 * factor
    after = sg.simplify(product / factors[-1])
    assert all(node is not factors[-1] for node in topological([after]))
    check_equal(product / factors[-1], after)
    check_equal(total, sg.simplify(total))


def test_integers_keep_their_arithmetic():
    i = symbol("i", (4,), "int32")
    for one in (*POWERS, *TERMS):
        for node in (i * i * i, i + i + i, i**2 * i, -(i - 1)):
            assert node.op not in one.ops or one.apply(node, Context()) is None


def test_what_cancels_refines_and_what_is_merged_is_real():
    kinds = {one.name: one.kind for one in (*POWERS, *TERMS)}
    assert kinds["cancel_powers"] is RuleClass.REFINES
    assert kinds["merge_powers"] is kinds["like_terms"] is RuleClass.REAL
    zero = {u: np.array([0.0, 1.0, -2.0, 4.0])}
    np.testing.assert_array_equal(sg.evaluate(sg.simplify(u * u / u), zero), zero[u])
