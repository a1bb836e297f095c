"""A program at run time: launches and loops as one flat table of words that the native driver walks.

In: records (`Launch`, `Loop`) with addresses of kernels and buffers. Out: a `Table`: the records as int64 words, and
the memory that one run of them needs (status words, control block, private memory of the first thread). Addresses that
change from call to call (inputs, outputs, the arena) are *slots*: the table knows which words hold them, so a call
rewrites those words and nothing else.

This file owns the layout that `codegen.driver` reads. It knows no kernels, no LLVM and no threads.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codegen.memory import aligned, aligned_empty

WORD: Final = 8  # bytes
LINE: Final = 128  # bytes: two cache lines, since the prefetcher of x86 fetches them in pairs
STATUS: Final = -1  # the slot of the status words (code, position, value): guards write it

MAX_DEPTH: Final = 7  # loops in loops
GRAIN: Final = 100_000  # the least work in flops that is worth a thread of its own: a few microseconds
FLOPS_PER_NS: Final = 25  # a cautious guess of one thread's speed: how long a run is worth waiting for a late thread


class Kind(enum.IntEnum):
    """What a record is: its first word. The second word is its length in bytes."""

    END = 0
    LAUNCH = 1
    ENTER = 2  # begins a loop
    REPEAT = 3  # ends it


class LaunchWord(enum.IntEnum):
    """The words of a launch; base addresses follow, then strides if STRIDED, then dims."""

    FUNCTION = 2
    TASKS = 3
    THREADS = 4  # at most so many share the tasks; 0: all
    BARRIER = 5  # before it
    GUARD = 6  # after it: a barrier, and all leave if the status code is not zero
    DEPTH = 7  # of the loop it stands in; selects the iteration counter that strides count
    ARGS = 8  # how many; 0 if the addresses need not be computed
    DIMS = 9  # where the dims begin, in bytes from the record
    BASES = 10


class LoopWord(enum.IntEnum):
    """The words of ENTER (all) and REPEAT (DEPTH and ENTRY)."""

    DEPTH = 2
    FIRST = 3
    ENTRY = 3  # of REPEAT: where its ENTER lies, in bytes from the record
    STOP = 4
    EXIT = 5  # where the record after the loop lies, in bytes from the record
    LENGTH = 6  # of ENTER, in words


class Control(enum.IntEnum):
    """The control block of a table, in words. What all threads write has cache lines of its own."""

    RECORDS = 0  # address of the first record
    STATUS = 1  # address of the status words
    PARTICIPANTS = 2  # how many threads walk the table; 1 between runs
    PRIVATE = 3  # address of the private memory of thread 0
    SCRATCH = 4  # where the kernels' scratch begins in a private memory, in bytes
    OTHERS = 5  # address of the private memories of threads 1, 2, ...
    STRIDE = 6  # distance of those, in bytes
    YIELD = 7  # address of `int yield(void)`, or 0
    ITERATION = 8  # out: the counter of the last outermost loop when thread 0 left
    ARRIVED = 1 * LINE // WORD  # barrier: how many threads have come
    GENERATION = 2 * LINE // WORD  # barrier: how many barriers have been passed
    ABORT = 2 * LINE // WORD + 1  # guard: what the last one to come has decided for all
    LENGTH = 3 * LINE // WORD


@dataclass(frozen=True, slots=True)
class Arg:
    """A kernel's buffer: `base` plus `stride` bytes for each iteration of the innermost loop around the launch.

    With a slot, `base` is an offset in bytes from the slot's address, which `Table.patch` sets.
    """

    base: int
    stride: int = 0
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """Run a kernel once: `tasks` iterations of its parallel loop, divided among threads.

    `threads` is 1 for the first thread alone, 0 for all, else how many at most. `barrier`: all that stands before is
    finished when this starts. `guard`: the kernel may have set the status code; if so the run ends here. `cost` is the
    work in flops (a transcendental function counts some 20, a float moved from or to memory some 8); it decides how
    many threads are worth their trouble, and 0 says nothing.
    """

    function: int
    args: tuple[Arg, ...]
    dims: tuple[int, ...] = ()
    tasks: int = 1
    threads: int = 0
    barrier: bool = True
    guard: bool = False
    cost: int = 0

    def width(self, grain: int) -> int:
        """Return how many threads share the launch at most; 0 for all."""
        if self.tasks <= 1 or self.threads == 1:
            return 1
        if not self.cost or self.cost >= grain * self.tasks:
            return self.threads
        worth = max(1, self.cost // grain)
        return min(worth, self.threads) if self.threads else worth


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat records for i in `first`, ..., `first + count - 1`; every iteration begins with a barrier.

    An outermost loop with a `slot` can be given another range by `Table.patch_loop`.
    """

    count: int
    body: tuple[Record, ...]
    first: int = 0
    slot: int | None = None


Record = Launch | Loop


@dataclass(slots=True)
class _Range:
    """Where the range of a patchable loop lies, and the work of one iteration."""

    word: int
    cost: int


