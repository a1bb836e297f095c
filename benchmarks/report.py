"""Reports: what was measured as Markdown and as JSON.

In: the surroundings, the limits, the results of rungs. Out: texts. A row has the median of a step, how far the slowest
round is from the fastest, the rate, its share of the machine's limit (the peak of arithmetic for products, the
bandwidth of a copy for sweeps over memory), how many times as fast as the best peer it is, and the memory of a process
that does this alone: at most, and what the work adds to it. It must not know who is measured or how.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.contest import Idiom, Unit
from benchmarks.goals import verdicts
from benchmarks.measure import CaseResult, RungResult, Timing
from benchmarks.surroundings import Afterwards, Limits, Surroundings

HEADINGS = ("case", "who", "median", "spread", "rate", "of the limit", "to the best peer", "memory", "by the work")


def markdown(where: Surroundings, limits: Limits, rungs: Sequence[RungResult], after: Afterwards) -> str:
    """Write everything."""
    parts = [head(where, limits), *(rung_text(rung, limits) for rung in rungs), foot(limits, rungs, after)]
    return "\n\n".join(parts) + "\n"


def foot(limits: Limits, rungs: Sequence[RungResult], after: Afterwards) -> str:
    """Say which goals were reached, and what the machine was like when everything was measured."""
    peak, copy = (f"{rate / 1e9:.1f}" for rate in (after.limits.peak, after.limits.copy))
    told = "\n".join(f"- {line}" for line in verdicts(rungs, limits)) or "Nothing of these rungs and peers."
    machine = f"Afterwards: load averages {_loads(after.load)}; peak {peak} GFLOP/s, copy {copy} GB/s."
    return f"## What was asked\n\n{told}\n\n{machine}"


def _loads(load: Sequence[float]) -> str:
    return ", ".join(f"{n:.2f}" for n in load) or "unknown"


def head(where: Surroundings, limits: Limits) -> str:
    """Say where this was measured, and how to read the tables."""
    lines = [
        opening("Benchmark", where, limits),
        "- The limit is that peak for GFLOP/s (one thread's where a case has one), a copy's bandwidth for GB/s.",
        "- Spread: from the fastest round to the slowest, as a part of the median.",
        "- Memory: the most that is resident in a process which does this alone, once.",
        "- By the work: that memory without the library and the arrays that everyone shares; copies of these count.",
    ]
    if where.missing:
        lines.append(f"- Not installed, so not compared: {', '.join(where.missing)} (`make bench-peers`).")
    return "\n".join(lines)


def opening(title: str, where: Surroundings, limits: Limits) -> str:
    """Say where this was measured, and what the machine can do."""
    threads = f"{limits.threads} thread{'s' * (limits.threads != 1)}"
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    place = f"{where.processor} ({where.row}), {where.processors} processors, {threads}, {where.system}"
    peak, alone, copy, triad = (
        f"{rate / 1e9:.1f}" for rate in (limits.peak, limits.peak_alone, limits.copy, limits.triad)
    )
    lines = [
        f"# {title}",
        "",
        f"{where.date}: {place}. Load averages before: {_loads(where.load)}.",
        f"Python {where.python}, {versions}.",
        "",
        f"- Multiply-adds in float32 at their peak: {peak} GFLOP/s; on one thread {alone}.",
        f"- Memory: copy {copy} GB/s, triad {triad} GB/s; counted is what kernels read and write.",
    ]
    return "\n".join(lines)


def rung_text(rung: RungResult, limits: Limits) -> str:
    """Write a rung: a table, and how symgrad's best stands to the best peer in each idiom."""
    rows = [row for case in rung.cases for row in _rows(case, limits)]
    parts = [f"## {rung.name}\n\n{rung.subject}", table(HEADINGS, rows)]
    remarks = [f"- {line}" for case in rung.cases for line in (*comparisons(case), *plans(case), *_left_out(case))]
    remarks += [f"- {line}" for line in overhead(rung)]
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
    """Say how many times as fast as the best peer of an idiom symgrad is: its best against each, and like with like.

    Nothing where the peers have only one idiom: the table tells it.
    """
    many, call = (case.best(ours=True, idiom=idiom) for idiom in (Idiom.MANY, Idiom.CALL))
    peer_many, peer_call = (case.best(ours=False, idiom=idiom) for idiom in (Idiom.MANY, Idiom.CALL))
    if peer_many is None or peer_call is None:
        return
    for ours, peer in ((many, peer_call), (many, peer_many), (call, peer_call)):
        if ours is not None:
            ratio = peer.median / ours.median
            yield f"{case.title}: {ours.label} is {ratio:.2f} times as fast as {peer.label} ({peer.idiom.value})."


