"""Elementwise graphs as formulas of the scalar language, and so as SymPy expressions: `expr.to_sympy()`.

In: an expression each of whose elements comes from one element of every symbol. Out: the formula of one element; the
SymPy expression of it, in which each symbol stands for its element. It must not know what SymPy is used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import BOOL
from symgrad.errors import FormatError
from symgrad.expr import Expr, literal, topological
from symgrad.formula import (
    Call,
    Const,
    Formula,
    Num,
    Var,
    fold,
    has_sympy_form,
    parse,
    size_to_sympy,
    substitute,
    symbol_to_sympy,
    to_sympy,
)
from symgrad.ops.calculus import OPERANDS
from symgrad.ops.facts import declared
from symgrad.ops.row import ROWS, describe, label, row_of, where_text
from symgrad.ops.structure import Map

__all__ = ["expression_to_sympy", "formula_of"]

_VARIABLES = ("symbol", "parameter", "dim")
_SAME = ("assume", "broadcast_to")  # an element of the result is the element of the operand that stands there
_ASSUMPTIONS = {"positive": "positive", "nonnegative": "nonnegative", "nonzero": "nonzero", "integer_valued": "integer"}


def formula_of(node: Expr) -> tuple[Formula, dict[str, Expr]]:
    """Give the formula of an element of an elementwise expression, and what its variables v0, v1 ... stand for.

    Raises FormatError for an operator that reads more than one element, or moves elements.

    >>> import symgrad as sg
    >>> x, w = sg.symbol("x", (sg.dim("N"),)), sg.symbol("w", ())
    >>> formula_of(sg.tanh(w * x) + 1)
    (parse('tanh(v0 * v1) + 1.0'), {'v0': w, 'v1': x})
    """
    found: dict[Expr, Formula] = {}
    variables: dict[str, Expr] = {}
    for part in topological([node]):
        if part.op in _VARIABLES:
            name = f"v{len(variables)}"
            variables[name] = part
            found[part] = Var(name)
        else:
            found[part] = _formula_of(part, [found[arg] for arg in part.args])
    return found[node], variables


def _formula_of(node: Expr, args: Sequence[Formula]) -> Formula:
    """Give the formula of an element of a node from those of its operands."""
    if node.op == "constant":
        return _number(node)
    if node.op in _SAME or (node.op == "reshape" and node.args[0].ndim == 0):
        return args[0]
    if node.op == "astype":
        return _converted(node, args[0])
    if not isinstance(row_of(node).structure, Map):
        raise FormatError(
            f"{node.op} is no operator of single elements", got=describe(node), where=where_text([node]),
            hint="to_sympy takes expressions made of elementwise operators.",
        )  # fmt: skip
    conditions = {"bool": len(args), "select": 1}.get(row_of(node).operands, 0)
    operands = [
        _as_number(formula) if arg.dtype is BOOL and k >= conditions else formula
        for k, (arg, formula) in enumerate(zip(node.args, args, strict=True))
    ]
    chosen = Call(node.op, tuple(operands))
    return Call("not_equal", (chosen, Num(0))) if node.op == "where" and node.dtype is BOOL else chosen


def _as_number(condition: Formula) -> Formula:
    return Call("where", (condition, Num(1), Num(0)))


def _number(node: Expr) -> Formula:
    """Give a constant as its shortest decimal: 0.1, not what float32 makes of it."""
    value = literal(node)
    if node.dtype.is_float:
        if not np.isfinite(value):  # type: ignore[arg-type]
            return Const("nan") if value != value else parse("inf" if value > 0 else "-inf")  # type: ignore[operator]
        value = float(str(node.dtype.numpy.type(value)))
    return Num(value)  # type: ignore[arg-type]


def _converted(node: Expr, operand: Formula) -> Formula:
    """Give the formula of a conversion: floats are truncated to integers, and become true where they are not 0."""
    before = node.args[0].dtype
    if before is BOOL:
        return operand if node.dtype is BOOL else _as_number(operand)
    if node.dtype is BOOL:
        return Call("not_equal", (operand, Num(0)))
    return Call("trunc", (operand,)) if before.is_float and not node.dtype.is_float else operand


def expression_to_sympy(node: Expr) -> Any:
    """Give the SymPy expression of an elementwise expression: a symbol stands for its element, and is real.

    Integers and what facts say become assumptions of the symbols; rounding is forgotten: 0.5 is 1/2, 0.1 stays a float.
    SymPy simplifies as it builds. Raises FormatError for an operator that is not elementwise, or that SymPy has no form
    of; and where two symbols bear one name.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"),))
    >>> (sg.sin(x) ** 2 / 2).to_sympy()
    sin(x)**2/2
    """
    formula, variables = formula_of(node)
    by_name: dict[str, Expr] = {}
    for leaf in variables.values():
        name = label(leaf)
        if by_name.setdefault(name, leaf) is not leaf:
            got = f"{describe(by_name[name])}, {describe(leaf)}"
            raise FormatError(f"two variables are named {name!r}", got=got, hint="Give each a name of its own.")
    return to_sympy(_in_known_operators(formula), {name: _leaf(leaf) for name, leaf in variables.items()})


def _leaf(node: Expr) -> Any:
    """Give the SymPy symbol of a symbol or parameter; a dimension is a polynomial of symbols."""
    if node.op == "dim":
        return size_to_sympy(node.attrs["size"])
    if node.dtype is BOOL:
        return symbol_to_sympy(label(node))
    facts = {_ASSUMPTIONS[fact]: True for fact in declared(node) if fact in _ASSUMPTIONS}
    return symbol_to_sympy(label(node), real=True, **({} if node.dtype.is_float else {"integer": True}), **facts)


def _in_known_operators(formula: Formula) -> Formula:
    """Replace calls of operators that SymPy has no form of by their own formulas."""

    def call(name: str, args: tuple[Formula, ...]) -> Formula:
        structure = ROWS[name].structure
        if has_sympy_form(name) or not isinstance(structure, Map) or structure.formula is None:
            return Call(name, args)
        own = _in_known_operators(parse(structure.formula))
        return substitute(own, dict(zip(OPERANDS, args, strict=False)))

    known: Formula = fold(formula, lambda leaf: leaf, call)
    return known
