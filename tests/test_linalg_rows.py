"""Matrix products: shapes and values against NumPy, labels of the contraction, gradients' form, refusals."""

import numpy as np
import pytest

from symgrad import ops
from symgrad.dtypes import FLOAT32, INT64
from symgrad.errors import ShapeError
from symgrad.expr import parameter_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops import dim, symbol
from symgrad.ops.row import ROWS
from symgrad.reverse import grad

N, M = dim("N"), dim("M")
PAIRS = [
    ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 1)),
    ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((0,), (0,)),
]  # fmt: skip


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_matmul_has_numpys_shape_and_value(left, right):
    a, b, (A, B) = symbol("a", left), symbol("b", right), arrays(left, right)
    out = a @ b
    assert out.shape == (A @ B).shape
    np.testing.assert_allclose(evaluate(out, {a: A, b: B}), A @ B)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_the_labels_describe_the_product(left, right):
    node, (A, B) = symbol("a", left) @ symbol("b", right), arrays(left, right)
    axes = ROWS["matmul"].structure.axes(node)
    sizes = {}
    for labels, array in ((axes.left, A), (axes.right, B)):
        assert len(labels) == array.ndim
        for label, size in zip(labels, array.shape, strict=True):
            sizes[label] = size if sizes.get(label, 1) == 1 else sizes[label]
    assert tuple(sizes[label] for label in axes.out) == node.shape
    # einsum does not broadcast an axis of size 1 against another label's size: stretch first
    A, B = (np.broadcast_to(x, [sizes[k] for k in labels]) for x, labels in ((A, axes.left), (B, axes.right)))
    np.testing.assert_allclose(
        np.einsum(A, axes.left, B, axes.right, axes.out), arrays(left, right)[0] @ arrays(left, right)[1]
    )


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=str)
def test_gradients_of_all_ranks(left, right):
    """The loss is bilinear, so a finite step of any size gives the exact difference."""
    a, b, (A, B) = symbol("a", left), symbol("b", right), arrays(left, right)
    w = symbol("w", (a @ b).shape)
    env = {a: A, b: B, w: np.asarray(np.random.default_rng(1).standard_normal(w.shape))}
    loss = ops.sum((a @ b) * w)
    for x in (a, b):
        direction = np.random.default_rng(2).standard_normal(x.shape)
        difference = evaluate(loss, {**env, x: env[x] + direction}) - evaluate(loss, env)
        np.testing.assert_allclose(np.sum(evaluate(grad(loss, x), env) * direction), difference, atol=1e-9)


def test_a_stack_of_rows_needs_no_stack_of_cotangents():
    x, W = symbol("x", (N, M, 8)), symbol("W", (8, 4))
    sizes = [node.shape for node in topological([grad(ops.sum(ops.tanh(x @ W)), W)])]
    assert (N, 8, 4) not in sizes


def test_integers_and_bools():
    b = symbol("b", (3,), "bool")
    assert (b @ b).dtype is INT64
    assert evaluate(b @ b, {b: [True, True, False]}) == 2


FUNCTIONS = [
    ("dot", (2, 3), (3,)), ("dot", (3,), (3,)), ("dot", (2, 3), (3, 4)), ("dot", (2, 5, 3), (6, 3, 4)),
    ("dot", (), (3,)), ("dot", (3,), (6, 3, 4)), ("inner", (3,), (3,)), ("inner", (2, 3), (5, 3)),
    ("inner", (2, 4, 3), (3,)),
    ("inner", (3,), (5, 3)), ("inner", (), (2, 3)), ("outer", (2,), (3,)), ("outer", (2, 2), (3, 1)),
    ("vdot", (2, 3), (2, 3)), ("vdot", (3,), (3,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "left", "right"), FUNCTIONS, ids=str)
def test_functions_agree_with_numpy(name, left, right):
    a, b, (A, B) = symbol("a", left), symbol("b", right), arrays(left, right)
    out, expected = getattr(ops, name)(a, b), getattr(np, name)(A, B)
    assert out.shape == expected.shape
    np.testing.assert_allclose(evaluate(out, {a: A, b: B}), expected)


@pytest.mark.parametrize("axes", [0, 1, 2, ([1, 2], [1, 0]), ([-1], [0]), ([0, 2], [2, 0])], ids=str)
def test_tensordot_agrees_with_numpy(axes):
    left, right = ((2, 3, 4), (4, 3, 2)) if axes != 2 else ((2, 3, 4), (3, 4, 2))
    a, b, (A, B) = symbol("a", left), symbol("b", right), arrays(left, right)
    expected = np.tensordot(A, B, axes)
    out = ops.tensordot(a, b, axes)
    assert out.shape == expected.shape
    np.testing.assert_allclose(evaluate(out, {a: A, b: B}), expected)


# -- refusals --------------------------------------------------------------------------------------------------------


def test_the_message_of_a_mismatch():
    x = symbol("pixels", (N, 784))
    W = parameter_node("W", np.zeros((783, 10)), FLOAT32)
    with pytest.raises(ShapeError) as caught:
        x @ W
    here = caught.traceback[0].lineno + 1
    assert str(caught.value) == (
        "pixels @ W: contracted dimensions differ: pixels is (N, 784), W is (783, 10); 784 != 783 "
        f"(test_linalg_rows.py:{here}; W declared at test_linalg_rows.py:{here - 2}). "
        "Did you mean W of shape (784, 10)?"
    )


def refused(left, right):
    return symbol("left", left) @ symbol("right", right)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: refused((2, 3), (4, 3)), r"Did you mean left @ right\.T\?"),
        (lambda: refused((3, 2), (3, 4)), r"Did you mean left\.T @ right\?"),
        (lambda: refused((2, 3), (4,)), r"left is \(2, 3\), right is \(4,\); 3 != 4 .*right of shape \(3,\)"),
        (lambda: refused((N, 3), (M, 3)), r"3 != M .*left @ right\.T"),
        (lambda: refused((), (3,)), r"matmul takes no scalars; left is \(\), right is \(3,\).*Use \* to scale"),
        (lambda: refused((2, 3, 4), (5, 4, 6)), "batch axes do not broadcast"),
        (lambda: symbol("left", (2, 3)) @ ops.exp(symbol("right", (5, 7))), r"left @ exp\(right\): .*last axis"),
        (lambda: symbol("left", (2, 3)) @ symbol("double", (4, 7), "float64"), r"left @ double: .* double is \(4, 7\)"),
        (lambda: ops.tensordot(symbol("left", (2, 3)), symbol("right", (4, 5)), 1), "paired axes differ in size"),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(ShapeError, match=message):
        call()
