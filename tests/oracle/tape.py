"""Reverse mode over NumPy: the oracle's gradients.

In: a scalar expression, expressions to differentiate it by, arrays. Out: arrays. The graph is evaluated once by the
interpreter; then every node, the last first, hands its cotangent to its operands by its `PULLBACKS`, by the partial
derivatives of `partials.py`, or, where it only moves elements, by adding them up where they came from. Iterative, one
visit for each node. It must not know symgrad's rules: vjp, jvp, derived formulas, supports, simplifier.

A cotangent of 0 times an infinite or undefined partial derivative is 0: behind a choice that is the rule (a branch that
is not taken has no say), elsewhere it means that the oracle has an answer at some poles where a graph has NaN.

Linear algebra: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"
(2008), sections 2.2 and 2.3; Cholesky: Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oracle.partials import DISCRETE, partials_of
from oracle.values import Env, Graph, UnplacedError, einsum, evaluated, kept, labels, pulled, sources, unbroadcast
from symgrad.expr import Expr
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Cast, Coordinate, Gather, Layout, Leaf, Map, Place, Random

Array = np.ndarray
Cotangents = Sequence[Array | None]
Pullback = Callable[[Graph, Expr, Array], Cotangents]


def gradients(loss: Expr, wrt: Sequence[Expr], env: Env) -> list[Array]:
    """Give the gradient of a scalar by each of some nodes, in float64; zeros where it does not depend on one."""
    if loss.shape != ():
        raise ValueError(f"a loss is a scalar, not of shape {loss.shape}")
    return pull([(loss, np.ones(()))], wrt, env)


def pull(seeds: Sequence[tuple[Expr, Array]], wrt: Sequence[Expr], env: Env) -> list[Array]:
    """Pull cotangents of some nodes back to others."""
    graph = evaluated([*(node for node, _ in seeds), *wrt], env)
    found: dict[Expr, Array] = {}
    for node, g in seeds:
        _add(found, node, g)
    wanted = set(wrt)
    with np.errstate(all="ignore"):
        for node in reversed(graph.order):
            if node not in found or node in graph.given:
                continue
            g = found[node] if node in wanted else found.pop(node)
            for arg, part in zip(node.args, cotangents(graph, node, g), strict=True):
                if part is not None and arg.dtype.is_float:
                    _add(found, arg, part)
    return [found[node] if node in found else np.zeros(graph.values[node].shape) for node in wrt]


def _add(found: dict[Expr, Array], node: Expr, g: Array) -> None:
    found[node] = found[node] + g if node in found else np.asarray(g, np.float64)


def cotangents(graph: Graph, node: Expr, g: Array) -> Cotangents:
    """Give the cotangents of a node's operands, None for those that have none."""
    structure = row_of(node).structure
    if isinstance(structure, Map) and node.op not in DISCRETE:
        return _elementwise(graph, node, g)
    rule = PULLBACKS.get(node.op) or GENERAL.get(type(structure))
    if rule is None:
        raise UnplacedError("reverse mode", node)
    return rule(graph, node, g)


# -- by structure --------------------------------------------------------------------------------------------------


def times(g: Array, partial: Array) -> Array:
    """Multiply, where 0 times anything is 0."""
    return np.where(g == 0, 0.0, g * partial)


def _elementwise(graph: Graph, node: Expr, g: Array) -> Cotangents:
    operands = graph.operands(node)
    slopes = partials_of(node.op, operands, graph.values[node])
    return [unbroadcast(times(g, slope), x.shape) for x, slope in zip(operands, slopes, strict=True)]


