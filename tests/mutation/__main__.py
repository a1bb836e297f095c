"""Plant bugs one by one and see who finds them: `python -m mutation SEED [COUNT] [--near] [--workers=W]` in tests/.

Each bug is planted alone in a copy of the tree. The tests run up to the first failure; those that run the line go
first, if `python -m mutation reach` has measured which do. What passes them all is fuzzed for two minutes. Results are
appended to `mutation/results-SEED.jsonl`; a run that was broken off goes on where it was. With --near only the tests
that run the line are asked, some seconds for each bug: what passes them shows where tests are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mutation.reach import Reach, measure, named_near
from mutation.sites import ROOT, Site, all_sites

COPIED = ("symgrad", "codegen", "tests", "examples", "benchmarks", "docs", "README.md", "pyproject.toml", "Makefile")
PATIENCE = 400  # seconds of silence, more than any test takes: a bug that makes tests hang is caught
FUZZING = 120  # seconds
SAYS_NOTHING = (0, 5)  # pytest's status where all pass, or no test has the names asked for
# What looks at texts of the source and not at what it does would catch any change at all.
NOT_ASKED = ("test_architecture.py", "test_mutation.py", "test_document.py")
UNMEASURED = ("test_long_lived.py",)  # forks and threads
MEASURED = ROOT / "build" / "reach"
SLOW = ("laws", "test_bits.py", "test_compiled_rows.py", "test_fuzz.py", "test_long_lived.py", "fuzz")


def draw(sites: list[Site], seed: int, count: int) -> list[Site]:
    """Draw sites: first a kind, then a site of that kind, none twice."""
    rng = random.Random(seed)
    kinds: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        kinds[site.kind].append(site)
    drawn: list[Site] = []
    while len(drawn) < min(count, len(sites)):
        site = rng.choice(kinds[rng.choice(sorted(kinds))])
        if site not in drawn:
            drawn.append(site)
    return drawn


def judge(site: Site, workers: str, reach: Reach | None, is_short: bool = False) -> dict[str, Any]:
    """Plant one bug, and say who caught it."""
    start = time.time()
    text = (ROOT / site.file).read_text(encoding="utf8")
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, tree / name)
        (tree / site.file).write_text(site.apply(text), encoding="utf8")
        everything = _in_order(tree / "tests")
        near, names = reach.first(site) if reach else [], named_near(site, text)
        turns = [near] if near else [[*everything, "-k", names]] if names else []
        verdict, by = "escaped", ""
        for asked in turns if is_short else [*turns, [*everything, "--doctest-modules", "symgrad", "codegen"]]:
            if verdict == "escaped":
                verdict, by = _tested(tree, workers, asked)
        if verdict == "escaped" and not is_short:
            verdict, by = _fuzzed(tree)
    return {**asdict(site), "verdict": verdict, "by": by, "seconds": round(time.time() - start)}


def _in_order(tests: Path) -> list[str]:
    """List the files and folders of tests, those that take long last: most bugs are caught by a quick one."""
    found = [p for p in tests.iterdir() if p.name.startswith("test_") or any(p.glob("**/test_*.py"))]
    asked = [p for p in found if p.name not in NOT_ASKED]
    return [f"tests/{p.name}" for p in sorted(asked, key=lambda p: (p.name in SLOW, p.name))]


def _tested(tree: Path, workers: str, asked: list[str]) -> tuple[str, str]:
    command = ["pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-n", workers, *asked]
    code, output = _run(command, tree, PATIENCE)
    if code is None:
        return "tests", "no end"
    if code in SAYS_NOTHING:
        return "escaped", ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return "tests", failed[1] if failed else " ".join(output.strip().splitlines()[-1:])[:200]


def _fuzzed(tree: Path) -> tuple[str, str]:
    code, output = _run(["fuzz", "1000000", "100000", f"--seconds={FUZZING}"], tree / "tests", FUZZING + 200)
    if code == 0:
        return "escaped", ""
    seed = re.search(r"seed (\d+)", output)
    return "fuzzing", f"seed {seed[1]}" if seed else "no end" if code is None else "crash"


def _run(module: list[str], folder: Path, seconds: int) -> tuple[int | None, str]:
    """Run a module of the copy, not of the installed tree, and everything it starts, until it is silent so long."""
    path = os.pathsep.join(map(str, (folder, folder / "tests", folder.parent)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", *module], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        output = b""
        while select.select([process.stdout], [], [], seconds)[0]:
            more = os.read(process.stdout.fileno(), 1 << 16)
            if not more:
                return process.wait(), output.decode()
            output += more
        os.killpg(process.pid, signal.SIGKILL)
        return None, output.decode()


def main(seed: int, count: int, workers: str, is_short: bool) -> None:
    """Judge a draw, and say how many were caught."""
    reach = Reach(MEASURED) if MEASURED.exists() else None
    results = Path(__file__).parent / f"{'near' if is_short else 'results'}-{seed}.jsonl"
    lines = results.read_text(encoding="utf8").splitlines() if results.exists() else []
    done = {(r["file"], r["start"], r["new"]): r for r in map(json.loads, lines)}
    for number, site in enumerate(draw(all_sites(), seed, count), 1):
        key = (site.file, site.start, site.new)
        if key not in done:
            done[key] = judge(site, workers, reach, is_short)
            with results.open("a", encoding="utf8") as file:
                file.write(json.dumps(done[key]) + "\n")
        result = done[key]
        print(f"{number:3} {result['verdict']:8} {result['seconds']:4} s  {site}  {result['by']}", flush=True)
    caught = sum(r["verdict"] != "escaped" for r in done.values())
    print(f"{caught} of {len(done)} caught")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m mutation")
    parser.add_argument("seed", help="of the draw; `reach` measures which tests run which line")
    parser.add_argument("count", nargs="?", type=int, default=60)
    parser.add_argument("--near", action="store_true")
    parser.add_argument("--workers", default="2")
    given = parser.parse_args()
    if given.seed == "reach":
        measure([ROOT / file for file in _in_order(ROOT / "tests") if Path(file).name not in UNMEASURED], MEASURED)
    else:
        main(int(given.seed), given.count, given.workers, given.near)
