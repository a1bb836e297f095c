"""Kernels written by hand in LLVM IR, for tests of the run-time: a failure is its own, not a compiler's."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from codegen import jit
from codegen.machine import host
from codegen.program import Arg

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
    # y[0] = 1, then waits until x[0] is another number than 0
    "wait": """store atomic i64 1, ptr %y release, align 8
  br label %look
look:
  %go = load atomic i64, ptr %x acquire, align 8
  %still = icmp eq i64 %go, 0
  br i1 %still, label %look, label %next""",
    "nothing": "",
}


@functools.cache
def compiled() -> Callable[[str], int]:
    source = "".join(HEAD.replace("NAME", name).replace("BODY", body) for name, body in BODIES.items())
    return jit.link(dict.fromkeys(BODIES, jit.compile_ir(source, host()))).address


def at(array: np.ndarray, stride: int = 0) -> Arg:
    return Arg(array.ctypes.data, stride)


def stir(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 3 * x + np.roll(x, -1) + 1
