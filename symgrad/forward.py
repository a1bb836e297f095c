"""Forward-mode differentiation: tangents, from what is varied forward to the results, as another graph.

In: results, variables (any expressions) and a tangent for each. Out: the results' tangents, expressions of the same
rows. One rule per structural class: elementwise operators multiply by their local derivatives, linear ones take the
tangent in the operand's place, contractions follow the product rule; other folds state their own `jvp`, a composite is
followed through its definition, and what states a `vjp` alone is transposed. The sweep is iterative and visits each
node between variables and results once. A zero tangent is None and no node. It must not know any operator by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.errors import GradientError
from symgrad.expr import Expr, symbol_node, topological
from symgrad.formula import Call, Formula, Num
from symgrad.ops.calculus import derivative_of, instantiate, scale
from symgrad.ops.row import ROWS, cast, no_gradient, row_of
from symgrad.ops.structure import Cast, Composite, Contraction, Gather, Layout, Map, Place, Scatter
from symgrad.request import (
    beside,
    check_float,
    check_reached,
    complete,
    fitted,
    flows,
    variables,
    zeros_like,
)  # fmt: skip
from symgrad.reverse import between, grad, sweep
from symgrad.simplifier import simplify as simplify_graph
from symgrad.simplifier import stabilise
from symgrad.structures import parts, restore

__all__ = ["hvp", "jvp"]

Tangents = tuple[Expr | None, ...]


# -- the public functions ------------------------------------------------------------------------------------------


def jvp(outputs: Any, wrt: Any, tangents: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Multiply the Jacobian by tangents: the rate at which the outputs change as `wrt` moves along them.

    - `outputs`: an expression or a list, tuple or dict of them, of float dtype and any shapes.
    - `wrt`: expressions, as for `grad`; what depends on one of them moves with it.
    - `tangents`: one for each of `wrt`, in the same order, of its shape.

    The result has the structure and the shapes of `outputs`: zeros for one that does not depend on `wrt`. Its cost is a
    small multiple of the outputs' own, however many variables there are. Raises GradientError as `grad` does, and for
    tangents that do not fit.

    >>> import symgrad as sg
    >>> x, t = sg.symbol("x", (3,)), sg.symbol("t", (3,))
    >>> [float(v) for v in sg.evaluate(sg.jvp(x * x, x, t), {x: [1.0, 2.0, 3.0], t: [1.0, 0.0, 1.0]})]
    [2.0, 0.0, 6.0]
    """
    results = [check_float("output", node) for node in parts(outputs)]
    targets, given = variables(wrt, disconnected), beside(wrt, tangents, "tangent")
    with side.building_at(None):
        seeds: dict[Expr, Expr] = {}
        for target, value in zip(targets, given, strict=True):
            seeds[target] = fitted("tangent has the shape of its variable", target, value)
        check_reached(results, targets, disconnected)
        stable = stabilise(results, targets) if simplify else results
        found = complete(push(stable, seeds), stable)
        if simplify:
            found = simplify_graph(found)
    return restore(outputs, iter(found))


