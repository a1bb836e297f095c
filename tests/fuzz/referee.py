"""Compare a graph's compiled results with the oracle's, within computed bounds, and bitwise among ways to compile it.

In: inputs with the way to draw them, outputs, updates, what are gradients of what. Out: a `Report` of how much was
compared, or a `MismatchError`. Four comparisons, each with a kind of its own:

    value       compiled = the simplified graph in float64, within the bound of rounding in its own types
    simplify    the simplified graph = the graph as it was built, both in float64, within the bounds of both
    derivative  gradient graphs = the gradients of an independent tape, within the bound of rounding
    bits        the same bits from every variant, thread count, memory layout, and on poisoned memory

Rewriting keeps what is finite, no more: it may take one way to an infinity for another. Gradients are compared where
the oracle's are finite; where inputs are wild, where both are: either has an answer at some poles, and the other none.
Of a loss that is no number nobody needs a gradient: NaN, by a pattern of zeros, may stand where the oracle's is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from layouts import LAYOUTS
from oracle.bound import bounded
from oracle.tape import gradients as taped

import symgrad as sg
from fuzz.program import Built, Gradient, Program
from fuzz.variants import BASE, named, prepared
from symgrad.boundary import bind_shapes
from symgrad.errors import SymgradError
from symgrad.expr import Expr, Parameter, topological
from symgrad.interpreter import evaluate
from symgrad.ops.body import inline
from symgrad.options import Options
from symgrad.shape import evaluate as size_value
from symgrad.simplifier import simplify

Arrays = list[np.ndarray]
Bounded = Sequence[tuple[np.ndarray, np.ndarray]]
Sizes = Mapping[str, int]
SAME_VALUES = [name for name in LAYOUTS if name not in ("size 0", "size 1", "broadcast", "overlapping")]


class MismatchError(AssertionError):
    """A difference; `kind` says of what."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass
class Report:
    """How many elements were compared, and how many of them rounding leaves undecided."""

    elements: int = 0
    undecided: int = 0
    refused: int = 0  # calls that rightly raised an error


def compare(
    inputs: Sequence[tuple[Expr, Callable[[int, int], np.ndarray]]], outputs: Any, *,
    updates: Sequence[tuple[Parameter, Expr]] = (), gradients: Sequence[tuple[Expr, Expr, Expr]] = (),
    sizes: Sequence[Sizes], variants: Sequence[str] = (), wild: bool = False,
) -> Report:  # fmt: skip
    """Compare everything of one graph; each of `gradients` is (loss, by what, node)."""
    flat = _flat(outputs)
    stated = [Gradient(*g) for g in gradients]
    built = Built([x for x, _ in inputs], flat, outputs, list(updates), stated)
    runs = [(s, [np.asarray(draw(s["N"], s["M"])) for _, draw in inputs]) for s in sizes]
    return referee(built, runs, variants, wild)


def check(program: Program, variants: Sequence[str]) -> Report:
    """Compare everything of one program."""
    built = program.build()
    return referee(built, [(s, program.arrays(s)) for s in program.sizes], variants, program.wild)


def _flat(structure: Any) -> list[Expr]:
    if isinstance(structure, Expr):
        return [structure]
    return [e for part in (structure.values() if isinstance(structure, dict) else structure) for e in _flat(part)]


def referee(built: Built, runs: Sequence[tuple[Sizes, Arrays]], variants: Sequence[str], wild: bool) -> Report:
    """Compile the graph in every way and compare what the runs give; parameters are left as they were."""
    report = Report()
    subject = Subject(built, {p: p.value for p, _ in built.updates}, inline(built.roots))
    with prepared():
        subject.referee(runs, variants, wild, report)
    return report


def poisoned(compiled: sg.Function) -> sg.Function:
    """Give a function that runs the same code between unmapped pages, on memory filled with patterns."""
    twin = object.__new__(sg.Function)
    twin.__dict__.update(compiled.__dict__, _plans={}, executable=replace(compiled.executable, poison=True))
    return twin


