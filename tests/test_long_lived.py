"""Compiled functions in a process that lives long: memory, forks, many threads, ends and interrupts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

HEAD = """
import faulthandler, gc, os, sys, threading, time
from pathlib import Path
import numpy as np
import llvmlite.binding  # Python's ctypes makes one page for its callbacks, before anything of ours is there
faulthandler.dump_traceback_later(150, exit=True)
def writable_code():
    "List the mappings of this process that are both writable and executable, those of other libraries aside."
    lines = Path("/proc/self/maps").read_text().splitlines() if sys.platform.startswith("linux") else ()
    return [line for line in lines if "w" in line.split()[1] and "x" in line.split()[1] and line not in FOREIGN]

FOREIGN = ()
FOREIGN = writable_code()
import symgrad as sg
N = sg.dim("N")
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)

def build(number, rows=3, threads=2):
    "Compile a graph that no other number gives: a value, its gradient, and an update."
    x, w = sg.symbol("x", (N, rows)), sg.parameter("w", (rows,), init="ones")
    loss = (x * x * (w + number / 1024)).sum()
    return sg.function([x], loss, updates={w: w - sg.grad(loss, w) / 64}, threads=threads), w

def check(number):
    "Compile and run it twice; compare with NumPy."
    f, w = build(number)
    squares = (X * X).sum(axis=0)
    first, second = f(X), f(X)
    assert np.allclose(first, squares @ (np.ones(3) + number / 1024), rtol=1e-5), number
    assert np.allclose(second, squares @ (1 - squares / 64 + number / 1024), rtol=1e-5), number
    assert np.allclose(w.value, 1 - squares / 32, rtol=1e-5), number
"""


def run(body: str) -> str:
    """Run a script after `HEAD` in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- memory -----------------------------------------------------------------------------------------------------------

GROWTH = """
def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def cycle(number):
    rows = 2 + number % 11 * distinct
    build(number * distinct, rows)[0](np.ones((1 + number % 7, rows), np.float32))

from codegen import objects
objects.KEPT = 1 << 16  # full long before the measurement begins
distinct = {distinct}
for number in range({warm}):
    cycle(number)
grown = []
for turn in range(3):  # an allocator may ask for a large piece once; what leaks grows in every turn
    before = resident()
    for number in range({cycles} * turn, {cycles} * (turn + 1)):
        cycle({warm} + number)
    grown.append(resident() - before)
    if grown[-1] < {share}:
        break
print(min(grown))
"""


@linux
@pytest.mark.parametrize("distinct", [0, 1], ids=["same", "distinct"])
def test_compiled_functions_that_are_dropped_leave_nothing(distinct: int) -> None:
    """A thousand cycles may keep 5 MB: these are fewer, and may keep their share."""
    cycles, share = 100, 500_000
    assert int(run(GROWTH.format(distinct=distinct, cycles=cycles, warm=30, share=share))) < share


# --- forks ------------------------------------------------------------------------------------------------------------

FORKS = """
import signal, warnings
warnings.simplefilter("ignore")  # a fork of a process with threads is what this is about
f, w = build(1)
f(X)
f(np.ones((100_000, 3), np.float32))  # the team has threads now
over = threading.Event()

def compiling():
    number = 2
    while not over.is_set():
        check(number)
        number += 1

thread = threading.Thread(target=compiling)
thread.start()
ends = []
for child in range(50):
    time.sleep(0.003 * (child % 5))
    process = os.fork()
    if not process:
        try:
            signal.alarm(60)  # faulthandler's own thread is not there to be asked
            check(100_000 + child)
            f(X)
            os._exit(0)
        finally:
            os._exit(1)
    ends.append(os.waitpid(process, 0)[1])
over.set()
thread.join()
print(ends.count(0))
"""


@forks
def test_fifty_children_of_a_process_that_compiles() -> None:
    assert run(FORKS) == "50\n"


# --- threads ----------------------------------------------------------------------------------------------------------

THREADS = """
x, s = sg.symbol("x", (N, 3)), sg.parameter("s", (3,), init="zeros")
f = sg.function([x], [x * 2 + 1, sg.exp(x).sum(axis=0)], threads=2)
count = sg.function([x], x.sum(), updates=[(s, s + 1)], threads=2)
wrong, calls = [], []
end = time.monotonic() + {seconds}

def calling(seed):
    array = np.random.default_rng(seed).normal(size=(5 + 300 * seed, 3)).astype(np.float32)
    plain, total = f(array)
    made = 0
    while time.monotonic() < end:
        again, sums = f(array)
        count(array)
        made += 1
        if not (np.array_equal(again, array * 2 + 1) and np.array_equal(sums, total)):
            wrong.append(seed)
    calls.append(made)

def compiling(seed):
    number = seed
    while time.monotonic() < end:
        check(number)
        number += 2
        wrong.extend(writable_code())

def guarded(work, seed):
    try:
        work(seed)
    except BaseException as error:
        wrong.append(repr(error))

threads = [threading.Thread(target=guarded, args=(calling, i)) for i in range(8)]
threads += [threading.Thread(target=guarded, args=(compiling, i)) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(calls) == 8 and min(calls) > 0, calls
assert s.value.tolist() == [sum(calls)] * 3, "an update was lost"
print(wrong)
"""


def test_eight_threads_call_while_two_compile() -> None:
    """The results have the same bits in every call, no update is lost, and no page is writable and executable."""
    assert run(THREADS.replace("{seconds}", "4")) == "[]\n"


@linux
def test_no_page_is_writable_and_executable() -> None:
    assert run("check(1)\nprint(writable_code())") == "[]\n"


def test_functions_that_are_dropped_while_others_call_them() -> None:
    """Whoever calls a function holds its code, though every other reference is gone."""
    body = """
box, wrong = [build(1, threads=2)[0]], []
over = threading.Event()
ones = np.ones((20_000, 3), np.float32)

def calling():
    try:
        while not over.is_set():
            box[-1](ones)
    except BaseException as error:
        wrong.append(repr(error))

callers = [threading.Thread(target=calling) for _ in range(4)]
for caller in callers:
    caller.start()
for number in range(2, 40):
    box.append(build(number, threads=2)[0])
    del box[0]
    gc.collect()
over.set()
for caller in callers:
    caller.join()
print(wrong)
"""
    assert run(body) == "[]\n"


# --- ends and interrupts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_interpreter_ends_while_threads_call_and_compile(threads: int) -> None:
    body = f"""
f, w = build(1, threads={threads})

def calling():
    while True:
        f(np.ones((5_000, 3), np.float32))

def compiling():
    for number in range(2, 10**6):
        check(number)

for work in (calling, calling, compiling):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print("end")
"""
    assert run(body) == "end\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupt_leaves_a_function_and_its_parameters_usable() -> None:
    """A parameter has the value of some whole number of updates, and all parameters of the same number."""
    body = """
import signal
x = sg.symbol("x", (N, 3))
a, b = (sg.parameter(name, (2_000,), init="zeros") for name in "ab")
f = sg.function([x], x.sum(), updates={a: a + 1, b: b - 1}, threads=2)
caught = 0
for delay in range(60):
    signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0001 * delay)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        while True:
            f(X)
    except KeyboardInterrupt:
        caught += 1
    done = set(a.value.tolist())
    assert len(done) == 1 and {-v for v in done} == set(b.value.tolist()), delay
    f(X)
    assert a.value[0] == done.pop() + 1
    held = threading.Thread(target=f, args=(X,))
    held.start()
    held.join(timeout=10)
    assert not held.is_alive(), "a lock was left taken"
print(caught)
"""
    assert run(body) == "60\n"
