"""Rows that move elements: index maps against the rows' NumPy oracles, cotangents against the adjoint identity."""

import itertools
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad.ops as sg
from symgrad.errors import ShapeError
from symgrad.expr import symbol_node
from symgrad.interpreter import evaluate
from symgrad.ops.layout import requirements, reshape_map
from symgrad.ops.row import ROWS, Case
from symgrad.ops.structure import Coordinate, Gather, Layout, Place, Scatter
from symgrad.shape import Dim, dim, names, product
from symgrad.shape import evaluate as value_of

MOVERS = (Layout, Place, Gather, Scatter, Coordinate)
CASES = [
    pytest.param(row, case, size, id=f"{row.name}-{number}-{size}")
    for row in list(ROWS.values())
    if isinstance(row.structure, MOVERS)
    for number, case in enumerate(row.cases)
    for size in case.sizes
]
N, M = dim("N"), dim("M")


def node_of(row, case: Case):
    """Build the case's node with its symbolic sizes."""
    operands = [
        sg.symbol(f"x{i}", sample.shape, "float32" if sample.dtype == "float" else sample.dtype)
        for i, sample in enumerate(case.operands)
    ]
    return row(*operands, **case.attrs)


def draw(case: Case, env, seed=0):
    """Draw the operands' values; all floats differ, so that a wrong index shows."""
    rng = np.random.default_rng(seed)
    arrays = []
    for sample in case.operands:
        shape = [value_of(size, env) for size in sample.shape]
        if sample.dtype == "float":
            arrays.append(rng.permutation(int(np.prod(shape, dtype=int))).reshape(shape) + 1.0)
        else:
            arrays.append(rng.integers(int(sample.low), int(sample.high), shape).astype(sample.dtype))
    return arrays


def bound(value, env):
    if isinstance(value, tuple):
        return tuple(bound(item, env) for item in value)
    return value_of(value, env) if isinstance(value, Dim) else value


def indices(shape):
    return itertools.product(*map(range, shape))


def by_structure(node, arrays, env):
    """Compute a node's value from its structure alone, one element at a time."""
    structure = ROWS[node.op].structure
    shape = bound(node.shape, env)
    out = np.zeros(shape)

    def at(index):
        return tuple(value_of(i, env) for i in index)

    match structure:
        case Layout():
            for i in indices(shape):
                out[i] = arrays[0][at(structure.index(node, i))]
        case Coordinate():
            for i in indices(shape):
                out[i] = value_of(structure.value(node, i), env)
        case Place():
            steps = structure.steps(node) if structure.steps else (1,) * len(shape)
            written = np.zeros(shape, int)
            for piece, offset in zip(arrays, structure.offsets(node), strict=True):
                for i in indices(piece.shape):
                    target = tuple(a + s * k for a, s, k in zip(at(offset), steps, i, strict=True))
                    assert all(0 <= t < n for t, n in zip(target, shape, strict=True))
                    out[target] = piece[i]
                    written[target] += 1
            assert written.max(initial=0) <= 1, "pieces overlap"
            assert not structure.covers or written.min(initial=1) == 1
        case Gather():
            extent = value_of(structure.extent(node), env)
            for i in indices(shape):
                position = int(arrays[1][at(structure.at(node, i))]) % extent
                out[i] = arrays[0][at(structure.source(node, i, position))]
        case Scatter():
            extent = value_of(structure.extent(node), env)
            for i in indices(arrays[0].shape):
                position = int(arrays[1][at(structure.at(node, i))]) % extent
                out[at(structure.target(node, i, position))] += arrays[0][i]
    return out


@pytest.mark.parametrize(("row", "case", "size"), CASES)
def test_the_structure_means_what_the_oracle_computes(row, case, size):
    env = {"n": size}
    node = node_of(row, case)
    arrays = draw(case, env)
    expected = row.oracle(*arrays, **{key: bound(value, env) for key, value in case.attrs.items()})
    assert expected.shape == bound(node.shape, env)
    np.testing.assert_array_equal(by_structure(node, arrays, env), expected)


