"""Compilation options: one frozen record, part of every cache key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from symgrad.errors import nearest

PRECISIONS: Final = ("float32", "bf16")


@dataclass(frozen=True, slots=True)
class Options:
    """Choose how a graph is compiled; the defaults are right except in tests and measurements.

    No choice but `precision`, and `machine` between rows with and without FMA, changes a bit of any result.

    - `simplify`: run the simplifier before lowering.
    - `fuse`: let kernels absorb producers and consumers; off, every operator is a kernel of its own.
    - `machine`: the name of a row of the machine table, or None for the host.
    - `tiles`: (rows, columns) of the contraction register tile, or None for the machine row's choice.
    - `packing`: True or False to force or forbid packing of contraction operands, None to let sizes decide; products in
      bfloat16 always pack.
    - `threads`: the number of threads, or None for the process default.
    - `precision`: "float32", or "bf16": products of float32 matrices (with rows, columns and a sum) take their operands
      rounded to bfloat16, and add up in float32, by an instruction that the processor must have. All else, the stored
      weights among it, is as in "float32".
    - `check`: verify the intermediate form after every pass.
    - `poison`: run between unmapped pages, on memory filled with NaN, with read-only inputs: slow, and a kernel that
      leaves its buffers stops the process.
    """

    simplify: bool = True
    fuse: bool = True
    machine: str | None = None
    tiles: tuple[int, int] | None = None
    packing: bool | None = None
    threads: int | None = None
    precision: str = "float32"
    check: bool = False
    poison: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"no precision is called {self.precision!r}. {nearest(str(self.precision), PRECISIONS)}")
        if self.threads is None:
            return
        if isinstance(self.threads, bool) or not isinstance(self.threads, int):
            raise TypeError(f"threads is an int or None, not {type(self.threads).__name__}: {self.threads!r}")
        if self.threads < 1:
            raise ValueError(f"threads is 1 or more, not {self.threads}")


def chosen_options(options: Options | None, threads: int | None, precision: str | None = None) -> Options:
    """Give the options of a compilation: those given or the defaults, with another choice of what is given beside them.

    >>> chosen = chosen_options(Options(fuse=False, threads=3), 2, "bf16")
    >>> chosen.fuse, chosen.threads, chosen.precision
    (False, 2, 'bf16')
    """
    if options is not None and not isinstance(options, Options):
        raise TypeError(f"options is an sg.Options, not {type(options).__name__}: {options!r}")
    chosen = options or Options()
    chosen = chosen if threads is None else replace(chosen, threads=threads)
    return chosen if precision is None else replace(chosen, precision=precision)
