"""Python's syntax and NumPy's functions on expressions and dimensions, and the leaves they are applied to."""

import math

import numpy as np
import pytest

import symgrad.ops as sg
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import literal
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.shape import dim

N = dim("N")
A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]])
B = np.array([[2.0, 3.0, -1.0], [1.5, -2.0, 0.5]])


@pytest.fixture
def x():
    return sg.symbol("x", (N, 3))


@pytest.fixture
def y():
    return sg.symbol("y", (N, 3))


OPERATORS = [
    (lambda a, b: a + b, "add"), (lambda a, b: a - b, "subtract"), (lambda a, b: a * b, "multiply"),
    (lambda a, b: a / b, "divide"), (lambda a, b: a // b, "floor_divide"), (lambda a, b: a % b, "remainder"),
    (lambda a, b: a**b, "power"), (lambda a, b: a == b, "equal"), (lambda a, b: a != b, "not_equal"),
    (lambda a, b: a < b, "less"), (lambda a, b: a <= b, "less_equal"), (lambda a, b: a > b, "greater"),
    (lambda a, b: a >= b, "greater_equal"),
]  # fmt: skip


@pytest.mark.parametrize(("apply", "name"), OPERATORS, ids=[name for _, name in OPERATORS])
def test_operators(apply, name, x, y):
    a = np.abs(A)
    assert apply(x, y) is ROWS[name](x, y)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(evaluate(apply(x, y), {x: a, y: B}), apply(a, B))
        np.testing.assert_allclose(evaluate(apply(x, 2), {x: a}), apply(a, 2))
        np.testing.assert_allclose(evaluate(apply(2.5, x), {x: a}), apply(2.5, a))
        np.testing.assert_allclose(evaluate(apply(B[0], x), {x: a}), apply(B[0], a))
        np.testing.assert_allclose(evaluate(apply(x, B[:1]), {x: a}), apply(a, B[:1]))


def test_unary_operators_and_logic(x, y):
    assert +x is x
    np.testing.assert_array_equal(evaluate(-x, {x: A}), -A)
    np.testing.assert_array_equal(evaluate(abs(x), {x: A}), abs(A))
    p, q = x > 0, y > 0
    for ours, numpys in [
        (p & q, (A > 0) & (B > 0)), (p | q, (A > 0) | (B > 0)), (p ^ q, (A > 0) ^ (B > 0)), (~p, ~(A > 0)),
        (p & True, A > 0), (np.array([True, False, True]) & p, (A > 0) & [True, False, True]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(evaluate(ours, {x: A, y: B}), numpys)
    with pytest.raises(DTypeError, match="bool operands; x is float32"):
        x & y


def test_matmul_from_both_sides(x):
    w = np.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(evaluate(x @ w, {x: A}), A @ w)
    np.testing.assert_allclose(evaluate(w.T @ x.T, {x: A}), w.T @ A.T)


class Foreign:
    """Knows how to be added to anything, as another array library would."""

    def __radd__(self, other):
        return "foreign"


def test_foreign_operands(x):
    assert x + Foreign() == "foreign"
    for operate in (lambda: x + "a", lambda: None * x, lambda: x @ {}, lambda: x ** Foreign(), lambda: x & "a"):
        with pytest.raises(TypeError, match="unsupported operand"):
            operate()
    for compare in (lambda: x == None, lambda: x != "a", lambda: x < {}):  # noqa: E711
        with pytest.raises(TypeError, match="Use `is`"):
            compare()


# -- NumPy's functions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        *(np.exp, np.tanh, np.abs, np.fabs, np.negative, np.positive, np.square, np.sign, np.sin, np.floor, np.isnan),
        *(np.arctan, np.arcsinh, np.rint, np.trunc, np.isfinite, np.cbrt),
    ],
)
def test_ufuncs_of_one_operand(function, x):
    np.testing.assert_allclose(evaluate(function(x), {x: A}), function(A), rtol=1e-14)


@pytest.mark.parametrize(
    "function", [np.add, np.maximum, np.divide, np.true_divide, np.mod, np.less, np.arctan2, np.copysign]
)
def test_ufuncs_of_two_operands(function, x):
    if function is np.copysign:
        with pytest.raises(TypeError, match=r"np\.copysign has no symbolic form. Use sg\.evaluate"):
            function(A, x)
        return
    np.testing.assert_allclose(evaluate(function(B[0], x), {x: A}), function(B[0], A))
    np.testing.assert_allclose(evaluate(function(x, 2), {x: A}), function(A, 2))


def test_bits_of_integers():
    i = sg.symbol("i", (3,), "int32")
    values = np.array([-5, 0, 12], "int32")
    for f in (lambda v: v & 6, lambda v: 6 | v, lambda v: v ^ v, lambda v: ~v, lambda v: v << 2, lambda v: 1 << v % 3,
              lambda v: v >> 1, lambda v: np.left_shift(v, 3), np.invert):  # fmt: skip
        np.testing.assert_array_equal(evaluate(f(i), {i: values}), f(values))
    assert ((i > 0) & (i < 3)).op == "logical_and"
    assert np.invert(i > 0).dtype == "bool"


def test_numpys_reductions_and_shapes(x):
    for function in (np.sum, np.mean, np.max, np.prod, np.min, np.var):
        np.testing.assert_allclose(evaluate(function(x, axis=1), {x: A}), function(A, axis=1))
        kept = function(x, axis=0, keepdims=True)
        np.testing.assert_allclose(evaluate(kept, {x: A}), function(A, axis=0, keepdims=True))
    np.testing.assert_allclose(evaluate(np.add.reduce(x), {x: A}), np.add.reduce(A))
    np.testing.assert_allclose(evaluate(np.maximum.reduce(x, axis=1), {x: A}), np.maximum.reduce(A, axis=1))
    assert np.transpose(x) is x.T
    assert np.reshape(x, (-1, 1)) is x.reshape(-1, 1)
    assert np.squeeze(x[:, None]).shape == (N, 3)
    assert np.any(x > 0, axis=0) is (x > 0).any(0)
    assert np.argmax(x, axis=1) is x.argmax(1)


def test_numpy_refusals(x):
    target = np.zeros((2, 3))
    for call in (lambda: np.add(x, 1, out=target), lambda: target.__iadd__(x), lambda: np.sum(x, out=target)):
        with pytest.raises(TypeError, match="cannot write"):
            call()
    for call in (lambda: np.add.accumulate(x), lambda: np.add(x, 1, where=target > 0), lambda: np.copysign(x, x)):
        with pytest.raises(TypeError, match="no symbolic form"):
            call()
    with pytest.raises(TypeError, match="sg.evaluate"):
        np.asarray(x)
    with pytest.raises(TypeError, match="sg.evaluate"):
        float(x.sum())
    np.testing.assert_array_equal(target, 0)


# -- promotion at the surface -------------------------------------------------------------------------------------


def test_scalars_are_weak():
    x32, x64, i = sg.symbol("x", (N,)), sg.symbol("y", (N,), "float64"), sg.symbol("i", (N,), "int32")
    assert (x32 * 2).dtype == (2.5 * x32).dtype == "float32"
    assert (x32 * np.float64(2)).dtype == (np.float64(2) * x32).dtype == "float32"
    assert (x32 * np.float32(2)).dtype == (np.float32(2) * x32).dtype == "float32"
    assert (np.float32(2) * x64).dtype == (x32 + x64).dtype == "float64"
    assert (i + 1).dtype == "int32"
    assert (i + 0.5).dtype == (i / 2).dtype == (i * x32).dtype == i.mean().dtype == "float32"
    assert i.sum().dtype == (i > 0).sum().dtype == i.argmax().dtype == "int64"
    assert (N * i).dtype == "int32"


def test_a_dimension_in_arithmetic_is_a_scalar_node(x):
    mean = x.sum() / N
    assert mean.shape == ()
    assert mean.dtype == "float32"
    np.testing.assert_allclose(evaluate(mean, {x: A}), A.sum() / 2)
    nodes = [(N / 2, 1.0), (1 / N, 0.5), (N * 0.5, 1.0), (0.5 + N, 2.5), (2**N, 4), (N - 0.5, 1.5), (N / N, 1.0)]
    for node, value in nodes:
        assert node.shape == ()
        np.testing.assert_allclose(evaluate(node + 0 * x.sum(), {x: A}), value)
    assert N * 2 == 2 * N
    assert not isinstance(N * 2, type(x))


# -- methods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda v: v.sum(), lambda v: v.sum(1), lambda v: v.sum(axis=(0, 1)), lambda v: v.mean(axis=-1, keepdims=True),
        lambda v: v.max(0), lambda v: v.min(), lambda v: v.argmax(1), lambda v: v.argmin(), lambda v: v.prod(axis=0),
        lambda v: (v > 0).any(1), lambda v: (v > 0).all(), lambda v: v.var(axis=0), lambda v: v.reshape(3, -1),
        lambda v: v.reshape((3, 2)), lambda v: v.transpose(), lambda v: v.transpose(1, 0),
        lambda v: v.transpose((0, 1)), lambda v: v.T, lambda v: v.mT,
        lambda v: v.astype("int32"), lambda v: v.astype(np.float64), lambda v: v.ravel(),
        lambda v: v.flatten(), lambda v: v[:, None].squeeze(1), lambda v: v.swapaxes(0, 1), lambda v: v.dot(v.T),
        lambda v: v.take([1, 0], axis=1), lambda v: v.sum(dtype="int64"),
    ],
)  # fmt: skip
def test_methods_are_numpys(call):
    v = sg.symbol("v", (2, 3))
    value = evaluate(call(v), {v: A})
    np.testing.assert_allclose(value, call(A))
    assert np.shape(value) == np.shape(call(A))


