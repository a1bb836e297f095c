"""Expand: bring a graph into the few forms that lowering knows.

In: expressions of any rows. Out: expressions of the same values without Composite rows, whose folds reduce one axis
each and keep no unit axes, whose contractions sum over one axis at most. The order in which a reduction adds is decided
here and below, by structure and shapes alone: adjacent reduced axes are merged by a reshape, separate ones are reduced
one after the other, the last first; those of a contraction are brought together. It must not know kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from symgrad import side
from symgrad.expr import Expr, rebuild, topological
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Composite, Contraction, Fold, kept_shape
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


def _one_sum(node: Expr) -> Expr:
    """Merge the summed axes of a contraction into one, in the order of an operand where they are neighbours."""
    structure = row_of(node).structure
    assert isinstance(structure, Contraction)
    axes = structure.axes(node)
    summed = [label for label in axes.left if label not in axes.out]
    if len(summed) < 2:
        return node
    of_right = [label for label in axes.right if label in summed]
    if _are_neighbours(axes.right, of_right) and not _are_neighbours(axes.left, summed):
        summed = of_right
    (x, left), (y, right) = (
        _merged(arg, labels, summed) for arg, labels in zip(node.args, (axes.left, axes.right), strict=True)
    )
    return ROWS["contract"](x, y, left=left, right=right, out=axes.out)


def _are_neighbours(labels: Sequence[int], run: Sequence[int]) -> bool:
    start = labels.index(run[0])
    return list(labels[start : start + len(run)]) == list(run)


def _merged(x: Expr, labels: Sequence[int], run: Sequence[int]) -> tuple[Expr, tuple[int, ...]]:
    """Bring the axes of these labels together where the first of them stands, and join them into one."""
    kept = [label for label in labels if label not in run]
    first = min(labels.index(label) for label in run)
    order = tuple(labels.index(label) for label in (*kept[:first], *run, *kept[first:]))
    if order != tuple(range(x.ndim)):
        x = ROWS["transpose"](x, axes=order)
    size = product(x.shape[first : first + len(run)])
    shape = (*x.shape[:first], size, *x.shape[first + len(run) :])
    return ROWS["reshape"](x, shape=shape), (*kept[:first], run[0], *kept[first:])


FORMS: dict[type, Callable[[Expr], Expr]] = {
    Composite: _define, Fold: _one_axis, Contraction: _one_sum,
}  # fmt: skip
