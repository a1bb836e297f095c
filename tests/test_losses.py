"""Losses and metrics against plain NumPy: values, gradients, certainty, refusals."""

import math

import numpy as np
import pytest

import symgrad as sg
from symgrad.nn.losses import label_type

N = sg.dim("N")
RNG = np.random.default_rng(0)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# -- losses ---------------------------------------------------------------------------------------------------------

Z = RNG.normal(size=(6, 4)) * 3
P = softmax(Z)
LABELS = np.array([0, 3, 1, 2, 3, 3])
ONE_HOT = np.eye(4)[LABELS]
SOFT = softmax(RNG.normal(size=(6, 4)))
BITS = (RNG.random((6, 4)) > 0.5).astype(float)
SIGMOID = 1 / (1 + np.exp(-Z))

z4, y4, i1 = sg.symbol("z", (N, 4)), sg.symbol("y", (N, 4)), sg.symbol("i", (N,), "int32")


def cross_entropy(y, p):
    return -(y * np.log(p)).sum(-1).mean()


def binary(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1).mean()


@pytest.mark.parametrize(
    ("loss", "env", "expected"),
    [
        (sg.losses.categorical_crossentropy(y4, sg.softmax(z4)), {y4: ONE_HOT, z4: Z}, cross_entropy(ONE_HOT, P)),
        (sg.losses.categorical_crossentropy(y4, z4), {y4: SOFT, z4: P}, cross_entropy(SOFT, P)),
        (sg.losses.categorical_crossentropy(y4, z4, True), {y4: SOFT, z4: Z}, cross_entropy(SOFT, P)),
        (sg.losses.sparse_categorical_crossentropy(i1, z4), {i1: LABELS, z4: P}, cross_entropy(ONE_HOT, P)),
        (sg.losses.sparse_categorical_crossentropy(i1, z4, True), {i1: LABELS, z4: Z}, cross_entropy(ONE_HOT, P)),
        (sg.losses.binary_crossentropy(y4, sg.sigmoid(z4)), {y4: BITS, z4: Z}, binary(BITS, SIGMOID)),
        (sg.losses.binary_crossentropy(y4, z4), {y4: SOFT, z4: SIGMOID}, binary(SOFT, SIGMOID)),
        (sg.losses.binary_crossentropy(y4, z4, from_logits=True), {y4: BITS, z4: Z}, binary(BITS, SIGMOID)),
        (sg.losses.mean_squared_error(y4, z4), {y4: SOFT, z4: Z}, ((SOFT - Z) ** 2).mean(-1).mean()),
        (sg.losses.CategoricalCrossentropy(from_logits=True)(y4, z4), {y4: SOFT, z4: Z}, cross_entropy(SOFT, P)),
        (sg.losses.MeanSquaredError()(y4, z4), {y4: SOFT, z4: Z}, ((SOFT - Z) ** 2).mean()),
    ],
)  # fmt: skip
def test_losses(loss, env, expected):
    assert loss.shape == ()
    assert loss.dtype == "float32"
    np.testing.assert_allclose(sg.evaluate(loss, env), expected, rtol=1e-12)
    np.testing.assert_allclose(sg.evaluate(sg.simplify(loss), env), expected, rtol=1e-12)


def numeric_gradient(f, x, h=1e-6):
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        out[i] = (f(x + step) - f(x - step)) / (2 * h)
    return out


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize(
    ("loss", "env"),
    [
        (sg.losses.categorical_crossentropy(y4, sg.softmax(z4)), {y4: ONE_HOT}),
        (sg.losses.categorical_crossentropy(y4, sg.softmax(z4)), {y4: SOFT}),
        (sg.losses.categorical_crossentropy(y4, z4, from_logits=True), {y4: SOFT}),
        (sg.losses.categorical_crossentropy(y4, sg.exp(z4)), {y4: ONE_HOT}),
        (sg.losses.sparse_categorical_crossentropy(i1, sg.softmax(z4)), {i1: LABELS}),
        (sg.losses.sparse_categorical_crossentropy(i1, z4, from_logits=True), {i1: LABELS}),
        (sg.losses.binary_crossentropy(y4, sg.sigmoid(z4)), {y4: BITS}),
        (sg.losses.binary_crossentropy(y4, z4, from_logits=True), {y4: SOFT}),
        (sg.losses.mean_squared_error(y4, z4), {y4: SOFT}),
    ],
)
def test_gradients_of_losses(loss, env, simplify):
    found = sg.evaluate(sg.grad(loss, z4, simplify=simplify), {**env, z4: Z})
    expected = numeric_gradient(lambda z: float(sg.evaluate(loss, {**env, z4: z})), Z)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


EXTREME = np.array([[5000.0, -5000.0, 0.0, 1.0], [-2000.0, 0.0, 3000.0, 3000.0]])


