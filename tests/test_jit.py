"""The JIT as a long-lived guest of a process: no leak, no dead lock after a fork, the same bytes everywhere."""

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codegen.emit import emit
from codegen.jit import compile_ir, link
from codegen.machine import MACHINES, machine
from codegen.parse import parse_kernel
from symgrad.errors import CompileError

ROOT = Path(__file__).resolve().parents[1]
TEXT = """\
define double @f{0}(double %x) {{
  %y = fadd double %x, {0}.0
  %z = fmul double %y, %y
  ret double %z
}}
"""
SAXPY = emit(parse_kernel("""\
kernel saxpy(x: in float32[N], y: in float32[N], z: out float32[N]; N):
  for i in 0..N vector(16):
    z[i] = fma(x[i], 2.5f32, y[i])
"""), machine())  # fmt: skip


def run(script):
    """Run Python code in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_compiling_and_linking_do_not_leak():
    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    def work(first, count):
        for number in range(first, first + count):
            link({f"f{number}": compile_ir(TEXT.format(number), machine())}).close()

    work(0, 60)
    before = pages()
    work(60, 150)
    grown = (pages() - before) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 4 << 20, "a pass manager that is not freed costs 67 KiB, so 10 MB here"


FORK = """
import os, threading, warnings
from codegen.jit import compile_ir
from codegen.machine import machine
warnings.simplefilter("ignore")
TEXT = {text!r}
compile_ir(TEXT.format(0), machine())
done = threading.Event()
def busy():
    number = 1
    while not done.is_set():
        compile_ir(TEXT.format(number), machine())
        number += 1
thread = threading.Thread(target=busy)
thread.start()
for child in range(5):
    pid = os.fork()
    if pid == 0:
        compile_ir(TEXT.format(10**6 + child), machine())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
done.set()
thread.join()
print("alive")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_a_thread_compiles_can_compile():
    assert run(FORK.format(text=TEXT)) == "alive\n"


@pytest.mark.parametrize("name", MACHINES)
def test_objects_are_the_same_in_every_process(name):
    text = TEXT.format(1)
    script = (
        "import hashlib; from codegen.jit import compile_ir; from codegen.machine import machine\n"
        f"print(hashlib.sha256(compile_ir({text!r}, machine({name!r}))).hexdigest())"
    )
    assert run(script).strip() == hashlib.sha256(compile_ir(text, machine(name))).hexdigest()


def test_a_symbol_from_outside_is_an_error():
    row = machine()
    caller = "declare void @nowhere()\ndefine void @caller() {\n  call void @nowhere()\n  ret void\n}\n"
    with pytest.raises(CompileError, match="nowhere"):
        compile_ir(caller, row)
    remainder = "define float @caller(float %a, float %b) {\n  %r = frem float %a, %b\n  ret float %r\n}\n"  # fmodf
    with pytest.raises(CompileError, match="fmodf"):
        compile_ir(remainder, row)
    with pytest.raises(CompileError, match="does not link"):
        link({"daxpy": compile_ir(SAXPY, row)})


def test_text_that_is_no_ir_is_an_error():
    with pytest.raises(CompileError, match="refuses"):
        compile_ir("define void @f( {", machine())


def test_a_library_knows_its_functions_and_closes():
    library = link({"saxpy": compile_ir(SAXPY, machine())})
    assert library.address("saxpy") % 1 == 0
    with pytest.raises(CompileError, match="no function"):
        library.address("daxpy")
    library.close()
    with pytest.raises(CompileError, match="closed"):
        library.address("saxpy")


def test_a_function_keeps_its_library_alive():
    call = link({"saxpy": compile_ir(SAXPY, machine())}).function("saxpy")
    x, z = np.ones(3, np.float32), np.zeros(3, np.float32)
    args = np.array([x.ctypes.data, x.ctypes.data, z.ctypes.data], np.uint64)
    call(args.ctypes.data, np.array([3], np.int64).ctypes.data, 0, 1, ctypes.c_void_p())
    assert z.tolist() == [3.5, 3.5, 3.5]