def test_unknown_attributes_and_options(x):
    with pytest.raises(AttributeError, match="'summ'"):
        x.summ()
    with pytest.raises(TypeError, match="ddof is an int, not 0.5"):
        x.var(ddof=0.5)
    with pytest.raises(ValueError, match="order='F'"):
        x.reshape(-1, order="F")
    assert {"sum", "T", "astype", "shape"} <= set(dir(x))


def test_substitution(x, y):
    z = sg.exp(x) * y + x
    assert z.subs(x, y) is sg.exp(y) * y + y
    assert z.subs({x: y, y: x}) is sg.exp(y) * x + y
    assert z.subs({sg.exp(x): y}) is y * y + x
    assert x.subs(x, y) is y
    assert z.subs(sg.symbol("other", ()), 1.0) is z
    assert sg.symbol("s", ()).subs(sg.symbol("s", ()), 2.0) is sg.constant(2.0)
    with pytest.raises(ShapeError, match="another type"):
        z.subs(x, y.T)


# -- what expressions are not -------------------------------------------------------------------------------------


def test_truth_containers_and_iteration(x, y):
    with pytest.raises(TypeError, match="no truth value"):
        bool(x)
    with pytest.raises(TypeError, match="no truth value"):
        [y, x].index(x)
    assert [x, y].index(x) == 0, "Python asks for identity first"
    with pytest.raises(TypeError, match="first dimension N is not known"):
        list(x)
    with pytest.raises(TypeError, match="length N is not known"):
        len(x)
    a, b = sg.symbol("v", (2, 3))
    assert a.shape == b.shape == (3,)
    with pytest.raises(TypeError, match="rank-0"):
        list(sg.symbol("s", ()))
    with pytest.raises(TypeError, match="immutable"):
        x[0] = 1
    with pytest.raises(AttributeError, match="immutable"):
        x.shape = (3,)


