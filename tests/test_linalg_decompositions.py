"""Systems, inverses, determinants and Cholesky factors: NumPy's values, gradients, singular and empty matrices."""

import functools

import numpy as np
import pytest

import codegen.kernel
import symgrad as sg
from codegen.machine import runnable
from codegen.program import encode
from symgrad.errors import ShapeError
from symgrad.interpreter import evaluate
from symgrad.options import Options

N = sg.dim("N")
SIZES = [0, 1, 2, 3, 8, 17, 40]
A, B = sg.symbol("A", (N, N), "float64"), sg.symbol("B", (N, 3), "float64")
STEP = 1e-6
OPTIONS = [Options(threads=2), Options(fuse=False), *(Options(machine=row.name) for row in runnable())]


def arrays(*shapes):
    rng = np.random.default_rng(len(shapes))
    return [rng.standard_normal(shape) for shape in shapes]


def close(got, want, rtol=1e-10):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(1.0, float(np.max(np.abs(want), initial=0))))


@pytest.fixture(scope="module")
def factors():
    return sg.function(
        [A, B], [sg.linalg.solve(A, B), sg.linalg.inv(A), sg.linalg.det(A), *sg.linalg.slogdet(A), sg.logdet(A)]
    )


@pytest.mark.parametrize("size", SIZES)
def test_elimination_is_numpys(factors, size):
    a, b = arrays((size, size), (size, 3))  # random rows: pivots have to be found
    log = np.linalg.slogdet(a)
    wants = [np.linalg.solve(a, b), np.linalg.inv(a), np.linalg.det(a), log[0], log[1], log[1]]
    for got, want in zip(factors(a, b), wants, strict=True):
        close(got, want)


def test_a_matrix_without_a_pivot_on_its_diagonal(factors):
    a = np.array([[0.0, 2.0], [3.0, 0.0]])
    solution, inverse, det, sign, log, _ = factors(a, np.eye(2, 3))
    close(solution, [[0, 1 / 3, 0], [1 / 2, 0, 0]])
    close(inverse, [[0, 1 / 3], [1 / 2, 0]])
    assert det == -6
    assert sign == -1
    assert log == pytest.approx(np.log(6))


def test_a_singular_matrix(factors):
    a = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    solution, inverse, det, sign, log, _ = factors(a, np.ones((3, 3)))
    assert (det, sign, log) == (0, 0, -np.inf)
    assert not np.isfinite(solution).all()
    assert not np.isfinite(inverse).all()


def test_batches_and_vectors_broadcast_as_numpy_does():
    shapes = {"a": (N, 1, 4, 4), "b": (2, 4, 3), "v": (4,)}
    a, b, v = (sg.symbol(name, shape, "float64") for name, shape in shapes.items())
    f = sg.function([a, b, v], [sg.linalg.solve(a, b), sg.linalg.solve(a, v), sg.linalg.det(a), sg.inv(a)])
    for size in (0, 1, 5):
        x, y, z = arrays((size, 1, 4, 4), (2, 4, 3), (4,))
        wants = [np.linalg.solve(x, y), np.linalg.solve(x, z), np.linalg.det(x), np.linalg.inv(x)]
        for got, want in zip(f(x, y, z), wants, strict=True):
            close(got, want)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_triangular_systems(lower, transpose):
    f = sg.function([A, B], sg.linalg.triangular_solve(A, B, lower, transpose))
    for size in SIZES:
        a, b = arrays((size, size), (size, 3))
        a += 4 * np.eye(size)
        half = np.tril(a) if lower else np.triu(a)
        close(f(a, b), np.linalg.solve(half.T if transpose else half, b))


def test_cholesky_factors():
    f = sg.function([A], sg.linalg.cholesky(A))
    for size in SIZES:
        (a,) = arrays((size, size))
        a = a @ a.T + np.eye(size)
        close(f(a), np.linalg.cholesky(a))
        skew = np.tril(a, -1)
        close(f(a + skew - skew.T), np.linalg.cholesky(a))  # only the symmetric part counts


