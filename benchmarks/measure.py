"""Measuring: all contenders of a case in turn, in one process, and whether they agree.

In: rungs, the modules of frameworks, a number of repetitions. Out: plain data: every time of everyone. The first round
compiles and wakes everybody up; it is not counted. In each round another one begins, and every other round goes
backward, so that nobody always runs after the same one. Before every run there is a pause, in which threads that
another library left spinning go to sleep. All values of all rounds are compared; a difference above its bound stops
the measurement.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from benchmarks.contest import OURS, Case, Contender, Idiom, Plan, Rung, Runner, Sample, Unit

PAUSE = 0.3  # seconds


class DisagreementError(Exception):
    """Two contenders do not compute the same."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process in which one contender works alone.

    `before` is what the library, loaded, and the arrays that everyone shares take; `peak` is the most until the end of
    the first run; `plan` is what the framework itself says that a step needs.
    """

    before: int
    peak: int
    plan: Plan = field(default_factory=dict)

    @property
    def work(self) -> int:
        """Give what building, compiling and one run take at most."""
        return self.peak - self.before


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds of a step of one contender, in every round that counts, and its memory where that was looked at."""

    who: str
    how: str
    idiom: Idiom
    seconds: tuple[float, ...]
    memory: Memory | None = None

    @property
    def median(self) -> float:
        """Give the median."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Give how far the slowest round is from the fastest, as a part of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def label(self) -> str:
        """Name the contender."""
        return f"{self.who}, {self.how}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest difference that was found in one view of the values, and the largest that is allowed."""

    what: str
    found: float
    bound: float


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What was measured of a case; `left_out` says who could not take part, and why."""

    title: str
    unit: Unit
    work: float
    threads: int
    timings: tuple[Timing, ...]
    agreements: tuple[Agreement, ...] = ()
    left_out: tuple[str, ...] = ()

    def best(self, ours: bool, idiom: Idiom | None = None) -> Timing | None:
        """Give the fastest of symgrad's, or of the peers', in one idiom or in any."""
        found = [t for t in self.timings if (t.who == OURS) == ours and idiom in (None, t.idiom)]
        return min(found, key=lambda t: t.median, default=None)


@dataclass(frozen=True, slots=True)
class RungResult:
    """What was measured of a rung."""

    name: str
    subject: str
    cases: tuple[CaseResult, ...]


def measure(rung: Rung, modules: Sequence[ModuleType], repetitions: int, pause: float = PAUSE) -> RungResult:
    """Measure all cases of a rung; DisagreementError where values differ."""
    return RungResult(rung.name, rung.subject, tuple(contest(c, modules, repetitions, pause) for c in rung.cases))


def contest(case: Case, modules: Sequence[ModuleType], repetitions: int, pause: float = PAUSE) -> CaseResult:
    """Run everybody in turn; DisagreementError where values differ.

    A peer that fails in the first round is left out, with the reason; symgrad may not fail.
    """
    entered = [contender for module in modules for contender in case.enter(module)]
    present: list[Contender] = []
    runners: list[Runner] = []
    left_out, first = [], []
    for contender in entered:
        started = _first_run(contender, pause)
        if isinstance(started, str):
            left_out.append(f"{contender.label}: {started}")
            continue
        present.append(contender)
        runners.append(started[0])
        first.append(started[1])
    compared = [agree(case, present, first)]
    seconds: list[list[float]] = [[] for _ in present]
    for k in interleaved(len(present), repetitions):
        sample = _rested(runners[k].run, pause)
        compared.append(agree(case, [present[0], present[k]], [first[0], sample]))
        seconds[k].append(sample.seconds)
    timings = tuple(Timing(c.who, c.how, c.idiom, tuple(s)) for c, s in zip(present, seconds, strict=True))
    largest = (max(each) for each in zip(*compared, strict=True))
    agreements = tuple(Agreement(c.what, found, c.bound) for c, found in zip(case.checks, largest, strict=True))
    return CaseResult(case.title, case.unit, case.work, case.threads, timings, agreements, tuple(left_out))


def interleaved(contenders: int, repetitions: int) -> Iterator[int]:
    """Give the order of runs: everybody once in each round, each round begun by the next, every other one backward.

    >>> list(interleaved(3, 3))
    [0, 1, 2, 1, 0, 2, 2, 0, 1]
    """
    for first in range(repetitions):
        way = -1 if first % 2 else 1
        yield from ((first + way * k) % contenders for k in range(contenders))


def agree(case: Case, contenders: Sequence[Contender], samples: Sequence[Sample]) -> list[float]:
    """Compare everybody's values with the first one's; give the largest difference for each check of the case."""
    largest = [0.0] * len(case.checks)
    for contender, sample in zip(contenders, samples, strict=True):
        for k, check in enumerate(case.checks):
            expected, found = check.of(samples[0].values), check.of(sample.values)
            difference = _difference(expected, found)
            if not difference <= check.bound:
                raise DisagreementError(
                    f"{case.title}: {contenders[0].label} and {contender.label} differ in {check.what} by "
                    f"{difference:.1e}, above {check.bound:.0e}: {expected[:3]} and {found[:3]}"
                )
            largest[k] = max(largest[k], difference)
    return largest


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Give the largest difference, relative to the largest magnitude; NaN where something is not finite."""
    if expected.shape != found.shape:
        return float("nan")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float64).tiny))


def _first_run(contender: Contender, pause: float) -> tuple[Runner, Sample] | str:
    """Start, and run for the first time; give the reason where a peer cannot."""
    try:
        runner = contender.start()
        return runner, _rested(runner.run, pause)
    except Exception as error:  # whatever another library raises: a missing compiler, an operator not supported
        if contender.who == OURS:
            raise
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _rested(run: Callable[[], Sample], pause: float) -> Sample:
    time.sleep(pause)
    gc.collect()
    gc.disable()
    try:
        return run()
    finally:
        gc.enable()
