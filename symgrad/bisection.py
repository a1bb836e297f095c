"""Bisection: the first pass or kernel whose result differs from the referee.

In: what a compiled function was made from (inputs, roots before and after simplification, its program) and arrays.
Out: one line that names the culprit, None if every stage agrees. The graph is evaluated by the NumPy interpreter after
each pass over graphs; then the program runs once on memory of its own (see `codegen.poison`), where every stored value
stays to be compared; a kernel that is wrong is run by the interpreter of the loop IR, which tells lowering from code.

`SYMGRAD_BISECT=1` does this before each call of a compiled function, and writes to standard error. Slow: for the
search of an error in symgrad itself.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from codegen import meaning
from codegen.expand import expand
from codegen.ir import Access
from codegen.kernel import bind
from codegen.pipeline import Compiled
from codegen.step import Step
from codegen.vecmath import MATH
from symgrad.expr import Expr, Parameter
from symgrad.inspection.subject import BISECT, Subject
from symgrad.interpreter import evaluate as interpret
from symgrad.ops.body import inline
from symgrad.ops.row import label
from symgrad.shape import evaluate

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
ULPS = 4000  # of the largest element: what rounding may do to a result before it counts as different
NOISE = 50  # how many times the error of NumPy in the declared dtypes a result may have
COARSE = 2.0**-4  # of the largest element: what operands in bfloat16 may do to what a program stores
MOST_WORK = 3e6  # flops of a kernel that the interpreter of the loop IR is given


def report(name: str, subject: Subject, arrays: Sequence[np.ndarray], dims: Mapping[str, int]) -> None:
    """Write to standard error what `culprit` finds for a call."""
    found = culprit(subject, arrays, dims)
    print(f"{BISECT}: {name}: {found or 'every stage agrees with the referee'}", file=sys.stderr)


def culprit(subject: Subject, arrays: Sequence[np.ndarray], dims: Mapping[str, int]) -> str | None:
    """Name the first stage that changes a value; None if there is none.

    Raise what the interpreter raises for input that it refuses.
    """
    env = dict(zip(subject.symbols, arrays, strict=True))
    want = _Wanted(subject.given, env)
    passes = (("simplify", subject.simplified), ("inline", inline(subject.simplified)),
              ("expand", expand(inline(subject.simplified))))  # fmt: skip
    for stage, roots in passes:
        wrong = want.first_wrong(interpret(list(roots), env, dtype=None))
        if wrong is not None:
            return f"{stage} changes the value of {label(subject.given[wrong])}"
    return _wrong_step(subject.compiled, env, arrays, dims)


class _Wanted:
    """Values that nodes must have, and how far rounding may move them."""

    def __init__(self, nodes: Sequence[Expr], env: Mapping[Expr, Any], least: float = 0.0) -> None:
        self.nodes, self.least = list(nodes), least
        self.exact = interpret(self.nodes, env)
        self.rounded = interpret(self.nodes, env, dtype=None)

    def first_wrong(self, values: Sequence[Any]) -> int | None:
        """Give the position of the first value that is not what it must be."""
        for k, value in enumerate(values):
            if not self.agrees(k, np.asarray(value)):
                return k
        return None

    def agrees(self, k: int, value: np.ndarray) -> bool:
        """Tell whether a value of the k-th node is right."""
        exact, rounded = np.asarray(self.exact[k]), np.asarray(self.rounded[k])
        dtype = self.nodes[k].dtype
        if not dtype.is_float:
            return np.array_equal(value, rounded)
        finite = np.isfinite(exact) & np.isfinite(rounded)
        with np.errstate(all="ignore"):
            noise = np.max(np.abs(exact - rounded), initial=0, where=finite)
            scale = np.max(np.abs(exact), initial=0, where=finite)
            off = np.abs(value - exact)
        allowed = NOISE * noise + max(self.least, ULPS * EPS[str(dtype)]) * scale
        return bool((np.where(finite, off, 0) <= allowed).all() and (np.isfinite(value) | ~finite).all())


def _wrong_step(
    compiled: Compiled, env: Mapping[Expr, Any], arrays: Sequence[np.ndarray], dims: Mapping[str, int]
) -> str | None:
    """Run the program where every value stays, and name the first kernel that stores a wrong one."""
    bound = bind(replace(compiled.executable, poison=True), dims)
    assert bound.fences is not None
    old = {p: p.value for p in compiled.parameters}
    bound.fences.dry_run(bound.table, [a.ctypes.data for a in arrays])
    memory = {
        operand: fence.bytes.view(operand.dtype.numpy).reshape([evaluate(n, dims) for n in operand.shape])
        for operand, fence in bound.fences.memory.items()
    }
    for number, step in enumerate(compiled.steps):
        stored = [o for o in step.stored if isinstance(o, Expr) and o not in compiled.flags]
        want = _Wanted(stored, env, COARSE if compiled.machine.has_dot else 0.0)
        places = [memory[compiled.updated.get(o, o)] for o in stored]
        wrong = want.first_wrong(places)
        if wrong is not None:
            where = (
                f"launch {number} of {len(compiled.steps)}, {step.kernel.name}, stores a wrong {label(stored[wrong])}"
            )
            return f"{where}: {_blame(compiled, step, memory, old, dims)}"
    return None


def _blame(
    compiled: Compiled, step: Step, memory: Mapping[Any, np.ndarray], old: Mapping[Parameter, np.ndarray],
    dims: Mapping[str, int],
) -> str:  # fmt: skip
    """Say whether the loop IR of a kernel is wrong, or the code made from it."""
    if evaluate(step.cost, dims) > MOST_WORK:
        return "give smaller arrays to learn whether its loop IR or its code is wrong"
    arrays, results = [], []
    for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
        if operand in compiled.flags:
            arrays.append(np.zeros([evaluate(n, dims) for n in buffer.shape], buffer.dtype.numpy))
            continue
        place = compiled.updated.get(operand, operand) if isinstance(operand, Expr) else operand
        source = old[operand] if isinstance(operand, Parameter) else memory[place]
        arrays.append(np.array(source).reshape([evaluate(n, dims) for n in buffer.shape]))
        if buffer.access is not Access.IN:
            results.append((arrays[-1], memory[place]))
    meaning.run(step.kernel, arrays, dims, MATH)
    same = all(np.array_equal(a.ravel(), b.ravel(), equal_nan=a.dtype.kind == "f") for a, b in results)
    if same:
        return "its loop IR says so too; the error is in group, arrange or lower"
    return "its loop IR gives another value; the error is in emit, or it ran before its operands were there"
