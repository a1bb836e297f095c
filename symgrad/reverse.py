"""Reverse-mode differentiation: the chain rule, from a result back to what it depends on, as another graph.

In: expressions, what to differentiate with respect to (any expressions), cotangents. Out: expressions of the same rows,
so gradients can be printed, simplified, compiled and differentiated again. The sweep is iterative, visits each node
once, and only nodes that lie between the results and what is asked for; broadcasting is undone here and nowhere else.
Every cotangent remembers the chain-rule step it came from (`side.origins`). It must not know any operator by name.

Choices. Behind `where(c, a, b)` the cotangent of `a` means something only where c holds. A derivative evaluated off
that support may be infinite or NaN, and a zero cotangent times such a number is NaN: the branch not taken would leak.
So a cotangent carries its *support* through elementwise operators, and is masked, `where(c, g, 0)`, when it leaves
them: to be summed, returned, added to another one, handed to any other operator (`support.py`). It is one selection,
as the chain rule asks for anyway, but behind the singular factors instead of before them; second derivatives find it
there and treat it in the same way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symgrad import side
from symgrad.errors import GradientError
from symgrad.expr import Expr, constant_node, topological
from symgrad.formula import Call, Formula, Num
from symgrad.ops.calculus import derivative_of, scale
from symgrad.ops.row import ROWS, cast, describe, no_gradient, plain_name, row_of
from symgrad.ops.structure import Cast, Composite, Map
from symgrad.request import (
    check_float,
    check_loss,
    check_reached,
    complete,
    fitted,
    flows,
    variables,
)  # fmt: skip
from symgrad.shape import format_shape
from symgrad.simplifier import simplify as simplify_graph
from symgrad.simplifier import stabilise
from symgrad.structures import parts, restore
from symgrad.support import Cotangent, added, along_axes, chosen, passed_on, restricted, settled, shrunk, tame_nodes

__all__ = ["grad", "value_and_grad", "vjp"]


# -- the public functions ------------------------------------------------------------------------------------------


def grad(loss: Expr, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Derive the gradient of a scalar expression, as expressions of the shapes of `wrt`.

    - `wrt`: an expression of float dtype (a parameter, a symbol, any intermediate result), or a list, tuple or dict of
      them; the gradients come back in the same structure.
    - `simplify`: bring the loss into its numerically stable form first (never through a `wrt`), and the result into
      the form that a person would write; off, it is the bare chain rule.
    - `disconnected`: "error", or "zero" to get zeros for what the loss does not depend on.

    Raises GradientError for a loss that is no float scalar, for an integer `wrt` and for one that the loss does not
    depend on in a differentiable way.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> [float(v) for v in sg.evaluate(sg.grad((x * x).sum(), x), {x: [1.0, 2.0, 3.0]})]
    [2.0, 4.0, 6.0]
    """
    _, grads = _derived(loss, wrt, simplify, disconnected)
    return restore(wrt, iter(simplify_graph(grads) if simplify else grads))


def value_and_grad(loss: Expr, wrt: Any, *, simplify: bool = True, disconnected: str = "error") -> tuple[Expr, Any]:
    """Give (loss, gradients): as `grad`, with the loss in the form that shares most with its gradients.

    >>> import symgrad as sg
    >>> x = sg.symbol("x")
    >>> value, slope = sg.value_and_grad(x * x, x)
    >>> float(sg.evaluate(value, {x: 3.0})), float(sg.evaluate(slope, {x: 3.0}))
    (9.0, 6.0)
    """
    loss, grads = _derived(loss, wrt, simplify, disconnected)
    if simplify:
        loss, *grads = simplify_graph([loss, *grads])
    return loss, restore(wrt, iter(grads))


def _derived(loss: Expr, wrt: Any, simplify: bool, disconnected: str) -> tuple[Expr, list[Expr]]:
    """Give the loss in its stable form, if simplified, and its gradients by the bare chain rule."""
    check_loss(loss)
    targets = variables(wrt, disconnected)
    with side.building_at(None):
        check_reached([loss], targets, disconnected)
        if simplify:
            loss = stabilise(loss, targets)
        return loss, complete(sweep([(loss, constant_node(1, loss.dtype))], targets), targets)


