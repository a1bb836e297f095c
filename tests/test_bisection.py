"""SYMGRAD_BISECT names the stage of a planted error, and says nothing against a compiler without one."""

import subprocess
import sys

import numpy as np
import pytest

import codegen.expand
import codegen.scalars
import symgrad as sg
import symgrad.compiled
from codegen import arith, objects
from codegen.ir import Op

N = sg.dim("N")
X = np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _wanted(monkeypatch):
    monkeypatch.setenv("SYMGRAD_BISECT", "1")


def _verdict(capsys):
    """Run a step with two matrix products, a softmax and an update; give what is said about it."""
    x, w = sg.symbol("x", (N, 4)), sg.parameter("w", (4, 3), seed=1)
    p = sg.softmax(sg.tanh(x @ w) + 0.5)
    loss = sg.mean(sg.square(p))
    step = sg.function([x], [loss, p], updates={w: w - 0.1 * sg.grad(loss, w)}, name="step")
    before = w.value
    step(X)
    assert not np.array_equal(w.value, before)
    said = capsys.readouterr().err
    assert said.startswith("SYMGRAD_BISECT: step: ")
    return said


def test_a_right_compiler(capsys):
    assert "every stage agrees" in _verdict(capsys)


def test_a_wrong_rule(monkeypatch, capsys):
    simplify = symgrad.compiled.simplify

    def wrong(roots):
        return [r * 2 if r.ndim == 0 else r for r in simplify(roots)]

    monkeypatch.setattr(symgrad.compiled, "simplify", wrong)
    assert "simplify changes the value of" in _verdict(capsys)


def test_a_wrong_definition(monkeypatch, capsys):
    define = codegen.expand._define

    def wrong(node):
        return define(node) + 1e-3 if node.op == "softmax" else define(node)

    forms = {k: wrong if v is define else v for k, v in codegen.expand.FORMS.items()}
    monkeypatch.setattr(codegen.expand, "FORMS", forms)
    assert "expand changes the value of" in _verdict(capsys)


def test_wrong_lowering(monkeypatch, capsys):
    def wrong(x, y):
        return Op("add", (x, y), x.dtype)

    monkeypatch.setitem(codegen.scalars.PRIMITIVES, "subtract", wrong)
    said = _verdict(capsys)
    assert "stores a wrong" in said
    assert "its loop IR says so too" in said


def test_wrong_code(monkeypatch, capsys):
    monkeypatch.setattr(objects, "_objects", {})  # nothing is remembered from before, nor afterwards
    monkeypatch.setitem(arith._BINARY, "sub", {"f": "fadd", "i": "sub", "u": "sub"})
    said = _verdict(capsys)
    assert "stores a wrong" in said
    assert "the error is in emit" in said


def test_off_means_nothing_is_said(monkeypatch, capsys):
    monkeypatch.setenv("SYMGRAD_BISECT", "off")
    x = sg.symbol("x", (N,))
    sg.function([x], x + 1)(np.ones(2))
    assert not capsys.readouterr().err


def test_the_variable_is_read_by_a_process():
    program = "import numpy as np, symgrad as sg; x = sg.symbol('x', (3,)); print(sg.function([x], x * 2)(np.ones(3)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[2. 2. 2.]"
    assert "every stage agrees" in done.stderr
