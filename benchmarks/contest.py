"""The words of every comparison: who runs what, and what all of them must agree on.

A `Rung` is a subject with some `Case`s; for each case every framework gives its `Contender`s, which do the same work on
the same arrays. A contender is started, and then runs as often as it is asked to; a run gives a `Sample`: the seconds
of one step, and the numbers that the checks of the case compare. Nothing here knows a framework, or measures.
"""

from __future__ import annotations

import enum
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

OURS = "symgrad"
Plan = Mapping[str, int]


class Idiom(enum.Enum):
    """How often Python is entered."""

    CALL = "a call a step"
    MANY = "many steps a call"


class Unit(enum.Enum):
    """What a step is counted in, and so which limit of the machine it is held against."""

    FLOPS = "GFLOP/s"
    BYTES = "GB/s"
    STEPS = "steps/s"  # no limit of the machine says how many there could be


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One run: the seconds of a step, and its losses or results."""

    seconds: float
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Runner:
    """A contender that is ready: `run` does the work once more from the start.

    `plan` tells bytes by kind, as far as a framework knows before it runs what a step needs.
    """

    run: Callable[[], Sample]
    plan: Callable[[], Plan] = dict


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work of a case: by whom, how, and a function that gets it ready.

    Nothing is built before `start` is called, so that a process can be asked what one contender needs alone.
    """

    who: str
    how: str
    idiom: Idiom
    start: Callable[[], Runner]

    @property
    def label(self) -> str:
        """Name it in a table.

        >>> Contender("JAX", "lax.scan", Idiom.MANY, lambda: Runner(lambda: Sample(1.0, np.zeros(1)))).label
        'JAX, lax.scan'
        """
        return f"{self.who}, {self.how}"


@dataclass(frozen=True, slots=True)
class Check:
    """What the values of all contenders must have in common: a view of them, and the largest difference.

    The difference is relative to the largest magnitude of that view.
    """

    what: str
    of: Callable[[np.ndarray], np.ndarray]
    bound: float


def _first_losses(losses: np.ndarray) -> np.ndarray:
    return losses[:5]


def _mean_loss(losses: np.ndarray) -> np.ndarray:
    return np.atleast_1d(losses.mean())


def _all(values: np.ndarray) -> np.ndarray:
    return values


# Rounding differs between libraries, and training carries a difference on from step to step: the first steps show that
# the mathematics is the same, the mean that it stays so.
LOSSES = (Check("the first five losses", _first_losses, 1e-3), Check("the mean loss", _mean_loss, 1e-2))
RESULTS = (Check("the results", _all, 1e-5),)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a comparison: the work of a step, who does it, and on how many threads (0: as many as there are)."""

    title: str
    unit: Unit
    work: float  # of a step, in FLOPs, bytes or steps
    enter: Callable[[ModuleType], list[Contender]]  # draws the arrays that everyone shares
    checks: tuple[Check, ...] = LOSSES
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Rung:
    """A subject with its cases."""

    name: str
    subject: str
    cases: tuple[Case, ...]


class Trainer(ABC):
    """One side of a training, with its data, its weights and whatever it has compiled."""

    @abstractmethod
    def reset(self) -> None:
        """Begin again with the first weights; not timed."""

    @abstractmethod
    def train(self) -> Any:
        """Run all steps; give their losses, in any form that is finished."""

    def plan(self) -> Plan:
        """Tell the bytes that a step needs, by kind; nothing where the framework does not know."""
        return {}


def trained(who: str, how: str, idiom: Idiom, steps: int, make: Callable[[], Trainer]) -> Contender:
    """Make a contender of a training of so many steps."""

    def start() -> Runner:
        side = make()

        def run() -> Sample:
            side.reset()
            begun = time.perf_counter()
            losses = side.train()
            spent = time.perf_counter() - begun
            return Sample(spent / steps, np.array([float(loss) for loss in losses]))

        return Runner(run, side.plan)

    return Contender(who, how, idiom, start)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that can be made again and again; `result` then gives what it has computed."""

    step: Callable[[], Any]
    result: Callable[[], np.ndarray]
    plan: Callable[[], Plan] = dict


def repeated(who: str, how: str, times: int, make: Callable[[], Call]) -> Contender:
    """Make a contender of a call that is made so many times."""

    def start() -> Runner:
        call = make()

        def run() -> Sample:
            begun = time.perf_counter()
            for _ in range(times):
                call.step()
            spent = time.perf_counter() - begun
            return Sample(spent / times, thinned(call.result()))

        return Runner(run, call.plan)

    return Contender(who, how, Idiom.CALL, start)


def thinned(values: np.ndarray) -> np.ndarray:
    """Keep some 10,000 of the values, evenly spread, for a comparison.

    >>> thinned(np.arange(30_000)).shape
    (10000,)
    """
    flat = np.asarray(values).reshape(-1)
    return flat[:: max(1, len(flat) // 10_000)].astype(np.float64)
