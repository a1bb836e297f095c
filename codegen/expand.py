"""Expand: bring a graph into the few forms that lowering knows.

In: expressions of any rows. Out: expressions of the same values without Composite rows, whose folds reduce one axis
each and keep no unit axes. The order in which a reduction adds is decided here and below, by structure and shapes
alone: adjacent reduced axes are merged by a reshape, separate ones are reduced one after the other, the last first. It
must not know kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from symgrad import side
from symgrad.expr import Expr, rebuild, topological
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Composite, Fold, kept_shape
from symgrad.shape import product


def expand(roots: Iterable[Expr]) -> list[Expr]:
    """Expand every node below the roots; one result per root, shared parts stay shared."""
    with side.building_at(None):
        memo: dict[Expr, Expr] = {}
        return [_expanded(root, memo) for root in roots]


def _expanded(root: Expr, memo: dict[Expr, Expr]) -> Expr:
    """Expand one graph; recursion is as deep as definitions nest, not as the graph is."""
    for node in topological([root], stop=memo.__contains__):
        if node in memo:
            continue
        new = rebuild(node, tuple(memo[a] for a in node.args))
        form = FORMS.get(type(row_of(new).structure))
        simpler = form(new) if form is not None else new
        memo[node] = simpler if simpler is new else _expanded(simpler, memo)
    return memo[root]


def _define(node: Expr) -> Expr:
    structure = row_of(node).structure
    assert isinstance(structure, Composite)
    return structure.define(node)


def _one_axis(node: Expr) -> Expr:
    """Reduce run by run of adjacent axes, the last run first, each as one axis."""
    runs = _runs(node.attrs["axes"])
    if len(runs) == 1 and len(runs[0]) == 1 and not node.attrs["keepdims"]:
        return node
    x = node.args[0]
    if not runs:  # a reduction of each element by itself still counts it, or tells its position
        x, runs = ROWS["reshape"](x, shape=(1, *x.shape)), [[0]]
    for run in reversed(runs):
        first, last = run[0], run[-1]
        if len(run) > 1:
            merged = (*x.shape[:first], product(x.shape[first : last + 1]), *x.shape[last + 1 :])
            x = ROWS["reshape"](x, shape=merged)
        x = ROWS[node.op](x, axes=(first,), keepdims=False)
    shape = kept_shape(node.args[0].shape, node.attrs["axes"], node.attrs["keepdims"])
    return x if x.shape == shape else ROWS["reshape"](x, shape=shape)


def _runs(axes: Iterable[int]) -> list[list[int]]:
    """Split sorted axes into runs of neighbours."""
    runs: list[list[int]] = []
    for axis in axes:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


FORMS: dict[type, Callable[[Expr], Expr]] = {Composite: _define, Fold: _one_axis}
