"""What is known about a node but is no part of it: lines, origins, names.

In: nodes and facts about them. Out: the facts, as long as the node lives. Nothing here changes what a node means,
hashes or compiles to.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Generic, TypeVar

from symgrad.forks import hold_at_fork

V = TypeVar("V")

# Guards the intern table and what stands beside nodes. Nodes die while it is held, and their deaths change the table:
# it is taken again by the thread that has it.
TABLES: Final = hold_at_fork(threading.RLock())


class SideTable(Generic[V]):
    """A map from nodes, compared by identity, to values, of which each node holds its own in `beside`.

    A value may so lead back to its node, as an origin does to a graph that the node is part of: both die together.
    """

    def __setitem__(self, node: Any, value: V) -> None:
        with TABLES:
            if node.beside is None:
                object.__setattr__(node, "beside", {})
            node.beside[self] = value

    def get(self, node: Any, default: V | None = None) -> V | None:
        """Look up a node's value."""
        return default if node.beside is None else node.beside.get(self, default)

    def __contains__(self, node: Any) -> bool:
        return node.beside is not None and self in node.beside


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
    """Remember why a node was made: the first reason of each rule, since every reason keeps a graph alive."""
    known = _origins.get(node) or ()
    if len(known) < _MOST_SITES and all(origin.rule != o.rule for o in known):
        _origins[node] = (*known, origin)


def explain(made: Any, origin: Origin, known: Callable[[Any], bool]) -> None:
    """Remember one reason for a node and for what was made for it: down to what is known, or has a reason already."""
    fresh = [made]
    while fresh:
        node = fresh.pop()
        if node.args and not known(node) and (node is made or not origins(node)):
            record_origin(node, origin)
            fresh += node.args


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
