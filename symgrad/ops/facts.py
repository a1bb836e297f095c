"""What is known of a value beyond its type: the row `assume`, an identity that carries facts.

In: an expression and the facts that its author vouches for. Out: a node of the same value, whose attribute `facts` the
rules read as they read that of a symbol; which facts outlive the removal of an axis. Nothing is checked: a fact that
does not hold makes rewrites wrong. It must not know what a rule makes of a fact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.expr import Expr, Type
from symgrad.ops.leaves import check_fact_names, check_facts
from symgrad.ops.row import Attrs, Case, Row, Sample, as_expr, describe, register, where_text
from symgrad.ops.structure import Composite
from symgrad.shape import dim

__all__ = ["assume", "declared", "without_axis"]

# What a fact says besides.
_IMPLIES = {"positive": ("nonnegative", "nonzero")}
# How many of the last axes a fact is about; all others are about single elements.
_AXES_OF = {"rows_sum_to_one": 1, "symmetric": 2}
_NONE: frozenset[str] = frozenset()


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    check_facts("assume", attrs["facts"], x.shape, describe(x), where_text(args))
    return x.type


def _oracle(x: np.ndarray, *, facts: tuple[str, ...]) -> np.ndarray:
    return np.array(x)


ASSUME: Row = register(
    Row(
        name="assume", arity=1, infer=_infer, structure=Composite(lambda node: node.args[0]), oracle=_oracle,
        vjp=lambda node, g: (g,), jvp=lambda node, tangents: tangents[0],
        doc="The operand itself, of which facts are known that rewrites may rely on.",
        cases=(Case((Sample((dim("n"), 3)),), {"facts": ("finite",)}),),
    )
)  # fmt: skip


def assume(x: Any, **facts: bool) -> Expr:
    """Give the same value, of which rewrites may rely on the facts named: `assume(p, rows_sum_to_one=True)`.

    - `finite`: no element is an infinity or NaN;
    - `nonzero`: no element is 0;
    - `positive`: every element is > 0; `nonnegative`: every element is >= 0;
    - `integer_valued`: every element is a whole number, whatever the dtype;
    - `rows_sum_to_one`: the elements along the last axis sum to 1;
    - `symmetric`: the last two axes may be swapped.

    A fact speaks of the elements as they are at run time, rounded: `exp(x)` is positive over the reals, but in floats
    it may underflow to 0, so `positive` is for what cannot. `rows_sum_to_one` and `symmetric` hold up to rounding.
    Operators hand facts on where they remain true: what is made of nonnegative values by +, *, sqrt and the like is
    nonnegative, X.T @ X is symmetric; not 1 / x, since x may be -0.0. Derivatives treat the elements as independent: a
    fact simplifies the formula of a gradient, it does not change what the gradient is.

    An update of a parameter may break a fact that its first value had: no step of an optimizer keeps V symmetric. Then
    write the fact into the formula: `S = (V + V.T) / 2`, `sg.exp(s)` for what is positive, and differentiate by V or s.

    Nothing is checked when the graph runs. Raises ValueError for an unknown fact, ShapeError for one that the shape
    excludes.

    >>> import symgrad as sg
    >>> y = sg.symbol("y", (4,))
    >>> p = sg.assume(y / sg.sum(y), rows_sum_to_one=True)
    >>> p, sg.assume(p, finite=False) is p
    (y / sum(y), True)
    """
    check_fact_names("assume", facts)
    for fact, holds in facts.items():
        if not isinstance(holds, bool):
            raise TypeError(f"assume: {fact} is True or False, not {holds!r}")
    node = as_expr(x)
    known = {*(fact for fact, holds in facts.items() if holds), *node.attrs.get("facts", ())}
    if known == set(node.attrs.get("facts", ())):
        return node
    inner = node.args[0] if node.op == "assume" else node
    return ASSUME(inner, facts=tuple(sorted(known)))


def declared(node: Expr) -> frozenset[str]:
    """Give what is declared of a node, with what that implies.

    >>> from symgrad.ops.leaves import symbol
    >>> sorted(declared(symbol("x", (), facts={"positive"})))
    ['nonnegative', 'nonzero', 'positive']
    """
    facts: tuple[str, ...] = node.attrs.get("facts", ())
    return frozenset(facts).union(*(_IMPLIES.get(fact, ()) for fact in facts)) if facts else _NONE


def without_axis(node: Expr, axis: int) -> tuple[str, ...]:
    """Give what is declared of a node and remains true of its slices along an axis.

    >>> from symgrad.ops.leaves import symbol
    >>> y = symbol("y", (3, 4), facts={"finite", "rows_sum_to_one"})
    >>> without_axis(y, 0), without_axis(y, 1)
    (('finite', 'rows_sum_to_one'), ('finite',))
    """
    lost = {fact for fact, axes in _AXES_OF.items() if axis >= node.ndim - axes}
    return tuple(fact for fact in node.attrs.get("facts", ()) if fact not in lost)
