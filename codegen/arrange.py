"""Arrange: merge map groups that belong together, order the groups, decide which parameters are overwritten in place.

In: the groups of `codegen.group`, the stored nodes' homes and the updates. Out: a `Plan` whose order respects every
dependency: values before their readers, readers of a parameter's old value before the group that overwrites it. Where
that would be a circle the new value goes to memory of its own and is copied at the end. It must not know loops.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codegen.group import MOST_WEIGHT, Group
from codegen.reach import (
    base,
    extents_of,
    index_names,
    is_literal,
    is_memory,
    operand_sites,
    reshaped,
    squeezed,
    squeezed_index,
    strip,
)  # fmt: skip
from symgrad.errors import CompileError
from symgrad.expr import Expr, Parameter
from symgrad.ops.row import row_of
from symgrad.ops.structure import Gather, Indices, Layout

MOST_STORES = 8  # results of a merged map group
LATEST = 4  # readers of one tensor that a map group may merge with
Homes = Mapping[Expr, Group]


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A parameter's new value; `in_place` when its group writes the parameter's own memory."""

    parameter: Parameter
    value: Expr
    in_place: bool


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Groups in the order of execution, what each loads, the homes of stored nodes, and the parameters' new values."""

    groups: tuple[Group, ...]
    reads: Mapping[Group, tuple[Expr, ...]]
    home: Homes
    updates: tuple[Update, ...]


def arrange(
    groups: Sequence[Group], home: dict[Expr, Group], outputs: Sequence[Expr],
    updates: Sequence[tuple[Parameter, Expr]], guards: Sequence[tuple[Expr, Expr]] = (), fuse: bool = True,
) -> Plan:  # fmt: skip
    """Merge and order the groups; of each pair in `guards` the first is known before the second is computed."""
    if fuse:
        groups = _merged(groups, home, guards)
    reads = {g: {node: None for node, _ in accesses(g, home)} for g in groups}
    before = _before(groups, reads, home, guards)
    checks = [home[flag] for flag, _ in guards]
    placed = _in_place(groups, reads, before, home, set(outputs), updates, checks)
    order = _sorted(groups, before)
    return Plan(tuple(order), {g: tuple(reads[g]) for g in order}, home, placed)


def accesses(group: Group, home: Homes) -> Iterator[tuple[Expr, Indices | None]]:
    """Yield every given or stored tensor that the group loads, with the index of the element that a result's element
    reads, or None where it reads others too (a reduction's operands, a gathered table)."""
    stack: list[tuple[Expr, Indices | None]] = [(n, index_names(n.shape)) for n in group.stores]
    domain = index_names(squeezed(group.domain))
    extents = extents_of(domain, squeezed(group.domain))
    seen: set[tuple[Expr, Indices | None]] = set()
    while stack:
        node, index = stack.pop()
        if (node, index) in seen:
            continue
        seen.add((node, index))
        inside = home.get(node, group) is group
        if (source := reshaped(node, home)) is not None and not (inside and node in home):
            yield source, None
        elif is_memory(node) or not inside:
            yield node, index if index is None else squeezed_index(index, node.shape)
        elif node is group.root or index is None:
            stack.extend((base(a, home), None) for a in node.args if not is_literal(a))
        elif isinstance(row_of(node).structure, Layout):
            stack.append(strip(node.args[0], row_of(node).structure.index(node, index), extents, stop=home))  # type: ignore[union-attr]
        else:
            if isinstance(row_of(node).structure, Gather):
                stack.append((base(node.args[0], home), None))
            for operand, at in operand_sites(node, index):
                if not is_literal(operand):
                    stack.append(strip(operand, at, extents, stop=home))


def computed(group: Group, home: Homes) -> set[Expr]:
    """Give the nodes that the group computes."""
    found: set[Expr] = set()
    stack = list(group.stores)
    while stack:
        node = stack.pop()
        if node not in found and not is_memory(node) and home.get(node, group) is group:
            found.add(node)
            stack.extend(base(a, home) for a in node.args)
    return found


def _before(
    groups: Sequence[Group], reads: Mapping[Group, Mapping[Expr, None]], home: Homes,
    guards: Sequence[tuple[Expr, Expr]],
) -> dict[Group, set[Group]]:  # fmt: skip
    """Give the groups that each group needs: those that store what it loads, and the checks of what it indexes with."""
    before = {g: {home[r] for r in reads[g] if r in home} - {g} for g in groups}
    for g in groups if guards else ():
        inside = computed(g, home)
        before[g].update(home[flag] for flag, node in guards if base(node, home) in inside)
    return before


# -- merging -------------------------------------------------------------------------------------------------------


