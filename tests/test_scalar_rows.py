"""Every elementwise row: meaning, formula and derivative agree; the user's own rows are rows like any other."""

import math
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, DType
from symgrad.errors import DTypeError, FormatError, GradientError, ShapeError
from symgrad.expr import literal, symbol_node, topological
from symgrad.formula import Num, Var, fold, parse, variables
from symgrad.ops import activations, bitwise, derived, generate, scalar, special, trigonometry
from symgrad.ops.calculus import OPERANDS, compute, derivative_of, expand, instantiate, scale
from symgrad.ops.custom import elementwise
from symgrad.ops.derive import differentiate, prove
from symgrad.ops.row import ROWS
from symgrad.shape import Dim, dim

NAMES = [row.name for row in generate.rows()]
FORMULAS = [name for name in NAMES if ROWS[name].structure.formula]
DIFFERENTIABLE = [name for name in NAMES if ROWS[name].differentiable and name != "stop_gradient"]
CHOICES = {"abs", "where", "maximum", "minimum"}  # what no symbolic proof sees through
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 20.0, -20.0, 100.0, -100.0, 1e30, math.inf, -math.inf, math.nan]


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


# -- meaning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_types_and_values_of_every_case(name):
    row = ROWS[name]
    for case in row.cases:
        arrays = draw(case)
        nodes = [
            symbol_node(v, s.shape, DType(a.dtype.name)) for v, s, a in zip("xyz", case.operands, arrays, strict=False)
        ]
        node = row(*nodes)
        out = value_of(node, dict(zip("xyz", arrays, strict=False)))
        assert out.dtype == node.dtype.numpy
        assert out.shape == tuple(s.evaluate({"n": 5}) if isinstance(s, Dim) else s for s in node.shape)
        assert np.isfinite(out).all()


@pytest.mark.parametrize("name", NAMES)
def test_oracles_keep_the_precision_and_do_not_warn(name):
    row = ROWS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (np.float32, np.float64):
            values = np.asarray(SPECIAL, dtype)
            bools = {"bool": row.arity, "select": 1, "bits": row.arity}.get(row.operands, 0)
            grid = [a.ravel() for a in np.meshgrid(*[values] * row.arity)]
            if row.operands == "bits":
                grid = [np.nan_to_num(a, posinf=9, neginf=-9).clip(-99, 99).astype("int32") for a in grid]
            arrays = [a > 0 if k < bools and row.operands != "bits" else a for k, a in enumerate(grid)]
            out = row.oracle(*arrays)
            assert isinstance(out, np.ndarray)
            assert out.dtype in (dtype, np.bool_, arrays[0].dtype)
            assert row.oracle(*(a[0] for a in arrays)).shape == ()


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
def test_the_formula_is_the_oracle(name, dtype):
    """Also at signed zeros, infinities and NaN; float32 within a few units in the last place."""
    row = ROWS[name]
    values = np.asarray(SPECIAL, dtype.numpy)
    env = dict(zip(OPERANDS, (a.ravel() for a in np.meshgrid(*[values] * row.arity)), strict=False))
    expected, formula = row.oracle(*env.values()), parse(row.structure.formula)
    eps = np.finfo(dtype.numpy).eps
    for form in (formula, expand(formula)):
        np.testing.assert_allclose(compute(form, env, dtype), expected, rtol=8 * eps, atol=np.finfo(dtype.numpy).tiny)


