"""Where a measurement was taken: the machine, its limits, how busy it was, and which versions were compared.

In: nothing, or how carefully to look. Out: plain data that stands at the head of every report.
"""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.bandwidth import ELEMENTS, RUNS, copy_bandwidth, triad_bandwidth
from codegen import machine
from codegen.peak import peak_flops
from symgrad.compiled import process_threads
from symgrad.dtypes import DType


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine can do, measured with kernels of our own: FLOP/s in float32, bytes a second."""

    threads: int
    peak: float
    peak_alone: float  # of one thread
    copy: float
    triad: float

    def peak_of(self, threads: int) -> float:
        """Give the peak for this number of threads: one, or all (0)."""
        return self.peak_alone if threads == 1 else self.peak


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A machine on a day."""

    date: str
    processor: str
    row: str  # of the machine table
    processors: int
    load: tuple[float, ...]  # averages of 1, 5 and 15 minutes, before anything was measured
    system: str
    python: str
    versions: dict[str, str]
    missing: tuple[str, ...]


def limits(quick: bool) -> Limits:
    """Measure the peak of arithmetic and the bandwidth of memory."""
    row, threads = machine.host(), process_threads()
    elements, runs = (1 << 16, 2) if quick else (ELEMENTS, RUNS)
    return Limits(
        threads=threads,
        peak=peak_flops(DType.FLOAT32, row, threads),
        peak_alone=peak_flops(DType.FLOAT32, row, 1),
        copy=copy_bandwidth(elements, runs),
        triad=triad_bandwidth(elements, runs),
    )


def surroundings() -> Surroundings:
    """Look around."""
    return Surroundings(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        processor=_processor(),
        row=machine.host().name,
        processors=os.cpu_count() or 1,
        load=load(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=peers.versions(),
        missing=tuple(peers.missing()),
    )


def load() -> tuple[float, ...]:
    """Give the load averages of 1, 5 and 15 minutes; nothing on systems that keep none."""
    return os.getloadavg() if hasattr(os, "getloadavg") else ()


def _processor() -> str:
    """Name the processor, as the system does."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf8").splitlines() if listing.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