def vjp(outputs: Any, wrt: Any, cotangents: Any, *, simplify: bool = True, disconnected: str = "error") -> Any:
    """Multiply cotangents by the Jacobian: the gradient of sum(cotangent * output) over all outputs.

    - `outputs`: an expression or a list, tuple or dict of them, of float dtype and any shapes.
    - `cotangents`: one for each output, in the same order, of the output's shape.

    The result has the structure of `wrt`. Raises GradientError as `grad` does, and for cotangents that do not fit.

    >>> import symgrad as sg
    >>> A, x, g = sg.symbol("A", (2, 3)), sg.symbol("x", (3,)), sg.symbol("g", (2,))
    >>> sg.vjp(A @ x, A, g).shape
    (2, 3)
    """
    results, given = list(parts(outputs)), list(parts(cotangents))
    if len(results) != len(given):
        raise GradientError("vjp takes one cotangent for each output", got=f"{len(given)} for {len(results)}")
    targets = variables(wrt, disconnected)
    pairs = [(check_float("output", out), g) for out, g in zip(results, given, strict=True)]
    with side.building_at(None):
        seeds = [(out, fitted("cotangent has the shape of its output", out, g)) for out, g in pairs]
        check_reached(results, targets, disconnected)
        if simplify:
            stable = stabilise([out for out, _ in seeds], targets)
            seeds = [(out, g) for out, (_, g) in zip(stable, seeds, strict=True)]
        grads = complete(sweep(seeds, targets), targets)
        if simplify:
            grads = simplify_graph(grads)
    return restore(wrt, iter(grads))


# -- the sweep -----------------------------------------------------------------------------------------------------