@pytest.mark.parametrize("name", [n for n in FORMULAS if ROWS[n].operands in ("arithmetic", "same")])
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_the_formula_is_the_oracle_for_integers(name, dtype):
    row = ROWS[name]
    values = np.arange(0, 6).astype(dtype) if dtype == "uint8" else np.arange(-6, 6, dtype=dtype)
    arrays = [a.ravel() for a in np.meshgrid(*[values] * row.arity)]
    nodes = [symbol_node(v, (len(a),), DType(dtype)) for v, a in zip("xyz", arrays, strict=False)]
    env = dict(zip("xyz", arrays, strict=False))
    graph = instantiate(parse(row.structure.formula), dict(zip("xyz", nodes, strict=False)), DType(dtype))
    assert graph.type == row(*nodes).type
    np.testing.assert_array_equal(value_of(graph, env), row.oracle(*arrays))


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("relu", [math.nan], math.nan),
        ("relu", [-math.inf], 0.0),
        ("maximum", [math.nan, 1.0], math.nan),
        ("maximum", [1.0, math.nan], math.nan),
        ("minimum", [1.0, math.nan], math.nan),
        ("sign", [math.nan], math.nan),
        ("sigmoid", [-1000.0], 0.0),
        ("sigmoid", [1000.0], 1.0),
        ("softplus", [1000.0], 1000.0),
        ("softplus", [-50.0], math.exp(-50.0)),
        ("erf", [0.3], math.erf(0.3)),
        ("log1p", [1e-18], 1e-18),
        ("floor_divide", [-7.0, 2.0], -4.0),
        ("remainder", [-7.0, 2.0], 1.0),
        ("floor_divide", [np.int32(-7), np.int32(2)], -4),
        ("floor_divide", [np.int32(-7), np.int32(0)], 0),
        ("remainder", [np.int32(-7), np.int32(2)], 1),
        ("remainder", [np.int32(-7), np.int32(0)], 0),
        ("power", [np.int32(-2), np.int32(3)], -8),
        ("power", [np.int32(2), np.int32(-3)], 0),
        ("power", [np.int32(-1), np.int32(-3)], -1),
        ("floor", [np.int32(3)], 3),
        ("isnan", [math.nan], True),
        ("round", [2.5], 2.0),
        ("round", [-1.5], -2.0),
        ("ceil", [np.int32(3)], 3),
        ("trunc", [-1.7], -1.0),
        ("fmod", [-7.0, 2.0], -1.0),
        ("fmod", [np.int32(-7), np.int32(2)], -1),
        ("fmod", [np.int32(-7), np.int32(0)], 0),
        ("clip", [5.0, 0.0, 1.0], 1.0),
        ("clip", [0.5, 2.0, 1.0], 1.0),
        ("logaddexp", [math.inf, math.inf], math.inf),
        ("logaddexp", [-math.inf, -math.inf], -math.inf),
        ("hypot", [math.inf, math.nan], math.inf),
        ("sigmoid", [-100.0], math.exp(-100.0)),
        ("digamma", [1.0], -0.5772156649015329),
        ("trigamma", [1.0], math.pi**2 / 6),
        ("polygamma", [2.0, 1.0], -2.4041138063191885),
        ("bitwise_and", [np.int32(12), np.int32(10)], 8),
        ("bitwise_invert", [np.int32(0)], -1),
        ("bitwise_invert", [np.bool_(True)], False),
        ("bitwise_left_shift", [np.int32(1), np.int32(40)], 0),
        ("bitwise_right_shift", [np.int32(-8), np.int32(40)], -1),
        ("gelu", [0.5], 0.34573123063700656),
    ],
)
def test_values_that_were_decided(name, operands, expected):
    np.testing.assert_allclose(ROWS[name].oracle(*map(np.asarray, operands)), expected, rtol=1e-15)


def test_promotion():
    n = dim("N")
    x, i, b = (symbol_node(name, (n, 3), dtype) for name, dtype in [("x", FLOAT32), ("i", INT32), ("b", BOOL)])
    assert scalar.add(x, i).dtype is FLOAT32
    assert scalar.add(x, 2.5).dtype is FLOAT32
    assert scalar.add(i, i).dtype is INT32
    assert scalar.add(b, b).dtype is DType.INT64
    assert scalar.divide(i, i).dtype is FLOAT32
    assert scalar.exp(i).dtype is FLOAT32
    assert bitwise.bitwise_and(i, 3).dtype is INT32
    assert special.polygamma(1, x).dtype is FLOAT32
    assert scalar.less(x, i).dtype is BOOL
    assert scalar.where(b, x, 0).dtype is FLOAT32
    assert scalar.astype(x, "int32").dtype is INT32
    assert scalar.astype(x, "float32") is x
    with pytest.raises(DTypeError, match="bool operands"):
        scalar.logical_and(x, b)
    with pytest.raises(DTypeError, match="bool operands"):
        scalar.where(x, x, x)
    with pytest.raises(ShapeError, match="do not broadcast"):
        scalar.add(x, symbol_node("y", (n, 4), FLOAT32))
    with pytest.raises(TypeError, match="takes 2 operands"):
        scalar.add(x)


# -- derivatives ---------------------------------------------------------------------------------------------------


def test_the_generated_file_is_up_to_date():
    """Proves every derivative with SymPy on the way. If it differs: `python -m symgrad.ops.generate`."""
    assert Path(derived.__file__).read_text(encoding="utf8") == generate.source()


def is_analytic(name):
    """Tell whether neither a row's formula nor its derivatives choose."""
    row = ROWS[name]
    texts = [expand(generate.call_of(row)), *map(expand, derivative_of(name))]
    return row.smooth and not any(call in CHOICES for text in texts for call in calls_in(text))


