"""The run-time of compiled programs: the launch table and the native driver, with kernels written by hand."""

from __future__ import annotations

import dataclasses
import faulthandler
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hand_kernels import at, compiled, stir

from codegen import jit
from codegen.driver import text
from codegen.machine import MACHINES
from codegen.program import MAX_DEPTH, STATUS, Arg, Launch, Loop, Table, encode, epochs, launches
from codegen.threads import FINE, Status, team

THREADS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """End the process with all stacks shown if a test of waiting threads waits for ever."""
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def kernels() -> Callable[[str], int]:
    return compiled()


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
