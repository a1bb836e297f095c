"""Rewriting with rules that are data: rules, and the engine that applies them to a fixpoint.

In: rules (patterns or named functions, with text, class and condition) and expressions. Out: equivalent expressions
of exactly the same types; every rewrite is remembered (`side.origins`). The engine works bottom-up, once per distinct
node, with a list of its own: its cost is linear in nodes and rewrites, and no depth of graph is too deep for it.
It must not know any particular rule, nor any operator by name.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from symgrad import side
from symgrad.errors import ShapeError, SymgradError
from symgrad.expr import Body, Expr, constant_node, rebuild, topological
from symgrad.ops.row import ROWS
from symgrad.pattern import Bindings, Number, Op, Pattern, build, match, may_match
from symgrad.shape import broadcast_shapes

__all__ = [
    "OPERANDS", "Applied", "Condition", "Context", "Rewriter", "Rule", "RuleClass", "dispatch", "order_key",
    "place_like", "preserved", "rule", "structural",
]  # fmt: skip


class RuleClass(enum.StrEnum):
    """What a rule promises: the same bits; equality over the reals; equality wherever the original is finite, and
    something better elsewhere; equality for finite (or non-zero) operands only, which a fact must license."""

    BITWISE = "bitwise"
    REAL = "real"
    REFINES = "refines"
    FINITE = "finite"


# -- rules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """A side condition: its text, and the predicate over what the pattern bound and what is known in this run."""

    text: str
    holds: Callable[[Bindings, Context], bool]


@dataclass(slots=True)
class Context:
    """What rules may ask of a run, nodes given by `id`: `kept` ones are needed as they are by others, so that nothing
    is won by taking them apart; `shared` ones have several users, so that what is expensive in them would be computed
    twice; `inner` ones are products that only another product uses.
    `quotients` are those with several users or a name, by what is divided and the divisor.
    `learned` is where rules note what they found out about a node, `parts` where they note what it is made
    of, and `latest` where they leave what they read of a node for the next rule."""

    kept: set[int] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)
    inner: set[int] = field(default_factory=set)
    quotients: dict[tuple[int, int], Expr] = field(default_factory=dict)
    learned: dict[Expr, frozenset[str]] = field(default_factory=dict)
    parts: dict[Expr, Any] = field(default_factory=dict)
    latest: tuple[Expr, Any] | None = None

    def owns(self, node: Expr, op: str) -> bool:
        """Tell whether a node is of this operator, and has no other user and no name."""
        return node.op == op and id(node) not in self.shared and side.name_of(node) is None


Rewrite: TypeAlias = Callable[[Expr, Context], "Expr | None"]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rewrite: its text for people, its class, and the function that does it at the root of a node.

    `ops` are the operators it starts at. `examples` are expressions it applies to, made when tests ask for them; rules
    made of patterns need none.
    """

    name: str
    ops: tuple[str, ...]
    lhs: str
    rhs: str
    kind: RuleClass
    apply: Rewrite
    condition: str = ""
    examples: Callable[[], Sequence[Expr]] | None = None
    pattern: Op | None = None

    def __str__(self) -> str:
        when = f"  if {self.condition}" if self.condition else ""
        return f"{self.name:28} {self.lhs}  ->  {self.rhs}  [{self.kind}]{when}"


def rule(
    name: str, lhs: Op, rhs: Any, kind: RuleClass, condition: Condition | None = None,
    examples: Callable[[], Sequence[Expr]] | None = None,
) -> Rule:  # fmt: skip
    """Make the rule that rewrites what `lhs` matches into `rhs`."""
    template: Pattern = rhs if isinstance(rhs, Pattern) else Number(rhs)

    def apply(node: Expr, context: Context) -> Expr | None:
        if not may_match(lhs, node):
            return None
        for bound in match(lhs, node, {}):
            if condition is None or condition.holds(bound, context):
                return preserved(build(template, bound), node)
        return None

    text = condition.text if condition else ""
    return Rule(name, (lhs.name,), str(lhs), str(template), kind, apply, text, examples, lhs)


