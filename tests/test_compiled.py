"""`sg.function`: structures, fresh results, `out=`, simultaneous updates, many threads, and looking inside."""

import copy
import pickle
import subprocess
import sys
import threading
from typing import NamedTuple

import numpy as np
import pytest

import symgrad as sg
import symgrad.compiled

N = sg.dim("N")
x = sg.symbol("x", (N, 3))
y = sg.symbol("y", (N,), dtype="int32")
X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 2, 1, 1], np.int32)


class Pair(NamedTuple):
    total: object
    rows: object


# -- results -------------------------------------------------------------------------------------------------------


def test_one_expression_gives_one_array():
    result = sg.function([x], x * 2)(X)
    assert type(result) is np.ndarray
    assert np.array_equal(result, X * 2)
    assert np.array_equal(sg.function(x, x + 1)(X), X + 1)  # one input needs no list


def test_results_have_the_structure_of_the_outputs():
    total, rows = x.sum(), x.sum(axis=1)
    f = sg.function([x], {"a": [total, (rows,)], "b": {}, "c": Pair(total, rows), "d": 2})
    result = f(X)
    assert list(result) == ["a", "b", "c", "d"]
    assert result["a"][0] == 66
    assert isinstance(result["a"][1], tuple)
    assert result["b"] == {}
    assert isinstance(result["c"], Pair)
    assert np.array_equal(result["c"].rows, X.sum(axis=1))
    assert result["d"] == 2
    assert sg.function([x], [])(X) == []
    assert sg.function([x], ())(X) == ()


def test_rank_0_results_are_numpy_scalars_of_their_dtype():
    f = sg.function([x, y], [x.sum(), y.sum(), (x > 100).any(), x.astype("float64").mean()])
    assert [type(r) for r in f(X, Y)] == [np.float32, np.int64, np.bool_, np.float64]


def test_results_are_fresh_and_alias_nothing():
    W = sg.parameter("W", (4, 3), init="ones")
    f = sg.function([x], [x, x + 1, x + 1, W, W])
    first = f(X)
    second = f(X)
    arrays = [X, W.buffer, *first, *second]
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:k])
    for result in first:
        result[...] = -1
    assert np.array_equal(second[0], X)
    assert np.array_equal(f(X)[2], X + 1)
    assert np.all(W.value == 1)


def test_inputs_by_position_and_by_name():
    f = sg.function([x, y], x.sum(axis=1) - y)
    expected = X.sum(axis=1) - Y
    for result in (f(X, Y), f(X, y=Y), f(y=Y, x=X)):
        assert np.array_equal(result, expected)


def test_parameters_are_read_when_called():
    W = sg.parameter("W", (3,), init="zeros")
    f = sg.function([x], x @ W)
    assert not f(X).any()
    W.value = [1, 0, 0]
    assert np.array_equal(f(X), X[:, 0])


# -- out= ----------------------------------------------------------------------------------------------------------


def test_out_takes_the_results_and_is_returned():
    f = sg.function([x], {"rows": x.sum(axis=1), "both": (x * 2, x.sum())})
    out = {"rows": np.empty(4, np.float32), "both": (np.empty((4, 3), np.float32), np.empty((), np.float32))}
    assert f(X, out=out) is out
    assert np.array_equal(out["rows"], X.sum(axis=1))
    assert np.array_equal(out["both"][0], X * 2)
    assert out["both"][1] == 66


def test_out_writes_nothing_beside_its_arrays():
    memory = np.full(8 + 12 + 8, 7, np.float32)
    sg.function([x], x * 2)(X, out=memory[8:20].reshape(4, 3))
    assert np.array_equal(memory[8:20], X.reshape(-1) * 2)
    assert np.all(memory[:8] == 7)
    assert np.all(memory[20:] == 7)


def test_one_value_twice_cannot_go_to_two_places():
    f = sg.function([x], [x + 1, x + 1])
    with pytest.raises(TypeError, match="gives one value twice"):
        f(X, out=[np.empty((4, 3), np.float32), np.empty((4, 3), np.float32)])


