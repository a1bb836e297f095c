"""The oracle against itself, symgrad and compiled code: three ways to a gradient agree, results lie within the bounds.

Gradients: the tape, dual numbers and symgrad's own graphs (interpreted) of every case of every differentiable row.
Bounds: compiled float32 results of every case of every row, and of some networks with their gradients.
"""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from oracle.bound import GENERAL as BOUNDED
from oracle.bound import RULES, bounded, refused
from oracle.dual import GENERAL as FORWARD
from oracle.dual import PUSHFORWARDS, tangent
from oracle.enclosure import ulps_of
from oracle.partials import DISCRETE, FLAT, PARTIALS, partials_of
from oracle.tape import GENERAL as REVERSE
from oracle.tape import PULLBACKS, gradients
from oracle.values import UnplacedError, labels
from row_cases import calls, draw

import symgrad as sg
from symgrad.expr import make, symbol_node
from symgrad.ops.row import ROWS, Sample
from symgrad.ops.special_values import SPECIAL_VALUES
from symgrad.ops.structure import Map, Project
from symgrad.simplifier import simplify

N = sg.dim("n")
SIZE = sg.symbol("size", (N,))  # tells n where no operand does
CALLS = [replace(call, float_dtype="float64") for call in calls()]
BUILT_IN = sorted({call.row.name for call in CALLS})
DIFFERENTIABLE = [
    pytest.param(call, id=str(call))
    for call in CALLS
    if call.row.differentiable and call.node.dtype.is_float and any(x.dtype.is_float for x in call.operands)
]


# -- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_row_has_its_place(name):
    row = ROWS[name]
    if isinstance(row.structure, Project):
        return  # no operator has several results
    if isinstance(row.structure, Map):
        assert sum(name in table for table in (PARTIALS, FLAT, DISCRETE)) == 1
        assert name in DISCRETE or ulps_of(name, "float32") <= 4
        return
    for named, general in ((PULLBACKS, REVERSE), (PUSHFORWARDS, FORWARD), (RULES, BOUNDED)):
        assert (name in named) != (type(row.structure) in general)


def test_tables_name_no_rows_that_do_not_exist():
    named = {*PARTIALS, *FLAT, *DISCRETE, *PULLBACKS, *PUSHFORWARDS, *RULES}
    assert named <= ROWS.keys()


def test_a_row_in_no_table_is_an_error(monkeypatch):
    x = sg.symbol("x", (3,))
    monkeypatch.delitem(PULLBACKS, "sum")
    monkeypatch.delitem(PUSHFORWARDS, "sum")
    monkeypatch.delitem(RULES, "sum")
    env = {x: np.ones(3)}
    for run in (
        lambda: gradients(sg.sum(x), [x], env),
        lambda: tangent([sg.sum(x)], env, env),
        lambda: bounded([sg.sum(x)], env),
    ):
        with pytest.raises(UnplacedError, match="'sum' is in no table"):
            run()
    with pytest.raises(UnplacedError, match="'exp' is in no table"):
        labels(sg.exp(x))
    with pytest.raises(KeyError, match="no table"):
        ulps_of("sum", "float32")


# -- partial derivatives -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SPECIAL_VALUES))
def test_choices_at_kinks_are_the_documented_ones(name):
    if name in DISCRETE:
        return
    arity = ROWS[name].arity
    for point in SPECIAL_VALUES[name]:
        operands, out, slopes = point[:arity], point[arity], point[arity + 1 :]
        if not np.isfinite([*operands, out, *slopes]).all() or max(map(abs, operands)) > 1e10:
            continue
        found = partials_of(name, [np.asarray(v) for v in operands], np.asarray(out))
        for slope, wanted in zip(found, slopes, strict=True):
            assert float(slope) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "operands", "exact"),
    [
        ("lgamma", lambda x: [x], lambda x: mpmath.digamma(x)),
        ("digamma", lambda x: [x], lambda x: mpmath.polygamma(1, x)),
        ("trigamma", lambda x: [x], lambda x: mpmath.polygamma(2, x)),
        ("polygamma", lambda x: [np.float64(3), np.abs(x)], lambda x: mpmath.polygamma(4, abs(x))),
        ("gelu", lambda x: [x], lambda x: mpmath.diff(lambda t: t * mpmath.ncdf(t), x)),
        ("mish", lambda x: [x], lambda x: mpmath.diff(lambda t: t * mpmath.tanh(mpmath.log1p(mpmath.exp(t))), x)),
    ],
)
def test_partials_of_special_functions(name, operands, exact):
    for x in (-3.3, -0.4, 0.02, 0.7, 1.5, 4.0, 11.0, 60.0):
        slope = partials_of(name, [np.asarray(v) for v in operands(x)], np.asarray(np.nan))[-1]
        with mpmath.workdps(30):
            assert float(slope) == pytest.approx(float(exact(mpmath.mpf(x))), rel=1e-12)


