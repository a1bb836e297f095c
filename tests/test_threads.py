"""The thread team: many callers, late and sleeping threads, forks, the ends of interpreters; how many threads."""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hand_kernels import at, compiled, stir

from codegen.driver import Team, driver, text
from codegen.program import Launch, Loop, encode
from codegen.threads import FINE, PLACES, STOP, Status, ThreadTeam, default_threads, team
from codegen.walk import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
ATOMIC = re.compile(r"\b(atomic|atomicrmw|cmpxchg)\b")


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """End the process with all stacks shown if a test of waiting threads waits for ever."""
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def kernels() -> Callable[[str], int]:
    return compiled()


# --- the team ---------------------------------------------------------------------------------------------------------


class Job:
    """A program whose result any race spoils: 2 x `rounds` dependent launches."""

    def __init__(self, kernels: Callable[[str], int], n: int, rounds: int, cost: int = 0) -> None:
        self.x, y = np.arange(n), np.zeros(n, np.int64)
        self.y = y
        forth = Launch(kernels("stir"), (at(self.x), at(y)), (n,), tasks=n, cost=cost)
        back = Launch(kernels("stir"), (at(y), at(self.x)), (n,), tasks=n, cost=cost)
        self.table = encode([Loop(rounds, (forth, back))])
        self.expected = np.arange(n)
        for _ in range(2 * rounds):
            self.expected = stir(self.expected)

    def run(self, team: ThreadTeam, threads: int) -> bool:
        self.x[:] = np.arange(len(self.x))
        return team.run(self.table, threads) == FINE and np.array_equal(self.x, self.expected)


