"""`sg.elementwise`: the user's own rows are rows like any other; what is no formula is refused."""

import math

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.dtypes import FLOAT32, FLOAT64
from symgrad.errors import FormatError
from symgrad.expr import symbol_node
from symgrad.formula import parse
from symgrad.ops.calculus import OPERANDS, compute, derivative_of, expand
from symgrad.ops.custom import elementwise
from symgrad.ops.derive import differentiate
from symgrad.ops.row import ROWS
from symgrad.serial import from_data, to_data
from symgrad.shape import dim


@pytest.fixture
def define():
    """Give `elementwise`, and forget the rows afterwards."""
    before = set(ROWS)
    yield elementwise
    for name in set(ROWS) - before:
        del ROWS[name]


OWN = {
    "swish": (lambda x: x / (1 + sp.exp(-x)), "x * sigmoid(x)"),
    "own_mish": (lambda x: x * sp.tanh(sp.log(1 + sp.exp(x))), "x * tanh(softplus(x))"),
    "own_gelu": (lambda x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2, None),
    "logistic": (lambda x: sp.exp(2 * x) / (1 + sp.exp(2 * x)), "sigmoid(2 * x)"),
    "leaky": (lambda x: sp.Piecewise((x, x > 0), (0.3 * x, True)), "where(x > 0, x, 0.3 * x)"),
    "own_hard_swish": (lambda x: x * sp.Min(sp.Max(x + 3, 0), 6) / 6, None),
    "cubed_distance": (lambda x, y: sp.Abs(x - y) ** 3, None),
    "greatest": (lambda x, y, z: sp.Max(x, y, z), None),
    "sawtooth": (lambda x: sp.Mod(x, 1) + sp.ceiling(x), None),
    "constant_three": (lambda x: 3, "3"),
    "four": (lambda a, b, c, d: a * b - c / d, "x * y - z / w"),
}


@pytest.mark.parametrize("name", OWN)
def test_own_operators(define, name):
    f, text = OWN[name]
    row = define(name, f, domain=[(0.3, 2.0)] * f.__code__.co_argcount)
    assert ROWS[row.name] is row
    assert row.__name__ == name
    assert text is None or row.structure.formula == text
    arrays = [np.random.default_rng(k).uniform(0.3, 2.0, 7) for k in range(row.arity)]
    symbols = sp.symbols("a:d", real=True)[: row.arity]
    exact = sp.sympify(f(*symbols))
    expected = [float(exact.subs(dict(zip(symbols, point, strict=True)))) for point in zip(*arrays, strict=True)]
    out = row.oracle(*arrays)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    env = {**dict(zip(OPERANDS, arrays, strict=False)), "out": out}
    for k, derivative in enumerate(derivative_of(row.name)):
        below, above = (row.oracle(*arrays[:k], arrays[k] + s, *arrays[k + 1 :]) for s in (-1e-6, 1e-6))
        got = np.broadcast_to(compute(derivative, env, FLOAT64), (7,))
        np.testing.assert_allclose(got, (above - below) / 2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["swish", "own_mish", "own_gelu", "logistic", "own_hard_swish"])
def test_own_operators_do_not_overflow(define, name):
    row = define(name, OWN[name][0])
    x = np.array([-100.0, -20.0, 0.0, 20.0, 100.0], np.float32)
    for derivative in derivative_of(row.name):
        assert np.isfinite(compute(derivative, {"x": x, "out": row.oracle(x)}, FLOAT32)).all()


def test_own_operators_build_nodes_and_compose(define):
    swish = define("swish", OWN["swish"][0], doc="Give x * sigmoid(x).")
    x = symbol_node("x", (dim("N"), 3), FLOAT32)
    node = swish(x)
    assert (node.op, node.type, str(node)) == (swish.name, x.type, "swish(x)")
    assert str(expand(parse(f"{swish.name}(x)"))) == "x * sigmoid(x)"
    assert swish.smooth
    assert not define("leaky", OWN["leaky"][0]).smooth


@pytest.mark.parametrize(
    ("name", "f", "error"),
    [
        ("exp", lambda x: x, FormatError),
        ("two words", lambda x: x, FormatError),
        ("class", lambda x: x, FormatError),
        ("out", lambda x: x, FormatError),
        ("own", lambda: 1, FormatError),
        ("own", lambda *x: x[0], FormatError),
        ("own", lambda a, b, c, d, e: a, FormatError),
        ("own", lambda x: "x", FormatError),
        ("own", lambda x: (x, x), FormatError),
        ("own", lambda x: x > 0, FormatError),
        ("own", lambda x: x + sp.Symbol("t"), FormatError),
        ("own", lambda x: sp.Heaviside(x), FormatError),
        ("own", lambda x: sp.DiracDelta(x), FormatError),
        ("own", lambda x: sp.Derivative(sp.Function("f")(x), x), FormatError),
        ("own", lambda x: sp.gamma(x), FormatError),
        ("own", lambda x: sp.sqrt(-1) * x, FormatError),
    ],
)
def test_own_operators_are_refused(define, name, f, error):
    before = set(ROWS)
    with pytest.raises(error):
        define(name, f)
    assert set(ROWS) == before


