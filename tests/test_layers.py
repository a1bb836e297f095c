"""Layers and activations: values, names, lines, refusals."""

import inspect
import re

import numpy as np
import pytest

import symgrad as sg
from symgrad import side
from symgrad.expr import topological
from symgrad.nn import activations
from symgrad.nn.layer import calls_of
from symgrad.nn.layers import Activation, Dense, Flatten, Input, Layer, calls_below, names_for

N = sg.dim("N")
RNG = np.random.default_rng(0)


def here() -> int:
    """Give the line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


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
    class Failing:
        def draw(self, shape, dtype, key):
            raise RuntimeError("no entropy")

    layer = Dense(3, bias_initializer=Failing())
    with pytest.raises(RuntimeError, match="no entropy"):
        layer(sg.symbol("x", (N, 4)))
    assert not layer.built
    assert layer.parameters == []


def test_names_in_a_chain_and_in_a_model():
    x = Input((4,), name="x")
    first, second, chosen = Dense(3), Dense(3), Dense(3, name="head")
    outputs = chosen(Activation("relu")(second(first(x))))
    layers = [call.layer for call in calls_below([outputs])]
    assert [layer.name for layer in layers] == ["dense", "dense_1", "activation", "head"]
    assert [p.name for p in second.parameters] == ["dense_1/kernel", "dense_1/bias"]
    assert names_for(layers) == ["dense", "dense_1", "activation", "head"]
    layers = [Dense(1), Dense(1, name="dense"), Flatten(), Dense(1)]
    assert names_for(layers) == ["dense_1", "dense", "flatten", "dense_2"]
    with pytest.raises(ValueError, match="two layers of the model are named 'a'"):
        names_for([Dense(1, name="a"), Dense(1, name="a")])


def test_a_shared_layer_takes_one_number():
    x = Input((4,), name="x")
    shared, other, top = Dense(4), Dense(4), Dense(4)
    h = shared(shared(x))
    top(other(h) + h)
    assert [layer.name for layer in (shared, other, top)] == ["dense", "dense_1", "dense_2"]


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
    assert next(call.inputs for call in calls_below([out])) == (x,)
    assert [call.layer for call in calls_of(out)] == [shared, same]
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
        ((N, 5), {"input_shape": 4, "name": "head"}, r"head: .*head constructed at test_layers.py:\d+"),
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
        f"(test_layers.py:{called}; dense constructed at test_layers.py:{constructed}). Make another Dense."
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
    "linear": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softmax": softmax, "log_softmax": lambda z: np.log(softmax(z)), "softplus": lambda z: np.log1p(np.exp(z)),
    "exponential": np.exp, None: lambda z: z,
}  # fmt: skip


@pytest.mark.parametrize("name", ORACLES)
def test_activations(name):
    z = sg.symbol("z", (N, 5))
    value = RNG.normal(size=(4, 5))
    np.testing.assert_allclose(sg.evaluate(activations.get(name)(z), {z: value}), ORACLES[name](value), rtol=1e-12)


@pytest.mark.parametrize("name", activations.names())
def test_every_activation_makes_floats_of_floats(name):
    y = activations.get(name)(sg.symbol("z", (N, 5)))
    assert (y.shape, str(y.dtype)) == ((N, 5), "float32")
    assert sg.grad(y.sum(), [sg.symbol("z", (N, 5))], disconnected="zero")[0].shape == (N, 5)


def test_activations_by_function():
    def double(x):
        return x + x

    assert activations.get(double) is double
    assert [activations.label(f) for f in (double, activations.get("relu"), activations.linear, sg.exp)] == [
        "double", "relu", "linear", "exp",
    ]  # fmt: skip
    assert Activation(sg.tanh)(sg.symbol("z", (N,))).op == "tanh"
