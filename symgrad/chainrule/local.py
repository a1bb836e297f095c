"""Local derivatives as mathematics: what an operator does to the derivative that comes from above.

In: a link of the chain rule. Out: for an elementwise operator its derivative, over the letters x, y, z, as its row
states it; for any other the row's own pullback of a cotangent g; for what only passes a derivative on, words. All of it
follows from the rows, no operator needs an entry here. It must not know how formulas are written.
"""

from __future__ import annotations

import itertools
import string
from dataclasses import dataclass
from typing import Any

from symgrad import side
from symgrad.chainrule.sampling import sizes_in
from symgrad.expr import Expr, constant_node, literal, symbol_node
from symgrad.ops.body import holds_body
from symgrad.ops.calculus import OPERANDS, derivative_of, instantiate
from symgrad.ops.reduce import reduced_size
from symgrad.ops.row import ROWS, plain_name, row_of
from symgrad.ops.structure import Cast, Contraction, Fold, Map, Place, Sequential
from symgrad.reverse import cotangents
from symgrad.simplifier import simplify
from symgrad.support import Cotangent

__all__ = ["LocalRule", "Rules", "passing_words"]


@dataclass(frozen=True, slots=True, eq=False)
class LocalRule:
    """The derivative of `function` by `variable`: `result`, or what a `cotangent` of the function becomes.

    `choice` says what is taken where no derivative exists.
    """

    operator: str
    function: Expr
    variable: Expr
    result: Expr
    cotangent: Expr | None = None
    choice: str = ""


class Rules:
    """Local rules, each made once; links over equal types share theirs."""

    def __init__(self) -> None:
        self._known: dict[Any, LocalRule | None] = {}

    def of(self, node: Expr, position: int) -> LocalRule | None:
        """Give the rule for an operand; None for an operator that is a function of the user's with its own rule."""
        if holds_body(node):
            return None
        operands = tuple(arg if _is_number(arg) else arg.type for arg in node.args)
        key = (node.op, tuple(node.attrs.items()), position, operands)
        if key not in self._known:
            make = _elementwise if isinstance(row_of(node).structure, Map) else _pullback
            with side.building_at(None):
                self._known[key] = make(node, position)
        return self._known[key]


def _is_number(node: Expr) -> bool:
    return node.op in ("constant", "dim")


def _elementwise(node: Expr, position: int) -> LocalRule:
    row = row_of(node)
    args = [
        arg if _is_number(arg) else symbol_node("c" if not arg.dtype.is_float else letter, (), arg.dtype)
        for arg, letter in zip(node.args, OPERANDS, strict=False)
    ]
    function, variable = row(*args), args[position]
    if row.operands == "select":
        one, zero = (constant_node(number, function.dtype) for number in (1, 0))
        factor = ROWS["where"](args[0], *((one, zero) if position == 1 else (zero, one)))
    else:
        env = {**dict(zip(OPERANDS, args, strict=False)), "out": function}
        factor = instantiate(derivative_of(node.op)[position], env, function.dtype)
    if any(map(_is_number, args)):  # what the formula says of this very number
        factor = simplify(factor, wrt=function)
    return LocalRule(plain_name(node.op), function, variable, factor, choice="" if row.smooth else row.sub_gradient)


def _pullback(node: Expr, position: int) -> LocalRule:
    """Let the row pull a cotangent g back, over operands of the node's types."""
    row, letters = row_of(node), _letters(node)
    args = [
        arg if _is_number(arg) else symbol_node(letter if arg.dtype.is_float else "i", arg.shape, arg.dtype)
        for arg, letter in zip(node.args, letters, strict=False)
    ]
    function = row(*args, **node.attrs)
    g = symbol_node("g", function.shape, function.dtype)
    part = cotangents(function, Cotangent(g), tuple)[position]
    assert part is not None
    result = simplify(part.value, wrt=function)
    return LocalRule(plain_name(node.op), function, args[position], result, g, "" if row.smooth else row.sub_gradient)


def _letters(node: Expr) -> list[str]:
    """Choose letters for operands: capitals for matrices of products, none that a dimension bears."""
    products = isinstance(row_of(node).structure, Contraction | Sequential) or len(node.args) > 1
    taken = set(sizes_in([node, *node.args]))
    capitals, small = ([c for c in pool if c not in taken] for pool in (string.ascii_uppercase, "xyzuvwabcdefh"))
    pools = itertools.cycle(capitals), itertools.cycle(small)
    return [next(pools[0] if products and arg.ndim > 1 else pools[1]) for arg in node.args]


# -- what only passes a derivative on ------------------------------------------------------------------------------

_MOVED: dict[str, str] = {
    "transpose": "transposed back", "reshape": "reshaped back", "slice": "put back in its place",
    "broadcast_to": "summed over the repeated axes", "flip": "turned back", "concatenate": "of its own piece",
    "assume": "", "add": "", "positive": "",
    "subtract": "", "negative": "negated",
}  # fmt: skip

_BY = {("multiply", 0): "times", ("multiply", 1): "times", ("divide", 0): "divided by"}


def passing_words(node: Expr, position: int) -> str:
    """Say what an operator does that only passes a derivative on.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (4, 3))
    >>> passing_words(sg.mean(x), 0), passing_words(-x, 0)
    ('spread and divided by 12', 'negated')
    """
    structure, arg = row_of(node).structure, node.args[position]
    said = []
    if node.op == "mean":
        said.append(f"spread and divided by {reduced_size(node)}")
    elif isinstance(structure, Fold):
        said.append("spread")
    elif isinstance(structure, Cast):
        said.append(f"converted to {arg.dtype}")
    elif isinstance(structure, Map):
        said.append(_scaled(node, position))
        said.append("summed over the repeated axes" if arg.shape != node.shape else "")
    else:
        said.append(_MOVED.get(node.op, "of its own piece" if isinstance(structure, Place) else "moved back"))
    return ", ".join(filter(None, said))


def _scaled(node: Expr, position: int) -> str:
    if node.op == "subtract" and position == 1:
        return "negated"
    if node.op in _MOVED:
        return _MOVED[node.op]
    by = _BY.get((node.op, position))
    number = literal(node.args[1 - position]) if by is not None else None
    return "scaled" if number is None else f"{by} {number:g}"
