"""A pattern language for expressions: what a rewrite rule looks for, and what it puts in its place.

In: patterns, written as the mathematics they match, and nodes. Out: bindings of a pattern's variables to the parts of a
node; expressions built from a pattern and bindings. It must not know rules, nor any operator by more than its name.

    x, y = variables("x y")
    -(-x)                                                             a node whose operand is negated, too
    op("log", op("softmax", x, axis=attr("k")))                       an attribute is bound to k
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from symgrad.expr import Expr, literal
from symgrad.ops.row import ROWS

__all__ = ["Bindings", "Number", "Op", "Pattern", "Variable", "attr", "build", "match", "op", "variables"]

Bindings: TypeAlias = dict[str, Any]


class Pattern:
    """A pattern; Python's operators build larger ones."""

    __slots__ = ()

    def __add__(self, other: Any) -> Op:
        return op("add", self, other)

    def __radd__(self, other: Any) -> Op:
        return op("add", other, self)

    def __sub__(self, other: Any) -> Op:
        return op("subtract", self, other)

    def __rsub__(self, other: Any) -> Op:
        return op("subtract", other, self)

    def __mul__(self, other: Any) -> Op:
        return op("multiply", self, other)

    def __rmul__(self, other: Any) -> Op:
        return op("multiply", other, self)

    def __truediv__(self, other: Any) -> Op:
        return op("divide", self, other)

    def __rtruediv__(self, other: Any) -> Op:
        return op("divide", other, self)

    def __pow__(self, other: Any) -> Op:
        return op("power", self, other)

    def __matmul__(self, other: Any) -> Op:
        return op("matmul", self, other)

    def __neg__(self) -> Op:
        return op("negative", self)


@dataclass(frozen=True, slots=True)
class Variable(Pattern):
    """Matches any expression; the same one at every place of its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Number(Pattern):
    """Matches the constant of this value, of any dtype; 0 is not -0.0."""

    value: int | float

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Attribute:
    """Matches any value of an attribute; the same one at every place of its name."""

    name: str

    def __str__(self) -> str:
        return self.name


_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "matmul": "@"}
_COMPARE = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}


@dataclass(frozen=True, slots=True)
class Op(Pattern):
    """Matches a node of this operator; operands of commutative operators match in either order."""

    name: str
    args: tuple[Pattern, ...]
    attrs: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        if self.name in _INFIX or self.name in _COMPARE:
            sign = _INFIX.get(self.name) or _COMPARE[self.name]
            return f" {sign} ".join(_bracketed(a) for a in self.args)
        if self.name == "negative":
            return f"-{_bracketed(self.args[0])}"
        parts = [str(a) for a in self.args] + [f"{k}={v}" for k, v in self.attrs]
        return f"{self.name}({', '.join(parts)})"


def _bracketed(pattern: Pattern) -> str:
    text = str(pattern)
    open_ = isinstance(pattern, Op) and (pattern.name in _INFIX or pattern.name in _COMPARE or text.startswith("-"))
    return f"({text})" if open_ else text


def variables(names: str) -> tuple[Variable, ...]:
    """Make pattern variables.

    >>> x, y = variables("x y")
    >>> print(-(x * 1) + y)
    (-(x * 1)) + y
    """
    return tuple(map(Variable, names.split()))


def attr(name: str) -> Attribute:
    """Make a variable for an attribute's value."""
    return Attribute(name)


def op(name: str, *args: Any, **attrs: Any) -> Op:
    """Make the pattern of an operator; attributes that are not given match any value."""
    wrapped = tuple(a if isinstance(a, Pattern) else Number(a) for a in args)
    return Op(name, wrapped, tuple(sorted(attrs.items())))


def match(pattern: Pattern, node: Expr, bound: Bindings) -> Iterator[Bindings]:
    """Give every way in which a node matches."""
    if isinstance(pattern, Variable):
        known = bound.get(pattern.name)
        if known is None:
            yield {**bound, pattern.name: node}
        elif known is node:
            yield bound
    elif isinstance(pattern, Number):
        if _is_number(node, pattern.value):
            yield bound
    elif isinstance(pattern, Op) and node.op == pattern.name and len(node.args) == len(pattern.args):
        orders = [node.args] if _may_match(pattern.args, node.args) else []
        if len(node.args) == 2 and ROWS[node.op].commutative and _may_match(pattern.args, node.args[::-1]):
            orders.append(node.args[::-1])
        with_attrs = _match_attrs(pattern, node, bound) if orders else None
        if with_attrs is None:
            return
        for args in orders:
            yield from _match_all(pattern.args, args, with_attrs)


def may_match(pattern: Op, node: Expr) -> bool:
    """Compare a few operators alone: what this refuses does not match, and most nodes do not."""
    if node.op != pattern.name or len(node.args) != len(pattern.args):
        return False
    if _may_match(pattern.args, node.args):
        return True
    return len(node.args) == 2 and ROWS[node.op].commutative and _may_match(pattern.args, node.args[::-1])


def _may_match(patterns: Sequence[Pattern], nodes: Sequence[Expr]) -> bool:
    """Compare the operators alone: most attempts end here, before anything is bound."""
    for pattern, node in zip(patterns, nodes, strict=True):
        kind = pattern.__class__
        if (kind is Op and pattern.name != node.op) or (kind is Number and node.op != "constant"):  # type: ignore[attr-defined]
            return False
    return True


def _match_all(patterns: Sequence[Pattern], nodes: Sequence[Expr], bound: Bindings) -> Iterator[Bindings]:
    found: Iterable[Bindings] = (bound,)
    for pattern, node in zip(patterns, nodes, strict=True):
        found = [more for one in found for more in match(pattern, node, one)]
        if not found:
            return
    yield from found


def _match_attrs(pattern: Op, node: Expr, bound: Bindings) -> Bindings | None:
    if not pattern.attrs:
        return bound
    result = dict(bound)
    for key, wanted in pattern.attrs:
        value = node.attrs[key]
        if isinstance(wanted, Attribute):
            if result.setdefault(wanted.name, value) != value:
                return None
        elif value != wanted:
            return None
    return result


def _is_number(node: Expr, value: int | float) -> bool:
    found = literal(node)
    return found is not None and found == value and math.copysign(1, found) == math.copysign(1, value)


def build(pattern: Pattern, bound: Bindings) -> Any:
    """Build the expression that a right-hand side stands for (a Python number where it is one)."""
    if isinstance(pattern, Variable):
        return bound[pattern.name]
    if isinstance(pattern, Number):
        return pattern.value
    assert isinstance(pattern, Op)
    attrs = {k: bound[v.name] if isinstance(v, Attribute) else v for k, v in pattern.attrs}
    return ROWS[pattern.name](*(build(a, bound) for a in pattern.args), **attrs)