def structural(
    name: str, ops: str, lhs: str, rhs: str, kind: RuleClass, *,
    condition: str = "", examples: Callable[[], Sequence[Expr]],
) -> Callable[[Rewrite], Rule]:  # fmt: skip
    """Make a rule of a function `(node, context) -> replacement or None`, for what no pattern can say."""

    def make(function: Rewrite) -> Rule:
        def apply(node: Expr, context: Context) -> Expr | None:
            new = function(node, context)
            return None if new is None or new is node else preserved(new, node)

        return Rule(name, tuple(ops.split()), lhs, rhs, kind, apply, condition, examples)

    return make


def preserved(new: Expr | int | float, node: Expr) -> Expr | None:
    """Give the replacement with exactly the type of the node it replaces, broadcast if need be; None if that fails."""
    if not isinstance(new, Expr):
        new = constant_node(new, node.dtype)
    if new.type == node.type:
        return new
    if new.dtype is not node.dtype:
        return None
    try:
        fits = broadcast_shapes(new.shape, node.shape) == node.shape
    except ShapeError:
        return None
    return ROWS["broadcast_to"](new, shape=node.shape) if fits else None


# -- a process-independent order ----------------------------------------------------------------------------------

_keys: side.SideTable[bytes] = side.SideTable()


def order_key(node: Expr) -> bytes:
    """Give a key that orders nodes by structure alone: unlike the digest it does not tell when a parameter was made."""
    known = _keys.get(node)
    if known is not None:
        return known
    for below in topological([node], stop=lambda n: _keys.get(n) is not None):
        if _keys.get(below) is None:
            _keys[below] = _own_key(below)
    return _keys.get(node) or b""


def place_like(node: Expr, other: Expr) -> None:
    """Let a node take another one's place in this order."""
    _keys[node] = order_key(other)


def _own_key(node: Expr) -> bytes:
    h = hashlib.blake2b(f"{node.op}:{node.type}".encode(), digest_size=12)
    for key, value in node.attrs.items():
        if isinstance(value, Body):
            for inner in (*value.inputs, *value.outputs):
                h.update(order_key(inner))
        elif key != "serial":
            h.update(f"|{key}={value!s}".encode())
    for arg in node.args:
        h.update(_keys.get(arg) or b"")
    return h.digest()


# -- the engine ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """One rewrite of a run; without a rule, only the operands of `before` had been rewritten."""

    rule: Rule | None
    before: Expr
    after: Expr


_MOST_REWRITES_PER_NODE = 60
OPERANDS = "operands rewritten"  # the origin of a node of which nothing but the operands changed