def test_confident_softmax_keeps_its_loss_and_gradient():
    y = np.eye(4)[[1, 2]]
    loss = sg.losses.categorical_crossentropy(y4, sg.softmax(z4))
    env = {y4: y, z4: EXTREME}
    assert float(sg.evaluate(sg.simplify(loss), env)) == pytest.approx((10_000 + math.log(2)) / 2)
    expected = (np.array([[1.0, 0, 0, 0], [0, 0, 0.5, 0.5]]) - y) / 2
    np.testing.assert_allclose(sg.evaluate(sg.grad(loss, z4), env), expected, atol=1e-15)


def test_confident_sigmoid_keeps_its_loss_and_gradient():
    y = np.array([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    loss = sg.losses.binary_crossentropy(y4, sg.sigmoid(z4))
    env = {y4: y, z4: EXTREME}
    terms = np.maximum(EXTREME, 0) - y * EXTREME + np.log1p(np.exp(-np.abs(EXTREME)))
    assert float(sg.evaluate(sg.simplify(loss), env)) == pytest.approx(terms.mean())
    expected = (np.array([[1.0, 0, 0.5, 1 / (1 + math.exp(-1))], [0, 0.5, 1, 1]]) - y) / 8
    np.testing.assert_allclose(sg.evaluate(sg.grad(loss, z4), env), expected, atol=1e-15)


@pytest.mark.parametrize("loss", [sg.losses.categorical_crossentropy, sg.losses.binary_crossentropy])
def test_probabilities_of_unknown_origin_may_be_certain(loss):
    p = np.array([[0.0, 1.0, 0.0, 0.0], [0.25, 0.75, 0.0, 0.0]])
    y = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    node = loss(y4, z4)
    for value, slope in ((node, sg.grad(node, z4)), (sg.simplify(node), sg.grad(node, z4, simplify=False))):
        assert np.isfinite(sg.evaluate(value, {y4: y, z4: p}))
        found = sg.evaluate(slope, {y4: y, z4: p})
        assert np.isfinite(found).all()
        assert found[1, 1] < 0
    assert float(sg.evaluate(loss(y4, z4), {y4: 1 - y, z4: y})) == math.inf


def test_derivative_in_the_labels():
    loss = sg.losses.categorical_crossentropy(y4, z4)
    np.testing.assert_allclose(sg.evaluate(sg.grad(loss, y4), {y4: ONE_HOT, z4: P}), -np.log(P) / 6, rtol=1e-12)


def test_a_gradient_in_the_probabilities_stays_possible():
    p = sg.softmax(z4)
    slope = sg.grad(sg.losses.categorical_crossentropy(y4, p), p)
    np.testing.assert_allclose(sg.evaluate(slope, {y4: SOFT, z4: Z}), -SOFT / P / 6, rtol=1e-12)


def test_labels_and_predictions_of_one_column_meet_elementwise():
    y, p = sg.symbol("y", (N,)), sg.symbol("p", (N, 1))
    env = {y: [0.0, 1.0, 1.0], p: [[0.5], [0.25], [0.5]]}
    assert float(sg.evaluate(sg.losses.mean_squared_error(y, p), env)) == pytest.approx((0.25 + 0.5625 + 0.25) / 3)
    assert float(sg.evaluate(sg.losses.mean_squared_error(p, y), env)) == pytest.approx((0.25 + 0.5625 + 0.25) / 3)
    assert float(sg.evaluate(sg.losses.binary_crossentropy(y, p), env)) == pytest.approx(math.log(16) / 3)
    column = sg.symbol("c", (N, 1), "int64")
    sparse = sg.losses.sparse_categorical_crossentropy(column, z4, from_logits=True)
    expected = cross_entropy(ONE_HOT, P)
    assert float(sg.evaluate(sparse, {column: LABELS[:, None], z4: Z})) == pytest.approx(expected)


def test_labels_of_other_dtypes_take_the_dtype_of_the_predictions():
    small, flags = sg.symbol("y", (N, 4), "uint8"), sg.symbol("y", (N, 4), "bool")
    for labels in (small, flags):
        loss = sg.losses.binary_crossentropy(labels, z4, from_logits=True)
        assert loss.dtype == "float32"
        env = {labels: BITS.astype(labels.dtype.numpy), z4: Z}
        np.testing.assert_allclose(sg.evaluate(loss, env), binary(BITS, SIGMOID), rtol=1e-12)


def test_a_single_sample_is_a_batch_of_one():
    y, z = sg.symbol("y", (4,)), sg.symbol("z", (4,))
    loss = sg.losses.categorical_crossentropy(y, z, from_logits=True)
    np.testing.assert_allclose(sg.evaluate(loss, {y: SOFT[0], z: Z[0]}), cross_entropy(SOFT[0], softmax(Z[0])))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sg.losses.categorical_crossentropy(i1, z4), sg.ShapeError,
            r"differ in shape; i is \(N,\), z is \(N, 4\).*declared at.*sparse_categorical_crossentropy",
        ),
        (lambda: sg.losses.mean_squared_error(sg.symbol("y", (N, 3)), z4), sg.ShapeError, "differ in shape"),
        (lambda: sg.losses.mean_squared_error(sg.symbol("y", (1, 4)), z4), sg.ShapeError, "differ in shape"),
        (lambda: sg.losses.sparse_categorical_crossentropy(y4, z4), sg.DTypeError, "labels are integers"),
        (
            lambda: sg.losses.sparse_categorical_crossentropy(sg.symbol("i", (N, 4), "int32"), z4), sg.ShapeError,
            r"one label per prediction.*Labels of shape \(N,\) fit",
        ),
        (lambda: sg.losses.mean_squared_error(y4, sg.symbol("p", (N, 4), "int32")), sg.DTypeError, "are floats"),
        (lambda: sg.losses.categorical_crossentropy(1.0, sg.symbol("p")), sg.ShapeError, "axis of classes"),
        (lambda: sg.losses.binary_crossentropy(y4, z4, from_logits="yes"), TypeError, "from_logits is True or False"),
        (lambda: sg.losses.get("catgorical_crossentropy"), ValueError, "Did you mean 'categorical_crossentropy'"),
        (lambda: sg.losses.get(3), TypeError, "not int"),
    ],
)  # fmt: skip
def test_bad_losses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_losses_by_name():
    assert sg.losses.get("MSE") is sg.losses.mean_squared_error
    assert sg.losses.get(sg.losses.BinaryCrossentropy) == sg.losses.BinaryCrossentropy(from_logits=False)
    custom = lambda y, p: sg.mean(p - y)  # noqa: E731
    assert sg.losses.get(custom) is custom


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("categorical_crossentropy", ("float32(N, 4)", ("rows_sum_to_one",))),
        (sg.losses.CategoricalCrossentropy(True), ("float32(N, 4)", ("rows_sum_to_one",))),
        ("sparse_categorical_crossentropy", ("int32(N,)", ())),
        (sg.losses.SparseCategoricalCrossentropy(True), ("int32(N,)", ())),
        ("mse", ("float32(N, 4)", ())),
    ],
)
def test_label_types(loss, expected):
    type_, facts = label_type(sg.losses.get(loss), z4)
    assert (str(type_), facts) == expected


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "binary_crossentropy", "mse"])
def test_swapped_labels_and_predictions_get_a_hint(name):
    with pytest.raises(sg.DTypeError, match=r"predictions are floats; .* The labels come first: \(y_true, y_pred\)"):
        sg.losses.get(name)(z4, i1)
    with pytest.raises(sg.DTypeError, match="predictions are floats") as refused:
        sg.losses.get(name)(i1, i1)
    assert "labels" not in str(refused.value)


