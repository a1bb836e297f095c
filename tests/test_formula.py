"""The scalar language reads, prints and translates; what is no formula is refused."""

import copy
import pickle
import subprocess
import sys

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from symgrad.errors import FormatError
from symgrad.formula import (
    Call,
    Const,
    Num,
    Var,
    fold,
    from_sympy,
    parse,
    size_to_sympy,
    substitute,
    to_sympy,
    variables,
)
from symgrad.shape import dim

x, y = sympy.symbols("x y", real=True)

BINARY = [
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "maximum"),
    *("less", "greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_xor"),
]
numbers = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False))
leaves = st.one_of(
    st.sampled_from("xyz").map(Var), numbers.map(Num), st.sampled_from(["pi", "inf", "nan", "lowest"]).map(Const)
)
formulas = st.recursive(
    leaves,
    lambda part: st.one_of(
        st.tuples(st.sampled_from(["negative", "logical_not", "exp", "add"]), st.tuples(part)),
        st.tuples(st.sampled_from(BINARY), st.tuples(part, part)),
        st.tuples(st.sampled_from(["where", "add"]), st.tuples(part, part, part)),
    ).map(lambda item: Call(*item)),
    max_leaves=12,
)


@given(formulas)
def test_text_reads_back_as_the_same_formula(formula):
    assert parse(str(formula)) is formula


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("1-out*out", "1 - out * out"),
        ("x - (y - z)", "x - (y - z)"),
        ("(x - y) - z", "x - y - z"),
        ("x / (y * z)", "x / (y * z)"),
        ("(x**y)**z", "(x**y)**z"),
        ("x**(y**z)", "x**y**z"),
        ("-x**2", "-x**2"),
        ("(-x)**2", "(-x)**2"),
        ("(-2)**x", "(-2)**x"),
        ("x**-1", "x**-1"),
        ("negative(1)", "negative(1)"),
        ("-(x * y)", "-(x * y)"),
        ("-x * y", "-x * y"),
        ("(x > y) | isnan(x) & ~(y == 0)", "(x > y) | isnan(x) & ~(y == 0)"),
        ("where(x <= 0, 0, x)", "where(x <= 0, 0, x)"),
        ("(x < y) == (y < x)", "(x < y) == (y < x)"),
        ("1e-07 * x + 2.0", "1e-07 * x + 2.0"),
        ("pi * lowest", "pi * lowest"),
        ("add(x)", "add(x)"),
    ],
)
def test_the_order_is_kept_and_brackets_are_few(text, printed):
    assert str(parse(text)) == printed


def test_equal_formulas_are_one_object():
    assert parse("x + 1") is Call("add", (Var("x"), Num(1)))
    assert len({parse("x + 1"), parse("x + 1.0"), parse("1 + x"), parse("x + True")}) == 4
    assert Num(0.0) is not Num(-0.0)
    formula = parse("where(x > 0, x, inf)")
    assert copy.deepcopy(formula) is formula
    assert pickle.loads(pickle.dumps(formula)) is formula
    with pytest.raises(AttributeError, match="immutable"):
        formula.name = "add"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x +", "-True + ", "x = 1", "x; y", "x.real", "x[0]", "[x]", "(x, y)", "x if y else z", "lambda: x"),
        *("x and y", "not x", "x is y", "x @ y", "x << 1", "+x", "(x := 1)", "{x}", "x\0"),
        *("'text'", "1j", "1e999", "...", "None", "f(x)(y)", "f(x=1)", "f(*x)", "0 < x < 1", "pi(x)"),
        "__import__('os').system('true')",
        "(" * 500 + "x" + ")" * 500,
        "-" * 5000 + "x",
    ],
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(FormatError):
        parse(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Var("pi"),
        lambda: Var("2x"),
        lambda: Var("lambda"),
        lambda: Num(float("nan")),
        lambda: Num(float("inf")),
        lambda: Num("1"),
        lambda: Const("tau"),
        lambda: Call("a b", ()),
    ],
)
def test_nodes_check_what_they_hold(make):
    with pytest.raises(FormatError):
        make()