def _nothing(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [None] * len(node.args)


def _cast(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [g]


def _moved(graph: Graph, node: Expr, g: Array) -> Cotangents:
    """Send elements back to where they came from; positions, the operands after those, have no cotangent."""
    moved = 1 if isinstance(row_of(node).structure, Gather) else len(node.args)
    shapes = [x.shape for x in graph.operands(node)[:moved]]
    return [*pulled(g, sources(graph, node, moved), shapes), *[None] * (len(node.args) - moved)]


GENERAL: dict[type, Pullback] = {
    Leaf: _nothing, Coordinate: _nothing, Random: _nothing, Cast: _cast, Layout: _moved, Place: _moved, Gather: _moved,
}  # fmt: skip


# -- products and folds --------------------------------------------------------------------------------------------


def _product(graph: Graph, node: Expr, g: Array) -> Cotangents:
    (x, y), (left, right, out) = graph.operands(node), labels(node)
    found = ((x, left, einsum(g, out, y, right, left)), (y, right, einsum(x, left, g, out, right)))
    return [unbroadcast(np.broadcast_to(part, _wide(part, own)), own.shape) for own, _, part in found]


def _wide(part: Array, own: Array) -> tuple[int, ...]:
    return np.broadcast_shapes(part.shape, own.shape)


def _spread(graph: Graph, node: Expr, g: Array) -> Array:
    """Repeat what belongs to a result of a reduction for every element that went into it."""
    x = graph.values[node.args[0]]
    return np.broadcast_to(kept(g, node.attrs["axes"], node.attrs["keepdims"]), x.shape)


def _sum(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [_spread(graph, node, g)]


def _prod(graph: Graph, node: Expr, g: Array) -> Cotangents:
    """Multiply all others: the product without zeros, where this element is the only zero or there is none."""
    x, axes = graph.values[node.args[0]], node.attrs["axes"]
    is_zero = x == 0
    rest = np.prod(np.where(is_zero, 1.0, x), axis=axes, keepdims=True)
    zeros = is_zero.sum(axis=axes, keepdims=True)
    others = np.where(zeros == 0, rest / np.where(is_zero, 1.0, x), np.where(is_zero & (zeros == 1), rest, 0.0))
    return [_spread(graph, node, g) * others]


def _extremum(graph: Graph, node: Expr, g: Array) -> Cotangents:
    x, axes = graph.values[node.args[0]], node.attrs["axes"]
    attains = x == _spread(graph, node, graph.values[node])
    return [np.where(attains, _spread(graph, node, g) / attains.sum(axis=axes, keepdims=True), 0.0)]


def _count(graph: Graph, node: Expr) -> int:
    return int(np.prod([graph.values[node.args[0]].shape[axis] for axis in node.attrs["axes"]]))


def _mean(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [_spread(graph, node, g) / _count(graph, node)]


def _var(graph: Graph, node: Expr, g: Array) -> Cotangents:
    x, axes = graph.values[node.args[0]], node.attrs["axes"]
    count = _count(graph, node)
    return [_spread(graph, node, g) * 2 * (x - x.sum(axis=axes, keepdims=True) / count) / count]


def _norm(graph: Graph, node: Expr, g: Array) -> Cotangents:
    length = _spread(graph, node, graph.values[node])
    return [np.where(length == 0, 0.0, _spread(graph, node, g) * graph.values[node.args[0]] / length)]


def _logsumexp(graph: Graph, node: Expr, g: Array) -> Cotangents:
    x = graph.values[node.args[0]]
    return [_spread(graph, node, g) * np.exp(x - _spread(graph, node, graph.values[node]))]


def _softmax(graph: Graph, node: Expr, g: Array) -> Cotangents:
    p, axis = graph.values[node], node.attrs["axis"]
    return [p * g - p * (p * g).sum(axis=axis, keepdims=True)]


def _log_softmax(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [g - np.exp(graph.values[node]) * g.sum(axis=node.attrs["axis"], keepdims=True)]


# -- positions and orders ------------------------------------------------------------------------------------------


def _scatter_add(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [np.take(g, graph.values[node.args[1]], axis=node.attrs["axis"]), None]


def _scatter_along_axis(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [np.take_along_axis(g, graph.values[node.args[1]].astype(np.int64), -1), None]


def _sort(graph: Graph, node: Expr, g: Array) -> Cotangents:
    out, axis = np.zeros(g.shape), node.attrs["axis"]
    np.put_along_axis(out, ROWS["argsort"].oracle(graph.values[node.args[0]], **node.attrs), g, axis)
    return [out]


def _along(axis: int, *arrays: Array) -> list[Array]:
    return [np.moveaxis(a, axis, 0) for a in arrays]


def _cumsum(graph: Graph, node: Expr, g: Array) -> Cotangents:
    (lines,) = _along(node.attrs["axis"], g)
    return [np.moveaxis(np.cumsum(lines[::-1], 0)[::-1], 0, node.attrs["axis"])]


def _carried(a: Array, g: Array) -> Array:
    """Give h[k] = g[k] + a[k + 1] h[k + 1] along the first axis: cotangents of a linear recurrence's terms."""
    h = np.array(g)
    for k in range(len(h) - 2, -1, -1):
        h[k] += a[k + 1] * h[k + 1]
    return h


def _cumprod(graph: Graph, node: Expr, g: Array) -> Cotangents:
    axis = node.attrs["axis"]
    x, lines, out = _along(axis, graph.values[node.args[0]], g, graph.values[node])
    before = np.concatenate([np.ones_like(out[:1]), out[:-1]]) if len(out) else out
    return [np.moveaxis(before * _carried(x, lines), 0, axis)]


def _recurrence(graph: Graph, node: Expr, g: Array) -> Cotangents:
    axis = node.attrs["axis"]
    a, lines, out = _along(axis, graph.values[node.args[0]], g, graph.values[node])
    before = np.concatenate([np.zeros_like(out[:1]), out[:-1]]) if len(out) else out
    h = _carried(a, lines)
    return [np.moveaxis(before * h, 0, axis), np.moveaxis(h, 0, axis)]


# -- linear algebra ------------------------------------------------------------------------------------------------


def turned(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def solved(a: Array, b: Array) -> Array:
    """Solve, matrix by matrix, for a matrix or (b has one axis less) a vector; a singular one gives NaN."""
    out = np.empty(b.shape)
    for place in np.ndindex(a.shape[:-2]):
        try:
            out[place] = np.linalg.solve(a[place], b[place])
        except np.linalg.LinAlgError:
            out[place] = np.nan
    return out


def inverse(a: Array) -> Array:
    return solved(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


def half_lower(a: Array) -> Array:
    """Keep the lower triangle with half its diagonal: Murray's Phi."""
    return np.tril(a, -1) + 0.5 * np.tril(np.triu(a))


def _solve(graph: Graph, node: Expr, g: Array) -> Cotangents:
    of_b = solved(turned(graph.values[node.args[0]]), g)
    return [-_mixed(of_b, graph.values[node], graph.values[node.args[0]]), of_b]


def applied(a: Array, x: Array) -> Array:
    """Give a @ x, matrix by matrix, for a matrix or (x has one axis less) a vector."""
    return a @ x if x.ndim == a.ndim else (a @ x[..., None])[..., 0]


def _mixed(of_b: Array, x: Array, a: Array) -> Array:
    """Give of_b @ x.T, of vectors the outer product."""
    return of_b @ turned(x) if x.ndim == a.ndim else of_b[..., :, None] * x[..., None, :]


def _triangular_solve(graph: Graph, node: Expr, g: Array) -> Cotangents:
    cut = np.tril if node.attrs["lower"] else np.triu
    of_b = solved(turned(cut(graph.values[node.args[0]])), g)
    return [cut(-_mixed(of_b, graph.values[node], graph.values[node.args[0]])), of_b]


def _inv(graph: Graph, node: Expr, g: Array) -> Cotangents:
    c = turned(graph.values[node])
    return [-c @ g @ c]


def _det(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [(g * graph.values[node])[..., None, None] * turned(inverse(graph.values[node.args[0]]))]


def _logdet(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [g[..., None, None] * turned(inverse(graph.values[node.args[0]]))]


def _cholesky(graph: Graph, node: Expr, g: Array) -> Cotangents:
    lower = graph.values[node]
    inside = half_lower(turned(lower) @ g)
    back = solved(turned(lower), turned(solved(turned(lower), turned(inside))))  # L^-T Phi(L^T g) L^-1
    return [0.5 * (back + turned(back))]


# -- regions -------------------------------------------------------------------------------------------------------


def _identity(graph: Graph, node: Expr, g: Array) -> Cotangents:
    return [g]


def inside(graph: Graph, body: Any, arrays: Sequence[Array]) -> dict[Any, Array]:
    """Give the environment of a body: its inputs' values, and the dimensions."""
    return {**graph.free, **dict(zip(body.inputs, arrays, strict=True))}


def _checkpoint(graph: Graph, node: Expr, g: Array) -> Cotangents:
    body = node.attrs["body"]
    return pull([(body.outputs[0], g)], body.inputs, inside(graph, body, graph.operands(node)))


def _custom(graph: Graph, node: Expr, g: Array) -> Cotangents:
    """Evaluate the cotangents that were given with the function."""
    pullback, wrt = node.attrs["pullback"], node.attrs["wrt"]
    env = inside(graph, pullback, [*graph.operands(node), graph.values[node], g])
    values = evaluated(pullback.outputs, env).values
    found = dict(zip(wrt, pullback.outputs, strict=True))
    return [values[found[k]] if k in found else None for k in range(len(node.args))]


PULLBACKS: dict[str, Pullback] = {
    **dict.fromkeys(DISCRETE, _nothing),
    **dict.fromkeys(("argmax", "argmin", "any", "all", "argsort", "searchsorted", "det_sign", "one_hot"), _nothing),
    "matmul": _product, "contract": _product,
    "sum": _sum, "prod": _prod, "max": _extremum, "min": _extremum,
    "mean": _mean, "var": _var, "norm": _norm, "logsumexp": _logsumexp, "softmax": _softmax,
    "log_softmax": _log_softmax,
    "scatter_add": _scatter_add, "scatter_along_axis": _scatter_along_axis, "sort": _sort,
    "cumsum": _cumsum, "cumprod": _cumprod, "recurrence": _recurrence,
    "solve": _solve, "triangular_solve": _triangular_solve, "inv": _inv, "det": _det, "logdet": _logdet,
    "cholesky": _cholesky,
    "assume": _identity, "checkpoint": _checkpoint, "custom": _custom,
}  # fmt: skip
