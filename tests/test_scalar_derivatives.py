"""The derivatives of elementwise rows: generated, proved, measured by differences, finite far out."""

from pathlib import Path

import mpmath
import numpy as np
import pytest
from scalar_cases import DIFFERENTIABLE, NAMES, draw

from symgrad.dtypes import FLOAT32, FLOAT64
from symgrad.errors import GradientError
from symgrad.expr import symbol_node
from symgrad.formula import Num, fold, parse, variables
from symgrad.interpreter import evaluate
from symgrad.ops import activations, derived, generate, scalar, trigonometry
from symgrad.ops.calculus import OPERANDS, compute, derivative_of, expand, scale
from symgrad.ops.derive import prove
from symgrad.ops.row import ROWS
from symgrad.reverse import grad

CHOICES = {"abs", "where", "maximum", "minimum"}  # what no symbolic proof sees through


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


@pytest.mark.parametrize("offset", [0.25, 0.5, 0.001, 0.999])
def test_the_derivative_of_trigamma_keeps_its_digits_far_from_0(offset):
    """Its reflection is periodic: the angle is reduced before it is multiplied by pi."""
    x = symbol_node("x", (), FLOAT64)
    for whole in (-3.0, -1000.0, -100000.0):
        point = whole - offset
        got = float(evaluate(grad(ROWS["trigamma"](x), x), {x: point}))
        with mpmath.workdps(40):
            want = float(mpmath.polygamma(2, mpmath.mpf(point)))
        assert got == pytest.approx(want, rel=1e-12)