# -- leaves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("2x", ()), ValueError, "'2x' cannot be a name"), (("", ()), ValueError, "cannot be a name"),
        (("a b", ()), ValueError, "cannot be a name"), ((3, ()), TypeError, "a name is a string, not int"),
        (("x", (3, -1)), ShapeError, r"symbol 'x': a size is negative; -1 in \(3, -1\)"),
        (("x", (-N - 1,)), ShapeError, "negative"), (("x", (3, 2.0)), ShapeError, "not float"),
        (("x", "N"), ShapeError, "not str"), (("x", (True,)), ShapeError, "not a size"),
        (("x", (3,), "flot32"), DTypeError, "Did you mean 'float32'"),
        (("x", (3,), "complex64"), DTypeError, "complex64"),
        (("x", (3,), "float32", {"rows_sum_to_on"}), ValueError, "Did you mean 'rows_sum_to_one'"),
        (("x", (), "float32", {"rows_sum_to_one"}), ShapeError, "no rows"),
    ],
)  # fmt: skip
def test_symbols_refuse(arguments, error, message):
    with pytest.raises(error, match=message):
        sg.symbol(*arguments)


def test_symbols_accept():
    assert sg.symbol("dense/kernel", 3).shape == (3,)
    assert sg.symbol("x", [np.int64(2), N + 1]).shape == (2, N + 1)
    assert sg.symbol("x", ()) is not sg.symbol("x", (), facts={"finite"})
    assert sg.symbol("x", (), facts=["finite", "nonzero"]) is sg.symbol("x", (), facts={"nonzero", "finite"})


def test_constants():
    assert literal(sg.constant(2.5)) == 2.5
    assert sg.constant(2.5).dtype == "float32"
    assert sg.constant(2).dtype == "int64"
    assert sg.constant([0.5, 1.5]).dtype == "float32"
    assert sg.constant(np.float64([0.5, 1.5])).dtype == "float64"
    assert sg.constant(2, "float64") is sg.constant(2.0, "float64")
    assert literal(sg.constant(math.inf)) == math.inf
    assert sg.constant(N).shape == ()
    assert sg.constant([True, False], "int32").dtype == "int32"
    for value, dtype in [(0.5, "int32"), (300, "uint8"), (-1, "uint8"), (1, "bool"), (1j, "float32"), ([None], None)]:
        with pytest.raises(DTypeError):
            sg.constant(value, dtype)
    with pytest.raises(TypeError, match="not an expression"):
        sg.constant(sg.constant(1))


def test_leaf_rows_are_registered_and_not_called():
    for name in ("symbol", "parameter", "constant", "buffer", "dim"):
        with pytest.raises(TypeError, match="a leaf has no operands"):
            ROWS[name]()
