"""The benchmark: both sides train the same; the order of runs; what stops a measurement; memory."""

import doctest
import importlib
import importlib.util
import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import arrays, bandwidth, by_hand, contest, measure, memory, network, ours, peers, session
from benchmarks.contest import LOSSES, OURS, RESULTS, Call, Case, Contender, Idiom, Rung, Runner, Sample, Unit, repeated
from benchmarks.measure import CaseResult, DisagreementError, Memory, RungResult, Timing, interleaved
from benchmarks.network import Network, Rule
from benchmarks.pinn import Burgers
from benchmarks.rungs import NETWORKS, RUNGS

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam")
MODULES = [ours, by_hand]


def small(rule, activation="tanh", loss="mse", sizes=(5, 7, 6, 3)):
    return Network("small", sizes, activation, loss, Rule(rule, 0.01), batch=8, samples=50, steps=9)


# -- the same mathematics ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize(("activation", "loss"), [("tanh", "mse"), ("relu", "crossentropy")])
def test_both_sides_have_the_same_losses(rule, activation, loss):
    problem = small(rule, activation, loss)
    task = problem.draw()
    sides = [*ours.train(problem, task), *by_hand.train(problem, task)]
    losses = [side.start().run().values for side in sides]
    assert [len(values) for values in losses] == [problem.steps] * 3
    assert losses[0][0] != losses[0][-1]  # it trains
    for values in losses[1:]:
        np.testing.assert_allclose(values, losses[0], rtol=1e-5)


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_peers_have_the_same_losses(name, rule):
    pytest.importorskip(name)
    module = importlib.import_module(peers.MODULES[name])
    problem = small(rule, "relu", "crossentropy")
    case = Case("a step", Unit.STEPS, 1, lambda side: _quick(side.train(problem, problem.draw())))
    assert len(measure.contest(case, [ours, module], repetitions=1, pause=0).timings) > 2


def _quick(contenders):
    """Leave out what takes PyTorch's compiler half a minute."""
    return [one for one in contenders if one.how != "compiled"]


@pytest.mark.parametrize("side", MODULES)
def test_a_second_run_begins_again(side):
    problem = small("adam")
    for contender in side.train(problem, problem.draw()):
        run = contender.start().run
        np.testing.assert_array_equal(run().values, run().values)


def test_the_loss_by_hand_is_that_of_float64():
    """Of the first step, with nothing but the definition."""
    for problem in (small("sgd"), small("sgd", "relu", "crossentropy")):
        task = problem.draw()
        x, y = (column[task.batches[0]].astype(np.float64) for column in task.columns)
        h = x
        for W, b in zip(task.weights[::2], task.weights[1::2], strict=True):
            z = h @ W + b
            h = np.tanh(z) if problem.activation == "tanh" else np.maximum(z, 0)
        e = np.exp(z)
        expected = np.mean((z - y) ** 2)
        if problem.loss == "crossentropy":
            expected = -np.mean(np.sum(y * np.log(e / e.sum(axis=1, keepdims=True)), axis=1))
        (side,) = by_hand.train(problem, task)
        np.testing.assert_allclose(side.start().run().values[0], expected, rtol=1e-5)


def test_burgers_equation_in_both_idioms():
    problem = Burgers("small", (6, 5), Rule("adam", 0.005), batch=20, samples=60, steps=7)
    native, called = ours.train(problem, problem.draw())
    losses = native.start().run().values
    np.testing.assert_allclose(called.start().run().values, losses, rtol=1e-5)
    assert losses[-1] < losses[0]


def test_every_array_case_agrees_with_numpy():
    for rung in (arrays.elementwise(True), arrays.softmax(True)):
        for case in measure.measure(rung, MODULES, repetitions=1, pause=0).cases:
            assert [t.label for t in case.timings] == [f"{OURS}, out=", "NumPy, out=", "NumPy, out=, in blocks"]


@pytest.mark.parametrize("turned", arrays.TURNS)
def test_products_agree_with_numpy(turned):
    for shape in [((), 7, 5, 3), ((4,), 3, 6, 2)]:
        result = measure.contest(arrays._product(*shape, turned, True), MODULES, repetitions=1, pause=0)
        assert [t.idiom for t in result.timings] == [Idiom.MANY, Idiom.CALL, Idiom.CALL]


@pytest.mark.parametrize("module", [contest, measure, network])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


# -- tasks ---------------------------------------------------------------------------------------------------------


def test_the_table_has_every_kind_of_size():
    assert list(RUNGS) == ["tiny", "logreg", "mlp", "deep", "wide", "pinn", "elementwise", "softmax", "gemm"]
    flops = {n.name: n.flops for n in NETWORKS}
    assert flops["tiny"] == 2 * 32 * (3 * (8 * 32 + 32 * 32 + 32) - 8 * 32)
    assert flops["wide"] == 10 * 256 * 2048**2
    assert flops["deep"] == 2 * 64 * 256**2 * 29


