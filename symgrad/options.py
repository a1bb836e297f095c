"""Compilation options: one frozen record, part of every cache key."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Options:
    """Choose how a graph is compiled; the defaults are right except in tests and measurements.

    No choice but `machine` between rows with and without FMA changes a bit of any result.

    - `simplify`: run the simplifier before lowering.
    - `fuse`: let kernels absorb producers and consumers; off, every operator is a kernel of its own.
    - `machine`: the name of a row of the machine table, or None for the host.
    - `tiles`: (rows, columns) of the contraction register tile, or None for the machine row's choice.
    - `packing`: True or False to force or forbid packing of contraction operands, None to let sizes decide.
    - `threads`: the number of threads, or None for the process default.
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
    check: bool = False
    poison: bool = False

    def __post_init__(self) -> None:
        if self.threads is None:
            return
        if isinstance(self.threads, bool) or not isinstance(self.threads, int):
            raise TypeError(f"threads is an int or None, not {type(self.threads).__name__}: {self.threads!r}")
        if self.threads < 1:
            raise ValueError(f"threads is 1 or more, not {self.threads}")


def chosen_options(options: Options | None, threads: int | None) -> Options:
    """Give the options of a compilation: those given or the defaults, with another number of threads if one is given.

    >>> chosen_options(Options(fuse=False), 2)
    Options(simplify=True, fuse=False, machine=None, tiles=None, packing=None, threads=2, check=False, poison=False)
    """
    if options is not None and not isinstance(options, Options):
        raise TypeError(f"options is an sg.Options, not {type(options).__name__}: {options!r}")
    chosen = options or Options()
    return chosen if threads is None else replace(chosen, threads=threads)
