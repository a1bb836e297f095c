"""A running error bound: how far compiled results may lie from the oracle's, element by element.

In: expressions, arrays. Out: for each expression its value in float64 and a bound of the error that an evaluation in
its own float types may have, by the order of operations that codegen promises: Higham, "Accuracy and Stability of
Numerical Algorithms", section 3.3. An infinite bound says *undecided*: the element hangs on a comparison, a position or
an overflow that rounding may turn. Where a value is infinite or NaN and the bound 0, the result has to be the same.

Bounds are worst cases to first order, not estimates: sums count every rounding of the longest chain. The graph has to
be the one that is compiled: for `sg.function`, which simplifies, the simplified one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oracle import reductions, systems
from oracle.enclosure import COMPARISONS, Box, converted, decided, distance, enclosed, rounding
from oracle.values import Env, Graph, UnplacedError, evaluated, kept, sources
from symgrad.expr import Expr, literal
from symgrad.ops.body import holds_body
from symgrad.ops.row import row_of
from symgrad.ops.structure import Cast, Coordinate, Gather, Layout, Leaf, Map, Place, Random, Scatter

Array = np.ndarray
Rule = Callable[["Bounds", Expr], Array]


def bounded(
    outputs: Sequence[Expr], env: Env, dtype: str | None = None, rewritten: bool = False
) -> list[tuple[Array, Array]]:
    """Give each output's value and error bound.

    `dtype` takes the place of the floats' own types; a graph's numbers are then taken to be rounded to their own. With
    `rewritten` the results are those of a graph that equals this one where all is finite.
    """
    bounds = Bounds(evaluated(outputs, env), {}, dtype, rewritten)
    bounds.run()
    return [(bounds.graph.values[node], bounds.errors[node]) for node in outputs]


def refused(got: Array, value: Array, error: Array) -> Array:
    """Tell which elements of a computed result the bound rules out; infinities and NaN have to be the same."""
    with np.errstate(all="ignore"):
        return distance(np.asarray(got), value) > error


class Bounds:
    """The errors of a graph's nodes, filled in order."""

    def __init__(self, graph: Graph, given: Mapping[Expr, Array], dtype: str | None, rewritten: bool = False) -> None:
        self.graph, self.dtype, self.rewritten = graph, dtype, rewritten
        self.errors: dict[Expr, Array] = dict(given)

    def run(self) -> None:
        """Bound the error of every node, operands first."""
        with np.errstate(all="ignore"):
            for node in self.graph.order:
                if node not in self.errors:
                    error = self._settled(node, self._error(node))
                    self.errors[node] = np.where(self._is_open(node), np.inf, error) if self.rewritten else error

    def box(self, node: Expr) -> Box:
        return Box(self.graph.values[node], self.errors[node])

    def boxes(self, node: Expr) -> list[Box]:
        return [self.box(arg) for arg in node.args]

    def float_type(self, node: Expr) -> str:
        """Give the float type in which a node is computed."""
        return self.dtype or str(node.dtype)

    def unit(self, node: Expr) -> float:
        """Give the unit roundoff of a node's float type."""
        return float(np.finfo(self.float_type(node)).eps) / 2

    def within(self, node: Expr, root: Expr) -> Array:
        """Bound the error of another graph over a node's operands."""
        arrays = {arg: self.graph.values[arg] for arg in node.args}
        graph = evaluated([root], {**self.graph.free, **arrays})
        inner = Bounds(graph, {arg: self.errors[arg] for arg in node.args}, self.dtype, self.rewritten)
        inner.run()
        return inner.errors[root]

    def _error(self, node: Expr) -> Array:
        structure = row_of(node).structure
        if node in self.graph.given or isinstance(structure, Leaf):
            return self._leaf(node)
        if self.graph.values[node].size == 0:
            return np.zeros(self.graph.values[node].shape)
        rule = RULES.get(node.op) or GENERAL.get(type(structure))
        if rule is None:
            raise UnplacedError("error bounds", node)
        return rule(self, node)

    def _is_open(self, node: Expr) -> Array:
        """Tell which elements may be others where a rewritten graph takes another way to what is no finite number.

        Integers and choices made of it; and zeros beside it, since a factor may have been moved out of their pattern.
        """
        value, structure = self.graph.values[node], row_of(node).structure
        endless = [~np.isfinite(self.graph.values[a]) for a in node.args if a.dtype.is_float]
        if not any(array.any() for array in endless):
            return np.zeros(value.shape, bool)
        if isinstance(structure, Place | Scatter):
            return value == 0
        if node.dtype.is_float:
            return np.zeros(value.shape, bool)
        if not isinstance(structure, Map | Cast):
            return np.ones(value.shape, bool)
        return np.any([np.broadcast_to(array, value.shape) for array in endless], axis=0)

    def _leaf(self, node: Expr) -> Array:
        """Bound the rounding of an array at the boundary; what the type holds is exact."""
        value = self.graph.values[node]
        if not node.dtype.is_float:
            return np.zeros(value.shape)
        if self.dtype is not None and literal(node) is not None:
            own = float(np.finfo(node.dtype.numpy).eps) / 2
            return np.where(_is_short(value), 0.0, np.abs(value) * own)
        return np.nan_to_num(np.abs(value - value.astype(self.float_type(node))), nan=0.0)

    def _settled(self, node: Expr, error: Array) -> Array:
        """Undecide what may overflow; a value that is no number has no error, only a class."""
        value = self.graph.values[node]
        error = np.broadcast_to(np.nan_to_num(np.asarray(error, np.float64), nan=np.inf, posinf=np.inf), value.shape)
        if not node.dtype.is_float:
            return np.where(error > 0, np.inf, 0.0)
        most = float(np.finfo(self.float_type(node)).max)
        finite = np.isfinite(value)
        error = np.where(finite & (np.abs(value) + error > most), np.inf, error)
        return np.where(finite | np.isinf(error), error, 0.0)


