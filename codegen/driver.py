"""The native driver: machine code by which the threads of a team run tables of launches together.

In: the walk of a table (`codegen.walk`) and the words that a team shares (`Team`). Out: four functions, built once per
process: `worker(control, tid)` walks a table; `lead(team, control, places, patience, window)` runs one with whatever
threads join in time; `serve(team, spins)` is where the other threads wait and work; `spin(team, count)` measures how
long a wait lasts. No external symbol: the way to give up the processor is a pointer among the words.

How a run starts. The leader opens `places`; threads inside `serve` take one each. When all are taken, or time is up,
the leader closes them: now the number of participants is fixed, and told to those that wait for it by `GO`. So a thread
that is late (asleep, or waiting for Python's lock) is no part of the run, and nobody ever waits for it.

It knows no kernels and no Python threads.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from codegen import jit
from codegen.machine import Machine, host
from codegen.objects import object_of_ir
from codegen.program import LINE, WORD, Control
from codegen.walk import offsets, worker_text

NAMES: Final = ("worker", "serve", "lead", "spin")


class Team(enum.IntEnum):
    """The words that a team of threads shares; what changes hands has cache lines of its own."""

    PLACES = 0  # how many threads may still join the run that is starting
    STOP = 1  # not zero: leave `serve` for good
    LIMIT = 2  # how many places there were
    CONTROL = 3  # address of the control block of the run
    YIELD = 4  # address of `int yield(void)`, or 0
    GO = 1 * LINE // WORD  # the number of participants, once it is fixed
    DONE = 2 * LINE // WORD  # how many have left the run, the leader not counted
    PRESENT = 3 * LINE // WORD  # how many threads are inside `serve`
    BUSY = 4 * LINE // WORD  # 1 while a leader has the team
    LENGTH = 5 * LINE // WORD


TEAM = """
; Where the other threads of a team are: join runs, until none has come for `spins` pauses (0) or the team stops (1).
define i64 @serve(ptr %team, i64 %spins) {
  %places = getelementptr i8, ptr %team, i64 $t_PLACES
  %stop = getelementptr i8, ptr %team, i64 $t_STOP
  %go = getelementptr i8, ptr %team, i64 $t_GO
  %done = getelementptr i8, ptr %team, i64 $t_DONE
  %present = getelementptr i8, ptr %team, i64 $t_PRESENT
  %yield = call ptr @pointer(ptr %team, i64 $t_YIELD)
  %entered = atomicrmw add ptr %present, i64 1 acq_rel
  br label %idle
idle:
  %k = phi i64 [ 0, %0 ], [ %k1, %pause ], [ %k, %take ], [ 0, %run ]
  %stopped = load atomic i64, ptr %stop monotonic, align 8
  %quit = icmp ne i64 %stopped, 0
  br i1 %quit, label %leave, label %look
look:
  %free = load atomic i64, ptr %places acquire, align 8
  %open = icmp sgt i64 %free, 0
  br i1 %open, label %take, label %rest
rest:
  %tired = icmp uge i64 %k, %spins
  br i1 %tired, label %leave, label %pause
pause:
  call void @relax(i64 %k, ptr %yield)
  %k1 = add i64 %k, 1
  br label %idle
take:
  %fewer = sub i64 %free, 1
  %taken = cmpxchg ptr %places, i64 %free, i64 %fewer acq_rel monotonic
  %joined = extractvalue { i64, i1 } %taken, 1
  br i1 %joined, label %ready, label %idle
ready:
  %limit = call i64 @word(ptr %team, i64 $t_LIMIT)
  %control = call ptr @pointer(ptr %team, i64 $t_CONTROL)
  %rank = sub i64 %limit, %free
  %tid = add i64 %rank, 1
  br label %await
await:
  %w = phi i64 [ 0, %ready ], [ %w1, %hold ]
  %n = load atomic i64, ptr %go acquire, align 8
  %fixed = icmp ne i64 %n, 0
  br i1 %fixed, label %run, label %hold
hold:
  call void @relax(i64 %w, ptr %yield)
  %w1 = add i64 %w, 1
  br label %await
run:
  call void @worker(ptr %control, i64 %tid)
  %finished = atomicrmw add ptr %done, i64 1 release
  br label %idle
leave:
  %left = atomicrmw sub ptr %present, i64 1 acq_rel
  ret i64 %stopped
}

