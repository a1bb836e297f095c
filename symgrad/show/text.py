"""Formulas: an expression, or equations and updates, as lines of a notation, one for each value that has a name.

In: an expression, or named equations and updates. Out: lines in the order of their dependencies. The text of a graph is
linear in its size, and every pass over it is iterative. It must not know how an operator is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.expr import Expr, TensorType
from symgrad.shape import format_shape
from symgrad.show.lines import Line, ordered
from symgrad.show.naming import Names
from symgrad.show.notation import Notation, Written, write
from symgrad.show.python import TEXT
from symgrad.show.wording import Writer
from symgrad.surface import PRINTERS

__all__ = ["equation_lines", "format_equations", "format_expression"]


def format_expression(expr: Expr, *, notation: Notation = TEXT, shapes: bool = False) -> str:
    """Write an expression: let-lines for what is used twice or named, then the expression itself.

    With `shapes`, each line says the shape of its value.

    >>> import symgrad as sg
    >>> x, A = sg.symbol("x", (3,)), sg.symbol("A", (3, 3))
    >>> print(sg.grad(x @ A @ x, x))
    (A + A.T) @ x
    """
    if not isinstance(expr, Expr):
        raise TypeError(f"an expression is written, not {type(expr).__name__} {expr!r}")
    if side.name_of(expr) is not None and expr.args:
        return format_equations({str(side.name_of(expr)): expr}, notation=notation, shapes=shapes)
    names = Names([expr], {}, {})
    lines = [Line(names.of(n) or "", n) for n in names.lines]
    return notation.set(_written([*lines, Line("", expr)], Writer(names), notation, shapes))


def format_equations(
    equations: Mapping[Any, Expr],
    *,
    updates: Mapping[Any, Expr] | Sequence[tuple[Expr, Expr]] = (),
    names: Mapping[Expr, str] | None = None,
    notation: Notation = TEXT,
    shapes: bool = False,
) -> str:
    """Write several equations that share parts, in an order in which they can be computed.

    - `equations`: expressions by the names of their lines. A parameter as a key makes an update, as in
      `format_equations(optimizer.updates(loss, [W]))`.
    - `updates`: pairs (parameter, new value), written `W <- W - ...` after everything that reads the old value.
    - `names`: what parameters and symbols are called, and what shared values are called if they get a line.
    - `shapes`: whether each line says the shape of its value.

    Equations that need less come first; otherwise the given order stays.

    >>> import symgrad as sg
    >>> x, y = sg.symbol("x", (3,)), sg.symbol("y", (3,))
    >>> r = sg.exp(x) - y
    >>> print(format_equations({"a": (r * r).sum(), "b": r}))
    b = exp(x) - y
    a = sum(b * b)
    """
    return notation.set(equation_lines(equations, updates, names, notation, shapes))


def equation_lines(
    equations: Mapping[Any, Expr], updates: Mapping[Any, Expr] | Sequence[tuple[Expr, Expr]] = (),
    names: Mapping[Expr, str] | None = None, notation: Notation = TEXT, shapes: bool = False,
) -> list[Written]:  # fmt: skip
    """Give the lines of `format_equations` one by one, with their names as they are."""
    if not isinstance(equations, Mapping):
        raise TypeError(f"equations are a mapping from names to expressions, not {type(equations).__name__}")
    pairs = tuple(updates.items() if isinstance(updates, Mapping) else updates)
    pairs += tuple((key, value) for key, value in equations.items() if isinstance(key, Expr))
    equations = {key: value for key, value in equations.items() if not isinstance(key, Expr)}
    given = {id(node): name for name, node in reversed(list(equations.items())) if node.args}
    chosen = {id(node): name for node, name in (names or {}).items()}
    roots = [*equations.values(), *(new for _, new in pairs), *(param for param, _ in pairs)]
    apart: set[int] = set()
    while True:
        found = Names(roots, given, chosen, pairs, apart)
        equals = [Line(name, node) for name, node in equations.items()]
        lets = [Line(found.of(n) or "", n) for n in found.lines]
        changes = [Line(found.of(param) or "", new, param) for param, new in pairs]
        lines, stuck = ordered(equals, lets, changes, found)
        if stuck is None:
            found.number(line.node for line in lines)
            named = [line.renamed(found) if line in lets else line for line in lines]
            return _written(named, Writer(found), notation, shapes)
        apart.add(id(stuck.node))


# -- lines --------------------------------------------------------------------------------------------------------


def _written(lines: Sequence[Line], writer: Writer, notation: Notation, shapes: bool) -> list[Written]:
    """Write lines; one without a name is what is shown, and stands out of the columns of the others."""
    parts = []
    for line in lines:
        value = write(line.node, writer, notation, defined=line.name != "" and line.defines(writer.names))
        shape = format_shape(line.node.shape) if shapes and isinstance(line.node.type, TensorType) else ""
        parts.append(Written(line.name, line.sign, value, shape))
    return parts


PRINTERS["text"] = format_expression
