"""A node's mathematics at a glance: its formula in the names around it, cut off where it would go deep.

In: a node, and who has a name. Out: one short text, found in time that does not depend on the size of the graph. It
must not know why a glimpse is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from symgrad import side
from symgrad.expr import Expr, TensorType, rebuild, symbol_node, topological
from symgrad.show.notation import Notation
from symgrad.show.python import TEXT
from symgrad.show.text import format_expression

__all__ = ["OPERATORS", "glimpse"]

OPERATORS = 10  # that are written out
_LENGTH = 160
_HIDDEN = "hidden_part"


def glimpse(
    node: Expr, names: Mapping[int, str], notation: Notation = TEXT, *, operators: int = OPERATORS
) -> str:  # fmt: skip
    """Write a node down to the nearest names, or as far as a number of operators goes; markup is never cut.

    >>> import symgrad as sg
    >>> x, y = sg.symbol("x", (3,)), sg.symbol("y", (3,))
    >>> h = sg.exp(x) + y
    >>> glimpse(sg.sum(h * y), {id(h): "h"})
    'sum(h * y)'
    """
    with side.building_at(None):
        text = format_expression(_shortened(node, names, operators), notation=notation)
    text = re.sub(rf"{_HIDDEN}\w*", "…", text) if notation is TEXT else _with_dots(text, notation)
    return text if notation is not TEXT or len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"


def _with_dots(text: str, notation: Notation) -> str:
    """Put dots in the place of stand-ins; those of different shapes have got numbers."""
    for name in (_HIDDEN, *(f"{_HIDDEN}_{k}" for k in range(2, 3 * OPERATORS))):
        text = text.replace(notation.name(name), notation.name("…"))
    return text


def _shortened(node: Expr, names: Mapping[int, str], operators: int) -> Expr:
    """Give the node over stand-ins for what has a name and for what lies too deep."""
    open_ = {id(node)}
    queue = [node]
    for at in queue:  # grows while it is read
        for arg in at.args:
            fits = len(open_) < operators or not isinstance(arg.type, TensorType)
            if arg.args and id(arg) not in open_ and id(arg) not in names and fits:
                open_.add(id(arg))
                queue.append(arg)
    new: dict[int, Expr] = {}
    for at in topological([node], stop=lambda n: id(n) not in open_):
        if id(at) in open_:
            new[id(at)] = rebuild(at, tuple(new[id(arg)] for arg in at.args))
        elif id(at) in names:
            new[id(at)] = symbol_node(names[id(at)], at.shape, at.dtype)
        else:
            new[id(at)] = at if not at.args else symbol_node(_HIDDEN, at.shape, at.dtype)
    return new[id(node)]
