"""The native minibatch loop: how often it comes back to Python, and what every step has computed by then."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import symgrad as sg
from symgrad.train import loop
from symgrad.train.loop import BatchProgram
from symgrad.train.rows import as_rows

N = sg.dim("N")


@pytest.fixture
def program():
    """Add up the rows of each batch, and count the steps in a parameter."""
    x, steps = sg.symbol("x", (N, 3)), sg.parameter("steps", (), init="zeros")
    rows = as_rows("x", np.arange(300, dtype=np.float32).reshape(100, 3))
    made = BatchProgram([(x, rows)], [x.sum(), x[:, 0]], {steps: steps + 1}, "N", sg.Options())
    return SimpleNamespace(run=made.run, rows=[rows], steps=steps, out=made.allocate(100, 8))


def slices(program, monkeypatch, seconds_a_slice):
    """Run 100 samples in batches of 8 by a clock on which every slice takes so long; list where Python looked."""
    ticks = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(ticks) * seconds_a_slice))
    return list(program.run(program.rows, np.arange(100), 8, program.out))


@pytest.mark.parametrize(
    ("seconds", "seen"),
    [
        (loop.SLICE * 2, list(range(1, 14))),  # slow steps: after each
        (loop.SLICE, list(range(1, 14))),
        (loop.SLICE / 2, [1, 3, 7, 12, 13]),  # twice as many the next time; the short batch comes by itself
        (loop.SLICE / 100, [1, 12, 13]),
        (0.0, [1, 12, 13]),
    ],
)
def test_slices_are_as_long_as_a_look_at_the_clock_is_worth(program, monkeypatch, seconds, seen):
    assert slices(program, monkeypatch, seconds) == seen
    assert program.steps.value == 13
    total, first = program.out
    np.testing.assert_array_equal(total, [np.arange(24 * k, min(24 * k + 24, 300)).sum() for k in range(13)])
    np.testing.assert_array_equal(first, np.arange(0, 300, 3))


def test_what_is_seen_is_done(program, monkeypatch):
    monkeypatch.setattr(loop, "SLICE", 0.0)
    for done in program.run(program.rows, np.arange(100)[::-1].copy(), 8, program.out):
        assert program.steps.value == done
