"""The run-time of compiled programs: the launch table, the native driver and the thread team.

The kernels here are written by hand in LLVM IR, so a failure is the run-time's, not a compiler's.
"""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from codegen import jit
from codegen.driver import driver, text
from codegen.machine import MACHINES, host
from codegen.program import MAX_DEPTH, STATUS, Arg, Launch, Loop, Table, encode, epochs, launches
from codegen.threads import FINE, Status, ThreadTeam, default_threads, team

ROOT = Path(__file__).resolve().parents[1]
THREADS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """End the process with all stacks shown if a test of waiting threads waits for ever."""
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# --- the table --------------------------------------------------------------------------------------------------------


def shown(table: Table) -> str:
    """Show which launches have a barrier before them, and which only the first thread runs."""
    marks = [("|" * x.barrier, "s" if x.threads == 1 else "M", "!" * x.guard) for x in launches(table)]
    return " ".join(map("".join, marks))


S, M = Launch(1, (), tasks=1), Launch(1, (), tasks=8)
S_FREE, M_FREE = dataclasses.replace(S, barrier=False), dataclasses.replace(M, barrier=False)
S_GUARD = dataclasses.replace(S, guard=True)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([S, S, S], "s s s"),
        ([M, M], "M |M"),
        ([S, M, S, S, M], "s |M |s s |M"),
        ([S, S, M_FREE], "s s |M"),  # the barrier left out between the first two is made up for
        ([M, S_FREE, S], "M s |s"),  # the third waits for what other threads do in the first
        ([M, S, S_FREE, M_FREE, M_FREE], "M |s s M M"),
        ([S, S_GUARD, M], "s s! M"),  # a guard is a barrier
        ([Loop(3, (S, S)), S], "s s s"),
        ([Loop(3, (M,)), S], "|M |s"),
        ([S, Loop(3, (S_FREE, M)), M_FREE], "s |s |M M"),
        ([Loop(3, (Loop(2, (S_FREE,)), M_FREE))], "|s |M"),
        ([M, Loop(0, (S,)), S_FREE], "M |s s"),
    ],
)
def test_barriers_that_order_nothing_are_left_out(records: list[Launch | Loop], expected: str) -> None:
    # The inner loop's single launch may follow the shared one of the iteration before: it keeps its barrier.
    assert shown(encode(records)) == expected


def test_epochs_count_every_barrier_asked_for() -> None:
    assert epochs([S_FREE, S, M_FREE, S_GUARD, M_FREE, M_FREE]) == (0, 1, 1, 2, 3, 3)
    assert epochs([M_FREE, Loop(9, (M_FREE, Loop(2, (S_FREE, M)), M_FREE)), M_FREE, M]) == (0, 1, 2, 3, 3, 3, 4)


@pytest.mark.parametrize(
    ("tasks", "threads", "cost", "width"),
    [(1, 0, 10**9, 1), (8, 0, 0, 0), (8, 1, 10**9, 1), (8, 0, 150_000, 1), (8, 0, 350_000, 3), (8, 0, 10**9, 0),
     (8, 2, 350_000, 2), (8, 2, 10**9, 2)],
)  # fmt: skip
def test_small_work_gets_few_threads(tasks: int, threads: int, cost: int, width: int) -> None:
    launch = Launch(1, (), tasks=tasks, threads=threads, cost=cost)
    table = encode([launch])
    assert next(launches(table)).threads == width
    assert table.parallel == (width != 1)


def test_slots_are_patched_with_their_offsets() -> None:
    rows = [Launch(1, (Arg(8 * i, 4, slot=0), Arg(77), Arg(16, slot=1)), dims=(i,)) for i in range(30)]
    table = encode([Loop(5, tuple(rows)), rows[0]])
    table.patch(0, 1 << 40)
    table.patch(1, 1 << 41)
    table.patch(5, 1)  # a slot that no launch uses
    twin = table.copy()
    twin.patch(1, 0)
    assert [x.args[0].base for x in launches(table)] == [(1 << 40) + 8 * i for i in [*range(30), 0]]
    assert {x.args[1] for x in launches(table)} == {Arg(77, 0)}
    assert {x.args[2].base for x in launches(table)} == {(1 << 41) + 16}
    assert {x.args[2].base for x in launches(twin)} == {16}
    assert [x.dims for x in launches(twin)] == [(i,) for i in [*range(30), 0]]


def test_cost_of_a_table() -> None:
    work = dataclasses.replace(M, cost=10)
    table = encode([work, Loop(7, (work, Loop(2, (work,))), slot=3)])
    assert table.cost == 10 + 7 * 30
    table.patch_loop(3, 100, 2)
    assert table.cost == 10 + 2 * 30


def test_encode_refuses() -> None:
    body: tuple[Launch | Loop, ...] = (S,)
    for _ in range(MAX_DEPTH + 1):
        body = (Loop(1, body),)
    with pytest.raises(ValueError, match="deep"):
        encode(body)
    with pytest.raises(ValueError, match="outermost"):
        encode([Loop(1, (Loop(1, (S,), slot=0),))])


