"""Cotangents and where they mean something: what keeps a branch that is not taken from leaking NaN.

In: cotangents on their way through a graph, choices (`where`), broadcasting. Out: cotangents whose *support* is known:
a bool expression outside of which the true cotangent is zero, whatever the value says; and settled values, which are
zero there. A support may be too large, never too small; None stands for everywhere. It must not know the chain rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad import side
from symgrad.dtypes import BOOL, FLOAT32
from symgrad.expr import Expr, constant_node
from symgrad.ops.reduce import spread
from symgrad.ops.row import ROWS, cast, row_of, unbroadcast
from symgrad.ops.structure import Composite, Fold, Gather, Layout, Place, Scatter, kept_shape


@dataclass(frozen=True, slots=True, eq=False)
class Cotangent:
    """A cotangent of a node: its value, where it counts, and whether the value is already zero elsewhere.

    The support has the node's shape, or broadcasts to it.
    """

    value: Expr
    support: Expr | None = None
    clean: bool = True


def settled(g: Cotangent, node: Expr) -> Expr:
    """Give the value with zeros outside the support: one selection, and only where there may be anything else."""
    if g.support is None or g.clean:
        return g.value
    zero = constant_node(0, g.value.dtype)
    if g.support.op == "logical_not":
        masked = ROWS["where"](g.support.args[0], zero, g.value)
    else:
        masked = ROWS["where"](g.support, g.value, zero)
    side.record_origin(masked, side.Origin("choice", node, g.value))
    return masked


def chosen(g: Cotangent, condition: Expr, when: bool) -> Cotangent:
    """Give the cotangent of a branch that is taken where the condition is true, or where it is false."""
    own = condition if when else ROWS["logical_not"](condition)
    if g.support is own:
        return Cotangent(g.value, own, g.clean)
    return Cotangent(g.value, own if g.support is None else ROWS["logical_and"](g.support, own), clean=False)


def added(a: Cotangent, b: Cotangent, node: Expr) -> Cotangent:
    """Add two cotangents of one node; they are settled first, unless they mean something at the same places."""
    if a.support is b.support:
        return Cotangent(ROWS["add"](a.value, b.value), a.support, a.clean and b.clean)
    total = ROWS["add"](settled(a, node), settled(b, node))
    if a.support is None or b.support is None:
        return Cotangent(total)
    return Cotangent(total, ROWS["logical_or"](a.support, b.support))


def shrunk(g: Cotangent, node: Expr, target: Expr) -> Cotangent:
    """Undo broadcasting: from a node's shape to that of an operand."""
    if g.value.shape == target.shape:
        return g
    value = unbroadcast(settled(g, node), target)
    return Cotangent(value, None if g.support is None else _any(_whole(g.support, node), target))


def _whole(support: Expr, node: Expr) -> Expr:
    return support if support.shape == node.shape else ROWS["broadcast_to"](support, shape=node.shape)


def _any(support: Expr, target: Expr) -> Expr:
    """Tell where some element counts among those that broadcasting made of one."""
    extra = support.ndim - target.ndim
    stretched = tuple(i for i, size in enumerate(support.shape) if i < extra or size != target.shape[i - extra])
    if stretched:
        support = ROWS["any"](support, axes=stretched, keepdims=extra == 0)
    return support if support.shape == target.shape else ROWS["reshape"](support, shape=target.shape)


# -- through other operators ---------------------------------------------------------------------------------------


def is_sum(structure: Fold) -> bool:
    """Tell whether a fold adds up its elements, and so is linear."""
    (name, _), *others = structure.state
    return not others and structure.step == (f"{name} + x",) and structure.finish == name


def passed_on(node: Expr, g: Cotangent) -> tuple[Expr | None, bool]:
    """Give the support of the first operand's cotangent behind an operator that is not elementwise.

    And whether that cotangent is zero outside of it if the node's own is zero outside its support: linear operators
    move and add elements, others multiply them by what may be infinite.
    """
    if g.support is None:
        return None, True
    structure, support = row_of(node).structure, _whole(g.support, node)
    if isinstance(structure, Layout | Place | Gather | Scatter):
        return _moved(node, support), True
    if isinstance(structure, Fold):
        return spread(support, node), is_sum(structure)
    if isinstance(structure, Composite):
        return _along_axes(node, support), False
    return None, True


def _moved(node: Expr, support: Expr) -> Expr | None:
    """Move the support as the operator's own rule moves a cotangent."""
    vjp = row_of(node).vjp
    if vjp is None or (len(node.args) > 1 and isinstance(row_of(node).structure, Place)):
        return None
    adds = isinstance(row_of(node).structure, Gather)
    moved = vjp(node, cast(support, FLOAT32) if adds else support)[0]
    if moved is None or moved.shape != node.args[0].shape:
        return None
    return moved if moved.dtype is BOOL else ROWS["not_equal"](moved, 0)


def _along_axes(node: Expr, support: Expr) -> Expr | None:
    """Spread the support over the axes that a composite works along, where its attributes tell."""
    (x, *others), attrs = node.args or (node,), node.attrs
    if others or not isinstance(attrs.get("axes", attrs.get("axis")), tuple | int):
        return None
    if "keepdims" in attrs and node.shape == kept_shape(x.shape, attrs["axes"], attrs["keepdims"]):
        return spread(support, node)
    if isinstance(attrs.get("axis"), int) and node.shape == x.shape:
        kept = ROWS["any"](support, axes=(attrs["axis"],), keepdims=True)
        return ROWS["broadcast_to"](kept, shape=x.shape)
    return None
