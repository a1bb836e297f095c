"""Labels: in the mathematics that `str` prints, what every launch of a compiled function computes.

In: a `Subject`. Out: the named values of a function with their formulas, and for each launch the lines that it stores,
under the same names. A value has a name if the user or a layer gave it one, if formulas need a line for it, or if a
kernel stores it; everything else is written inline. Names are chosen on the simplified graph and carried to what each
node became when composites were expanded. It must not know how expressions are written, nor what kernels look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.expand import expand
from codegen.guards import Guard
from codegen.operand import Operand
from codegen.step import Step
from symgrad import side
from symgrad.expr import Expr, Parameter, topological
from symgrad.inspection.subject import Subject, stored_nodes
from symgrad.ops.body import inline
from symgrad.ops.row import label, row_of
from symgrad.ops.structure import Layout
from symgrad.shape import Size
from symgrad.show.compounds import reads
from symgrad.show.naming import LEAVES, Names
from symgrad.show.text import equation_lines

FOLLOWED = 24  # how many nodes an optimizer's equations may have between a gradient and the parameter
Pairs = Sequence[tuple[Parameter, Expr]]


@dataclass(frozen=True, slots=True, eq=False)
class ValueLine:
    """`name = formula`, or `name <- formula` for the new value of a parameter."""

    name: str
    formula: str
    node: Expr
    parameter: Parameter | None = None

    def __str__(self) -> str:
        return f"{self.name} {'=' if self.parameter is None else '<-'} {self.formula}"


def value_lines(subject: Subject) -> list[ValueLine]:
    """List the named values of a function and its updates, each after what it needs."""
    return _named(subject, expanded_nodes(subject)).lines()


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """For each launch the lines that it computes, and the names of what launches read and write."""

    launches: tuple[tuple[str, ...], ...]
    names: Mapping[Operand, str]


def launch_labels(subject: Subject) -> Labels:
    """Say in the mathematics of `str` what each launch computes."""
    compiled, expanded = subject.compiled, expanded_nodes(subject)
    named = _named(subject, expanded)
    value_of = _values(subject, expanded)
    results = [(value_of[node], title) for node, title in zip(compiled.results, subject.titles, strict=True)]
    updates = [(p, expanded[new]) for p, new in _inlined_updates(subject)]
    renewed = {new for p, new in updates if compiled.updated.get(new) is p}  # written in place
    given = {id(node): title for node, title in reversed(results) if node.args}
    given |= {
        id(new): f"{named.of(p)}_new" for p, new in updates if new.args and new not in renewed and id(new) not in given
    }
    chosen = {id(expanded[node]): name for node, name in named.all() if node in expanded}
    lined = [expanded[line.node] for line in named.lines() if line.parameter is None and line.node in expanded]
    computed = [node for node in lined if not isinstance(row_of(node).structure, Layout)]
    stored = list(dict.fromkeys(value_of.values()))
    needed = {id(n) for n in (*computed, *stored) if n.args and n not in renewed and id(n) not in given}
    book = _Book([*stored, *_news(updates)], given, chosen, updates, needed, results)
    book.names.number([*stored, *book.names.lines])
    return _Launches(subject, book, value_of).labels()


# -- names -----------------------------------------------------------------------------------------------------------


class _Book:
    """Names of nodes, and the lines that define them."""

    def __init__(
        self, roots: Iterable[Expr], given: Mapping[int, str], chosen: Mapping[int, str], updates: Pairs,
        needed: Iterable[int], outputs: Sequence[tuple[Expr, str]],
    ) -> None:  # fmt: skip
        roots = list(dict.fromkeys([*roots, *(p for p, _ in updates)]))
        self.updates, self.outputs = updates, outputs
        self.names = Names(roots, given, chosen, updates, needed=set(needed))
        self._given = [node for node in self.names.order if id(node) in given]

    def of(self, node: Expr) -> str | None:
        """Give the name of a node."""
        return self.names.of(node)

    def all(self) -> list[tuple[Expr, str]]:
        """List all nodes that have names, operands first."""
        return [(node, name) for node in self.names.order if (name := self.names.of(node)) is not None]

    def lines(self) -> list[ValueLine]:
        """Write every line, in an order in which they can be computed."""
        nodes = {title: node for node, title in self.outputs}
        nodes |= {str(self.of(node)): node for node in (*self.names.lines, *self._given)}
        leaves = {node: str(self.of(node)) for node in self.names.order if node.op in LEAVES and self.of(node)}
        renewed = {str(self.of(p)): (p, new) for p, new in self.updates}
        parts = [(line.name, line.sign, line.value) for line in equation_lines(nodes, self.updates, leaves)]
        # A new value has a line of its own, `W <- W_new`, where some line reads it beside the old one.
        nodes |= {formula: renewed[name][1] for name, sign, formula in parts if sign == "<-" and formula not in nodes}
        return [
            ValueLine(name, formula, renewed[name][1], renewed[name][0])
            if sign == "<-" else ValueLine(name, formula, nodes[name])
            for name, sign, formula in parts
        ]  # fmt: skip


def _named(subject: Subject, expanded: Mapping[Expr, Expr]) -> _Book:
    """Choose the names of all values of the simplified graph."""
    stored = dict.fromkeys(_values(subject, expanded).values())
    updates = _inlined_updates(subject)
    outputs = list(zip(inline(subject.outputs), subject.titles, strict=True))
    news = {new for _, new in updates}
    given = {id(node): title for node, title in reversed(outputs) if node.args}
    needed = {
        id(node)
        for node, new in expanded.items()
        if node.args and id(node) not in given and node not in news
        and (new in stored or side.suggested_name(node) is not None)
    }  # fmt: skip
    roots = [*(node for node, _ in outputs), *_news(updates)]
    book = _Book(roots, given, {}, updates, needed, outputs)
    book.names.number(_as_computed(book.names, {node: k for k, node in enumerate(stored)}, expanded))
    return book


def _as_computed(names: Names, launch: Mapping[Expr, int], expanded: Mapping[Expr, Expr]) -> list[Expr]:
    """List the lines in the order of the launches: what is not stored is computed where it is first read."""
    place: dict[int, int] = {}
    for node in reversed(names.order):
        here = place[id(node)] = launch.get(expanded[node], place.get(id(node), len(launch)))
        for arg in reads(node):
            place[id(arg)] = min(here, place.get(id(arg), here))
    return sorted(names.lines, key=lambda node: place[id(node)])


def _news(updates: Pairs) -> list[Expr]:
    """List the new values."""
    return [new for _, new in updates]


def _inlined_updates(subject: Subject) -> list[tuple[Parameter, Expr]]:
    news = inline([new for _, new in subject.updates])
    return list(zip(subject.renewed, news, strict=True))


def expanded_nodes(subject: Subject) -> dict[Expr, Expr]:
    """Map every node of the simplified graph to what it became before it was cut into kernels."""
    nodes = topological(inline(subject.simplified))
    return dict(zip(nodes, expand(nodes), strict=True))


def _values(subject: Subject, expanded: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
    """Map what launches store to the values that this is: copies, which no expression asked for, to what they copy."""
    asked = set(topological(expanded[root] for root in inline(subject.simplified)))
    found: dict[Expr, Expr] = {}
    for node in stored_nodes(subject.compiled):
        value = node
        while value.op == "stop_gradient" and value not in asked:
            (value,) = value.args
        found[node] = value
    return found


# -- launches --------------------------------------------------------------------------------------------------------


class _Launches:
    """What each launch of a program computes."""

    def __init__(self, subject: Subject, book: _Book, value_of: Mapping[Expr, Expr]) -> None:
        self.compiled, self.book, self.value_of = subject.compiled, book, value_of
        self.lines = book.lines()
        numbered = list(enumerate(self.lines))[::-1]
        self.update_of = {line.parameter: k for k, line in numbered if line.parameter is not None}
        self.line_of = {id(line.node): k for k, line in numbered if line.parameter is None}
        self.stored = set(map(id, value_of.values()))
        guards = self.compiled.guards
        self.checks = dict(zip(expand(g.flag for g in guards), guards, strict=True))

    def labels(self) -> Labels:
        """Write the lines and name the operands."""
        return Labels(self._texts(), self._operands())

    def _operands(self) -> dict[Operand, str]:
        """Name everything that launches read and write."""
        found: dict[Operand, str] = {}
        waiting: list[Operand] = []
        for step in self.compiled.steps:
            found |= {o: self._name(o) for o in step.operands if isinstance(o, Expr) and o not in found}
            if step.rounds:
                found |= dict.fromkeys(step.stored, self._rounded(step))
                continue
            waiting += [o for o in step.stored if not isinstance(o, Expr)]
            names = ", ".join(found[o] for o in step.stored if isinstance(o, Expr))
            if names:
                found |= dict.fromkeys(waiting, f"parts of {names}")
                waiting = []
        return found

    def _name(self, operand: Expr) -> str:
        if operand in self.checks:
            return f"check of {self._indices(self.checks[operand])}"
        place = self.compiled.updated.get(operand, operand)
        return self.book.of(self.value_of.get(place, place)) or label(place)

    def _rounded(self, step: Step) -> str:
        """Say what a launch rounds."""
        return f"{', '.join(self._name(o) for o in step.operands if isinstance(o, Expr)) or 'a constant'} in bfloat16"

    def _indices(self, guard: Guard) -> str:
        return self.book.of(guard.indices) or label(guard.indices)

    def _texts(self) -> tuple[tuple[str, ...], ...]:
        """Write the lines of every launch; one that only prepares memory for others says what the last one finishes."""
        last = {step.group: step for step in self.compiled.steps}
        finisher = {(step.group, o): step for step in self.compiled.steps for o in step.stored}
        finishes = (
            any(finisher[s.group, o] is s for o in s.stored if isinstance(o, Expr)) for s in self.compiled.steps
        )
        return tuple(
            (self._rounded(step),) if step.rounds else self._whole(step) if whole else self._parts(last[step.group])
            for step, whole in zip(self.compiled.steps, finishes, strict=True)
        )

    def _whole(self, step: Step) -> tuple[str, ...]:
        return (*self._checks(step), *(str(self.lines[k]) for k in self._needed(self._stored_by(step))))

    def _checks(self, step: Step) -> tuple[str, ...]:
        guards = [self.checks[o] for o in step.stored if isinstance(o, Expr) and o in self.checks]
        return tuple(f"check {_negative(g.extent)} <= {self._indices(g)} < {g.extent}" for g in guards)

    def _parts(self, step: Step) -> tuple[str, ...]:
        """Write the line in which the reduction of a launch stands, and what that line needs."""
        for k in self._needed(self._stored_by(step)):
            if any(node is step.group.root for node in self._inline(self.lines[k].node)[0]):
                return tuple(f"{'parts of ' if j == k else ''}{self.lines[j]}" for j in self._needed([k]))
        return tuple(f"parts of {line}" for line in self._whole(step))

    def _stored_by(self, step: Step) -> list[int]:
        return [k for o in step.stored if isinstance(o, Expr) and (k := self._line_of(o)) is not None]

    def _needed(self, lines: Iterable[int]) -> list[int]:
        """Add to lines those that they mention and nobody stores: whoever stores the first computes the others, too."""
        found: set[int] = set()
        waiting = list(lines)
        while waiting:
            k = waiting.pop()
            if k not in found:
                found.add(k)
                _, mentioned = self._inline(self.lines[k].node)
                waiting += [self.line_of[i] for i in map(id, mentioned) if i in self.line_of and i not in self.stored]
        return sorted(found)

    def _line_of(self, stored: Expr) -> int | None:
        if stored in self.compiled.updated:
            return self.update_of[self.compiled.updated[stored]]
        return self.line_of.get(id(self.value_of.get(stored)))

    def _inline(self, root: Expr) -> tuple[list[Expr], list[Expr]]:
        """List the nodes that a line writes out, and those that it mentions by name."""
        written, mentioned = [root], list[Expr]()
        seen = {id(root)}
        for node in written:  # grows while it is read
            for arg in reads(node):
                if id(arg) not in seen:
                    seen.add(id(arg))
                    (written if self.book.of(arg) is None else mentioned).append(arg)
        return written, [self.book.names.bearer(node) for node in mentioned]


def _negative(size: Size) -> str:
    return f"-{size}" if isinstance(size, int) or str(size).isidentifier() else f"-({size})"
