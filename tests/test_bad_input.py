"""Bad input: refused with the right exception and telling words, and nothing changes; or the right result.

One table. `REFUSED` cases run on one model, one function and their parameters, whose bits are compared after each of
them; `ACCEPTED` cases are odd but right, and give what a plain array gives.
"""

import gzip
import re
from types import SimpleNamespace

import numpy as np
import pytest
import sympy

import symgrad as sg
from symgrad.train.datasets import read_idx

RNG = np.random.default_rng(4)
X = RNG.standard_normal((30, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, 30).astype(np.int32)
Y = np.eye(3, dtype=np.float32)[LABELS]
N, M = sg.dim("N"), sg.dim("M")
x = sg.symbol("x", (N, 6))
y = sg.symbol("y", (N,), dtype="int32")
flag = sg.symbol("flag", (N,), dtype="bool")
v, u, A = sg.symbol("v", (6,)), sg.symbol("u", (4,)), sg.symbol("A", (3, 3))
Dense = sg.layers.Dense


def network(loss="categorical_crossentropy", **chosen):
    model = sg.Sequential([Dense(4, "relu", input_shape=(6,)), Dense(3, "softmax")], seed=1)
    model.compile("rmsprop", loss, ["accuracy"], **chosen)
    return model


def make_world():
    W = sg.parameter("W", (6, 3), seed=1)
    logits = x @ W
    loss = sg.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    step = sg.function([x, y], [loss, logits], updates=sg.optim.SGD(0.1).updates(loss, [W]), name="step")
    return SimpleNamespace(
        model=network(), sparse=network("sparse_categorical_crossentropy"), W=W, step=step, loss=loss,
        read=sg.function([x, y], [x * 2, y + 1]), mask=sg.function([flag], sg.sum(flag)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def world():
    made = make_world()
    made.model.fit(X, Y, seed=1, verbose=0)  # compiled, with slots
    made.step(X, LABELS)
    return made


def bits(world):
    models = (world.model, world.sparse)
    state = [p for m in models for p in (*m.parameters, *m.optimizer.state)]
    return [p.value.tobytes() for p in (*state, world.W)]


def out(rows=30, dtype="float32"):
    return [np.empty((), np.float32), np.empty((rows, 3), dtype)]


def with_out(second):
    return lambda w: w.step(X, LABELS, out=[np.empty((), np.float32), second])


def read_only():
    array = out()[1]
    array.flags.writeable = False
    return array


def over_parameter(w):
    return w.step(X[:6], LABELS[:6], out=[np.empty((), np.float32), w.W.buffer])


def idx(content, name="digits"):
    def act(w):
        path = w.folder / name
        path.write_bytes(content)
        return read_idx(path)

    return act


def fit(x=X, y=Y, **keywords):
    return lambda w: w.model.fit(x, y, verbose=0, **keywords)


def fit_sparse(labels):
    return lambda w: w.sparse.fit(X, labels, verbose=0)


def step(*arrays, **named):
    return lambda w: w.step(*arrays, **named)


def compiling(*inputs, outputs=None, **keywords):
    return lambda w: sg.function(list(inputs), w.loss if outputs is None else outputs, **keywords)


SMALL_IDX = bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3])
Shape, DType, Index, Format, Gradient = (
    sg.ShapeError, sg.DTypeError, sg.IndexRangeError, sg.FormatError, sg.GradientError,
)  # fmt: skip


def wrong_rule(w):
    return sg.custom_gradient(lambda t: t * 2, lambda operands, out, g: sg.sum(g))(v)


def long_product():
    total = v
    for k in range(2, 20):
        total = total * k
    return total


REFUSED = {
    # sg.function: what is given for the inputs
    "rank too low": (step(X[0], LABELS), Shape, r"x has the wrong rank; \(6,\) instead of \(N, 6\)"),
    "rank too high": (step(X[None], LABELS), Shape, r"x has the wrong rank; \(1, 30, 6\)"),
    "size": (step(X[:, :5], LABELS), Shape, "axis 1 of x has the wrong size; 5 instead of 6"),
    "two values of N": (step(X, LABELS[:7]), Shape, r"dimension N has two values; 30 \(axis 0 of x\), 7 \(axis 0 of y"),
    "float to int": (step(X, LABELS * 1.0), DType, r"y is int32; float64 values.*astype\('int32'\)"),
    "int too large": (
        step(X, LABELS + np.int64(2**40)), DType, "y is int32; int64 values. The values run from .* not fit",
    ),
    "unsigned too large": (step(X, LABELS.astype(np.uint64) + np.uint64(2**63)), DType, "not fit"),
    "int to bool": (lambda w: w.mask(LABELS), DType, r"flag is bool; int32 values.*astype\('bool'\)"),
    "complex": (step(X * 1j, LABELS), DType, "x is float32; complex64 values. Only real numbers"),
    "objects": (step(X.astype(object), LABELS), DType, "object values. Give numbers"),
    "text": (step("abc", LABELS), DType, "x is float32; <U3 values"),
    "None": (step(None, LABELS), DType, "x is float32; object values"),
    "dates": (step(X.astype("M8[s]"), LABELS), DType, "datetime64"),
    "ragged list": (step([[1], [1, 2]], LABELS), Shape, "x: the parts of a list differ in shape"),
    "an expression": (step(x, LABELS), TypeError, "value of x is an expression. Give an array"),
    "missing": (step(X), TypeError, "step lacks a value for input 'y'"),
    "unknown": (step(X, z=LABELS), TypeError, "step has no input 'z'. Valid: x, y"),
    "nearly known": (step(X, yy=LABELS), TypeError, "Did you mean 'y'"),
    "twice": (step(X, LABELS, x=X), TypeError, "two values for input 'x'"),
    "too many": (step(X, LABELS, X), TypeError, r"step takes 2 inputs \(x, y\), got 3"),
    "index above": (step(X, LABELS * 0 + 3), Index, r"y\[0\] = 3 is outside an axis of size 3"),
    "index below": (step(X, LABELS * 0 - 4), Index, r"y\[0\] = -4 is outside an axis of size 3"),
    # sg.function: out=
    "out: shape": (with_out(out(29)[1]), Shape, r"out= has the wrong shape; \(29, 3\) instead of \(30, 3\)"),
    "out: dtype": (with_out(out(dtype="float64")[1]), DType, "out= has the wrong dtype; float64 instead of float32"),
    "out: strided": (with_out(out(60)[1][::2]), ValueError, "C-ordered, aligned, writeable"),
    "out: Fortran": (with_out(np.asfortranarray(out()[1])), ValueError, "C-ordered"),
    "out: read-only": (with_out(read_only()), ValueError, "writeable"),
    "out: byte-swapped": (with_out(out(dtype=np.dtype("f4").newbyteorder())[1]), DType, "wrong dtype"),
    "out: a list": (with_out([0.0]), TypeError, "out= takes arrays, got list"),
    "out: overlaps an input": (with_out(X.reshape(-1)[9:99].reshape(30, 3)), ValueError, "overlaps an input"),
    "out: is a parameter": (over_parameter, ValueError, "overlaps an input, a parameter"),
    "out: structure": (lambda w: w.step(X, LABELS, out=out()[0]), TypeError, "structure of the outputs: 2 values"),
    "out: too few": (lambda w: w.step(X, LABELS, out=out()[:1]), TypeError, "structure of the outputs"),
    "out: overlap one another": (
        lambda w: w.step(X, LABELS, out=[(a := out()[1]).reshape(-1)[:1].reshape(()), a]), ValueError, "another output",
    ),
    # sg.function: making one
    "no symbol": (compiling(X, y), TypeError, "an input is a symbol"),
    "a parameter as input": (lambda w: sg.function([w.W], w.W), TypeError, "Parameters are read where they stand"),
    "symbol left out": (compiling(x), TypeError, "y is used but is not an input"),
    "symbol twice": (compiling(x, y, x), TypeError, "two inputs are named 'x'"),
    "dimension unknown": (compiling(x, outputs=sg.arange(M)), Shape, "dimension M stands alone in no input's shape"),
    "update of no parameter": (compiling(x, y, updates={x: x}), TypeError, "updates map parameters"),
    "update of another shape": (lambda w: sg.function([], updates={w.W: w.W[0]}), Shape, "'W' has the wrong shape"),
    "update of another dtype": (
        lambda w: sg.function([], updates={w.W: w.W * np.ones(3)}), DType, r"float64 for float32.*astype\('float32'\)",
    ),
    "two updates": (lambda w: sg.function([], updates=[(w.W, w.W), (w.W, w.W)]), ValueError, "'W' is updated twice"),
    "updates are no pairs": (lambda w: sg.function([], updates=[w.W]), TypeError, "dict .*or a list of such pairs"),
    "no threads": (compiling(x, y, threads=0), ValueError, "threads is 1 or more, not 0"),
    "threads in words": (compiling(x, y, threads="two"), TypeError, "threads is an int or None, not str"),
    "options": (compiling(x, y, options={"fuse": False}), TypeError, "options is an sg.Options, not dict"),
    # fit: samples and labels
    "x: one sample": (lambda w: w.model.predict(X[0]), Shape, r"\(6,\) for \(N, 6\). A single sample is x\[None\]"),
    "x: another size": (fit(X[:, :5]), Shape, r"x: samples have another shape.*\(30, 5\) for \(N, 6\)"),
    "x: to reshape": (fit(X.reshape(30, 2, 3)), Shape, r"Try x.reshape\(len\(x\), 6\)"),
    "x: a number": (fit(3.0), Shape, "x is a single number. Give an array with one sample per row"),
    "x: None": (fit(None), Shape, "x is no array: None"),
    "x: text": (fit("digits"), Shape, "x is no array: .*digits"),
    "x: an expression": (fit(x), TypeError, "sg.evaluate"),
    "x: empty": (fit(X[:0], Y[:0]), Shape, "there are no samples"),
    "x: ragged": (fit([[1], [1, 2]]), Shape, "x: the parts of a list differ in shape"),
    "x: half": (fit(X.astype(np.float16)), DType, r"float16. Use x.astype\('float32'\)"),
    "x: long double": (fit(X.astype(np.longdouble)), DType, "cannot be trained on; float"),
    "x: complex": (fit(X * 1j), DType, "complex64. Give integers or floats"),
    "x: objects": (fit(X.astype(object)), DType, "object. Give integers or floats"),
    "x: a wrong key": (fit({"Z": X}), TypeError, r"keys \['Z'\], the model's inputs are \['X'\]"),
    "y: None": (fit(y=None), TypeError, "training needs labels"),
    "y: shorter": (fit(y=Y[:29]), Shape, "the numbers of samples differ; x has 30, y has 29"),
    "y: class numbers": (fit(y=LABELS), Shape, "sparse_categorical_crossentropy.*to_categorical"),
    "y: too many classes": (fit(y=np.ones((30, 4)) / 4), Shape, r"\(30, 4\) for \(N, 3\)"),
    "y: text": (fit(y=np.array(["a"] * 30)), DType, "y has a dtype that cannot be trained on; <U1"),
    "y: one-hot rows": (fit_sparse(Y), Shape, "use the loss 'categorical_crossentropy'"),
    "y: floats as classes": (fit_sparse(LABELS * 1.0), DType, r"class numbers, which are integers; float64.*astype"),
    "y: class too large": (fit_sparse(np.where(np.arange(30) == 7, 3, LABELS)), Index, "label 3 at position 7.*0 to 2"),
    "y: class negative": (fit_sparse(LABELS * 0 - 1), Index, "label -1 at position 0 is no class; 3 classes"),
    "y: class beyond int32": (fit_sparse(LABELS + np.int64(2**32)), Index, "is no class"),
    # fit: settings
    "batch_size 0": (fit(batch_size=0), ValueError, "batch_size is 1 or more, not 0"),
    "batch_size float": (fit(batch_size=32.0), TypeError, "batch_size is an int, not float"),
    "batch_size bool": (fit(batch_size=True), TypeError, "batch_size is an int, not bool"),
    "epochs negative": (fit(epochs=-1), ValueError, "epochs is 0 or more, not -1"),
    "epochs float": (fit(epochs=2.0), TypeError, "epochs is an int, not float"),
    "split too large": (fit(validation_split=1.5), ValueError, "validation_split lies between 0 and 1, not 1.5"),
    "split negative": (fit(validation_split=-0.1), ValueError, "validation_split lies between"),
    "split in words": (fit(validation_split="half"), TypeError, "validation_split is a number, not str"),
    "split leaves nothing": (fit(validation_split=0.99), ValueError, "leaves none of 30 samples to train on"),
    "validation: no pair": (fit(validation_data=X), TypeError, r"validation_data is a pair \(x, y\)"),
    "validation: lengths": (fit(validation_data=(X, Y[:3])), Shape, "x has 30, y has 3"),
    "shuffle in words": (fit(shuffle="batch"), TypeError, "shuffle is True or False"),
    "seed in words": (fit(seed="zero"), TypeError, "a seed is an int, not str"),
    "verbose": (lambda w: w.model.fit(X, Y, verbose=3), ValueError, "verbose is 'auto', 0, 1 or 2"),
    "an order of its own": (lambda w: w.model.trainer(X, Y).epoch([30]), Index, r"order\[0\] = 30"),
    # models and names
    "before compile": (lambda w: sg.Sequential([Dense(3)]).fit(X, Y), RuntimeError, "fit: compile the model first"),
    "evaluate before compile": (lambda w: sg.Sequential([Dense(3)]).evaluate(X, Y), RuntimeError, "evaluate: compile"),
    "gradients before building": (lambda w: sg.Sequential([Dense(3)]).gradients(), Shape, "or call fit first"),
    "no layers": (lambda w: sg.Sequential().predict(X), Shape, "no layers. Add some with model.add"),
    "no list of layers": (lambda w: sg.Sequential(Dense(3)), TypeError, "takes a list of layers"),
    "no layer": (lambda w: sg.Sequential([3]), TypeError, "made of layers, not int"),
    "optimizer": (
        lambda w: w.sparse.compile("rmsprp", "mse"), ValueError, "optimizer 'rmsprp'. Did you mean 'rmsprop'",
    ),
    "loss": (
        lambda w: w.sparse.compile("sgd", "categorical_crossentrpy"), ValueError, "mean 'categorical_crossentropy'",
    ),
    "no loss": (lambda w: w.sparse.compile("sgd"), TypeError, "compile needs a loss"),
    "metric": (
        lambda w: w.sparse.compile("sgd", "mse", ["acuracy"]), ValueError, "metric 'acuracy'. Did you mean 'acc",
    ),
    "metrics": (lambda w: w.sparse.compile("sgd", "mse", 3), TypeError, "metrics is a list of names or functions"),
    "compile: threads": (lambda w: w.sparse.compile("sgd", "mse", threads=-1), ValueError, "threads is 1 or more"),
    "activation": (lambda w: Dense(3, "rleu"), ValueError, "unknown activation 'rleu'. Did you mean 'relu'"),
    "initializer": (
        lambda w: Dense(3, kernel_initializer="glorot_unifrom"), ValueError, "Did you mean 'glorot_uniform'",
    ),
    "units": (lambda w: Dense(0), ValueError, "units is 1 or more, not 0"),
    "set_weights": (lambda w: w.model.set_weights([np.zeros(3)] * 4), Shape, r"dense/kernel has another shape; \(3,\)"),
    "a model of arrays": (lambda w: sg.Model(X, x), TypeError, "sg.layers.Input or sg.symbol gives, not ndarray"),
    "a second free size": (lambda w: sg.Model(sg.symbol("q", (N, M, 6)), x), Shape, "and fixed sizes after it"),
    "an output with two free sizes": (lambda w: sg.Model(x, (x @ x.T)[:, None]), Shape, "output has"),
    "a model of a scalar": (lambda w: sg.Model(x, sg.mean(x)), Shape, "output has the batch axis N first"),
    "another batch axis": (lambda w: sg.Model(sg.symbol("q", (M, 6)), x), Shape, "batch axis N first.*sg.layers.Input"),
    "to_categorical": (lambda w: sg.to_categorical([0, 3], 3), Index, "label 3 at position 1 is no class"),
    "to_categorical floats": (lambda w: sg.to_categorical([0.5, np.nan]), DType, "labels must be integers; float64"),
    # expressions and their derivatives: what the user wrote is shown, not how it is called inside
    "grad of no scalar": (lambda w: sg.grad(x @ v, v), Gradient, r"grad takes a scalar loss; x @ v is \(N,\).*mean"),
    "grad of a long one": (lambda w: sg.grad(long_product(), v), Gradient, r"loss; multiply\(\.\.\.\) is \(6,\)"),
    "grad of a named one": (lambda w: sg.grad((x @ (-v)).named("H") * 2, v), Gradient, r"loss; 2 \* H is \(N,\)"),
    "grad of an int": (lambda w: sg.grad(sg.sum(y), v), Gradient, r"a float; sum\(y.* is int64 \(.*'float32'\)"),
    "grad by an int": (lambda w: sg.grad(sg.sum(v), y), Gradient, r"variable of a gradient is a float; y is int32 \("),
    "grad by no part": (lambda w: sg.grad(sg.sum(v), x @ v), Gradient, r"does not depend on x @ v; .*\"zero\""),
    "hessian of no scalar": (lambda w: sg.hessian(v, v), Gradient, r"hessian takes a scalar loss; v is.*sg\.jacobian"),
    "a cotangent": (lambda w: sg.vjp(x @ v, v, u), Gradient, r"shape of its output; \(4,\) for x @ v is \(N,\)"),
    "a wrong rule": (wrong_rule, Gradient, r"of another type; float32 of shape \(\) for operand 0, v, .*shape \(6,\)"),
    "vmap of no function": (lambda w: sg.vmap(v), TypeError, r"takes a function and gives one, not the expression v"),
    "a power as ^": (lambda w: v ^ 2, DType, r"the operator \^\) takes bool operands; v is float32 .*written x \*\* y"),
    "bits of floats": (lambda w: v & 2, DType, r"the operator &\) takes bool operands; v is float32 .*Compare first"),
    "one_hot": (lambda w: sg.one_hot(y, -3), Shape, "one_hot: the depth is negative; depth=-3"),
    "top_k": (lambda w: sg.top_k(v, -1), Shape, r"no -1 elements; v is \(6,\)"),
    "polygamma": (lambda w: sg.polygamma(0, v), ValueError, "whole number from 1, not 0. Order 0 is sg.digamma"),
    "subs": (lambda w: v.subs(3, u), TypeError, "an expression is replaced, not int 3"),
    "pprint": (lambda w: sg.pprint(None), TypeError, "an expression is written, not NoneType None"),
    "shapes": (lambda w: sg.tanh(v) + u, Shape, r"add: shapes do not broadcast; tanh\(v\) is \(6,\), u is \(4,\)"),
    "a product": (
        lambda w: v @ (A[:2] * 2), Shape, r"v @ .*differ: v is \(6,\), .*A\[:2\].* is \(2, 3\); 6 != 2",
    ),
    "a product to turn": (lambda w: A @ (A[:2] + 1), Shape, r"Did you mean A @ \(A\[:2\] \+ 1\)\.T\?"),
    "solve": (lambda w: sg.linalg.solve(A, u), Shape, r"do not fit; A is \(3, 3\), u is \(4,\).* has 3 rows"),
    "logdet": (lambda w: sg.logdet(v), Shape, r"logdet takes square matrices; v is \(6,\)"),
    "diag": (lambda w: sg.diag(sg.ones((2, 3, 3))), Shape, r"a vector or a matrix; .*sg\.diagonal takes stacks"),
    "an initializer": (
        lambda w: sg.parameter("V", (3, 3), init="identity"), ValueError, r"'identity'.*array of shape \(3, 3\) will",
    ),
    "a formula as text": (lambda w: sg.elementwise("own", "x + 1"), TypeError, r"lambda x: x \+ 1\), with SymPy's"),
    "a built-in name": (lambda w: sg.elementwise("exp", lambda t: t), Format, "'exp' is a built-in operator"),
    "no closed form": (lambda w: sg.elementwise("own", sympy.gamma), Format, r"no operator computes SymPy's gamma"),
    "a model called with an array": (lambda w: w.model(X), TypeError, "with an expression, not ndarray. predict takes"),
    "a model called with features": (lambda w: w.model(v[None, :5]), Shape, r"has another shape; v.* is \(1, 5\)"),
    "a model not built": (lambda w: sg.Sequential([Dense(3)])(x), Shape, "a call: the model is not built yet"),
    # files
    "IDX: no file": (lambda w: read_idx(w.folder / "none"), FileNotFoundError, "none"),
    "IDX: not one": (idx(b"PK\x03\x04 and so on"), Format, "not an IDX file"),
    "IDX: empty": (idx(b""), Format, "not an IDX file"),
    "IDX: header cut": (idx(SMALL_IDX[:6]), Format, "truncated IDX header"),
    "IDX: data cut": (idx(SMALL_IDX[:-1]), Format, "truncated"),
    "IDX: left over": (idx(SMALL_IDX + b"4"), Format, "left over"),
    "IDX: enormous": (idx(bytes([0, 0, 8, 3] + [255] * 12)), Format, "truncated, or the IDX header is wrong"),
    "IDX: corrupt gzip": (idx(gzip.compress(SMALL_IDX)[:-6] + b"\1" * 6), Format, "corrupt gzip data"),
    "IDX: gzip cut": (idx(gzip.compress(SMALL_IDX)[:-6]), Format, "truncated gzip data"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_and_changes_nothing(name, world, tmp_path):
    act, error, words = REFUSED[name]
    world.folder = tmp_path
    before, settings = bits(world), world.sparse._compiled
    with pytest.raises(error) as raised:
        act(world)
    assert re.search(words, str(raised.value)), str(raised.value)
    assert bits(world) == before
    assert world.sparse._compiled is settings


def test_after_all_that_everything_works(world):
    fresh = make_world()
    fresh.model.fit(X, Y, seed=1, verbose=0)
    fresh.step(X, LABELS)
    assert bits(fresh) == bits(world)
    assert fresh.step(X, LABELS)[0].tobytes() == world.step(X, LABELS)[0].tobytes()


def test_errors_about_validation_data_say_so(world):
    with pytest.raises(sg.ShapeError) as raised:
        world.model.fit(X, Y, validation_data=(X, Y[:3]), verbose=0)
    assert raised.value.__notes__ == ["This is about the validation data."]


ODD = np.where(RNG.random(X.shape) < 0.05, np.nan, X).astype(np.float32)
ODD[3, 3], ODD[4, 4] = np.inf, -0.0


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory[1:].view(array.dtype).reshape(array.shape)


ACCEPTED = {
    "float64": lambda a: a.astype(np.float64),
    "strided": lambda a: np.repeat(a, 3, axis=0)[::3],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "Fortran-ordered": np.asfortranarray,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
    "list": lambda a: a.tolist(),
    "a column of a wider array": lambda a: np.concatenate([a, a], axis=1)[:, : a.shape[1]],
    "a subclass": lambda a: a.view(np.ma.MaskedArray),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("values", [X, ODD], ids=["finite", "with NaN"])
def test_odd_input_gives_what_a_plain_array_gives(name, values, world):
    given = ACCEPTED[name](values)
    doubled, more = world.read(given, LABELS)
    assert doubled.tobytes() == (values * 2).tobytes()
    assert np.array_equal(more, LABELS + 1)
    np.testing.assert_array_equal(world.model.predict(given), world.model.predict(values))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "bool"])
def test_integers_that_fit(dtype, world):
    labels = (LABELS > 0).astype(dtype) if dtype == "bool" else LABELS.astype(dtype)
    doubled, more = world.read(labels[:, None] * np.ones(6, dtype), labels)
    assert doubled.dtype == np.float32
    assert np.array_equal(more, labels.astype(np.int32) + 1)
    assert more.dtype == np.int32


def test_float64_beyond_float32_rounds_to_infinity(world):
    huge = np.full((1, 6), 1e300)
    assert np.all(np.isposinf(world.read(huge, [0])[0]))
    np.testing.assert_array_equal(world.model.predict(huge), world.model.predict(np.full((1, 6), np.inf, "float32")))


def test_empty_arrays_have_empty_results(world):
    doubled, more = world.read(X[:0], LABELS[:0])
    assert doubled.shape == (0, 6)
    assert more.shape == (0,)


def test_overlapping_inputs_are_read_only_and_right(world):
    memory = np.arange(36, dtype=np.float32)
    both = sg.function([x, sg.symbol("z", (N, 6))], x + sg.symbol("z", (N, 6)))
    first, second = memory[:30].reshape(5, 6), memory[6:36].reshape(5, 6)
    assert np.array_equal(both(first, second), first + second)
    assert np.array_equal(memory, np.arange(36))
