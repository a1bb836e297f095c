"""What a derivative is asked of: results, variables, tangents and cotangents, as users give them.

In: nested lists, tuples and dicts of expressions. Out: flat lists of checked expressions; GradientError, with a hint,
for what has no derivative. It must not know how derivatives are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symgrad.errors import GradientError, nearest
from symgrad.expr import Expr, TensorType, constant_node, topological
from symgrad.ops.row import ROWS, as_expr, cast, describe, label, row_of, where_text
from symgrad.shape import format_shape
from symgrad.structures import parts


def beside(structure: Any, values: Any, what: str) -> Iterator[Any]:
    """List the value for each leaf of a structure; what stands beside a leaf is its value, a list of numbers too.

    >>> list(beside({"a": "x", "b": ["y"]}, {"b": [[1.0, 2.0]], "a": 0.5}, "tangent"))
    [0.5, [1.0, 2.0]]
    """
    if not isinstance(structure, (Mapping, list, tuple)):
        yield values
        return
    own = list(structure.values()) if isinstance(structure, Mapping) else list(structure)
    if isinstance(structure, Mapping) and isinstance(values, Mapping) and values.keys() == structure.keys():
        given = [values[key] for key in structure]
    else:
        given = list(parts_of(values))
    if len(own) != len(given):
        raise GradientError(f"one {what} is needed for each variable", got=f"{len(given)} for {len(own)}")
    for part, value in zip(own, given, strict=True):
        yield from beside(part, value, what)


def parts_of(values: Any) -> Sequence[Any]:
    """Give the members of a list, tuple or dict; anything else is one value."""
    if isinstance(values, Mapping):
        return list(values.values())
    return values if isinstance(values, (list, tuple)) else [values]


def check_float(what: str, node: Any) -> Expr:
    """Give back an expression of float dtype; TypeError or GradientError for anything else."""
    if not isinstance(node, Expr):
        raise TypeError(f"the {what} of a gradient is an expression, not {type(node).__name__}")
    if not node.dtype.is_float:
        got, hint = f"{label(node)} is {node.dtype}", "Convert it with astype('float32') where it enters."
        raise GradientError(f"the {what} of a gradient is a float", got=got, where=where_text([node]), hint=hint)
    return node


_FOR_MORE = {  # what gives the derivative of a result that is no scalar
    "grad": "sg.vjp with a cotangent, or sg.jacobian",
    "hessian": "sg.jacobian of sg.jacobian",
}


def check_loss(loss: Any, what: str = "grad") -> Expr:
    """Give back a float scalar; GradientError for anything else, in the name of what was asked for."""
    node = check_float("loss", loss)
    if node.shape != ():
        hint = f"Reduce it first, with mean() or sum(), or use {_FOR_MORE[what]}."
        raise GradientError(f"{what} takes a scalar loss", got=describe(node), where=where_text([node]), hint=hint)
    return node


def variables(wrt: Any, disconnected: str) -> list[Expr]:
    """List what is differentiated with respect to: floats, all of them."""
    if disconnected not in ("error", "zero"):
        raise ValueError(f"disconnected={disconnected!r} is unknown. {nearest(str(disconnected), ('error', 'zero'))}")
    return [check_float("variable", node) for node in parts(wrt)]


def fitted(what: str, node: Expr, value: Any) -> Expr:
    """Give a tangent or cotangent of a node, as an expression of its dtype; GradientError unless it has its shape."""
    g = cast(as_expr(value, node.dtype), node.dtype)
    if g.shape != node.shape:
        got = f"{format_shape(g.shape)} for {describe(node)}"
        raise GradientError(f"a {what}", got=got, where=where_text([node]))
    return g


def flows(node: Expr) -> bool:
    """Tell whether a derivative passes between the node and its operands."""
    if not node.args or not row_of(node).differentiable:
        return False
    return not isinstance(node.type, TensorType) or node.dtype.is_float


def check_reached(results: Sequence[Expr], targets: Sequence[Expr], disconnected: str) -> None:
    """Refuse a target to which no differentiable path leads, unless zeros are asked for."""
    if disconnected == "zero":
        return
    reached = set(topological(results, stop=lambda node: not flows(node)))
    for target in targets:
        if target not in reached:
            what, got = f"the loss does not depend on {label(target)}", "no differentiable path leads there"
            hint = 'Pass disconnected="zero" to get zeros.'
            raise GradientError(what, got=got, where=where_text([target]), hint=hint)


def complete(found: Mapping[Expr, Expr], nodes: Sequence[Expr]) -> list[Expr]:
    """Give one derivative per node: zeros where it vanishes."""
    return [found[node] if node in found else zeros_like(node) for node in nodes]


def zeros_like(node: Expr) -> Expr:
    """Give zeros of a node's shape and dtype; they stand for themselves and take no memory."""
    zero = constant_node(0, node.dtype)
    return ROWS["broadcast_to"](zero, shape=node.shape) if node.shape else zero
