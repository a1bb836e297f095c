"""The thread team: one per process, Python threads that work inside the native driver.

In: a `Table` and the number of threads it may use. Out: the status words of the run. The team's threads wait inside
`serve` with Python's lock released; they spin for a moment, then return to Python and sleep until a run needs them. A
run starts with the threads that come in time (see `codegen.driver`), and a run that finds the team busy goes alone on
its own thread. How many take part never changes a bit of any result, so none of this is visible in values.

It knows no kernels. What a status code means is the caller's.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.driver import Driver, Team, driver
from codegen.memory import aligned_empty
from codegen.program import FLOPS_PER_NS, LINE, WORD, Control, Table
from codegen.walk import PATIENCE

IDLE_NS: Final = 200_000  # how long a thread spins before it sleeps: some times what waking it costs
WINDOW_NS: Final = (2_000, 300_000)  # the least and the most that a run waits for threads that are late
WINDOW_SHARE: Final = 4  # ... and no more than this part of its own estimated time
WAKE_NS: Final = 40_000  # what waking a thread takes, about; they are woken for so much estimated work

ITERATION: Final = int(Control.ITERATION)
PRESENT: Final = int(Team.PRESENT)
PLACES: Final = int(Team.PLACES)
STOP: Final = int(Team.STOP)


class Status(NamedTuple):
    """How a run ended: the status words of the guard that ended it (code 0: none did), and the outermost loop's i."""

    code: int
    position: int
    value: int
    iteration: int


