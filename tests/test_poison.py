"""Options(poison=True): the same bits, and every way to leave a buffer or to read what was not written is seen."""

import ctypes
import dataclasses
import os
import signal
import sys

import numpy as np
import pytest

import codegen.kernel
import symgrad as sg
from codegen.poison import READ, Fence
from symgrad.options import Options

POISON = Options(poison=True)
N = sg.dim("N")


def _step(options: Options | None):
    x, y = sg.symbol("x", (N, 7)), sg.symbol("y", (N,), "int32")
    w = sg.parameter("w", (7, 5), seed=3)
    loss = sg.losses.sparse_categorical_crossentropy(y, sg.tanh(x @ w), from_logits=True)
    gradient = sg.grad(loss, w)
    outputs = [loss, gradient, sg.sort(x, axis=0), sg.cumsum(x, axis=1)]
    return w, sg.function([x, y], outputs, updates={w: w - 0.1 * gradient}, options=options)


@pytest.mark.parametrize("n", [0, 1, 17, 33])
def test_poison_changes_no_bit(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 7)).astype(np.float32), rng.integers(0, 5, n).astype(np.int32)
    results = []
    for options in (None, POISON):
        w, step = _step(options)
        results.append([np.asarray(o).tobytes() for _ in range(2) for o in (*step(x, y), w.value)])
    assert results[0] == results[1]


def test_a_refused_index_leaves_parameters():
    w, step = _step(POISON)
    before = w.value
    with pytest.raises(sg.IndexRangeError):
        step(np.zeros((2, 7)), np.array([1, 9]))
    assert np.array_equal(w.value, before)


def test_training_on_poisoned_memory_changes_no_bit():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)).astype(np.float32), rng.integers(0, 3, 50)
    weights = []
    for options in (None, POISON):
        model = sg.Sequential([sg.layers.Dense(9, activation="relu", input_shape=(6,)), sg.layers.Dense(3)], seed=1)
        loss = sg.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer="rmsprop", loss=loss, options=options)
        model.fit(x, y, epochs=2, batch_size=16, verbose=0, seed=2)
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


def test_what_no_kernel_writes_is_nan(monkeypatch):
    x = sg.symbol("x", (N,))
    hidden = sg.softmax(x)  # several kernels, with temporaries between them
    f = sg.function([x], hidden * 2, options=POISON)
    launch = codegen.kernel._launch

    def without_tasks(*args):
        return dataclasses.replace(launch(*args), tasks=0)

    monkeypatch.setattr(codegen.kernel, "_launch", without_tasks)
    assert np.isnan(f(np.ones(5))).all()


@pytest.mark.parametrize("size", [0, 1, 4, 63, 4096, 5000])
@pytest.mark.parametrize("alignment", [1, 4, 8])
def test_a_write_before_the_memory_is_seen(size, alignment):
    fence = Fence("h", size, alignment)
    fence.bytes[:] = 1
    fence.check()
    fence._inside[fence._start - 1] = 1
    with pytest.raises(sg.CompileError, match="before the memory of h"):
        fence.check()


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
@pytest.mark.parametrize("misdeed", ["read beyond", "write beyond", "write what is read-only"])
def test_leaving_the_memory_stops_the_process(misdeed):
    fence = Fence("h", 12, 4)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        if misdeed == "write what is read-only":
            fence.allow(READ)
            ctypes.memset(fence.address, 0, 4)
        elif misdeed == "write beyond":
            ctypes.memset(fence.address + 12, 0, 1)
        else:
            ctypes.string_at(fence.address + 12, 1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) in (signal.SIGSEGV, signal.SIGBUS)