def test_mean_absolute_error():
    """Its name everywhere, its value, and its slope, which is 0 where prediction and label agree."""
    assert sg.losses.mae is sg.losses.mean_absolute_error is sg.losses.get("mae") is sg.metrics.get("mae")
    assert sg.losses.mse is sg.losses.mean_squared_error
    y, p = sg.symbol("y", (4,)), sg.symbol("p", (4,))
    env = {y: [1.0, 2.0, 3.0, 4.0], p: [1.0, 4.0, 2.0, 4.5]}
    for loss in (sg.losses.mae, sg.losses.get(sg.losses.MeanAbsoluteError)):
        assert float(sg.evaluate(loss(y, p), env)) == 0.875
        assert sg.evaluate(sg.grad(loss(y, p), p), env).tolist() == [0.0, 0.25, -0.25, 0.25]


# -- metrics --------------------------------------------------------------------------------------------------------


def test_accuracy_follows_the_shapes():
    share = (Z.argmax(-1) == LABELS).mean()
    column = sg.symbol("c", (N, 1), "uint8")
    assert float(sg.evaluate(sg.metrics.accuracy(y4, z4), {y4: ONE_HOT, z4: Z})) == pytest.approx(share)
    assert float(sg.evaluate(sg.metrics.accuracy(i1, z4), {i1: LABELS, z4: Z})) == pytest.approx(share)
    assert float(sg.evaluate(sg.metrics.accuracy(column, z4), {column: LABELS[:, None], z4: Z})) == pytest.approx(share)
    flat, p = sg.symbol("y", (N,)), sg.symbol("p", (N, 1))
    env = {flat: [0, 1, 0, 1], p: [[0.5], [0.6], [0.9], [0.1]]}
    assert float(sg.evaluate(sg.metrics.accuracy(flat, p), env)) == 0.5
    assert sg.metrics.accuracy(flat, sg.symbol("q", (N,))).dtype == "float32"


def test_metrics_by_name():
    assert sg.metrics.get("acc") is sg.metrics.accuracy
    assert sg.metrics.get("mse") is sg.metrics.mean_squared_error
    assert [sg.metrics.name_of(m) for m in ("mse", sg.metrics.binary_accuracy, sg.losses.MeanSquaredError())] == [
        "mse", "binary_accuracy", "MeanSquaredError",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="unknown metric 'acuracy'. Did you mean 'accuracy'"):
        sg.metrics.get("acuracy")
