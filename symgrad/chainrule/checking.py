"""A derivation doubted: both sides of every step, at random points, in float64.

In: an account. Out: a report. Two questions are asked of each step. Does what comes from above times the local
derivative make the derivative that is stated? And is that what central differences give, of the values that read this
one, weighted with their own derivatives? These know no calculus; from the loss downward, where the weight is 1, they
make of every stated derivative a difference quotient of the loss. What reads a value is asked of the graph, not of the
derivation: a path that it forgot shows. Each step is small, so the check is linear in the graph (but quadratic in the
terms of one long sum, of which each has a step). It must not know how steps are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.chainrule.aliases import Aliases
from symgrad.chainrule.sampling import Point, draw
from symgrad.chainrule.steps import Account, Step, Value
from symgrad.expr import Expr, topological
from symgrad.interpreter import evaluate
from symgrad.request import flows

__all__ = ["Failure", "Report", "check_steps"]

SAME = 1e-9  # largest relative difference of two formulas for one derivative
ROUNDED = 8  # the same in units of rounding, of formulas whose numbers are products and sums of others, rounded
NEAR = 1e-5  # largest relative difference of a derivative and a difference quotient
APART = 1e-6  # how far the points of a difference quotient lie from the middle
FAINT = np.finfo(float).tiny / APART  # below, what a difference quotient is made of has lost its digits


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that does not agree, and how: `step` is its number, 0 for the rewriting of the loss."""

    step: int
    name: str
    what: str

    def __str__(self) -> str:
        return f"step {self.step} ({self.name}) fails: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found: `difference` is the largest relative one, `quotients` that to difference quotients."""

    steps: int
    points: int
    difference: float
    quotients: float
    failures: tuple[Failure, ...]

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        failed = {failure.step for failure in self.failures if failure.step}
        agree = f"{self.steps - len(failed)} of {self.steps} steps agree at {self.points} random points"
        lines = [f"checked: {agree} (largest relative difference {self.difference:.0e})"]
        lines.append(f"central differences of the loss give the same to {self.quotients:.0e}")
        return "\n".join([*map(str, self.failures), *lines])

    __repr__ = __str__


def check_steps(account: Account, points: int, seed: int, given: Mapping[Expr, Any]) -> Report:
    """Check every step at some points; see `Derivation.check`."""
    _check_number("points", points, 1)
    _check_number("seed", seed, 0)
    rng = np.random.default_rng(seed)
    trial = _Trial(account)
    for _ in range(points):
        point = draw(account.stable.node, rng, given)
        with np.errstate(all="ignore"):
            trial.at(point, rng)
    return Report(len(account.steps), points, trial.difference, trial.quotients, tuple(trial.failures.values()))


