"""An operator is one row: name, meaning, gradient, NumPy oracle and test cases stand together.

In: a row's fields. Out: the registry `ROWS`, which every pass asks, and `Row.__call__`, which builds nodes: operands
are wrapped and promoted, the type is inferred (shape errors are raised here, at construction), the node is interned.
A row says what an operator is, never how fast it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad import side
from symgrad.dtypes import BOOL, DType, accumulator, as_dtype, inexact, promote, weak_kind
from symgrad.errors import DTypeError, GradientError, ShapeError
from symgrad.expr import Expr, TensorType, Type, buffer_node, constant_node, dim_node, literal, make, topological
from symgrad.ops.structure import Map, Structure
from symgrad.shape import Dim, Size, broadcast_shapes, format_shape, repeated_axes
from symgrad.surface import OPERATORS, PRINTERS

Attrs = Mapping[str, Any]
Vjp = Callable[[Expr, Expr], "tuple[Expr | None, ...]"]
Jvp = Callable[[Expr, "tuple[Expr | None, ...]"], "Expr | None"]


@dataclass(frozen=True, slots=True)
class Sample:
    """How a test draws one operand: uniform in [low, high), integers below `high` for integer dtypes.

    `make` turns what was drawn into what the operator is defined for, such as a matrix that has an inverse.
    """

    shape: tuple[Size, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float"  # "float": tested in float32 and float64
    make: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One way to call an operator in the registry-driven tests.

    Shapes may use `sg.dim("n")`; the case is compiled once and called with n = each of `sizes`.
    """

    operands: tuple[Sample, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = (0, 1, 3, 17, 64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One operator; calling the row builds a node.

    - `infer(args, attrs)` gives the node's type or raises ShapeError.
    - `oracle(*arrays, **attrs)` is the meaning in NumPy, at whatever precision the arrays have. It also receives
      `node=` when `oracle_wants_node` is set (shapes are then concrete).
    - `operands`: how operands are brought to a common dtype: a key of `COERCIONS`.
    - `derivatives`: for Map rows, hand-stated local derivatives per operand as formula text over x, y, z and out;
      derived ones stand in `ops/derived.py` and are proved equal.
    - `vjp(node, g)`: for the other classes, the cotangents.
    - `jvp(node, tangents)`: the tangent, given one for each operand (None: zero; not all are). Needed by nonlinear
      folds only; without it forward mode uses the structure, a composite's definition, or the transpose of `vjp`.
    - `smooth`: second derivatives exist on the test domain. `differentiable`: any derivative exists at all.
    - `symbol`: the infix sign or the name that formulas show; `latex`: the LaTeX form, `{x}` for operands.
    - `sub_gradient`: the choice made where no derivative exists, for the documentation.
    """

    name: str
    structure: Structure
    infer: Callable[[tuple[Expr, ...], Attrs], Type]
    oracle: Callable[..., np.ndarray]
    doc: str
    arity: int | None = None
    operands: str = "free"
    derivatives: tuple[str, ...] | None = None
    vjp: Vjp | None = None
    jvp: Jvp | None = None
    smooth: bool = True
    differentiable: bool = True
    commutative: bool = False
    cases: Sequence[Case] = ()
    symbol: str = ""
    latex: str = ""
    sub_gradient: str = ""
    oracle_wants_node: bool = False

    def __call__(self, *operands: Any, **attrs: Any) -> Expr:
        """Build the node of this operator over the operands."""
        if self.arity is not None and len(operands) != self.arity:
            raise TypeError(f"{plain_name(self.name)} takes {self.arity} operands, got {len(operands)}")
        args = COERCIONS[self.operands](self.name, operands)
        node: Expr = make(self.name, args, attrs, self.infer(args, attrs))
        return node

    @property
    def __name__(self) -> str:
        return plain_name(self.name)

    def __repr__(self) -> str:
        return f"<operator {plain_name(self.name)}>"


def _help(row: Row) -> str:
    """Give what `help(sg.relu)` says: the operator, not the class of all operators."""
    parts = [f"{plain_name(row.name)}({', '.join('xyzw'[: row.arity or 0])}): {row.doc}"]
    if isinstance(row.structure, Map) and row.structure.formula is not None:
        parts.append(f"Formula: {row.structure.formula}.")
    if row.sub_gradient:
        parts.append(f"Where no derivative exists: {row.sub_gradient}")
    return "\n\n".join(parts)


Row.__doc__ = property(_help)  # type: ignore[assignment]

ROWS: dict[str, Row] = {}


def register(row: Row) -> Row:
    """Add a row to the registry; names are unique."""
    if row.name in ROWS:
        raise ValueError(f"operator {row.name!r} exists already")
    ROWS[row.name] = row
    return row


def row_of(node: Expr) -> Row:
    """Give the row of a node's operator."""
    return ROWS[node.op]


_DIGEST = re.compile("__[0-9a-f]{8}$")


def plain_name(op: str) -> str:
    """Give the name that users know an operator by: that of an own one goes on with a digest of its formula.

    >>> plain_name("log_softmax"), plain_name("snake__5b1d2a04")
    ('log_softmax', 'snake')
    """
    return _DIGEST.sub("", op)


# -- operands ------------------------------------------------------------------------------------------------------


def is_operand(value: object) -> bool:
    """Tell whether `as_expr` accepts the value."""
    return isinstance(value, (Expr, Dim, bool, int, float, np.ndarray, np.generic, list, tuple))


def as_expr(value: Any, dtype: DType | None = None) -> Expr:
    """Wrap a Python scalar, dimension or array as a node; `dtype` is used for weak scalars and dimensions only."""
    if isinstance(value, Expr):
        return value
    kind = weak_kind(value)
    if kind is not None:
        return constant_node(value, dtype or promote([], kind))
    if isinstance(value, Dim):
        return dim_node(value, dtype or DType.INT64)
    if isinstance(value, (np.ndarray, np.generic, list, tuple)):
        array = np.asarray(value)
        if array.dtype == object:
            raise DTypeError("an operand is an array of objects", hint="Give numbers, or sg.stack for expressions.")
        own = as_dtype(array.dtype)
        if isinstance(value, (list, tuple)) and own is DType.FLOAT64:
            own = DType.FLOAT32
        return constant_node(array.item(), own) if array.ndim == 0 else buffer_node(array, own)
    raise TypeError(f"{type(value).__name__} is not an operand of an expression")


def _strong(values: Sequence[Any]) -> tuple[list[DType], str]:
    """Split operands into strong dtypes and weak kinds; a dimension is a weak integer."""
    strong, weak = [], ""
    for value in values:
        kind = "i" if isinstance(value, Dim) else weak_kind(value)
        if kind is None:
            strong.append(as_expr(value).dtype)
        else:
            weak += kind
    return strong, weak


def cast(node: Expr, dtype: DType) -> Expr:
    """Convert a node's elements; the node itself if nothing changes."""
    return node if node.dtype is dtype else ROWS["astype"](node, dtype=dtype)


def _to(values: Sequence[Any], dtype: DType) -> tuple[Expr, ...]:
    return tuple(cast(as_expr(v, dtype), dtype) for v in values)


def _same(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    strong, weak = _strong(values)
    return _to(values, promote(strong, weak))


def _arithmetic(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    """As `same`, but bools count as int64: True + True is 2."""
    strong, weak = _strong(values)
    dtype = promote(strong, weak)
    return _to(values, DType.INT64 if dtype is BOOL else dtype)


def _accumulate(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    """As `same`, in the dtype of a sum: bools and integers count as int64."""
    strong, weak = _strong(values)
    return _to(values, accumulator(promote(strong, weak)))


def _float(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    strong, weak = _strong(values)
    return _to(values, inexact(promote(strong, weak)))


def _bool(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    args = tuple(as_expr(v, BOOL) for v in values)
    for arg in args:
        if arg.dtype is not BOOL:
            symbol = ROWS[name].symbol
            sign = f" (the operator {symbol})" if symbol and not symbol.isidentifier() else ""
            hint = "A power is written x ** y." if name == "logical_xor" else "Compare first, e.g. x != 0."
            got = ", ".join(f"{label(a)} is {a.dtype}" for a in args if a.dtype is not BOOL)
            raise DTypeError(f"{name}{sign} takes bool operands", got=got, where=where_text(args), hint=hint)
    return args


def _bits(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    """Bring integers, or bools, to one of their types; floats have no bits to speak of."""
    args = _same(name, values)
    if args[0].dtype.is_float:
        raise DTypeError(f"{name} takes integers or bools", got=str(args[0].dtype), hint="Convert with astype first.")
    return args


def _select(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    return (*_bool(name, values[:1]), *_same(name, values[1:]))


def _order(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    """As `float`; an order that is a number is a whole one from 1."""
    args = _float(name, values)
    order = literal(args[0])
    if order is not None and (order < 1 or order != int(order)):
        raise ValueError(f"{name}: an order is a whole number from 1, not {order:g}. Order 0 is sg.digamma.")
    return args


def _free(name: str, values: Sequence[Any]) -> tuple[Expr, ...]:
    return tuple(map(as_expr, values))


COERCIONS: dict[str, Callable[[str, Sequence[Any]], tuple[Expr, ...]]] = {
    "same": _same, "arithmetic": _arithmetic, "accumulate": _accumulate, "float": _float, "bool": _bool,
    "select": _select, "free": _free, "bits": _bits, "order": _order,
}  # fmt: skip


# -- type rules shared by many rows --------------------------------------------------------------------------------


_LONGEST, _LARGEST = 40, 24  # what of an expression an error shows: characters, nodes


def label(node: Expr) -> str:
    """Name an operand in an error: by the user's name for it, by its text if that is short, else by its operator.

    A promoted operand has its own operand's name.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (3,))
    >>> label(x @ x), label(sum(x * k for k in range(9)))
    ('x @ x', 'add(...)')
    """
    if node.op == "astype":
        return label(node.args[0])
    if node.op == "buffer":
        return "the array"
    if node.op in ("symbol", "parameter"):
        return side.name_of(node) or str(node.attrs["name"])
    return side.name_of(node) or _short_text(node) or f"{plain_name(node.op)}(...)"


def _short_text(node: Expr) -> str:
    """Write a small expression on one line, in which the user's names stand for what they name; else give ''."""
    below = topological([node], stop=lambda part: side.name_of(part) is not None)
    if len(below) > _LARGEST or "text" not in PRINTERS:
        return ""
    *lines, text = PRINTERS["text"](node).splitlines()
    named = {side.name_of(part) for part in topological([node])}
    explained = all(line.partition("=")[0].strip() in named for line in lines)
    return text if explained and len(text) <= _LONGEST else ""


def factor(node: Expr) -> str:
    """Name an operand as it stands beside `@` or before `.T`: in parentheses where it needs them."""
    text = label(node)
    outside, depth = "", 0
    for character in text:
        depth -= character in ")]"
        outside += "" if depth else character
        depth += character in "(["
    return f"({text})" if set(outside) & set(" +-*/") else text


def describe(node: Expr) -> str:
    """Name an operand in an error, with its shape."""
    return f"{label(node)} is {format_shape(node.shape)}"


def where_text(args: Sequence[Expr]) -> str:
    """Say where the failing line is and where the named operands were declared."""
    site = side.caller_site()
    parts = [str(site)] if site else []
    for arg in args:
        if arg.op in ("symbol", "parameter") and side.sites(arg):
            parts.append(f"{arg.attrs['name']} declared at {side.sites(arg)[0]}")
        elif side.origins(arg) and not side.sites(arg) and (brief := OPERATORS[".why"](arg).brief):
            parts.append(f"{label(arg)} comes from {brief}")
    return "; ".join(parts)


def broadcast_type(name: str, args: Sequence[Expr], dtype: DType) -> TensorType:
    """Infer the type of an elementwise operator."""
    try:
        shape = broadcast_shapes(*(a.shape for a in args))
    except ShapeError:
        what, got = f"{plain_name(name)}: shapes do not broadcast", ", ".join(map(describe, args))
        hint = "Only the size 1 broadcasts; reshape or expand_dims aligns axes."
        raise ShapeError(what, got=got, where=where_text(args), hint=hint) from None
    return TensorType(shape, dtype)


def unbroadcast(g: Expr, target: Expr) -> Expr:
    """Sum a cotangent over the axes that broadcasting added or stretched, giving the operand's shape."""
    if g.shape == target.shape:
        return g
    repeated = repeated_axes(target.shape, g.shape)
    if repeated:
        g = ROWS["sum"](g, axes=repeated, keepdims=g.ndim == target.ndim)
    return g if g.shape == target.shape else ROWS["reshape"](g, shape=target.shape)


def no_gradient(node: Expr, hint: str) -> GradientError:
    """Make the error for an operator without a derivative."""
    return GradientError(f"{plain_name(node.op)} has no derivative", where=where_text([node]), hint=hint)
