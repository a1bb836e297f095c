"""Products in bfloat16: what is rounded and what is not, the same bits always, and how far results may be off."""

import functools
from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
import pytest
from halves import SPECIAL, needs_dot, rounded

import codegen.kernel
import symgrad as sg
from codegen import meaning
from codegen.machine import MACHINES, host, with_dot
from codegen.program import encode
from symgrad.errors import CompileError
from symgrad.inspection import profiling
from symgrad.options import Options

HALF = 2.0**-8  # the most that rounding to bfloat16 changes a number, relative to it
ULP = 2.0**-24  # the same for float32
N, M = sg.dim("N"), sg.dim("M")
BF16 = Options(precision="bf16", check=True)
WAYS = (  # to compile and to run, that must give the same bits
    replace(BF16, threads=1), replace(BF16, threads=2, poison=True), replace(BF16, threads=3), replace(BF16, threads=8),
    replace(BF16, fuse=False), *(replace(BF16, tiles=tile) for tile in ((3, 32), (5, 16), (16, 16), (1, 64))),
    *(replace(BF16, packing=packing) for packing in (False, True)),
)  # fmt: skip


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def every_thread(monkeypatch):
    """Let the smallest launch be worth several threads."""
    monkeypatch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))


# -- the option --------------------------------------------------------------------------------------------------------

x = sg.symbol("x", (N, 8))
W = sg.parameter("W", (8, 40), seed=1)


def test_an_unknown_precision_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'bf6'. Did you mean 'bf16'"):
        Options(precision="bf6")
    with pytest.raises(ValueError, match="no precision is called 16"):
        sg.function([x], x @ W, precision=16)


def test_a_processor_without_the_instruction_is_told_so(monkeypatch):
    features = {**llvm.get_host_cpu_features(), "avx512bf16": False}
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: features)
    with pytest.raises(CompileError) as error:
        sg.function([x], x @ W, precision="bf16")
    assert "bfloat16" in error.value.what
    assert host().name in error.value.where
    assert error.value.got
    assert "float32" in error.value.hint
    sg.function([x], x @ W, precision="float32")


def test_a_row_without_the_instruction_is_told_so():
    with pytest.raises(CompileError, match=r"none belongs to this row \(machine row 'avx2'\)"):
        with_dot(MACHINES["avx2"])


@needs_dot
def test_the_precision_is_part_of_every_key():
    assert Options(precision="bf16") != Options()
    assert repr(with_dot(host())) != repr(host())  # the key of an object names it
    f, g = (sg.function([x], x @ W, precision=p) for p in ("bf16", "float32"))
    assert not set(f.subject.compiled.kernels) & set(g.subject.compiled.kernels)


@needs_dot
def test_the_keyword_wins_over_the_options():
    f = sg.function([x], x @ W, precision="float32", options=BF16)
    assert f(numbers(5, 8)).tobytes() == sg.function([x], x @ W)(numbers(5, 8)).tobytes()


# -- products ----------------------------------------------------------------------------------------------------------

FORMS = {  # name -> how axes lie in memory, and the expression
    "nn": (lambda a, b: (a, b), lambda x, y: x @ y),
    "tn": (lambda a, b: (a.T, b), lambda x, y: x.T @ y),
    "nt": (lambda a, b: (a, b.T), lambda x, y: x @ y.T),
    "tt": (lambda a, b: (a.T, b.T), lambda x, y: x.T @ y.T),
    "transposed result": (lambda a, b: (a, b), lambda x, y: (x @ y).T),
}
SIZES = [
    (2, 2, 2), (9, 3, 33), (5, 7, 10), (16, 512, 64), (17, 31, 65), (7, 260, 130), (33, 1025, 40), (20, 2051, 9),
    (200, 5, 3),
]  # fmt: skip


def product(form, m, k, n, symbolic=False):
    """Give a product's symbols, its expression, arrays, and the rounded factors as matrices."""
    a, b = numbers(m, k), numbers(k, n, seed=1)
    lay, expression = FORMS[form]
    arrays = [np.ascontiguousarray(v) for v in lay(a, b)]
    shapes = [list(v.shape) for v in arrays]
    if symbolic:
        shapes[0][0] = N if form in ("nn", "nt", "transposed result") else M
        if shapes[0][0] is M:  # the length of the sums
            shapes[1]["nt".index(form[1])] = M
    symbols = [sg.symbol(name, tuple(shape)) for name, shape in zip("XY", shapes, strict=True)]
    result = expression(*symbols)
    return symbols, result, arrays, (rounded(a), rounded(b))


