"""Whole programs on disk: a process that finds one computes and shows what a process that compiles does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
import symgrad.compiled
from codegen import entry, objects, packing
from codegen.entry import entry_of
from codegen.graph_key import graph_key
from codegen.machine import host
from codegen.packing import HEAD, Tensors, packed, unpacked
from codegen.store import Store
from symgrad.options import Options

ROOT = Path(__file__).resolve().parents[1]
N = sg.dim("N")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Let this process keep what it compiles."""
    kept = Store(tmp_path / "cache")
    monkeypatch.setattr(entry, "user_store", lambda: kept)
    monkeypatch.setattr(objects, "user_store", lambda: kept)
    return kept


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Note every compilation of a function."""
    noted: list[Any] = []
    compiler = symgrad.compiled.compile_graph

    def spy(*args: Any, **named: Any) -> Any:
        noted.append(args)
        return compiler(*args, **named)

    monkeypatch.setattr(symgrad.compiled, "compile_graph", spy)
    return noted


# -- processes ---------------------------------------------------------------------------------------------------------

# Files that have just been checked out would be too new to be trusted: the process pretends to have started later.
SCRIPT = """
import sys
import numpy as np
from symgrad import started
started.STARTED += 10
import symgrad as sg

def show(*values):
    print(*(v.tobytes().hex() if isinstance(v, (np.ndarray, np.generic)) else v for v in values))

def refused(f, *arrays):
    try:
        f(*arrays)
    except Exception as error:
        print(type(error).__name__, error)

rng = np.random.default_rng(0)
N, i0 = sg.dim("N"), sg.dim("i0")
x, y = sg.symbol("x", (N, 6)), sg.symbol("y", (N,), dtype="int32")
W, b, table = sg.parameter("W", (6, 3), seed=1), sg.parameter("b", (3,), "zeros"), sg.parameter("table", (4, 3), seed=2)
for k in range(int(sys.argv[2])):
    sg.parameter("another", (2,), "zeros")  # parameters are numbered: the numbers must not matter
sg.set_seed(0)
z = sg.tanh(x @ W + b) * np.arange(3, dtype=np.float32)
loss = sg.losses.sparse_categorical_crossentropy(y, z, from_logits=True)
step = sg.function([x, y], {"loss": loss, "z": [z, z]}, updates=sg.optim.Adam().updates(loss, [W, b]), threads=2)
look = sg.function([y], sg.take(table, y, axis=0).sum(axis=0), updates=[(table, table * 0.5)])
rest = sg.function([x], [x @ W, b, sg.sort(x, axis=1), sg.linalg.inv(x[:6].T @ x[:6] + np.eye(6, dtype=np.float32))])
odd = sg.function([sg.symbol("v", (i0, 2))], sg.cumsum(sg.symbol("v", (i0, 2)), axis=0))
xs, ys = rng.standard_normal((9, 6)), rng.integers(0, 3, 9)
for _ in range(3):
    result = step(xs, ys)
    show(result["loss"], *result["z"], W.value, b.value, look(ys), table.value, *rest(xs))
show(odd(np.ones((5, 2))), step(xs[:4], ys[:4])["loss"])
out = np.empty(3, np.float32)
show(look(ys, out=out))
hidden, last = sg.layers.Dense(8, activation="relu", input_shape=(6,)), sg.layers.Dense(3, activation="softmax")
model = sg.Sequential([hidden, last])
model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(xs, ys, epochs=2, batch_size=4, verbose=0)
show(history.history, *model.get_weights(), model.predict(xs), model.evaluate(xs, ys))
stages = sorted(name for name in sys.modules if name in ("codegen.group", "codegen.emit", "symgrad.inspection.labels"))
print("imported:", stages if sys.argv[1] == "warm" else [])
refused(look, np.array([1, 9, 0]))
refused(step, xs, ys + 1)
refused(step, xs[:, :5], ys)
refused(rest, xs[:0])
refused(model.fit, xs, ys + 3)
show(table.value, W.value, *model.get_weights())
for f in (step, look, rest, odd, model.train_function()):
    print(f.as_text(), f.llvm_ir(), f.cost_analysis(), f.memory_analysis(**({"i0": 4} if f is odd else {"N": 7})))
