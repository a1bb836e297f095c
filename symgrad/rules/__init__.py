"""The rules of the simplifier, by subject. `TABLE` lists them all; STABILITY is the part that runs before a gradient.

In: nothing. Out: rules as data, in the order in which they are tried. It must not know how they are applied.
"""

from __future__ import annotations

from symgrad.rewrite import Rule
from symgrad.rules.algebra import ALGEBRA
from symgrad.rules.averages import AVERAGES
from symgrad.rules.contraction import CONTRACTION
from symgrad.rules.diagonal import DIAGONAL
from symgrad.rules.facts import FACTS
from symgrad.rules.layout import LAYOUT
from symgrad.rules.mask import MASK
from symgrad.rules.matmul import MATMUL
from symgrad.rules.onehot import ONE_HOT
from symgrad.rules.order import ORDER
from symgrad.rules.powers import POWERS
from symgrad.rules.quotients import QUOTIENTS
from symgrad.rules.scale import SCALE
from symgrad.rules.solving import SOLVING
from symgrad.rules.stability import STABILITY
from symgrad.rules.summation import SUMMATION
from symgrad.rules.terms import TERMS
from symgrad.rules.total import TOTAL
from symgrad.rules.units import UNITS

__all__ = [
    "ALGEBRA", "AVERAGES", "CONTRACTION", "DIAGONAL", "FACTS", "LAYOUT", "MASK", "MATMUL", "ONE_HOT", "ORDER",
    "POWERS", "QUOTIENTS", "SCALE", "SOLVING", "STABILITY", "SUMMATION", "TABLE", "TERMS", "TOTAL", "UNITS",
]  # fmt: skip

TABLE: tuple[Rule, ...] = (
    *ALGEBRA, *POWERS, *STABILITY, *LAYOUT, *UNITS, *TOTAL, *MATMUL, *MASK, *SCALE, *AVERAGES, *TERMS, *QUOTIENTS,
    *SOLVING, *FACTS, *DIAGONAL, *ONE_HOT, *CONTRACTION, *SUMMATION, *ORDER,
)  # fmt: skip
