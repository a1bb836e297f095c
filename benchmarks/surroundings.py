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
from benchmarks.contest import Unit
from codegen import machine
from codegen.peak import peak_flops
from symgrad.compiled import process_threads
from symgrad.dtypes import DType

TRIES = 20  # of the peak, some tens of milliseconds each


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

    def share(self, unit: Unit, rate: float, threads: int) -> float | None:
        """Give the part of the limit that is reached by so much work a second; None where there is no such limit."""
        match unit:
            case Unit.FLOPS:
                return rate / self.peak_of(threads)
            case Unit.BYTES:
                return rate / self.copy
        return None


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


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What is looked at again when everything was measured: whether the machine is still what it was."""

    load: tuple[float, ...]
    limits: Limits


def afterwards(quick: bool) -> Afterwards:
    """Look again."""
    return Afterwards(load(), limits(quick))


def limits(quick: bool) -> Limits:
    """Measure the peak of arithmetic and the bandwidth of memory."""
    threads = process_threads()
    elements, runs, tries = (1 << 16, 2, 1) if quick else (ELEMENTS, RUNS, TRIES)
    peaks = [_peaks(threads) for _ in range(tries)]
    return Limits(
        threads=threads,
        peak=max(together for together, _ in peaks),
        peak_alone=max(alone for _, alone in peaks),
        copy=copy_bandwidth(elements, runs),
        triad=triad_bandwidth(elements, runs),
    )


def _peaks(threads: int) -> tuple[float, float]:
    """Measure FLOP/s of all threads and of one, anew: a short moment, in which something else may have been running."""
    peak_flops.cache_clear()
    return peak_flops(DType.FLOAT32, machine.host(), threads), peak_flops(DType.FLOAT32, machine.host(), 1)


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
