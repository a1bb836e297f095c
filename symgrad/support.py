"""Cotangents and where they mean something: what keeps a branch that is not taken from leaking NaN.

In: cotangents on their way through a graph, choices (`where`), broadcasting. Out: cotangents whose *support* is known:
a bool expression outside of which the true cotangent is zero, whatever the value says; and settled values, which are
zero there. A support may be too large, never too small; None stands for everywhere. How it passes an operator follows
from the operator's structural class. It must not know the chain rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad import side
from symgrad.dtypes import BOOL, FLOAT32
from symgrad.expr import Expr, constant_node, literal
from symgrad.ops.moves import permuted, reshaped, stretched
from symgrad.ops.reduce import spread
from symgrad.ops.row import ROWS, cast, row_of, unbroadcast
from symgrad.ops.structure import (
    Composite,
    Contraction,
    Fold,
    Gather,
    Layout,
    Map,
    Place,
    Project,
    Scatter,
    Sequential,
    kept_shape,
)  # fmt: skip
from symgrad.shape import repeated_axes


@dataclass(frozen=True, slots=True, eq=False)
class Cotangent:
    """A cotangent of a node: its value, where it counts, and the selection that is due.

    Outside of the support the value is zero once it has been selected by `due`, which lies around the support; None:
    it is zero already. Both have the node's shape, or broadcast to it.
    """

    value: Expr
    support: Expr | None = None
    due: Expr | None = None


def settled(g: Cotangent, node: Expr) -> Expr:
    """Give the value with zeros outside the support: one selection, and only where there may be anything else."""
    if g.due is None:
        return g.value
    zero = constant_node(0, g.value.dtype)
    if g.due.op == "logical_not":
        masked = ROWS["where"](g.due.args[0], zero, g.value)
    else:
        masked = ROWS["where"](g.due, g.value, zero)
    side.record_origin(masked, side.Origin("choice", node, g.value))
    return masked


def chosen(g: Cotangent, condition: Expr, when: bool) -> Cotangent:
    """Give the cotangent of a branch that is taken where the condition is true, or where it is false."""
    own = condition if when else ROWS["logical_not"](condition)
    if g.support is own:
        return g
    support = own if g.support is None else ROWS["logical_and"](g.support, own)
    if g.due is None:
        return Cotangent(g.value, support, own)
    return Cotangent(g.value, support, support if g.due is g.support else ROWS["logical_and"](g.due, own))


def added(a: Cotangent, b: Cotangent, node: Expr) -> Cotangent:
    """Add two cotangents of one node; they are settled first, unless they mean something at the same places."""
    if a.support is b.support:
        due = a.due if b.due is None or a.due is b.due else b.due if a.due is None else a.support
        return Cotangent(ROWS["add"](a.value, b.value), a.support, due)
    total = ROWS["add"](settled(a, node), settled(b, node))
    if a.support is None or b.support is None or _complement(a.support, b.support) or _complement(b.support, a.support):
        return Cotangent(total)
    return Cotangent(total, ROWS["logical_or"](a.support, b.support))


def _complement(a: Expr, b: Expr) -> bool:
    """Tell whether one holds where the other does not, as for the two branches of a choice."""
    return a.op == "logical_not" and a.args[0] is b


def shrunk(g: Cotangent, node: Expr, target: Expr) -> Cotangent:
    """Undo broadcasting: from a node's shape to that of an operand."""
    if g.value.shape == target.shape:
        return g
    value = unbroadcast(settled(g, node), target)
    if g.support is None:
        return Cotangent(value)
    support = _over(g.support, node, repeated_axes(target.shape, node.shape))
    return Cotangent(value, reshaped(support, support.shape[node.ndim - target.ndim :]))


def _over(support: Expr, node: Expr, axes: Collection[int]) -> Expr:
    """Tell where something counts along these axes of the node, which stay with size 1; broadcast ones need no work."""
    support = reshaped(support, (*(1,) * (node.ndim - support.ndim), *support.shape))
    found = tuple(axis for axis in sorted(axes) if support.shape[axis] != 1)
    return ROWS["any"](support, axes=found, keepdims=True) if found else support


# -- through other operators ---------------------------------------------------------------------------------------


def is_sum(structure: Fold) -> bool:
    """Tell whether a fold adds up its elements, and so is linear."""
    (name, _), *others = structure.state
    return not others and structure.step == (f"{name} + x",) and structure.finish == name


def passed_on(node: Expr, g: Cotangent, values: Sequence[Expr | None]) -> list[Cotangent | None]:
    """Give the operands' cotangents, of these values, their supports, behind an operator that is not elementwise.

    If the node's own value is zero outside its support, so are those of linear operators, which move and add elements;
    others multiply them by what may be infinite.
    """
    if g.support is None:
        return [None if value is None else Cotangent(value) for value in values]
    structure = row_of(node).structure
    linear = isinstance(structure, Layout | Place | Gather | Scatter | Contraction)
    linear = linear or (isinstance(structure, Fold) and is_sum(structure))
    found: list[Cotangent | None] = []
    for value, support in zip(values, _supports(node, g.support), strict=True):
        found.append(None if value is None else Cotangent(value, support, None if linear else support))
    return found