def test_batches_are_permutations():
    rows = network.batches(np.random.default_rng(0), samples=10, batch=3, steps=7)
    assert rows.shape == (7, 3)
    for one_pass in (rows[:3], rows[3:6]):
        assert len(set(one_pass.ravel().tolist())) == 9
    assert rows.flags.c_contiguous
    assert rows.dtype == np.int64


def test_a_task_is_the_same_for_everyone():
    first, second = small("sgd").draw(), small("sgd").draw()
    pairs = zip((*first.columns, *first.weights), (*second.columns, *second.weights), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32


# -- measuring -----------------------------------------------------------------------------------------------------


def contender(who, values, log=None, seconds=1.0, idiom=Idiom.CALL):
    def run():
        if log is not None:
            log.append(who)
        return Sample(seconds, np.asarray(values, np.float64))

    return Contender(who, "somehow", idiom, lambda: Runner(run))


def case_of(*contenders, checks=LOSSES):
    return Case("a step", Unit.STEPS, 1, lambda module: list(contenders), checks)


def test_everybody_runs_in_turn_after_a_round_that_does_not_count():
    log = []
    entered = [contender(who, [1.0], log) for who in "abc"]
    result = measure.contest(case_of(*entered), [None], repetitions=3, pause=0)
    assert "".join(log) == "abc" + "abc" + "bac" + "cab"
    assert [len(t.seconds) for t in result.timings] == [3, 3, 3]
    assert list(interleaved(1, 2)) == [0, 0]


def test_the_median_counts():
    times = itertools.cycle([100.0, 3.0, 1.0, 2.0])
    runner = Contender("a", "b", Idiom.CALL, lambda: Runner(lambda: Sample(next(times), np.ones(1))))
    (timing,) = measure.contest(case_of(runner), [None], repetitions=3, pause=0).timings
    assert timing.seconds == (3.0, 1.0, 2.0)
    assert timing.median == 2.0
    assert timing.spread == 1.0


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ([1.01, 1, 1, 1, 1, 1], "the first five losses by 1.0e-02"),
        ([1, 1, 1, 1, 1, 1.2], "the mean loss by 3.3e-02"),
        ([1, 1, 1, 1, 1, np.nan], "the mean loss by nan"),
        ([1, 1, 1], "the first five losses by nan"),
    ],
)
def test_a_disagreement_stops_the_measurement(other, what):
    pair = contender("a", [1.0] * 6), contender("b", other)
    with pytest.raises(DisagreementError, match=f"a step: a, somehow and b, somehow differ in {what}"):
        measure.contest(case_of(*pair), [None], repetitions=1, pause=0)


def test_a_later_round_is_compared_too():
    results = iter([1.0, 2.0])
    changing = Contender("a", "b", Idiom.CALL, lambda: Runner(lambda: Sample(1.0, np.full(3, next(results)))))
    with pytest.raises(DisagreementError, match="the results by 1.0e"):
        measure.contest(case_of(changing, checks=RESULTS), [None], repetitions=1, pause=0)


def test_small_differences_are_rounding():
    values = np.linspace(1, 2, 50)
    pair = contender("a", values), contender("b", values * (1 + 1e-6))
    result = measure.contest(case_of(*pair, checks=(*LOSSES, *RESULTS)), [None], repetitions=1, pause=0)
    assert [a.what for a in result.agreements] == ["the first five losses", "the mean loss", "the results"]
    assert [a.found for a in result.agreements] == pytest.approx([1e-6] * 3, rel=1e-4)


def failing():
    raise RuntimeError("no compiler\nand much more")


FAILING = {"when it is built": failing, "when it runs": lambda: Runner(failing)}


@pytest.mark.parametrize("start", FAILING.values(), ids=FAILING)
def test_a_peer_that_fails_is_left_out_and_said_so(start):
    peer = Contender("PyTorch", "compiled", Idiom.CALL, start)
    result = measure.contest(case_of(contender(OURS, [1.0]), peer), [None], repetitions=1, pause=0)
    assert result.left_out == ("PyTorch, compiled: RuntimeError: no compiler",)
    assert [t.who for t in result.timings] == [OURS]


@pytest.mark.parametrize("start", FAILING.values(), ids=FAILING)
def test_symgrad_may_not_fail(start):
    with pytest.raises(RuntimeError, match="no compiler"):
        measure.contest(case_of(Contender(OURS, "somehow", Idiom.CALL, start)), [None], repetitions=1, pause=0)


def test_repeated_calls_are_timed_by_the_call():
    calls = []
    sample = repeated("a", "b", 4, lambda: Call(lambda: calls.append(1), lambda: np.arange(25_000))).start().run()
    assert len(calls) == 4
    assert 0 < sample.seconds < 1
    np.testing.assert_array_equal(sample.values, np.arange(0, 25_000, 2))


def test_peers_are_imported_only_where_they_are_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace() if name == "numpy" else None)
    assert peers.installed() == [by_hand]
    assert peers.missing() == ["torch", "jax"]
    assert list(peers.versions()) == ["symgrad", "llvmlite", "numpy"]