FINE: Final = Status(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Private memory for the team's threads, the leader's aside."""

    memory: NDArray[np.uint8]
    stride: int
    count: int


class ThreadTeam:
    """The threads of this process that take part in runs; get it by `team`."""

    def __init__(self, native: Driver | None = None, idle_ns: int = IDLE_NS) -> None:
        self._native = native or driver()
        block = aligned_empty(Team.LENGTH * WORD, LINE).view(np.int64)
        block[:] = 0
        block[Team.YIELD] = self._native.yield_address
        self._address: int = block.ctypes.data
        self._words = block.data
        self._rate = self._pauses_per_ns()
        self._idle = int(idle_ns * self._rate)
        self._threads: list[threading.Thread] = []
        self._asleep: list[threading.Lock] = []  # of each thread that sleeps; whoever takes one out releases it
        self._birth = threading.Lock()
        self._blocks = _Blocks(aligned_empty(0), 0, 0)
        self._kept: list[_Blocks] = []  # outgrown, but tables may still point to them
        self._owed = 0.0  # estimated time of runs that did without sleeping threads

    def run(self, table: Table, threads: int) -> Status:
        """Run a table with at most so many threads, and return how it ended.

        A table serves one call at a time: the caller sees to that. Any number of threads gives the same bits.
        """
        if threads > 1 and table.parallel:
            if self._together(table, threads - 1) == 0:
                self._native.worker(table.address, 0)
        else:
            self._native.worker(table.address, 0)
        status = table.status
        if not status[0]:
            return FINE
        return Status(status[0], status[1], status[2], table.control[ITERATION])

    @property
    def size(self) -> int:
        """Return how many threads there are, the caller's included."""
        return len(self._threads) + 1

    def _together(self, table: Table, others: int) -> int:
        """Run a table with up to so many others; return how many took part, 0 if the team has another leader."""
        if len(self._threads) < others:
            others = self._grow(others)
            if not others:
                return 0
        blocks = self._blocks
        if table.lent is not blocks or blocks.count < others or blocks.stride < table.block:
            self._lend(table, others)
        estimate = table.cost / FLOPS_PER_NS or WAKE_NS  # a table without costs is worth waking threads, not a wait
        least, most = WINDOW_NS
        window = min(max(least, estimate / WINDOW_SHARE), most)
        missing = others - self._words[PRESENT]
        if missing > 0:
            self._wake(missing, estimate)
        # Whoever sleeps or is on the way needs about WAKE_NS to come: a shorter window would be waited for nothing.
        patience = window if missing > 0 and window >= WAKE_NS else 0
        rate = self._rate
        return self._native.lead(self._address, table.address, others, int(patience * rate), int(window * rate))

    def _wake(self, missing: int, estimate: float) -> None:
        """Wake sleeping threads if there is enough work, now or in a row of small runs."""
        self._owed += estimate
        if self._owed >= WAKE_NS:
            self._owed = 0.0
            self._rouse(missing)

    def _rouse(self, count: int) -> None:
        """Wake so many of the threads that sleep; the rest are on their way: to sleep, or back."""
        for _ in range(count):
            try:
                gate = self._asleep.pop()
            except IndexError:
                return
            gate.release()

    def _lend(self, table: Table, others: int) -> None:
        """Point a table to private memory for the team's threads, of which there is enough for all."""
        with self._birth:
            blocks = self._blocks
            if blocks.count < others or blocks.stride < table.block:
                # A longer stride is at least twice the old one, so that what is kept of old ones sums up to no more.
                count = max(others, blocks.count)
                stride = max(table.block, 2 * blocks.stride if blocks.stride < table.block else blocks.stride)
                self._kept.append(blocks)
                self._blocks = blocks = _Blocks(aligned_empty(count * stride, LINE), stride, count)
            table.control[Control.OTHERS] = blocks.memory.ctypes.data
            table.control[Control.STRIDE] = blocks.stride
            table.lent = blocks

    def _grow(self, others: int) -> int:
        """Start threads until there are so many; return how many there are, fewer if the system gives no more."""
        with self._birth:
            while len(self._threads) < others and not self._words[STOP]:
                thread = threading.Thread(target=self._serve, name=f"symgrad-{len(self._threads) + 1}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # a limit of the system, or the interpreter ends
                    break
                self._threads.append(thread)
        return min(others, len(self._threads))

    def _serve(self) -> None:
        """Work inside the driver and sleep, in turn; the life of a thread."""
        gate = threading.Lock()
        gate.acquire()
        while not self._native.serve(self._address, self._idle):
            self._asleep.append(gate)
            # A run or the end may have come before the gate was there to see.
            if (self._words[PLACES] > 0 or self._words[STOP]) and self._withdraw(gate):
                continue
            gate.acquire()

    def _withdraw(self, gate: threading.Lock) -> bool:
        """Take a gate out again; False if somebody else has, and releases it."""
        try:
            self._asleep.remove(gate)
        except ValueError:
            return False
        return True

    def stop(self) -> None:
        """Send all threads home and wait for them; later runs go alone."""
        with self._birth:
            self._words[STOP] = 1
            threads, self._threads = self._threads, []
        self._rouse(len(threads))
        for thread in threads:
            thread.join(timeout=1.0)

    def _pauses_per_ns(self) -> float:
        """Measure how long a wait lasts, as fast as it goes: so few that the processor is offered to no one else."""
        count = PATIENCE
        best = 1 << 62
        for _ in range(20):
            start = time.perf_counter_ns()
            self._native.spin(self._address, count)
            best = min(best, time.perf_counter_ns() - start)
        return count / max(best, 1)


_team: ThreadTeam | None = None
_making = threading.Lock()


def team() -> ThreadTeam:
    """Return the process's team; made at the first call, and again in a forked child."""
    return _team or _make()


def _make() -> ThreadTeam:
    global _team
    with _making:
        _team = _team or ThreadTeam()
        return _team


def _forget() -> None:
    """Forget the team in a forked child: its threads were not forked."""
    global _team, _making
    _team, _making = None, threading.Lock()


@atexit.register
def _stop() -> None:
    if _team is not None:
        _team.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def default_threads(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """Return how many threads a run may use: SYMGRAD_NUM_THREADS, else what the process may have of the processors.

    Raise ValueError if the variable is set to anything but a positive integer.

    >>> default_threads({"SYMGRAD_NUM_THREADS": "3"})
    3
    """
    told = environ.get("SYMGRAD_NUM_THREADS", "").strip()
    if told:
        if not told.isdecimal() or int(told) < 1:
            raise ValueError(f"SYMGRAD_NUM_THREADS must be a positive integer, not {told!r}")
        return int(told)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Rounded down: threads that wait for one another must not be stopped for having used up the quota.
    return max(1, int(min(processors, _quota(root))))


def _quota(root: Path) -> float:
    """Return how many processors the control groups of this process grant together; infinity if they say nothing."""
    granted = float("inf")
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, parse = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            base, parse = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        group = base / path.lstrip("/")
        # In a container the path may be the host's; the limits then stand at the top of what is mounted.
        for place in (group, *group.parents):
            granted = min(granted, parse(place))
            if place == base:
                break
    return granted


def _quota_v2(group: Path) -> float:
    return _ratio(*(_read(group / "cpu.max").split() or ["max", "1"])[:2])


def _quota_v1(group: Path) -> float:
    return _ratio(_read(group / "cpu.cfs_quota_us").strip() or "-1", _read(group / "cpu.cfs_period_us").strip() or "1")


def _ratio(quota: str, period: str) -> float:
    """Divide microseconds by microseconds; "max", a negative quota or no period mean no limit."""
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return float("inf")
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