# --- kernels by hand --------------------------------------------------------------------------------------------------

HEAD = """
define void @NAME(ptr %args, ptr %dims, i64 %lo, i64 %hi, ptr %scratch) {
  %n = load i64, ptr %dims
  %x = load ptr, ptr %args
  %y_at = getelementptr ptr, ptr %args, i64 1
  %y = load ptr, ptr %y_at
  br label %loop
loop:
  %t = phi i64 [ %lo, %0 ], [ %t1, %next ]
  %x_t = getelementptr i64, ptr %x, i64 %t
  %y_t = getelementptr i64, ptr %y, i64 %t
BODY
  br label %next
next:
  %t1 = add i64 %t, 1
  %more = icmp slt i64 %t1, %hi
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""
BODIES = {
    # y[t] = the range this thread was given, in 32 bits each
    "ranges": "%low = shl i64 %lo, 32\n %both = or i64 %low, %hi\n store i64 %both, ptr %y_t",
    # y[t] = 3 x[t] + x[(t + 1) mod n] + 1: reads what another thread has written
    "stir": """%a = load i64, ptr %x_t
  %right = add i64 %t, 1
  %wrapped = urem i64 %right, %n
  %b_at = getelementptr i64, ptr %x, i64 %wrapped
  %b = load i64, ptr %b_at
  %a3 = mul i64 %a, 3
  %ab = add i64 %a3, %b
  %ab1 = add i64 %ab, 1
  store i64 %ab1, ptr %y_t""",
    # y[0] = x[0]
    "copy": "%a = load i64, ptr %x\n store i64 %a, ptr %y",
    # y[0] += x[0] (one thread)
    "add": "%a = load i64, ptr %x\n %b = load i64, ptr %y\n %c = add i64 %a, %b\n store i64 %c, ptr %y",
    # y[0], y[1], y[2] = 7, t, x[t] where x[t] >= n
    "check": """%a = load i64, ptr %x_t
  %bad = icmp sge i64 %a, %n
  br i1 %bad, label %report, label %next
report:
  store i64 7, ptr %y
  %y1 = getelementptr i64, ptr %y, i64 1
  store i64 %t, ptr %y1
  %y2 = getelementptr i64, ptr %y, i64 2
  store i64 %a, ptr %y2""",
    # scratch[0..n) = x[t], then y[t] = their sum: wrong if two threads share their scratch
    "sum": """%a = load i64, ptr %x_t
  br label %fill
fill:
  %i = phi i64 [ 0, %loop ], [ %i1, %fill ]
  %s_i = getelementptr i64, ptr %scratch, i64 %i
  store volatile i64 %a, ptr %s_i
  %i1 = add i64 %i, 1
  %f = icmp slt i64 %i1, %n
  br i1 %f, label %fill, label %read
read:
  %j = phi i64 [ 0, %fill ], [ %j1, %read ]
  %s = phi i64 [ 0, %fill ], [ %s1, %read ]
  %s_j = getelementptr i64, ptr %scratch, i64 %j
  %v = load volatile i64, ptr %s_j
  %s1 = add i64 %s, %v
  %j1 = add i64 %j, 1
  %r = icmp slt i64 %j1, %n
  br i1 %r, label %read, label %done
