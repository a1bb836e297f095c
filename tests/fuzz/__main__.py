"""Fuzz: `python -m fuzz FIRST COUNT [--seconds=S] [--log=FILE] [--workers=W] [--size=K]` in tests/.

Prints `seed N` for a program that shows a difference, and the smallest program found that shows it, to be pasted into
`fuzz/regressions/`. Without a log the first difference ends the run. With one, all seeds are tried, and a run that was
broken off goes on where it was: the log has a line of JSON for every range of seeds done. Exit status 0: no difference.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fuzz.program import Program
from fuzz.shrink import shrunk
from fuzz.templates import generate
from fuzz.worker import Verdict, Worker, chosen

BATCH = 20  # seeds that one line of the log tells of
FRESH = 50  # one of so many programs is compiled again by a fresh process
VARIANTS = 2
SHRINKING = 120.0  # seconds


def counted(verdict: Verdict) -> Counter[str]:
    """Count elements and those that rounding leaves undecided, those of wild inputs by themselves."""
    kind = "wild " if verdict.is_wild else ""
    numbers = {f"{kind}elements": verdict.elements, f"{kind}undecided": verdict.undecided, "refused": verdict.refused}
    return Counter(numbers)


class Run:
    """One run over a range of seeds: what is left to do, and what was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.end = time.monotonic() + options.seconds if options.seconds else None
        self.lock = threading.Lock()
        self.found = self.tried = 0
        self.total = Counter[str]()
        self.log = Path(options.log) if options.log else None
        self.batches = self._left()
        self.is_over = False

    def _left(self) -> Iterator[range]:
        done: set[int] = set()
        if self.log is not None and self.log.exists():
            for line in self.log.read_text(encoding="utf8").splitlines():
                done |= set(range(*json.loads(line)["seeds"]))
        for first in range(self.options.first, self.options.first + self.options.count, BATCH):
            batch = range(first, min(first + BATCH, self.options.first + self.options.count))
            if not done.issuperset(batch):
                yield batch

    def work(self) -> None:
        """Do batches until none is left or time is over."""
        worker = Worker()
        while not self.is_over:
            with self.lock:
                batch = next(self.batches, None)
            if batch is None:
                break
            self._batch(worker, batch)
        worker.close()

    def _batch(self, worker: Worker, batch: range) -> None:
        started, failures, total = time.time(), [], Counter[str]()
        for seed in batch:
            if self.is_over or (self.end is not None and time.monotonic() > self.end):
                self.is_over = True
                return  # a batch that is not finished is done again
            verdict = self._one(worker, seed)
            total += counted(verdict)
            with self.lock:
                self.tried += 1
            if verdict.kind:
                failures.append({"seed": seed, "kind": verdict.kind, "message": verdict.message.splitlines()[0]})
                self._report(worker, seed, verdict)
        seconds = round(time.time() - started, 1)
        entry = {"seeds": [batch.start, batch.stop], **total, "failures": failures, "seconds": seconds}
        with self.lock:
            self.total += total
            if self.log is not None:
                with self.log.open("a", encoding="utf8") as file:
                    file.write(json.dumps(entry) + "\n")

    def _one(self, worker: Worker, seed: int) -> Verdict:
        size = self.options.size
        verdict = worker.ask("seed", seed, size, VARIANTS)
        if not verdict.kind and seed % FRESH == 0:
            own = worker.ask("digest", seed, size)
            with tempfile.TemporaryDirectory() as cache:
                others = [self._fresh(seed, cache) for _ in ("compiles everything", "finds it compiled")]
            if any(other != own for other in others):
                return Verdict("fresh", f"fresh processes have other code, or compute other bits: {own} {others}")
        return verdict

    def _fresh(self, seed: int, cache: str) -> Verdict:
        fresh = Worker(f"{cache}/objects")
        found = fresh.ask("digest", seed, self.options.size)
        fresh.close()
        return found

    def _report(self, worker: Worker, seed: int, verdict: Verdict) -> None:
        with self.lock:
            self.found += 1
            print(f"---- seed {seed}\n{verdict.message}", flush=True)
            if self.log is None:
                self.is_over = True
        if verdict.kind in ("generate", "fresh", "no end"):
            return
        program = generate(seed, self.options.size)
        variants = chosen(program, VARIANTS)
        fails = lambda p: worker.ask("program", p, variants).kind == verdict.kind  # noqa: E731
        smallest = shrunk(program, fails, SHRINKING)
        variants = _fewest(worker, smallest, variants, verdict.kind)
        message = worker.ask("program", smallest, variants).message
        with self.lock:
            print(f"---- the smallest program found for seed {seed}\n{smallest.text(variants, message)}", flush=True)


def _fewest(worker: Worker, program: Program, variants: tuple[str, ...], kind: str) -> tuple[str, ...]:
    for few in ((), *((v,) for v in variants)):
        if worker.ask("program", program, few).kind == kind:
            return few
    return variants


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--log")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int)
    run = Run(parser.parse_args(arguments))
    started = time.time()
    threads = [threading.Thread(target=run.work) for _ in range(run.options.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{run.found} of {run.tried} programs differ, {time.time() - started:.0f} s")
    for kind in ("", "wild "):
        elements = run.total[f"{kind}elements"]
        share = run.total[f"{kind}undecided"] / max(elements, 1)
        print(f"{kind}inputs: {elements} elements compared, {share:.2%} of them undecided")
    return int(run.found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