def _merged(groups: Sequence[Group], home: dict[Expr, Group], guards: Sequence[tuple[Expr, Expr]]) -> list[Group]:
    """Merge map groups over one domain that feed each other in place, or load the same large tensor."""
    reads = {g: dict.fromkeys(n for n, _ in accesses(g, home)) for g in groups}
    before = _before(groups, reads, home, guards)
    order = _sorted(groups, before)
    earlier: dict[Group, int] = {}
    for g in order:
        mask = 0
        for b in before[g]:
            mask |= earlier[b] | 1 << b.number
        earlier[g] = mask
    readers: dict[Expr, list[Group]] = {}
    gone: set[Group] = set()
    for g in order:
        if g.root is not None:
            continue
        partners = [home[r] for r in reads[g] if r in home]
        partners += [p for r in reads[g] if r.shape for p in readers.get(r, ())]
        host = next((p for p in partners if p is not g and _may_merge(p, g, earlier, home)), g)
        if host is not g:
            _absorb(host, g, earlier, home)
            gone.add(g)
        for r in reads[g]:
            readers[r] = [*(p for p in readers.get(r, ()) if p is not host), host][-LATEST:]
    return [g for g in groups if g not in gone]


def _may_merge(first: Group, second: Group, earlier: Mapping[Group, int], home: Homes) -> bool:
    """Tell whether two map groups can run as one: same domain, no third group between them, reads in place."""
    if first.root is not None or squeezed(first.domain) != squeezed(second.domain):
        return False
    if len(first.stores) + len(second.stores) > MOST_STORES or first.weight + second.weight > MOST_WEIGHT:
        return False
    a, b = 1 << first.number, 1 << second.number
    if earlier[first] & b:
        return False
    if any(earlier[second] & 1 << g.number and mask & a for g, mask in earlier.items() if g is not second):
        return False
    own = squeezed_index(index_names(first.domain), first.domain)
    return all(index == own for node, index in accesses(second, home) if home.get(node) is first)


def _absorb(first: Group, second: Group, earlier: dict[Group, int], home: dict[Expr, Group]) -> None:
    """Move everything from the second group into the first."""
    first.nodes += second.nodes
    first.stores += second.stores
    first.weight += second.weight
    first.why |= second.why
    for node in second.stores:
        home[node] = first
    a, b = 1 << first.number, 1 << second.number
    both = (earlier[first] | earlier.pop(second)) & ~(a | b)
    earlier[first] = both
    for g, mask in earlier.items():
        if g is not first and mask & (a | b):
            earlier[g] = mask | both | a | b


# -- updates and order ---------------------------------------------------------------------------------------------


def _in_place(
    groups: Sequence[Group], reads: Mapping[Group, Mapping[Expr, None]], before: dict[Group, set[Group]], home: Homes,
    outputs: set[Expr], updates: Sequence[tuple[Parameter, Expr]], checks: Sequence[Group],
) -> tuple[Update, ...]:  # fmt: skip
    """Decide for each update whether its group may overwrite the parameter; add the edges that make it safe."""
    readers: dict[Expr, list[Group]] = {}
    for g in groups:
        for node in reads[g]:
            readers.setdefault(node, []).append(g)
    feeds: dict[Group, set[Group]] = {g: set() for g in groups}
    for g in groups:
        for b in before[g]:
            feeds[b].add(g)
    placed: list[Update] = []
    taken: set[Expr] = set(outputs)
    for parameter, value in updates:
        writer = home[value]
        others = [g for g in (*readers.get(parameter, ()), *checks) if g is not writer]
        safe = value not in taken and _overwrites_own_element(writer, parameter, value, home)
        safe = safe and not (_reachable(writer, feeds) & set(others))
        if safe:
            taken.add(value)
            before[writer].update(others)
            for g in others:
                feeds[g].add(writer)
        placed.append(Update(parameter, value, safe))
    return tuple(placed)


def _overwrites_own_element(writer: Group, parameter: Parameter, value: Expr, home: Homes) -> bool:
    """Tell whether the group reads the parameter only where it then writes the new value."""
    own = squeezed_index(index_names(value.shape), value.shape)
    return all(index == own for node, index in accesses(writer, home) if node is parameter)


def _reachable(start: Group, feeds: Mapping[Group, set[Group]]) -> set[Group]:
    """Give the groups that depend on this one."""
    found: set[Group] = set()
    stack = [start]
    while stack:
        for g in feeds[stack.pop()]:
            if g not in found:
                found.add(g)
                stack.append(g)
    return found


def _sorted(groups: Sequence[Group], before: Mapping[Group, set[Group]]) -> list[Group]:
    """Order the groups so that each follows what it needs; among the ready ones the given order decides."""
    position = {g: k for k, g in enumerate(groups)}
    waiting = {g: len(before[g]) for g in groups}
    feeds: dict[Group, list[Group]] = {g: [] for g in groups}
    for g in groups:
        for b in before[g]:
            feeds[b].append(g)
    ready = [position[g] for g in groups if not waiting[g]]
    heapq.heapify(ready)
    order: list[Group] = []
    while ready:
        g = groups[heapq.heappop(ready)]
        order.append(g)
        for f in feeds[g]:
            waiting[f] -= 1
            if not waiting[f]:
                heapq.heappush(ready, position[f])
    if len(order) != len(groups):
        raise CompileError("the groups depend on each other in a circle", hint="This is a defect of symgrad.")
    return order
