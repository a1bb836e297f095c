"""Growth: what was measured at many sizes, held against what it may cost.

In: points of two sweeps. Out: findings, and reports: Markdown, JSON, curves. It must not know how anything was
measured.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.curves import Curve, Plot, curve_chart
from benchmarks.report import opening, plain, seconds_text, table
from benchmarks.surroundings import Limits, Surroundings

NEXT, DOUBLE = 1.3, 2.6  # the most that t(b + 1) / t(b) and t(2 b) / t(b) may be
SMALLEST = 16  # from which batch size on one more sample may cost no more than that
DEEP = 1000  # layers, of which the bounds below are asked
BOUNDS: dict[str, tuple[Callable[[DepthPoint], float], float]] = {
    "seconds to derive the gradient": (lambda point: point.gradient, 2.0),
    "seconds to compile, nothing cached": (lambda point: point.cold, 10.0),
    "seconds to compile, code in the cache": (lambda point: point.cached, 1.0),
    "different kernels": (lambda point: point.kernels, 20),
}


@dataclass(frozen=True, slots=True)
class BatchPoint:
    """A batch size, the FLOPs of a step, and the seconds of a step in each repetition."""

    batch: int
    flops: int
    seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Give the median seconds of a step."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class DepthPoint:
    """A depth, the FLOPs of a step, its kernels; seconds to derive, to compile (medians), and of a step."""

    layers: int
    flops: int
    kernels: int
    gradient: float
    cold: float
    cached: float
    seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Give the median seconds of a step."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that may be no more than its bound, and what it is, at its worst place."""

    what: str
    found: float
    bound: float
    place: str

    def __str__(self) -> str:
        verdict = "reached" if self.found <= self.bound else "MISSED"
        return f"{verdict}: {self.what}: {self.found:.3g}, at most {self.bound:g} asked ({self.place})"


def findings(by_batch: Sequence[BatchPoint], by_depth: Sequence[DepthPoint]) -> Iterator[Finding]:
    """Hold everything against its bound; what was not measured is not mentioned."""
    times = {point.batch: point.median for point in by_batch}
    pairs = [(b, b + 1) for b in times if b >= SMALLEST and b + 1 in times]
    doubles = [(b, 2 * b) for b in times if 2 * b in times]
    for what, between, bound in (("t(b + 1) / t(b)", pairs, NEXT), ("t(2 b) / t(b)", doubles, DOUBLE)):
        if between:
            ratio, a, b = max((times[b] / times[a], a, b) for a, b in between)
            yield Finding(what, ratio, bound, f"the worst of {len(between)}, from {a} to {b}")
    for point in by_depth:
        if point.layers == DEEP:
            for what, (of, bound) in BOUNDS.items():
                yield Finding(what, of(point), bound, f"{DEEP:,} layers")


def markdown(
    where: Surroundings, limits: Limits, by_batch: Sequence[BatchPoint], by_depth: Sequence[DepthPoint]
) -> str:  # fmt: skip
    """Write everything as tables."""
    batch_rows = [
        (
            str(point.batch),
            seconds_text(point.median),
            seconds_text(point.median / point.batch),
            f"{point.flops / point.median / 1e9:.1f} GFLOP/s",
            f"{point.flops / point.median / limits.peak:.0%}",
        )
        for point in by_batch
    ]
    depth_rows = [
        (
            f"{point.layers:,}",
            seconds_text(point.gradient),
            seconds_text(point.cold),
            seconds_text(point.cached),
            str(point.kernels),
            seconds_text(point.median),
            seconds_text(point.median / point.layers),
        )
        for point in by_depth
    ]
    parts = [
        opening("How cost grows", where, limits),
        "## Batch size\n\n784-512-10, relu, softmax and cross-entropy, RMSprop, native loop, one program for all.",
        table(("batch", "step", "a sample", "rate", "of the peak"), batch_rows),
        "## Depth\n\nLayers of width 64, tanh, mean squared error, RMSprop, batch 64.",
        table(
            ("layers", "gradient", "compile", "the same, cached", "kernels", "step", "step by layers"), depth_rows
        ),
        "## What was asked",
        "\n".join(f"- {finding}" for finding in findings(by_batch, by_depth)) or "Nothing of these sizes.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def as_json(
    where: Surroundings, limits: Limits, by_batch: Sequence[BatchPoint], by_depth: Sequence[DepthPoint]
) -> str:  # fmt: skip
    """Write everything as data, times in seconds."""
    data = {
        "surroundings": where,
        "limits": limits,
        "batch": list(by_batch),
        "depth": list(by_depth),
        "findings": list(findings(by_batch, by_depth)),
    }
    return json.dumps(data, default=plain, indent=1) + "\n"


def drawn(by_batch: Sequence[BatchPoint], by_depth: Sequence[DepthPoint]) -> str:
    """Draw both sweeps, with both axes logarithmic."""
    steps = tuple((point.batch, point.median) for point in by_batch)
    of_depth: dict[str, Callable[[DepthPoint], float]] = {
        "compile": lambda point: point.cold,
        "compile, cached": lambda point: point.cached,
        "gradient": lambda point: point.gradient,
        "step": lambda point: point.median,
    }
    curves = tuple(Curve(name, tuple((p.layers, of(p)) for p in by_depth)) for name, of in of_depth.items())
    return curve_chart(
        [
            Plot("784-512-10, RMSprop: a training step against the batch size", "batch", (Curve("step", steps),)),
            Plot("Layers of width 64, RMSprop, batch 64: seconds against the depth", "layers", curves),
        ]
    )
