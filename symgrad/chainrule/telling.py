"""A derivation put into words and formulas, before it is set as text, LaTeX or HTML.

In: an account, a notation. Out: for each step its number, the statement, the shape and notes, as pieces that are words
or formulas already written in the notation. It must not know how pieces are set, nor what a page looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from symgrad.chainrule.aliases import Aliases
from symgrad.chainrule.chosen import is_plumbing, numbers_in
from symgrad.chainrule.local import LocalRule, Rules, passing_words
from symgrad.chainrule.steps import Account, Contribution, Link, Step, Value
from symgrad.chainrule.why import built_at
from symgrad.expr import Expr, topological
from symgrad.ops.facts import declared
from symgrad.ops.leaves import FACTS as KNOWN_FACTS
from symgrad.rewrite import Applied, Rule, RuleClass
from symgrad.rules import LAYOUT, ORDER, SCALE, UNITS
from symgrad.shape import format_shape
from symgrad.show.naming import Names
from symgrad.show.notation import Notation, write
from symgrad.show.phrase import Call, Number, Phrase
from symgrad.show.wording import Writer

__all__ = ["Formula", "Partial", "Piece", "Prime", "Told", "tell"]


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, written."""

    text: str


@dataclass(frozen=True, slots=True)
class Partial:
    """The derivative of one thing by another, both written; without the first, what is left of it: d/dx."""

    above: str
    below: str


@dataclass(frozen=True, slots=True)
class Prime:
    """The derivative of a function of one variable: relu'(x)."""

    function: str
    variable: str