def hvp(loss: Expr, wrt: Any, vectors: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Multiply the Hessian of a scalar expression by vectors, without forming it: the gradient's derivative along them.

    - `vectors`: one for each of `wrt`, in the same order, of its shape.

    The result has the structure and the shapes of `wrt`, and costs a small multiple of a gradient (forward over
    reverse). Raises GradientError as `grad` does, and for vectors that do not fit.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2,))
    >>> [float(v) for v in sg.evaluate(sg.hvp(sg.sum(x**3), x, [1.0, 0.5]), {x: [1.0, 2.0]})]
    [6.0, 6.0]
    """
    gradients = grad(loss, wrt, simplify=simplify, disconnected=disconnected)
    return jvp(gradients, wrt, vectors, simplify=simplify, disconnected="zero")


# -- the sweep -----------------------------------------------------------------------------------------------------


def push(
    results: Sequence[Expr], seeds: Mapping[Expr, Expr], leaves: Collection[Expr] = frozenset()
) -> dict[Expr, Expr]:
    """Carry tangents from the seeds to the results; one without an entry does not move.

    A seed that depends on others moves with them, too. Nodes in `leaves` are not entered.
    """
    forward = topological(results, stop=lambda node: node in leaves or not flows(node))
    passing, known = between(forward, seeds, leaves), set(forward)
    found: dict[Expr, Expr] = {}
    for node in forward:
        tangent = seeds.get(node)
        if node in passing:
            own = _tangent(node, tuple(found.get(arg) for arg in node.args))
            if own is not None:
                side.explain(own, side.Origin("tangent", node), lambda made: made in known or bool(side.sites(made)))
            tangent = own if tangent is None else tangent if own is None else ROWS["add"](tangent, own)
        if tangent is not None:
            found[node] = tangent
    return {node: found[node] for node in results if node in found}


def _tangent(node: Expr, tangents: Tangents) -> Expr | None:
    """Apply the chain rule to one node: its tangent, of its type; None where it does not move."""
    if all(t is None for t in tangents):
        return None
    row = row_of(node)
    rule: Rule = row.jvp or RULES.get(type(row.structure), _transposed)
    out = rule(node, tangents)
    if out is None:
        return None
    if out.shape != node.shape:
        out = ROWS["broadcast_to"](out, shape=node.shape)
    return cast(out, node.dtype)


# -- elementwise operators -----------------------------------------------------------------------------------------


def _of_map(node: Expr, tangents: Tangents) -> Expr | None:
    """Add up tangents times local derivatives; a choice chooses between tangents, so that the other one is not seen."""
    if row_of(node).operands == "select":
        chosen = (node.args[0], *(_or_zero(t, arg) for t, arg in zip(tangents[1:], node.args[1:], strict=True)))
        return ROWS[node.op](*chosen)
    env = {**dict(zip("xyzw", node.args, strict=False)), "out": node}
    total: Expr | None = None
    for t, formula in zip(tangents, derivative_of(node.op), strict=True):
        part = None if t is None else _scaled(cast(t, node.dtype), formula, env)
        if part is not None:
            total = part if total is None else ROWS["add"](total, part)
    return total


def _scaled(t: Expr, factor: Formula, env: Mapping[str, Expr]) -> Expr | None:
    """Multiply a tangent by a local derivative; a factor chosen to be 0 gives 0, also for an infinite tangent."""
    match factor:
        case Call(name="where", args=(condition, factor_if, Num(value=0))):
            part = _scaled(t, factor_if, env)
            mask = instantiate(condition, env, t.dtype)
            return None if part is None else ROWS["where"](mask, part, 0)
    return scale(t, factor, env)


def _of_cast(node: Expr, tangents: Tangents) -> Expr | None:
    (t,) = tangents
    return None if t is None or not node.dtype.is_float else cast(t, node.dtype)


# -- linear operators ----------------------------------------------------------------------------------------------


def _of_first(node: Expr, tangents: Tangents) -> Expr | None:
    """Take the tangent in place of the first operand, in which the operator is linear; the others are positions."""
    return ROWS[node.op](tangents[0], *node.args[1:], **node.attrs)


def _of_pieces(node: Expr, tangents: Tangents) -> Expr | None:
    """Place the tangents where their operands lie: alone between zeros, or with zeros for those that do not move."""
    structure = row_of(node).structure
    assert isinstance(structure, Place)
    moving = [position for position, t in enumerate(tangents) if t is not None]
    if len(node.args) > 1 and len(moving) == 1:
        steps = (1,) * node.ndim if structure.steps is None else structure.steps(node)
        starts = tuple(structure.offsets(node)[moving[0]])
        return ROWS["place"](tangents[moving[0]], shape=node.shape, starts=starts, steps=tuple(steps))
    return ROWS[node.op](*map(_or_zero, tangents, node.args), **node.attrs)


def _or_zero(t: Expr | None, like: Expr) -> Expr:
    return zeros_like(like) if t is None else t


def _of_product(node: Expr, tangents: Tangents) -> Expr | None:
    """Follow the product rule: each operand in turn replaced by its tangent."""
    total: Expr | None = None
    for position, t in enumerate(tangents):
        if t is not None:
            args = (*node.args[:position], t, *node.args[position + 1 :])
            part = ROWS[node.op](*args, **node.attrs)
            total = part if total is None else ROWS["add"](total, part)
    return total


# -- definitions and transposes ------------------------------------------------------------------------------------


def _of_composite(node: Expr, tangents: Tangents) -> Expr | None:
    """Follow the definition, unless the composite states a derivative of its own."""
    if row_of(node).vjp is not None:
        return _transposed(node, tangents)
    return through_definition(node, tangents)


def through_definition(node: Expr, tangents: Tangents) -> Expr | None:
    """Carry tangents from a composite's operands through its definition; an operand given twice moves once."""
    structure = row_of(node).structure
    assert isinstance(structure, Composite)
    seeds = {arg: t for arg, t in zip(node.args, tangents, strict=True) if t is not None}
    whole = structure.define(node)
    return push([whole], seeds, frozenset(node.args)).get(whole)


def _transposed(node: Expr, tangents: Tangents) -> Expr | None:
    """Differentiate the cotangents, which are linear in g, by g: the Jacobian is the transpose of its transpose."""
    row = row_of(node)
    if row.vjp is None:
        raise no_gradient(node, "Wrap the operand in stop_gradient where no derivative is meant.")
    g = symbol_node("_cotangent", node.shape, node.dtype)
    seeds = zip(row.vjp(node, g), tangents, strict=True)
    leaves = frozenset((node, *node.args))
    out = sweep([(part, t) for part, t in seeds if part is not None and t is not None], [g], leaves).get(g)
    known = leaves.union(t for t in tangents if t is not None)
    if out is not None and g in set(topological([out], stop=known.__contains__)):
        raise GradientError(f"{node.op}: its vjp is not linear in the cotangent")
    return out


Rule = Callable[[Expr, Tangents], "Expr | None"]

# One rule per structural class. Folds that are not linear have a rule of their own, or are transposed.
RULES: dict[type, Rule] = {
    Map: _of_map, Cast: _of_cast, Layout: _of_first, Gather: _of_first, Scatter: _of_first, Place: _of_pieces,
    Contraction: _of_product, Composite: _of_composite,
}  # fmt: skip
