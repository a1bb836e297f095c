"""The fuzzer itself: what it draws, that it notices, shrinks and prints what is wrong, and that it goes on."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from fuzz import __main__ as command
from fuzz.generate import SIZES, Generator
from fuzz.program import Line, Program, slopes
from fuzz.referee import MismatchError, check, same, within
from fuzz.rows import callable_rows
from fuzz.shrink import shrunk
from fuzz.templates import generate
from fuzz.variants import fitting, with_fma
from fuzz.worker import Verdict, Worker, chosen, judged

import symgrad as sg
from symgrad.expr import topological
from symgrad.ops.row import ROWS, plain_name
from symgrad.ops.structure import Leaf

SEEDS = range(300)
NOT_DRAWN = {
    "project",  # the results of an operator with several: none has several
}
PLAIN = Line("x0", 'sg.symbol("x0", (N, M), "float32")', 'drawn((1,), "float32", (N, M), -1.5, 1.5)')


@pytest.fixture(scope="module")
def programs():
    return [generate(seed) for seed in SEEDS]


def test_every_row_is_drawn(programs):
    found = {node.op for program in programs for node in topological(program.build().roots)}
    wanted = {n for n, row in ROWS.items() if plain_name(n) == n and not isinstance(row.structure, Leaf)}
    assert wanted - found <= NOT_DRAWN


def test_a_new_row_is_drawn_by_existing(monkeypatch):
    row = replace(ROWS["sin"], name="sine_again")
    monkeypatch.setitem(ROWS, row.name, row)
    turn = callable_rows().index(row.name)
    assert f'ROWS["{row.name}"]' in str(generate(turn, 5))


def test_programs_differ_in_what_they_ought_to(programs):
    """Sizes, dtypes, ranks, forms of outputs, updates: all occur."""
    built = [p.build() for p in programs]
    nodes = [n for b in built for n in topological(b.roots)]
    assert {str(n.dtype) for n in nodes} >= {"float32", "float64", "int32", "int64", "int8", "uint8", "bool"}
    assert {n.ndim for n in nodes} >= {0, 1, 2, 3, 4}
    assert {size for p in programs for s in p.sizes for size in s.values()} == set(SIZES)
    assert {n for node in nodes for n in node.shape if isinstance(n, int)} >= set(SIZES)
    assert {p.form for p in programs} == {"list", "tuple", "dict"}
    assert sum(p.wild for p in programs) > 20
    forward = [[p.nodes()[o] for o in p.outputs if o[0] in "vl"] for p in programs]
    counts = sorted(sum(bool(n.args) for n in topological(nodes)) for nodes in forward)
    assert counts[10] >= 5
    assert counts[len(counts) // 2] >= 20
    assert counts[-30] >= 40
    updates = " ".join(u for p in programs for u in p.updates)
    for kind in ("*o0", "(p0, p1)", "(p1, p0)", "- 0.1 * g"):
        assert kind in updates
    assert sum(len(b.gradients) for b in built) > 300


def test_a_seed_is_a_program(programs):
    for seed in (0, 17, 123):
        assert generate(seed) == programs[seed]
        again, first = generate(seed), programs[seed]
        for sizes in first.sizes:
            for a, b in zip(again.arrays(sizes), first.arrays(sizes), strict=True):
                assert a.tobytes() == b.tobytes()


def test_what_the_process_defines_changes_no_program(programs):
    sg.elementwise("fuzz_apart", lambda x: x**3 + x)
    assert [generate(seed) for seed in (0, 17, 34)] == [programs[seed] for seed in (0, 17, 34)]


def test_the_printed_program_compares_the_same():
    program = generate(21, 5)
    names: dict = {"__name__": "pasted"}
    exec(program.text(("unfused",)), names)
    names["test_seed_21"]()


# -- noticing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def wrong_tanh(monkeypatch):
    """Plant a bug: functions in which a tanh of a matrix occurs add a thousandth to their first result."""
    call = sg.Function.__call__

    def planted(self, *arrays, **named):
        results = call(self, *arrays, **named)
        if any(n.op == "tanh" and n.ndim == 2 for n in topological(self.subject.compiled.results)):
            results[0][...] += 1e-3
        return results

    monkeypatch.setattr(sg.Function, "__call__", planted)


def test_a_wrong_value_is_noticed_and_shrunk(wrong_tanh):
    lines = (
        PLAIN,
        Line("x1", 'sg.symbol("x1", (M, 17), "float32")', 'drawn((2,), "float32", (M, 17), -1.5, 1.5)'),
        Line("v0", "x0 @ x1"), Line("v1", "sg.sin(v0)"), Line("v2", "sg.tanh(v1)"), Line("v3", "v2 * v0 + 1"),
        Line("v4", "sg.sum(v3, axis=0)"), Line("v5", "sg.exp(v4 * 0.01)"),
    )  # fmt: skip
    program = Program(0, lines, ("v3", "v5"), (), "list", ({"N": 33, "M": 8}, {"N": 3, "M": 2}))
    assert judged(program, ()).kind == "value"
    small = shrunk(program, lambda p: judged(p, ()).kind == "value")
    assert [line.source.split("(")[0] for line in small.lines] == ["sg.symbol", "sg.tanh"]
    assert len(small.sizes) == 1
    assert max(small.sizes[0].values()) <= 2


def test_a_wrong_derivative_is_noticed(monkeypatch):
    """A cotangent of a fold that is twice what it should be: compiled and interpreted agree, the tape does not."""
    row = ROWS["cumsum"]
    monkeypatch.setitem(ROWS, "cumsum", replace(row, vjp=lambda node, g: tuple(2 * p for p in row.vjp(node, g))))
    x0 = replace(PLAIN, source='sg.symbol("x0", (N, M), "float64")')
    lines = (x0, Line("l0", "sg.sum(sg.sin(sg.cumsum(x0, axis=1)))"), slopes("l0", ("x0",), ("g0",), False))
    program = Program(0, lines, ("l0", "g0"), (), "list", ({"N": 2, "M": 3},))
    assert judged(program, ()).kind == "derivative"


def test_other_bits_are_noticed():
    a = np.array([1.0, np.nan, 0.0])
    same([a], [np.array([1.0, -np.nan, 0.0])], "")
    for other in ([1.0, np.nan, -0.0], [1.0 + 2**-52, np.nan, 0.0], [1.0, 1.0, 0.0]):
        with pytest.raises(MismatchError, match="bits"):
            same([a], [np.array(other)], "")
    with pytest.raises(MismatchError, match="error"):
        same([a], "ShapeError", "")


@pytest.mark.parametrize(
    ("got", "want", "bound", "right"),
    [
        (1.0, 1.5, 0.5, True), (1.0, 1.5, 0.25, False), (np.nan, np.nan, 0.0, True), (np.inf, np.inf, 0.0, True),
        (np.inf, -np.inf, 0.0, False), (np.nan, 1.0, 1e9, False), (np.inf, 1.0, 1e9, False),
        (np.nan, 1.0, np.inf, True),
    ],
)  # fmt: skip
def test_results_stay_within_bounds_and_classes(got, want, bound, right):
    arrays = np.array([got]), np.array([want]), np.array([bound])
    if right:
        within("value", "", *arrays)
        return
    with pytest.raises(MismatchError, match="value"):
        within("value", "", *arrays)


# -- running -------------------------------------------------------------------------------------------------------


def test_a_crash_has_a_seed_and_the_worker_goes_on():
    worker = Worker()
    sound = Program(0, (PLAIN,), ("x0",), (), "list", ({"N": 2, "M": 3},))
    assert worker.ask("program", sound, ()).kind == ""
    deadly = replace(sound, lines=(PLAIN, Line("v0", "__import__('os').abort()")), outputs=("v0",))
    assert worker.ask("program", deadly, ()).kind == "crash"
    assert worker.ask("program", sound, ()).kind == ""
    worker.close()


def test_fresh_processes_compile_the_same_code():
    workers = [Worker(), Worker()]
    for seed in range(3):
        first, second = (w.ask("digest", seed, 5) for w in workers)
        assert first == second
        assert len(first.digest) == 64
    for worker in workers:
        worker.close()


class FakeWorker:
    """Finds something wrong with seed 103, and other code for seed 200 where it is found compiled."""

    asked: ClassVar[list] = []
    caches: ClassVar[list] = []

    def __init__(self, cache="off"):
        self.caches.append(cache)

    def ask(self, task, *arguments):
        self.asked.append(arguments[0])
        if task == "digest":
            is_found = self.caches.count(self.caches[-1]) == 2
            return Verdict(digest="other" if is_found and arguments[0] == 200 else "same")
        wrong = arguments[0] == 103
        return Verdict("generate", "ValueError: nothing") if wrong else Verdict(elements=10)

    def close(self):
        pass


def test_long_runs_go_on_where_they_were(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "asked", [])
    log = tmp_path / "log.jsonl"
    options = [f"--log={log}", "--workers=1"]
    assert command.main(["101", "40", *options]) == 1
    assert "seed 103" in capsys.readouterr().out
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["seeds"] for e in entries] == [[101, 121], [121, 141]]
    assert [f["seed"] for e in entries for f in e["failures"]] == [103]
    FakeWorker.asked.clear()
    assert command.main(["101", "60", *options]) == 0
    assert set(FakeWorker.asked) == set(range(141, 161))


def test_code_that_is_found_compiled_is_compared_with_code_that_is_compiled(monkeypatch, capsys):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "caches", [])
    assert command.main(["104", "100", "--workers=1"]) == 1
    assert "seed 200\nfresh processes have other code" in capsys.readouterr().out
    _, *caches = FakeWorker.caches  # those of seeds 150 and 200
    assert len(caches) == 4
    assert [caches[0] == caches[1], caches[1] == caches[2], caches[2] == caches[3]] == [True, False, True]


def test_without_a_log_the_first_difference_ends_the_run(monkeypatch, capsys):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    assert command.main(["101", "1000", "--workers=1", "--seconds=60"]) == 1
    out = capsys.readouterr().out
    assert "seed 103" in out
    assert "1 of 3 programs differ" in out


def test_variants_follow_what_a_graph_holds():
    x = sg.symbol("x", (3, 3))
    assert "packed" in fitting([x @ x])
    assert "packed" not in fitting([sg.tanh(x)])
    assert {row.name for row in with_fma()} <= set(fitting([x]))
    program = generate(4, 5)
    assert chosen(program, 2) == chosen(program, 2)
    check(program, chosen(program, 0))


def test_what_is_bent_stays_inside():
    g = Generator(1)
    g.wild = False
    for low, high in ((0.2, 3.0), (-0.9, 0.9), (1.2, 4.0)):
        value = g.symbol((5, 7), "float64", -30, 30)
        bent = g.make(g.bent(value, low, high))
        assert low <= bent.sample.min()
        assert bent.sample.max() <= high
