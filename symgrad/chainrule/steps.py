"""The steps of a derivation: the chain rule from a scalar back to what it is differentiated by, told slowly.

In: a loss and variables. Out: data: which values get a step, and for each what contributes to its derivative (the
derivative of the value above times the local one), the derivative as it is stated, and the rewrites in between.

The steps come from a sweep of their own, whose tape (`reverse.passages`) lists every application of the chain rule.
Origins beside the nodes would tell of single nodes only, and of each the first reason, not by which of several paths a
term came: they answer `why()`, and are no account of a derivation.

Each step stands for itself: symbols stand for the values of other steps and for the derivatives that come from above,
so that a step is small, simplified on its own (its rewrites are those of this step) and can be checked on its own; the
whole is linear in the graph. Where the derivative from above is short it is put in, as a person would do.
It must not know how a step is written.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symgrad import side
from symgrad.chainrule.chosen import shown_given, shown_values
from symgrad.expr import Expr, constant_node, rebuild, symbol_node, topological
from symgrad.held import substituted
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Cast, Layout, Leaf, Map
from symgrad.request import check_loss, check_reached, variables, zeros_like
from symgrad.reverse import Passage, cotangents, passages
from symgrad.rewrite import Applied, Context, RuleClass, place_like
from symgrad.rules.inference import facts_of
from symgrad.simplifier import simplify, stabilise
from symgrad.support import Cotangent, settled, tame_nodes

__all__ = ["Account", "Contribution", "Link", "Step", "Value", "derive"]

MOST_NAMES = 5  # so many names may a derivative mention into which one from above is put


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A value of the forward computation: `symbol` stands for `node` in all formulas, `formula` says what it is.

    A symbol or parameter stands for itself, and has no formula.
    """

    node: Expr
    symbol: Expr
    formula: Expr | None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One application of the chain rule: from the result of `node` to its operand at `position`."""

    node: Expr
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one path brings to a derivative.

    - `above`: the value whose derivative comes from above; `upstream` stands for that, None at the loss, where it is 1.
    - `links`: the path from there to the value of the step.
    - `local`: upstream times the local derivative.
    """

    above: Value
    upstream: Expr | None
    links: tuple[Link, ...]
    local: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The derivative of the loss with respect to one value.

    `gradient` is what is stated, `upstream` the symbol that stands for it in the steps below; `rewrites` led to it.
    """

    number: int
    value: Value
    gradient: Expr
    upstream: Expr
    contributions: tuple[Contribution, ...]
    rewrites: tuple[Applied, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """A whole derivation: the loss as it was given and as it was differentiated, values that are given, and the steps.

    `opening` lists the rewrites that made one loss of the other; `given` are values that no derivative passes through;
    `names` says what parameters, symbols and values are called.
    """

    loss: Value
    stable: Value
    opening: tuple[Applied, ...]
    given: tuple[Value, ...]
    steps: tuple[Step, ...]
    names: Mapping[Expr, str]


def derive(loss: Expr, wrt: object, names: Mapping[Expr, str] | None = None) -> Account:
    """Derive the gradient of a scalar step by step; GradientError as `grad` raises it."""
    check_loss(loss)
    targets = variables(wrt, "error")
    opening: list[Applied] = []
    with side.building_at(None):
        check_reached([loss], targets, "error")
        stable: Expr = stabilise(loss, targets, opening)
        tape = _leading(passages(stable, targets), targets)
        shown = shown_values(tape, stable, targets)
        given = shown_given(tape, stable, shown)
        values = _values(stable, [*shown, *given])
        upstream = {node: _upstream(k, node) for k, node in enumerate(shown)}
        found = _contributions(tape, stable, values, upstream)
        steps = tuple(_stated(stable, values, upstream, found))
        stands = {node: value.symbol for node, value in values.items() if node is not stable}
        first = Value(loss, loss, substituted([loss], {**_before(opening, stands), **stands})[0])
    return Account(first, values[stable], tuple(opening), tuple(values[node] for node in given), steps, names or {})


def _leading(tape: Sequence[Passage], targets: Sequence[Expr]) -> list[Passage]:
    """Leave out what leads to no target after all, since a derivative on the way is 0."""
    useful = set(targets)
    found: list[Passage] = []
    for passage in reversed(tape):
        parts = tuple(
            part if arg in useful else None for arg, part in zip(passage.node.args, passage.parts, strict=False)
        )
        if passage.node in useful or any(part is not None for part in parts):
            useful.add(passage.node)
            found.append(Passage(passage.node, passage.above, parts))
    return found[::-1]


def _before(log: Sequence[Applied], stands: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
    """Give what stands for nodes of the loss as it was given: what stands for that which small changes made of them."""
    found: dict[Expr, Expr] = {}
    for one in reversed(log):
        small = one.rule is None or one.rule.kind is not RuleClass.REFINES
        if small and (one.after in stands or one.after in found):
            found[one.before] = stands[one.after] if one.after in stands else found[one.after]
    return found


# -- symbols in the place of values --------------------------------------------------------------------------------


def _values(loss: Expr, apart: Sequence[Expr]) -> dict[Expr, Value]:
    """Give the values that stand apart their symbols and formulas, over the symbols of others; and the loss its own."""
    separate, context = set(apart), Context()
    stands: dict[Expr, Expr] = {}
    values: dict[Expr, Value] = {}
    for node in topological([loss]):
        formula = _copied(node, stands)
        stands[node] = formula
        if not node.args and node in separate:
            values[node] = Value(node, node, None)
        elif node in separate:
            stands[node] = _symbol(node, tuple(sorted(facts_of(node, context))))
            values[node] = Value(node, stands[node], formula)
    values.setdefault(loss, Value(loss, loss, stands[loss]))
    return values


def _copied(node: Expr, stands: Mapping[Expr, Expr]) -> Expr:
    """Give a node over other operands, under its own name."""
    new = rebuild(node, tuple(stands[arg] for arg in node.args))
    name = side.name_of(node)
    if new is not node and name is not None and side.name_of(new) is None:
        side.set_name(new, name)
    return new


def _symbol(node: Expr, facts: tuple[str, ...]) -> Expr:
    """Give the symbol that stands for a value, for this one alone, in its place in the order of operands."""
    symbol = symbol_node(f"value {node.digest.hex()}", node.shape, node.dtype, facts)
    place_like(symbol, node)
    return symbol


def _upstream(number: int, node: Expr) -> Expr:
    """Give the symbol that stands for the derivative by a value; its place in the order is that of its number."""
    symbol = symbol_node(f"upstream {number} {node.digest.hex()}", node.shape, node.dtype)
    place_like(symbol, symbol_node(f"upstream {number}", node.shape, node.dtype))
    return symbol


# -- what contributes ----------------------------------------------------------------------------------------------

Path = tuple["Path", Link] | None  # the links so far, the last one outside


def _contributions(
    tape: Sequence[Passage], loss: Expr, values: Mapping[Expr, Value], upstream: Mapping[Expr, Expr]
) -> dict[Expr, list[Contribution]]:
    """Apply the chain rule again, from each value that has a step to the next ones below.

    There, a symbol stands for the derivative from above. What arrives at a node between is carried on.
    """
    tame = functools.cache(lambda: tame_nodes(topological([loss])))
    found: dict[Expr, list[Contribution]] = {node: [] for node in upstream}
    carried: dict[Expr, tuple[Cotangent, Expr, Path]] = {loss: (Cotangent(constant_node(1, loss.dtype)), loss, None)}
    for passage in tape:
        node = passage.node
        if not any(part is not None for part in passage.parts):
            continue
        if node in upstream and node is not loss:
            carried[node] = (Cotangent(upstream[node], passage.above.support), node, None)
        g, above, path = carried.pop(node)
        for position, part in enumerate(cotangents(node, g, tame)):
            arg = node.args[position]
            if part is None or passage.parts[position] is None:
                continue
            further = (path, Link(node, position)) if _tells(node, arg) else path
            if arg in upstream:
                stands = None if above is loss else upstream[above]
                found[arg].append(Contribution(values[above], stands, _unwound(further), settled(part, arg)))
            else:
                carried[arg] = (part, above, further)
    return _over_symbols(found, values)


def _tells(node: Expr, arg: Expr) -> bool:
    """Tell whether a link does anything: a sum of equal shapes does not, and of long sums nothing is to be told."""
    return node.op != "add" or node.shape != arg.shape


def _unwound(path: Path) -> tuple[Link, ...]:
    links = []
    while path is not None:
        path, link = path
        links.append(link)
    return tuple(reversed(links))


def _over_symbols(
    found: dict[Expr, list[Contribution]], values: Mapping[Expr, Value]
) -> dict[Expr, list[Contribution]]:
    """Put the symbols of values into all contributions, in one pass over the graph."""
    stands = {node: value.symbol for node, value in values.items()}
    forms = iter(substituted([c.local for parts in found.values() for c in parts], stands))
    return {
        node: [Contribution(c.above, c.upstream, c.links, next(forms)) for c in parts] for node, parts in found.items()
    }


# -- what is stated ------------------------------------------------------------------------------------------------


def _stated(
    loss: Expr, values: Mapping[Expr, Value], upstream: Mapping[Expr, Expr],
    found: Mapping[Expr, Sequence[Contribution]],
) -> Iterator[Step]:  # fmt: skip
    """Simplify each step: what contributes, the sum of it, and that with what comes from above put in."""
    stated: dict[Expr, Expr] = {}  # by the symbol that stands for it
    for number, node in enumerate(upstream, 1):
        log: list[Applied] = []
        value, parts = values[node], found[node]
        forms = [simplify(c.local, log=log if len(parts) == 1 else None) for c in parts]
        neat = tuple(Contribution(c.above, c.upstream, c.links, form) for c, form in zip(parts, forms, strict=True))
        total = forms[0] if len(forms) == 1 else simplify(_sum([c.local for c in parts], node, loss), log=log)
        put_in = _put_in(total, {c.upstream: stated[c.upstream] for c in parts if c.upstream is not None})
        if put_in:
            total = simplify(substituted([total], put_in)[0], log=log)
        stated[upstream[node]] = total
        rewrites = tuple(one for one in log if one.rule is not None)
        yield Step(number, value, total, upstream[node], neat, rewrites)


def _sum(forms: Sequence[Expr], node: Expr, loss: Expr) -> Expr:
    """Add contributions; to the loss itself nothing contributes, nor to what only moves it by steps."""
    if not forms:
        return constant_node(1, loss.dtype) if node is loss else zeros_like(node)
    total = forms[0]
    for form in forms[1:]:
        total = ROWS["add"](total, form)
    return total


def _put_in(total: Expr, above: Mapping[Expr, Expr]) -> dict[Expr, Expr]:
    """Choose which derivatives from above are short enough to be written again, by the symbols that stand for them.

    Elementwise formulas are, wherever they stand; matrix products and sums only behind elementwise operators.
    """
    found: dict[Expr, Expr] = {}
    size = _mentions(total)
    for symbol, form in above.items():
        if size > MOST_NAMES and _mentions(form) > 0:  # too long as it is, perhaps with a thousand paths
            continue
        uses, elementwise = _uses(total, symbol)
        longer = size + uses * (_mentions(form) - 1)
        if longer <= MOST_NAMES and (_is_elementwise(form) or (elementwise and uses == 1)):
            found[symbol], size = form, longer
    return found


def _uses(total: Expr, symbol: Expr) -> tuple[int, bool]:
    """Count how often a symbol is read, and tell whether all that depends on it is elementwise."""
    uses, elementwise, depends = 0, True, {symbol}
    for node in topological([total]):
        if any(arg in depends for arg in node.args):
            depends.add(node)
            uses += sum(arg is symbol for arg in node.args)
            elementwise = elementwise and isinstance(row_of(node).structure, Map | Cast)
    return max(uses, 1), elementwise


def _mentions(form: Expr) -> int:
    """Count how often a formula mentions names; what stands alone counts as one, numbers and sizes as none."""
    found: dict[Expr, int] = {}
    for node in topological([form], stop=_stands_alone):
        alone = _stands_alone(node) or (not node.args and node.op not in ("constant", "dim"))
        found[node] = 1 if alone else min(MOST_NAMES + 1, sum(found[arg] for arg in node.args))
    return found[form]


def _stands_alone(node: Expr) -> bool:
    """Tell whether a reader takes a node for one thing: probabilities have a line, one-hot labels read like a name."""
    return node.op in ("softmax", "sigmoid", "one_hot")


def _is_elementwise(form: Expr) -> bool:
    below = topological([form], stop=_stands_alone)
    return all(isinstance(row_of(n).structure, Map | Cast | Layout | Leaf) or _stands_alone(n) for n in below)