# -- updates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [dict, list, tuple])
def test_updates_and_outputs_see_the_old_values(form):
    a, b = sg.parameter("a", (3,), init="ones"), sg.parameter("b", (3,), init="zeros")
    f = sg.function([], [a + b, a], updates=form([(a, b + 5), (b, a)]))
    first, old = f()
    assert np.all(first == 1)
    assert np.all(old == 1)
    assert (a.value.tolist(), b.value.tolist()) == ([5] * 3, [1] * 3)
    f()
    assert (a.value.tolist(), b.value.tolist()) == ([6] * 3, [5] * 3)


def test_rotations_and_transposes_read_before_they_write():
    names = "pqr"
    p, q, r = parameters = [sg.parameter(n, (17, 17), seed=k) for k, n in enumerate(names)]
    old = [v.value for v in parameters]
    sg.function([], updates={p: q.T, q: r @ p, r: p[::-1]})()
    assert np.array_equal(p.value, old[1].T)
    np.testing.assert_allclose(q.value, old[2] @ old[0], rtol=1e-4, atol=1e-6)
    assert np.array_equal(r.value, old[0][::-1])


def test_functions_share_parameters():
    W = sg.parameter("W", (3,), init="zeros")
    add = sg.function([x], updates={W: W + x.sum(axis=0)})
    double = sg.function([], W.sum(), updates={W: 2 * W})
    assert add(X) == ()
    assert double() == 66
    assert np.array_equal(sg.function([], W)(), 2 * X.sum(axis=0))
    assert sg.evaluate(W.sum()) == 132


def test_an_error_leaves_parameters_as_they_were():
    W, c = sg.parameter("W", (3,), seed=1), sg.parameter("c", (), init="zeros")
    f = sg.function([x, y], x[sg.arange(N), y], updates={W: W + 1, c: c + x[sg.arange(N), y].sum()})
    before = W.value
    for bad in (Y + 3, Y - 5):
        with pytest.raises(sg.IndexRangeError, match="y.* is outside an axis of size 3"):
            f(X, bad)
    with pytest.raises(sg.ShapeError, match="dimension N has two values"):
        f(X, Y[:2])
    assert np.array_equal(W.value, before)
    assert c.value == 0
    assert np.array_equal(f(X, Y), X[np.arange(4), Y])
    assert np.array_equal(W.value, before + 1)


def test_computed_indices_are_checked_before_anything_is_written():
    W = sg.parameter("W", (5,), seed=1)
    f = sg.function([y], W[y * 2], updates={W: W * 2})
    before = W.value
    with pytest.raises(sg.IndexRangeError, match="= 6 is outside an axis of size 5"):
        f(np.array([0, 3, 1], np.int32))
    assert np.array_equal(W.value, before)
    assert np.array_equal(f(np.array([-1, 2], np.int32)), before[[-2, 4]])


# -- dimensions ----------------------------------------------------------------------------------------------------


def test_any_size_without_another_compilation(monkeypatch):
    compilations = []
    compiler = symgrad.compiled.compile_graph

    def spy(*arguments, **keywords):
        compilations.append(arguments)
        return compiler(*arguments, **keywords)

    monkeypatch.setattr(symgrad.compiled, "compile_graph", spy)
    W = sg.parameter("W", (3, 5), seed=1)
    f = sg.function([x], [(x @ W).sum(axis=0), sg.softmax(x @ W)])
    rng = np.random.default_rng(0)
    for n in (*range(40), 500, 3, 0, 1):
        a = rng.standard_normal((n, 3)).astype(np.float32)
        total, p = f(a)
        np.testing.assert_allclose(total, (a.astype(np.float64) @ W.value).sum(axis=0), rtol=1e-4, atol=1e-4)
        assert p.shape == (n, 5)
    assert len(compilations) == 1


def test_memory_of_many_shapes_is_bounded_and_they_stay_right():
    f = sg.function([x], x.sum(axis=1))
    for n in (*range(200), *range(200)):
        assert np.array_equal(f(np.ones((n, 3))), np.full(n, 3))
    assert len(f._plans) <= symgrad.compiled.PLANS