@dataclass(slots=True)
class Table:
    """Records as words, with the memory of one run; serves one call at a time (`copy` makes another).

    `words` are the records, `status` the three status words, `control` the block the driver works with, `private` the
    private memory of the first thread: loop counters, computed addresses, kernels' scratch.
    """

    words: NDArray[np.int64]
    slots: Mapping[int, tuple[NDArray[np.int64], NDArray[np.int64]]]  # slot -> positions of words, offsets
    loops: Mapping[int, _Range]
    parallel: bool  # whether any launch is worth more than one thread
    cost: int  # flops of a whole run
    addresses: int  # room for computed addresses, in bytes
    scratch: int  # bytes of kernels' scratch a thread
    status: memoryview = field(init=False)
    control: memoryview = field(init=False)
    address: int = field(init=False)  # of the control block
    private: NDArray[np.uint8] = field(init=False, repr=False)
    lent: object = field(init=False, default=None, repr=False)  # the thread team's memory that OTHERS points to
    _view: memoryview = field(init=False, repr=False)
    _few: dict[int, tuple[tuple[int, int], ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._view = self.words.data
        block = aligned_empty((Control.LENGTH + LINE // WORD) * WORD, LINE).view(np.int64)
        block[:] = 0
        self.private = aligned_empty(self.block)
        self.address = block.ctypes.data
        self.control = block.data
        self.status = block[Control.LENGTH : Control.LENGTH + 3].data
        self.control[Control.RECORDS] = self.words.ctypes.data
        self.control[Control.STATUS] = self.address + Control.LENGTH * WORD
        self.control[Control.PARTICIPANTS] = 1
        self.control[Control.PRIVATE] = self.private.ctypes.data
        self.control[Control.SCRATCH] = self._prefix
        # Slots of few words are patched word by word, which is faster than any call into NumPy.
        self._few = {
            slot: tuple(zip(where.tolist(), offsets.tolist(), strict=True))
            for slot, (where, offsets) in self.slots.items()
            if len(where) <= 8
        }
        self.patch(STATUS, self.address + Control.LENGTH * WORD)

    @property
    def _prefix(self) -> int:
        """Return the bytes before the scratch in a private memory: counters and computed addresses."""
        return aligned((MAX_DEPTH + 1) * WORD + self.addresses)

    @property
    def block(self) -> int:
        """Return the bytes of private memory that each thread needs."""
        return self._prefix + aligned(self.scratch)

    def use_private(self, memory: NDArray[np.uint8]) -> None:
        """Give the first thread other private memory, of `block` bytes."""
        self.private = memory
        self.control[Control.PRIVATE] = memory.ctypes.data

    def patch(self, slot: int, address: int) -> None:
        """Set the address of a slot: rewrite the words that hold it. An unused slot is no error."""
        few = self._few.get(slot)
        if few is not None:
            view = self._view
            for where, offset in few:
                view[where] = address + offset
        elif slot in self.slots:
            places, offsets = self.slots[slot]
            self.words[places] = offsets + address

    def patch_loop(self, slot: int, first: int, count: int) -> None:
        """Give an outermost loop another range of iterations."""
        loop = self.loops[slot]
        before = max(0, self._view[loop.word + 1] - self._view[loop.word])
        self._view[loop.word] = first
        self._view[loop.word + 1] = first + count
        self.cost += (count - before) * loop.cost

    def copy(self) -> Table:
        """Return an independent table of the same records and addresses, for a call at the same time."""
        words = aligned_empty(self.words.nbytes).view(np.int64)
        words[:] = self.words
        return Table(words, self.slots, self.loops, self.parallel, self.cost, self.addresses, self.scratch)


def encode(records: Sequence[Record], *, scratch: int = 0, grain: int = GRAIN) -> Table:
    """Pack records into a table; `scratch` is the bytes of kernels' scratch a thread.

    Barriers that order nothing across threads are left out: at the start of the program, and between launches of the
    first thread. A table holds addresses only: the caller keeps the kernels and buffers alive.

    Raise ValueError if loops stand too deep, or a loop that is not outermost has a slot.

    >>> table = encode([Launch(4096, (Arg(64), Arg(0, slot=0)), dims=(3,)), Launch(4096, (Arg(0, slot=0),))])
    >>> table.patch(0, 640)
    >>> [launch.dims for launch in launches(table)], table.parallel
    ([(3,), ()], False)
    """
    writer = _Writer(grain)
    cost = writer.body(records, 0)
    writer.words += [Kind.END, 2 * WORD]
    words = aligned_empty(len(writer.words) * WORD).view(np.int64)
    words[:] = writer.words
    slots = {
        slot: (np.array([where for where, _ in places]), np.array([offset for _, offset in places]))
        for slot, places in writer.slots.items()
    }
    return Table(words, slots, writer.loops, writer.parallel, cost, writer.addresses, scratch)


def epochs(records: Sequence[Record]) -> tuple[int, ...]:
    """Return the barrier epoch of each launch, in the order of the text, loops opened: what `memory.plan` counts in.

    A buffer that carries values from one iteration of a loop to the next lives in all epochs of the loop.

    >>> a, b = Launch(1, (), barrier=False), Launch(1, ())
    >>> epochs([a, a, b, a, Loop(3, (a, b)), a])
    (0, 0, 1, 1, 2, 3, 3)
    """
    found: list[int] = []
    epoch = 0
    for launch, begins in _opened(records, False):
        epoch += launch.barrier or begins
        found.append(epoch)
        epoch += launch.guard
    return tuple(found)


def _opened(records: Sequence[Record], begins: bool) -> Iterator[tuple[Launch, bool]]:
    """Yield the launches in the order of the text, and whether an iteration of a loop begins with them."""
    for record in records:
        if isinstance(record, Launch):
            yield record, begins
        else:
            yield from _opened(record.body, True)
        begins = False


@dataclass(slots=True)
class _Since:
    """What has been launched since the last barrier that is really there: decides whether the next one must be."""

    any: bool = False
    shared: bool = False  # by more than the first thread
    owed: bool = False  # a barrier was asked for, and left out since only the first thread was concerned


@dataclass(slots=True)
class _Writer:
    """Records to words, one after the other."""

    grain: int
    words: list[int] = field(default_factory=list)
    slots: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    loops: dict[int, _Range] = field(default_factory=dict)
    since: _Since = field(default_factory=_Since)
    parallel: bool = False
    addresses: int = 0

    def body(self, records: Sequence[Record], depth: int) -> int:
        """Write records; return their work."""
        cost = 0
        for record in records:
            cost += self.launch(record, depth) if isinstance(record, Launch) else self.loop(record, depth + 1)
        return cost

    def launch(self, launch: Launch, depth: int) -> int:
        """Write a launch; return its work."""
        width = launch.width(self.grain)
        barrier = self.barrier(launch, width)
        strided = any(arg.stride for arg in launch.args)
        bases = len(self.words) + LaunchWord.BASES
        dims = LaunchWord.BASES + len(launch.args) * (2 if strided else 1)
        self.words += [
            *(Kind.LAUNCH, (dims + len(launch.dims)) * WORD, launch.function, launch.tasks, width),
            *(barrier, launch.guard, depth, len(launch.args) if strided else 0, dims * WORD),
            *(arg.base for arg in launch.args),
        ]
        if strided:
            self.words += [arg.stride for arg in launch.args]
            self.addresses = max(self.addresses, len(launch.args) * WORD)
        self.words += launch.dims
        for where, arg in enumerate(launch.args, bases):
            if arg.slot is not None:
                self.slots.setdefault(arg.slot, []).append((where, arg.base))
        self.parallel |= width != 1
        return launch.cost

    def barrier(self, launch: Launch, width: int) -> bool:
        """Decide whether the barrier before a launch must be there, and keep the books."""
        since = self.since
        asked = (launch.barrier or since.owed) and since.any
        needed = asked and (since.shared or width != 1)
        if needed:
            since = _Since()
        self.since = _Since() if launch.guard else _Since(True, since.shared or width != 1, asked and not needed)
        return needed

    def loop(self, loop: Loop, depth: int) -> int:
        """Write a loop; return its work."""
        if depth > MAX_DEPTH:
            raise ValueError(f"loops stand {depth} deep; {MAX_DEPTH} is the limit")
        if loop.slot is not None and depth > 1:
            raise ValueError("only an outermost loop can have a slot")
        shared = any(launch.width(self.grain) != 1 for launch, _ in _opened(loop.body, False))
        before = self.since
        # An iteration starts as a barrier asks: after what stands before the loop, and after the iteration before it.
        self.since = _Since(True, before.shared or shared, True)
        enter = len(self.words)
        self.words += [Kind.ENTER, LoopWord.LENGTH * WORD, depth, loop.first, loop.first + loop.count, 0]
        cost = self.body(loop.body, depth)
        repeat = len(self.words)
        self.words += [Kind.REPEAT, 4 * WORD, depth, (enter - repeat) * WORD]
        self.words[enter + LoopWord.EXIT] = (len(self.words) - enter) * WORD
        after = self.since
        self.since = _Since(
            before.any or after.any, before.shared or after.shared, before.owed or after.owed
        )  # the loop may be empty
        if loop.slot is not None:
            self.loops[loop.slot] = _Range(enter + LoopWord.FIRST, cost)
        return max(0, loop.count) * cost


def launches(table: Table) -> Iterator[Launch]:
    """Read the launches of a table back, with the addresses, widths and barriers it holds now; for people and tests."""
    words = table.words.tolist()
    at = 0
    while words[at] != Kind.END:
        record = words[at : at + words[at + 1] // WORD]
        at += len(record)
        if record[0] != Kind.LAUNCH:
            continue
        dims = record[LaunchWord.DIMS] // WORD
        strided = record[LaunchWord.ARGS]
        bases = record[LaunchWord.BASES : LaunchWord.BASES + strided if strided else dims]
        strides = record[LaunchWord.BASES + strided : dims] if strided else [0] * len(bases)
        yield Launch(
            record[LaunchWord.FUNCTION],
            tuple(map(Arg, bases, strides)),
            tuple(record[dims:]),
            record[LaunchWord.TASKS],
            record[LaunchWord.THREADS],
            bool(record[LaunchWord.BARRIER]),
            bool(record[LaunchWord.GUARD]),
        )
