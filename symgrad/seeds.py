"""The process seed: where the keys come from that nobody chose.

In: `set_seed`. Out: one key after another, the same ones in the same order after the same seed. The default seed is 0:
a program that says nothing about seeds gives the same bits every time. It must not know what the keys are for.
"""

from __future__ import annotations

import secrets
import threading

from symgrad.forks import hold_at_fork
from symgrad.philox import as_key, fold

_lock = hold_at_fork(threading.Lock())
_seed = 0
_drawn = 0


def set_seed(seed: int | None = 0) -> int:
    """Set the seed from which parameters, shuffling and dropout draw their keys, and give it back.

    `None` draws a seed from the operating system; what is returned (and `get_seed()`) repeats the run.

    >>> set_seed(1), next_key() == next_key()
    (1, False)
    >>> set_seed(0)
    0
    """
    global _seed, _drawn
    if seed is not None and (isinstance(seed, bool) or not hasattr(seed, "__index__")):
        raise TypeError(f"a seed is an int or None, not {type(seed).__name__}: {seed!r}")
    chosen = secrets.randbits(63) if seed is None else int(seed)
    as_key(chosen)
    with _lock:
        _seed, _drawn = chosen, 0
    return chosen


def get_seed() -> int:
    """Give the seed in force, also one that was drawn."""
    return _seed


def next_key() -> int:
    """Give the next key of the process: for the n-th call after `set_seed`, a function of the seed and n."""
    global _drawn
    with _lock:
        number, _drawn = _drawn, _drawn + 1
        return fold(as_key(_seed), number)