def overhead(rung: RungResult) -> Iterator[str]:
    """Say what Python adds to a step of symgrad, in the case with the least work, where it shows most."""
    case = min(rung.cases, key=lambda case: case.work)
    many, call = (case.best(ours=True, idiom=idiom) for idiom in (Idiom.MANY, Idiom.CALL))
    if many is not None and call is not None:
        more = call.median - many.median
        yield f"{case.title}: {call.label} takes {more * 1e6:.1f} us more than {many.label}."


def plans(case: CaseResult) -> Iterator[str]:
    """Say what a framework itself tells of the memory of a step."""
    for timing in case.timings:
        if timing.memory is not None and timing.memory.plan:
            kinds = ", ".join(f"{kind} {bytes_text(n)}" for kind, n in timing.memory.plan.items() if n)
            yield f"{case.title}: {timing.label} plans {kinds}."


def agreements(rung: RungResult) -> Iterator[str]:
    """Say how closely everybody agrees in each view of the values, over all cases and rounds."""
    found: dict[tuple[str, float], float] = {}
    for each in (a for case in rung.cases if len(case.timings) > 1 for a in case.agreements):
        key = each.what, each.bound
        found[key] = max(found.get(key, 0.0), each.found)
    for (what, bound), difference in found.items():
        yield f"Everybody agrees in {what}: the largest difference is {difference:.0e} of {bound:.0e} allowed."


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


def bytes_text(count: int) -> str:
    """Write bytes with three digits.

    >>> [bytes_text(n) for n in (0, 900, 1024, 3_290_000, 1_560_000_000)]
    ['0 B', '900 B', '1.02 kB', '3.29 MB', '1.56 GB']
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def as_json(where: Surroundings, limits: Limits, rungs: Sequence[RungResult], after: Afterwards) -> str:
    """Write everything as data: every time of everyone, in seconds, and all memory, in bytes."""
    data = {"surroundings": where, "limits": limits, "rungs": list(rungs), "afterwards": after}
    return json.dumps(data, default=plain, indent=1) + "\n"


def _rows(case: CaseResult, limits: Limits) -> Iterator[tuple[str, ...]]:
    peer = case.best(ours=False)
    for timing in sorted(case.timings, key=lambda t: t.median):
        part = limits.share(case.unit, case.work / timing.median, case.threads)
        yield (
            case.title,
            timing.label,
            seconds_text(timing.median),
            f"{timing.spread:.0%}",
            rate_text(case, timing),
            "" if part is None else f"{part:.0%}",
            "" if peer is None else f"{peer.median / timing.median:.2f}",
            "" if timing.memory is None else bytes_text(timing.memory.peak),
            "" if timing.memory is None else bytes_text(timing.memory.work),
        )


def _left_out(case: CaseResult) -> Iterator[str]:
    yield from (f"{case.title}: left out: {reason}" for reason in case.left_out)


def plain(value: Any) -> Any:
    """Give what JSON has no word for as what it has: a dataclass as its fields, a choice as its value."""
    if isinstance(value, enum.Enum):
        return value.value
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