@dataclass
class Subject:
    """A graph that is compiled in several ways: with the values that parameters begin with, and its inlined roots."""

    built: Built
    start: dict[Parameter, np.ndarray]
    roots: list[Expr]

    def compile(self, options: Options) -> sg.Function:
        return sg.function(self.built.inputs, self.built.structure, updates=self.built.updates, options=options)

    def referee(
        self, runs: Sequence[tuple[Sizes, Arrays]], variants: Sequence[str], wild: bool, report: Report
    ) -> None:
        """Compile in every way, run on all inputs, compare everything."""
        compiled = self.compile(BASE)
        guarded = poisoned(compiled)  # goes first: a kernel that leaves its buffers is stopped before it does harm
        others = {name: self.compile(named(name)) for name in variants}
        try:
            for number, (sizes, arrays) in enumerate(runs):
                got = self.call(guarded, arrays)
                same(got, self.call(compiled, arrays), f"not poisoned, {sizes}")
                self.against_oracle(got, arrays, f"{sizes}", wild, report)
                for threads in (1, 2, 3):
                    compiled._threads = threads
                    same(got, self.call(compiled, arrays), f"{threads} threads, {sizes}")
                for name, other in others.items():
                    same(got, self.call(other, arrays), f"{name}, {sizes}")
                self.at_the_boundary(compiled, got, arrays, number)
        finally:
            self.reset()

    def reset(self) -> None:
        for parameter, value in self.start.items():
            parameter.value = value

    def call(self, function: sg.Function, arrays: Sequence[Any], out: Any = None) -> Arrays | str:
        """Call the function twice from the parameters' first values: results and new values, or the error's name."""
        self.reset()
        results: Arrays = []
        for _ in range(2 if self.start else 1):
            try:
                outputs = function(*arrays, out=out)
            except SymgradError as error:
                if not results and any(p.value.tobytes() != v.tobytes() for p, v in self.start.items()):
                    raise MismatchError("error", "an error changed a parameter") from error
                return type(error).__name__
            results += [np.array(o) for o in _leaves(outputs)]
            results += [p.value for p, _ in self.built.updates]
        return results

    # -- against the oracle ----------------------------------------------------------------------------------------

    def against_oracle(self, got: Arrays | str, arrays: Arrays, what: str, wild: bool, report: Report) -> None:
        self.reset()
        env = dict(zip(self.built.inputs, arrays, strict=True))
        try:
            evaluate(self.roots, env)
        except SymgradError as error:
            report.refused += 1
            if not isinstance(got, str):  # where several things are wrong, either may be named
                raise MismatchError("error", f"{what}: the interpreter says {error!r}, compiled {got}") from None
            return
        if isinstance(got, str):
            raise MismatchError("error", f"{what}: compiled raises {got}")
        simple = simplify(self.roots)
        after = bounded(simple, env)
        for k, (node, found, (value, bound)) in enumerate(zip(self.roots, got, after, strict=False)):
            if found.dtype != node.dtype.numpy or found.shape != np.shape(value):
                raise MismatchError("value", f"{what}: result {k} is {found.dtype}{found.shape}, not {node.type}")
            report.elements += found.size
            report.undecided += int(np.isinf(bound).sum())
            within("value", f"{what}: result {k}", found, value, bound)
        self._rewritten([a is not b for a, b in zip(self.roots, simple, strict=True)], after, env, what, wild)
        self._derived(env, what, wild)

    def _rewritten(self, changed: list[bool], after: Bounded, env: Any, what: str, wild: bool) -> None:
        """Compare the graph as it was given with the simplified one, which may have rounded constants.

        One deviation is known: a factor that is no number (a mean of nothing, or made of wild inputs) may be moved out
        of a sum of nothing or a pattern of zeros, and makes NaN of 0, or of what the 0 is added to beside such a sum.
        What is made of that 0, and of integers and choices made of such a float, is then open, too.
        """
        rewritten = [k for k, is_other in enumerate(changed) if is_other]
        is_empty = self._is_empty(env)
        before = bounded([self.roots[k] for k in rewritten], env, rewritten=wild)
        for k, (value, bound) in zip(rewritten, before, strict=True):
            other, other_bound = after[k]
            room = np.where(np.isfinite(value), bound + other_bound, np.inf)  # nothing is promised of the others
            if wild or is_empty:
                room = np.where(np.isnan(other) & (is_empty | (value == 0)), np.inf, room)
            within("simplify", f"{what}: result {k}", other, value, room)

    def _is_empty(self, env: Any) -> bool:
        """Tell whether some node has no elements."""
        sizes = bind_shapes({x: a.shape for x, a in env.items()})
        shapes = {n.shape for n in topological(self.roots)}
        return any(size_value(size, sizes) == 0 for shape in shapes for size in shape)

    def _derived(self, env: Any, what: str, wild: bool) -> None:
        """Compare gradient graphs with the oracle's gradients, within what rounding to float32 might do.

        Both are computed in float64, by different operations: the bound for the graph in float32 has room for any
        order of operations that is not absurd, and none for a wrong formula.
        """
        for loss in dict.fromkeys(g.loss for g in self.built.gradients):
            mine = [g for g in self.built.gradients if g.loss is loss]
            values = bounded([g.node for g in mine], env, "float32")
            tape = taped(loss, [g.wrt for g in mine], env)
            is_number = bool(np.isfinite(evaluate(loss, env)).all())
            for k, ((value, bound), want) in enumerate(zip(values, tape, strict=True)):
                is_defined = np.isfinite(want) & (np.isfinite(value) if wild else True)
                room = np.where(is_defined, bound, np.inf)
                room = np.where(np.isnan(value) & (not is_number), np.inf, room)
                within("derivative", f"{what}: gradient {k}", value, want, room)

    # -- at the boundary -------------------------------------------------------------------------------------------

    def at_the_boundary(self, compiled: sg.Function, got: Arrays | str, arrays: Arrays, number: int) -> None:
        """Pass the same values in another layout, and take the results into the caller's arrays."""
        layout = SAME_VALUES[(number + sum(a.size for a in arrays)) % len(SAME_VALUES)]
        views = [LAYOUTS[layout](a) if a.ndim else a for a in arrays]
        same(got, self.call(compiled, views), layout)
        if compiled._outputs.is_distinct and not isinstance(got, str):
            fresh = iter([np.empty_like(a) for a in got[: len(self.built.outputs)]])
            same(got, self.call(compiled, arrays, _like(self.built.structure, fresh)), "out=")