# -- gradients -----------------------------------------------------------------------------------------------------


def close(found, wanted, scale):
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10 * float(scale))


def compare_gradients(loss, wrt, env, own):
    """Compare the tape with symgrad's graphs, and with dual numbers along a random direction."""
    taped = gradients(loss, wrt, env)
    for found in own:
        for g, t in zip(sg.evaluate(found, env), taped, strict=True):
            close(g, t, 1 + np.max(np.abs(t), initial=0))
    rng = np.random.default_rng(7)
    directions = {x: rng.standard_normal(t.shape) for x, t in zip(wrt, taped, strict=True)}
    terms = [np.sum(t * d) for t, d in zip(taped, directions.values(), strict=True)]
    sizes = [np.sum(np.abs(t * d)) for t, d in zip(taped, directions.values(), strict=True)]
    close(tangent([loss], env, directions)[0], sum(terms), 1 + sum(sizes))


@pytest.mark.parametrize("call", DIFFERENTIABLE)
def test_three_ways_to_one_gradient(call):
    operands, node = call.operands, call.node
    weights = symbol_node("w", node.shape, node.dtype)
    loss = sg.sum(node * weights)
    floats = [x for x in operands if x.dtype.is_float]
    own = [sg.grad(loss, floats, simplify=choice, disconnected="zero") for choice in (False, True)]
    for n in call.case.sizes:
        env = {N: n, **dict(zip(operands, call.draw(n), strict=True))}
        env[weights] = draw(np.random.default_rng(n), Sample(node.shape), n)
        compare_gradients(loss, floats, env, own)


@sg.custom_gradient(vjp=lambda operands, out, g: (g * 3 * operands[1], g * operands[0]), check=False)
def triple(x, y):
    return x * y


def _network(dtype):
    x, y = sg.symbol("x", (N, 6), dtype), sg.symbol("y", (N,), "int32")
    W, b, V = (sg.symbol(name, shape, dtype) for name, shape in (("W", (6, 5)), ("b", (5,)), ("V", (5, 4))))
    hidden = sg.relu(x @ W + b)
    return sg.losses.sparse_categorical_crossentropy(y, hidden @ V, from_logits=True), [W, b, V]


def _normalised(dtype):
    x, scale = sg.symbol("x", (N, 6), dtype), sg.symbol("s", (6,), dtype)
    centred = x - sg.mean(x, axis=1, keepdims=True)
    return sg.sum(sg.tanh(scale * centred / sg.sqrt(sg.var(x, axis=1, keepdims=True) + 0.1))), [x, scale]


def _chosen(dtype):
    x, i = sg.symbol("x", (N, 6), dtype), sg.symbol("i", (N,), "int32")
    best = sg.max(sg.sin(x), axis=1, keepdims=True) * sg.pick(x, i % 6)[:, None]
    safe = sg.where(x > 0, sg.log(sg.where(x > 0, x, 1)), x)
    return sg.sum(best * safe) + sg.sum(sg.sort(x * x, axis=1)[:, :2]), [x]


def _regions(dtype):
    x, y = sg.symbol("x", (N, 6), dtype), sg.symbol("y", (6,), dtype)
    inner = sg.checkpoint(lambda a: sg.sum(sg.exp(sg.sin(a)) * y, axis=1))(x * y)
    return sg.sum(inner * sg.sum(triple(x, x + sg.stop_gradient(y)), axis=1)), [x, y]


def _systems(dtype):
    x, y = sg.symbol("x", (N, 6), dtype), sg.symbol("y", (6,), dtype)
    gram = x.T @ x / (N + 1) + sg.eye(6, dtype=dtype)
    factor = sg.linalg.cholesky(gram)
    return sg.linalg.logdet(gram) + sg.sum(sg.linalg.solve(gram, y) * factor[:, 0]) + sg.linalg.det(gram), [x, y]


PROGRAMS = (_network, _normalised, _chosen, _regions, _systems)


def values_for(roots, n, dtype):
    rng = np.random.default_rng(n)
    env = {}
    for node in dict.fromkeys(s for root in roots for s in root.free_symbols):
        shape = tuple(n if size is N or size == N else size for size in node.shape)
        env[node] = rng.integers(0, 4, shape).astype("int32") if node.dtype == "int32" else rng.normal(0, 1, shape)
        env[node] = env[node].astype(node.dtype.numpy)
    return env


@pytest.mark.parametrize("program", PROGRAMS)
def test_gradients_of_programs(program):
    loss, wrt = program("float64")
    own = [sg.grad(loss, wrt, simplify=choice) for choice in (False, True)]
    for n in (1, 17):
        compare_gradients(loss, wrt, values_for([loss], n, "float64"), own)


