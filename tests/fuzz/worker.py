"""A process that compares programs, and is started again when compiled code ends it.

In: seeds or programs. Out: a `Verdict` each: what differs, if anything does; a crash, or no end, is a difference, too.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from codegen.objects import object_of
from fuzz.program import Program
from fuzz.referee import MismatchError, Subject, check
from fuzz.templates import generate
from fuzz.variants import fitting
from symgrad.ops.body import inline
from symgrad.options import Options

PATIENCE = 240.0  # seconds for one program


@dataclass(frozen=True)
class Verdict:
    """What comparing one program has shown; `kind` is empty where nothing differs."""

    kind: str = ""
    message: str = ""
    elements: int = 0
    undecided: int = 0
    refused: int = 0
    is_wild: bool = False
    digest: str = ""


def chosen(program: Program, number: int) -> tuple[str, ...]:
    """Choose so many of the variants that matter for a program."""
    fit = fitting(program.build().roots)
    return tuple(random.Random(program.seed).sample(fit, min(number, len(fit))))


def judged(program: Program, variants: Sequence[str]) -> Verdict:
    """Compare one program in this process."""
    try:
        report = check(program, variants)
    except MismatchError as error:
        return Verdict(error.kind, str(error))
    except Exception as error:
        return Verdict(type(error).__name__, f"{error}\n{traceback.format_exc(limit=-4)}")
    return Verdict("", "", report.elements, report.undecided, report.refused, program.wild)


def judged_seed(seed: int, size: int | None = None, number: int = 1) -> Verdict:
    """Make the program of a seed, and compare it."""
    try:
        program = generate(seed, size)
        variants = chosen(program, number)
    except Exception as error:
        return Verdict("generate", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")
    return judged(program, variants)


def digest(seed: int, size: int | None = None) -> Verdict:
    """Give a number that stands for the object code of a seed's program, and for the bits of what it computes."""
    try:
        program = generate(seed, size)
        built = program.build()
    except Exception as error:
        return Verdict("generate", f"{type(error).__name__}: {error}")
    subject = Subject(built, {p: p.value for p, _ in built.updates}, inline(built.roots))
    compiled = subject.compile(Options())  # what is checked on the way is not kept as a whole
    total = hashlib.sha256()
    for kernel in compiled.subject.compiled.kernels.values():
        total.update(object_of(kernel, compiled.subject.compiled.machine))
    for sizes in program.sizes:
        got = subject.call(compiled, program.arrays(sizes))
        for result in [got] if isinstance(got, str) else got:
            total.update(result.encode() if isinstance(result, str) else result.tobytes())
    subject.reset()
    return Verdict(digest=total.hexdigest())


TASKS = {"program": judged, "seed": judged_seed, "digest": digest}


def _serve(connection: Connection, cache: str) -> None:
    os.environ["SYMGRAD_CACHE"] = cache
    while True:
        try:
            task, arguments = connection.recv()
        except EOFError:
            return
        connection.send(TASKS[task](*arguments))


class Worker:
    """One process; `ask` starts it where none is running. It compiles everything, or what `cache` does not hold."""

    def __init__(self, cache: str = "off") -> None:
        self._cache = cache
        self._process: multiprocessing.process.BaseProcess | None = None

    def ask(self, task: str, *arguments: object) -> Verdict:
        """Let the process do a task; give a crash, or no end, as a verdict."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._connection, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self._cache), daemon=True)
            self._process.start()
            other.close()
        try:
            self._connection.send((task, arguments))
            if not self._connection.poll(PATIENCE):
                self.close()
                return Verdict("no end", f"no answer in {PATIENCE:.0f} seconds")
            answer: Verdict = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(10)
            code = self._process.exitcode
            self.close()
            return Verdict("crash", f"the process ended with status {code}")
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None
