"""How cost grows: a training step against the batch size and the depth, symgrad alone.

    python -m benchmarks.sweeps [--repetitions=7] [--quick] [--to=build/bench]

Batch sizes are powers of two with neighbours, of the reference network (784-512-10, RMSprop): one program trains with
all of them in the native loop. Depths are layers of width 64; what comes before the first step is measured in processes
of its own, which find no compiled code, or that of the process before. All sizes run once in each repetition, each
repetition begun by the next, every other one backward; medians count. Prints and writes tables, curves, and whether the
cost grows as the work does.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import growth
from benchmarks.depth import Preparation, network_of
from benchmarks.growth import BatchPoint, DepthPoint
from benchmarks.measure import interleaved
from benchmarks.network import Network, Rule, batches
from benchmarks.ours import Native
from benchmarks.surroundings import limits, surroundings

POWERS = [2**k for k in range(14)]
NEIGHBOURS = [17, *(n + d for n in (32, 64, 128, 256, 512, 1024) for d in (-1, 1)), 1000, 1001]
BATCHES = sorted([*POWERS, *NEIGHBOURS])
DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
QUICK_BATCHES, QUICK_DEPTHS = (1, 2, 16, 17, 32), (1, 3)
PROCESSES = 3  # of each depth, with compiled code and without
RUN = 0.03  # seconds, about: so much work is one run
MOST_STEPS = 500  # of a run: in some hundreds more, RMSprop's mean of a unit that is never active becomes denormal
SAMPLES = 16_384  # of the reference network: 51 MB, more than most caches hold


@dataclass(frozen=True, slots=True)
class Timed:
    """Something that can run again: not timed `reset`, timed `run` of so many steps."""

    reset: Callable[[], None]
    run: Callable[[], object]
    steps: int

    def seconds(self) -> float:
        """Give the seconds of a step."""
        self.reset()
        begun = time.perf_counter()
        self.run()
        return (time.perf_counter() - begun) / self.steps


def repeated_in_turn(sizes: Sequence[Timed], repetitions: int) -> list[tuple[float, ...]]:
    """Run everything once, uncounted, then in every repetition; Python's collector is off meanwhile."""
    found: list[list[float]] = [[] for _ in sizes]
    gc.collect()
    gc.disable()
    try:
        for one in sizes:
            one.seconds()
        for k in interleaved(len(sizes), repetitions):
            found[k].append(sizes[k].seconds())
    finally:
        gc.enable()
    return [tuple(seconds) for seconds in found]


def steps_of(flops: int) -> int:
    """Give how many steps are one run; a step is some microseconds and its work at 100 GFLOP/s."""
    return max(3, min(MOST_STEPS, int(RUN / (5e-6 + flops / 1e11))))


def batch_sweep(sizes: Sequence[int], repetitions: int, quick: bool) -> list[BatchPoint]:
    """Measure the reference network with these batch sizes."""
    samples = max(sizes) if quick else SAMPLES
    network = Network("mlp", (784, 512, 10), "relu", "crossentropy", Rule("rmsprop"), max(sizes), samples, 1)
    side = Native(network, network.draw())
    draw = np.random.default_rng(1)
    print(f"measuring batch sizes from {sizes[0]} to {sizes[-1]:,}", file=sys.stderr, flush=True)
    timed, points = [], []
    for size in sizes:
        flops = replace(network, batch=size).flops
        steps = 3 if quick else steps_of(flops)
        timed.append(Timed(side.reset, side.over(batches(draw, samples, size, steps)), steps))
        points.append(BatchPoint(size, flops))
    found = repeated_in_turn(timed, repetitions)
    return [replace(point, seconds=seconds) for point, seconds in zip(points, found, strict=True)]


def depth_sweep(depths: Sequence[int], repetitions: int, processes: int, quick: bool) -> list[DepthPoint]:
    """Measure networks of these depths."""
    timed, points = [], []
    for layers in depths:
        print(f"measuring {layers:,} layers", file=sys.stderr, flush=True)
        points.append(prepared(layers, processes))
        steps = 3 if quick else steps_of(network_of(layers).flops)
        network = network_of(layers, steps)
        side = Native(network, network.draw())
        timed.append(Timed(side.reset, side.train, steps))
    found = repeated_in_turn(timed, repetitions)
    return [replace(point, seconds=seconds) for point, seconds in zip(points, found, strict=True)]


def prepared(layers: int, processes: int) -> DepthPoint:
    """Start processes in pairs: one that finds an empty cache, one that finds what the first has kept."""
    cold, cached = [], []
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as kept:
            cold.append(_process(layers, kept))
            cached.append(_process(layers, kept))
    kernels = {one.kernels for one in (*cold, *cached)}
    if len(kernels) > 1:
        raise RuntimeError(f"{layers} layers have {sorted(kernels)} kernels in processes that do the same")
    return DepthPoint(
        layers,
        network_of(layers).flops,
        kernels.pop(),
        gradient=statistics.median(one.gradient for one in (*cold, *cached)),
        cold=statistics.median(one.compile for one in cold),
        cached=statistics.median(one.compile for one in cached),
    )


def _process(layers: int, cache: str) -> Preparation:
    command = [sys.executable, "-m", "benchmarks.depth", str(layers)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SYMGRAD_CACHE": cache})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Preparation(**json.loads(done.stdout.splitlines()[-1]))


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description="Measure how cost grows.")
    parser.add_argument("--repetitions", type=int, default=7, help="how often every size runs (7)")
    parser.add_argument("--quick", action="store_true", help="see that everything runs: times mean nothing")
    parser.add_argument("--to", type=Path, default=Path("build/bench"), help="where files are written (build/bench)")
    chosen = parser.parse_args(given)
    if chosen.repetitions < 1:
        parser.error("repetitions are 1 or more")
    quick = chosen.quick
    where, reached = surroundings(), limits(quick)
    by_batch = batch_sweep(QUICK_BATCHES if quick else BATCHES, chosen.repetitions, quick)
    by_depth = depth_sweep(QUICK_DEPTHS if quick else DEPTHS, chosen.repetitions, 1 if quick else PROCESSES, quick)
    text = growth.markdown(where, reached, by_batch, by_depth)
    print(text, end="")
    chosen.to.mkdir(parents=True, exist_ok=True)
    texts = {
        "sweeps.md": text,
        "sweeps.json": growth.as_json(where, reached, by_batch, by_depth),
        "sweeps.svg": growth.drawn(by_batch, by_depth),
    }
    for name, content in texts.items():
        (chosen.to / name).write_text(content, encoding="utf8")
    print(f"\nWritten: {', '.join(str(chosen.to / name) for name in texts)}.")


if __name__ == "__main__":
    main()
