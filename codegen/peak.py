"""Peak: how many floating-point operations a second this machine's fused multiply-add can do, measured.

In: a dtype, a machine row, a number of threads. Out: FLOP/s, measured once per process by a kernel that does nothing
but independent multiply-adds in registers, run by the same driver and team as every program. The least of several runs
counts: whatever else the machine does makes it slower, nothing makes it faster. It must not know programs.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from codegen.emit import emit
from codegen.ir import Access, Alloc, Buffer, Const, For, Kernel, Load, Op, Space, Stmt, Store, Tag, Value
from codegen.jit import compile_ir, link
from codegen.machine import Machine
from codegen.memory import aligned_empty
from codegen.program import Arg, Launch, encode
from codegen.threads import team
from symgrad.dtypes import UINT32, DType
from symgrad.shape import dim

CHAINS = 12  # independent sums: more than the units of any row take at once, fewer than its registers
STEPS = 10_000  # of each sum: some tens of microseconds
TASKS = 4  # for each thread
RUNS = 50


@cache
def peak_flops(dtype: DType, machine: Machine, threads: int, pairs: bool = False) -> float:
    """Measure the most FLOP/s that so many threads reach together; a multiply-add counts as two.

    With `pairs`, of float32, each instruction multiplies pairs of bfloat16. Threads may share a core, and then reach no
    more than one of them alone.
    """
    alone = peak_flops(dtype, machine, 1, pairs) if threads > 1 else 0.0
    lanes = machine.lanes(dtype)
    tasks = TASKS * threads
    kernel = multiply_adds(dtype, lanes, tasks, pairs)
    library = link({kernel.name: compile_ir(emit(kernel, machine), machine)})
    factor = aligned_empty(lanes * dtype.size).view(dtype.numpy)
    factor[:] = 0.5  # as pairs: 0.5 and 0
    out = aligned_empty(tasks * CHAINS * lanes * dtype.size)
    flops = 2 * tasks * CHAINS * lanes * STEPS * (2 if pairs else 1)
    args = (Arg(factor.ctypes.data), Arg(out.ctypes.data))
    table = encode([Launch(library.address(kernel.name), args, tasks=tasks, cost=flops)])
    best = float("inf")
    for _ in range(RUNS):
        begun = time.perf_counter()
        team().run(table, threads)
        best = min(best, time.perf_counter() - begun)
    library.close()
    assert np.all(np.isfinite(out.view(dtype.numpy)))
    return max(alone, flops / best)


def multiply_adds(dtype: DType, lanes: int, tasks: int, pairs: bool = False) -> Kernel:
    """Write the kernel: every task adds a product, or those of two pairs, to each of its sums, again and again."""
    t, c, p = dim("t0"), dim("c1"), dim("p2")
    total = Load("acc", (c, p), dtype)
    factor = Load("b0", (p,), UINT32 if pairs else dtype)

    def each(store: Store) -> Stmt:
        return For("c1", 0, CHAINS, (For("p2", 0, lanes, (store,), lanes, Tag.VECTOR),), 1, Tag.UNROLL)

    def put(value: Value) -> Store:
        return Store("acc", (c, p), value)

    body = (
        Alloc("acc", dtype, (CHAINS, lanes), Space.REGISTER),
        each(put(Const(0.0, dtype))),
        For("k3", 0, STEPS, (each(put(Op("dot2" if pairs else "fma", (factor, factor, total), dtype))),)),
        each(Store("b1", (t, c, p), total)),
    )
    buffers = (
        Buffer("b0", factor.dtype, (lanes,), Access.IN),
        Buffer("b1", dtype, (tasks, CHAINS, lanes), Access.OUT),
    )
    return Kernel("multiply_adds", buffers, (), (For("t0", 0, tasks, body, 1, Tag.PARALLEL),))