def test_a_matrix_that_is_not_positive_definite_gives_nan_and_its_neighbours_do_not():
    a = sg.symbol("a", (3, 2, 2))
    stack = np.array([np.eye(2), [[1, 2], [2, 1]], 4 * np.eye(2)], "float32")
    node = sg.linalg.cholesky(a)
    wants = np.array([np.eye(2), np.full((2, 2), np.nan), 2 * np.eye(2)])
    np.testing.assert_array_equal(sg.function([a], node)(stack), wants)
    np.testing.assert_array_equal(evaluate(node, {a: stack}), wants)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sg.linalg.solve(x, x.mT * 2.0 + 1.0), sg.linalg.inv, sg.linalg.det, sg.logdet, sg.linalg.cholesky,
        lambda x: sg.linalg.triangular_solve(x, x.mT @ x), lambda x: sg.linalg.triangular_solve(x, x, False, True),
    ],
    ids=["solve", "inv", "det", "logdet", "cholesky", "lower", "upper"],
)  # fmt: skip
def test_compiled_gradients_are_slopes(function):
    x = sg.symbol("x", (2, 4, 4), "float64")
    y = function(x)
    weight, direction = arrays(y.shape, (2, 4, 4))
    (point,) = arrays((2, 4, 4))
    point = 0.3 * (point + np.swapaxes(point, -1, -2)) + 3 * np.eye(4)
    loss = (y * sg.constant(weight, "float64")).sum()
    f = sg.function([x], [loss, sg.grad(loss, x)])
    ahead, behind = (f(point + s * direction)[0] for s in (STEP, -STEP))
    slope = float(np.sum(f(point)[1] * direction))
    assert (ahead - behind) / (2 * STEP) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_the_gradient_of_the_logarithm_of_the_determinant_is_the_inverse_transpose():
    x = sg.symbol("X", (4, 4))
    assert sg.grad(sg.logdet(x), x) is sg.inv(x).T


def test_in_float32_the_residual_is_small():
    x, y = sg.symbol("x", (N, N)), sg.symbol("y", (N,))
    a, b = (v.astype("float32") for v in arrays((60, 60), (60,)))
    got = sg.function([x, y], sg.linalg.solve(x, y))(a, b)
    assert got.dtype == np.float32
    scale = np.linalg.norm(a, 2) * np.linalg.norm(got) * np.finfo("float32").eps
    assert np.linalg.norm(a.astype("float64") @ got - b) < 60 * scale


def test_vmap_is_a_loop():
    xs, y = sg.symbol("xs", (5, 3, 3), "float64"), sg.symbol("y", (3, 2), "float64")
    node = sg.vmap(lambda x: sg.linalg.solve(x, y) * sg.logdet(x))(xs)
    a, b = arrays((5, 3, 3), (3, 2))
    wants = [np.linalg.solve(x, b) * np.linalg.slogdet(x)[1] for x in a]
    close(sg.function([xs, y], node)(a, b), np.stack(wants))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_any_schedule_gives_the_same_bits(options, monkeypatch):
    monkeypatch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))  # every thread has work
    x = sg.symbol("x", (N, 9, 9))
    data = np.random.default_rng(0).standard_normal((100, 9, 9)).astype("float32")
    outputs = [sg.inv(x), sg.linalg.det(x), sg.linalg.cholesky(0.05 * x + 2 * sg.eye(9))]
    plain = sg.function([x], outputs, options=Options(threads=1, check=True))(data)
    for one, two in zip(plain, sg.function([x], outputs, options=options)(data), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_refused():
    wide = sg.symbol("wide", (3, 4))
    for function in (sg.inv, sg.linalg.det, sg.logdet, sg.linalg.cholesky):
        with pytest.raises(ShapeError, match="square"):
            function(wide)
    with pytest.raises(ShapeError, match="do not fit"):
        sg.linalg.solve(sg.symbol("a", (3, 3)), wide.T)