class Rewriter:
    """Rewrites graphs to a fixpoint of its rules; what it learned of a node serves every root that contains it.

    - `keep`, `share`, `nest`: nodes whose replacements rules must know to be `kept`, `shared`, `inner` (see Context).
    - `ready`: quotients that are computed anyway (see Context).
    - `absent`: nodes that no replacement may hold.
    - `log`: a list to which every rewrite is appended.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[Rule]], keep: Iterable[Expr] = (), share: Iterable[Expr] = (),
        nest: Iterable[Expr] = (), ready: Iterable[Expr] = (), absent: Iterable[Expr] = (),
        log: list[Applied] | None = None,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._log = log
        self._keep = {id(n) for n in keep}
        self._share = {id(n) for n in share}
        self._absent = {id(n) for n in absent}
        self._alive: list[Expr] = [*keep, *share, *nest, *ready, *absent]
        self._normal: dict[int, Expr] = {}
        self._became: dict[int, Expr] = {}
        self._given: set[int] = set()
        self._waiting: set[int] = set()
        quotients = {(id(n.args[0]), id(n.args[1])): n for n in ready}
        self.context = Context(inner={id(n) for n in nest}, quotients=quotients)
        self.rewrites = 0
        self._most = 0

    def run(self, roots: Sequence[Expr]) -> list[Expr]:
        """Give the normal form of each root."""
        order = topological(roots)
        self._alive += order
        self._given.update(map(id, order))
        self._most = self.rewrites + _MOST_REWRITES_PER_NODE * (len(order) + 10)
        with side.building_at(None):
            return [self._normalise(root) for root in roots]

    def _normalise(self, root: Expr) -> Expr:
        """Work off a stack: operands first, then the node itself, then what it was rewritten to."""
        stack = [root]
        while stack:
            node = stack[-1]
            key = id(node)
            if key in self._normal:
                stack.pop()
                continue
            target = self._became.get(key)
            if target is None:
                missing = [a for a in node.args if id(a) not in self._normal]
                if missing:
                    stack.extend(reversed(missing))
                    continue
                target = self._became[key] = self._step(node)
                self._alive += (node, target)
                if key in self.context.inner:
                    self.context.inner.add(id(target))
            result = self._normal.get(id(target), target if target is node else None)
            if result is None:
                self._await(node, target)
                stack.append(target)
                continue
            self._settle(node, result)
            stack.pop()
        return self._normal[id(root)]

    def _await(self, node: Expr, target: Expr) -> None:
        """Note that a node waits for the normal form of its replacement, which must not wait for the node."""
        if id(node) in self._waiting:
            raise SymgradError("two rules undo each other", got=f"at {node.op} and {target.op}")
        if self.rewrites > self._most:
            raise SymgradError("the rules rewrite without end", got=f"at {target.op}")
        self._waiting.add(id(node))

    def _settle(self, node: Expr, result: Expr) -> None:
        self._normal[id(node)] = result
        self._waiting.discard(id(node))
        if id(node) in self._keep and result.args:
            self.context.kept.add(id(result))
        if id(node) in self._share and result.args:
            self.context.shared.add(id(result))
        name = side.name_of(node)
        if name is not None and result is not node and result.args and side.name_of(result) is None:
            side.set_name(result, name)

    def _step(self, node: Expr) -> Expr:
        """Put in the operands' normal forms, then apply the first rule that fires; the node itself if none does."""
        new = rebuild(node, tuple(self._normal[id(a)] for a in node.args))
        if new is not node:
            if self._brings_back(new):
                return node
            self._record(None, node, new)
            return new
        for one in self._rules.get(node.op, ()):
            out = one.apply(node, self.context)
            if out is not None and out is not node and not self._brings_back(out):
                assert out.type == node.type, f"rule {one.name} changed {node.type} to {out.type}"
                self.rewrites += 1
                self._record(one, node, out)
                return out
        return node

    def _brings_back(self, new: Expr) -> bool:
        """Tell whether a replacement holds a node that must not be there."""
        return bool(self._absent) and any(id(n) in self._absent for n in topological([new], stop=self._is_normal))

    def _is_normal(self, node: Expr) -> bool:
        return id(node) in self._normal

    def _record(self, rule: Rule | None, before: Expr, after: Expr) -> None:
        """Remember where the result, and new nodes inside it, come from.

        What was there before, and so is normal, keeps its own origins; pointing back from it to what contains it would
        keep both alive for ever.
        """
        if self._log is not None:
            self._log.append(Applied(rule, before, after))
        origin = side.Origin(OPERANDS if rule is None else rule.name, before)
        fresh = [after]
        while fresh:
            node = fresh.pop()
            if node.args and node is not before and id(node) not in self._normal and id(node) not in self._given:
                side.record_origin(node, origin)
                fresh += node.args


def dispatch(rules: Iterable[Rule]) -> dict[str, tuple[Rule, ...]]:
    """Sort rules by the operator they start at, in their order."""
    table: dict[str, tuple[Rule, ...]] = {}
    for one in rules:
        for name in one.ops:
            table[name] = (*table.get(name, ()), one)
    return table
