"""Forward mode over NumPy: tangents carried beside values, as dual numbers are.

In: expressions, arrays, directions for some nodes. Out: the derivative of each expression along the directions. Its
rules are written for themselves, not as transposes of the tape's: folds and running operators push a pair (value,
tangent) through their own loop. Iterative, one visit for each node. It must not know symgrad's rules.

What has no tangent is None, which is a zero that multiplies anything to zero; a tangent of 0 does so too (see `tape`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from oracle.partials import DISCRETE, partials_of
from oracle.tape import applied, half_lower, inside, inverse, pull, solved, times, turned
from oracle.values import Env, Graph, UnplacedError, einsum, evaluated, labels, pushed, sources
from symgrad.expr import Expr
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Cast, Coordinate, Gather, Layout, Leaf, Map, Place, Random

Array = np.ndarray
Tangents = Sequence[Array | None]
Pushforward = Callable[[Graph, Expr, Tangents], Array | None]


def tangent(outputs: Sequence[Expr], env: Env, directions: Mapping[Expr, Array]) -> list[Array]:
    """Give the derivative of each output along the directions, in float64; zeros where nothing reaches one."""
    return push(evaluated([*outputs, *directions], env), outputs, directions)


def push(graph: Graph, outputs: Sequence[Expr], directions: Mapping[Expr, Array]) -> list[Array]:
    """Push tangents of some nodes through an evaluated graph."""
    found: dict[Expr, Array | None] = {}
    with np.errstate(all="ignore"):
        for node in graph.order:
            found[node] = None if node in graph.given else forward(graph, node, [found[arg] for arg in node.args])
            if node in directions:
                found[node] = np.asarray(directions[node], np.float64) + (0.0 if found[node] is None else found[node])
    return [np.zeros(graph.values[node].shape) if found[node] is None else np.asarray(found[node]) for node in outputs]


def forward(graph: Graph, node: Expr, tangents: Tangents) -> Array | None:
    """Give the tangent of a node, None if it has none."""
    if all(t is None for t in tangents) or not node.dtype.is_float:
        return None
    structure = row_of(node).structure
    if isinstance(structure, Map) and node.op not in DISCRETE:
        return _elementwise(graph, node, tangents)
    rule = PUSHFORWARDS.get(node.op) or GENERAL.get(type(structure))
    if rule is None:
        raise UnplacedError("forward mode", node)
    return rule(graph, node, tangents)


# -- by structure --------------------------------------------------------------------------------------------------


def _elementwise(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    out = graph.values[node]
    slopes = partials_of(node.op, graph.operands(node), out)
    total = np.zeros(out.shape)
    for slope, t in zip(slopes, tangents, strict=True):
        if t is not None:
            total = total + times(np.broadcast_to(t, out.shape), slope)
    return total


def _nothing(graph: Graph, node: Expr, tangents: Tangents) -> None:
    return None


def _same(graph: Graph, node: Expr, tangents: Tangents) -> Array | None:
    return tangents[0]


def _full(graph: Graph, node: Expr, tangents: Tangents, count: int) -> list[Array]:
    """Put zeros in the place of tangents that are none, for the first operands."""
    return [
        np.zeros(graph.values[arg].shape) if t is None else t
        for arg, t in zip(node.args[:count], tangents[:count], strict=True)
    ]


def _moved(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    count = 1 if isinstance(row_of(node).structure, Gather) else len(node.args)
    return pushed(_full(graph, node, tangents, count), sources(graph, node, count))


GENERAL: dict[type, Pushforward] = {
    Leaf: _nothing, Coordinate: _nothing, Random: _nothing, Cast: _same, Layout: _moved, Place: _moved, Gather: _moved,
}  # fmt: skip


def _linear(graph: Graph, node: Expr, tangents: Tangents) -> Array | None:
    """Apply an operator that is linear in its first operand to the tangent."""
    if tangents[0] is None:
        return None
    return np.asarray(row_of(node).oracle(tangents[0], *graph.operands(node)[1:], **graph.attrs(node)))


# -- products and folds --------------------------------------------------------------------------------------------


def _product(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    (x, y), (left, right, out) = graph.operands(node), labels(node)
    (of_x, of_y), total = tangents, np.zeros(graph.values[node].shape)
    if of_x is not None:
        total = total + einsum(of_x, left, y, right, out)
    return total if of_y is None else total + einsum(x, left, of_y, right, out)


def _lines(node: Expr, *arrays: Array) -> list[Array]:
    """Bring the reduced axes to the front and join them into one."""
    axes = node.attrs["axes"]
    moved = [np.moveaxis(a, axes, range(len(axes))) for a in arrays]
    return [a.reshape((int(np.prod(a.shape[: len(axes)])), *a.shape[len(axes) :])) for a in moved]


def _prod(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Multiply dual numbers one after the other: (p, p') (x, x') = (p x, p' x + p x')."""
    x, t = _lines(node, graph.values[node.args[0]], tangents[0])
    p, slope = np.ones(x.shape[1:]), np.zeros(x.shape[1:])
    for k in range(len(x)):
        p, slope = p * x[k], slope * x[k] + p * t[k]
    return slope.reshape(graph.values[node].shape)


