"""Ways to look at expressions: text now; importing this package gives expressions their printer.

In: expressions. Out: text. It must not know compilation or training.
"""

from __future__ import annotations

from symgrad.show.text import format_equations, format_expression, pprint

__all__ = ["format_equations", "format_expression", "pprint"]
