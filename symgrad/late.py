"""Late: functions of modules that are imported when they are first called.

In: the names of a module and of a function in it. Out: a function that imports the one and calls the other. What a
process seldom needs (stages of compiling that a cache spares it, tables, drawings) so costs it nothing to start. The
names are written out where `late` is called, so that what imports what can be read from the source.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["late"]


def late(module: str, name: str) -> Callable[..., Any]:
    """Give a function of a module that is imported at the first call.

    >>> late("math", "gcd")(12, 18)
    6
    """

    @functools.cache
    def found() -> Callable[..., Any]:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]

    def call(*args: Any, **named: Any) -> Any:
        return found()(*args, **named)

    call.__name__ = call.__qualname__ = name
    return call
