"""How cost grows: sizes that are measured, bounds that are reached or missed, curves, the command."""

import doctest
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import curves, depth, growth, sweeps
from benchmarks.contest import OURS
from benchmarks.curves import Curve, Plot, curve_chart
from benchmarks.depth import Preparation
from benchmarks.growth import BatchPoint, DepthPoint, findings
from benchmarks.network import Network, Rule, batches
from benchmarks.ours import Native
from benchmarks.surroundings import Limits, Surroundings

WHERE = Surroundings(
    date="2026-01-02 03:04 UTC", processor="Some Processor", row="avx512", processors=4, load=(0.5, 0.25, 0.0),
    system="Linux 6", python="3.11.9", versions={OURS: "0.1.0"}, missing=(),
)  # fmt: skip
LIMITS = Limits(threads=2, peak=200e9, peak_alone=100e9, copy=20e9, triad=24e9)
BY_BATCH = [
    BatchPoint(8, 10**6, (10e-6, 12e-6, 90e-6)),
    BatchPoint(16, 2 * 10**6, (20e-6,)),
    BatchPoint(17, 2 * 10**6 + 125_000, (28e-6,)),
    BatchPoint(32, 4 * 10**6, (50e-6,)),
    BatchPoint(64, 8 * 10**6, (140e-6,)),
]
BY_DEPTH = [
    DepthPoint(1, 10**6, 6, gradient=2e-3, cold=0.2, cached=0.05, seconds=(9e-6,)),
    DepthPoint(1000, 10**9, 21, gradient=1.5, cold=9.0, cached=1.25, seconds=(9e-3, 11e-3, 10e-3)),
]


def test_sizes_have_neighbours_and_doubles():
    assert sweeps.BATCHES == sorted(set(sweeps.BATCHES))
    assert {2**k for k in range(14)} < set(sweeps.BATCHES)
    pairs = {b for b in sweeps.BATCHES if b >= growth.SMALLEST and b + 1 in sweeps.BATCHES}
    assert {16, 31, 32, 63, 64, 127, 128, 255, 256, 1000} <= pairs
    assert (sweeps.DEPTHS[0], sweeps.DEPTHS[-1]) == (1, growth.DEEP)


def test_a_run_is_of_one_length_about():
    assert [sweeps.steps_of(flops) for flops in (1, 10**8, 10**9, 10**12)] == [500, 29, 3, 3]


def test_bounds_are_reached_or_missed():
    found = {finding.what: str(finding) for finding in findings(BY_BATCH, BY_DEPTH)}
    assert found == {
        "t(b + 1) / t(b)": "MISSED: t(b + 1) / t(b): 1.4, at most 1.3 asked (the worst of 1, from 16 to 17)",
        "t(2 b) / t(b)": "MISSED: t(2 b) / t(b): 2.8, at most 2.6 asked (the worst of 3, from 32 to 64)",
        "seconds to derive the gradient": (
            "reached: seconds to derive the gradient: 1.5, at most 2 asked (1,000 layers)"
        ),
        "seconds to compile, nothing cached": (
            "reached: seconds to compile, nothing cached: 9, at most 10 asked (1,000 layers)"
        ),
        "seconds to compile, code in the cache": (
            "MISSED: seconds to compile, code in the cache: 1.25, at most 1 asked (1,000 layers)"
        ),
        "different kernels": "MISSED: different kernels: 21, at most 20 asked (1,000 layers)",
    }


def test_small_batches_may_take_what_they_take():
    points = [BatchPoint(1, 1, (1.0,)), BatchPoint(2, 2, (2.5,)), BatchPoint(3, 3, (9.0,))]
    assert [str(finding)[:7] for finding in findings(points, [])] == ["reached"]
    assert not [*findings(points[:1], BY_DEPTH[:1])]


def test_everything_runs_in_turn_after_a_round_that_does_not_count():
    log = []
    timed = [sweeps.Timed(lambda: log.append("reset"), lambda k=k: log.append(k), 4) for k in range(3)]
    found = sweeps.repeated_in_turn(timed, 2)
    assert log[1::2] == [0, 1, 2, 0, 1, 2, 1, 0, 2]
    assert set(log[::2]) == {"reset"}
    assert [len(seconds) for seconds in found] == [2, 2, 2]


def test_one_program_trains_with_all_batch_sizes():
    network = Network("n", (6, 5, 3), "relu", "crossentropy", Rule("rmsprop"), batch=8, samples=40, steps=3)
    task = network.draw()
    side = Native(network, task)
    draw = np.random.default_rng(1)
    for size in (1, 5, 8):
        rows = batches(draw, 40, size, 4)
        side.reset()
        losses = side.over(rows)()
        side.reset()
        alone = Native(replace(network, batch=size, steps=4), replace(task, batches=rows))
        alone.reset()
        np.testing.assert_array_equal(alone.train(), losses)
        assert len(losses) == 4


def test_what_comes_before_the_first_step():
    shallow, deep = depth.prepare(2), depth.prepare(12)
    for seconds in (shallow.gradient, shallow.compile, shallow.first_step):
        assert 0 < seconds < 60
    assert 0 < deep.kernels <= shallow.kernels + 5  # layers of one form share theirs


def test_each_process_of_a_pair_has_the_cache_of_its_pair(monkeypatch):
    asked = []

    def process(layers, cache):
        asked.append(cache)
        return Preparation(1.0, float(len(asked)), 0.0, 7)

    monkeypatch.setattr(sweeps, "_process", process)
    point = sweeps.prepared(5, 3)
    assert asked[0] == asked[1] != asked[2] == asked[3]
    assert (point.cold, point.cached, point.kernels) == (3.0, 4.0, 7)


def test_markdown(golden):
    golden("sweeps.md", growth.markdown(WHERE, LIMITS, BY_BATCH, BY_DEPTH))


def test_curves(golden):
    golden("sweeps.svg", growth.drawn(BY_BATCH, BY_DEPTH))


def test_growth_in_proportion_is_a_diagonal():
    svg = curve_chart([Plot("<t>", "n", (Curve("c", ((1, 1e-6), (10, 1e-5), (100, 1e-4))),))])
    (line,) = re.findall(r'points="([^"]*)" fill="none" stroke="#1565c0"', svg)
    places = [[float(n) for n in pair.split(",")] for pair in line.split()]
    steps = np.diff(places, axis=0)
    np.testing.assert_allclose(steps[0], steps[1], atol=0.11)
    assert steps[0][0] > 0 > steps[0][1]
    assert "&lt;t&gt;" in svg


@pytest.mark.parametrize("module", [curves])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_the_command_writes_its_reports(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweeps, "QUICK_BATCHES", (1, 16, 17))
    monkeypatch.setattr(sweeps, "QUICK_DEPTHS", (2,))
    sweeps.main(["--quick", "--repetitions=1", f"--to={tmp_path}"])
    printed = capsys.readouterr().out
    written = (tmp_path / "sweeps.md").read_text()
    assert printed.startswith(written)
    assert "t(b + 1) / t(b)" in written
    data = json.loads((tmp_path / "sweeps.json").read_text())
    assert [point["batch"] for point in data["batch"]] == [1, 16, 17]
    (deep,) = data["depth"]
    assert 0 < deep["cached"] < 60
    assert len(deep["seconds"]) == 1
    assert (tmp_path / "sweeps.svg").read_text().startswith("<svg ")
