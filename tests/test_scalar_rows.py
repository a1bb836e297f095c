"""Every elementwise row: its type, its values by formula and oracle, and the graphs made of formulas."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scalar_cases import FORMULAS, NAMES, draw, value_of

from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, DType
from symgrad.errors import DTypeError, FormatError, ShapeError
from symgrad.expr import literal, symbol_node, topological
from symgrad.formula import Var, parse
from symgrad.ops import bitwise, generate, scalar, special
from symgrad.ops.calculus import OPERANDS, compute, expand, instantiate
from symgrad.ops.row import ROWS
from symgrad.shape import Dim, dim

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.3, -2.5, 20.0, -20.0, 100.0, -100.0, 1e30, math.inf, -math.inf, math.nan]


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


def test_registry_rows_are_the_public_functions():
    wrapped = {"astype", "clip", "celu", "elu", "gelu", "leaky_relu"}
    for module in generate.MODULES:
        assert all(getattr(module, name) is ROWS[name] for name in module.__all__ if name not in wrapped)
    assert all(row.doc and row.cases for row in map(ROWS.get, NAMES))
    assert all(ROWS[a].commutative for a in ("add", "multiply", "maximum", "equal", "logical_xor"))