def compared(got, form, factors):
    """Check a product against float64, within what adding up in float32 may lose."""
    a, b = (f.astype(np.float64) for f in factors)
    want, size = a @ b, abs(a) @ abs(b)
    got = got.T if form == "transposed result" else got
    additions = min(a.shape[1], 1024) + 3
    assert (abs(got - want) <= 1.01 * additions * ULP * size).all()
    return want


@needs_dot
@pytest.mark.parametrize(
    ("size", "symbolic"), [*((size, False) for size in SIZES), *((size, True) for size in SIZES[1::3])], ids=str
)
@pytest.mark.parametrize("form", FORMS)
def test_a_product_is_that_of_the_rounded_factors(form, size, symbolic):
    symbols, result, arrays, factors = product(form, *size, symbolic)
    got = sg.function(symbols, result, options=BF16)(*arrays)
    compared(got, form, factors)


@needs_dot
@pytest.mark.parametrize("size", [(9, 3, 33), (17, 31, 65), (70, 1027, 40), (200, 5, 3)], ids=str)
@pytest.mark.parametrize("form", ["nn", "tn", "nt", "tt"])
def test_a_product_has_the_same_bits_in_every_way(form, size, every_thread):
    symbols, result, arrays, _ = product(form, *size)
    results = {sg.function(symbols, result, options=way)(*arrays).tobytes() for way in WAYS}
    assert len(results) == 1


@needs_dot
def test_whole_numbers_are_exact():
    draw = np.random.default_rng(0)
    a, b = (draw.integers(-200, 200, shape).astype(np.float32) for shape in ((37, 301), (301, 70)))
    X, Y = sg.symbol("X", a.shape), sg.symbol("Y", b.shape)
    np.testing.assert_array_equal(sg.function([X, Y], X @ Y, options=BF16)(a, b), a.astype("d") @ b)


def chain(a, b):
    """Multiply by the meaning of the instruction, pair after pair."""
    k = a.shape[1] + a.shape[1] % 2
    halves = []
    for factor in (a, b.T):
        padded = np.zeros((len(factor), k), np.uint16)
        padded[:, : factor.shape[1]] = [[meaning.bfloat16_bits(v) for v in line] for line in factor]
        halves.append(padded.view(np.uint32))
    sums = np.zeros((len(a), b.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for r, c in np.ndindex(*sums.shape):
            for one, two in zip(halves[0][r], halves[1][c], strict=True):
                sums[r, c] = meaning.dot2(one, two, sums[r, c])
    return sums


@needs_dot
@pytest.mark.parametrize("form", ["nn", "tn", "nt", "tt"])
def test_special_values_go_through_as_the_instruction_takes_them(form):
    draw = np.random.default_rng(0)
    a, b = (draw.choice(np.array(SPECIAL, np.float32), shape) for shape in ((10, 5), (5, 35)))
    a[:5], b[:, :20] = numbers(5, 5) * np.float32(1e-19), numbers(5, 20, seed=1) * np.float32(1e-19)
    want = chain(a, b)
    assert 0 < np.isnan(want).sum() < want.size
    assert (want == 0).any()
    lay, expression = FORMS[form]
    arrays = [np.ascontiguousarray(v) for v in lay(a, b)]
    X, Y = (sg.symbol(name, v.shape) for name, v in zip("XY", arrays, strict=True))
    got = sg.function([X, Y], expression(X, Y), options=BF16)(*arrays)
    np.testing.assert_array_equal(got, want)


@needs_dot
@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("bij,bjk->bik", [(3, 9, 7), (3, 7, 35)]), ("bij,bkj->bik", [(3, 9, 7), (3, 35, 7)]),
        ("bji,bjk->bik", [(2, 3, 20), (2, 3, 40)]), ("bij,jk->bik", [(3, 9, 7), (7, 35)]),
        ("ibj,jbk->bik", [(9, 2, 6), (6, 2, 33)]), ("abij,cjk->abcik", [(2, 3, 4, 5), (2, 5, 6)]),
    ],
)  # fmt: skip
def test_stacks_of_products(text, shapes, every_thread):
    arrays = [numbers(*shape, seed=k) for k, shape in enumerate(shapes)]
    symbols = [sg.symbol(name, shape) for name, shape in zip("XY", shapes, strict=True)]
    results = [sg.function(symbols, sg.einsum(text, *symbols), options=way)(*arrays) for way in WAYS[:6]]
    assert len({r.tobytes() for r in results}) == 1
    a, b = (rounded(v).astype("d") for v in arrays)
    size = np.einsum(text, abs(a), abs(b))
    assert (abs(results[0] - np.einsum(text, a, b)) <= 40 * ULP * size).all()
    assert (results[0] != np.einsum(text, *arrays)).any()