def test_gradients_by_intermediate_results_and_of_what_is_not_reached():
    x, z = sg.symbol("x", (3,), "float64"), sg.symbol("z", (2,), "float64")
    y = sg.exp(x)
    env = {x: np.array([0.0, 1.0, 2.0]), z: np.ones(2)}
    by_y, by_x, by_z = gradients(sg.sum(y * y), [y, x, z], env)
    close(by_y, 2 * np.exp(env[x]), 1)
    close(by_x, 2 * np.exp(2 * env[x]), 1)
    assert by_z.tolist() == [0.0, 0.0]
    (given,) = gradients(sg.sum(y * y), [y], {y: np.array([1.0, 2.0, 3.0])})
    assert given.tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(ValueError, match="a loss is a scalar"):
        gradients(y, [x], env)
    with pytest.raises(TypeError, match="not by str"):
        gradients(sg.sum(y), [x], {"x": env[x]})


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_products_with_any_zeros(zeros):
    x = sg.symbol("x", (4, 3), "float64")
    value = np.random.default_rng(0).uniform(0.5, 2, (4, 3))
    value[:zeros, 1] = 0
    for loss in (sg.sum(sg.prod(x, axis=0)), sg.sum(sg.cumprod(x, axis=0)), sg.prod(x)):
        compare_gradients(loss, [x], {x: value}, [sg.grad(loss, [x])])


def test_ties_share_and_choices_do_not_leak():
    x = sg.symbol("x", (3,), "float64")
    env = {x: np.array([1.0, 1.0, 0.0])}
    assert gradients(sg.max(x), [x], env)[0].tolist() == [0.5, 0.5, 0.0]
    loss = sg.sum(sg.where(x > 0, sg.sqrt(x), 0))
    assert gradients(loss, [x], env)[0].tolist() == [0.5, 0.5, 0.0]


def test_deep_chains_are_walked_without_recursion():
    x = sg.symbol("x", (2,), "float64")
    y = x
    for _ in range(1000):
        y = y + sg.sin(x)
    env = {x: np.array([0.1, 0.2])}
    want = 1 + 1000 * np.cos(env[x])
    close(gradients(sg.sum(y), [x], env)[0], want, 1)
    close(tangent([y], env, {x: np.ones(2)})[0], want, 1)
    ((value, error),) = bounded([y], env)
    assert (error < 1e-9).all()
    assert not refused(sg.evaluate(y, env), value, error).any()


# -- bounds --------------------------------------------------------------------------------------------------------

SILLY = 1e-3  # of the largest magnitude, or of 1


def check_bounds(outputs, function, arrays, env, many=True):
    """Hold compiled results to their bounds, and the bounds to being of use."""
    for got, (value, error) in zip(function(*arrays), bounded(simplify(outputs), env), strict=True):
        assert not refused(got, value, error).any(), f"{got} is not {value} +- {error}"
        if value.size == 0:
            continue
        if value.dtype.kind != "f":
            assert refused(~got if value.dtype.kind == "b" else got + 1, value, error).all()
            continue
        finite = np.isfinite(error)
        assert np.median(np.where(finite, error, 0.0)) < SILLY * max(1.0, np.max(np.abs(value)))
        assert not many or np.mean(finite) > 0.9
        off = np.asarray(got, np.float64) + np.where(finite, 100 * error, 0.0) + np.where(error == 0, 1e-3, 0.0)
        assert refused(off, value, error)[finite].all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_compiled_results_lie_within_their_bounds(name):
    mine = [replace(call, float_dtype="float32") for call in CALLS if call.row.name == name]
    inputs, outputs = {}, []
    for k, call in enumerate(mine):
        operands = [symbol_node(f"{x.attrs['name']}{k}", x.shape, x.dtype) for x in call.operands]
        inputs[k] = operands
        outputs.append(call.row(*operands, **call.case.attrs))
    for sizes in {call.case.sizes for call in mine}:
        chosen = [k for k, call in enumerate(mine) if call.case.sizes == sizes]
        symbols = [x for k in chosen for x in inputs[k]]
        function = sg.function([SIZE, *symbols], [outputs[k] for k in chosen])
        for n in sizes:
            drawn = [v for k in chosen for v in mine[k].draw(n)]
            env = {x: np.asarray(v, x.dtype.numpy) for x, v in zip(symbols, drawn, strict=True)}
            arrays = [np.zeros(n, "float32"), *env.values()]
            check_bounds([outputs[k] for k in chosen], function, arrays, {N: n, **env})


@pytest.mark.parametrize("program", PROGRAMS)
def test_compiled_programs_lie_within_their_bounds(program):
    for dtype in ("float32", "float64") if program in PROGRAMS[:2] else ("float32",):
        loss, wrt = program(dtype)
        outputs = [loss, *sg.grad(loss, wrt)]
        symbols = list(dict.fromkeys(s for root in outputs for s in root.free_symbols))
        function = sg.function(symbols, outputs)
        for n in (1, 17, 64):
            env = values_for(outputs, n, dtype)
            check_bounds(outputs, function, [env[s] for s in symbols], env)


