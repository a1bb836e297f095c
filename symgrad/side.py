"""What is known about a node but is no part of it: lines, origins, names.

In: nodes and facts about them. Out: the facts, as long as the node lives. The tables are weak and keyed by identity;
nothing here changes what a node means, hashes or compiles to.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class SideTable(Generic[V]):
    """A weak map from objects, compared by identity, to values."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], V]] = {}
        self._lock = threading.RLock()

    def __setitem__(self, node: object, value: V) -> None:
        key = id(node)

        def forget(ref: weakref.ref[Any]) -> None:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None and entry[0] is ref:
                    del self._entries[key]

        with self._lock:
            self._entries[key] = (weakref.ref(node, forget), value)

    def get(self, node: object, default: V | None = None) -> V | None:
        """Look up a node's value."""
        entry = self._entries.get(id(node))
        return entry[1] if entry is not None and entry[0]() is node else default

    def __contains__(self, node: object) -> bool:
        return self.get(node) is not None

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class Site:
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Why a node of a gradient or a simplified graph exists.

    `rule` names the chain-rule step or the rewrite; `source` is the forward node, or the node before the rewrite;
    `upstream` is the cotangent that the step multiplied, None for a rewrite.
    """

    rule: str
    source: Any
    upstream: Any = None


_sites: SideTable[tuple[Site, ...]] = SideTable()
_origins: SideTable[tuple[Origin, ...]] = SideTable()
_names: SideTable[str] = SideTable()
_suggestions: SideTable[str] = SideTable()
_INHERIT: Any = object()
_override: contextvars.ContextVar[Site | None] = contextvars.ContextVar("symgrad_site", default=_INHERIT)
_OWN = tuple(str(Path(__file__).resolve().parent.parent / name) + "/" for name in ("symgrad", "codegen"))
_MOST_SITES = 8


def caller_site() -> Site | None:
    """Find the innermost frame that is not symgrad's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_OWN) and not file.startswith("<frozen"):
            return Site(file, frame.f_lineno)
        frame = frame.f_back
    return None


@contextlib.contextmanager
def building_at(site: Site | None) -> Iterator[None]:
    """Attribute the nodes built in this block to one line, or to none."""
    token = _override.set(site)
    try:
        yield
    finally:
        _override.reset(token)


def record_site(node: object) -> None:
    """Remember the user's line that is building this node; an equal node built on two lines has two sites."""
    site = _override.get()
    if site is _INHERIT:
        site = caller_site()
    if site is None:
        return
    known = _sites.get(node) or ()
    if site not in known and len(known) < _MOST_SITES:
        _sites[node] = (*known, site)


def sites(node: object) -> tuple[Site, ...]:
    """Give the user's lines on which the node was built."""
    return _sites.get(node) or ()


def record_origin(node: object, origin: Origin) -> None:
    """Remember why a node was made; the first reasons are kept."""
    known = _origins.get(node) or ()
    if len(known) < _MOST_SITES:
        _origins[node] = (*known, origin)


def origins(node: object) -> tuple[Origin, ...]:
    """Give the reasons for which the node was made."""
    return _origins.get(node) or ()


def set_name(node: object, name: str) -> None:
    """Give a node the name that formulas print for it."""
    _names[node] = name


def name_of(node: object) -> str | None:
    """Give the name the user chose for a node, if any."""
    return _names.get(node)


def suggest_name(node: object, name: str) -> None:
    """Propose what formulas call a node where it needs a name; a name the user gave goes first."""
    _suggestions[node] = name


def suggested_name(node: object) -> str | None:
    """Give the name proposed for a node, if any."""
    return _suggestions.get(node)
