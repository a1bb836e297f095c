"""One session of measurements: the machine's limits, the rungs, each printed as soon as it is measured, limits again.

    python -m benchmarks.session [rung ...] [--repetitions=5] [--quick] [--to=build/bench]

`python -m benchmarks` starts this with the same number of threads for every library.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ours, peers
from benchmarks.chart import bar_chart
from benchmarks.measure import PAUSE, measure
from benchmarks.memory import with_memory
from benchmarks.report import as_json, foot, head, markdown, rung_text
from benchmarks.rungs import RUNGS
from benchmarks.surroundings import afterwards, limits, surroundings


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare symgrad with its peers.")
    parser.add_argument("rungs", nargs="*", metavar="rung", help=f"some of {', '.join(RUNGS)}; without any, all")
    parser.add_argument("--repetitions", type=int, default=5, help="how often everybody runs (5)")
    parser.add_argument("--quick", action="store_true", help="see that everything runs and agrees: times mean nothing")
    parser.add_argument("--threads", type=int, default=0, help="how many threads (as many as there are processors)")
    parser.add_argument("--to", type=Path, default=Path("build/bench"), help="where files are written (build/bench)")
    chosen = parser.parse_args(given)
    unknown = [name for name in chosen.rungs if name not in RUNGS]
    if unknown:
        parser.error(f"there is no rung {unknown[0]!r}; there are {', '.join(RUNGS)}")
    if chosen.repetitions < 1 or chosen.threads < 0:
        parser.error("repetitions are 1 or more, threads 0 or more")
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    chosen = arguments(given)
    where, reached = surroundings(), limits(chosen.quick)
    print(head(where, reached), flush=True)
    modules = [ours, *peers.installed()]
    results = []
    for name in chosen.rungs or RUNGS:
        rung = RUNGS[name](chosen.quick)
        timed = measure(rung, modules, chosen.repetitions, 0.0 if chosen.quick else PAUSE)
        results.append(with_memory(timed, rung, modules, chosen.quick))
        print(f"\n{rung_text(results[-1], reached)}", flush=True)
    after = afterwards(chosen.quick)
    print(f"\n{foot(reached, results, after)}")
    chosen.to.mkdir(parents=True, exist_ok=True)
    texts = {
        "benchmark.md": markdown(where, reached, results, after),
        "benchmark.json": as_json(where, reached, results, after),
        "benchmark.svg": bar_chart(results),
    }
    for name, text in texts.items():
        (chosen.to / name).write_text(text, encoding="utf8")
    print(f"Written: {', '.join(str(chosen.to / name) for name in texts)}.")


if __name__ == "__main__":
    main()