def test_many_callers_at_once(kernels: Callable[[str], int]) -> None:
    """Eight Python threads run programs at once: one has the team, the others go alone."""
    wrong: list[int] = []

    def calls(seed: int) -> None:
        job = Job(kernels, 20 + seed, 5, cost=10**7)
        wrong.extend(seed for _ in range(200) if not job.run(team(), 3))

    callers = [threading.Thread(target=calls, args=(i,)) for i in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_busy_team_is_not_waited_for(kernels: Callable[[str], int]) -> None:
    """While a run has the team and does not end, others come and go."""
    go, has_begun = np.zeros(1, np.int64), np.zeros(1, np.int64)
    long = encode([Launch(kernels("wait"), (at(go), at(has_begun)), (1,), tasks=2, cost=10**9)])
    short = Job(kernels, 10, 2, cost=10**9)
    ends: list[Status] = []
    caller = threading.Thread(target=lambda: ends.append(team().run(long, 2)))
    caller.start()
    while not has_begun[0]:
        time.sleep(0.001)
    fine = [short.run(team(), 2) for _ in range(100)]
    assert not ends
    go[0] = 1
    caller.join()
    assert all(fine)
    assert ends == [FINE]


def test_a_team_measures_without_offering_its_processor() -> None:
    """Where the processors are busy, each offer costs as long as another process runs: a team would take seconds."""
    counts: list[int] = []
    ThreadTeam(dataclasses.replace(driver(), spin=lambda _, count: counts.append(count)))
    assert counts
    assert max(counts) <= PATIENCE


def test_late_threads_are_not_waited_for(kernels: Callable[[str], int]) -> None:
    """Threads that stay in Python (here: asleep for long) are no part of the runs meanwhile."""
    real = driver()
    gate = threading.Event()

    def late(address: int, spins: int) -> int:
        gate.wait()
        return real.serve(address, spins)

    slow = ThreadTeam(dataclasses.replace(real, serve=late))
    job = Job(kernels, 50, 3, cost=10**9)
    assert all(job.run(slow, 4) for _ in range(100))  # whoever waited would wait for ever
    gate.set()
    assert all(job.run(slow, 4) for _ in range(100))
    slow.stop()
    assert slow.size == 1
    assert job.run(slow, 4)


@pytest.mark.parametrize("word", [STOP, PLACES])
def test_what_comes_before_a_thread_sleeps_wakes_it(word: int) -> None:
    """The end, or a run, may come while a thread is on its way to sleep: whoever came saw nobody to wake."""
    visits: list[int] = []

    def serve(address: int, spins: int) -> int:
        visits.append(len(visits))
        words = np.ctypeslib.as_array((ctypes.c_int64 * Team.LENGTH).from_address(address))
        words[word] = 1
        return len(visits) > 1

    fresh = ThreadTeam(dataclasses.replace(driver(), serve=serve))
    fresh._grow(1)
    (thread,) = fresh._threads
    thread.join(timeout=60)
    assert visits == [0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no usleep")
def test_a_thread_that_holds_pythons_lock_stops_no_run(kernels: Callable[[str], int]) -> None:
    """A Python thread that keeps the lock delays the team's threads; the runs meanwhile end without them."""
    fresh = ThreadTeam(idle_ns=1_000)
    job = Job(kernels, 50, 3, cost=10**9)
    over = threading.Event()

    def hold() -> None:
        while not over.is_set():
            ctypes.PyDLL(None).usleep(5_000)  # a PyDLL keeps the lock

    holder = threading.Thread(target=hold)
    holder.start()
    fine = [job.run(fresh, 3) for _ in range(15)]
    over.set()
    holder.join()
    assert all(fine)
    fresh.stop()


@pytest.mark.parametrize(("row", "cost"), [(0.0, 10**9), (0.1, 10**5), (0.1, 0)])
def test_threads_that_fall_asleep_are_woken(kernels: Callable[[str], int], row: float, cost: int) -> None:
    """After sleep, one run that is worth it gets its threads back, and so do many small ones in a row.

    `row` is how many seconds of runs follow a sleep, at least one run. Where other processes keep the cores busy a
    woken thread waits for its turn, so what counts is that it comes at all.
    """
    fresh = ThreadTeam(idle_ns=100_000)
    y = np.zeros(64, np.int64)
    table = encode([Launch(kernels("ranges"), (at(y), at(y)), (0,), tasks=64)])
    table.cost = cost
    shared = False
    deadline = time.perf_counter() + 30
    while not shared and time.perf_counter() < deadline:
        time.sleep(0.002)
        end = time.perf_counter() + row
        while True:
            fresh.run(table, 2)
            shared = len(set(y.tolist())) == 2
            if shared or time.perf_counter() >= end:
                break
    fresh.stop()
    assert shared


@pytest.mark.parametrize("idle_ns", [0, 5_000, 200_000])
def test_no_wakeup_is_lost_in_many_short_runs(kernels: Callable[[str], int], idle_ns: int) -> None:
    """Threads fall asleep and are woken all the time; every run ends, with the right result."""
    fresh = ThreadTeam(idle_ns=idle_ns)
    job = Job(kernels, 4, 1, cost=10**6)
    start = time.perf_counter()
    for i in range(7_000):
        assert job.run(fresh, 1 + i % 4)
        if i % 100 == 0:
            time.sleep(0.0003)
    assert time.perf_counter() - start < 60
    fresh.stop()


SCRIPT = """
import os, sys, threading
sys.path.insert(0, {tests!r})
import test_threads as t
from codegen import jit
from codegen.threads import team
job = t.Job(t.compiled(), 30, 4, cost=10**8)
assert job.run(team(), 3)
{body}
"""


def in_process(body: str) -> str:
    """Run a script in a process of its own, in which a job has been run; return what it printed."""
    script = SCRIPT.format(tests=str(ROOT / "tests"), body=body)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_a_team_of_its_own() -> None:
    body = """
parent = team()
child = os.fork()
if not child:
    fine = team() is not parent and team().size == 1 and all(job.run(team(), 3) for _ in range(50)) and team().size == 3
    os._exit(0 if fine else 1)
assert all(job.run(team(), 3) for _ in range(50))
print(os.waitpid(child, 0)[1])
"""
    assert in_process(body) == "0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_interpreters_end_in_peace() -> None:
    """Twenty interpreters end, with threads that spin, sleep, or work for a daemon caller; none hangs or crashes."""
    body = """
import time
ends = []
for i in range(20):
    child = os.fork()
    if not child:
        assert job.run(team(), 1 + i % 4)
        if i % 3 == 0:
            time.sleep(0.003)
        if i % 3 == 1:
            def for_ever():
                while True:
                    job.run(team(), 3)
            threading.Thread(target=for_ever, daemon=True).start()
            time.sleep(0.002)
        sys.exit(0)
    ends.append(os.waitpid(child, 0)[1])
print(ends)
"""
    assert in_process(body) == f"{[0] * 20}\n"


# --- how many threads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({}, 10**9),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 10**9),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "20000 100000"}, 1),
        ({"proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n0::/x\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
          "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 10**9),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(tmp_path: Path, files: dict[str, str], most: int) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    free = default_threads({}, tmp_path / "nothing")
    assert free >= 1
    assert default_threads({}, tmp_path) == min(most, free)


def test_the_environment_says_how_many() -> None:
    assert default_threads({"SYMGRAD_NUM_THREADS": " 5 "}) == 5
    for wrong in ("0", "-1", "two", "1.5"):
        with pytest.raises(ValueError, match="SYMGRAD_NUM_THREADS"):
            default_threads({"SYMGRAD_NUM_THREADS": wrong})


def test_the_order_of_memory_is_what_was_agreed(golden):
    """On x86 nobody notices a weaker order, elsewhere everybody does."""
    golden(
        "driver_atomics.txt", "\n".join(line.strip() for line in text("aarch64").splitlines() if ATOMIC.search(line))
    )