@needs_dot
@pytest.mark.parametrize("names", ["kp", "pk", "ij"])
def test_dimensions_of_any_name(names):
    first, second = map(sg.dim, names)
    X, Y = sg.symbol("X", (first, second)), sg.symbol("Y", (first, 35))
    f = sg.function([X, Y], [X.T @ Y, X @ (X.T @ Y)], options=BF16)
    a, b = numbers(9, 7), numbers(9, 35, seed=1)
    compared(f(a, b)[0], "tn", (rounded(a.T), rounded(b)))


@needs_dot
def test_no_rows_and_no_terms():
    X, Y = sg.symbol("X", (N, M)), sg.symbol("Y", (M, 33))
    f = sg.function([X, Y], X @ Y, options=BF16)
    assert f(np.zeros((0, 4), "f"), np.zeros((4, 33), "f")).shape == (0, 33)
    np.testing.assert_array_equal(f(np.zeros((4, 0), "f"), np.zeros((0, 33), "f")), np.zeros((4, 33)))


@needs_dot
@pytest.mark.parametrize(
    ("a", "b"),
    [((30,), (30,)), ((7, 30), (30,)), ((30,), (30, 7)), ((7, 1), (1, 9)), ((7, 30), (30, 1))],
    ids=str,
)
def test_what_has_no_rows_columns_or_sum_is_not_rounded(a, b):
    X, Y = sg.symbol("X", a), sg.symbol("Y", b)
    values = numbers(*a), numbers(*b, seed=1)
    with_bf16, without = (sg.function([X, Y], X @ Y, precision=p)(*values) for p in ("bf16", "float32"))
    assert with_bf16.tobytes() == without.tobytes()


@needs_dot
@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_other_dtypes_are_not_rounded(dtype):
    X, Y = sg.symbol("X", (20, 30), dtype), sg.symbol("Y", (30, 40), dtype)
    values = (numbers(20, 30) * 1000).astype(dtype), (numbers(30, 40, seed=1) * 1000).astype(dtype)
    with_bf16, without = (sg.function([X, Y], X @ Y, precision=p)(*values) for p in ("bf16", "float32"))
    assert with_bf16.tobytes() == without.tobytes()


@needs_dot
def test_an_epilogue_is_computed_in_float32():
    values = numbers(20, 8), numbers(40, seed=1)
    b = sg.symbol("b", (40,))
    z = sg.function([x], x @ W, options=BF16)(values[0])
    got = sg.function([x, b], sg.relu(x @ W + b) * 3, options=BF16)(*values)
    np.testing.assert_array_equal(got, np.maximum(z + values[1], 0) * np.float32(3))


# -- gradients and training --------------------------------------------------------------------------------------------


class Step:
    """A training step of a network with RMSprop, whose products are long, odd, transposed and few."""

    def __init__(self):
        self.X, self.Y = sg.symbol("X", (N, 31)), sg.symbol("Y", (N, 5))
        shapes = {"W1": (31, 45), "b1": (45,), "W2": (45, 40), "b2": (40,), "W3": (40, 5)}
        draw = np.random.default_rng(0)
        self.start = [(draw.standard_normal(s) * 0.3).astype("f") for s in shapes.values()]
        self.weights = [sg.parameter(name, s, "zeros") for name, s in shapes.items()]
        W1, b1, W2, b2, W3 = self.weights
        P = sg.softmax(sg.tanh(sg.relu(self.X @ W1 + b1) @ W2 + b2) @ W3, axis=1)
        self.loss = -(self.Y * sg.log(P)).sum(axis=1).mean()
        self.optimizer = sg.optim.RMSprop(0.002)
        self.updates = self.optimizer.updates(self.loss, self.weights)
        self.functions = {}

    def reset(self):
        for parameter, value in zip(self.weights, self.start, strict=True):
            parameter.value = value
        for slot in self.optimizer.state:
            slot.value = np.zeros(slot.shape, "f")

    def train(self, options, batch=13, steps=6):
        self.reset()
        if options not in self.functions:
            self.functions[options] = sg.function([self.X, self.Y], self.loss, updates=self.updates, options=options)
        draw, f = np.random.default_rng(1), self.functions[options]
        losses = []
        for _ in range(steps):
            y = draw.integers(0, 5, batch)
            centres = np.linspace(-1, 1, 5 * 31, dtype="f").reshape(5, 31)
            losses.append(float(f(centres[y] + draw.random((batch, 31), np.float32), np.eye(5, dtype="f")[y])))
        return losses, [w.value.tobytes() for w in self.weights]