def _extremum(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Average the tangents of the elements that attain the extremum."""
    x, t = _lines(node, graph.values[node.args[0]], tangents[0])
    attains = x == graph.values[node].reshape(x.shape[1:])
    return (np.where(attains, t, 0.0).sum(0) / attains.sum(0)).reshape(graph.values[node].shape)


def average(x: Array, axes: tuple[int, ...], keepdims: bool = True) -> Array:
    """Give the mean over axes; NaN for nothing."""
    total = np.sum(x, axis=axes, keepdims=keepdims)
    return np.divide(total, np.prod([x.shape[axis] for axis in axes]))


def _mean(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    t = tangents[0]
    assert t is not None
    return average(t, node.attrs["axes"], node.attrs["keepdims"])


def _var(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Average 2 d d' for the deviations d = x - mean(x), whose tangents are deviations again."""
    x, axes, t = graph.values[node.args[0]], node.attrs["axes"], tangents[0]
    assert t is not None
    return average(2 * (x - average(x, axes)) * (t - average(t, axes)), axes, node.attrs["keepdims"])


def _norm(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    out = graph.values[node]
    slope = np.sum(graph.values[node.args[0]] * tangents[0], axis=node.attrs["axes"], keepdims=node.attrs["keepdims"])
    return np.where(out == 0, 0.0, slope / out)


def _shares(x: Array, axes: tuple[int, ...]) -> Array:
    """Give exp(x) divided by its sum."""
    e = np.exp(x - np.max(x, axis=axes, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axes, keepdims=True)


def _logsumexp(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    axes = node.attrs["axes"]
    weighted = _shares(graph.values[node.args[0]], axes) * tangents[0]
    return np.asarray(np.sum(weighted, axis=axes, keepdims=node.attrs["keepdims"]))


def _log_softmax(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Subtract the average tangent: log_softmax(x) = x - logsumexp(x)."""
    axes, t = (node.attrs["axis"],), tangents[0]
    assert t is not None
    return t - np.sum(_shares(graph.values[node.args[0]], axes) * t, axis=axes, keepdims=True)


def _softmax(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    return graph.values[node] * _log_softmax(graph, node, tangents)


# -- orders --------------------------------------------------------------------------------------------------------


def _sort(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    order = ROWS["argsort"].oracle(graph.values[node.args[0]], **node.attrs)
    return np.take_along_axis(np.asarray(tangents[0]), order, node.attrs["axis"])


def _running(step: Callable[..., tuple[Array, Array]], first: float, axis: int, *arrays: Array) -> Array:
    """Push a dual number (value, tangent) along an axis."""
    lines = [np.moveaxis(a, axis, 0) for a in arrays]
    out = np.empty(lines[0].shape)
    value, slope = np.full(out.shape[1:], first), np.zeros(out.shape[1:])
    for k in range(len(out)):
        value, slope = step(value, slope, *(line[k] for line in lines))
        out[k] = slope
    return np.moveaxis(out, 0, axis)


def _cumprod(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    x, t = graph.values[node.args[0]], tangents[0]
    assert t is not None
    return _running(lambda p, dp, x, dx: (p * x, dp * x + p * dx), 1.0, node.attrs["axis"], x, t)


def _recurrence(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    (a, b), (da, db) = graph.operands(node), _full(graph, node, tangents, 2)
    return _running(
        lambda s, ds, a, da, b, db: (a * s + b, da * s + a * ds + db), 0.0, node.attrs["axis"], a, da, b, db
    )


# -- linear algebra ------------------------------------------------------------------------------------------------


def _solve(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Differentiate A X = B: A X' = B' - A' X."""
    of_a, of_b = _full(graph, node, tangents, 2)
    return solved(graph.values[node.args[0]], of_b - applied(of_a, graph.values[node]))


def _triangular_solve(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    cut = np.tril if node.attrs["lower"] else np.triu
    of_a, of_b = _full(graph, node, tangents, 2)
    return solved(cut(graph.values[node.args[0]]), of_b - applied(cut(of_a), graph.values[node]))


def _inv(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    c = graph.values[node]
    return -c @ tangents[0] @ c


def _logdet(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Give the trace of inv(A) A' (Jacobi)."""
    return np.trace(solved(graph.values[node.args[0]], tangents[0]), axis1=-2, axis2=-1)


def _det(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    return graph.values[node] * _logdet(graph, node, tangents)


def _cholesky(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Give L Phi(inv(L) S' inv(L).T) for the symmetric part S."""
    lower, t = graph.values[node], tangents[0]
    assert t is not None
    inner = inverse(lower)
    return lower @ half_lower(inner @ (0.5 * (t + turned(t))) @ turned(inner))


# -- regions -------------------------------------------------------------------------------------------------------


def _checkpoint(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    body = node.attrs["body"]
    directions = {x: t for x, t in zip(body.inputs, tangents, strict=True) if t is not None}
    return tangent(body.outputs, inside(graph, body, graph.operands(node)), directions)[0]


def _custom(graph: Graph, node: Expr, tangents: Tangents) -> Array:
    """Transpose the given pullback, which is linear in the cotangent: pull the tangents back through it."""
    pullback, out = node.attrs["pullback"], graph.values[node]
    env = inside(graph, pullback, [*graph.operands(node), out, np.zeros(out.shape)])
    g = pullback.inputs[-1]
    pairs = zip(pullback.outputs, node.attrs["wrt"], strict=True)
    seeds = [(found, tangents[k]) for found, k in pairs if tangents[k] is not None]
    return pull(seeds, [g], env)[0] if seeds else np.zeros(out.shape)


PUSHFORWARDS: dict[str, Pushforward] = {
    **dict.fromkeys(DISCRETE, _nothing),
    **dict.fromkeys(("argmax", "argmin", "any", "all", "argsort", "searchsorted", "det_sign", "one_hot"), _nothing),
    "matmul": _product, "contract": _product,
    "sum": _linear, "prod": _prod, "max": _extremum, "min": _extremum,
    "mean": _mean, "var": _var, "norm": _norm, "logsumexp": _logsumexp, "softmax": _softmax,
    "log_softmax": _log_softmax,
    "scatter_add": _linear, "scatter_along_axis": _linear, "sort": _sort,
    "cumsum": _linear, "cumprod": _cumprod, "recurrence": _recurrence,
    "solve": _solve, "triangular_solve": _triangular_solve, "inv": _inv, "det": _det, "logdet": _logdet,
    "cholesky": _cholesky,
    "assume": _same, "checkpoint": _checkpoint, "custom": _custom,
}  # fmt: skip
