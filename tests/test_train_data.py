"""The data sets of `fit`: whatever their dtype, strides and order, read in place, with the result of a plain copy."""

import tracemalloc

import numpy as np
import pytest

import symgrad as sg
from symgrad.train.rows import as_rows

SAMPLES, FEATURES, CLASSES = 300, 12, 5
RNG = np.random.default_rng(2)
BYTES = RNG.integers(0, 256, (SAMPLES, FEATURES), dtype=np.uint8)
X = BYTES.astype(np.float32)
LABELS = RNG.integers(0, CLASSES, SAMPLES)
Y = np.eye(CLASSES, dtype=np.float32)[LABELS]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def spread(array, steps):
    """Lay an array out with gaps along its axes, backwards where a step is negative."""
    memory = np.full([n * abs(s) + 3 for n, s in zip(array.shape, steps, strict=True)], 99, array.dtype)
    view = memory[tuple(slice(1, n * abs(s) + 1, abs(s)) for n, s in zip(array.shape, steps, strict=True))]
    view = view[tuple(slice(None, None, 1 if s > 0 else -1) for s in steps)]
    view[...] = array
    return view


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "every second row": lambda a: spread(a, (2,) + (1,) * (a.ndim - 1)),
    "rows backwards": lambda a: spread(a, (-1,) + (1,) * (a.ndim - 1)),
    "columns of a wider array": lambda a: spread(a, (1,) * (a.ndim - 1) + (3,)),
    "everything backwards": lambda a: spread(a, (-2,) * a.ndim),
    "Fortran-ordered": np.asfortranarray,
    "read-only": read_only,
}
COPIED = {"misaligned": misaligned, "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder())}
DTYPES = ["float32", "float64", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


def trained(x, y, loss="categorical_crossentropy", **settings):
    model = sg.Sequential(
        [sg.layers.Dense(8, "tanh", input_shape=(FEATURES,)), sg.layers.Dense(CLASSES, "softmax")], seed=1
    )
    model.compile(sg.optim.SGD(0.01), loss, ["accuracy"])
    history = model.fit(x, y, batch_size=64, seed=4, verbose=0, **settings).history
    return history, *(w.tobytes() for w in model.get_weights()), model.predict(x).tobytes(), model.evaluate(x, y)


@pytest.fixture(scope="module")
def plain():
    return trained(X, Y)


@pytest.mark.parametrize("layout", [*LAYOUTS, *COPIED])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_any_layout_gives_the_result_of_a_plain_copy(layout, dtype, plain):
    arrange = {**LAYOUTS, **COPIED}[layout]
    x, y = arrange(X.astype(dtype)), arrange(Y.astype(dtype))
    kept = x.copy(), y.copy()
    assert trained(x, y) == plain
    assert np.array_equal(x, kept[0])
    assert np.array_equal(y, kept[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_dtype_gives_the_result_of_its_float32_copy(dtype):
    x = (BYTES % 100).astype(dtype)
    assert trained(x, Y) == trained(x.astype(np.float32), Y)


def test_float64_rounds_as_numpy_does():
    x = RNG.standard_normal((SAMPLES, FEATURES)) / 3
    assert trained(x, Y) == trained(x.astype(np.float32), Y)


def test_lists_and_repeated_rows_are_data_too(plain):
    assert trained(X.tolist(), Y.tolist()) == plain
    repeated = np.broadcast_to(X[0], X.shape)
    assert trained(repeated, Y) == trained(repeated.copy(), Y)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_rows_are_views_of_the_callers_memory(layout, dtype):
    array = LAYOUTS[layout](X.astype(dtype))
    rows = as_rows("x", array)
    assert np.shares_memory(rows.array, array)
    low, high = np.lib.array_utils.byte_bounds(array)
    assert rows.address == low
    assert rows.samples == SAMPLES
    assert low <= rows.address < high


@pytest.mark.parametrize("layout", COPIED)
def test_only_what_no_strides_describe_is_copied(layout):
    given = COPIED[layout](X)
    assert not np.shares_memory(as_rows("x", given).array, given)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_fit_does_not_copy_the_data_set(dtype):
    wide = 1000  # the orders of samples are small against the smallest copy of the data
    x, y = np.zeros((6000, 2 * wide), dtype)[::2, ::2], np.zeros(3000, np.uint8)
    model = sg.Sequential([sg.layers.Dense(2, "softmax", input_shape=(wide,))], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=1000, verbose=0, validation_split=0.1)  # compiled
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=1000, verbose=0, validation_split=0.1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.size // 2


# -- labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("column", [False, True])
def test_class_numbers_train_as_one_hot_rows_do(dtype, column, plain):
    y = LABELS.astype(dtype)
    history, *_, predicted, _ = trained(X, y[:, None] if column else y, "sparse_categorical_crossentropy")
    np.testing.assert_allclose(history["loss"], plain[0]["loss"], rtol=1e-5)
    got, want = (np.frombuffer(p, np.float32) for p in (predicted, plain[-2]))
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


def test_strided_class_numbers_are_read_in_place():
    y = spread(LABELS, (-3,))
    assert trained(X, y, "sparse_categorical_crossentropy") == trained(X, LABELS, "sparse_categorical_crossentropy")


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 1)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_binary_labels(shape, dtype):
    y = (X.sum(axis=1) > X.sum(axis=1).mean()).astype(dtype).reshape(shape)
    model = sg.Sequential([sg.layers.Dense(1, "sigmoid", input_shape=(FEATURES,))], seed=1)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    history = model.fit(X / 255, y, batch_size=20, epochs=60, verbose=0).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    p = model.predict(X / 255)[:, 0].astype(np.float64)
    t = y.reshape(-1).astype(np.float64)
    loss, accuracy = model.evaluate(X / 255, y)
    assert loss == pytest.approx(-np.mean(t * np.log(p) + (1 - t) * np.log1p(-p)), rel=1e-5)
    assert accuracy == pytest.approx(np.mean((p > 0.5) == t), abs=1e-6)


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 1)])
def test_regression_finds_the_line(shape):
    slopes = RNG.standard_normal(FEATURES)
    x = RNG.standard_normal((SAMPLES, FEATURES))
    model = sg.Sequential([sg.layers.Dense(1, input_shape=(FEATURES,))], seed=1)
    model.compile(sg.optim.SGD(0.1), "mse", ["mean_squared_error"])
    history = model.fit(x, (x @ slopes + 2).reshape(shape), batch_size=30, epochs=30, verbose=0).history
    assert history["loss"][-1] < 1e-8
    assert history["loss"] == history["mean_squared_error"]
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel[:, 0], slopes, atol=1e-4)
    np.testing.assert_allclose(bias, 2, atol=1e-4)


def test_one_class_and_one_sample():
    model = sg.Sequential([sg.layers.Dense(1, "softmax", input_shape=(FEATURES,))], seed=1)
    model.compile("sgd", "categorical_crossentropy")
    assert model.fit(X[:1], Y[:1, :1] * 0 + 1, verbose=0).history == {"loss": [0.0]}


def test_a_dict_of_one_input_and_nan_are_data():
    model = sg.Sequential([sg.layers.Dense(1, input_shape=(FEATURES,))], seed=1)
    model.compile("sgd", "mse")
    assert np.array_equal(model.predict({"X": X}), model.predict(X))
    broken = X.copy()
    broken[7, 3] = np.nan
    assert np.flatnonzero(np.isnan(model.predict(broken)[:, 0])).tolist() == [7]
