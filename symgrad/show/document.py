"""The reference of operators, written from the registry: `python -m symgrad.show.document` writes docs/operators.md.

In: the rows, their derivatives, accuracy and special values; the functions written with them. Out: Markdown, the same
in every process. A test compares it with the file, so the page cannot fall behind. What the rules of differentiation
other than formulas give is found by differentiating: a row is called on symbols, pulled back and printed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from symgrad import linalg, ops
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, symbol_node
from symgrad.ops import random
from symgrad.ops.accuracy import statement
from symgrad.ops.derived import DERIVED
from symgrad.ops.row import ROWS, Case, Row
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
from symgrad.reverse import vjp
from symgrad.show.text import format_equations

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

Written by `python -m symgrad.show.document` from the rows in `symgrad/ops/`; a test keeps it current.

**Derivatives** of scalar operators are formulas over the operands x, y, z, w and the result `out`; the sweep multiplies
them by what comes from above. Some hold a guard: `clip(x, -1000, 1000)` changes no value, for beyond its ends the other
factor has long become 0; it keeps inf * 0 out, which is NaN. In the same way `where(out == 0, 1, out)` keeps a division
by 0 out, and `minimum(x, 0)` an overflow of a branch that is not taken. Of all other operators the page shows what
symgrad derives: `g` is the cotangent of the result, `dA` that of the operand A, for operands of the ranks that the call
shows.

**Accuracy** is that of compiled operators, in units in the last place of the exact result (ulp): the largest error
found, of most functions of one float32 among all 2^32 inputs, of others among samples. How it is measured, where terms
that cancel are excepted, and the limits known stand in [quality.md](quality.md).
"""
FUNCTIONS = "Functions over these"


def page() -> str:
    """Give the text of the page."""
    parts = [HEAD]
    for title, structures in SECTIONS:
        rows = [row for _, row in sorted(ROWS.items()) if isinstance(row.structure, structures)]
        parts.append(f"## {title}\n\n" + "\n".join(map(_entry, rows)) + "\n")
    parts.append(f"## {FUNCTIONS}\n\nThey build graphs of the operators above, and differentiate as these do.\n")
    parts.append("\n".join(f"- **`{name}`** {summary}" for name, summary in sorted(functions().items())) + "\n")
    parts.append("## Special values\n\n" + _special_values())
    return "\n".join(parts)


def functions() -> dict[str, str]:
    """Map the public functions that are no operators to the first sentence of what they say of themselves."""
    spaces: dict[str, Any] = {"": ops, "linalg.": linalg, "random.": random}
    found: dict[str, str] = {}
    for prefix, space in spaces.items():
        for name in space.__all__:
            value = getattr(space, name)
            own = getattr(value, "__module__", "").startswith("symgrad.ops")
            if not own or isinstance(value, Row | type) or name in {*ROWS, *found, "symbol", "dim", "constant"}:
                continue
            paragraph = " ".join((value.__doc__ or "").partition("\n\n")[0].split())
            found[prefix + name] = paragraph.rstrip(".:") + "."
    return found


def _entry(row: Row) -> str:
    """Write one operator: what it gives, its formula, its derivatives, its choices."""
    lines = [f"- **`{row.name}`** {row.doc}"]
    if isinstance(row.structure, Map) and row.structure.formula is not None:
        lines.append(f"  Formula: `{row.structure.formula}`.")
    lines.append(f"  {_derivative(row)}")
    if row.sub_gradient:
        lines.append(f"  Where no derivative exists: {row.sub_gradient.rstrip('.')}.")
    if statement(row):
        lines.append(f"  Accuracy: {statement(row).rstrip('.')}.")
    return "\n".join(lines)


def _derivative(row: Row) -> str:
    """Say what the derivative is: local formulas, or the cotangents of a call."""
    if row.name in DERIVED and row.differentiable:
        return "Derivatives: " + ", ".join(f"`{d}`" for d in DERIVED[row.name]) + "."
    found = cotangents(row) if row.differentiable else None
    if found is None:
        return GIVEN.get(row.name, "No derivative.")
    call, equations = found
    return f"Derivative of `{call}`: " + ", ".join(f"`{line}`" for line in equations) + "."


GIVEN = {"custom": "Derivative: the one given with it.", "checkpoint": "Derivative: that of the function."}
_MATRICES, _TENSORS = "ABCDEF", "xyzwuv"


def cotangents(row: Row) -> tuple[str, list[str]] | None:
    """Give a call of a row as text, and the equations of its operands' cotangents; None where it has none.

    >>> cotangents(ROWS["solve"])
    ('solve(A, B)', ['dB = solve(A.T, g)', 'dA = -dB @ solve(A, B).T'])
    """
    for case in row.cases:
        operands = _operands(row, case)
        wanted = [x for x in operands if x.dtype.is_float]
        node = row(*operands, **case.attrs)
        if not wanted or not node.dtype.is_float:
            continue
        g = symbol_node("g", node.shape, node.dtype)
        found = vjp(node, wanted, g, disconnected="zero")
        names = {f"d{x.attrs['name']}": part for x, part in zip(wanted, found, strict=True)}
        call = f"{row.name}({node})" if str(node) in _names_of(operands) else str(node)
        return call, [" ".join(line.split()) for line in format_equations(names).splitlines()]
    return None


def _names_of(operands: Iterable[Expr]) -> list[str]:
    return [str(x.attrs["name"]) for x in operands]


def _operands(row: Row, case: Case) -> list[Expr]:
    """Name the operands of a call: matrices of linear algebra A, B, others x, y ..., positions i, j."""
    structure = row.structure
    linear = isinstance(structure, Contraction) or (isinstance(structure, Sequential) and structure.core == 2)
    floats, others = iter(_MATRICES if linear or row.name in ("inv", "det") else _TENSORS), iter("ijkl")
    return [
        symbol_node(next(floats), sample.shape, as_dtype("float32")) if sample.dtype == "float"
        else symbol_node(next(others), sample.shape, as_dtype(sample.dtype))
        for sample in case.operands
    ]  # fmt: skip


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
