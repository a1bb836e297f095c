"""The pieces of networks: initializers, layers, losses, metrics, optimizers, against plain NumPy."""

import inspect
import math
import re

import numpy as np
import pytest

import symgrad as sg
from symgrad import side
from symgrad.dtypes import DType
from symgrad.expr import topological
from symgrad.nn import activations
from symgrad.nn import initializers as init
from symgrad.nn.layers import Activation, Dense, Flatten, Input, Layer, calls_below, names_for
from symgrad.nn.losses import label_type

N = sg.dim("N")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def default_seed():
    sg.set_seed(0)
    yield
    sg.set_seed(0)


def here() -> int:
    """Give the line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# -- initializers --------------------------------------------------------------------------------------------------

SHAPE = (300, 200)
UNIFORM = {"glorot_uniform": 6 / (300 + 200), "he_uniform": 6 / 300, "lecun_uniform": 3 / 300}
NORMAL = {"glorot_normal": 2 / (300 + 200), "he_normal": 2 / 300, "lecun_normal": 1 / 300}


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize(("name", "squared_limit"), UNIFORM.items())
def test_uniform_initializers(name, squared_limit, dtype):
    w, limit = init.get(name).draw(SHAPE, dtype, key=1), math.sqrt(squared_limit)
    assert (w.shape, w.dtype) == (SHAPE, dtype.numpy)
    assert 0.999 * limit < np.abs(w).max() <= np.asarray(limit, dtype.numpy)
    assert abs(w.mean()) < 0.02 * limit
    assert w.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("name", "variance"), NORMAL.items())
def test_normal_initializers_are_truncated_and_have_the_wanted_deviation(name, variance):
    w, stddev = init.get(name).draw(SHAPE, DType.FLOAT32, key=1), math.sqrt(variance)
    cut = 2 * stddev / 0.87962566103423978
    assert 0.99 * cut < np.abs(w).max() <= np.float32(cut)
    assert abs(w.mean()) < 0.02 * stddev
    assert w.std() == pytest.approx(stddev, rel=0.01)


def test_truncation_redraws_instead_of_clipping():
    w = init.TruncatedNormal(1.0, 2.0).draw((100_000,), DType.FLOAT64, key=3)
    inside = np.abs(w - 1.0) / 2.0
    assert inside.max() < 2.0
    assert np.unique(w).size == w.size
    # P(|x| < 1 given |x| < 2) = 0.6827 / 0.9545
    assert (inside < 1.0).mean() == pytest.approx(0.71525, abs=0.005)


def test_random_initializers():
    u = init.random_uniform(-1.0, 3.0).draw((50_000,), DType.FLOAT64, key=2)
    z = init.random_normal(1.0, 2.0).draw((50_000,), DType.FLOAT64, key=2)
    v = init.VarianceScaling(2.0, "fan_out", "untruncated_normal").draw(SHAPE, DType.FLOAT64, key=2)
    assert -1.0 <= u.min() < -0.99
    assert 2.99 < u.max() < 3.0
    assert (z.mean(), z.std()) == pytest.approx((1.0, 2.0), abs=0.03)
    assert v.std() == pytest.approx(math.sqrt(2 / 200), rel=0.01)
    assert np.abs(v).max() > 3.5 * math.sqrt(2 / 200)


@pytest.mark.parametrize("name", init.INITIALIZERS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 4), (2, 3, 4, 5)])
def test_every_initializer_fills_every_shape(name, shape):
    a, b = (init.get(name).draw(shape, DType.FLOAT32, key=7) for _ in range(2))
    assert (a.shape, a.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(a, b)


def test_plain_initializers_fill_integers_too():
    assert init.get("ones").draw((2,), DType.INT32, 0).tolist() == [1, 1]
    assert init.get(np.int64(3)).draw((2,), DType.INT32, 0).tolist() == [3, 3]
    with pytest.raises(sg.DTypeError, match="0.5 does not fit int32"):
        init.Constant(0.5).draw((2,), DType.INT32, 0)
    with pytest.raises(sg.DTypeError, match="random numbers are floats"):
        init.get("glorot_uniform").draw((2,), DType.INT32, 0)


def test_initializers_by_name_object_function_and_number():
    assert init.get("He_Normal") == init.get(init.he_normal) == init.get(init.he_normal()) == init.he_normal()
    assert init.get(init.Zeros) == init.Zeros()
    assert init.get(2) == init.Constant(2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.get("glorot_unifrom"), ValueError, "unknown initializer.*Did you mean 'glorot_uniform'"),
        (lambda: init.get(None), TypeError, "not NoneType"),
        (lambda: init.VarianceScaling(mode="fan_inn"), ValueError, "unknown mode.*Did you mean 'fan_in'"),
        (lambda: init.VarianceScaling(distribution="normal"), ValueError, "unknown distribution.*truncated_normal"),
        (lambda: init.VarianceScaling(scale=0.0), ValueError, "scale is above 0"),
        (lambda: init.RandomNormal(stddev=-1.0), ValueError, "not negative"),
        (lambda: init.RandomUniform(1.0, 0.0), ValueError, "above maxval"),
    ],
)
def test_bad_initializers(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- parameters ----------------------------------------------------------------------------------------------------


def test_the_process_seed_decides_first_values():
    def draw():
        return [sg.parameter(n, (3, 4)).value for n in "ab"]

    first, second = draw(), draw()
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], second[0])
    sg.set_seed(0)
    np.testing.assert_array_equal(first, draw())
    sg.set_seed(1)
    assert not np.array_equal(first[0], draw()[0])


def test_what_one_parameter_is_made_of_changes_no_other():
    def second(first_init):
        sg.set_seed(0)
        sg.parameter("a", (4,), first_init)
        return sg.parameter("b", (4,)).value

    np.testing.assert_array_equal(second("zeros"), second("he_normal"))
    np.testing.assert_array_equal(second([1.0] * 4), second("he_normal"))


def test_a_seed_of_its_own_takes_no_key_of_the_process():
    a = sg.parameter("a", (4,), seed=5).value
    b = sg.parameter("b", (4,)).value
    np.testing.assert_array_equal(a, sg.parameter("c", (4,), seed=5).value)
    sg.set_seed(0)
    np.testing.assert_array_equal(b, sg.parameter("d", (4,)).value)


def test_parameters_from_arrays_and_numbers():
    array = np.arange(6.0).reshape(2, 3)
    p = sg.parameter("p", (2, 3), array, dtype="float32", trainable=False)
    array[:] = 0
    assert (p.dtype, p.trainable, p.value.tolist()) == (DType.FLOAT32, False, [[0, 1, 2], [3, 4, 5]])
    assert sg.parameter("s", (), 0.25).value == 0.25
    assert sg.parameter("i", 2, [1, 2], dtype="int64").value.tolist() == [1, 2]
    assert sg.parameter("q", (2,)) is not sg.parameter("q", (2,))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sg.parameter("W", (N, 3)),
            sg.ShapeError,
            r"parameter 'W': sizes are ints; \(N, 3\) \(test_nn.py:\d+\)",
        ),
        (lambda: sg.parameter("W", (2, -3)), sg.ShapeError, "a size is negative"),
        (lambda: sg.parameter("W", (2, 2.5)), sg.ShapeError, "a size is an int"),
        (lambda: sg.parameter("2W", (2,)), ValueError, "cannot be a name"),
        (lambda: sg.parameter("W", (2,), "hee_normal"), ValueError, "Did you mean 'he_normal'"),
        (lambda: sg.parameter("W", (2,), np.zeros(3)), sg.ShapeError, r"wrong shape; \(3,\) instead of \(2,\)"),
        (lambda: sg.parameter("W", (2,), np.zeros(2), dtype="int32"), sg.DTypeError, "cannot become int32"),
        (lambda: sg.parameter("W", (2,), np.zeros(2, complex)), sg.DTypeError, "complex128"),
        (lambda: sg.parameter("W", (2,), dtype="flaot32"), sg.DTypeError, "Did you mean 'float32'"),
    ],
)
def test_bad_parameters(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- layers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_is_an_affine_map(dtype):
    x = sg.symbol("x", (N, 4), dtype)
    layer = Dense(3, activation="tanh", bias_initializer="random_normal")
    assert not layer.built
    out = layer(x)
    kernel, bias = layer.parameters
    assert (out.shape, out.dtype, layer.built) == ((N, 3), dtype, True)
    assert [(p.name, p.shape, p.dtype) for p in (kernel, bias)] == [
        ("dense/kernel", (4, 3), dtype), ("dense/bias", (3,), dtype),
    ]  # fmt: skip
    assert layer.parameters_by_name == {"kernel": kernel, "bias": bias}
    value = RNG.normal(size=(5, 4))
    expected = np.tanh(value @ kernel.value.astype(float) + bias.value)
    np.testing.assert_allclose(sg.evaluate(out, {x: value}), expected, rtol=1e-12)
    assert layer(x) is out


def test_dense_works_along_the_last_axis():
    x = sg.symbol("x", (N, sg.dim("T"), 4))
    layer = Dense(3, use_bias=False)
    out = layer(x)
    assert out.shape == (N, sg.dim("T"), 3)
    assert [p.name for p in layer.parameters] == ["dense/kernel"]
    value = RNG.normal(size=(2, 5, 4))
    expected = value @ layer.parameters[0].value.astype(float)
    np.testing.assert_allclose(sg.evaluate(out, {x: value}), expected, rtol=1e-12)


def test_integer_inputs_get_float_parameters():
    layer = Dense(2)
    assert layer(sg.symbol("pixels", (N, 4), "uint8")).dtype == "float32"
    assert layer.parameters[0].dtype == "float32"


def test_flatten():
    images = sg.symbol("images", (N, 2, 3))
    value = RNG.normal(size=(4, 2, 3))
    np.testing.assert_array_equal(sg.evaluate(Flatten()(images), {images: value}), value.reshape(4, 6))
    assert Flatten()(sg.symbol("v", (N,))).shape == (N, 1)
    matrix = sg.symbol("m", (N, 6))
    assert Flatten()(matrix) is matrix


def test_inputs_without_a_name_are_never_the_same():
    a, b = Input((3,)), Input((3,))
    assert a is not b
    assert a.shape == b.shape == (N, 3)
    assert Input((3,), name="a") is Input((3,), name="a")
    assert Input((2, 2), dtype="uint8").dtype == "uint8"


def test_nodes_and_parameters_carry_the_line_of_their_layer():
    x = sg.symbol("x", (N, 4))
    layer, line = Dense(3, activation="relu"), here()
    out = layer(x)
    made = [node for node in topological([out]) if node is not x and node.op != "constant"]
    assert len(made) >= 5
    assert {site.line for node in made for site in side.sites(node)} == {line}


def test_a_layer_of_the_users_own():
    class Shift(Layer):
        def __init__(self, by):
            self.by = by  # forgets super().__init__()

        def build(self, shape, dtype):
            self.total = self.add_parameter("total", (), "zeros", dtype=dtype, trainable=False)

        def call(self, x, training=False):
            if training:
                self.add_update(self.total, self.total + self.by)
            return x + self.by

    shift, line = Shift(2.0), here()
    x = sg.symbol("x", (N,))
    shift(x)
    assert shift.take_updates() == []
    shift(x, training=True)
    ((target, new),) = shift.take_updates()
    assert (target.name, float(sg.evaluate(new))) == ("shift/total", 2.0)
    assert shift.take_updates() == []
    assert shift.site.line == line
    with pytest.raises(sg.ShapeError, match="update has the shape of its parameter"):
        shift.add_update(target, x)


def test_a_failed_build_leaves_nothing_behind():
    layer = Dense(3, bias_initializer=np_random_failure())
    with pytest.raises(RuntimeError, match="no entropy"):
        layer(sg.symbol("x", (N, 4)))
    assert not layer.built
    assert layer.parameters == []


def np_random_failure():
    class Failing:
        def draw(self, shape, dtype, key):
            raise RuntimeError("no entropy")

    return Failing()


def test_names_in_a_chain_and_in_a_model():
    x = Input((4,), name="x")
    first, second, chosen = Dense(3), Dense(3), Dense(3, name="head")
    outputs = chosen(Activation("relu")(second(first(x))))
    layers = [call.layer for call in calls_below([outputs])]
    assert [layer.name for layer in layers] == ["dense", "dense_1", "", "head"]
    assert [p.name for p in second.parameters] == ["dense_1/kernel", "dense_1/bias"]
    assert names_for(layers) == ["dense", "dense_1", "activation", "head"]
    assert names_for([Dense(1), Dense(1, name="dense"), Flatten(), Dense(1)]) == [
        "dense_1",
        "dense",
        "flatten",
        "dense_2",
    ]
    with pytest.raises(ValueError, match="two layers of the model are named 'a'"):
        names_for([Dense(1, name="a"), Dense(1, name="a")])


def test_adoption_names_the_parameters_and_seeds_them():
    def values(name, seed):
        layer = Dense(3, bias_initializer="random_normal")
        layer.adopt(name, seed)
        layer(sg.symbol("x", (N, 4)))
        assert [p.name for p in layer.parameters] == [f"{name}/kernel", f"{name}/bias"]
        return [p.value for p in layer.parameters]

    a, b, c = values("a", 1), values("b", 1), values("c", 2)
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(a[0], c[0])


def test_adoption_of_a_built_layer_renames_it_in_errors():
    layer = Dense(3)
    layer(sg.symbol("x", (N, 4)))
    layer.adopt("tower/dense_7")
    with pytest.raises(sg.ShapeError, match=re.escape("tower/dense_7/kernel is (4, 3)")):
        sg.symbol("z", (N, 5)) @ layer.parameters[0]


def test_calls_are_found_once_per_use():
    x = Input((4,), name="x")
    shared, same = Dense(4), Activation("linear")
    out = same(shared(shared(x)))
    assert [call.layer for call in calls_below([out])] == [shared, shared, same]
    assert [call.inputs for call in calls_below([out])][0] == (x,)
    again = Flatten()
    Flatten()(sg.symbol("i", (N, 2, 2)))
    flat = again(sg.symbol("i", (N, 2, 2)))
    assert [call.layer for call in calls_below([flat])] == [again]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4,), {}, r"dense: the input needs a batch axis and one of features; x is \(4,\)"),
        ((), {}, r"dense: the input needs a batch axis"),
        ((4, N), {}, r"dense: the number of features must be known; x is \(4, N\), the last size is N"),
        ((N, 5), {"input_shape": (4,)}, r"another shape; x is \(N, 5\), input_shape is \(4,\).*inputs of \(N, 4\)"),
        ((N, 5), {"input_shape": 4, "name": "head"}, r"head: .*head constructed at test_nn.py:\d+"),
    ],
)
def test_layers_refuse_what_does_not_fit(shape, options, message):
    layer = Dense(3, **options)
    with pytest.raises(sg.ShapeError, match=message):
        layer(sg.symbol("x", shape))
    assert not layer.built


def test_layer_errors_say_where_what_got_and_hint():
    layer, constructed = Dense(3), here()
    layer(sg.symbol("x", (N, 4)))
    with pytest.raises(sg.ShapeError) as caught:
        layer(sg.symbol("x", (N, 5)))
    called = here() - 1
    assert str(caught.value) == (
        "dense: the input has another number of features than the first one; x is (N, 5), the kernel is (4, 3); 5 != 4 "
        f"(test_nn.py:{called}; dense constructed at test_nn.py:{constructed}). Make another Dense."
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units is 1 or more"),
        (lambda: Dense(2.5), TypeError, "units is an int"),
        (lambda: Dense(True), TypeError, "units is an int"),
        (lambda: Dense(N), TypeError, "units is an int"),
        (lambda: Dense(3, "rellu"), ValueError, "unknown activation 'rellu'. Did you mean 'relu'"),
        (lambda: Dense(3, "stop_gradient"), ValueError, "unknown activation"),
        (lambda: Dense(3, use_bias="zeros"), TypeError, "use_bias is True or False"),
        (lambda: Dense(3, kernel_initializer="glorot"), ValueError, "unknown initializer"),
        (lambda: Dense(3, name="my layer"), ValueError, "cannot be a name"),
        (lambda: Dense(3, input_shape=(N,)), sg.ShapeError, "sizes are ints"),
        (lambda: Dense(3)(np.zeros((2, 4))), TypeError, "called with an expression, not ndarray"),
        (lambda: Flatten()(sg.symbol("s")), sg.ShapeError, "needs a batch axis"),
        (lambda: Activation(lambda x: 1.0)(sg.symbol("s", (N,))), TypeError, "call returns an expression"),
        (lambda: Layer()(sg.symbol("s", (N,))), NotImplementedError, "Layer defines no call"),
    ],
)
def test_bad_layers(call, error, message):
    with pytest.raises(error, match=message):
        call()


ORACLES = {
    "linear": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softmax": softmax, "log_softmax": lambda z: np.log(softmax(z)), "softplus": lambda z: np.log1p(np.exp(z)),
    "exponential": np.exp, None: lambda z: z,
}  # fmt: skip


@pytest.mark.parametrize("name", ORACLES)
def test_activations(name):
    z = sg.symbol("z", (N, 5))
    value = RNG.normal(size=(4, 5))
    np.testing.assert_allclose(sg.evaluate(activations.get(name)(z), {z: value}), ORACLES[name](value), rtol=1e-12)


def test_activations_by_function():
    def double(x):
        return x + x

    assert activations.get(double) is double
    assert [activations.label(f) for f in (double, activations.get("relu"), activations.linear, sg.exp)] == [
        "double", "relu", "linear", "exp",
    ]  # fmt: skip
    assert Activation(sg.tanh)(sg.symbol("z", (N,))).op == "tanh"


# -- losses --------------------------------------------------------------------------------------------------------

Z = RNG.normal(size=(6, 4)) * 3
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
        (sg.losses.categorical_crossentropy(y4, sg.softmax(z4)), {y4: ONE_HOT, z4: Z}, cross_entropy(ONE_HOT, softmax(Z))),
        (sg.losses.categorical_crossentropy(y4, z4), {y4: SOFT, z4: softmax(Z)}, cross_entropy(SOFT, softmax(Z))),
        (sg.losses.categorical_crossentropy(y4, z4, True), {y4: SOFT, z4: Z}, cross_entropy(SOFT, softmax(Z))),
        (sg.losses.sparse_categorical_crossentropy(i1, z4), {i1: LABELS, z4: softmax(Z)}, cross_entropy(ONE_HOT, softmax(Z))),
        (sg.losses.sparse_categorical_crossentropy(i1, z4, True), {i1: LABELS, z4: Z}, cross_entropy(ONE_HOT, softmax(Z))),
        (sg.losses.binary_crossentropy(y4, sg.sigmoid(z4)), {y4: BITS, z4: Z}, binary(BITS, SIGMOID)),
        (sg.losses.binary_crossentropy(y4, z4), {y4: SOFT, z4: SIGMOID}, binary(SOFT, SIGMOID)),
        (sg.losses.binary_crossentropy(y4, z4, from_logits=True), {y4: BITS, z4: Z}, binary(BITS, SIGMOID)),
        (sg.losses.mean_squared_error(y4, z4), {y4: SOFT, z4: Z}, ((SOFT - Z) ** 2).mean(-1).mean()),
        (sg.losses.CategoricalCrossentropy(from_logits=True)(y4, z4), {y4: SOFT, z4: Z}, cross_entropy(SOFT, softmax(Z))),
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
    p = softmax(Z)
    np.testing.assert_allclose(sg.evaluate(sg.grad(loss, y4), {y4: ONE_HOT, z4: p}), -np.log(p) / 6, rtol=1e-12)


def test_a_gradient_in_the_probabilities_stays_possible():
    p = sg.softmax(z4)
    slope = sg.grad(sg.losses.categorical_crossentropy(y4, p), p)
    np.testing.assert_allclose(sg.evaluate(slope, {y4: SOFT, z4: Z}), -SOFT / softmax(Z) / 6, rtol=1e-12)


def test_labels_and_predictions_of_one_column_meet_elementwise():
    y, p = sg.symbol("y", (N,)), sg.symbol("p", (N, 1))
    env = {y: [0.0, 1.0, 1.0], p: [[0.5], [0.25], [0.5]]}
    assert float(sg.evaluate(sg.losses.mean_squared_error(y, p), env)) == pytest.approx((0.25 + 0.5625 + 0.25) / 3)
    assert float(sg.evaluate(sg.losses.mean_squared_error(p, y), env)) == pytest.approx((0.25 + 0.5625 + 0.25) / 3)
    assert float(sg.evaluate(sg.losses.binary_crossentropy(y, p), env)) == pytest.approx(math.log(16) / 3)
    column = sg.symbol("c", (N, 1), "int64")
    sparse = sg.losses.sparse_categorical_crossentropy(column, z4, from_logits=True)
    expected = cross_entropy(ONE_HOT, softmax(Z))
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


# -- metrics -------------------------------------------------------------------------------------------------------


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


# -- optimizers ----------------------------------------------------------------------------------------------------


def sgd(w, gradient, state, lr=0.01, momentum=0.0, nesterov=False):
    if momentum == 0:
        return w - lr * gradient
    state["V"] = momentum * state.get("V", 0) - lr * gradient
    return w + (momentum * state["V"] - lr * gradient if nesterov else state["V"])


def rmsprop(w, gradient, state, lr=0.001, rho=0.9, eps=1e-7, momentum=0.0):
    state["V"] = rho * state.get("V", 0) + (1 - rho) * gradient**2
    step = lr * gradient / np.sqrt(state["V"] + eps)
    state["M"] = momentum * state.get("M", 0) + step
    return w - state["M"]


def adam(w, gradient, state, lr=0.001, b1=0.9, b2=0.999, eps=1e-7):
    t = state["t"] = state.get("t", 0) + 1
    state["M"] = b1 * state.get("M", 0) + (1 - b1) * gradient
    state["V"] = b2 * state.get("V", 0) + (1 - b2) * gradient**2
    alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
    return w - alpha * state["M"] / (np.sqrt(state["V"]) + eps)


OPTIMIZERS = [
    (sg.optim.SGD(), sgd, {}),
    (sg.optim.SGD(0.1, momentum=0.9), sgd, {"lr": 0.1, "momentum": 0.9}),
    (sg.optim.SGD(0.1, momentum=0.9, nesterov=True), sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (sg.optim.RMSprop(), rmsprop, {}),
    (sg.optim.RMSprop(0.01, 0.8, 1e-3, momentum=0.5), rmsprop, {"lr": 0.01, "rho": 0.8, "eps": 1e-3, "momentum": 0.5}),
    (sg.optim.Adam(), adam, {}),
    (sg.optim.Adam(0.1, 0.8, 0.9, 1e-2), adam, {"lr": 0.1, "b1": 0.8, "b2": 0.9, "eps": 1e-2}),
]


@pytest.mark.parametrize(("optimizer", "reference", "options"), OPTIMIZERS)
def test_five_steps_follow_keras_formulas(optimizer, reference, options):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(3, 2)), rng.normal(size=2)]
    targets = [sg.parameter(n, v.shape, v, dtype="float64") for n, v in zip("Wb", start, strict=True)]
    x = sg.symbol("x", (N, 3), "float64")
    loss = sg.tanh(x @ targets[0] + targets[1]).sum()
    updates = optimizer.updates(loss, targets)
    again = optimizer.updates(loss, targets)
    assert [*updates.values()] == [*updates.values()] and all(again[p] is v for p, v in updates.items())  # noqa: PT018
    assert all(new.type == p.type for p, new in updates.items())

    values, states = start, [{}, {}]
    for _ in range(5):
        batch = rng.normal(size=(4, 3))
        slope = 1 - np.tanh(batch @ values[0] + values[1]) ** 2
        gradients = [batch.T @ slope, slope.sum(0)]
        values = [reference(w, g, s, **options) for w, g, s in zip(values, gradients, states, strict=True)]
        new = sg.evaluate(list(updates.values()), {x: batch})
        for target, value in zip(updates, new, strict=True):
            target.value = value
    for target, value in zip(targets, values, strict=True):
        np.testing.assert_allclose(target.value, value, rtol=1e-10)


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (sg.optim.SGD(), "W <- W - lr * dW"),
        (sg.optim.SGD(momentum=0.9), "V <- momentum * V - lr * dW\nW <- W + V"),
        (sg.optim.RMSprop(), "V <- rho * V + (1 - rho) * dW**2\nW <- W - lr * dW / sqrt(V + eps)"),
    ],
)
def test_equations_read_as_in_a_book(optimizer, text):
    pair = sg.symbol("dW", (3,)), sg.parameter("W", (3,))
    assert sg.format_equations({}, updates=optimizer.apply([pair])) == text


def test_slots_belong_to_an_optimizer_and_a_parameter():
    a, b = sg.optim.Adam(), sg.optim.Adam()
    v, w = sg.parameter("v", (2,)), sg.parameter("w", (3,))
    g = sg.constant(1.0)
    a.apply([(g * v, v), (g * w, w)])
    b.apply([(g * w, w)])
    assert a.slots(sg.parameter("w", (3,))) == {}
    first = a.slots(w)
    a.apply([(g * w, w)])
    assert all(a.slots(w)[name] is slot for name, slot in first.items())
    assert list(first) == ["M", "V"]
    assert first["M"] is not b.slots(w)["M"]
    assert [p.name for p in a.state] == ["t", "M", "V", "M", "V"]
    assert not any(p.trainable or p.value.any() for p in a.state)


def test_the_learning_rate_is_a_parameter_of_the_equations():
    optimizer = sg.optim.SGD(0.5)
    w = sg.parameter("w", (), 1.0)
    ((_, new),) = optimizer.apply([(sg.constant(1.0), w)]).items()
    assert optimizer.hyper("lr") in new.free_symbols
    assert (optimizer.learning_rate, float(sg.evaluate(new))) == (0.5, 0.5)
    optimizer.learning_rate = 0.001
    assert optimizer.learning_rate == 0.001
    assert float(sg.evaluate(new)) == pytest.approx(0.999)
    optimizer.hyper("lr").value = np.float32(0.25)  # as an update of a compiled function does
    assert optimizer.learning_rate == 0.25
    with pytest.raises(ValueError, match="learning_rate is 0 or more"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.25


def test_hyperparameters_have_the_dtype_of_what_they_train():
    optimizer = sg.optim.RMSprop()
    single, double = sg.parameter("s", (2,)), sg.parameter("d", (2,), dtype="float64")
    updates = optimizer.apply([(sg.exp(single), single), (sg.exp(double), double)])
    assert [(p.name, p.dtype) for p in updates] == [
        ("V", "float32"), ("s", "float32"), ("V", "float64"), ("d", "float64"),
    ]  # fmt: skip
    assert all(new.dtype is p.dtype for p, new in updates.items())
    assert optimizer.hyperparameters == {"lr": 0.001, "rho": 0.9, "eps": 1e-7}
    assert float(optimizer.hyper("rho", DType.FLOAT64).value) == 0.9


def test_optimizers_by_name():
    assert repr(sg.optim.get("RMSprop")) == "RMSprop(lr=0.001, rho=0.9, eps=1e-07)"
    assert sg.optim.get("adam") is not sg.optim.get("adam")
    given = sg.optim.SGD()
    assert sg.optim.get(given) is given
    assert isinstance(sg.optim.get(sg.optim.Adam), sg.optim.Adam)


W = sg.parameter("W", (2,))
FROZEN = sg.parameter("frozen", (2,), trainable=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sg.optim.get("rmsprp"), ValueError, "unknown optimizer 'rmsprp'. Did you mean 'rmsprop'"),
        (lambda: sg.optim.get(None), TypeError, "not NoneType"),
        (lambda: sg.optim.SGD("fast"), TypeError, "learning_rate is a number"),
        (lambda: sg.optim.SGD(-0.1), ValueError, "learning_rate is 0 or more"),
        (lambda: sg.optim.SGD(float("nan")), ValueError, "learning_rate is finite"),
        (lambda: sg.optim.SGD(nesterov=1), TypeError, "nesterov is True or False"),
        (lambda: sg.optim.RMSprop(rho=1.5), ValueError, "rho lies between 0 and 1"),
        (lambda: sg.optim.Adam(beta_1=1.0), ValueError, "beta_1 lies between 0 and 1"),
        (lambda: sg.optim.SGD().updates(W.sum(), [sg.symbol("x", (2,))]), TypeError, "x is none"),
        (lambda: sg.optim.SGD().updates(W.sum(), [W, W]), ValueError, "given twice"),
        (lambda: sg.optim.SGD().updates(FROZEN.sum(), [FROZEN]), ValueError, "not trainable"),
        (lambda: sg.optim.SGD().updates(W, [W]), sg.GradientError, "scalar loss"),
        (lambda: sg.optim.SGD().updates(FROZEN.sum(), [W]), sg.GradientError, "does not depend on W"),
        (lambda: sg.optim.SGD().apply([(sg.symbol("g", (3,)), W)]), sg.ShapeError, r"\(3,\) for W is \(2,\)"),
    ],
)
def test_bad_optimizers(call, error, message):
    with pytest.raises(error, match=message):
        call()
