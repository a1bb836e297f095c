"""Dims: dimensions under names that kernels do not use for loops, buffers and values.

In: symbols and expressions. Out: the same graph, in which each dimension whose name looks like one of a kernel's own
(a small word and a number, such as `i0` or `acc4`) has another one. It must not know kernels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.expr import Expr, TensorType, make, topological
from symgrad.shape import Dim, Size, dim, names, substitute

OWN = re.compile(r"[a-z]+\d+")  # what `Bindings.fresh` and `index_names` make


def with_free_names(inputs: Sequence[Expr], roots: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
    """Rename the dimensions that need it, in the inputs and in everything below the roots."""
    known = frozenset().union(*(names(n) for node in inputs for n in node.shape))
    taken = {name for name in known if OWN.fullmatch(name)}
    if not taken:
        return list(inputs), list(roots)
    env: dict[str, Size] = {}
    for name in sorted(taken):
        new = f"{name}_"
        while new in known:
            new += "_"
        env[name] = dim(new)
    memo: dict[Expr, Expr] = {}
    with side.building_at(None):
        for node in topological([*inputs, *roots]):
            memo[node] = _renamed(node, memo, env)
    return [memo[n] for n in inputs], [memo[n] for n in roots]


def _renamed(node: Expr, memo: Mapping[Expr, Expr], env: Mapping[str, Size]) -> Expr:
    args = tuple(memo[a] for a in node.args)
    attrs = {key: _replaced(value, env) for key, value in node.attrs.items()}
    own = node.type
    if isinstance(own, TensorType):
        own = TensorType(tuple(substitute(n, env) for n in own.shape), own.dtype)
    if all(a is b for a, b in zip(args, node.args, strict=True)) and attrs == node.attrs and own == node.type:
        return node
    new: Expr = make(node.op, args, attrs, own)
    return new


def _replaced(value: Any, env: Mapping[str, Size]) -> Any:
    if isinstance(value, tuple):
        return tuple(_replaced(item, env) for item in value)
    return substitute(value, env) if isinstance(value, Dim) else value