def test_substitution_is_simultaneous():
    swapped = substitute(parse("x - y * x"), {"x": Var("y"), "y": Var("x")})
    assert str(swapped) == "y - x * y"
    assert substitute(swapped, {"z": Num(1)}) is swapped
    assert variables(parse("where(y > pi, x, y)")) == ("y", "x")


def test_deep_formulas_need_no_stack():
    formula = Var("x")
    for _ in range(5000):
        formula = Call("exp", (formula,))
    assert fold(formula, lambda node: 0, lambda name, args: args[0] + 1) == 5000
    assert len(str(formula)) == 5 * 5000 + 1


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (1 - x, "1 - x"),
        (-x - 1, "-x - 1"),
        (sympy.Rational(1, 3) * x, "x / 3"),
        (sympy.Rational(-2, 3) * x / y, "-2 * x / (3 * y)"),
        (x / 2, "0.5 * x"),
        (0.1 * x, "0.1 * x"),
        (-x * y, "-(x * y)"),
        (1 / x, "1 / x"),
        (1 / sympy.sqrt(x), "1 / sqrt(x)"),
        (x**2, "square(x)"),
        (x**-2, "1 / square(x)"),
        (x**y, "x**y"),
        (sympy.exp(-x), "exp(-x)"),
        (sympy.E, "exp(1)"),
        (sympy.Max(x, y), "maximum(x, y)"),
        (sympy.Abs(x) * sympy.sign(y), "abs(x) * sign(y)"),
        (sympy.Piecewise((x, x > 0), (0, True)), "where(x > 0, x, 0)"),
        (sympy.Piecewise((x, x > 0)), "where(x > 0, x, nan)"),
        (sympy.Piecewise((x, (x > 0) & (y > 0)), (y, x < -1), (1, True)), None),
        (sympy.cosh(x), "cosh(x)"),
        (sympy.polygamma(1, x) + sympy.loggamma(x), "lgamma(x) + trigamma(x)"),
        (sympy.EulerGamma + x, "x + 0.5772156649015329"),
        (sympy.oo, "inf"),
        (-sympy.oo, "-inf"),
    ],
)
def test_sympy_expressions_become_formulas(expr, text):
    formula = from_sympy(expr)
    assert text is None or str(formula) == text
    point = {x: sympy.Rational(3, 7), y: sympy.Rational(5, 4)}
    assert parse(str(formula)) is formula
    assert sympy.N(to_sympy(formula).subs(point)) == pytest.approx(sympy.N(expr.subs(point)), nan_ok=True)


@pytest.mark.parametrize(
    "expr",
    [
        sympy.Heaviside(x),
        sympy.DiracDelta(x),
        sympy.Derivative(sympy.Function("f")(x), x),
        sympy.Subs(sympy.Derivative(sympy.Function("f")(x), x), x, 1),
        sympy.Integral(sympy.Function("f")(x), x),
        sympy.gamma(x),
        sympy.I * x,
        sympy.zoo,
        sympy.nan,
        sympy.Piecewise((x, sympy.Contains(x, sympy.Integers)), (0, True)),
    ],
    ids=str,
)
def test_what_has_no_translation_is_refused(expr):
    with pytest.raises(FormatError, match="no operator computes SymPy's"):
        from_sympy(expr)


def test_unknown_operators_do_not_reach_sympy():
    with pytest.raises(FormatError, match="no SymPy form"):
        to_sympy(parse("swish(x)"))


def test_sizes_become_polynomials():
    n, k = dim("N"), dim("k")
    N, K = (sympy.Symbol(name, integer=True, nonnegative=True) for name in "Nk")
    assert size_to_sympy(7) == sympy.Integer(7)
    assert size_to_sympy(2 * n * n - k + 1) == 2 * N**2 - K + 1
    assert size_to_sympy((n - k) // 2 + 1) == sympy.floor((N - K) / 2) + 1
    assert size_to_sympy(n % 4) == sympy.Mod(N, 4)


def test_sympy_is_imported_at_the_first_call():
    code = "import sys, symgrad.formula as f; f.parse('x + 1'); assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
