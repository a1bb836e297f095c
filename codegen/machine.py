"""The machine table: what code generation knows of a processor, one row each.

In: a row's name, or the features of the host. Out: a `Machine`. It must not know kernels: the scheduler reads lanes,
registers, caches and the register tile, the emitter `has_fma`, the JIT the processor and features to assemble for.
Processor names are LLVM's fixed architecture levels, never the host's own name: an object is then the same on all
hosts of a row, and LLVM ends the process when it is given a name that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import llvmlite.binding as llvm

from symgrad.dtypes import DType
from symgrad.errors import CompileError, nearest


@dataclass(frozen=True, slots=True)
class Machine:
    """A target: `tile` is (rows, vectors) of the contraction register tile, sizes are in bytes.

    `dot` names the feature by which some processors of the row multiply pairs of bfloat16; code may use it with
    `has_dot`.
    """

    name: str
    arch: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    has_fma: bool
    tile: tuple[int, int]
    l1: int = 32 << 10
    l2: int = 1 << 20
    dot: str = ""
    has_dot: bool = False

    def lanes(self, dtype: DType) -> int:
        """Return how many elements of this dtype one vector register holds.

        >>> from symgrad.dtypes import FLOAT32
        >>> [row.lanes(FLOAT32) for row in MACHINES.values()]
        [16, 8, 4, 4]
        """
        return self.vector_bytes // dtype.size

    @property
    def triple(self) -> str:
        """Return LLVM's target triple: the host's where it has this architecture, else Linux."""
        host_triple = str(llvm.get_process_triple())
        return host_triple if _architecture(host_triple) == self.arch else f"{self.arch}-unknown-linux-gnu"


# fmt: off
_ROWS = (
    #       name      arch       cpu          features              bytes  registers  fma    tile
    Machine("avx512", "x86_64",  "x86-64-v4", "-prefer-256-bit",    64,    32,        True,  (8, 2), dot="avx512bf16"),
    Machine("avx2",   "x86_64",  "x86-64-v3", "",                   32,    16,        True,  (6, 2), l2=256 << 10),
    Machine("sse",    "x86_64",  "x86-64-v2", "",                   16,    16,        False, (4, 2), l2=256 << 10),
    Machine("neon",   "aarch64", "generic",   "+neon,+fp-armv8",    16,    32,        True,  (8, 2), l2=512 << 10),
)
# fmt: on
MACHINES: dict[str, Machine] = {row.name: row for row in _ROWS}

# What a host must have to run a row's code, in the names of `llvmlite.binding.get_host_cpu_features`.
_NEEDS: dict[str, tuple[str, ...]] = {
    "avx512": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "bmi2", "f16c"),
    "avx2": ("avx2", "fma", "bmi2", "f16c"),
    "sse": ("sse4.2", "ssse3", "popcnt"),
    "neon": (),  # every 64-bit ARM has it
}


def runnable() -> tuple[Machine, ...]:
    """Return the rows whose code the host can run, the widest first."""
    arch = _architecture(str(llvm.get_process_triple()))
    here = [row for row in _ROWS if row.arch == arch]
    features = llvm.get_host_cpu_features() if any(_NEEDS[row.name] for row in here) else {}
    return tuple(row for row in here if all(features.get(need, False) for need in _NEEDS[row.name]))


def host() -> Machine:
    """Return the widest row that the host can run.

    Raises CompileError on a processor below every row.
    """
    rows = runnable()
    if not rows:
        raise CompileError(
            "this processor has no row in the machine table",
            got=str(llvm.get_process_triple()),
            hint="symgrad needs x86-64 with SSE4.2, or 64-bit ARM.",
        )
    return rows[0]


def with_dot(row: Machine) -> Machine:
    """Return the row with code for dot products of bfloat16 allowed.

    Raises CompileError where the row, or the host, has no instruction for them.
    """
    if not row.dot or not llvm.get_host_cpu_features().get(row.dot, False):
        raise CompileError(
            "precision='bf16' needs an instruction for dot products of bfloat16",
            got=f"this processor has no {row.dot}" if row.dot else "none belongs to this row",
            where=f"machine row {row.name!r}",
            hint="precision='float32' runs everywhere; processors of x86-64 have it from Cooper Lake and Zen 4 on.",
        )
    return replace(row, features=f"{row.features},+{row.dot}", has_dot=True)


def machine(name: str | None = None) -> Machine:
    """Return the row with this name, the host's for None.

    Raises CompileError for an unknown name.

    >>> machine("avx2").tile
    (6, 2)
    """
    if name is None:
        return host()
    if name not in MACHINES:
        raise CompileError(f"no machine is called {name!r}", hint=nearest(name, MACHINES))
    return MACHINES[name]


def _architecture(triple: str) -> str:
    arch = triple.split("-")[0]
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(arch, arch)
