"""Memory: what each contender of a rung takes, in a process of its own that does the work once and is not timed.

    python -m benchmarks.memory RUNG CASE MODULE HOW [--quick]

In: a measured rung, and the modules that took part. Out: the same with a `Memory` for everyone in that case of the rung
which has the most work. A process loads one library, draws the arrays that everyone shares, notes what is resident, and
only then builds, compiles and runs the one contender; the most that was resident until then is its peak. Processes that
a compiler starts beside it do not count. A copy that a library makes of the shared arrays does. Linux tells these
numbers, of the process alone; on other systems nothing is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from benchmarks.contest import OURS, Rung
from benchmarks.measure import CaseResult, Memory, RungResult
from benchmarks.rungs import RUNGS

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEAK = "VmHWM:"  # not `ru_maxrss`: a process inherits that one from whoever started it


def with_memory(result: RungResult, rung: Rung, modules: Sequence[ModuleType], quick: bool) -> RungResult:
    """Look at everybody who was timed; the same result where the system does not tell."""
    if not STATUS.exists():
        return result
    largest = max(range(len(result.cases)), key=lambda k: result.cases[k].work)
    cases = list(result.cases)
    cases[largest] = _of_case(largest, rung, cases[largest], modules, quick)
    return replace(result, cases=tuple(cases))


def _of_case(number: int, rung: Rung, case: CaseResult, modules: Sequence[ModuleType], quick: bool) -> CaseResult:
    """Ask everybody; a peer whose process fails stays without a memory, and the reason is said."""
    timings = {timing.label: timing for timing in case.timings}
    left_out = list(case.left_out)
    for module in modules:
        for contender in rung.cases[number].enter(module):
            if contender.label not in timings:
                continue
            try:
                seen = _asked(rung.name, number, module.__name__, contender.how, quick)
            except ProcessError as error:
                if contender.who == OURS:
                    raise
                left_out.append(f"the memory of {contender.label}: {error}")
                continue
            timings[contender.label] = replace(timings[contender.label], memory=seen)
    return replace(case, timings=tuple(timings.values()), left_out=tuple(left_out))


class ProcessError(Exception):
    """A process has failed; the text is its last line."""


def _asked(rung: str, case: int, module: str, how: str, quick: bool) -> Memory:
    """Start a process for one contender, and read its last line."""
    command = [sys.executable, "-m", "benchmarks.memory", rung, str(case), module, how, *["--quick"] * quick]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ProcessError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def alone(rung: str, case: int, module: ModuleType, how: str, quick: bool) -> Memory:
    """Do the work of one contender once in this process; give what that took."""
    entered = RUNGS[rung](quick).cases[case].enter(module)
    contender = next(one for one in entered if one.how == how)
    gc.collect()
    with contextlib.suppress(OSError):  # where this is forbidden, the peak of loading and drawing is what was before
        RESET.write_text("5", encoding="ascii")
    before = peak_resident()
    runner = contender.start()
    runner.run()
    return Memory(before, peak_resident(), runner.plan())


def peak_resident() -> int:
    """Give the most bytes of this process that were resident, ever or since they were reset."""
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(PEAK))


def main(given: Sequence[str] | None = None) -> None:
    """Work once, and print the numbers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("rung", choices=RUNGS)
    parser.add_argument("case", type=int)
    parser.add_argument("module")
    parser.add_argument("how")
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args(given)
    print(json.dumps(asdict(alone(told.rung, told.case, importlib.import_module(told.module), told.how, told.quick))))


if __name__ == "__main__":
    main()
