"""Lines of a formula, and the order in which they can be computed.

In: equations, let-lines and updates. Out: the same lines, each after what it needs; an update stands after every line
that reads the old value. It must not know how an expression is written.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symgrad.expr import Expr
from symgrad.show.compounds import reads
from symgrad.show.naming import LEAVES, Names


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """`name = node` or, for an update of a parameter, `name <- node`; `param` is what the update overwrites."""

    name: str
    node: Expr
    param: Expr | None = None

    @property
    def sign(self) -> str:
        """Give what stands between name and value."""
        return "=" if self.param is None else "<-"

    def renamed(self, names: Names) -> Line:
        """Give the same line under the name that its value has now."""
        return Line(names.of(self.node) or self.name, self.node, self.param)

    def defines(self, names: Names) -> bool:
        """Tell whether this line writes its value out, rather than mention it by another name."""
        return self.node.op not in LEAVES and names.of(self.node) in (None, self.name)


def ordered(
    equations: Sequence[Line], lets: Sequence[Line], updates: Sequence[Line], names: Names
) -> tuple[list[Line], Line | None]:
    """Order lines by what they need, equations that need less first.

    The second result is an update that cannot be placed, because some line reads its parameter's old and new value.
    """
    everything = (*lets, *equations, *updates)
    defined = {id(line.node): line for line in reversed(everything) if line.defines(names)}
    reads = {line: _mentioned(line, names) for line in everything}
    level: dict[Line, int] = {}
    for line in sorted(defined.values(), key=lambda one: names.position[id(one.node)]):
        level[line] = 1 + max((level[defined[id(n)]] for n in reads[line] if id(n) in defined), default=0)
    wanted = [*sorted(equations, key=lambda one: level.get(one, 0)), *updates]
    order = _with_needs(wanted, defined, reads, names)
    return _after_readers(order, defined, reads) if updates else (order, None)


def _mentioned(line: Line, names: Names) -> list[Expr]:
    """List the named nodes that a line mentions."""
    found: list[Expr] = []
    seen: set[int] = set()
    stack = list(reads(line.node)) if line.defines(names) else [line.node]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if names.of(node) is not None:
            found.append(names.bearer(node))
        else:
            stack.extend(reads(node))
    return found


def _with_needs(
    wanted: Sequence[Line], defined: Mapping[int, Line], reads: Mapping[Line, list[Expr]], names: Names
) -> list[Line]:
    """List the wanted lines in their order, each after the lines it needs."""
    order: list[Line] = []
    seen: set[Line] = set()
    stack = [(line, False) for line in reversed(wanted)]
    while stack:
        line, complete = stack.pop()
        if complete:
            order.append(line)
        elif line not in seen:
            seen.add(line)
            stack.append((line, True))
            needed = [n for n in reads[line] if id(n) in defined]
            needed.sort(key=lambda n: names.position[id(n)], reverse=True)
            stack += [(defined[id(n)], False) for n in needed]
    return order


def _after_readers(
    order: Sequence[Line], defined: Mapping[int, Line], reads: Mapping[Line, list[Expr]]
) -> tuple[list[Line], Line | None]:
    """Move updates behind the readers of their parameter's old value; keep the order otherwise."""
    update_of = {id(line.param): line for line in order if line.param is not None}
    before: dict[Line, set[Line]] = {line: set() for line in order}
    for line in order:
        for node in reads[line]:
            if id(node) in defined and defined[id(node)] is not line:
                before[line].add(defined[id(node)])
            if id(node) in update_of and update_of[id(node)] is not line:
                before[update_of[id(node)]].add(line)
    after: dict[Line, list[Line]] = {line: [] for line in order}
    for line, needed in before.items():
        for one in needed:
            after[one].append(line)
    place = {line: i for i, line in enumerate(order)}
    missing = {line: len(needed) for line, needed in before.items()}
    ready = [place[line] for line in order if not missing[line]]
    result: list[Line] = []
    while ready:
        line = order[heapq.heappop(ready)]
        result.append(line)
        for one in after[line]:
            missing[one] -= 1
            if not missing[one]:
                heapq.heappush(ready, place[one])
    stuck = [line for line in order if missing[line] and line.param is not None]
    return result, stuck[0] if stuck else None
