"""Names to objects: what stands behind `activation="relu"`, `loss="mse"`, `optimizer="adam"`.

In: a name and the table of its kind. Out: the table's entry, or an error that gives the nearest valid name.
It must not know what the entries are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from symgrad.errors import nearest

V = TypeVar("V")


def find(kind: str, name: object, table: Mapping[str, V]) -> V:
    """Give the entry of a name, in whatever case it is written.

    Raises ValueError for an unknown name, TypeError for what is no name.

    >>> find("optimizer", "Adam", {"adam": 1, "sgd": 2})
    1
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind}: a name or an object made for it is expected, not {type(name).__name__}: {name!r}")
    entry = table.get(name.lower())
    if entry is None:
        raise ValueError(f"unknown {kind} {name!r}. {nearest(name, table)}")
    return entry


def check_flag(what: str, value: object) -> bool:
    """Give back a bool; TypeError for what is none, so that no argument in a wrong place passes for True."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} is True or False, not {value!r}")
    return value