def _is_short(value: Array) -> Array:
    """Tell which numbers nobody has rounded: they have few digits."""
    with np.errstate(all="ignore"):
        return np.ldexp(np.frexp(value)[0], 12) % 1 == 0


# -- by structure --------------------------------------------------------------------------------------------------


def _map(bounds: Bounds, node: Expr) -> Array:
    row, out = row_of(node), bounds.graph.values[node]
    if node.dtype.is_float:
        return enclosed(row, bounds.boxes(node), out, bounds.float_type(node))
    if node.op in COMPARISONS and node.args[0] is node.args[1]:
        return np.where(np.isinf(bounds.box(node.args[0]).error), np.inf, 0.0)  # the same bits, unless they may be NaN
    if node.op in ("equal", "not_equal"):
        extremum = _of_extremum(bounds, node)
        if extremum is not None:
            return extremum
    if node.op in ("where", "stop_gradient", "recompute"):
        wide = [np.broadcast_to(box.error, out.shape) for box in bounds.boxes(node)]
        return wide[0] if node.op != "where" else sum(wide)  # type: ignore[return-value]
    return decided(row, bounds.boxes(node), out)


def _of_extremum(bounds: Bounds, node: Expr) -> Array | None:
    """Decide which elements equal the maximum, or minimum, of themselves: that is one of them, to the last bit."""
    for x, other in (node.args, node.args[::-1]):
        extremum = other
        while extremum.op in ("reshape", "broadcast_to"):
            (extremum,) = extremum.args
        if extremum.op in ("max", "min") and extremum.args[0] is x and x.dtype.is_float:
            own = np.arange(bounds.graph.values[extremum].size).reshape(bounds.graph.values[extremum].shape)
            axes = extremum.attrs["axes"]
            mine = np.broadcast_to(kept(own, axes, extremum.attrs["keepdims"]), bounds.graph.values[x].shape)
            theirs = _numbered(bounds.graph, other, extremum)
            if np.array_equal(*np.broadcast_arrays(theirs, mine)):
                return _attaining(bounds.box(x), axes, 1 if extremum.op == "max" else -1)
    return None


def _numbered(graph: Graph, node: Expr, below: Expr) -> Array:
    """Follow the elements of a node through operators that move them."""
    chain = []
    while node is not below:
        chain.append(node)
        (node,) = node.args
    places = np.arange(graph.values[below].size).reshape(graph.values[below].shape)
    for step in reversed(chain):
        places = places.ravel()[sources(graph, step, 1) - 1]
    return places


