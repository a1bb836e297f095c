"""Group: cut an expanded graph into kernels.

In: the expressions to store (outputs and new parameter values), expanded; none of them is a given tensor or a number.
Out: groups, each with a reduction at its root or none, the elementwise nodes computed with it and the nodes it stores.
Every other node is computed inside the groups that read it. Fusion is legal by dependencies alone: an elementwise node
joins the group of a reduction iff it reads that result at its own index and its other operands exist before the group
starts. `codegen.arrange` merges and orders the groups. It must not know loops.

1. `_join`, operands first: elementwise nodes join the group whose result they read in place (epilogues).
2. `_place`, users first: every other elementwise node is computed inside its one reader (a prologue) or is stored.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from codegen.reach import (
    base,
    extents_of,
    index_names,
    is_elementwise,
    is_literal,
    is_memory,
    operand_sites,
    reads_in_place,
    strip,
)  # fmt: skip
from codegen.scalars import PRIMITIVES
from symgrad.expr import Expr, topological
from symgrad.ops.row import row_of
from symgrad.ops.structure import Cast, Contraction, Coordinate, Fold, Gather, Layout, Map, Place, Scatter, Sequential
from symgrad.shape import Shape, coefficient, product

ROOTS = (Fold, Contraction, Place, Scatter, Sequential)
PIECEWISE = (Place, Scatter, Sequential)  # written piece by piece: no element is final before the kernel ends
MOST_WEIGHT = 256  # of the elementwise nodes that one group computes: bounds the size of a kernel
MOST_JOINED = 128  # of those that join the group of a reduction
FUNCTION_WEIGHT = 8  # of a node that becomes many instructions


class Why(enum.StrEnum):
    """Why a value is stored, and not computed where it is read."""

    WANTED = "asked for"
    UNFUSED = "nothing is fused"
    REARRANGED = "no strides describe it as it is read"
    FREELY = "read in another order than it is computed in"
    SHARED = "computed once for all that read it"
    OFTEN = "each element is read many times"
    FULL = "what reads it computes enough"
    ENDED = "read by what begins when this has ended"


@dataclass(slots=True, eq=False)
class Group:
    """A kernel to be: a reduction `root` or None, the elementwise `nodes` that joined it, and the nodes it `stores`.

    `weight` is the sum over all elementwise nodes that it computes, those of its operands included; `why` has the
    reason for each store.
    """

    number: int
    domain: Shape
    root: Expr | None = None
    nodes: list[Expr] = field(default_factory=list)
    stores: list[Expr] = field(default_factory=list)
    weight: int = 0
    why: dict[Expr, Why] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<group {self.number}: {self.root.op if self.root is not None else 'map'}, stores {len(self.stores)}>"


def group(
    roots: Sequence[Expr], fuse: bool = True, guards: Sequence[tuple[Expr, Expr]] = ()
) -> tuple[list[Group], dict[Expr, Group]]:
    """Cut the graph below the roots; give the groups and, for every stored node, the group that stores it.

    Of each pair in `guards` the first is a root that must be known before the second is computed.
    """
    order = topological([*(flag for flag, _ in guards), *roots])
    layouts = _stored_layouts(order, roots)
    cut = _Cut(layouts, fuse, guards)
    for node in order:
        cut.join(node)
    users = _users(order, layouts)
    wanted = set(roots)
    for node in reversed(order):
        cut.place(node, users[node], node in wanted)
    for node in order:
        if node in cut.home:
            cut.home[node].stores.append(node)
    return [g for g in cut.groups if g.stores], cut.home


def _stored_layouts(order: Iterable[Expr], roots: Iterable[Expr]) -> set[Expr]:
    """Find the layouts that must be copied: results, and operands of contractions that no strides describe."""
    found = {r for r in roots if isinstance(row_of(r).structure, Layout)}
    for node in order:
        if isinstance(row_of(node).structure, Contraction):
            found.update(a for a in node.args if isinstance(row_of(a).structure, Layout) and not _is_strided(a))
    return found


def _is_strided(node: Expr) -> bool:
    """Tell whether the layouts between the node and its data amount to strides."""
    index = index_names(node.shape)
    _, reached = strip(node, index, extents_of(index, node.shape))
    names = [str(i) for i in index if not isinstance(i, int)]
    return all(coefficient(r, name) is not None for r in reached for name in names)


def _users(order: Iterable[Expr], layouts: set[Expr]) -> dict[Expr, list[tuple[Expr, Expr]]]:
    """List for every node its users, each with the operand through which it reads; layouts are looked through."""
    users: dict[Expr, list[tuple[Expr, Expr]]] = {node: [] for node in order}
    for node in users:
        if node in layouts:
            users[base(node.args[0], layouts)].append((node, node))
        elif not isinstance(row_of(node).structure, Layout):
            for arg in node.args:
                users[base(arg, layouts)].append((node, arg))
    return users


class _Cut:
    """The state of one cut; dependencies between groups are bit masks over group numbers."""

    def __init__(self, layouts: set[Expr], fuse: bool, guards: Sequence[tuple[Expr, Expr]]) -> None:
        self.layouts, self.fuse = layouts, fuse
        self.flags: dict[Expr, list[Expr]] = {}  # what a node waits for beside its operands
        for flag, node in guards:
            self.flags.setdefault(node, []).append(flag)
        self.groups: list[Group] = []
        self.home: dict[Expr, Group] = {}
        self.member: dict[Expr, Group] = {}  # nodes computed in one group, at hand in a register there
        self.places: dict[Expr, set[int]] = {}  # groups in which a node is computed
        self.sources: dict[Expr, int] = {}  # mask of the groups that a floating node reads
        self.earlier: list[int] = []  # per group, mask of all groups that run before it

    # -- 1: epilogues ----------------------------------------------------------------------------------------------

    def join(self, node: Expr) -> None:
        """Start a group at a reduction, or enter the group whose result the node reads in place."""
        if isinstance(row_of(node).structure, ROOTS):
            self._start(node.shape, node, _union(self._mask(a) for a in self._needed(node)))
            self.member[node] = self.groups[-1]
        elif is_elementwise(node):
            masks = [self._mask(a) for a in self._needed(node)]
            for candidate in self._candidates(node) if self.fuse else ():
                if self._is_legal(node, candidate, masks):
                    self._enter(node, candidate, _union(masks))
                    return
            self.sources[node] = _union(self._direct(a) for a in self._needed(node))
        elif node in self.layouts:
            self.sources[node] = self._direct(node.args[0])

    def _needed(self, node: Expr) -> tuple[Expr, ...]:
        return (*node.args, *self.flags.get(node, ()))

    def _start(self, domain: Shape, root: Expr | None, mask: int) -> Group:
        new = Group(len(self.groups), domain, root)
        self.groups.append(new)
        self.earlier.append(mask)
        return new

    def _candidates(self, node: Expr) -> list[Group]:
        """Give the groups whose result the node reads in place, the latest first."""
        found: dict[int, Group] = {}
        for operand, _ in operand_sites(node, index_names(node.shape)):
            source = base(operand, self.layouts)
            home = self.member.get(source)
            if home is not None and home.weight < MOST_JOINED and reads_in_place(node, operand, source):
                found[home.number] = home
        return [found[k] for k in sorted(found, reverse=True)]

    def _is_legal(self, node: Expr, target: Group, masks: Sequence[int]) -> bool:
        """Tell whether every operand is at hand in the group or exists before it starts."""
        if target.root is not None and isinstance(row_of(target.root).structure, PIECEWISE):
            return False
        bit = 1 << target.number
        if any(mask & bit for mask in masks[len(node.args) :]):
            return False
        for operand, mask in zip(node.args, masks, strict=False):
            source = base(operand, self.layouts)
            at_hand = self.member.get(source) is target and reads_in_place(node, operand, source)
            if not at_hand and mask & bit:
                return False
        return not (isinstance(row_of(node).structure, Gather) and self.member.get(base(node.args[0])) is target)

    def _enter(self, node: Expr, target: Group, mask: int) -> None:
        target.nodes.append(node)
        target.weight += _weight(node)
        self.member[node] = target
        bit = 1 << target.number
        gained = mask & ~bit & ~self.earlier[target.number]
        if gained:
            self.earlier[target.number] |= gained
            self.earlier = [m | gained if m & bit else m for m in self.earlier]

    def _direct(self, node: Expr) -> int:
        source = base(node, self.layouts)
        home = self.member.get(source)
        return self.sources.get(source, 0) if home is None else 1 << home.number

    def _mask(self, node: Expr) -> int:
        """Give the mask of all groups that run before the node's value can be read."""
        mask = direct = self._direct(node)
        while direct:
            low = direct & -direct
            mask |= self.earlier[low.bit_length() - 1]
            direct ^= low
        return mask

    # -- 2: prologues and stores -----------------------------------------------------------------------------------

    def place(self, node: Expr, users: Sequence[tuple[Expr, Expr]], wanted: bool) -> None:
        """Decide where the node is computed and whether it is stored; its users have been decided before."""
        if is_memory(node) or is_literal(node):
            return
        structure = row_of(node).structure
        if isinstance(structure, Layout) and node not in self.layouts:
            return
        places = set[int]().union(*(self.places[user] for user, _ in users))
        home = self.member.get(node)
        stored = wanted or node in self.layouts or not self.fuse
        if home is None and (stored or _is_kept(node, users, places) or self._is_full(places)):
            home = self._start(node.shape, None, 0)
            home.nodes.append(node)
            self._keep(node, home, users, places, wanted)
        elif home is not None and (stored or places != {home.number}):
            self._keep(node, home, users, places, wanted)
        self.places[node] = places if home is None else {home.number}
        if node not in self.member:
            for number in self.places[node]:
                self.groups[number].weight += _weight(node)

    def _keep(
        self, node: Expr, home: Group, users: Sequence[tuple[Expr, Expr]], places: set[int], wanted: bool
    ) -> None:  # fmt: skip
        """Store a node, and note why: the first reason that holds."""
        self.home[node] = home
        home.why[node] = next(
            why
            for why, holds in (
                (Why.WANTED, wanted),
                (Why.UNFUSED, not self.fuse),
                (Why.REARRANGED, node in self.layouts),
                (Why.FREELY, any(_needs_memory(user, operand) for user, operand in users)),
                (Why.ENDED, node in self.member),
                (Why.SHARED, len(places) > 1),
                (Why.OFTEN, any(_repeats(user, operand, node) for user, operand in users)),
                (Why.FULL, True),
            )
            if holds
        )

    def _is_full(self, places: Iterable[int]) -> bool:
        """Tell whether a group that would compute one node more has its fill."""
        return any(self.groups[number].weight >= MOST_WEIGHT for number in places)


