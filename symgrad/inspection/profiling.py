"""Profiling: how long each launch of a compiled function takes, and how much of the machine it uses.

In: a `Subject`, its labels, arrays. Out: a `Profile`. The launches run one after the other, each by itself on the
process's thread team, on copies of the parameters; the shortest of several runs counts, with the microsecond or two
that a call of native code costs. It must not know kernels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from codegen.kernel import bind_launches
from codegen.peak import peak_flops
from codegen.program import Table as LaunchTable
from codegen.step import Step
from codegen.threads import team
from symgrad.buffers import aligned_copy
from symgrad.dtypes import DType
from symgrad.inspection.costs import KernelCost
from symgrad.inspection.subject import GuardError, Subject
from symgrad.inspection.tables import Table, quantity


@dataclass(frozen=True, slots=True)
class LaunchProfile:
    """One launch: its place in the order of launches (from 1 on), its shortest time, what it computes and moves.

    `share` is its part of the time of all launches, `of_peak` of the FLOPs that the threads could have done meanwhile.
    """

    launch: int
    seconds: float
    share: float
    of_peak: float
    cost: KernelCost

    @property
    def label(self) -> tuple[str, ...]:
        """Return the lines that the launch computes."""
        return self.cost.label

    @property
    def flops_per_second(self) -> float:
        """Return the FLOP/s."""
        return self.cost.flops / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """Return the bytes read and written in a second."""
        return self.cost.bytes_accessed / self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class Profile(Sequence[LaunchProfile]):
    """The launches of a function, the longest first; times are in seconds, the shortest of `repeat` runs.

    `call` is the time of all launches run as the program that they are, `peak` the FLOP/s of a multiply-add in float32
    on all `threads`.
    """

    name: str
    launches: tuple[LaunchProfile, ...]
    call: float
    threads: int
    repeat: int
    peak: float

    @property
    def total(self) -> float:
        """Return the time of all launches by themselves."""
        return sum(launch.seconds for launch in self.launches)

    @overload
    def __getitem__(self, position: int) -> LaunchProfile: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[LaunchProfile, ...]: ...
    def __getitem__(self, position: int | slice) -> LaunchProfile | tuple[LaunchProfile, ...]:
        return self.launches[position]

    def __len__(self) -> int:
        return len(self.launches)

    def __iter__(self) -> Iterator[LaunchProfile]:
        return iter(self.launches)

    def __str__(self) -> str:
        return f"{self._title()}\n{self._table().text()}"

    def __repr__(self) -> str:
        return f"<Profile {self._title()}>"

    def _repr_html_(self) -> str:
        return self._table().html(self._title())

    def _title(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        whole = f"the program takes {quantity(self.call)}s, its launches one by one {quantity(self.total)}s"
        return f"{self.name}: {whole}; {threads}, peak {quantity(self.peak)}FLOP/s in float32"

    def _table(self) -> Table:
        head = ("", "time", "share", "FLOP/s", "of peak", "byte/s", "computes")
        rows = tuple(
            (
                str(one.launch), f"{quantity(one.seconds)}s", f"{one.share:.0%}", quantity(one.flops_per_second),
                f"{one.of_peak:.0%}", quantity(one.bytes_per_second), "\n".join(one.label),
            )
            for one in self.launches
        )  # fmt: skip
        return Table(head, rows, frozenset(range(6)))


def profile(
    subject: Subject, costs: Sequence[KernelCost], dims: Mapping[str, int], arrays: Sequence[np.ndarray],
    threads: int, repeat: int,
) -> Profile:  # fmt: skip
    """Time every launch; `costs` are for these dimensions. Raise GuardError where a guard ends the run."""
    compiled = subject.compiled
    old = {p: p.value for p in compiled.parameters}
    copies = {p: aligned_copy(value, value.dtype) for p, value in old.items()}
    launches = bind_launches(compiled.executable, dims, copies)
    launches.use([a.ctypes.data for a in arrays])
    calls, each = [], [[] for _ in launches.tables]  # type: list[float], list[list[float]]
    for _ in range(repeat):
        for p, value in old.items():
            copies[p][...] = value
        calls.append(_timed(launches.whole, threads))
        for p, value in old.items():
            copies[p][...] = value
        for seconds, table in zip(each, launches.tables, strict=True):
            seconds.append(_timed(table, threads))
    shortest = [min(seconds) for seconds in each]
    total = sum(shortest)
    found = [
        LaunchProfile(k, t, t / total, cost.flops / t / _peak(step, subject, threads), cost)
        for k, (t, cost, step) in enumerate(zip(shortest, costs, compiled.steps, strict=True), 1)
    ]
    found.sort(key=lambda one: -one.seconds)
    peak = peak_flops(DType.FLOAT32, compiled.machine, threads)
    return Profile(subject.name, tuple(found), min(calls), threads, repeat, peak)


def _timed(table: LaunchTable, threads: int) -> float:
    begun = time.perf_counter()
    status = team().run(table, threads)
    ended = time.perf_counter()
    if status.code:
        raise GuardError
    return ended - begun


def _peak(step: Step, subject: Subject, threads: int) -> float:
    """Give the peak in the dtype in which a launch computes; that of pairs where it multiplies pairs."""
    wide = any(o.dtype is DType.FLOAT64 for o in step.operands)
    dtype = DType.FLOAT64 if wide else DType.FLOAT32
    return peak_flops(dtype, subject.compiled.machine, threads, step.multiplies_pairs)