Piece = str | Formula | Partial | Prime
Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One step: `number` is empty for what stands before and after the steps."""

    number: str
    statement: Pieces
    beside: str
    notes: tuple[Pieces, ...] = ()


# What rewrites of these tables do, a reader sees: they move and order what stays the same, and collect numbers.
_TRIVIAL = frozenset({"fold", "multiply_one", "commute", "power_one", "where_known"})
_UNTOLD = _TRIVIAL | {rule.name for rule in (*LAYOUT, *ORDER, *SCALE, *UNITS)}
# Functions of the user's have no derivative to be told in general.
_OWN_RULES = {"custom": "the derivative that was given with the function"}
# How a fact reads; all others read `x is ...`.
_READS = {"rows_sum_to_one": "the rows of {} sum to one", "integer_valued": "the elements of {} are whole numbers"}


def tell(account: Account, notation: Notation) -> Iterator[Told]:
    """Tell a derivation: the loss, what it is rewritten to, the steps, and the rules that were used."""
    teller = _Teller(account, notation)
    yield from teller.opening()
    for step in account.steps:
        yield teller.step(step)
    yield from teller.rules()


class _Teller:
    """Knows the names, what has been said, and which rules were used."""

    def __init__(self, account: Account, notation: Notation) -> None:
        self.account, self.notation = account, notation
        self.names = Aliases(account)
        self.local = Rules()
        self.numbers = numbers_in(account.stable.node)
        self.values = {value.symbol: value for value in account.given}
        self.one = Formula("".join(map(str, notation.form(Number("1")).items)))
        self.said: set[Expr] = set()
        self.read: set[Value] = set()
        self.used: dict[str, Rule] = {}

    # -- before and after the steps -------------------------------------------------------------------------------

    def opening(self) -> Iterator[Told]:
        """State the loss; and if it was rewritten first, what became of it and why."""
        loss, stable = self.account.loss, self.account.stable
        rewrites = [one for one in self.account.opening if one.rule is not None]
        statement, notes = self._equation(self.names.loss, loss)
        yield Told("", statement, _sites(loss.node), (*notes, *self._given([loss])))
        if loss.formula is stable.formula:
            self.said.add(stable.symbol)
        elif rewrites:
            better = any(one.rule is not None and one.rule.kind is RuleClass.REFINES for one in rewrites)
            because = "so that it and its derivative stay finite and accurate" if better else "numbers outward"
            told, more = self._equation(self.names.loss, stable)
            self.said.add(stable.symbol)
            if told == statement and not better:  # what moved does not show
                return
            notes = (told, *more, *self._given([stable]), *self._rewrites(rewrites))
            yield Told("0", (f"rewritten first, {because}",), "", notes)

    def rules(self) -> Iterator[Told]:
        """List the rules that were used, each with its side condition."""
        if self.used:
            notes = tuple((_rule_text(rule),) for rule in self.used.values())
            yield Told("", ("rules used:",), "", notes)

    # -- a step ---------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> Told:
        """Tell one step."""
        writer, new = self.names.speaker([step.gradient])
        stated = self._written(step.gradient, writer)
        by = Partial(self.notation.name(self.names.loss), self.notation.name(self.names.of(step.value)))
        notes: list[Pieces] = self._where(new, writer)
        several = len(step.contributions) > 1
        if several:
            notes.append((f"{len(step.contributions)} paths meet here; what they bring is added:",))
        for contribution in step.contributions:
            notes += self._contribution(contribution, several)
            notes += self._given([contribution.above])
        if not step.contributions and step.value.node is not self.account.stable.node:
            notes.append(("no path to it has a derivative other than 0",))
        notes += self._rewrites(step.rewrites)
        shape = format_shape(step.value.node.shape)
        return Told(str(step.number), (by, " = ", Formula(stated)), shape, tuple(notes))

    def _contribution(self, one: Contribution, several: bool) -> Iterator[Pieces]:
        """Tell a path: the line it goes through, what comes from above, the local derivative, and their product."""
        lead = "+ " if several else ""
        yield (lead, *self._line(one.above))
        upstream = self._name(one.upstream) if one.upstream is not None else self.one
        passing, rules = self._links(one.links)
        writer, new = self.names.speaker([one.local])
        told: list[Piece] = ["  " if several else "", "upstream ", upstream]
        for words in passing or ([] if rules else ["passed on as it is"]):
            told += [", ", words]
        for rule in rules:
            told += ["; local: ", *rule]
        told.append("; product: " if rules else ": ")
        yield (*told, Formula(self._written(one.local, writer)))
        yield from self._where(new, writer)

    def _links(self, links: Sequence[Link]) -> tuple[list[str], list[Pieces]]:
        """Say what only passes on, and state the rules of what does more."""
        passing: list[str] = []
        rules: list[Pieces] = []
        for link in links:
            if is_plumbing(link.node, link.position, self.numbers):
                passing += filter(None, [passing_words(link.node, link.position)])
                continue
            rule = self.local.of(link.node, link.position)
            own = _OWN_RULES.get(link.node.op, "that of its definition")
            rules.append(self._rule(rule) if rule is not None else (own,))
        return passing, rules

    def _rule(self, rule: LocalRule) -> Pieces:
        """State a local derivative."""
        mentions = rule.function in set(topological([rule.result]))
        names = Names([rule.function, rule.result], {id(rule.function): "out"} if mentions else {})
        writer = Writer(names)
        function = write(rule.function, writer, self.notation, defined=True)
        variable, result = (write(node, writer, self.notation) for node in (rule.variable, rule.result))
        lets = self._where([node for node in names.lines if node is not rule.function], writer)
        with_ = tuple(piece for let in lets for piece in (", ", *let))
        named: Pieces = (Formula(self.notation.name("out")), " = ") if mentions else ()
        choice = (f" (chosen: {rule.choice})",) if rule.choice else ()
        if rule.cotangent is not None:
            g = Formula(write(rule.cotangent, writer, self.notation))
            takes: Pieces = (" takes ", g, " to ", Formula(result))
            by: Pieces = (f"{rule.operator}: ", Partial("", variable), " of ")
            return (*by, *named, Formula(function), *takes, *with_, *choice)
        if _is_plain_call(writer.phrase(rule.function, defined=True), rule.variable):
            out: Pieces = (", with ", *named, Formula(function)) if mentions else ()
            return (Prime(rule.operator, variable), " = ", Formula(result), *out, *with_, *choice)
        return (Partial("", variable), " of ", *named, Formula(function), " is ", Formula(result), *with_, *choice)

    def _line(self, value: Value) -> Pieces:
        """Name the user's line that a value comes from: its formula the first time, then its name."""
        name = self.names.loss if value is self.account.stable else self.names.of(value)
        where = _sites(value.node) or (_sites(self.account.loss.node) if value is self.account.stable else "")
        site = f" ({where})" if where else ""
        if value.symbol in self.said:
            return (Formula(self.notation.name(name)), site)
        self.said.add(value.symbol)
        statement, notes = self._equation(name, value)
        return (*statement, site, *(piece for note in notes for piece in (", ", *note)))

    # -- formulas -------------------------------------------------------------------------------------------------

    def _equation(self, name: str, value: Value) -> tuple[Pieces, tuple[Pieces, ...]]:
        """Write what a value is, with what else needs a name."""
        if value.formula is None or not value.formula.args:
            own = self.names.of(value) if value.formula is None else name
            is_other = (" = ", Formula(self.notation.name(own))) if own != name else ()
            return (Formula(self.notation.name(name)), *is_other), ()
        writer, new = self.names.speaker([value.formula], {value.formula: name})
        text = write(value.formula, writer, self.notation, defined=True)
        notes = self._where([node for node in new if node is not value.formula], writer)
        return (Formula(self.notation.name(name)), " = ", Formula(text)), tuple(notes)

    def _written(self, node: Expr, writer: Writer) -> str:
        """Write a formula out, even if it has a name; the symbol of a value or a derivative is its name."""
        return write(node, writer, self.notation, defined=bool(node.args))

    def _where(self, nodes: Iterable[Expr], writer: Writer) -> list[Pieces]:
        """Explain names that are new."""
        found: list[Pieces] = []
        for node in nodes:
            name = self.notation.name(writer.names.of(node) or "")
            found.append(("with ", Formula(name), " = ", Formula(write(node, writer, self.notation, defined=True))))
        return found

    def _given(self, values: Iterable[Value]) -> Iterator[Pieces]:
        """Explain values that no derivative passes through, where a formula mentions them first."""
        waiting = [value for value in values if value not in self.read]
        for reader in waiting:  # grows while it is read
            self.read.add(reader)
            for leaf in topological([reader.formula]) if reader.formula is not None else ():
                if leaf in self.values and leaf not in self.said:
                    self.said.add(leaf)
                    waiting.append(self.values[leaf])
                    statement, notes = self._equation(self.names.of(leaf), self.values[leaf])
                    yield ("with ", *statement, *(piece for note in notes for piece in (", ", *note)))

    def _name(self, symbol: Expr) -> Formula:
        return Formula(self.notation.name(self.names.of(symbol)))

    # -- rewrites -------------------------------------------------------------------------------------------------

    def _rewrites(self, rewrites: Iterable[Applied]) -> list[Pieces]:
        """Name the rules of a step, with the facts that licensed them."""
        told: dict[str, str] = {}
        for one in rewrites:
            assert one.rule is not None
            if one.rule.name in _UNTOLD:
                continue
            self.used.setdefault(one.rule.name, one.rule)
            facts = self._facts(one)
            if facts or one.rule.name not in told:
                told[one.rule.name] = f"{one.rule.name}, since {facts}" if facts else one.rule.name
        ordered = sorted(told.values(), key=lambda text: "since" not in text)
        return [("simplified with " + "; ".join(ordered),)] if ordered else []

    def _facts(self, one: Applied) -> str:
        """Say which declared facts the rule's condition names, and of what."""
        assert one.rule is not None
        found: list[str] = []
        for node in dict.fromkeys((one.before, *one.before.args, *(x for arg in one.before.args for x in arg.args))):
            name = self.names.known(node)
            for fact in sorted(declared(node)) if name is not None else ():
                if fact in KNOWN_FACTS and fact in re.findall(r"\w+", one.rule.condition):
                    found.append(_READS.get(fact, "{} is " + fact).format(name))
        return " and ".join(dict.fromkeys(found))


def _is_plain_call(phrase: Phrase, variable: Expr) -> bool:
    """Tell whether a phrase is f(x), whose derivative is f'(x)."""
    if not isinstance(phrase, Call) or len(phrase.args) != 1 or phrase.keywords:
        return False
    return phrase.args[0] is variable


def _rule_text(rule: Rule) -> str:
    """Write a rule with its side condition."""
    condition = f", if {rule.condition}" if rule.condition else ""
    return f"{rule.name}: {rule.lhs} -> {rule.rhs}{condition}"


def _sites(node: Expr) -> str:
    """List the lines on which a value was built."""
    return ", ".join(map(str, built_at(node)))
