"""Simplification: what a person would write, with the same value.

In: one expression or a list, tuple or dict of them. Out: the same structure of equivalent expressions of the same
types, normal with respect to the rules in `rules/`; a second run changes nothing. `stabilise` is the part that runs
before a gradient is derived. It must not know how gradients are derived, nor what is compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symgrad import side
from symgrad.expr import Expr, topological
from symgrad.rewrite import Rewriter, Rule, dispatch
from symgrad.rules import SCALE, STABILITY, TABLE
from symgrad.rules.scale import ABSORBING

__all__ = ["simplify", "stabilise"]

_ALL = dispatch(TABLE)
_STABLE = dispatch((*STABILITY, *SCALE))
_MOST_PASSES = 8


def simplify(target: Any, *, wrt: Any = ()) -> Any:
    """Rewrite expressions into what a person would write.

    - `target`: an expression, or a list, tuple or dict of them; the result has the same structure, shapes and dtypes.
    - `wrt`: expressions that stay as they are, and that no rule looks into.

    Results agree with the originals over the reals, and wherever the original is finite; rounding may differ.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> sg.simplify(-(-x) * 1) is x
    True
    """
    return _mapped(target, lambda nodes: _fixpoint(nodes, _ALL, _listed(wrt)))


def stabilise(target: Any, wrt: Any = ()) -> Any:
    """Rewrite compositions that lose accuracy or overflow, such as log(softmax(z)), as far as `wrt` stays reachable."""
    return _mapped(target, lambda nodes: _fixpoint(nodes, _STABLE, _listed(wrt)))


def _fixpoint(roots: list[Expr], rules: dict[str, tuple[Rule, ...]], opaque: Sequence[Expr]) -> list[Expr]:
    """Run until nothing changes: which values are needed as they are is known only when a pass is over."""
    for _ in range(_MOST_PASSES):
        rewriter = Rewriter(rules, opaque, *_uses(roots))
        new = rewriter.run(roots)
        if all(a is b for a, b in zip(new, roots, strict=True)):
            break
        roots = new
    return roots


def _uses(roots: Sequence[Expr]) -> tuple[list[Expr], list[Expr], list[Expr]]:
    """List the nodes that one user would take apart while another, or the caller, needs them as they are; those that
    have several users, the caller among them; and the products that one other product of matrices uses."""
    order = topological(roots)
    whole = {id(r) for r in roots}
    used = set(whole)
    taken: set[int] = set()
    again: set[int] = set()
    for node in order:
        own = set(map(id, node.args))
        again |= own & used
        used |= own
        apart = node.op in ABSORBING and len(own) == len(node.args)
        (taken if apart else whole).update(own)
    kept = [n for n in order if n.args and id(n) in whole and id(n) in taken]
    user = {id(a): n for n in order if n.op in ("matmul", "transpose") for a in n.args}
    shared = again | {id(r) for r in roots}

    def is_inner(node: Expr) -> bool:
        by = user.get(id(node))
        if by is not None and by.op == "transpose" and id(by) not in shared:
            by = user.get(id(by))
        matrices = by is not None and by.op == "matmul" and max(a.ndim for a in (*by.args, *node.args)) <= 2
        return matrices and id(node) not in shared and side.name_of(node) is None

    inner = [n for n in order if n.op == "matmul" and is_inner(n)]
    return kept, [n for n in order if id(n) in again], inner


def _mapped(target: Any, function: Any) -> Any:
    """Apply a function on lists of expressions to a structure of them."""
    if isinstance(target, Expr):
        return function([target])[0]
    if isinstance(target, dict):
        return dict(zip(target, _mapped(list(target.values()), function), strict=True))
    if isinstance(target, (list, tuple)):
        items = list(target)
        if not all(isinstance(i, Expr) for i in items):
            return type(target)(_mapped(i, function) for i in items)
        return type(target)(function(items))
    raise TypeError(f"simplify takes expressions, or a list, tuple or dict of them, not {type(target).__name__}")


def _listed(wrt: Any) -> list[Expr]:
    if isinstance(wrt, Expr):
        return [wrt]
    values: Iterable[Any] = wrt.values() if isinstance(wrt, dict) else wrt
    return list(values)
