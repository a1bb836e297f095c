"""Reports: what was measured as Markdown and as JSON.

In: the surroundings, the limits, the results of rungs. Out: texts. A row has the median of a step, the rate, its share
of the machine's limit (the peak of arithmetic for products, the bandwidth of a copy for sweeps over memory), and how
many times as fast as the best peer it is. It must not know who is measured or how.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.contest import Idiom, Unit
from benchmarks.measure import CaseResult, RungResult, Timing
from benchmarks.surroundings import Limits, Surroundings

HEADINGS = ("case", "who", "median", "rate", "of the limit", "to the best peer")


def markdown(where: Surroundings, limits: Limits, rungs: Sequence[RungResult]) -> str:
    """Write everything."""
    return "\n\n".join([head(where, limits), *(rung_text(rung, limits) for rung in rungs)]) + "\n"


def head(where: Surroundings, limits: Limits) -> str:
    """Say where this was measured, and what the machine can do."""
    threads = f"{limits.threads} thread{'s' * (limits.threads != 1)}"
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    busy = ", ".join(f"{n:.2f}" for n in where.load) or "unknown"
    place = f"{where.processor} ({where.row}), {where.processors} processors, {threads}, {where.system}"
    peak, alone, copy, triad = (
        f"{rate / 1e9:.1f}" for rate in (limits.peak, limits.peak_alone, limits.copy, limits.triad)
    )
    lines = [
        "# Benchmark",
        "",
        f"{where.date}: {place}. Load averages before: {busy}.",
        f"Python {where.python}, {versions}.",
        "",
        f"- Multiply-adds in float32 at their peak: {peak} GFLOP/s; on one thread {alone}.",
        f"- Memory: copy {copy} GB/s, triad {triad} GB/s; counted is what kernels read and write.",
        "- The limit is that peak for GFLOP/s (one thread's where a case has one), a copy's bandwidth for GB/s.",
    ]
    if where.missing:
        lines.append(f"- Not installed, so not compared: {', '.join(where.missing)} (`make bench-peers`).")
    return "\n".join(lines)


def rung_text(rung: RungResult, limits: Limits) -> str:
    """Write a rung: a table, and how symgrad's best stands to the best peer in each idiom."""
    rows = [row for case in rung.cases for row in _rows(case, limits)]
    parts = [f"## {rung.name}\n\n{rung.subject}", table(HEADINGS, rows)]
    remarks = [f"- {line}" for case in rung.cases for line in (*comparisons(case), *_left_out(case))]
    remarks += [f"- {line}" for line in agreements(rung)]
    return "\n\n".join([*parts, "\n".join(remarks)] if remarks else parts)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table whose columns also line up as text.

    >>> print(table(("case", "median"), [("a", "1.00 ms")]))
    | case | median  |
    |------|---------|
    | a    | 1.00 ms |
    """
    cells = [list(headings), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def comparisons(case: CaseResult) -> Iterator[str]:
    """Say how many times as fast as the best peer of each idiom symgrad's native loop is.

    Nothing where the peers have only one idiom: the table tells it.
    """
    ours = case.best(ours=True, idiom=Idiom.MANY) or case.best(ours=True)
    peers = [case.best(ours=False, idiom=idiom) for idiom in Idiom]
    if ours is None or None in peers:
        return
    for peer in filter(None, peers):
        ratio = peer.median / ours.median
        yield f"{case.title}: {ours.label} is {ratio:.2f} times as fast as {peer.label} ({peer.idiom.value})."


def agreements(rung: RungResult) -> Iterator[str]:
    """Say how closely everybody agrees in each view of the values, over all cases and rounds."""
    found: dict[tuple[str, float], float] = {}
    for each in (a for case in rung.cases if len(case.timings) > 1 for a in case.agreements):
        key = each.what, each.bound
        found[key] = max(found.get(key, 0.0), each.found)
    for (what, bound), difference in found.items():
        yield f"Everybody agrees in {what}: the largest difference is {difference:.0e} of {bound:.0e} allowed."


def share(case: CaseResult, timing: Timing, limits: Limits) -> float | None:
    """Give the part of the machine's limit that is reached; None where the machine has no such limit."""
    rate = case.work / timing.median
    match case.unit:
        case Unit.FLOPS:
            return rate / limits.peak_of(case.threads)
        case Unit.BYTES:
            return rate / limits.copy
    return None


def rate_text(case: CaseResult, timing: Timing) -> str:
    """Write work a second."""
    rate = case.work / timing.median
    return f"{rate:.0f} {case.unit.value}" if case.unit is Unit.STEPS else f"{rate / 1e9:.1f} {case.unit.value}"


def seconds_text(seconds: float) -> str:
    """Write a time with three digits.

    >>> [seconds_text(s) for s in (3.333e-6, 0.000957, 0.0123, 2.5)]
    ['3.33 us', '957 us', '12.3 ms', '2.5 s']
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def as_json(where: Surroundings, limits: Limits, rungs: Sequence[RungResult]) -> str:
    """Write everything as data: every time of everyone, in seconds."""
    data = {"surroundings": where, "limits": limits, "rungs": list(rungs)}
    return json.dumps(data, default=_plain, indent=1) + "\n"


def _rows(case: CaseResult, limits: Limits) -> Iterator[tuple[str, ...]]:
    peer = case.best(ours=False)
    for timing in sorted(case.timings, key=lambda t: t.median):
        part = share(case, timing, limits)
        yield (
            case.title,
            timing.label,
            seconds_text(timing.median),
            rate_text(case, timing),
            "" if part is None else f"{part:.0%}",
            "" if peer is None else f"{peer.median / timing.median:.2f}",
        )


def _left_out(case: CaseResult) -> Iterator[str]:
    yield from (f"{case.title}: left out: {reason}" for reason in case.left_out)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
