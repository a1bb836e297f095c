"""Locks that a fork must not find taken: whoever forks holds them all meanwhile.

In: the locks that guard tables of the whole process. A forked child has one thread: a lock that another thread of its
parent held would be taken there for ever, and the table that it guards half changed. It must not know what they guard.
"""

from __future__ import annotations

import os
from typing import Any, Final

_locks: Final[list[Any]] = []
_held: Final[list[Any]] = []  # what the thread that forks has taken


def hold_at_fork(lock: Any) -> Any:
    """Have every thread that forks hold a lock meanwhile, and return the lock.

    It is a `threading.Lock` or `RLock` that nobody holds for long, nor while forking.
    """
    _locks.append(lock)
    return lock


def _hold() -> None:
    """Take all locks in whatever order works: with one in hand, another that is taken is not waited for.

    Any thread may hold one of them and want another, since its collector of cycles may run at any time.
    """
    locks = tuple(_locks)
    while locks:
        locks[0].acquire()
        taken = next((i for i, lock in enumerate(locks[1:], 1) if not lock.acquire(blocking=False)), 0)
        if not taken:
            break
        for lock in locks[:taken]:
            lock.release()
        locks = locks[taken:] + locks[:taken]
    _held.extend(locks)


def _let_go() -> None:
    locks = tuple(_held)
    _held.clear()
    for lock in locks:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
