"""The rules of the simplifier, by subject. `TABLE` lists them all; STABILITY is the part that runs before a gradient.

In: nothing. Out: rules as data, in the order in which they are tried. It must not know how they are applied.
"""

from __future__ import annotations

from symgrad.rewrite import Rule
from symgrad.rules.algebra import ALGEBRA
from symgrad.rules.choice import CHOICE
from symgrad.rules.contraction import CONTRACTION
from symgrad.rules.facts import FACTS
from symgrad.rules.layout import LAYOUT
from symgrad.rules.mask import MASK
from symgrad.rules.onehot import ONE_HOT
from symgrad.rules.order import ORDER
from symgrad.rules.scale import SCALE
from symgrad.rules.stability import STABILITY
from symgrad.rules.summation import SUMMATION
from symgrad.rules.total import TOTAL

__all__ = [
    "ALGEBRA", "CHOICE", "CONTRACTION", "FACTS", "LAYOUT", "MASK", "ONE_HOT", "ORDER", "SCALE", "STABILITY",
    "SUMMATION", "TABLE", "TOTAL",
]  # fmt: skip

TABLE: tuple[Rule, ...] = (
    *ALGEBRA, *STABILITY, *LAYOUT, *TOTAL, *MASK, *SCALE, *FACTS, *ONE_HOT, *CHOICE, *CONTRACTION,
    *SUMMATION, *ORDER,
)  # fmt: skip