@pytest.mark.parametrize("f", [np.exp, math.exp, lambda x: sg.exp(x), lambda x: float(x)])
def test_functions_of_another_library_get_a_hint(define, f):
    with pytest.raises(FormatError, match=r"does not take SymPy symbols; .* sympy.exp, not math.exp, np.exp or sg.exp"):
        define("own", lambda x: f(x))


def test_a_cell_that_runs_again_gives_the_same_operator(define):
    first = define("own", lambda x: x + sp.sin(x) ** 2)
    assert define("own", lambda t: t + sp.sin(t) ** 2) is first
    shown = define("own", lambda x: x + sp.sin(x) ** 2, latex="s({x})")
    x = symbol_node("x", (3,), FLOAT32)
    assert shown.latex == "s({x})"
    assert shown(x) is first(x)
    assert ROWS[first.name] is shown


def test_a_changed_formula_is_a_new_operator_and_old_nodes_keep_theirs(define):
    x = symbol_node("x", (3,), FLOAT32)
    before, slope = (old := define("own", lambda x: x + sp.sin(x) ** 2)(x)), sg.grad(old.sum(), x)
    after = define("own", lambda x: x + sp.cos(x) ** 2)(x)
    assert after is not before
    assert str(after) == str(before) == "own(x)"
    point = np.array([0.3, -1.0, 2.0])
    exact = {before: point + np.sin(point) ** 2, after: point + np.cos(point) ** 2, slope: 1 + np.sin(2 * point)}
    compiled = sg.function([x], list(exact))(point)
    for node, value, expected in zip(exact, compiled, exact.values(), strict=True):
        np.testing.assert_allclose(sg.evaluate(node, {x: point}), expected, rtol=1e-12)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert [a is b for a, b in zip(from_data(to_data(exact)), exact, strict=True)] == [True] * 3
    assert after.to_sympy() == sp.Symbol("x", real=True) + sp.cos(sp.Symbol("x", real=True)) ** 2


def test_a_graph_is_read_back_only_where_its_own_formula_is_known(define):
    x = symbol_node("x", (3,), FLOAT32)
    own = define("own", lambda x: x + sp.sin(x) ** 2)
    data = to_data([own(x)])
    del ROWS[own.name]
    with pytest.raises(FormatError, match=r"'own' of its author's own; not defined here. Define it first"):
        from_data(data)
    define("own", lambda x: x + sp.cos(x) ** 2)
    with pytest.raises(FormatError, match="here its formula is another one"):
        from_data(data)
    define("own", lambda x: x + sp.sin(x) ** 2)
    assert from_data(data)[0].op == own.name


def test_errors_say_the_name_that_the_user_gave(define):
    x, y = symbol_node("x", (3,), FLOAT32), symbol_node("y", (4,), FLOAT32)
    own = define("own", lambda x, y: x * y)
    with pytest.raises(sg.ShapeError, match="^own: shapes do not broadcast"):
        own(x, y)
    with pytest.raises(TypeError, match="^own takes 2 operands, got 1"):
        own(x)
    assert repr(own) == "<operator own>"


REFUSED = {
    "a built-in": ("exp", lambda x: x, FormatError, "'exp' is a built-in operator: sg.exp is there"),
    "a constant": ("pi", lambda x: x, FormatError, "'pi' has a meaning in formulas"),
    "two words": ("two words", lambda x: x, FormatError, "'two words' cannot name an operator"),
    "a digest": ("own__0123abcd", lambda x: x, FormatError, "cannot name an operator"),
    "a formula": ("own", "x + 1", TypeError, r"not str 'x \+ 1'. Write sg.elementwise\('own', lambda x: x \+ 1\)"),
    "a number": ("own", 3, TypeError, r"symbols is needed, not int 3. .*'own', lambda x: x \+ sympy.sin\(x\) \*\* 2"),
    "a built-in function": ("own", math.hypot, FormatError, "how many operands .* Write a lambda"),
    "no formula": ("own", lambda x: sp.gamma(x), FormatError, r"no operator computes SymPy's gamma\(x\). .* exp, log"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_why(define, case):
    name, f, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        define(name, f)


def test_one_range_per_operand(define):
    with pytest.raises(FormatError, match="one range per operand"):
        define("other", lambda x, y: x * y, domain=[(0.0, 1.0)])


def test_differentiate_to_any_order():
    third = parse("x * sigmoid(x)")
    for _ in range(3):
        third = differentiate(third, "x")
    x = sp.Symbol("x", real=True)
    expected = sp.lambdify(x, sp.diff(x / (1 + sp.exp(-x)), x, 3))
    for point in (-1.5, 0.2, 2.0):
        assert float(compute(third, {"x": np.asarray(point)}, FLOAT64)) == pytest.approx(expected(point), rel=1e-12)
