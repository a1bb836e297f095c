"""Simplification: what a person would write, with the same value.

In: one expression or a list, tuple or dict of them. Out: the same structure of equivalent expressions of the same
types, normal with respect to the rules in `rules/`; a second run changes nothing. `stabilise` is the part that runs
before a gradient is derived. It must not know how gradients are derived, nor what is compiled.

Variables. What one differentiates by may be any expression; for the rules it is a symbol of its own (`held.py`), and
nothing is rewritten into the expression that it stands for: a derivative would take one for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from symgrad import side
from symgrad.expr import Expr, topological
from symgrad.held import hold, put_back, substituted
from symgrad.rewrite import Applied, Rewriter, Rule, dispatch
from symgrad.rules import SCALE, STABILITY, TABLE
from symgrad.rules.scale import ABSORBING
from symgrad.structures import parts, restore

__all__ = ["simplify", "stabilise"]

_ALL = dispatch(TABLE)
_STABLE = dispatch((*STABILITY, *SCALE))
_MOST_PASSES = 8


def simplify(target: Any, *, wrt: Any = (), log: list[Applied] | None = None) -> Any:
    """Rewrite expressions into what a person would write.

    - `target`: an expression, or a list, tuple or dict of them; the result has the same structure, shapes and dtypes.
    - `wrt`: expressions that stay as they are, as variables do: no rule looks into them, nothing else becomes one.
    - `log`: a list to which every rewrite is appended, in order.

    Results agree with the originals over the reals, and wherever the original is finite; rounding may differ.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> sg.simplify(-(-x) * 1) is x
    True
    """
    return _mapped(target, lambda nodes: _rewritten(nodes, _ALL, list(parts(wrt)), log))


def stabilise(target: Any, wrt: Any = (), log: list[Applied] | None = None) -> Any:
    """Rewrite compositions that lose accuracy or overflow, such as log(softmax(z)), as far as `wrt` stays reachable."""
    return _mapped(target, lambda nodes: _rewritten(nodes, _STABLE, list(parts(wrt)), log))


def _rewritten(
    roots: list[Expr], rules: dict[str, tuple[Rule, ...]], variables: Sequence[Expr], log: list[Applied] | None
) -> list[Expr]:
    """Rewrite with symbols in the place of variables that are no symbols, and put the variables back."""
    symbols = hold(variables)
    if not symbols:
        return _fixpoint(roots, rules, (), log)
    with side.building_at(None):
        new = _fixpoint(substituted(roots, symbols), rules, list(symbols), log)
        return put_back(new, {symbol: node for node, symbol in symbols.items()})


def _fixpoint(
    roots: list[Expr], rules: dict[str, tuple[Rule, ...]], absent: Sequence[Expr], log: list[Applied] | None
) -> list[Expr]:
    """Run until nothing changes: which values are needed as they are is known only when a pass is over."""
    for _ in range(_MOST_PASSES):
        rewriter = Rewriter(rules, *_uses(roots), absent, log)
        new = rewriter.run(roots)
        if all(a is b for a, b in zip(new, roots, strict=True)):
            break
        roots = new
    return roots


def _uses(roots: Sequence[Expr]) -> tuple[list[Expr], list[Expr], list[Expr], list[Expr]]:
    """List the nodes whose users rules must know of: those needed whole, used again, inner products, quotients."""
    order = topological(roots)
    again = _used_again(order, roots)
    whole = _needed_whole(order, roots)
    ready = [n for n in order if _is_quotient(n) and (id(n) in again or side.name_of(n) is not None)]
    return whole, [n for n in order if id(n) in again], _inner_products(order, again.union(map(id, roots))), ready


def _is_quotient(node: Expr) -> bool:
    return node.op == "divide" and node.args[1].ndim > 0 and bool(node.dtype.is_float)


def _needed_whole(order: Sequence[Expr], roots: Sequence[Expr]) -> list[Expr]:
    """List the nodes that one user would take apart while another, or the caller, needs them as they are."""
    whole = {id(r) for r in roots}
    taken: set[int] = set()
    for node in order:
        own = set(map(id, node.args))
        apart = node.op in ABSORBING and len(own) == len(node.args)
        (taken if apart else whole).update(own)
    return [n for n in order if n.args and id(n) in whole and id(n) in taken]


def _used_again(order: Sequence[Expr], roots: Sequence[Expr]) -> set[int]:
    """Give the nodes, by `id`, that have several users, the caller among them."""
    used = {id(r) for r in roots}
    again: set[int] = set()
    for node in order:
        own = set(map(id, node.args))
        again |= own & used
        used |= own
    return again


def _inner_products(order: Sequence[Expr], shared: Collection[int]) -> list[Expr]:
    """List the products of matrices that one other product, behind a transpose perhaps, uses and nothing else does."""
    user = {id(a): n for n in order if n.op in ("matmul", "transpose") for a in n.args}

    def is_inner(node: Expr) -> bool:
        by = user.get(id(node))
        if by is not None and by.op == "transpose" and id(by) not in shared:
            by = user.get(id(by))
        matrices = by is not None and by.op == "matmul" and max(a.ndim for a in (*by.args, *node.args)) <= 2
        return matrices and id(node) not in shared and side.name_of(node) is None

    return [n for n in order if n.op == "matmul" and is_inner(n)]


def _mapped(target: Any, function: Callable[[list[Expr]], list[Expr]]) -> Any:
    """Apply a function on lists of expressions to a structure of them."""
    nodes = list(parts(target))
    for node in nodes:
        if not isinstance(node, Expr):
            got = type(node).__name__
            raise TypeError(f"simplify takes expressions, or a list, tuple or dict of them, not {got}")
    return restore(target, iter(function(nodes)))
