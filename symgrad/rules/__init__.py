"""The rules of the simplifier, by subject. `TABLE` lists them all; STABILITY is the part that runs before a gradient.

In: nothing. Out: rules as data, in the order in which they are tried. It must not know how they are applied.
"""

from __future__ import annotations

from symgrad.rewrite import Rule
from symgrad.rules.algebra import ALGEBRA
from symgrad.rules.layout import LAYOUT
from symgrad.rules.mask import MASK
from symgrad.rules.scale import SCALE
from symgrad.rules.stability import STABILITY
from symgrad.rules.total import TOTAL

__all__ = ["ALGEBRA", "LAYOUT", "MASK", "SCALE", "STABILITY", "TABLE", "TOTAL"]

TABLE: tuple[Rule, ...] = (*ALGEBRA, *STABILITY, *LAYOUT, *TOTAL, *MASK, *SCALE)
