"""Elementwise expressions become SymPy's, mean the same there, and come back; what is not elementwise is refused."""

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.dtypes import FLOAT64, DType
from symgrad.errors import FormatError
from symgrad.expr import symbol_node
from symgrad.formula import from_sympy
from symgrad.ops import generate
from symgrad.ops.calculus import instantiate
from symgrad.ops.formulas import expression_to_sympy
from symgrad.ops.row import ROWS

NAMES = [row.name for row in generate.rows()]
WITHOUT = {name for name in NAMES if name.startswith("bitwise_")}  # what no function of real numbers says
N = sg.dim("N")


def drawn(sample, draw):
    if sample.dtype == "bool":
        return bool(draw.random() < 0.5)
    value = draw.uniform(sample.low, sample.high)
    return float(value) if sample.dtype == "float" else int(np.floor(value))


def number(found):
    return float(bool(found)) if found in (sp.true, sp.false) else float(sp.N(found))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT])
def test_every_elementwise_row_means_the_same_in_sympy(name):
    draw = np.random.default_rng(5)
    for case in ROWS[name].cases:
        nodes = [
            symbol_node(v, (), FLOAT64 if s.dtype == "float" else DType(s.dtype))
            for v, s in zip("xyzw", case.operands, strict=False)
        ]
        node = ROWS[name](*nodes)
        for _ in range(3):
            values = [drawn(sample, draw) for sample in case.operands]
            here = {part.name: part for part in sp.sympify(node.to_sympy()).free_symbols}
            point = {here[v]: value for v, value in zip("xyzw", values, strict=False) if v in here}
            expected = float(sg.evaluate(node, dict(zip(nodes, values, strict=True))))
            assert number(sp.sympify(node.to_sympy()).subs(point)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_bits_are_refused(name):
    operands = [symbol_node(v, (), DType.INT32) for v in "xy"[: ROWS[name].arity]]
    with pytest.raises(FormatError, match=f"{name}.* has no SymPy form"):
        ROWS[name](*operands).to_sympy()


x = sg.symbol("x", (N,), dtype="float64")
a = sg.symbol("a", (), dtype="float64")
ROUND_TRIPS = {
    "gaussian": sg.exp(-a * sg.square(x)) * a / 2,
    "damped": sg.sin(3 * x) * sg.exp(-x / 2),
    "bump": sg.where(sg.abs(x) < 1, (1 - x**2) ** 3, 0),
    "rational": (x**2 - a) / (x**4 + 1),
    "activation": sg.silu(a * x) + sg.softplus(x) - sg.gelu(x),
    "counted": (x > a) * x + sg.floor(2 * x),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_the_way_out_and_back(name):
    there = ROUND_TRIPS[name].to_sympy()
    back = instantiate(from_sympy(there), {"x": x, "a": a}, FLOAT64)
    env = {x: np.linspace(-2, 2, 41) + 0.01, a: 0.7}
    np.testing.assert_allclose(sg.evaluate(back, env), sg.evaluate(ROUND_TRIPS[name], env), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["gaussian", "damped", "rational"])
def test_sympy_derives_what_grad_derives(name):
    e = ROUND_TRIPS[name]
    ours = sg.grad(e.sum(), x).to_sympy()
    theirs = sp.diff(e.to_sympy(), sp.Symbol("x", real=True))
    assert sp.simplify(ours - theirs) == 0


def test_symbols_carry_what_is_known():
    n, p, c = sg.symbol("n", (), dtype="int32"), sg.symbol("p", (), facts="positive"), sg.symbol("c", (), dtype="bool")
    W = sg.parameter("W", ())
    assert n.to_sympy().is_integer
    assert p.to_sympy().is_positive
    assert sg.sqrt(sg.square(W) * p).to_sympy() == sp.Abs(sp.Symbol("W", real=True)) * sp.sqrt(p.to_sympy())
    assert sg.where(c, 1.0, p).to_sympy().free_symbols == {sp.Symbol("c"), sp.Symbol("p", positive=True)}
    assert (N + sg.constant(0.5)).to_sympy() == sp.Symbol("N", integer=True, nonnegative=True) + sp.Rational(1, 2)


def test_numbers_are_what_was_written():
    assert sg.constant(0.1).to_sympy() == sp.Float(0.1)
    assert [sg.constant(v).to_sympy() for v in (3, -np.inf, True)] == [3, -sp.oo, sp.true]
    assert sg.constant(np.nan).to_sympy() is sp.nan
    assert sg.broadcast_to(sg.constant(2.5), (3,)).to_sympy() == sp.Rational(5, 2)


@pytest.mark.parametrize(
    ("before", "to", "value", "expected"),
    [
        ("float64", "int32", -2.7, -2),
        ("float64", "bool", 0.5, 1),
        ("bool", "float64", True, 1),
        ("int32", "bool", 0, 0),
    ],
)
def test_conversions(before, to, value, expected):
    v = symbol_node("v", (), DType(before))
    found = sg.astype(v, to).to_sympy()
    (symbol,) = found.free_symbols
    assert number(found.subs(symbol, value)) == expected


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (x.sum(), "sum is no operator of single elements"),
        (x[::-1], "slice is no operator of single elements"),
        (sg.softmax(x), "softmax is no operator of single elements"),
        (x[:, None] * x, "reshape is no operator of single elements"),
        (sg.constant(np.ones(3)) * a, "buffer is no operator of single elements"),
        (a * sg.symbol("a", (3,)), "two variables are named 'a'"),
    ],
)
def test_what_is_not_elementwise_is_refused(node, words):
    with pytest.raises(FormatError, match=words):
        expression_to_sympy(node)


def test_shared_parts_are_translated_once():
    """Written out, 30 levels of y * y would be 2**30 factors."""
    y = a
    for _ in range(30):
        y = sg.tanh(y * y)
    assert y.to_sympy().func is sp.tanh