def calls_in(formula):
    found = []
    fold(formula, lambda leaf: None, lambda name, args: found.append(name))
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if is_analytic(name)])
def test_every_smooth_derivative_is_proved_symbolically(name):
    row = ROWS[name]
    assert set(generate.proofs(row)) == {"symbolic"}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_are_central_differences(name):
    row = ROWS[name]
    for case in row.cases:
        if not any(s.dtype == "float" for s in case.operands):
            continue
        arrays = draw(case, n=16, seed=3)
        env = dict(zip(OPERANDS, arrays, strict=False))
        env["out"] = row.oracle(*arrays)
        for position, (array, derivative) in enumerate(zip(arrays, derivative_of(name), strict=True)):
            if array.dtype.kind != "f":
                assert derivative is Num(0)
                continue
            h = 1e-6
            below, above = (row.oracle(*arrays[:position], array + s, *arrays[position + 1 :]) for s in (-h, h))
            got = np.broadcast_to(compute(derivative, env, FLOAT64), env["out"].shape)
            np.testing.assert_allclose(got, (above - below) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_speak_of_operands_and_result_only(name):
    row = ROWS[name]
    assert len(derivative_of(name)) == row.arity
    for derivative in derivative_of(name):
        assert set(variables(derivative)) <= {*OPERANDS[: row.arity], "out"}


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("relu", [0.0], [0]),
        ("relu", [-1.0], [0]),
        ("relu", [1.0], [1]),
        ("abs", [0.0], [0]),
        ("abs", [-2.0], [-1]),
        ("maximum", [1.0, 1.0], [0.5, 0.5]),
        ("maximum", [2.0, 1.0], [1, 0]),
        ("minimum", [1.0, 1.0], [0.5, 0.5]),
        ("minimum", [2.0, 1.0], [0, 1]),
        ("floor", [1.0], [0]),
        ("sign", [0.0], [0]),
        ("floor_divide", [4.0, 2.0], [0, 0]),
        ("remainder", [4.0, 2.0], [1, -2]),
        ("stop_gradient", [4.0], [0]),
        ("fmod", [-4.0, 2.0], [1, 2]),
        ("relu6", [0.0], [0]),
        ("relu6", [6.0], [0]),
        ("leaky_relu", [0.0, 0.3], [0.3, 0]),
        ("elu", [0.0, 2.0], [2, 0]),
        ("celu", [0.0, 2.0], [1, 0]),
        ("hard_sigmoid", [-3.0], [0]),
        ("hard_sigmoid", [3.0], [0]),
        ("hard_tanh", [1.0], [0]),
        ("hard_swish", [-3.0], [0]),
        ("hard_swish", [3.0], [1]),
        ("clip", [0.5, 0.0, 1.0], [1, 0, 0]),
        ("clip", [0.0, 0.0, 1.0], [0, 1, 0]),
        ("clip", [1.0, 0.0, 1.0], [0, 0, 1]),
        ("clip", [0.5, 2.0, 1.0], [0, 0, 1]),
        ("hypot", [0.0, 0.0], [0, 0]),
        ("power", [0.0, 2.0], [0, 0]),
        *[(name, [1.0, 1.0], [0, 0]) for name in ("equal", "not_equal", "less", "less_equal", "greater")],
    ],
)
def test_sub_gradients(name, operands, expected):
    env = dict(zip(OPERANDS, map(np.asarray, operands), strict=False))
    env["out"] = ROWS[name].oracle(*env.values())
    assert [float(compute(d, env, FLOAT64)) for d in derivative_of(name)] == expected


FAR = [
    "tanh",
    "erf",
    "erfc",
    "ndtr",
    "exp",
    "atan",
    "asinh",
    *(row.name for row in generate.rows() if row.name in activations.__all__),
]


@pytest.mark.parametrize("name", FAR)
def test_derivatives_are_finite_far_out(name):
    x = np.array([-100.0, 80.0], np.float32)
    for derivative in derivative_of(name):
        operands = [x, np.full_like(x, 0.3)][: ROWS[name].arity]
        env = dict(zip(OPERANDS, operands, strict=False))
        assert np.isfinite(compute(derivative, {**env, "out": ROWS[name].oracle(*operands)}, FLOAT32)).all()


def test_derivatives_read_as_a_person_writes_them():
    assert [str(d) for d in derivative_of("tanh")] == ["1 - square(out)"]
    assert [str(d) for d in derivative_of("relu")] == ["where(x > 0, 1, 0)"]
    assert [str(d) for d in derivative_of("multiply")] == ["y", "x"]