done:
  store i64 %s1, ptr %y_t""",
    "nothing": "",
}


@functools.cache
def compiled() -> Callable[[str], int]:
    source = "".join(HEAD.replace("NAME", name).replace("BODY", body) for name, body in BODIES.items())
    return jit.link(dict.fromkeys(BODIES, jit.compile_ir(source, host()))).address


@pytest.fixture
def kernels() -> Callable[[str], int]:
    return compiled()


def at(array: np.ndarray, stride: int = 0) -> Arg:
    return Arg(array.ctypes.data, stride)


def stir(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 3 * x + np.roll(x, -1) + 1


# --- the driver -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("tasks", [0, 1, 2, 7, 64])
def test_tasks_are_split_among_those_who_take_part(kernels: Callable[[str], int], tasks: int, threads: int) -> None:
    y = np.full(max(tasks, 1), -1, np.int64)
    table = encode([Launch(kernels("ranges"), (at(y), at(y)), (0,), tasks=tasks)])
    assert team().run(table, threads) == FINE
    ranges = sorted({(int(v) >> 32, int(v) & 0xFFFFFFFF) for v in y if tasks})
    assert len(ranges) <= threads
    assert [lo for lo, _ in ranges] == [0, *(hi for _, hi in ranges)][: len(ranges)]
    assert not ranges or ranges[-1][1] == tasks
    sizes = [hi - lo for lo, hi in ranges]
    assert not sizes or max(sizes) - min(sizes) <= 1 or tasks < threads


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_dependent_launches_in_a_loop(kernels: Callable[[str], int], n: int, threads: int) -> None:
    x, y = np.arange(n), np.zeros(n, np.int64)
    expected = x.copy()
    for _ in range(300):
        expected = stir(stir(expected))
    forth = Launch(kernels("stir"), (at(x), at(y)), (n,), tasks=n)
    back = Launch(kernels("stir"), (at(y), at(x)), (n,), tasks=n)
    assert team().run(encode([Loop(300, (forth, back))]), threads) == FINE
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("threads", THREADS)
def test_strides_count_the_innermost_loop(kernels: Callable[[str], int], threads: int) -> None:
    x, y, total = np.arange(60), np.zeros(60, np.int64), np.zeros(2, np.int64)
    copy, add = kernels("copy"), kernels("add")
    inner = Loop(5, (Launch(copy, (at(x[10:], 16), at(y, 8)), (0,)), Launch(add, (at(y, 8), at(total)), (0,))))
    outer = Loop(4, (inner, Launch(add, (at(x, 8), at(total[1:])), (0,))), first=2)
    assert team().run(encode([outer, Loop(0, (Launch(0, ()),))]), threads) == FINE
    assert y[:5].tolist() == [10, 12, 14, 16, 18]
    assert total.tolist() == [4 * sum(range(10, 20, 2)), 2 + 3 + 4 + 5]


def test_a_loop_is_given_another_range(kernels: Callable[[str], int]) -> None:
    x, y = np.arange(100), np.zeros(1, np.int64)
    table = encode([Loop(1, (Launch(kernels("add"), (at(x, 8), at(y)), (0,)),), slot=0)])
    for first, count in [(0, 3), (40, 0), (50, 2)]:
        table.patch_loop(0, first, count)
        assert team().run(table, 2) == FINE
    assert y[0] == 0 + 1 + 2 + 50 + 51


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("tasks", [1, 10])
def test_a_guard_ends_the_run_for_all(kernels: Callable[[str], int], tasks: int, threads: int) -> None:
    labels, count, after = np.full(10 * tasks, 4), np.zeros(1, np.int64), np.zeros(10 * tasks, np.int64)
    one = np.ones(1, np.int64)
    body = (
        Launch(kernels("check"), (at(labels, 8 * tasks), Arg(0, slot=STATUS)), (5,), tasks=tasks, guard=True),
        Launch(kernels("stir"), (at(after), at(labels)), (5,), tasks=0),
        Launch(kernels("add"), (at(one), at(count)), (0,)),
        Launch(kernels("copy"), (at(labels, 8 * tasks), at(after, 8 * tasks)), (0,), tasks=1, barrier=False),
    )
    table = encode([Loop(10, body)])
    for _ in range(30):
        count[:] = 0
        labels[6 * tasks + tasks // 2] = 9
        assert team().run(table, threads) == Status(7, tasks // 2, 9, 6)
        assert count[0] == 6
        labels[:] = 4
        assert team().run(table, threads) == FINE
        assert count[0] == 16


@pytest.mark.parametrize("threads", THREADS)
def test_scratch_is_private(kernels: Callable[[str], int], threads: int) -> None:
    x, y = np.arange(40), np.zeros(40, np.int64)
    for n in (10, 5_000, 300):  # the team's memory grows
        table = encode([Loop(2, (Launch(kernels("sum"), (at(x), at(y)), (n,), tasks=40),))], scratch=8 * n)
        assert team().run(table, threads) == FINE
        assert np.array_equal(y, n * x)


@pytest.mark.parametrize("name", MACHINES)
def test_the_driver_assembles_for_every_machine(name: str) -> None:
    assert len(jit.compile_ir(text(MACHINES[name].arch), MACHINES[name])) > 500


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
    """While a long run has the team, a short one comes and goes."""
    long = Job(kernels, 1000, 5_000, cost=10**9)
    short = Job(kernels, 10, 2)
    caller = threading.Thread(target=long.run, args=(team(), 2))
    caller.start()
    done = 0
    while caller.is_alive():
        assert short.run(team(), 2)
        done += 1
    assert done > 10


def test_late_threads_are_not_waited_for(kernels: Callable[[str], int]) -> None:
    """Threads that stay in Python (here: asleep for long) are no part of the runs meanwhile."""
    real = driver()
    gate = threading.Event()

    def late(address: int, spins: int) -> int:
        gate.wait()
        return real.serve(address, spins)

    slow = ThreadTeam(dataclasses.replace(real, serve=late))
    job = Job(kernels, 50, 3, cost=10**9)
    start = time.perf_counter()
    assert all(job.run(slow, 4) for _ in range(100))
    assert time.perf_counter() - start < 5  # 100 windows are 0.03 s
    gate.set()
    assert all(job.run(slow, 4) for _ in range(100))
    slow.stop()
    assert slow.size == 1
    assert job.run(slow, 4)


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
    start = time.perf_counter()
    fine = [job.run(fresh, 3) for _ in range(15)]
    over.set()
    holder.join()
    assert all(fine)
    assert time.perf_counter() - start < 5
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
import test_runtime as t
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
