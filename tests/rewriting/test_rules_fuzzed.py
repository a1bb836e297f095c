"""A few programs for each rule, drawn at random, and those that once showed a rule to be wrong."""

import numpy as np
import pytest

import symgrad as sg
from rewriting.campaign import Tally, tried
from rewriting.judge import fault
from rewriting.source import written
from symgrad.expr import topological
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, RuleClass
from symgrad.rules import TABLE
from symgrad.simplifier import simplify

PROGRAMS, MOST = 2, 30
n = sg.dim("n")


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
def test_programs_aimed_at_a_rule(one):
    tally, fired = Tally(), 0
    for turn in range(MOST):
        if turn >= PROGRAMS and fired:
            break
        for found in tried(one, turn, tally):
            pytest.fail(str(found))
        fired = sum(tally.fired.values())
    assert fired, f"{one.name} fired in none of {MOST} programs"


# -- what was found ------------------------------------------------------------------------------------------------


def agree(before, env, kind=RuleClass.REAL, **how):
    after = simplify(before, **how)
    assert fault(kind, before, after, env) is None, written({"before": before, "after": after}, env)
    return after


def test_the_absolute_value_of_a_negated_unsigned_number_is_no_absolute_value():
    x = sg.symbol("x", (2,), "uint8")
    agree(sg.abs(-x), {x: np.array([6, 250], "uint8")}, RuleClass.BITWISE)


def test_a_repeated_operand_of_an_unsigned_product():
    x, y = sg.symbol("x", (2, 3), "uint64"), sg.symbol("y", (4,), "uint64")
    env = {x: np.array([[1, 2, 3], [2**63, 5, 6]], "uint64"), y: np.array([1, 2, 3, 2**62], "uint64")}
    agree(x @ ROWS["broadcast_to"](y, shape=(3, 4)), env)


def test_the_variance_over_no_axes_is_zero():
    x = sg.symbol("x", (3,), "float64")
    wide = ROWS["broadcast_to"](x, shape=(3, 3))
    agree(ROWS["var"](wide, axes=(), keepdims=False), {x: np.array([1.0, -2.0, 3.0])})


def test_a_quotient_by_minus_zero_is_below_zero():
    x = sg.symbol("x", (2,), "float64", facts={"nonnegative"})
    env = {x: np.array([-0.0, 2.0])}
    for before in (1 / x < 0, sg.abs(1 / x), sg.ones((2,), "float64") / x < 0):
        agree(before, env, RuleClass.BITWISE)


def test_a_triangular_system_that_is_singular_below_has_exact_results_above():
    A, v, w = sg.symbol("A", (2, 2), "float64"), sg.symbol("v", (2,), "float64"), sg.symbol("w", (2,), "float64")
    solve = sg.linalg.triangular_solve
    env = {A: np.array([[2.0, 9.0], [3.0, 0.0]]), v: np.array([0.0, 5.0]), w: np.array([4.0, 6.0])}
    assert sg.evaluate(solve(A, v), env).tolist() == [0, np.inf]
    agree(solve(A, v) - solve(A, w), env)


def test_no_distribution_over_an_axis_without_elements():
    x = sg.symbol("x", (2, 0), "float64")
    e = sg.exp(x)
    for before in (e / sg.sum(e, axis=1, keepdims=True), x - sg.logsumexp(x, axis=1, keepdims=True)):
        agree(before, {x: np.zeros((2, 0))})


@pytest.mark.parametrize("name", ["add", "multiply", "square", "abs", "power"])
def test_integers_that_wrap_around_have_no_sign(name):
    x = sg.symbol("x", (3,), "int8", facts={"positive"} if name != "abs" else ())
    other = {"add": (x,), "multiply": (x,), "power": (2,)}.get(name, ())
    computed = ROWS[name](x, *other)
    env = {x: np.array([100, 127, -128 if name == "abs" else 12], "int8")}
    agree(computed >= 0, env)
    agree(sg.abs(computed), env)


def test_terms_that_are_not_zero_may_cancel():
    x = sg.symbol("x", (2, 2), "float64", facts={"nonzero"})
    agree(sg.not_equal(sg.sum(x, axis=1), 0), {x: np.array([[1.0, -1.0], [2.0, 1.0]])})


def test_no_rule_looks_into_an_identity_mask_that_has_to_stay():
    v, X = sg.symbol("v", (4,), "float64"), sg.symbol("X", (4, 4), "float64")
    eye = ROWS["where"](sg.eye(4, dtype="bool"), sg.constant(1.0, "float64"), 0)
    assert eye in set(topological([simplify(v * (X - eye), wrt=[eye])]))


