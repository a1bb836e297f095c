"""Goals: what symgrad sets out to reach on each rung, and whether it did in this run.

In: results of rungs, the limits. Out: a line for each goal: reached or missed, by the worst of the cases that it speaks
of. A goal that needs a peer who was not there is not mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.contest import Idiom
from benchmarks.measure import CaseResult, RungResult
from benchmarks.surroundings import Limits

Value = Callable[[CaseResult, Limits], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that should be at least so large, for those cases of a rung."""

    rung: str
    what: str
    value: Value
    least: float
    cases: Callable[[str], bool] = bool  # by title


def of_limit(case: CaseResult, limits: Limits) -> float | None:
    """Give the share of the machine's limit that symgrad reaches."""
    ours = case.best(ours=True)
    return None if ours is None else limits.share(case.unit, case.work / ours.median, case.threads)


def to_best(case: CaseResult, limits: Limits) -> float | None:
    """Give how many times as fast as the best peer symgrad is."""
    return _ratio(case, None)


def to_calls(case: CaseResult, limits: Limits) -> float | None:
    """Give the same for peers who are called for every step."""
    return _ratio(case, Idiom.CALL)


def to_many(case: CaseResult, limits: Limits) -> float | None:
    """Give the same for peers who run many steps in a call."""
    return _ratio(case, Idiom.MANY)


def _ratio(case: CaseResult, idiom: Idiom | None) -> float | None:
    ours, peer = case.best(ours=True), case.best(ours=False, idiom=idiom)
    return None if ours is None or peer is None else peer.median / ours.median


def _sizes(title: str) -> list[int]:
    """Read the sizes of a product off its title.

    >>> _sizes("A' B, 517 x 301 x 203"), _sizes("A B, 64 of 128 x 128 x 128")
    ([517, 301, 203], [128, 128, 128])
    """
    return [int(number) for number in re.findall(r"\d+(?= x |$)", title)]


def _is_even(title: str) -> bool:
    return " of " not in title and min(_sizes(title)) >= 128 and all(n % 16 == 0 for n in _sizes(title))


def _is_odd(title: str) -> bool:
    return " of " not in title and min(_sizes(title)) >= 100 and any(n % 2 for n in _sizes(title))


def _is_short(title: str) -> bool:
    return title.endswith("rows of 10")


def _is_long(title: str) -> bool:
    return not _is_short(title)


LIMIT, BEST = "of the limit", "to the best peer"
CALLS, MANY = "to the best peer's calls", "to the best peer's many steps"

# fmt: off
GOALS = (
    #    rung           what   value     least  cases
    Goal("tiny",        CALLS, to_calls, 8.0),
    Goal("tiny",        MANY,  to_many,  3.0),
    Goal("logreg",      CALLS, to_calls, 4.0),
    Goal("logreg",      MANY,  to_many,  1.5),
    Goal("mlp",         LIMIT, of_limit, 0.88),
    Goal("mlp",         BEST,  to_best,  1.5),
    Goal("deep",        LIMIT, of_limit, 0.55),
    Goal("deep",        BEST,  to_best,  2.0),
    Goal("wide",        LIMIT, of_limit, 0.85),
    Goal("wide",        BEST,  to_best,  1.15),
    Goal("pinn",        BEST,  to_best,  3.0),
    Goal("elementwise", LIMIT, of_limit, 0.85),
    Goal("softmax",     BEST,  to_best,  3.0,  _is_short),
    Goal("softmax",     LIMIT, of_limit, 0.85, _is_long),
    Goal("gemm",        LIMIT, of_limit, 0.90, _is_even),
    Goal("gemm",        LIMIT, of_limit, 0.75, _is_odd),
    Goal("gemm",        BEST,  to_best,  1.0),
)
# fmt: on


def verdicts(rungs: Sequence[RungResult], limits: Limits) -> Iterator[str]:
    """Hold what was measured against the goals."""
    for rung in rungs:
        for goal in (goal for goal in GOALS if goal.rung == rung.name):
            valued = ((goal.value(case, limits), case.title) for case in rung.cases if goal.cases(case.title))
            found = [(value, title) for value, title in valued if value is not None]
            if found:
                worst, title = min(found)
                verdict = "reached" if worst >= goal.least else "MISSED"
                place = f" ({title}, the worst of {len(found)})" if len(found) > 1 else ""
                yield f"{verdict}: {goal.rung}, {goal.what}: {worst:.2f}, at least {goal.least:g} asked{place}"