def _attaining(x: Box, axes: tuple[int, ...], sign: int) -> Array:
    """Tell where it is undecided whether an element is the greatest: of several that may be, unless they are exact."""
    value = sign * x.value
    candidate = value + x.error >= np.max(value - x.error, axis=axes, keepdims=True)
    alone = candidate.sum(axis=axes, keepdims=True) == 1
    exact = np.max(np.where(candidate, x.error, 0.0), axis=axes, keepdims=True) == 0
    return np.where(candidate & ~(alone | exact), np.inf, 0.0)


def _cast(bounds: Bounds, node: Expr) -> Array:
    (arg,) = node.args
    source, target = (bounds.float_type(n) if n.dtype.is_float else str(n.dtype) for n in (arg, node))
    return converted(bounds.box(arg), source, target)


def _coordinate(bounds: Bounds, node: Expr) -> Array:
    value = bounds.graph.values[node]
    return distance(value, value.astype(bounds.float_type(node))) if node.dtype.is_float else np.zeros(value.shape)


def _random(bounds: Bounds, node: Expr) -> Array:
    """Uniform numbers are exact; normal ones are made by logarithm, root and angle."""
    value, (key,) = bounds.graph.values[node], node.args
    own = rounding(value, 4.0, str(node.dtype)) if node.op == "normal" else np.zeros(value.shape)
    unknown = bounds.errors[key].reshape(bounds.errors[key].shape + (1,) * (value.ndim - key.ndim))
    return own + unknown


def _moved(bounds: Bounds, node: Expr) -> Array:
    places = sources(bounds.graph, node, len(node.args))
    pool = np.concatenate([np.zeros(1), *(bounds.errors[arg].ravel() for arg in node.args)])
    return pool[places]


def _gathered(bounds: Bounds, node: Expr) -> Array:
    x, positions = node.args
    places = sources(bounds.graph, node, 1)
    error = np.concatenate([np.zeros(1), bounds.errors[x].ravel()])[places]
    unknown = bounds.errors[positions]
    if node.op == "take":
        axis = node.attrs["axis"]
        unknown = unknown.reshape((1,) * axis + unknown.shape + (1,) * (x.ndim - axis - 1))
    return error + unknown


def _scattered(bounds: Bounds, node: Expr) -> Array:
    """Add errors where values are added, and one rounding for each value that meets others."""
    x, positions = bounds.boxes(node)
    if (positions.error > 0).any():
        return np.full(bounds.graph.values[node].shape, np.inf)
    attrs, oracle = bounds.graph.attrs(node), row_of(node).oracle
    add: Callable[[Array], Array] = lambda values: oracle(values, positions.value, **attrs)  # noqa: E731
    count = add(np.ones(x.value.shape))
    if not node.dtype.is_float:
        return add(x.error)
    return add(x.error) + np.where(count > 1, count, 0) * 2 * bounds.unit(node) * add(x.size)


def _defined(bounds: Bounds, node: Expr) -> Array:
    """Bound a node through its definition; what nothing makes, such as a mean of no elements, is exact."""
    if bounds.graph.values[node.args[0]].size == 0 and not holds_body(node):
        return np.zeros(bounds.graph.values[node].shape)
    structure: Any = row_of(node).structure
    return bounds.within(node, structure.define(node))


GENERAL: dict[type, Rule] = {
    Map: _map, Cast: _cast, Coordinate: _coordinate, Random: _random, Layout: _moved, Place: _moved, Gather: _gathered,
    Scatter: _scattered,
}  # fmt: skip
RULES: dict[str, Rule] = {
    "sum": reductions.total, "prod": reductions.product, "max": reductions.extremum, "min": reductions.extremum,
    "argmax": reductions.place_of_extremum, "argmin": reductions.place_of_extremum,
    "any": reductions.some, "all": reductions.some, "norm": reductions.length,
    "matmul": reductions.contraction, "contract": reductions.contraction,
    "cumsum": reductions.running_sum, "cumprod": reductions.running_product, "recurrence": reductions.recurrence,
    "sort": reductions.sorted_values, "argsort": reductions.sorted_places, "searchsorted": reductions.searched,
    "one_hot": reductions.spread_error,
    "solve": systems.solution, "triangular_solve": systems.solution, "det": systems.determinant,
    "logdet": systems.log_determinant, "det_sign": systems.determinant_sign, "cholesky": systems.cholesky,
    **dict.fromkeys(
        ("mean", "var", "softmax", "log_softmax", "logsumexp", "inv", "assume", "custom", "checkpoint"), _defined
    ),
}  # fmt: skip
