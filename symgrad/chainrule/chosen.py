"""Which values of a graph a derivation speaks of.

In: the tape of a sweep. Out: the values that get a step: what is differentiated by, what the user named, where several
paths meet, and what an operator with a derivative worth telling is applied to. What only passes a derivative on (sums,
means, signs, shapes, numbers as factors) is told with the step that it leads to. And the values that no derivative
passes through but that are too long to be written out in each step. It must not know what a step says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from symgrad import side
from symgrad.expr import Expr, TensorType, topological
from symgrad.formula import variables
from symgrad.ops.calculus import OPERANDS, derivative_of
from symgrad.ops.row import row_of
from symgrad.ops.structure import Cast, Fold, Layout, Map, Place
from symgrad.reverse import Passage
from symgrad.support import is_sum

__all__ = ["is_plumbing", "numbers_in", "shown_given", "shown_values"]

LONGEST = 4  # nodes in a value that is written out where it is used


def shown_values(tape: Sequence[Passage], loss: Expr, targets: Collection[Expr]) -> list[Expr]:
    """List the values that get a step, in the order of the sweep."""
    wanted, numbers = set(targets), numbers_in(loss)
    paths = Counter(arg for p in tape for arg, part in zip(p.node.args, p.parts, strict=False) if part is not None)
    told: set[Expr] = set()  # what has come through an operator worth telling since the last step
    shown: set[Expr] = wanted & {loss}
    for passage in tape:
        node = passage.node
        for position, (arg, part) in enumerate(zip(node.args, passage.parts, strict=False)):
            if part is None:
                continue
            if (node in told and node not in shown) or not is_plumbing(node, position, numbers):
                told.add(arg)
            named = side.name_of(arg) is not None or side.suggested_name(arg) is not None
            if arg in wanted or named or paths[arg] > 1 or (arg in told and not _only_moves(arg)):
                shown.add(arg)
    order = [passage.node for passage in tape if passage.node in shown]
    return list(dict.fromkeys([*order, *targets]))


def shown_given(tape: Iterable[Passage], loss: Expr, shown: Collection[Expr]) -> list[Expr]:
    """List what operators on the way take that no derivative passes through, if it is named or long."""
    path, apart = {passage.node for passage in tape}, set(shown)
    size: dict[Expr, int] = {}
    for node in topological([loss]):
        inside = () if node in apart else node.args
        size[node] = 0 if node.op == "constant" else min(LONGEST + 1, 1 + sum(size[arg] for arg in inside))
    taken = [arg for node in path for arg in node.args if arg not in path and arg.args]
    long = {x for x in taken if isinstance(x.type, TensorType) and (size[x] > LONGEST or side.name_of(x) is not None)}
    numbers = numbers_in(loss)
    return [node for node in size if node in long and node not in numbers]


def numbers_in(loss: Expr) -> set[Expr]:
    """Give the nodes that are made of numbers and sizes alone."""
    found: set[Expr] = set()
    for node in topological([loss]):
        if node.op in ("constant", "dim") or (node.args and all(arg in found for arg in node.args)):
            found.add(node)
    return found


def is_plumbing(node: Expr, position: int, numbers: Collection[Expr]) -> bool:
    """Tell whether an operator passes a derivative on as it is, but for a number, a place, a type or a sum."""
    row = row_of(node)
    if isinstance(row.structure, Map):
        if row.operands == "select":
            return False
        env = dict(zip(OPERANDS, node.args, strict=False))
        return all(name in env and env[name] in numbers for name in variables(derivative_of(node.op)[position]))
    if isinstance(row.structure, Fold):
        return is_sum(row.structure)
    return isinstance(row.structure, Layout | Cast | Place) or node.op in ("mean", "assume")


def _only_moves(node: Expr) -> bool:
    """Tell whether a node has its operand's elements, in other places or of another type."""
    return isinstance(row_of(node).structure, Layout | Cast) or node.op == "assume"