def sweep(
    seeds: Sequence[tuple[Expr, Expr]], targets: Sequence[Expr], leaves: frozenset[Expr] = frozenset()
) -> dict[Expr, Expr]:
    """Carry cotangents from results to the targets; a target without an entry has the gradient zero.

    Nodes in `leaves` are not entered.
    """
    found = _sweep([(out, Cotangent(g)) for out, g in seeds], targets, leaves)
    return {node: settled(g, node) for node, g in found.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The chain rule at one node: all that came from above, and what goes on to each operand on a path to a target."""

    node: Expr
    above: Cotangent
    parts: tuple[Cotangent | None, ...] = ()


def passages(loss: Expr, targets: Sequence[Expr]) -> list[Passage]:
    """List what the sweep does from a scalar to the targets, in its order: for those who tell the chain rule."""
    tape: list[Passage] = []
    with side.building_at(None):
        _sweep([(loss, Cotangent(constant_node(1, loss.dtype)))], targets, frozenset(), tape)
    return tape


def _sweep(
    seeds: Sequence[tuple[Expr, Cotangent]], targets: Sequence[Expr], leaves: frozenset[Expr],
    tape: list[Passage] | None = None,
) -> dict[Expr, Cotangent]:  # fmt: skip
    """Visit every node after its users; what these contribute is added in their order, which is the graph's alone."""
    results = [out for out, _ in seeds]
    forward = topological(results, stop=lambda node: node in leaves or not flows(node))
    whole = topological(results, stop=leaves.__contains__)
    known, wanted, tame = set(whole), set(targets), functools.cache(lambda: tame_nodes(whole))
    passing = between(forward, wanted, leaves)
    pending: dict[Expr, Cotangent] = {}
    found: dict[Expr, Cotangent] = {}
    for out, g in seeds:
        _add(pending, out, g)
    for node in reversed(forward):
        g_node = pending.pop(node, None)
        if g_node is None:
            continue
        if node in wanted:
            found[node] = g_node
        parts = cotangents(node, g_node, tame) if node in passing else ()
        parts = [part if arg in passing or arg in wanted else None for arg, part in zip(node.args, parts, strict=False)]
        if tape is not None:
            tape.append(Passage(node, g_node, tuple(parts)))
        for position, part in enumerate(parts):
            if part is not None:
                origin = side.Origin(f"{plain_name(node.op)}[{position}]", node, g_node.value)
                side.explain(part.value, origin, functools.partial(_is_given, g_node.value, known))
                _add(pending, node.args[position], part)
    return found


def _is_given(upstream: Expr, known: Collection[Expr], node: Expr) -> bool:
    """Tell whether a node was there before a step of the chain rule."""
    return node is upstream or node in known


def between(forward: Sequence[Expr], wanted: Collection[Expr], leaves: Collection[Expr]) -> set[Expr]:
    """Give the nodes through which a derivative passes to something wanted; `forward` has operands first."""
    passing: set[Expr] = set()
    for node in forward:
        if node not in leaves and flows(node) and any(arg in passing or arg in wanted for arg in node.args):
            passing.add(node)
    return passing


def _add(pending: dict[Expr, Cotangent], node: Expr, part: Cotangent) -> None:
    """Add a contribution to what a node has got from its other users."""
    before = pending.get(node)
    if before is None:
        pending[node] = part
        return
    pending[node] = total = added(before, part, node)
    side.record_origin(total.value, side.Origin("sum over uses", node, before.value))


# -- one node ------------------------------------------------------------------------------------------------------


def cotangents(node: Expr, g: Cotangent, tame: Callable[[], Collection[Expr]]) -> Sequence[Cotangent | None]:
    """Apply the chain rule to one node: a cotangent, of the operand's shape and dtype, for each operand."""
    row = row_of(node)
    if isinstance(row.structure, Map):
        return _of_map(node, g)
    if isinstance(row.structure, Composite) and row.vjp is None:
        return _of_definition(node, g)
    if row.vjp is None:
        raise no_gradient(node, "Wrap the operand in stop_gradient where no derivative is meant.")
    if isinstance(row.structure, Cast):
        values = _checked(node, row.vjp(node, g.value))
        return [None if value is None else replace(g, value=value) for value in values]
    values = _checked(node, row.vjp(restricted(node, g, tame), settled(g, node)))
    if g.support is None or not isinstance(row.structure, Composite) or along_axes(node, g.support) is not None:
        return passed_on(node, g, values)
    return _with_supports(values, _of_definition(node, g))


def _with_supports(values: Sequence[Expr | None], known: Sequence[Cotangent | None]) -> list[Cotangent | None]:
    """Give a composite's own cotangents the supports that its definition finds."""
    found: list[Cotangent | None] = []
    for value, like in zip(values, known, strict=True):
        support = None if like is None else like.support
        found.append(None if value is None else Cotangent(value, support, support))
    return found


def _of_map(node: Expr, g: Cotangent) -> list[Cotangent | None]:
    """Multiply by the local derivatives, which are formulas over the operands and the result; choices only choose."""
    env = {**dict(zip("xyzw", node.args, strict=False)), "out": node}
    chooses = row_of(node).operands == "select"
    found: list[Cotangent | None] = []
    for position, (arg, formula) in enumerate(zip(node.args, derivative_of(node.op), strict=True)):
        part: Cotangent | None = None
        if arg.dtype.is_float and chooses:
            part = chosen(g, node.args[0], position == 1)
        elif arg.dtype.is_float and (value := scale(g.value, formula, env)) is not None:
            part = Cotangent(value, g.support, g.due if _is_number(formula) else g.support)
        if part is not None:
            part = shrunk(part, node, arg)
            part = replace(part, value=cast(part.value, arg.dtype))
        found.append(part)
    return found


def _is_number(formula: Formula) -> bool:
    """Tell whether a local derivative is finite wherever it is evaluated."""
    while isinstance(formula, Call) and formula.name == "negative":
        (formula,) = formula.args
    return isinstance(formula, Num)


def _of_definition(node: Expr, g: Cotangent) -> list[Cotangent | None]:
    """Differentiate the definition down to the operands; one that stands at several places answers at the first."""
    structure, operands = row_of(node).structure, node.args
    assert isinstance(structure, Composite)
    whole = structure.define(node)
    if structure.renew is not None:
        operands = tuple(structure.renew(node, g.value))
        whole = structure.define(ROWS[node.op](*operands, **node.attrs))
    found = _sweep([(whole, g)], [x for x in operands if x.dtype.is_float], frozenset(operands))
    return [found.pop(x, None) for x in operands]


def _checked(node: Expr, parts: Sequence[Expr | None]) -> list[Expr | None]:
    """Give each float operand's cotangent its dtype; GradientError for one that has not its shape."""
    fitting: list[Expr | None] = []
    for arg, part in zip(node.args, parts, strict=True):
        if part is None or not arg.dtype.is_float:
            fitting.append(None)
            continue
        if part.shape != arg.shape:
            got = f"{format_shape(part.shape)} for {describe(arg)}"
            raise GradientError(f"{node.op}: its vjp gives a cotangent of the wrong shape", got=got)
        fitting.append(cast(part, arg.dtype))
    return fitting