def test_wrong_derivatives_are_not_proved():
    with pytest.raises(GradientError, match="not proved"):
        prove(parse("tanh(x)"), "x", parse("1 - out"), [(-2.0, 2.0)])
    with pytest.raises(GradientError, match="instead of"):
        prove(parse("abs(x)"), "x", parse("-sign(x)"), [(-2.0, 2.0)])
    with pytest.raises(GradientError, match="no local derivatives"):
        derivative_of("astype")


def test_a_cotangent_is_scaled_as_a_person_writes_it():
    g, x, y = (symbol_node(name, (3,), FLOAT32) for name in "gxy")
    env = {"x": x, "y": y}
    assert scale(g, parse("0"), env) is None
    assert scale(g, parse("1"), env) is g
    assert scale(g, parse("-1"), env) is scalar.negative(g)
    assert scale(g, parse("1 / y"), env) is scalar.divide(g, y)
    assert scale(g, parse("-x / y"), env) is scalar.divide(scalar.negative(scalar.multiply(g, x)), y)
    assert scale(g, parse("cos(x)"), env) is scalar.multiply(g, trigonometry.cos(x))


def test_instantiated_numbers_take_the_dtype_of_the_operands():
    x = symbol_node("x", (3,), FLOAT64)
    node = instantiate(parse("where(x > 0, pi, x / 3)"), {"x": x}, FLOAT64)
    assert {n.dtype for n in topological([node]) if n.op == "constant"} == {FLOAT64}
    assert value_of(node, {"x": np.array([1.0, -1.0])}).tolist() == [math.pi, -1 / 3]
    assert literal(instantiate(parse("lowest"), {}, INT32)) == -(2**31)
    with pytest.raises(FormatError, match="no value"):
        instantiate(Var("t"), {"x": x}, FLOAT64)
    with pytest.raises(FormatError, match=r"Did you mean 'tan"):
        instantiate(parse("tahn(x)"), {"x": x}, FLOAT64)


@pytest.mark.parametrize("module", ["scalar", "activations", "calculus", "custom", "derived", "derive", "generate"])
def test_sympy_is_not_imported(module):
    code = f"import sys, symgrad.ops.{module}; assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the user's own rows -------------------------------------------------------------------------------------------


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
    assert ROWS[name] is row
    assert text is None or row.structure.formula == text
    arrays = [np.random.default_rng(k).uniform(0.3, 2.0, 7) for k in range(row.arity)]
    symbols = sp.symbols("a:d", real=True)[: row.arity]
    exact = sp.sympify(f(*symbols))
    expected = [float(exact.subs(dict(zip(symbols, point, strict=True)))) for point in zip(*arrays, strict=True)]
    out = row.oracle(*arrays)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    env = {**dict(zip(OPERANDS, arrays, strict=False)), "out": out}
    for k, derivative in enumerate(derivative_of(name)):
        below, above = (row.oracle(*arrays[:k], arrays[k] + s, *arrays[k + 1 :]) for s in (-1e-6, 1e-6))
        got = np.broadcast_to(compute(derivative, env, FLOAT64), (7,))
        np.testing.assert_allclose(got, (above - below) / 2e-6, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["swish", "own_mish", "own_gelu", "logistic", "own_hard_swish"])
def test_own_operators_do_not_overflow(define, name):
    row = define(name, OWN[name][0])
    x = np.array([-100.0, -20.0, 0.0, 20.0, 100.0], np.float32)
    for derivative in derivative_of(name):
        assert np.isfinite(compute(derivative, {"x": x, "out": row.oracle(x)}, FLOAT32)).all()


def test_own_operators_build_nodes_and_compose(define):
    define("swish", OWN["swish"][0], doc="Give x * sigmoid(x).")
    x = symbol_node("x", (dim("N"), 3), FLOAT32)
    node = ROWS["swish"](x)
    assert (node.op, node.type) == ("swish", x.type)
    assert str(expand(parse("swish(x)"))) == "x * (where(x < 0, exp(-abs(x)), 1) / (1 + exp(-abs(x))))"
    assert ROWS["swish"].smooth
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


def test_a_taken_name_is_refused_a_second_time(define):
    define("swish", OWN["swish"][0])
    with pytest.raises(FormatError, match="taken"):
        define("swish", OWN["swish"][0])
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


def test_registry_rows_are_the_public_functions():
    wrapped = {"astype", "clip", "celu", "elu", "gelu", "leaky_relu"}
    for module in generate.MODULES:
        assert all(getattr(module, name) is ROWS[name] for name in module.__all__ if name not in wrapped)
    assert all(row.doc and row.cases for row in map(ROWS.get, NAMES))
    assert all(ROWS[a].commutative for a in ("add", "multiply", "maximum", "equal", "logical_xor"))
