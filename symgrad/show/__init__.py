"""Ways to look at expressions: as text, as mathematics; importing this package gives expressions their printers.

In: expressions. Out: text. It must not know compilation or training.
"""

from __future__ import annotations

from symgrad.show.look import latex, mathml, pprint
from symgrad.show.source import srepr
from symgrad.show.text import format_equations, format_expression

__all__ = ["format_equations", "format_expression", "latex", "mathml", "pprint", "srepr"]