def test_sizes_that_leave_no_room():
    f = sg.function([x], x[: N - 2])
    assert f(X).shape == (2, 3)
    assert f(X[:2]).shape == (0, 3)
    with pytest.raises(sg.ShapeError, match="N - 2 = -1"):
        f(X[:1])


# -- threads -------------------------------------------------------------------------------------------------------


def in_threads(count, work):
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_threads_call_one_function(threads):
    a = sg.symbol("a", (N, 64))
    W = sg.parameter("W", (64, 48), seed=1)
    f = sg.function([a], [sg.tanh(a @ W), (a @ W).sum()], threads=threads)
    rng = np.random.default_rng(1)
    data = [rng.standard_normal((5 + 3 * (k % 4), 64)).astype(np.float32) for k in range(8)]
    alone = [f(d) for d in data]

    def work(number):
        for _ in range(25):
            h, total = f(data[number])
            assert np.array_equal(h, alone[number][0])
            assert total == alone[number][1]

    in_threads(8, work)


def test_updates_from_many_threads_are_all_counted():
    count, other = sg.parameter("count", (100,), init="zeros"), sg.parameter("other", (100,), init="zeros")
    up = sg.function([], updates={count: count + 1, other: other - 1})
    both = sg.function([], updates={other: other - 1, count: count + 1})
    in_threads(8, lambda number: [(up if number % 2 else both)() for _ in range(50)])
    assert np.all(count.value == 400)
    assert np.all(other.value == -400)


# -- looking inside ------------------------------------------------------------------------------------------------


def test_texts_are_there_and_always_the_same():
    W = sg.parameter("W", (3, 4), seed=1)

    def make():
        return sg.function([x], sg.relu(x @ W).sum(), name="score")

    first, second = make(), make()
    for read in ("as_text", "llvm_ir", "assembly"):
        text = getattr(first, read)()
        assert len(text) > 100
        assert text == getattr(second, read)() == getattr(first, read)()
    assert first.as_text().startswith("score: ")
    assert "llvm.fma" in first.llvm_ir()
    assert repr(first) == "<Function score(x)>"


def test_functions_are_neither_copied_nor_pickled():
    f = sg.function([x], x + 1)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            duplicate(f)


def test_options_change_no_bit():
    W = sg.parameter("W", (3, 4), seed=1)
    outputs = [sg.softmax(x @ W), sg.grad(sg.sum(sg.tanh(x @ W) ** 2), W)]
    results = [
        sg.function([x], outputs, options=options, threads=threads)(X)
        for options in (None, sg.Options(fuse=False), sg.Options(check=True), sg.Options(packing=False))
        for threads in (1, 3)
    ]
    assert len({tuple(a.tobytes() for a in result) for result in results}) == 1


SCRIPT = """
import sys
import numpy as np
import symgrad as sg
model = sg.Sequential([sg.layers.Dense(4, "relu", input_shape=(3,)), sg.layers.Dense(2, "softmax")])
model.compile("adam", "categorical_crossentropy", ["accuracy"])
model.fit(np.ones((9, 3)), np.eye(2)[[0, 1, 0] * 3], batch_size=4, verbose=0)
print(model.gradients()["dense/kernel"])
sg.function([], sg.constant(1.0) + 1)()
print(sorted(name for name in ("sympy", "matplotlib", "safetensors") if name in sys.modules))
"""


def test_a_whole_fit_imports_neither_sympy_nor_what_only_others_need():
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_functions_lock_what_they_update_in_one_order():
    """Two threads that update the same parameters by different functions would wait for each other for ever."""
    parameters = [sg.parameter(name, (), init="zeros") for name in "abc"]
    orders = (parameters, parameters[::-1], parameters[1:] + parameters[:1])
    assert len({tuple(map(id, sg.function([], [], updates={p: p + 1 for p in o})._locks)) for o in orders}) == 1