def test_bandwidth_is_measured():
    for measured in (bandwidth.copy_bandwidth(5000, 2), bandwidth.triad_bandwidth(5000, 2)):
        assert 1e6 < measured < 1e13


# -- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system does not tell")
def test_memory_is_that_of_one_contender_alone():
    """The product of the largest matrices has 16.8 MB of results; its operands are there before it begins."""
    (number,) = (k for k, shape in enumerate(arrays.PRODUCTS) if shape[1:4] == (2048, 2048, 2048))
    held = np.ones(50_000_000)  # 400 MB in the process that asks
    seen = memory._asked("gemm", number, "benchmarks.by_hand", "np.matmul, out=", True)
    results, process = 4 * 2048**2, 300e6
    assert held.nbytes > process
    assert results <= seen.work < 3 * results
    assert 2 * results < seen.before < seen.peak < process
    assert not seen.plan


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system does not tell")
def test_the_case_with_the_most_work_is_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "_asked", lambda *what: asked.append(what) or Memory(1, 3))
    case = case_of(contender(OURS, [1.0]), contender("NumPy", [1.0]), contender("JAX", [1.0]))
    timings = tuple(Timing(who, "somehow", Idiom.CALL, (1.0,)) for who in (OURS, "JAX"))  # NumPy was left out
    timed = RungResult("gemm", "", tuple(CaseResult("", Unit.STEPS, work, 0, timings) for work in (5, 9, 2)))
    seen = memory.with_memory(timed, Rung("gemm", "", (case,) * 3), [ours], True)
    assert [[t.memory for t in case.timings] for case in seen.cases] == [[None] * 2, [Memory(1, 3)] * 2, [None] * 2]
    assert asked == [("gemm", 1, "benchmarks.ours", "somehow", True)] * 2


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system does not tell")
def test_a_process_that_fails_is_told_of():
    with pytest.raises(memory.ProcessError, match="No module named 'benchmarks.with_fortran'"):
        memory._asked("gemm", 0, "benchmarks.with_fortran", "somehow", True)


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system does not tell")
def test_a_peer_without_memory_keeps_its_time(monkeypatch):
    def asked(rung, case, module, how, quick):
        raise memory.ProcessError("killed")

    monkeypatch.setattr(memory, "_asked", asked)
    peer = Timing("NumPy", "somehow", Idiom.CALL, (1.0,))
    timed = RungResult("gemm", "", (CaseResult("", Unit.STEPS, 1, 0, (peer,)),))
    (seen,) = memory.with_memory(timed, Rung("gemm", "", (case_of(contender("NumPy", [1.0])),)), [by_hand], True).cases
    assert seen.timings == (peer,)
    assert seen.left_out == ("the memory of NumPy, somehow: killed",)
    ours_too = replace(timed, cases=(CaseResult("", Unit.STEPS, 1, 0, (replace(peer, who=OURS),)),))
    with pytest.raises(memory.ProcessError):
        memory.with_memory(ours_too, Rung("gemm", "", (case_of(contender(OURS, [1.0])),)), [ours], True)


@pytest.mark.skipif(not memory.STATUS.exists(), reason="this system does not tell")
def test_a_peak_is_found_after_it_has_passed():
    before = memory.peak_resident()
    np.ones(before // 8 + 10_000_000).sum()
    assert memory.peak_resident() > before + 70_000_000


def test_symgrad_tells_what_it_plans():
    problem = small("adam", sizes=(5, 7, 3))
    native, called = ours.train(problem, problem.draw())
    plan = called.start().plan()
    assert plan["inputs"] == 4 * 50 * (5 + 3) + 8 * 8  # both columns, positions
    assert plan["parameters"] >= 4 * 3 * (5 * 7 + 7 + 7 * 3 + 3)  # weights and two slots
    assert plan["outputs"] == 4
    assert plan["arena"] > 0
    assert not native.start().plan()


# -- the command ---------------------------------------------------------------------------------------------------


def test_a_session_writes_its_reports(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda: [by_hand])
    session.main(["tiny", "--quick", "--repetitions=1", f"--to={tmp_path}"])
    printed = capsys.readouterr().out
    for text in ("# Benchmark", "## tiny", "symgrad, native loop", "NumPy, by hand", "plans inputs", "Afterwards:"):
        assert text in printed
    written = (tmp_path / "benchmark.md").read_text()
    assert written == printed[: printed.index("Written: ")]
    (tiny,) = json.loads((tmp_path / "benchmark.json").read_text())["rungs"]
    for timing in tiny["cases"][0]["timings"]:
        assert not memory.STATUS.exists() or 1e6 < timing["memory"]["before"] <= timing["memory"]["peak"] < 1e10
    assert (tmp_path / "benchmark.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("given", "complaint"), [(["gem"], "no rung 'gem'"), (["--repetitions=0"], "repetitions are 1 or more")]
)
def test_a_command_that_cannot_be_meant(given, complaint, capsys):
    with pytest.raises(SystemExit):
        session.arguments(given)
    assert complaint in capsys.readouterr().err
