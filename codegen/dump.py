"""Dump: what each stage of the pipeline made, on standard error.

In: the environment variable `SYMGRAD_DUMP`, stages by name with commas between (`expand,group,lower,emit`). Out: text,
for people; nothing without the variable. It is the one debug switch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from symgrad.errors import nearest

STAGES = ("expand", "group", "lower", "emit")


def dump(stage: str, text: Callable[[], str]) -> None:
    """Write what a stage made, if it was asked for; `text` is called only then."""
    if stage in _wanted():
        print(f"-- {stage} --\n{text()}", file=sys.stderr)


def is_wanted() -> bool:
    """Tell whether any stage was asked for; ValueError for one that there is not."""
    return bool(_wanted())


def _wanted() -> frozenset[str]:
    names = frozenset(n.strip() for n in os.environ.get("SYMGRAD_DUMP", "").split(",") if n.strip())
    for name in sorted(names - set(STAGES)):
        raise ValueError(f"SYMGRAD_DUMP: no stage is called {name!r}. {nearest(name, STAGES)}")
    return names