print(step.trace(xs, ys), [v.label for v in sorted(step.profile(xs, ys, repeat=1), key=lambda v: v.launch)])
"""


def script(directory: Path | str, kind: str, seed: int) -> subprocess.Popen[str]:
    environ = {**os.environ, "SYMGRAD_CACHE": str(directory), "PYTHONHASHSEED": str(seed)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind, str(seed)], cwd=ROOT, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return out


def test_processes_that_compile_and_processes_that_find_agree(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    started = [script("off", "cold", 1), script(directory, "cold", 2)]
    off, cold = map(ended, started)
    assert "IndexRangeError" in off
    assert off == cold
    kept = sorted(directory.iterdir())
    assert ended(script(directory, "warm", 3)) == off  # as the texts, "imported: []" must be the same
    assert sorted(directory.iterdir()) == kept


def test_a_damaged_program_is_compiled_and_kept_anew(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    first = ended(script(directory, "cold", 1))
    kept = {path: path.read_bytes() for path in directory.iterdir()}
    for number, (path, data) in enumerate(kept.items()):
        path.write_bytes(data[: len(data) // 2] if number % 2 else data[:-1] + bytes([data[-1] ^ 1]))
    assert ended(script(directory, "cold", 2)) == first
    assert {path: path.read_bytes() for path in directory.iterdir()} == kept


# -- keys --------------------------------------------------------------------------------------------------------------


def network(
    width: int = 3, scale: float = 2.0, name: str = "W", dtype: str = "float32", rows: Any = N, table: Any = (1, 2, 3),
    named: str | None = None, square: bool = False, seed: int = 0,
) -> tuple[list[sg.Expr], list[sg.Expr], list[sg.Parameter]]:  # fmt: skip
    x = sg.symbol("x", (rows, width), dtype)
    W = sg.parameter(name, (width, 3), dtype=dtype, seed=seed)
    h = (x * x if square else sg.exp(x)) @ W
    if named is not None:
        h.named(named)
    return [x], [h * scale + np.asarray(table, dtype), W - 1], [W]


def key_of(options: Options | None = None, **choices: Any) -> str:
    inputs, roots, renewed = network(**choices)
    found = entry_of("function", inputs, roots, renewed, options or Options())
    assert found is not None
    return found.key


OTHERS = {
    "a shape": lambda: key_of(width=4),
    "a constant": lambda: key_of(scale=3.0),
    "the sign of zero": lambda: (key_of(scale=0.0), key_of(scale=-0.0)),
    "the name of a parameter": lambda: key_of(name="V"),
    "a dtype": lambda: key_of(dtype="float64"),
    "a dimension": lambda: key_of(rows=sg.dim("M")),
    "a size": lambda: key_of(rows=7),
    "an array": lambda: key_of(table=(1, 2, 4)),
    "a name": lambda: key_of(named="h"),
    "an operator": lambda: key_of(square=True),
    "simplify": lambda: key_of(Options(simplify=False)),
    "fuse": lambda: key_of(Options(fuse=False)),
    "tiles": lambda: key_of(Options(tiles=(4, 1))),
    "packing": lambda: key_of(Options(packing=False)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_a_program_depends_on_is_in_its_key(what: str, store: Store) -> None:
    found = OTHERS[what]()
    keys = [key_of(), *([found] if isinstance(found, str) else found)]
    assert len(set(keys)) == len(keys)


def test_values_of_parameters_and_the_number_of_threads_are_not_in_the_key(store: Store) -> None:
    assert len({key_of(), key_of(seed=5), key_of(Options(threads=3))}) == 1


def test_which_nodes_are_inputs_outputs_and_updates_is_in_the_key(store: Store) -> None:
    (x,), (h, new), (W,) = network()
    y = sg.symbol("y", (N, 3))
    cases = [
        ("function", [x], [h, new], [W]), ("loop", [x], [h, new], [W]), ("function", [x], [h, new], []),
        ("function", [x], [new, h], [W]), ("function", [x, y], [h, new], [W]), ("function", [y, x], [h, new], [W]),
        ("function", [x], [h, h, new], [W]), ("function", [x], [h], []),
    ]  # fmt: skip
    keys = {entry_of(what, *rest, Options()).key for what, *rest in cases}  # type: ignore[union-attr]
    assert len(keys) == len(cases)


def test_the_machine_the_compiler_and_the_sources_are_in_the_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(host(), l2=1)
    monkeypatch.setattr(entry, "runnable", lambda: (host(), other))
    keys = {key_of()}
    for module, name, value in (
        (objects, "LLVM_VERSION", "0"), (objects, "OPTIMIZATION", 1), (objects, "sources", lambda: "other"),
        (entry, "VERSIONS", "other"), (entry, "machine", lambda name: other),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            keys.add(key_of())
    assert len(keys) == 6


def test_code_for_another_machine_is_not_looked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "runnable", lambda: ())
    inputs, roots, _ = network()
    assert entry_of("function", inputs, roots, [], Options()) is None


def test_equal_looking_attributes_are_told_apart() -> None:
    x = sg.symbol("x", (2, 2))
    graphs = [x.sum(axis=0), x.sum(axis=1), x.sum(axis=0, keepdims=True), x[0], x[1], x[:1], x.T]
    graphs += [sg.constant(True), sg.constant(1), sg.constant(1.0), sg.constant(1, dtype="int32")]
    assert len({graph_key([g]).digest for g in graphs}) == len(graphs)
    assert graph_key([x, x]).digest != graph_key([x]).digest


def test_two_parameters_of_one_name_are_two(store: Store) -> None:
    x = sg.symbol("x", (3,))
    a, b = sg.parameter("w", (3,), "zeros"), sg.parameter("w", (3,), "ones")
    assert graph_key([x * a + a]).digest != graph_key([x * a + b]).digest
    assert sg.function([x], [x * a + a, a + b])(np.ones(3))[0].tolist() == [0, 0, 0]
    again = sg.function([x], [x * b + b, b + a])
    assert [r.tolist() for r in again(np.ones(3))] == [[2, 2, 2], [1, 1, 1]]


def test_an_operator_of_the_users_own_is_its_formula(store: Store) -> None:
    x = sg.symbol("x", (3,))
    first = graph_key([sg.elementwise("own_of_entries", lambda u: u * u + 1)(x)])
    second = graph_key([sg.elementwise("own_of_entries", lambda u: u * u + 2)(x)])
    assert first.digest != second.digest


def test_a_deep_graph_has_a_key() -> None:
    x = sg.symbol("x", (3,))
    deep = x
    for _ in range(20_000):
        deep = sg.tanh(deep)
    assert graph_key([deep]).digest != graph_key([sg.tanh(deep)]).digest


# -- what is not kept --------------------------------------------------------------------------------------------------


def test_nothing_is_kept_where_somebody_wants_to_see_it_made(
    store: Store, compilations: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    x = sg.symbol("x", (3,))

    def made(options: Options | None = None) -> int:
        before = len(compilations)
        sg.function([x], x + 1, options=options)
        return len(compilations) - before

    assert [made(), made(), made(Options(poison=True)), made(Options(check=True)), made()] == [1, 0, 1, 1, 0]
    monkeypatch.setenv("SYMGRAD_DUMP", "group")
    assert [made(), made()] == [1, 1]
    assert capsys.readouterr().err.count("-- group --") == 2
    monkeypatch.delenv("SYMGRAD_DUMP")
    monkeypatch.setenv("SYMGRAD_BISECT", "1")
    assert [made(), made()] == [1, 1]


def test_without_a_store_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "user_store", lambda: None)
    monkeypatch.setattr(entry, "graph_key", None)  # not even a digest is computed
    x = sg.symbol("x", (3,))
    assert entry_of("function", [x], [x + 1], [], Options()) is None


# -- one process -------------------------------------------------------------------------------------------------------


def test_functions_that_differ_in_values_share_a_program(store: Store, compilations: list[Any]) -> None:
    results = []
    for seed in (1, 2):
        inputs, (h, new), (W,) = network(seed=seed)
        f = sg.function(inputs, h, updates={W: new})
        old = W.value
        results.append(f(np.ones((2, 3))))
        expected = (np.exp(np.ones((2, 3))) @ old * 2 + [1, 2, 3]).astype(np.float32)
        np.testing.assert_allclose(results[-1], expected, rtol=1e-5)
        np.testing.assert_array_equal(W.value, old - 1)
    assert len(compilations) == 1
    assert not np.array_equal(*results)


def test_constant_arrays_that_compiling_makes_are_kept_with_the_program(store: Store, compilations: list[Any]) -> None:
    x = sg.symbol("x", (2, 3))
    own = sg.constant(np.arange(3, dtype=np.float32))
    first = sg.function([x], x + own)
    other = sg.constant(np.arange(3, dtype=np.float32) + 1)
    foreign = Tensors((x,), (), (other,))  # a graph that lacks the array
    data = packed(first.executable, first.subject.compiled.objects(), foreign, None)
    found = unpacked(data, foreign) if data else None
    assert found is not None
    (added,) = (o for o in found[0].calls[0].operands if isinstance(o, type(own)))
    assert added.array.tolist() == [0, 1, 2]


def test_looking_inside_from_many_threads_compiles_to_one_thing(store: Store, compilations: list[Any]) -> None:
    inputs, roots, _ = network()
    sg.function(inputs, roots)
    f = sg.function(inputs, roots)
    assert len(compilations) == 1
    seen: list[Any] = []
    begin = threading.Barrier(4)

    def look() -> None:
        begin.wait()
        seen.append((id(f.subject.compiled), f.as_text(), f(np.ones((2, 3)))[0].tobytes()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_a_loop_that_is_found_checks_its_labels(store: Store) -> None:
    x, y = np.zeros((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])
    for _ in range(2):
        model = sg.Sequential([sg.layers.Dense(3, input_shape=(4,))])
        model.compile("sgd", "mse")
        table, at = sg.parameter("t", (3, 2), "zeros"), sg.layers.Input((), dtype="int32", name="at")
        lookup = sg.Model(at, sg.take(table, at, axis=0))
        lookup.compile("sgd", "mse")
        lookup.fit(y, np.ones((6, 2)), verbose=0)
        assert np.count_nonzero(table.value) == 6
        with pytest.raises(sg.IndexRangeError, match=r"at\[0\] = 3 is outside an axis of size 3"):
            lookup.fit(y + 3, np.ones((6, 2)), verbose=0)
    assert x.shape == (6, 4)


# -- bytes -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def written() -> tuple[bytes, Tensors]:
    inputs, roots, renewed = network()
    f = sg.function(inputs, roots[0], updates={renewed[0]: roots[1]})
    graph = graph_key([*inputs, *roots])
    tensors = Tensors(tuple(inputs), graph.parameters, graph.buffers)
    data = packed(f.executable, f.subject.compiled.objects(), tensors, {"a": 1})
    assert data is not None
    return data, tensors


def test_what_is_written_is_read(written: tuple[bytes, Tensors]) -> None:
    data, tensors = written
    found = unpacked(data, tensors)
    assert found is not None
    program, notes = found
    assert notes == {"a": 1}
    images = packing._Reader(*split(data), tensors).objects
    assert packed(program, images, tensors, notes) == data


def split(data: bytes) -> tuple[Any, memoryview]:
    end = HEAD + int.from_bytes(data[:HEAD], "little")
    return json.loads(data[HEAD:end]), memoryview(data)[end:]


def test_what_is_cut_or_longer_is_not_read(written: tuple[bytes, Tensors]) -> None:
    data, tensors = written
    for end in (*range(0, 400, 7), len(data) // 2, len(data) - 1):
        assert unpacked(data[:end], tensors) is None
    assert unpacked(data + b"\0", tensors) is None


WRONG: dict[str, Callable[[Any], Any]] = {
    "no launches": lambda text: text.pop("calls"),
    "a kernel that there is not": lambda text: text["calls"][0].__setitem__(0, 99),
    "an operand that there is not": lambda text: text["calls"][0][1].__setitem__(0, 99),
    "another parameter": lambda text: text["operands"].append(["parameter", 7]),
    "a kind of operand that there is not": lambda text: text["operands"].append(["file", 0]),
    "a dtype that there is not": lambda text: text["types"].append(["float128", []]),
    "a size that is none": lambda text: text["sizes"].append({}),
    "code that is too long": lambda text: text["kernels"][0].__setitem__(1, 10**6),
    "an update of no parameter": lambda text: text["updated"].append([0, text["inputs"][0]]),
    "a list": lambda text: text.clear(),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_it_must_be_is_not_read(what: str, written: tuple[bytes, Tensors]) -> None:
    data, tensors = written
    text, blobs = split(data)
    WRONG[what](text)
    head = json.dumps(text).encode()
    assert unpacked(len(head).to_bytes(HEAD, "little") + head + bytes(blobs), tensors) is None
