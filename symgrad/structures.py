"""Nested lists, tuples and dicts of values: what users give and get where one value, or several, may stand.

In: structures. Out: their leaves in order; the same structures around other leaves; TypeError where two do not have one
structure. It must not know what the leaves are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["matched", "parts", "restore"]


def parts(structure: Any) -> Iterator[Any]:
    """List the leaves of nested lists, tuples and dicts.

    >>> list(parts({"a": 1, "b": [2, (3,)]}))
    [1, 2, 3]
    """
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        for part in structure:
            yield from parts(part)
    else:
        yield structure


def restore(structure: Any, items: Iterator[Any]) -> Any:
    """Put the items where the leaves of a structure stand; a mapping becomes a dict, a named tuple keeps its names.

    >>> restore({"a": 0, "b": [0, (0,)]}, iter("xyz"))
    {'a': 'x', 'b': ['y', ('z',)]}
    """
    if isinstance(structure, Mapping):
        return {key: restore(part, items) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        found = [restore(part, items) for part in structure]
        return type(structure)._make(found) if hasattr(structure, "_make") else type(structure)(found)
    return next(items)


def matched(structure: Any, values: Any, what: str) -> Iterator[Any]:
    """List the value that stands where each leaf of a structure does; TypeError unless both have one structure.

    >>> list(matched({"a": 0, "b": [0]}, {"b": ["y"], "a": "x"}, "out"))
    ['x', 'y']
    """
    if isinstance(structure, Mapping):
        if not isinstance(values, Mapping) or values.keys() != structure.keys():
            raise TypeError(f"{what}: a dict with the keys {list(structure)}")
        pairs = [(part, values[key]) for key, part in structure.items()]
    elif isinstance(structure, list | tuple):
        if not isinstance(values, list | tuple) or len(values) != len(structure):
            raise TypeError(f"{what}: {len(structure)} values")
        pairs = list(zip(structure, values, strict=True))
    else:
        yield values
        return
    for part, value in pairs:
        yield from matched(part, value, what)
