"""Every way in takes arrays in any layout: the same values give the same bits, and the array stays as it is."""

import numpy as np
import pytest
from layouts import LAYOUTS, layouts

import symgrad as sg

N = sg.dim("N")
RNG = np.random.default_rng(5)
FLOATS = RNG.normal(size=(9, 6)).astype(np.float32)
CASES = {name: (view, plain) for name, view, plain in layouts(FLOATS)}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
some_rows = pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "size 0"])


def both(use, layout, cases=CASES):
    """Use an array in this layout and a plain one; the results must have the same bits."""
    view, plain = cases[layout]
    before, type_ = np.array(np.asarray(view)), type(view)
    got, want = use(view), use(plain)
    assert type(view) is type_
    assert np.array_equal(np.asarray(view), before)
    for a, b in zip(got, want, strict=True):
        assert type(a) in (np.ndarray, np.float32, np.float64, float)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
        assert np.shape(a) == np.shape(b)


def test_the_layouts_are_what_they_say():
    assert not CASES["Fortran"][0].flags.c_contiguous
    assert max(CASES["negative step"][0].strides) < 0
    assert CASES["stepped"][0].strides[1] == 8
    assert CASES["broadcast"][0].strides[0] == 0
    assert not CASES["misaligned"][0].flags.aligned
    assert not CASES["byte-swapped"][0].dtype.isnative
    assert not CASES["read-only"][0].flags.writeable
    assert CASES["overlapping"][0].strides == (4, 4)
    assert (CASES["size 0"][0].size, len(CASES["size 1"][0])) == (0, 1)
    assert type(CASES["memory-mapped"][0]) is np.memmap
    assert len(LAYOUTS) == 12


@pytest.fixture(scope="module")
def function():
    x = sg.symbol("x", (N, 6))
    return sg.function([x], [sg.tanh(x) @ sg.constant(np.ones((6, 3), np.float32)), x.sum(axis=1), x[::-1].T])


@every_layout
def test_inputs_by_position(function, layout):
    both(lambda a: function(a), layout)


@every_layout
def test_inputs_by_name(function, layout):
    both(lambda a: function(x=a), layout)


@every_layout
def test_inputs_of_another_dtype(function, layout):
    whole = {name: (view, plain) for name, view, plain in layouts(RNG.normal(size=(9, 6)))}
    both(lambda a: function(a), layout, whole)
    counts = {name: (view, plain) for name, view, plain in layouts(RNG.integers(-9, 9, (9, 6)))}
    both(lambda a: function(a), layout, counts)


@every_layout
def test_indices(layout):
    whole = {name: (view, plain) for name, view, plain in layouts(RNG.integers(-4, 4, (9, 6), np.int32))}
    i = sg.symbol("i", (N, 6), "int32")
    f = sg.function([i], [sg.take(sg.constant(np.arange(4.0)), i)])
    both(lambda a: f(a), layout, whole)


@every_layout
def test_results(layout):
    """`out=` is memory to write: what is not plain memory of its own is refused, and left alone."""
    x = sg.symbol("x", (N, 6))
    f = sg.function([x], x * 2)
    view, plain = CASES[layout]
    before = np.array(np.asarray(view))
    flags = view.flags
    plain_memory = flags.c_contiguous and flags.aligned and flags.writeable and view.dtype.isnative
    if plain_memory:
        f(plain, out=view)
        assert np.array_equal(np.asarray(view), plain * 2)
        view[...] = before
    else:
        with pytest.raises((ValueError, sg.DTypeError), match="out="):
            f(plain, out=view)
        assert np.array_equal(np.asarray(view), before)


@every_layout
def test_evaluate(layout):
    x = sg.symbol("x", (N, 6))
    both(lambda a: [sg.evaluate(sg.tanh(x) * 3, {x: a}), sg.evaluate(x.sum(axis=0), {"x": a}, dtype=None)], layout)


@every_layout
def test_constants(layout):
    x = sg.symbol("x", (6,))
    row = np.arange(6, dtype=np.float32)

    def use(a):
        value = sg.constant(a)
        return sg.function([x], [value * x, sg.matmul(value, x)])(row)

    both(use, layout)


@every_layout
def test_arrays_in_expressions(layout):
    x = sg.symbol("x", (6,))
    row = np.arange(6, dtype=np.float32)

    def use(a):
        parts = [x * a, x + a, sg.matmul(a, x), sg.where(np.asarray(a) > 0, x, a)]
        if layout != "subclass":  # its own operator comes first
            parts += [a * x, a @ x]
        else:
            parts += [x * a, sg.matmul(a, x)]
        return sg.function([x], parts)(row)

    both(use, layout)


@every_layout
def test_values_of_parameters(layout):
    def use(a):
        w = sg.parameter("w", a.shape, init="zeros")
        w.value = a
        f = sg.function([], [w * 2], updates={w: w + 1})
        return [f()[0], w.value]

    both(use, layout)


def _model():
    model = sg.Sequential([sg.layers.Dense(4, activation="tanh", input_shape=(6,)), sg.layers.Dense(2)], seed=1)
    model.compile(optimizer="rmsprop", loss="mse")
    return model


LABELS = RNG.normal(size=(9, 2)).astype(np.float32)


@some_rows
@pytest.mark.parametrize("what", ["samples", "labels"])
def test_training(layout, what):
    cases = CASES if what == "samples" else {name: (v, p) for name, v, p in layouts(LABELS)}

    def use(a):
        model = _model()
        x, y = (a, LABELS[: len(a)]) if what == "samples" else (FLOATS[: len(a)], a)
        history = model.fit(x, y, epochs=2, batch_size=4, verbose=0, seed=3)
        model.train_on_batch(x, y)
        return [*model.get_weights(), np.array(history.history["loss"]), np.array(model.evaluate(x, y))]

    both(use, layout, cases)


@some_rows
def test_prediction(layout):
    model = _model()
    both(lambda a: [model.predict(a)], layout)


@every_layout
def test_weights(layout):
    whole = {name: (view, plain) for name, view, plain in layouts(RNG.normal(size=(6, 4)).astype(np.float32))}
    model = _model()
    _, *others = model.get_weights()
    view, plain = whole[layout]
    if view.shape != (6, 4):
        before = [w.tobytes() for w in model.get_weights()]
        with pytest.raises(sg.ShapeError):
            model.set_weights([view, *others])
        assert [w.tobytes() for w in model.get_weights()] == before
    else:
        model.set_weights([view, *others])
        assert np.array_equal(model.get_weights()[0], plain)
