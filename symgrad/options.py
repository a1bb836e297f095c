"""Compilation options: one frozen record, part of every cache key."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    simplify: bool = True
    fuse: bool = True
    machine: str | None = None
    tiles: tuple[int, int] | None = None
    packing: bool | None = None
    threads: int | None = None
    check: bool = False
