"""Tables: rows of data as aligned text and as HTML.

In: a head, rows of texts, which columns are numbers. Out: lines; a `<table>`. A cell of several lines takes several
lines. It must not know what the data mean.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A head, rows with one text for each column, and the positions of the columns that stand to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()

    def text(self) -> str:
        r"""Write the table with a line of dashes below the head.

        >>> print(Table(("name", "bytes"), (("W", "80"), ("b\nc", "4")), frozenset({1})).text())
        name  bytes
        ----  -----
        W        80
        b         4
        c
        """
        rows = [[cell.split("\n") for cell in row] for row in (self.head, *self.rows)]
        widths = [max(len(line) for row in rows for line in row[k]) for k in range(len(self.head))]
        lines = [line for row in rows for line in _lines(row, widths, self.right)]
        height = max(cell.count("\n") + 1 for cell in self.head)
        lines.insert(height, "  ".join("-" * width for width in widths))
        return "\n".join(lines)

    def html(self, caption: str = "") -> str:
        """Write the table as HTML."""
        head = "".join(_cell("th", text, k in self.right) for k, text in enumerate(self.head))
        body = "".join(
            f"<tr>{''.join(_cell('td', text, k in self.right) for k, text in enumerate(row))}</tr>\n"
            for row in self.rows
        )
        title = f"<caption>{html.escape(caption)}</caption>\n" if caption else ""
        return f"<table>\n{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int], right: Collection[int]) -> list[str]:
    found: list[str] = []
    for k in range(max(map(len, row))):
        texts = [cell[k] if k < len(cell) else "" for cell in row]
        padded = [t.rjust(w) if c in right else t.ljust(w) for c, (t, w) in enumerate(zip(texts, widths, strict=True))]
        found.append("  ".join(padded).rstrip())
    return found


def _cell(tag: str, text: str, right: bool) -> str:
    style = ' style="text-align: right"' if right else ' style="text-align: left; white-space: pre"'
    return f"<{tag}{style}>{html.escape(text)}</{tag}>"


def quantity(value: float, digits: int = 3) -> str:
    """Write a number of at most so many digits, with SI's prefix.

    >>> quantity(1234567), quantity(0.0000021), quantity(0), quantity(999), quantity(12.5)
    ('1.23M', '2.1u', '0', '999', '12.5')
    """
    if value == 0:
        return "0"
    prefixes = {-3: "n", -2: "u", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}
    power = 0
    while abs(value) >= 999.5 and power < 4:
        value, power = value / 1000, power + 1
    while abs(value) < 0.9995 and power > -3:
        value, power = value * 1000, power - 1
    return f"{value:.{digits}g}{prefixes[power]}"