def test_long_sums_and_products():
    x, y = sg.symbol("x", (N,)), sg.symbol("y", (N, 3))
    outputs = [sg.sum(x), sg.mean(y, axis=0), x @ y, sg.cumsum(x), sg.var(x), sg.logsumexp(x)]
    function = sg.function([x, y], outputs)
    rng = np.random.default_rng(0)
    env = {x: rng.normal(5, 1, 20_000).astype("float32"), y: rng.normal(3, 1, (20_000, 3)).astype("float32")}
    check_bounds(outputs, function, list(env.values()), env)


def bound_of(build, *values):
    symbols = [sg.symbol(name, np.shape(v)) for name, v in zip("xyz", values, strict=False)]
    env = {s: np.asarray(v, "float32") for s, v in zip(symbols, values, strict=True)}
    ((value, error),) = bounded([build(*symbols)], env)
    return value, error


def test_what_rounding_may_turn_is_undecided():
    x = [0.1, 0.7, 3.0]
    for build in (
        lambda x: sg.exp(x) > sg.exp(x) * (1 + 1e-7),
        lambda x: sg.argmax(sg.stack([sg.exp(x), sg.exp(x) * 1.0000001]), axis=0),
        lambda x: sg.argsort(sg.stack([sg.exp(x), sg.exp(x) * 1.0000001]), axis=0)[0],
        lambda x: (
            sg.floor(sg.exp(sg.log(x))).astype("int32") * 0 + sg.round(sg.log(sg.exp(x)) + 0.5 - x).astype("int32")
        ),
        lambda x: sg.take(x, (sg.exp(x) > sg.exp(x) * (1 + 1e-7)).astype("int32")),
    ):
        assert np.isinf(bound_of(build, x)[1]).all()
    value, error = bound_of(lambda x: sg.where(sg.exp(x) > sg.exp(x) * (1 + 1e-7), x, -x), x)
    np.testing.assert_allclose(error, 2 * np.abs(value))  # either side
    assert (bound_of(lambda x: sg.exp(x) > sg.exp(x) * 1.1, x)[1] == 0).all()


def test_a_value_compared_with_itself_is_decided():
    assert bound_of(lambda x: sg.exp(x) <= sg.exp(x), [0.1, 0.2])[1].tolist() == [0, 0]


def test_overflow_and_infinities():
    value, error = bound_of(lambda x: sg.exp(x), [88.0, 88.72284, 89.0, np.inf])
    assert np.isfinite(error).tolist() == [True, False, False, True]
    assert not refused([np.exp(88.0), 3e38, np.inf, np.inf], value, error).any()
    assert refused([np.inf, 0.0, 0.0, 1e38], value, error).tolist() == [True, False, False, True]
    value, error = bound_of(lambda x: sg.log(x), [-1.0, 0.0])
    assert error.tolist() == [0, 0]
    assert refused([0.0, np.inf], value, error).all()
    assert np.isinf(bound_of(lambda x: 1 / (sg.exp(x) - sg.exp(x * 1.0)), [0.3])[1]).all()


@pytest.mark.parametrize("name", sorted(SPECIAL_VALUES))
def test_special_values_are_decided(name):
    arity, points = ROWS[name].arity, np.array(SPECIAL_VALUES[name])
    operands = [sg.symbol(f"x{k}", (len(points),), "float64") for k in range(arity)]
    ((value, error),) = bounded([ROWS[name](*operands)], dict(zip(operands, points.T, strict=False)))
    assert np.isfinite(error).all()
    assert not refused(points[:, arity].astype(value.dtype), value, error).any()


def test_the_greatest_is_one_of_the_elements():
    x = [[0.3, 0.9, 0.4], [0.7, 0.7, 0.1]]
    value, error = bound_of(lambda x: sg.grad(sg.sum(sg.max(sg.exp(x), axis=1)), x), x)
    assert (error[0] < 1e-5).all()
    assert np.isinf(error[1, :2]).all() or (error[1, :2] > 0.1 * value[1, :2]).all()  # a tie that rounding may turn
    _, error = bound_of(lambda x: sg.grad(sg.sum(sg.max(sg.relu(x), axis=1)), x), [[-1.0, -2.0, -3.0]])
    assert (error == 0).all()  # exact zeros tie exactly


def test_a_new_structure_has_to_be_placed():
    x = sg.symbol("x", (3,))
    unknown = make("symbol_of_no_row", (x,), {}, x.type)
    with pytest.raises(KeyError):
        bounded([unknown], {x: np.ones(3)})