@pytest.fixture(scope="module")
def step():
    return Step()


@needs_dot
@pytest.mark.parametrize("batch", [2, 13, 64])
def test_a_training_step_has_the_same_bits_in_every_way(step, batch, every_thread):
    results = [step.train(way, batch, 3) for way in WAYS]
    assert all(result == results[0] for result in results)


@needs_dot
def test_a_training_step_is_near_the_one_in_float32(step):
    (losses, weights), (want, others) = (step.train(Options(precision=p), 64, 40) for p in ("bf16", "float32"))
    assert weights != others
    assert losses[-1] < losses[0] / 2
    np.testing.assert_allclose(losses, want, rtol=0.02)


@needs_dot
def test_gradients_are_those_of_float64_but_for_the_rounding(step):
    step.reset()
    gradients = sg.grad(step.loss, step.weights)
    data, labels = numbers(40, 31), np.eye(5, dtype="f")[np.arange(40) % 5]
    got = sg.function([step.X, step.Y], gradients, options=BF16)(data, labels)
    want = sg.evaluate(gradients, {step.X: data, step.Y: labels})
    for g, w in zip(got, want, strict=True):
        assert np.linalg.norm(g - w) <= 4 * HALF * np.linalg.norm(w)
        assert (g != w.astype("f")).any()


@needs_dot
def test_a_model_trains_as_well_as_in_float32():
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((10, 40)).astype("f")
    labels = draw.integers(0, 10, 4000)
    points = centres[labels] + draw.standard_normal((4000, 40)).astype("f") * np.float32(1.2)
    accuracy = {}
    for precision in ("float32", "bf16"):
        layers = [sg.layers.Dense(64, activation="relu", input_shape=(40,)), sg.layers.Dense(10, activation="softmax")]
        model = sg.Sequential(layers, seed=1)
        model.compile("rmsprop", "sparse_categorical_crossentropy", ["accuracy"], precision=precision)
        model.fit(points[:3000], labels[:3000], epochs=5, verbose=0)
        accuracy[precision] = model.evaluate(points[3000:], labels[3000:], verbose=0)[1]
    assert accuracy["float32"] > 0.9
    assert abs(accuracy["bf16"] - accuracy["float32"]) <= 0.01


# -- what is said of it ------------------------------------------------------------------------------------------------


@needs_dot
def test_the_text_says_what_runs_in_bf16(golden):
    X, Y = sg.symbol("X", (N, 7)), sg.symbol("Y", (N, 33))
    f = sg.function([X, Y], {"Z": sg.relu(X @ X.T), "dW": X.T @ Y, "s": X @ X[0]}, precision="bf16", threads=1)
    golden("products_bf16.ir", f.as_text())


@needs_dot
def test_the_products_are_counted_where_they_are_computed():
    f, g = (sg.function([x], sg.relu(x @ W), precision=p) for p in ("bf16", "float32"))
    own, other = f.cost_analysis(), g.cost_analysis()
    assert own.flops == other.flops
    assert [kernel.flops for kernel in own.kernels] == [0, other.flops]
    assert own.kernels[0].label == ("x in bfloat16",)
    assert "x in bfloat16" in [m.name for m in f.memory_analysis(N=5).temporaries]


@needs_dot
def test_a_tile_stays_in_registers_and_multiplies_pairs():
    a, b = sg.symbol("a", (64, 64)), sg.symbol("b", (64, 64))
    text = sg.function([a, b], a @ b, precision="bf16").assembly()
    inner = max(text.split("LBB"), key=lambda block: block.count("vdpbf16ps"))
    rows, vectors = host().tile
    assert inner.count("vdpbf16ps") == rows * vectors
    assert "rsp" not in inner
    assert "vcvtneps2bf16" in text


@needs_dot
def test_the_peak_of_a_product_is_that_of_pairs(monkeypatch):
    asked = []
    monkeypatch.setattr(profiling, "peak_flops", lambda *args: asked.append(args[3:]) or 1e9)
    profile = sg.function([x], sg.relu(x @ W), precision="bf16", threads=1).profile(numbers(5, 8), repeat=1)
    assert asked == [(False,), (True,), ()]
    assert sum(one.of_peak > 0 for one in profile) == 1


@needs_dot
def test_bisection_does_not_take_rounding_for_an_error(monkeypatch, capsys):
    monkeypatch.setenv("SYMGRAD_BISECT", "1")
    f = sg.function([x], sg.tanh(x @ W) @ W.T, precision="bf16")
    f(numbers(30, 8))
    assert "every stage agrees" in capsys.readouterr().err