def _union(masks: Iterable[int]) -> int:
    result = 0
    for mask in masks:
        result |= mask
    return result


def _weight(node: Expr) -> int:
    return 1 if isinstance(row_of(node).structure, Cast | Coordinate) or node.op in PRIMITIVES else FUNCTION_WEIGHT


def _is_kept(node: Expr, users: Sequence[tuple[Expr, Expr]], places: set[int]) -> bool:
    """Tell whether an elementwise node outside the reductions is computed once and stored."""
    if any(_needs_memory(user, operand) for user, operand in users):
        return True
    if _is_trivial(node):
        return False
    return len(places) > 1 or any(_repeats(user, operand, node) for user, operand in users)


def _needs_memory(user: Expr, operand: Expr) -> bool:
    """Tell whether the user addresses the operand's elements freely."""
    structure = row_of(user).structure
    reads_freely = isinstance(structure, Contraction | Sequential)
    return reads_freely or (isinstance(structure, Gather) and operand is user.args[0])


def _is_trivial(node: Expr) -> bool:
    """Tell whether computing the node again costs no more than loading it."""
    structure = row_of(node).structure
    if isinstance(structure, Coordinate):
        return True
    if isinstance(structure, Cast):
        return is_memory(base(node.args[0]))
    plain = all(is_literal(a) or is_memory(a) for a in node.args)
    return isinstance(structure, Map) and structure.formula is None and not node.shape and plain


def _repeats(user: Expr, operand: Expr, node: Expr) -> bool:
    """Tell whether the user reads elements of the node more than once."""
    reading = operand.shape if isinstance(row_of(user).structure, ROOTS) else user.shape
    return product(reading) != product(node.shape)