; Run a table with up to `places` other threads: wait `patience` pauses for any, and up to `window` for those inside
; `serve`. Return the number of participants, or 0, with nothing done, if the team has another leader.
define i64 @lead(ptr %team, ptr %control, i64 %limit, i64 %patience, i64 %window) {
  %busy = getelementptr i8, ptr %team, i64 $t_BUSY
  %claim = cmpxchg ptr %busy, i64 0, i64 1 acquire monotonic
  %claimed = extractvalue { i64, i1 } %claim, 1
  br i1 %claimed, label %open, label %refuse
refuse:
  ret i64 0
open:
  %places = getelementptr i8, ptr %team, i64 $t_PLACES
  %limit_at = getelementptr i8, ptr %team, i64 $t_LIMIT
  %control_at = getelementptr i8, ptr %team, i64 $t_CONTROL
  %go = getelementptr i8, ptr %team, i64 $t_GO
  %done = getelementptr i8, ptr %team, i64 $t_DONE
  %present = getelementptr i8, ptr %team, i64 $t_PRESENT
  %arrived = getelementptr i8, ptr %control, i64 $c_ARRIVED
  %generation = getelementptr i8, ptr %control, i64 $c_GENERATION
  %participants = getelementptr i8, ptr %control, i64 $c_PARTICIPANTS
  %yield_at = getelementptr i8, ptr %control, i64 $c_YIELD
  %yield = call ptr @pointer(ptr %team, i64 $t_YIELD)
  store ptr %yield, ptr %yield_at
  %status = call ptr @pointer(ptr %control, i64 $c_STATUS)
  store i64 0, ptr %status
  store i64 %limit, ptr %limit_at
  store ptr %control, ptr %control_at
  store atomic i64 0, ptr %arrived monotonic, align 8
  store atomic i64 0, ptr %generation monotonic, align 8
  store atomic i64 0, ptr %done monotonic, align 8
  store atomic i64 %limit, ptr %places release, align 8
  br label %gather
gather:
  %k = phi i64 [ 0, %open ], [ %k1, %pause ]
  %free = load atomic i64, ptr %places acquire, align 8
  %joined = sub i64 %limit, %free
  %here = load atomic i64, ptr %present monotonic, align 8
  %full = icmp eq i64 %free, 0
  %nobody_else = icmp sge i64 %joined, %here
  %patient = icmp uge i64 %k, %patience
  %no_hope = and i1 %nobody_else, %patient
  %late = icmp uge i64 %k, %window
  %give_up = or i1 %no_hope, %late
  %enough = or i1 %full, %give_up
  br i1 %enough, label %close, label %pause
pause:
  call void @relax(i64 %k, ptr %yield)
  %k1 = add i64 %k, 1
  br label %gather
close:
  %rest = atomicrmw xchg ptr %places, i64 0 acq_rel
  %others = sub i64 %limit, %rest
  %n = add i64 %others, 1
  store i64 %n, ptr %participants
  store atomic i64 %n, ptr %go release, align 8
  call void @worker(ptr %control, i64 0)
  br label %wait
wait:
  %w = phi i64 [ 0, %close ], [ %w1, %hold ]
  %finished = load atomic i64, ptr %done acquire, align 8
  %all = icmp eq i64 %finished, %others
  br i1 %all, label %end, label %hold
hold:
  call void @relax(i64 %w, ptr %yield)
  %w1 = add i64 %w, 1
  br label %wait
end:
  store i64 1, ptr %participants
  store atomic i64 0, ptr %go monotonic, align 8
  store atomic i64 0, ptr %busy release, align 8
  ret i64 %n
}

; Wait for so many pauses, as the loops above do.
define void @spin(ptr %team, i64 %count) {
  %yield = call ptr @pointer(ptr %team, i64 $t_YIELD)
  br label %loop
loop:
  %k = phi i64 [ 0, %0 ], [ %k1, %loop ]
  call void @relax(i64 %k, ptr %yield)
  %k1 = add i64 %k, 1
  %more = icmp ult i64 %k1, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""


def text(architecture: str) -> str:
    """Write the driver as LLVM IR for an architecture, the first part of a target triple."""
    return worker_text(architecture) + string.Template(TEAM).substitute(offsets(c=Control, t=Team))


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver's functions, callable with addresses; every call releases Python's lock."""

    worker: Callable[[int, int], None]
    serve: Callable[[int, int], int]
    lead: Callable[[int, int, int, int, int], int]
    spin: Callable[[int, int], None]
    yield_address: int
    linked: object  # holds the code; never closed, since threads may be inside it until the process ends


@functools.cache
def driver(machine: Machine | None = None) -> Driver:
    """Build the driver for a machine, the host's own if none is given; once per process."""
    machine = machine or host()
    linked = jit.link(dict.fromkeys(NAMES, object_of_ir(text(machine.arch), machine)))
    pointer, word = ctypes.c_void_p, ctypes.c_int64

    def function(name: str, result: type[Any] | None, *parameters: type[Any]) -> Callable[..., Any]:
        return ctypes.CFUNCTYPE(result, *parameters)(linked.address(name))

    return Driver(
        worker=function("worker", None, pointer, word),
        serve=function("serve", word, pointer, word),
        lead=function("lead", word, pointer, pointer, word, word, word),
        spin=function("spin", None, pointer, word),
        yield_address=_yield_address(),
        linked=linked,
    )


def _yield_address() -> int:
    """Return the address of the system's `int yield(void)`, 0 if it has none under a known name."""
    if sys.platform == "win32":
        function: Any = ctypes.windll.kernel32.SwitchToThread
    else:
        function = getattr(ctypes.CDLL(None), "sched_yield", None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0
