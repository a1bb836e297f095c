"""What is known of a value beyond its type: the row `assume`, an identity that carries facts.

In: an expression and the facts that its author vouches for. Out: a node of the same value, whose attribute `facts` the
rules read as they read that of a symbol. Nothing is checked: a fact that does not hold makes rewrites wrong. It must
not know what a rule makes of a fact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import ShapeError, nearest
from symgrad.expr import Expr, Type
from symgrad.ops.leaves import FACTS
from symgrad.ops.row import Attrs, Case, Row, Sample, as_expr, describe, register, where_text
from symgrad.ops.structure import Composite
from symgrad.shape import dim

__all__ = ["assume"]


def _infer(args: tuple[Expr, ...], attrs: Attrs) -> Type:
    (x,) = args
    if "rows_sum_to_one" in attrs["facts"] and x.ndim == 0:
        raise ShapeError("assume: a scalar has no rows that sum to one", got=describe(x), where=where_text(args))
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

    - `rows_sum_to_one`: the elements along the last axis sum to 1;
    - `finite`: no element is an infinity or NaN;
    - `nonzero`: no element is 0.

    Nothing is checked when the graph runs. Raises ValueError for an unknown fact, ShapeError for one that the shape
    excludes.

    >>> import symgrad as sg
    >>> y = sg.symbol("y", (4,))
    >>> p = sg.assume(y / sg.sum(y), rows_sum_to_one=True)
    >>> p, sg.assume(p, finite=False) is p
    (y / sum(y), True)
    """
    for fact, holds in facts.items():
        if fact not in FACTS:
            raise ValueError(f"assume: unknown fact {fact!r}. {nearest(fact, FACTS)}")
        if not isinstance(holds, bool):
            raise TypeError(f"assume: {fact} is True or False, not {holds!r}")
    node = as_expr(x)
    known = {*(fact for fact, holds in facts.items() if holds), *node.attrs.get("facts", ())}
    if known == set(node.attrs.get("facts", ())):
        return node
    inner = node.args[0] if node.op == "assume" else node
    return ASSUME(inner, facts=tuple(sorted(known)))
