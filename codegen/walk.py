"""The native walk: LLVM IR of the function that walks a table of launches, alone or as one of several threads.

In: the layouts of `codegen.program` (records, control block). Out: the text of `worker(control, tid)` and of what it
needs: the barrier, and a wait that is kind to other processes. Every participant walks all records; it runs its share
of the tasks of a launch, and meets the others only where a record has a barrier or a guard.

It knows no kernels, and not how threads come to take part (`codegen.driver`).
"""

from __future__ import annotations

import enum
import string
from typing import Final

from codegen.program import MAX_DEPTH, WORD, Control, Kind, LaunchWord, LoopWord

PATIENCE: Final = 200  # pauses before a waiting thread offers its processor to others
OFFER_EVERY: Final = 8  # pauses between two such offers; a power of two

# How a processor is told that this is a loop that waits; elsewhere nothing is said.
PAUSES: Final = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
    "arm64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}

WORKER = """
$declare_pause

; Wait a little: the k-th time in a row. After a while, let other processes have the processor.
define internal void @relax(i64 %k, ptr %yield) alwaysinline {
  $pause
  %late = icmp uge i64 %k, $patience
  %turn = and i64 %k, $offer_mask
  %due = icmp eq i64 %turn, 0
  %able = icmp ne ptr %yield, null
  %both = and i1 %late, %due
  %offer = and i1 %both, %able
  br i1 %offer, label %give, label %out
give:
  %ignored = call i32 %yield()
  br label %out
out:
  ret void
}

; Wait until all participants are here. The last one opens; at a guard it decides for all whether the run ends here.
define internal void @barrier(ptr %control, ptr %passed, i64 %n, i64 %guard) {
  %arrived = getelementptr i8, ptr %control, i64 $c_ARRIVED
  %generation = getelementptr i8, ptr %control, i64 $c_GENERATION
  %before = load i64, ptr %passed
  %after = add i64 %before, 1
  store i64 %after, ptr %passed
  %others = atomicrmw add ptr %arrived, i64 1 acq_rel
  %all = add i64 %others, 1
  %last = icmp eq i64 %all, %n
  br i1 %last, label %open, label %wait
open:
  store atomic i64 0, ptr %arrived monotonic, align 8
  %decides = icmp ne i64 %guard, 0
  br i1 %decides, label %decide, label %release
decide:
  %code = call i64 @status(ptr %control)
  %abort = getelementptr i8, ptr %control, i64 $c_ABORT
  store i64 %code, ptr %abort
  br label %release
release:
  store atomic i64 %after, ptr %generation release, align 8
  ret void
wait:
  %k = phi i64 [ 0, %0 ], [ %k1, %again ]
  %now = load atomic i64, ptr %generation acquire, align 8
  %opened = icmp eq i64 %now, %after
  br i1 %opened, label %out, label %again
again:
  %yield = call ptr @pointer(ptr %control, i64 $c_YIELD)
  call void @relax(i64 %k, ptr %yield)
  %k1 = add i64 %k, 1
  br label %wait
out:
  ret void
}

define internal i64 @status(ptr %control) alwaysinline {
  %status = call ptr @pointer(ptr %control, i64 $c_STATUS)
  %code = load i64, ptr %status
  ret i64 %code
}

define internal i64 @word(ptr %base, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %base, i64 %offset
  %value = load i64, ptr %at
  ret i64 %value
}

define internal ptr @pointer(ptr %base, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %base, i64 %offset
  %value = load ptr, ptr %at
  ret ptr %value
}

; Walk the table as participant `tid` of PARTICIPANTS.
define void @worker(ptr %control, i64 %tid) {
  %next = alloca ptr
  %passed = alloca i64
  store i64 0, ptr %passed
  %n = call i64 @word(ptr %control, i64 $c_PARTICIPANTS)
  %alone = icmp eq i64 %n, 1
  %records = call ptr @pointer(ptr %control, i64 $c_RECORDS)
  store ptr %records, ptr %next
  %own = call ptr @pointer(ptr %control, i64 $c_PRIVATE)
  %others = call ptr @pointer(ptr %control, i64 $c_OTHERS)
  %stride = call i64 @word(ptr %control, i64 $c_STRIDE)
  %rank = sub i64 %tid, 1
  %away = mul i64 %rank, %stride
  %other = getelementptr i8, ptr %others, i64 %away
  %leads = icmp eq i64 %tid, 0
  %counters = select i1 %leads, ptr %own, ptr %other
  %addresses = getelementptr i8, ptr %counters, i64 $addresses
  %prefix = call i64 @word(ptr %control, i64 $c_SCRATCH)
  %scratch = getelementptr i8, ptr %counters, i64 %prefix
  %outer = getelementptr i8, ptr %counters, i64 8
  store i64 0, ptr %counters
  store i64 0, ptr %outer
  br i1 %alone, label %clear, label %walk
clear: ; with others, the leader has done so before they start
  %status = call ptr @pointer(ptr %control, i64 $c_STATUS)
  store i64 0, ptr %status
  br label %walk

walk:
  %record = load ptr, ptr %next
  %length = call i64 @word(ptr %record, i64 8)
  %after = getelementptr i8, ptr %record, i64 %length
  store ptr %after, ptr %next
  %kind = load i64, ptr %record
  switch i64 %kind, label %leave [ i64 $k_LAUNCH, label %launch
                                   i64 $k_ENTER, label %enter
                                   i64 $k_REPEAT, label %repeat ]

launch:
  %fence = call i64 @word(ptr %record, i64 $l_BARRIER)
  %fenced = icmp ne i64 %fence, 0
  %others_run = xor i1 %alone, true
  %meet = and i1 %fenced, %others_run
  br i1 %meet, label %join, label %split
join:
  call void @barrier(ptr %control, ptr %passed, i64 %n, i64 0)
  br label %split
split:
  %tasks = call i64 @word(ptr %record, i64 $l_TASKS)
  %most = call i64 @word(ptr %record, i64 $l_THREADS)
  %unlimited = icmp eq i64 %most, 0
  %narrow = icmp ult i64 %most, %n
  %limits = select i1 %unlimited, i1 false, i1 %narrow
  %width = select i1 %limits, i64 %most, i64 %n
  %mine = icmp ult i64 %tid, %width
  br i1 %mine, label %share, label %check
share:
  %tid1 = add i64 %tid, 1
  %lo_n = mul i64 %tasks, %tid
  %hi_n = mul i64 %tasks, %tid1
  %lo = udiv i64 %lo_n, %width
  %hi = udiv i64 %hi_n, %width
  %some = icmp ult i64 %lo, %hi
  br i1 %some, label %bind, label %check
bind:
  %bases = getelementptr i8, ptr %record, i64 $l_BASES
  %args = call i64 @word(ptr %record, i64 $l_ARGS)
  %fixed = icmp eq i64 %args, 0
  br i1 %fixed, label %call, label %compute
compute:
  %depth = call i64 @word(ptr %record, i64 $l_DEPTH)
  %counter = getelementptr i64, ptr %counters, i64 %depth
  %i = load i64, ptr %counter
  %strides = getelementptr i64, ptr %bases, i64 %args
  br label %arg
arg:
  %a = phi i64 [ 0, %compute ], [ %a1, %arg ]
  %base_at = getelementptr ptr, ptr %bases, i64 %a
  %base = load ptr, ptr %base_at
  %step_at = getelementptr i64, ptr %strides, i64 %a
  %step = load i64, ptr %step_at
  %offset = mul i64 %step, %i
  %place = getelementptr i8, ptr %base, i64 %offset
  %place_at = getelementptr ptr, ptr %addresses, i64 %a
  store ptr %place, ptr %place_at
  %a1 = add i64 %a, 1
  %more = icmp ult i64 %a1, %args
  br i1 %more, label %arg, label %call
call:
  %pointers = phi ptr [ %bases, %bind ], [ %addresses, %arg ]
  %function = call ptr @pointer(ptr %record, i64 $l_FUNCTION)
  %dims_offset = call i64 @word(ptr %record, i64 $l_DIMS)
  %dims = getelementptr i8, ptr %record, i64 %dims_offset
  call void %function(ptr %pointers, ptr %dims, i64 %lo, i64 %hi, ptr %scratch)
  br label %check
check:
  %guard = call i64 @word(ptr %record, i64 $l_GUARD)
  %guarded = icmp ne i64 %guard, 0
  br i1 %guarded, label %judge, label %walk
judge:
  br i1 %alone, label %judge_alone, label %judge_together
judge_alone:
  %code = call i64 @status(ptr %control)
  br label %verdict
judge_together:
  call void @barrier(ptr %control, ptr %passed, i64 %n, i64 1)
  %decided = call i64 @word(ptr %control, i64 $c_ABORT)
  br label %verdict
verdict:
  %wrong = phi i64 [ %code, %judge_alone ], [ %decided, %judge_together ]
  %fine = icmp eq i64 %wrong, 0
  br i1 %fine, label %walk, label %leave

enter:
  %enter_depth = call i64 @word(ptr %record, i64 $o_DEPTH)
  %first = call i64 @word(ptr %record, i64 $o_FIRST)
  %enter_stop = call i64 @word(ptr %record, i64 $o_STOP)
  %enter_counter = getelementptr i64, ptr %counters, i64 %enter_depth
  store i64 %first, ptr %enter_counter
  %any = icmp slt i64 %first, %enter_stop
  br i1 %any, label %walk, label %skip
skip:
  %exit_offset = call i64 @word(ptr %record, i64 $o_EXIT)
  %exit = getelementptr i8, ptr %record, i64 %exit_offset
  store ptr %exit, ptr %next
  br label %walk

repeat:
  %repeat_depth = call i64 @word(ptr %record, i64 $o_DEPTH)
  %entry_offset = call i64 @word(ptr %record, i64 $o_ENTRY)
  %entry = getelementptr i8, ptr %record, i64 %entry_offset
  %repeat_stop = call i64 @word(ptr %entry, i64 $o_STOP)
  %repeat_counter = getelementptr i64, ptr %counters, i64 %repeat_depth
  %old = load i64, ptr %repeat_counter
  %new = add i64 %old, 1
  store i64 %new, ptr %repeat_counter
  %goes_on = icmp slt i64 %new, %repeat_stop
  br i1 %goes_on, label %back, label %walk
back:
  %body = getelementptr i8, ptr %entry, i64 $o_LENGTH
  store ptr %body, ptr %next
  br label %walk

leave:
  br i1 %leads, label %report, label %out
report:
  %iteration = load i64, ptr %outer
  %iteration_at = getelementptr i8, ptr %control, i64 $c_ITERATION
  store i64 %iteration, ptr %iteration_at
  br label %out
out:
  ret void
}
"""


def worker_text(architecture: str) -> str:
    """Write `worker` as LLVM IR for an architecture, the first part of a target triple.

    >>> "@llvm.x86.sse2.pause" in worker_text("x86_64"), "sse2" in worker_text("riscv64")
    (True, False)
    """
    declare_pause, pause = PAUSES.get(architecture, ("", ""))
    return string.Template(WORKER).substitute(
        offsets(c=Control, l=LaunchWord, o=LoopWord),
        **{f"k_{kind.name}": int(kind) for kind in Kind},
        declare_pause=declare_pause,
        pause=pause,
        patience=PATIENCE,
        offer_mask=OFFER_EVERY - 1,
        addresses=(MAX_DEPTH + 1) * WORD,
    )


def offsets(**layouts: type[enum.IntEnum]) -> dict[str, int]:
    """Return where the words of layouts lie, in bytes, by the names the IR texts have for them.

    >>> offsets(c=Control)["c_STATUS"]
    8
    """
    return {
        f"{prefix}_{name}": int(word) * WORD
        for prefix, layout in layouts.items()
        for name, word in layout.__members__.items()
    }