def _check_number(name: str, number: Any, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ValueError(f"check: {name} is a whole number, {least} or more, not {number!r}")


class _Trial:
    """Keeps the largest differences, and the first failure of each step."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.names = Aliases(account)
        self.difference = self.quotients = 0.0
        self.failures: dict[int, Failure] = {}
        self.readers = _readers(account)
        formulas = [value.formula for value in _formulated(account) if value.formula is not None]
        self.fixed = {f: [n for n in topological([f]) if n.args and _stops(n)] for f in formulas}
        self.below = {f: _leaves(f) for f in formulas}
        self.near = {0: _nearness(account.stable.node, [account.loss.node])}
        self.near |= {s.number: _nearness(s.gradient, [one.local for one in s.contributions]) for s in account.steps}

    def at(self, point: Point, rng: np.random.Generator) -> None:
        """Check all steps at one point."""
        account = self.account
        values = [*account.given, *(step.value for step in account.steps)]
        known = dict(zip((v.symbol for v in values), evaluate([v.node for v in values], point), strict=True))
        known.update(point)
        self._check_loss(point)
        for step in account.steps:
            stated = self._value([step.gradient], known)
            together = self._product(step, known)
            self._compare(step, stated, together)
            self._differ(step, stated, known, rng)
            known[step.upstream] = together if step.number in self.failures else stated

    def _product(self, step: Step, known: Point) -> np.ndarray:
        """Compute upstream times local derivative; a loss has the derivative 1 by itself."""
        if step.contributions:
            return self._value([one.local for one in step.contributions], known)
        is_loss = step.value.node is self.account.stable.node
        return np.full(np.shape(known[step.value.symbol]), float(is_loss))

    def _value(self, forms: Sequence[Expr], known: Point) -> np.ndarray:
        sizes = {key: number for key, number in known.items() if not isinstance(key, Expr)}
        needed = {leaf: known[leaf] for form in forms for leaf in _leaves(form)}
        found = evaluate(list(forms), {**sizes, **needed})
        return np.asarray(sum(found[1:], found[0]))

    def _check_loss(self, point: Point) -> None:
        """Compare the loss as it was given with the form that was differentiated, where the former is finite."""
        first, second = evaluate([self.account.loss.node, self.account.stable.node], point)
        if np.isfinite(first) and abs(first - second) > self.near[0] * max(abs(first), abs(second), 1):
            what = "the loss is {}, rewritten {}".format(*_told_apart(first, second))
            self.failures.setdefault(0, Failure(0, self.names.loss, what))

    def _compare(self, step: Step, stated: np.ndarray, together: np.ndarray) -> None:
        """Compare what is stated with the product, wherever that is finite."""
        finite = np.isfinite(together)
        scale = max(np.max(np.abs(together[finite]), initial=0), np.finfo(float).tiny)
        apart = np.abs(np.where(finite, stated - together, 0))
        worst = float(np.max(apart, initial=0) / scale) if np.isfinite(apart).all() else np.inf
        self.difference = max(self.difference, worst)
        if worst > self.near[step.number]:
            place = np.unravel_index(np.argmax(np.nan_to_num(apart, nan=np.inf)), apart.shape)
            first, second = _told_apart(stated[place], together[place])
            what = f"it states {first} where upstream times local derivative is {second}"
            self._fail(step, what)

    def _differ(self, step: Step, stated: np.ndarray, known: Point, rng: np.random.Generator) -> None:
        """Compare the stated derivative, along a random direction, with a central difference."""
        value = step.value
        readers = self.readers.get(value.symbol, ())
        if value.node is self.account.stable.node or any(self._has_own_rule(reader) for reader in readers):
            return
        direction = rng.normal(size=np.shape(known[value.symbol]))
        base = known[value.symbol]
        frozen = {reader: self._frozen(reader, known) for reader in readers}
        high, low = (self._weighted(frozen, known, value, base + h * direction) for h in (APART, -APART))
        quotient = (high - low) / (2 * APART)
        slope, scale = float(np.sum(stated * direction)), float(np.sum(np.abs(stated * direction)))
        noise = 8 * np.finfo(float).eps * max(abs(high), abs(low)) / APART + FAINT
        off = abs(quotient - slope)
        if scale > FAINT:
            self.quotients = max(self.quotients, off / scale)
        if not off <= NEAR * max(scale, abs(quotient)) + noise:
            self._fail(step, f"the derivative along a random direction is {quotient:.6g}, not {slope:.6g}")

    def _has_own_rule(self, reader: Value) -> bool:
        """Tell whether a formula has a function whose derivative is not to be what calculus says."""
        assert reader.formula is not None
        return any(node.op == "custom" for node in topological([reader.formula]))

    def _frozen(self, reader: Value, known: Point) -> Point:
        """Give what a reader's formula reads, and the values in it that no derivative passes through."""
        formula = reader.formula
        assert formula is not None
        sizes = {key: number for key, number in known.items() if not isinstance(key, Expr)}
        env: Point = {**sizes, **{leaf: known[leaf] for leaf in self.below[formula]}}
        fixed = self.fixed[formula]
        return {**env, **dict(zip(fixed, evaluate(fixed, env), strict=True))} if fixed else env

    def _weighted(self, frozen: Mapping[Value, Point], known: Point, value: Value, moved: np.ndarray) -> float:
        """Add up the values that read this one, each times its own derivative."""
        total = 0.0
        for reader, env in frozen.items():
            result = evaluate(reader.formula, {**env, value.symbol: moved})
            weight = self._weight(reader, known)
            total += float(np.sum(np.where(np.equal(weight, 0), 0, weight * result)))  # where nothing counts may be NaN
        return total

    def _weight(self, reader: Value, known: Point) -> Any:
        if reader is self.account.stable:
            return 1.0
        return known[self.names.upstream_of(reader)]

    def _fail(self, step: Step, what: str) -> None:
        name = f"d {self.names.loss} / d {self.names.of(step.value)}"
        self.failures.setdefault(step.number, Failure(step.number, name, what))


def _stops(node: Expr) -> bool:
    """Tell whether no derivative passes a node, although its value may vary."""
    return node.op == "stop_gradient" or not flows(node)


def _nearness(form: Expr, others: Sequence[Expr]) -> float:
    """Give how far formulas may lie apart: more if rewrites computed numbers, which are rounded to the dtype."""
    if _numbers([form]) == _numbers(others):
        return SAME
    return max(SAME, ROUNDED * float(np.finfo(form.dtype.numpy).eps))


def _numbers(forms: Iterable[Expr]) -> set[Expr]:
    return {node for node in topological(forms) if node.op in ("constant", "buffer")}


def _told_apart(first: Any, second: Any) -> tuple[str, str]:
    """Write two numbers with as many digits as show that they differ."""
    pairs = ((f"{first:.{digits}g}", f"{second:.{digits}g}") for digits in (6, 9, 12, 17))
    return next((pair for pair in pairs if pair[0] != pair[1]), (f"{first:.6g}", f"{second:.6g}"))


def _formulated(account: Account) -> list[Value]:
    """List the values on the way from the variables to the loss that have a formula."""
    found = [step.value for step in account.steps if step.value.formula is not None]
    return found if any(value is account.stable for value in found) else [account.stable, *found]


def _readers(account: Account) -> dict[Expr, list[Value]]:
    """List by symbol the values whose formulas read it."""
    found: dict[Expr, list[Value]] = {}
    for value in _formulated(account):
        for leaf in _leaves(value.formula) if value.formula is not None else ():
            found.setdefault(leaf, []).append(value)
    return found


def _leaves(form: Expr) -> Iterable[Expr]:
    return [node for node in topological([form]) if node.op in ("symbol", "parameter")]
