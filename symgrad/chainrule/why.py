"""`expr.why()`: where a node comes from.

In: a node of a formula, of a gradient, of a simplified graph. Out: the operator, the user's line, the chain-rule step
and the rewrites since, as far as they were noted beside the nodes (`side.origins`). Importing this module gives
expressions the method. It must not know how gradients are derived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from symgrad import side
from symgrad.expr import Expr
from symgrad.ops.row import label, plain_name
from symgrad.rewrite import OPERANDS
from symgrad.show.glimpse import glimpse
from symgrad.surface import OPERATORS

__all__ = ["Reason", "built_at", "why"]

MOST = 64  # origins that are followed back


@dataclass(frozen=True, slots=True, eq=False)
class Reason:
    """Why a node exists.

    - `sites`: the user's lines on which it was built, or what it was made of.
    - `step`: the chain-rule step that made it, such as `matmul[1]`; empty for what is no part of a gradient.
    - `source`: the node that was differentiated there; `upstream`: the derivative that came from above.
    - `rewrites`: names of the rules that made it of what the chain rule gave, the first one first.
    """

    node: Expr
    sites: tuple[side.Site, ...]
    step: str
    source: Expr | None
    upstream: Expr | None
    rewrites: tuple[str, ...]

    @property
    def brief(self) -> str:
        """Say in a few words where the node comes from; nothing if nothing is known."""
        where = ", ".join(map(str, self.sites))
        if self.source is not None:
            return f"the chain rule at {label(self.source)}" + (f", {where}" if where else "")
        return where

    def __str__(self) -> str:
        where = ", ".join(map(str, self.sites))
        lines = [f"{_seen(self.node)}, {self.node.type}: {plain_name(self.node.op)}"]
        if side.sites(self.node) or self.source is None:
            own = ", ".join(map(str, side.sites(self.node))) or where
            lines.append(f"built at {own}" if own else "built by no line of yours that is known")
        if self.source is not None and self.upstream is not None:
            lines.append(f"by the chain rule, {self.step}, at {_seen(self.source)}" + (f" ({where})" if where else ""))
            lines.append(f"from above: {_seen(self.upstream)}")
        if self.rewrites:
            lines.append("since then: " + ", ".join(self.rewrites))
        return "\n".join(lines)

    __repr__ = __str__


def why(node: Expr) -> Reason:
    """Tell where a node comes from: the user's line, the step of the chain rule, the rewrites since.

    >>> import symgrad as sg
    >>> x, W = sg.symbol("x", (3,)), sg.symbol("W", (3, 2))
    >>> reason = sg.grad(sg.sum(sg.tanh(x @ W)), W).why()
    >>> reason.step, reason.source.op
    ('matmul[1]', 'matmul')
    """
    found = _chain_rule(node)
    if found is None:
        return Reason(node, built_at(node), "", None, None, tuple(_names(_last_built(node))))
    origin, path = found
    return Reason(node, built_at(origin.source), origin.rule, origin.source, origin.upstream, tuple(_names(path)))


def built_at(node: Expr) -> tuple[side.Site, ...]:
    """Give the user's lines on which a node was built, or that of which rewrites made it."""
    for at, _ in _before(node):
        if side.sites(at):
            return side.sites(at)
    return ()


def _seen(node: Expr) -> str:
    """Write a node on one line, and what its names stand for."""
    *lets, text = glimpse(node, {}).split("\n")
    return ", with ".join([text, *(re.sub(" += ", " = ", let, count=1) for let in lets)])  # in no column here


Path = tuple["Path", side.Origin] | None  # rewrites from a node back, the earliest one outside


def _before(node: Expr) -> Iterator[tuple[Expr, Path]]:
    """List the node and what rewrites made it of, nearest first, each with the rewrites between."""
    queue: list[tuple[Expr, Path]] = [(node, None)]
    seen = {node}
    for at, path in queue:  # grows while it is read
        yield at, path
        for origin in side.origins(at):
            if origin.upstream is None and origin.source not in seen and len(queue) < MOST:
                seen.add(origin.source)
                queue.append((origin.source, (path, origin)))


def _chain_rule(node: Expr) -> tuple[side.Origin, Path] | None:
    """Find the nearest step of the chain rule."""
    for at, path in _before(node):
        for origin in side.origins(at):
            if origin.upstream is not None:
                return origin, path
    return None


def _last_built(node: Expr) -> Path:
    """Give the rewrites since the user's line, if one is known."""
    return next((path for at, path in _before(node) if side.sites(at)), None)


def _names(path: Path) -> list[str]:
    """Name the rules of a path, the first one applied first."""
    found: list[str] = []
    while path is not None:
        path, origin = path
        if origin.rule != OPERANDS and origin.rule not in found:
            found.append(origin.rule)
    return found


OPERATORS[".why"] = why
