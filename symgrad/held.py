"""Variables that are expressions: while rules work, a symbol of its own stands for each.

One may differentiate by any expression. Its operands then say nothing about it, and an equal value elsewhere is not the
same variable. In: graphs and variables. Out: graphs with symbols in their place, of their types, names, facts and place
in the order of operands; and back, with names and origins. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad import side
from symgrad.expr import Expr, TensorType, rebuild, symbol_node, topological
from symgrad.ops.facts import declared
from symgrad.rewrite import place_like

__all__ = ["hold", "put_back", "substituted"]


def hold(variables: Iterable[Expr]) -> dict[Expr, Expr]:
    """Give a symbol for each variable that is none."""
    return {node: _symbol(node) for node in variables if node.args and isinstance(node.type, TensorType)}


def _symbol(node: Expr) -> Expr:
    symbol = symbol_node(f"held {node.digest.hex()}", node.shape, node.dtype, tuple(sorted(declared(node))))
    place_like(symbol, node)
    return symbol


def substituted(roots: Sequence[Expr], values: Mapping[Expr, Expr]) -> list[Expr]:
    """Give the roots with some nodes replaced by others of the same types; what is rebuilt keeps its name."""
    known = dict(values)
    _substitute(roots, known)
    return [known[root] for root in roots]


def put_back(roots: Sequence[Expr], values: Mapping[Expr, Expr]) -> list[Expr]:
    """Replace symbols by the variables they stand for, in the origins of nodes, too."""
    known = dict(values)
    waiting = _substitute(roots, known)
    while waiting:
        node = waiting.pop()
        for origin in side.origins(node):
            waiting += _substitute([origin.source], known)
            if known[node] is not known[origin.source]:
                side.record_origin(known[node], side.Origin(origin.rule, known[origin.source]))
    return [known[root] for root in roots]


def _substitute(roots: Sequence[Expr], known: dict[Expr, Expr]) -> list[Expr]:
    """Note in `known` what becomes of every node; give those that became another one."""
    changed = []
    for node in topological(roots, stop=known.__contains__):
        if node in known:
            continue
        new = known[node] = rebuild(node, tuple(known[arg] for arg in node.args))
        if new is not node:
            changed.append(node)
            name = side.name_of(node)
            if name is not None and side.name_of(new) is None:
                side.set_name(new, name)
    return changed
