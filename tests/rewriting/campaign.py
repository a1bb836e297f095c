"""The campaign: rules in turn, a program for each, its checks, and a count of what fired.

In: seeds. Out: faults, each with its seed and its program; how often each rule fired, by dtype. It must not know how
programs are drawn or judged.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rewriting.aim import DTYPES, aimed, around
from rewriting.judge import KINDS, fault
from rewriting.operands import environment
from rewriting.source import written
from symgrad.errors import IndexRangeError, ShapeError
from symgrad.expr import Expr, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.rewrite import Context, Rule, RuleClass
from symgrad.simplifier import simplify

TRIES = 12


@dataclass
class Tally:
    """How often each rule met a program of a dtype, and fired."""

    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    fired: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Fault:
    """What went wrong, where."""

    seed: int
    rule: str
    what: str
    program: str

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.rule}: {self.what}\n{self.program}"


def tried(one: Rule, seed: int, tally: Tally) -> Iterator[Fault]:
    """Draw one program for a rule, and check it; seeds mean the same whatever other rules there are."""
    rng = random.Random(f"{one.name} {seed}")
    dtype = rng.choice(("float64", "float32", rng.choice(DTYPES)))
    drawn = (aimed(one, rng, dtype) for _ in range(TRIES))
    before = next((x for x in drawn if x is not None and small(x)), None)
    if before is None:
        return
    tally.met[one.name, dtype] += 1
    yield from by_rule(seed, one, before, rng, tally, dtype)
    yield from by_all(seed, one, around(before, rng), rng)


def small(x: Expr) -> bool:
    return all(getattr(node.type, "rank", 0) <= 5 for node in topological([x]))


def by_rule(seed: int, one: Rule, before: Expr, rng: random.Random, tally: Tally, dtype: str) -> Iterator[Fault]:
    """Apply the rule alone, perhaps where others need some of the operands whole."""
    if before.op not in one.ops:
        return
    inner = [node for node in topological([before])[:-1] if node.args]
    some = {id(node) for node in inner if rng.random() < 0.15}
    quotients = {(id(q.args[0]), id(q.args[1])): q for q in inner if q.op == "divide" and q.args[1].ndim}
    ready = Context(quotients=quotients)
    context = rng.choice((Context(), ready, ready, Context(kept=some), Context(shared=some)))
    try:
        after = one.apply(before, context)
    except Exception as error:  # whatever it is, a rule that raises stops the simplifier
        yield Fault(seed, one.name, f"raised {error!r}", written({"before": before}, {}))
        return
    if after is None or after is before:
        return
    tally.fired[one.name, dtype] += 1
    yield from judged(seed, one.name, one.kind, before, after, {"after": after})


def judged(
    seed: int, name: str, kind: RuleClass, before: Expr, after: Expr, also: dict[str, Expr], taken: Expr | None = None
) -> Iterator[Fault]:
    """Compare values at several points."""
    numbers = np.random.default_rng(seed)
    points = [(values, False) for values in (*KINDS[kind], KINDS[kind][-1])]
    for values, misplaced in points if taken is not None else [*points, ("tame", True)]:
        env = environment(before, numbers, values, misplaced)
        try:
            if taken is not None:
                env = replaced(taken, env, numbers)
            what = fault(kind, before, after, env, values == "tame")
        except (ShapeError, IndexRangeError, ValueError):  # the node has no value here
            continue
        except Exception as error:
            what = f"evaluation raised {error!r}"
        if what is not None:
            yield Fault(seed, name, f"{what} ({values}, {kind})", written({"before": before, **also}, env))
            return


def replaced(taken: Expr, env: Mapping[Any, Any], numbers: np.random.Generator) -> dict[Any, Any]:
    """Give a node a value that has nothing to do with its operands."""
    value = np.nan_to_num(evaluate(taken, env, dtype=None), posinf=2, neginf=-2)
    return {**env, taken: numbers.permutation(value.ravel()).reshape(value.shape)}


def by_all(seed: int, one: Rule, before: Expr, rng: random.Random) -> Iterator[Fault]:
    """Simplify the whole: values, normal form, order of operands, and with a node that has to stay."""
    name = f"simplify, aimed at {one.name}"
    try:
        after = simplify(before)
        again = simplify(after)
        swapped = simplify(mirrored(before, rng))
    except Exception as error:
        yield Fault(seed, name, f"raised {error!r}", written({"before": before}, {}))
        return
    yield from judged(seed, name, RuleClass.REAL, before, after, {"after": after})
    if again is not after:
        yield Fault(seed, name, "not normal", written({"before": before, "after": after, "again": again}, {}))
    if swapped is not after:
        yield Fault(seed, name, "hangs on the order of operands", written({"after": after, "swapped": swapped}, {}))
    inner = [node for node in topological([before])[:-1] if node.args]
    if inner:
        taken = rng.choice(inner)
        try:
            free = simplify(before, wrt=[taken])
        except Exception as error:
            yield Fault(seed, f"{name}, wrt", f"raised {error!r}", written({"before": before, "wrt": taken}, {}))
            return
        yield from judged(
            seed, f"{name}, wrt", RuleClass.REAL, before, free, {"after": free, "wrt": taken},
            taken if taken.dtype.is_float else None,
        )  # fmt: skip


def mirrored(root: Expr, rng: random.Random) -> Expr:
    """Exchange the operands of commutative operators at random."""
    new: dict[Expr, Expr] = {}
    for node in topological([root]):
        args = [new[a] for a in node.args]
        if len(args) == 2 and ROWS[node.op].commutative and rng.random() < 0.5:
            args.reverse()
        new[node] = node if not args else ROWS[node.op](*args, **node.attrs)
    return new[root]