def _leaves(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        structure = list(structure.values())
    return [a for part in structure for a in _leaves(part)] if isinstance(structure, list | tuple) else [structure]


def _like(structure: Any, arrays: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _like(part, arrays) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(_like(part, arrays) for part in structure)
    return next(arrays)


# -- elements ------------------------------------------------------------------------------------------------------


def within(kind: str, what: str, got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> None:
    """Raise MismatchError where an element lies further away than its bound, or is of another class."""
    got, want = np.asarray(got), np.asarray(want)
    with np.errstate(all="ignore"):
        off = np.abs(np.subtract(got, want, dtype=np.float64))
        right = (got == want) | ((got != got) & (want != want)) | (off <= bound) | np.isinf(bound)
    if not right.all():
        at = tuple(int(i) for i in np.argwhere(~right)[0])
        found = f"{got[at]} instead of {want[at]}, allowed {np.broadcast_to(bound, got.shape)[at]:.3g}"
        raise MismatchError(kind, f"{what}: {np.sum(~right)} of {right.size} elements are off; at {at}: {found}")


def same(got: Arrays | str, other: Arrays | str, what: str) -> None:
    """Raise MismatchError unless all bits are the same; any NaN is as good as another."""
    if isinstance(got, str) or isinstance(other, str):
        if not (isinstance(got, str) and got == other):
            raise MismatchError("error", f"{what}: {_short(got)} and {_short(other)}")
        return
    for k, (a, b) in enumerate(zip(got, other, strict=True)):
        if a.tobytes() == b.tobytes():
            continue
        equal = (a == b) & (np.signbit(a) == np.signbit(b)) if a.dtype.kind == "f" else a == b
        equal |= (a != a) & (b != b)
        if not equal.all():
            at = tuple(int(i) for i in np.argwhere(~equal)[0])
            found = f"{np.sum(~equal)} of {a.size} elements, at {at}: {a[at]!r} and {b[at]!r}"
            raise MismatchError("bits", f"{what}: result {k} has other bits: {found}")


def _short(result: Arrays | str) -> str:
    return result if isinstance(result, str) else f"{len(result)} results"
