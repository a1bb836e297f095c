"""What the benchmark reports: tables, a chart, data, and which goals were reached."""

import doctest
import json

import pytest

from benchmarks import arrays, goals, report
from benchmarks.chart import bar_chart
from benchmarks.contest import OURS, Idiom, Unit
from benchmarks.measure import Agreement, CaseResult, Memory, RungResult, Timing
from benchmarks.report import as_json, comparisons, markdown
from benchmarks.rungs import RUNGS
from benchmarks.surroundings import Afterwards, Limits, Surroundings

WHERE = Surroundings(
    date="2026-01-02 03:04 UTC", processor="Some Processor", row="avx512", processors=4, load=(0.5, 0.25, 0.0),
    system="Linux 6", python="3.11.9", versions={"symgrad": "0.1.0", "numpy": "2.0.0"}, missing=("jax",),
)  # fmt: skip
LIMITS = Limits(threads=2, peak=200e9, peak_alone=100e9, copy=20e9, triad=24e9)
STEP = CaseResult(
    "a step", Unit.FLOPS, 1e6, 0,
    (
        Timing(OURS, "native loop", Idiom.MANY, (10e-6, 8e-6, 30e-6), Memory(90_000_000, 110_000_000)),
        Timing(OURS, "a call a step", Idiom.CALL, (12e-6,), Memory(90_000_000, 90_500_000, {"inputs": 0, "arena": 99})),
        Timing("NumPy", "by hand", Idiom.CALL, (100e-6,)),
        Timing("JAX", "lax.scan", Idiom.MANY, (25e-6,)),
    ),
    (Agreement("the first five losses", 2e-7, 1e-3), Agreement("the mean loss", 4e-5, 1e-2)),
    ("PyTorch, compiled: RuntimeError: no <compiler>",),
)  # fmt: skip
SWEEP = CaseResult(
    "1,000 rows", Unit.BYTES, 16e6, 0,
    (Timing(OURS, "out=", Idiom.CALL, (1e-3,)), Timing("NumPy", "out=", Idiom.CALL, (0.5e-3,))),
)  # fmt: skip
ALONE = CaseResult("a step", Unit.STEPS, 1, 0, (Timing(OURS, "native loop", Idiom.MANY, (2e-3,)),), STEP.agreements)
AFTER = Afterwards((1.0, 0.5, 0.25), Limits(threads=2, peak=198e9, peak_alone=99e9, copy=19e9, triad=23e9))
MEASURED = [
    RungResult("tiny", "a network", (STEP,)),
    RungResult("sweep", "an array", (SWEEP,)),
    RungResult("alone", "nobody else can", (ALONE,)),
]


def test_markdown(golden):
    golden("benchmark.md", markdown(WHERE, LIMITS, MEASURED, AFTER))


def test_chart(golden):
    golden("benchmark.svg", bar_chart(MEASURED))


def test_a_chart_of_nothing_is_a_chart():
    assert bar_chart([]).count("<rect") == 1


def test_json_has_every_time():
    data = json.loads(as_json(WHERE, LIMITS, MEASURED, AFTER))
    assert data["surroundings"]["load"] == [0.5, 0.25, 0.0]
    assert data["limits"]["peak"] == 200e9
    timings = data["rungs"][0]["cases"][0]["timings"]
    assert timings[0] == {
        "who": OURS, "how": "native loop", "idiom": "many steps a call", "seconds": [10e-6, 8e-6, 30e-6],
        "memory": {"before": 90_000_000, "peak": 110_000_000, "plan": {}},
    }  # fmt: skip
    assert timings[2]["memory"] is None
    assert data["afterwards"]["load"] == [1.0, 0.5, 0.25]


def case_result(ours, peer=None, title="a step", unit=Unit.FLOPS, threads=0):
    """Give a case of 100 GFLOP or GB, symgrad's native loop and a peer's call taking so many seconds."""
    timings = [Timing(OURS, "native loop", Idiom.MANY, (ours,))]
    if peer is not None:
        timings.append(Timing("NumPy", "by hand", Idiom.CALL, (peer,)))
    return CaseResult(title, unit, 100e9, threads, tuple(timings))


def test_goals_are_reached_or_missed():
    """The peak is 200 GFLOP/s, 100 on one thread, a copy moves 20 GB/s."""
    measured = [
        RungResult("tiny", "", (case_result(1.0, 7.5),)),
        RungResult("mlp", "", (case_result(0.55),)),
        RungResult("pinn", "", (case_result(1.0, 3.0, unit=Unit.STEPS),)),
        RungResult("softmax", "", (
            case_result(5.0, 20.0, "9 rows of 10", Unit.BYTES), case_result(10.0, 1.0, "9 rows of 1,000", Unit.BYTES),
        )),
        RungResult("gemm", "", (
            case_result(9.0, 18.0, "A B, 64 x 64 x 64"),
            case_result(0.5, 0.6, "A B, 2048 x 2048 x 2048"),
            case_result(0.6, 0.5, "A' B, 512 x 512 x 512"),
            case_result(1.25, 2.0, "A B, 101 x 101 x 101", threads=1),
            case_result(9.0, 9.0, "A B, 64 of 128 x 128 x 128"),
        )),
    ]  # fmt: skip
    assert list(goals.verdicts(measured, LIMITS)) == [
        "MISSED: tiny, to the best peer's calls: 7.50, at least 8 asked",
        "reached: mlp, of the limit: 0.91, at least 0.88 asked",
        "reached: pinn, to the best peer: 3.00, at least 3 asked",
        "reached: softmax, to the best peer: 4.00, at least 3 asked",
        "MISSED: softmax, of the limit: 0.50, at least 0.85 asked",
        "MISSED: gemm, of the limit: 0.83, at least 0.9 asked (A' B, 512 x 512 x 512, the worst of 2)",
        "reached: gemm, of the limit: 0.80, at least 0.75 asked",
        "MISSED: gemm, to the best peer: 0.83, at least 1 asked (A' B, 512 x 512 x 512, the worst of 5)",
    ]


def test_every_goal_is_about_a_rung():
    assert {goal.rung for goal in goals.GOALS} == set(RUNGS)
    titles = [case.title for case in arrays.gemm(True).cases]
    by_kind = {kind: [t for t in titles if kind(t)] for kind in (goals._is_even, goals._is_odd)}
    assert [len(found) for found in by_kind.values()] == [8, 8]


def test_idioms_are_compared():
    assert list(comparisons(STEP)) == [
        "a step: symgrad, native loop is 10.00 times as fast as NumPy, by hand (a call a step).",
        "a step: symgrad, native loop is 2.50 times as fast as JAX, lax.scan (many steps a call).",
        "a step: symgrad, a call a step is 8.33 times as fast as NumPy, by hand (a call a step).",
    ]
    assert not [*comparisons(SWEEP), *comparisons(ALONE)]


@pytest.mark.parametrize("module", [goals, report])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