@pytest.mark.parametrize(("row", "case", "size"), [c for c in CASES if c.values[0].differentiable])
def test_the_cotangent_is_the_adjoint(row, case, size):
    """All these rows are linear in their float operands: <g, f(x)> = <vjp(g), x>, the sum over the operands."""
    node = node_of(row, case)
    g = sg.symbol("g", node.shape)
    cotangents = row.vjp(node, g)
    assert len(cotangents) == len(node.args)
    arrays = draw(case, {"n": size}, seed=1)
    env = dict(zip(node.args, arrays, strict=True))
    env[dim("n")] = size
    env[g] = np.random.default_rng(2).integers(-9, 9, bound(node.shape, {"n": size})).astype(float)
    forward = np.sum(env[g] * evaluate(node, env))
    backward = 0.0
    for operand, cotangent in zip(node.args, cotangents, strict=True):
        assert (cotangent is None) == operand.dtype.is_integer
        if cotangent is not None:
            assert cotangent.shape == operand.shape
            backward += np.sum(evaluate(cotangent, env) * env[operand])
    assert backward == forward


def test_every_mover_has_cases():
    tested = {case.values[0].name for case in CASES}
    assert tested == {name for name, row in ROWS.items() if isinstance(row.structure, MOVERS)}
    assert {"reshape", "slice", "place", "concatenate", "arange", "take", "pick", "scatter_add"} <= tested


# -- reshape ------------------------------------------------------------------------------------------------------


def test_reshape_follows_the_shape_algebra():
    x = sg.symbol("x", (N, 28, 28))
    assert sg.reshape(x, (N, 784)).shape == sg.reshape(x, (-1, 784)).shape == sg.reshape(x, (N, -1)).shape == (N, 784)
    assert sg.reshape(x, -1).shape == (784 * N,)
    assert sg.reshape(x, (2, 392, N)).shape == (2, 392, N)
    assert sg.reshape(sg.symbol("s", (N * M, 4)), (N, -1, 2)).shape == (N, 2 * M, 2)
    assert sg.ravel(sg.symbol("c", ())).shape == (1,)
    assert sg.reshape(sg.symbol("e", (0, 3)), (3, 0, 5)).shape == (3, 0, 5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((N, 783), r"number of elements changes; x is \(N, 28, 28\) with 784\*N elements, \(N, 783\) has 783\*N"),
        ((-1, -1), "only one size may be -1"),
        ((-1, 783), "no size fits in place of -1"),
        ((-1, 0), "no size fits in place of -1"),
        ((N, -784), "negative"),
        ((N, 784.0), "a size is an int or a Dim, not float"),
        ((M, 784), "number of elements changes"),
    ],
)
def test_reshape_refuses(shape, message):
    with pytest.raises(ShapeError, match=message) as caught:
        sg.reshape(sg.symbol("x", (N, 28, 28)), shape)
    assert "test_layout_rows.py" in str(caught.value)


def test_flatten_then_unflatten_is_the_identity_map():
    _, index = reshape_map((N, 28, 28), (N, 784))
    assert [str(i) for i in index] == ["i0", "i1//28", "i1 % 28"]
    _, index = reshape_map((N, M, 4), (N * M, 4))
    assert [str(i) for i in index] == ["i0//M", "i0 % M", "i1"]
    assert reshape_map((N, 1, 5), (N, 5))[1] == (dim("i0"), 0, dim("i1"))


def test_index_names_stay_clear_of_dimensions():
    i0 = dim("i0")
    variables, _ = reshape_map((i0, 6), (i0, 2, 3))
    assert not set(variables) & names(i0)
    node = sg.reshape(symbol_node("x", (i0, 6), sg.constant(1.0).dtype), (i0, 2, 3))
    assert ROWS["reshape"].structure.index(node, (i0 - 1, 1, 2)) == (i0 - 1, 5)


@given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4), st.randoms(use_true_random=False))
def test_reshape_maps_agree_with_numpy(shape, random):
    factors = [f for size in shape for f in ([2, 3] if size == 6 else [2, 2] if size == 4 else [size])]
    random.shuffle(factors)
    target = []
    while factors:
        count = random.randint(1, len(factors))
        target.append(reduce(lambda a, b: a * b, factors[:count]))
        factors = factors[count:]
    variables, index = reshape_map(tuple(shape), tuple(target))
    x = np.arange(product(shape)).reshape(shape)
    for i in indices(target):
        env = dict(zip(variables, i, strict=True))
        assert x[tuple(value_of(p, env) for p in index)] == x.reshape(target)[i]


# -- the other functions ------------------------------------------------------------------------------------------

X = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("ours", "numpys"),
    [
        (lambda x: sg.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1))),
        (lambda x: sg.squeeze(sg.expand_dims(x, (0, 2))), lambda x: x),
        (lambda x: sg.squeeze(sg.expand_dims(x, 1), -3), lambda x: x),
        (lambda x: sg.stack([x, -x], axis=-2), lambda x: np.stack([x, -x], axis=-2)),
        (lambda x: sg.flip(x), lambda x: np.flip(x)),
        (lambda x: sg.flip(x, (0, 2)), lambda x: np.flip(x, (0, 2))),
        (lambda x: sg.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1)),
        (lambda x: sg.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
        (lambda x: sg.moveaxis(x, 2, 0), lambda x: np.moveaxis(x, 2, 0)),
        (lambda x: sg.matrix_transpose(x), lambda x: np.swapaxes(x, -1, -2)),
        (lambda x: sg.transpose(x), lambda x: x.T),
        (lambda x: sg.transpose(x, (1, -1, 0)), lambda x: x.transpose(1, 2, 0)),
        (lambda x: sg.ravel(x), lambda x: x.ravel()),
        (lambda x: sg.concatenate([x, x[:1]], axis=0), lambda x: np.concatenate([x, x[:1]], axis=0)),
        (lambda x: sg.concatenate([x, x[0]], axis=None), lambda x: np.concatenate([x, x[0]], axis=None)),
        (lambda x: sg.broadcast_to(x[:, :1], (5, 2, 3, 4)), lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4))),
    ],
)
def test_functions_agree_with_numpy(ours, numpys):
    x = sg.symbol("x", (N, 3, 4))
    static = sg.symbol("x", (2, 3, 4))
    for symbol in (static, x):
        try:
            node = ours(symbol)
        except ShapeError:
            assert symbol is x, "only the case that fixes N to 2 may refuse a symbolic size"
            continue
        np.testing.assert_array_equal(evaluate(node, {symbol: X}), numpys(X))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((5,), range(5)), ((2, 9, 3), range(2, 9, 3)), ((9, 2, -3), range(9, 2, -3)), ((3, 1), ()), ((0,), ())],
)
def test_arange(arguments, expected):
    node = sg.arange(*arguments)
    assert node.dtype == "int64"
    assert evaluate(node).tolist() == list(expected)


def test_arange_over_floats_and_dimensions():
    np.testing.assert_array_equal(evaluate(sg.arange(0.5, 2.0, 0.5), dtype=None), np.float32([0.5, 1.0, 1.5]))
    assert sg.arange(N, dtype="int32").dtype == "int32"
    assert sg.arange(1, N).shape == (N - 1,)
    assert requirements(sg.arange(1, N)) == (N - 1,)
    assert evaluate(sg.arange(1, N), {N: 4}).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="step is 0"):
        sg.arange(0, 3, 0)
    with pytest.raises(TypeError, match="step is an int"):
        sg.arange(0, 3, N)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: sg.transpose(x, (0, 0)), r"axes must name each axis once; x is \(N, 4\), axes \(0, 0\)"),
        (lambda x: sg.swapaxes(x, 0, 2), "axis 2 is out of range; 2 axes .*Valid: -2 to 1"),
        (lambda x: sg.expand_dims(x, (0, 0)), "axis is given twice"),
        (lambda x: sg.squeeze(x, 0), "axis 0 has size N, not 1"),
        (lambda x: sg.broadcast_to(x, (N, 5)), r"x is \(N, 4\), the new shape is \(N, 5\)"),
        (lambda x: sg.broadcast_to(x, (4,)), "do not broadcast"),
        (lambda x: sg.concatenate([x, sg.symbol("y", (N, 5))]), r"differ outside axis 0; x is \(N, 4\), y is \(N, 5\)"),
        (lambda x: sg.concatenate([]), "no tensors"),
        (lambda x: sg.concatenate([sg.symbol("s", ())]), "scalars have no axis"),
        (lambda x: sg.stack([x, x[0]]), "shapes differ"),
        (lambda x: sg.matrix_transpose(x[0]), "two axes or more"),
    ],
)
def test_functions_refuse(build, message):
    with pytest.raises(ShapeError, match=message):
        build(sg.symbol("x", (N, 4)))


def test_requirements_name_what_binding_must_check():
    x = sg.symbol("x", (N, 4))
    assert requirements(x[1:]) == (N - 1,)
    assert requirements(x[:3]) == (N - 3,)
    assert requirements(x[::-1]) == ()
    assert requirements(x[:, 1:]) == ()
    assert requirements(x) == ()
    assert requirements(sg.symbol("y", (N + 1,))[1:]) == ()
    piece = ROWS["place"](x, shape=(M, 4), starts=(1, 0), steps=(1, 1))
    assert requirements(piece) == (M - N - 1,)
    with pytest.raises(ShapeError, match="outside the axis"):
        ROWS["place"](x, shape=(N, 3), starts=(0, 0), steps=(1, 1))