def test_no_rule_looks_into_a_column_that_has_to_stay():
    v = sg.symbol("v", (4,), "float64")
    column = ROWS["reshape"](v, shape=(4, 1))
    masked = ROWS["where"](sg.eye(4, dtype="bool"), column, 0)
    assert column in set(topological([simplify(sg.sum(masked, axis=0), wrt=[column])]))


def test_a_transpose_that_has_to_stay_makes_no_product_symmetric():
    X = sg.symbol("X", (4, 3), "float64")
    turned = X.T
    product = turned @ X
    assert simplify(product.T).op == "matmul"
    assert simplify(product.T, wrt=[turned]) is not product


def test_a_number_that_has_to_stay_is_not_placed_through():
    one = ROWS["reshape"](sg.symbol("s", (), "float64", facts={"finite"}), shape=(1,))
    placed = ROWS["place"](one, shape=(5,), starts=(3,), steps=(1,))
    assert one in set(topological([simplify(placed, wrt=[one])]))


# -- the referee itself --------------------------------------------------------------------------------------------


def test_wrong_rewrites_are_found():
    x, i = sg.symbol("x", (3,), "float32"), sg.symbol("i", (3,), "int8")
    env = {x: np.array([0.5, -0.0, 2.0], "float32"), i: np.array([127, -128, 0], "int8")}
    for kind in RuleClass:
        assert "beyond the bound" in str(fault(kind, x * 2, x * 2.00001, env)) or kind is RuleClass.BITWISE
        assert "a number is lost" in str(fault(kind, x, x + sg.log(x - 3), env)) or kind is RuleClass.BITWISE
        assert "integers differ" in str(fault(kind, i * 2, i * 2 + 1, env))
    assert "bits differ" in str(fault(RuleClass.BITWISE, x, x + 0, env))
    assert fault(RuleClass.REAL, x, x + 0, env) is None


def test_a_position_that_was_refused_stays_refused():
    x, i = sg.symbol("x", (3,), "float64"), sg.symbol("i", (2,), "int64")
    env = {x: np.arange(3.0), i: np.array([0, 3])}
    taken = ROWS["take"](x, i, axis=0)
    wrapped = ROWS["take"](x, sg.remainder(i, 3), axis=0)
    assert "accepts positions" in str(fault(RuleClass.REAL, taken, wrapped, env))
    assert "refuses" in str(fault(RuleClass.REAL, wrapped, taken, env))


def test_a_printed_program_is_a_program():
    x = sg.symbol("x", (n, 2), "float64", facts={"positive"})
    before = sg.sum(sg.softmax(x * sg.constant(-0.5, "float64")) / n, axis=0)
    env = {n: 2, x: np.ones((2, 2))}
    names = {}
    exec(written({"before": before}, env), names)
    assert names["before"] is before
    np.testing.assert_array_equal(sg.evaluate(names["before"], names["env"]), [0.5, 0.5])
    assert TABLE[0].apply(before, Context()) is None


def test_nothing_is_rewritten_into_a_variable_of_equal_value():
    A = sg.symbol("A", (3, 3), "float64", facts={"symmetric"})
    v, s = sg.symbol("v", (3,), "float64"), sg.symbol("s", (), "float64")
    for h, equal in ((A @ v * 0.5, v @ A * 0.5), (s * (A @ v), (s * A) @ v)):
        want = sg.grad(sg.sum(h * equal), h, simplify=False)
        env = {A: np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]]), v: np.array([1.0, 2, 3]), s: 2.0}
        assert np.array_equal(*sg.evaluate([sg.grad(sg.sum(h * equal), h), want], env))
        free = sg.simplify(h + equal, wrt=[h])
        assert len([arg for arg in free.args if arg is h]) == 1
    s = sg.symbol("s", (2, 3), "float64")
    h = s.T
    e, x = sg.sum((s @ h).T * [[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
    assert np.array_equal(*sg.evaluate([sg.grad(e, h), sg.grad(e, h, simplify=False)], {s: x}))
    assert sg.simplify((s @ h).T, wrt=h).op == "transpose"


def test_a_quotient_by_a_tiny_exponential():
    z, x = sg.symbol("z", (2,)), sg.symbol("x", (2,))
    agree(z / sg.exp(x), {z: np.zeros(2, "float32"), x: np.array([-90.0, 1], "float32")})