def _supports(node: Expr, support: Expr) -> Sequence[Expr | None]:
    """Give where each operand counts: a rule per structural class; where none tells, everywhere if anywhere."""
    structure = row_of(node).structure
    if isinstance(structure, Layout | Place | Gather | Scatter):
        return _moved(node, stretched(support, node.shape))
    if isinstance(structure, Fold):
        return [spread(stretched(support, node.shape), node)]
    if isinstance(structure, Contraction):
        return _of_factors(node, support)
    if isinstance(structure, Sequential):
        return [_outside_the_core(node, support, structure, arg) for arg in node.args]
    along = along_axes(node, support)
    return [_anywhere(support)] * len(node.args) if along is None else [along]


def restricted(node: Expr, g: Cotangent, tame: Callable[[], Collection[Expr]]) -> Expr:
    """Give a contraction over operands that are zero where nothing counts, so that no zero meets an infinity.

    A contraction's cotangents multiply by its operands, and add up: what is computed for branches not taken would reach
    what is. Operands that are `tame` stay as they are.
    """
    if g.support is None or not isinstance(row_of(node).structure, Contraction):
        return node
    operands = [
        arg if arg in tame() else ROWS["where"](support, arg, constant_node(0, arg.dtype))
        for arg, support in zip(node.args, _of_factors(node, g.support), strict=True)
    ]
    return ROWS[node.op](*operands, **node.attrs)


def _anywhere(support: Expr) -> Expr:
    """Tell whether anything counts at all: what is left to know behind an operator that mixes all elements."""
    return ROWS["any"](support, axes=tuple(range(support.ndim)), keepdims=False) if support.ndim else support


def _of_factors(node: Expr, support: Expr) -> list[Expr]:
    """Give each factor of a contraction what counts along the labels that only the other one has."""
    structure, found = row_of(node).structure, []
    assert isinstance(structure, Contraction)
    axes = structure.axes(node)
    for arg, labels in zip(node.args, (axes.left, axes.right), strict=True):
        own = {label: size for label, size in zip(labels, arg.shape, strict=True) if size != 1}
        kept = _over(support, node, [axis for axis, label in enumerate(axes.out) if label not in own])
        found.append(_in_order(kept, axes.out, labels))
    return found


def _in_order(x: Expr, labels: Sequence[int], wanted: Sequence[int]) -> Expr:
    """Bring labelled axes into another order: those not wanted have size 1, those not there get it."""
    order = [labels.index(label) for label in wanted if label in labels]
    order += [axis for axis, label in enumerate(labels) if label not in wanted]
    x = permuted(x, order)
    sizes = iter(x.shape)
    return reshaped(x, [next(sizes) if label in labels else 1 for label in wanted])


def _outside_the_core(node: Expr, support: Expr, structure: Sequential, arg: Expr) -> Expr:
    """Keep the batch axes, along which nothing depends on anything else."""
    if structure.core is None:
        return _over(support, node, [node.attrs["axis"]])
    batch = node.args[0].ndim - structure.core
    kept = _over(support, node, range(batch, node.ndim))
    return ROWS["reshape"](kept, shape=(*kept.shape[:batch], *(1,) * (arg.ndim - batch)))


def _moved(node: Expr, support: Expr) -> list[Expr | None]:
    """Move the support as the operator's own rule moves a cotangent."""
    vjp = row_of(node).vjp
    if vjp is None:
        return [_anywhere(support)] * len(node.args)
    adds = isinstance(row_of(node).structure, Gather)
    moved = vjp(node, cast(support, FLOAT32) if adds else support)
    return [part if part is None or part.dtype is BOOL else ROWS["not_equal"](part, 0) for part in moved]


def along_axes(node: Expr, support: Expr) -> Expr | None:
    """Spread the support over the axes that a composite works along, where its attributes tell."""
    (x, *others), attrs = node.args or (node,), node.attrs
    if others or not isinstance(attrs.get("axes", attrs.get("axis")), tuple | int):
        return None
    if "keepdims" in attrs and node.shape == kept_shape(x.shape, attrs["axes"], attrs["keepdims"]):
        return spread(stretched(support, node.shape), node)
    if isinstance(attrs.get("axis"), int) and node.shape == x.shape:
        return _over(support, node, [attrs["axis"]])
    return None


# -- what cannot be infinite ---------------------------------------------------------------------------------------

_MODERATE = np.array([-1e3, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 1e3])


def tame_nodes(forward: Sequence[Expr]) -> set[Expr]:
    """Give the nodes that are finite where all that is given is finite and of moderate size.

    What is given is tame, and sums, products and elementwise functions without poles are, of what is. `forward` has
    operands first.
    """
    tame: set[Expr] = set()
    for node in forward:
        structure = row_of(node).structure
        if isinstance(structure, Sequential | Composite | Project) or not all(arg in tame for arg in node.args):
            continue
        if not isinstance(structure, Map) or _has_no_pole(node.op, tuple(map(_number, node.args))):
            tame.add(node)
    return tame


def _number(node: Expr) -> float | None:
    value = literal(node)
    return None if value is None else float(value)


@functools.lru_cache(maxsize=4096)
def _has_no_pole(name: str, numbers: tuple[float | None, ...]) -> bool:
    """Tell whether an elementwise operator gives numbers for all operands of moderate size, given the literal ones."""
    operands = np.meshgrid(*(_MODERATE if number is None else np.array([number]) for number in numbers))
    row = ROWS[name]
    if row.operands not in ("same", "arithmetic", "float", "order"):
        return True
    with np.errstate(all="ignore"):
        return bool(np.isfinite(row.oracle(*operands)).all())
