"""The reference of operators, written from the registry: `python -m symgrad.ops.document` writes docs/operators.md.

In: the rows, their derivatives, accuracy and special values. Out: Markdown, the same in every process. A test compares
it with the file, so the page cannot fall behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from symgrad.ops.accuracy import statement
from symgrad.ops.derived import DERIVED
from symgrad.ops.row import ROWS, Row
from symgrad.ops.special_values import SPECIAL_VALUES
from symgrad.ops.structure import (
    Cast,
    Composite,
    Contraction,
    Coordinate,
    Fold,
    Gather,
    Layout,
    Map,
    Place,
    Random,
    Scatter,
    Sequential,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
SECTIONS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("Scalar operators", (Map, Cast)),
    ("Reductions", (Fold,)),
    ("Defined by other operators", (Composite,)),
    ("Products", (Contraction,)),
    ("Layout", (Layout, Place, Coordinate)),
    ("Indexing", (Gather, Scatter)),
    ("Sequential: sorting, cumulative sums, linear algebra", (Sequential,)),
    ("Random", (Random,)),
)
HEAD = """# Operators

Written by `python -m symgrad.ops.document` from the rows in `symgrad/ops/`; a test keeps it current. Local derivatives
are formulas over the operands x, y, z, w and the result `out`; the sweep multiplies them by what comes from above.
Accuracy is that of compiled operators, in units in the last place of the exact result (ulp): the largest error found,
of most functions of one float32 among all 2^32 inputs, of others among samples. How it is measured, where terms that
cancel are excepted, and the limits known stand in [quality.md](quality.md).
"""


def page() -> str:
    """Give the text of the page."""
    parts = [HEAD]
    for title, structures in SECTIONS:
        rows = [row for _, row in sorted(ROWS.items()) if isinstance(row.structure, structures)]
        parts.append(f"## {title}\n\n" + "\n".join(map(_entry, rows)))
    parts.append("## Special values\n\n" + _special_values())
    return "\n".join(parts)


def _entry(row: Row) -> str:
    """Write one operator: what it gives, its formula, its derivatives, its choices."""
    lines = [f"- **`{row.name}`** {row.doc}"]
    if isinstance(row.structure, Map) and row.structure.formula is not None:
        lines.append(f"  Formula: `{row.structure.formula}`.")
    if row.name in DERIVED and row.differentiable:
        lines.append("  Derivatives: " + ", ".join(f"`{d}`" for d in DERIVED[row.name]) + ".")
    elif not row.differentiable:
        lines.append("  No derivative.")
    if row.sub_gradient:
        lines.append(f"  Where no derivative exists: {row.sub_gradient}.")
    if statement(row):
        lines.append(f"  Accuracy: {statement(row)}.")
    return "\n".join(lines)


def _special_values() -> str:
    """Write a table per operator: operands, value, derivatives."""
    lines = [
        "Operands, value and derivative by each operand, as the interpreter and compiled code give them in both types.",
        "",
        "| operator | operands | value | derivatives |",
        "|---|---|---|---|",
    ]
    for name, cases in sorted(SPECIAL_VALUES.items()):
        arity = ROWS[name].arity or 1
        for case in cases:
            operands, value, slopes = case[:arity], case[arity], case[arity + 1 :]
            lines.append(f"| `{name}` | {_numbers(operands)} | {_numbers([value])} | {_numbers(slopes)} |")
    return "\n".join(lines) + "\n"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(_number(v) for v in values)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{value:.6g}" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


if __name__ == "__main__":  # importing the package has registered every row
    PAGE.write_text(page(), encoding="utf8")
