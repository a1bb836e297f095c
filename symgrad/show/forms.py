"""How operators are written, in Python's syntax with NumPy's names.

In: a node, and the names that stand for nodes. Out: a form: pieces of text and operands in the order of writing, each
operand with the precedence it must have to stand without brackets. Sums and products are read flat and sorted by the
reader's eye: matrix products, names, other factors, masks last; the order depends on structure and names alone.
It must not know lines or alignment. To add an operator that is no function call is one entry in FORMS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.expr import Expr, literal
from symgrad.ops.moves import is_transposed
from symgrad.ops.row import ROWS, plain_name
from symgrad.rewrite import order_key
from symgrad.shape import Dim
from symgrad.show.compounds import compound, reads
from symgrad.show.flat import factors, is_mask, is_negative, terms
from symgrad.show.naming import Names
from symgrad.show.plain import data_text, number_text, span_text, unit_index

# Python's precedences; MATMUL binds like a product, but only a chain of matrix products may stand to its left.
OPEN, COMPARE, OR, XOR, AND, SUM, PRODUCT, MATMUL, UNARY, POWER, ATOM = range(11)

Item = str | tuple[Expr, int]


@dataclass(frozen=True, slots=True)
class Form:
    """Pieces in order, and the precedence of the whole."""

    precedence: int
    items: tuple[Item, ...]


class Writer:
    """Gives the form of each node; knows the names, and what it learned of nodes below (operands come first)."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._weight: dict[int, int] = {}
        self._head: dict[int, tuple[str, str]] = {}
        self._contracts: set[int] = set()
        for node in names.order:
            self._learn(node)

    def _learn(self, node: Expr) -> None:
        """Note how long a node is to write, its first name in the alphabet, and whether it is a matrix product."""
        name = self.names.of(node)
        inside = [id(a) for a in reads(node)]
        self._weight[id(node)] = 1 if name or not inside else 1 + sum(self._weight[i] for i in inside)
        own = _alphabetical(name or "~")
        self._head[id(node)] = own if name or not inside else min(self._head[i] for i in inside)
        if node.op == "matmul" or (node.op in _FACTORED and any(self._is_contraction(a) for a in node.args)):
            self._contracts.add(id(node))

    def _has_name(self, node: Expr) -> bool:
        return self.names.of(node) is not None

    def _is_contraction(self, node: Expr) -> bool:
        return id(node) in self._contracts and self.names.of(node) is None

    def form(self, node: Expr, *, defined: bool = False) -> Form:
        """Give a node's form: its name, if it has one and is not being `defined`."""
        name = self.names.of(node)
        if name is not None and not defined:
            return Form(ATOM, (name,))
        found = compound(node)
        if found is not None:
            return Form(ATOM, tuple((x, OPEN) if isinstance(x, Expr) else x for x in found.pieces()))
        return FORMS.get(node.op, _call)(node, self)

    # -- sums -----------------------------------------------------------------------------------------------------

    def sum_form(self, node: Expr) -> Form:
        """Write a sum flat: positive terms first, sorted."""
        found = sorted(terms(node, self._has_name), key=lambda t: (t[0] < 0, *self._term_key(t[1])))
        items: list[Item] = []
        for position, (sign, term) in enumerate(found):
            minus, first = sign < 0, position == 0
            items.append("-" if first and minus else "" if first else " - " if minus else " + ")
            plain = not is_negative(term) or self._has_name(term)
            items.append((term, PRODUCT) if plain else number_text(term, -1))
        return Form(SUM, tuple(i for i in items if i != ""))

    def _term_key(self, node: Expr) -> tuple[Any, ...]:
        return (-node.ndim, not self._is_contraction(node), *self._key(node))

    def _key(self, node: Expr) -> tuple[int, tuple[str, str], bytes]:
        return self._weight[id(node)], self._head[id(node)], order_key(node)

    # -- products -------------------------------------------------------------------------------------------------

    def product_form(self, node: Expr) -> Form:
        """Write a product flat: factors sorted, then divisors; masks are factors, too."""
        found = factors(node, self._has_name)
        above, masks = sorted(found.above, key=self._factor_key), found.masks
        if len(above) > 1 or masks:
            above = [f for f in above if not self._is_one(f)]
        items: list[Item] = ["-"] if found.sign < 0 else []
        leading = True  # so far only scalars: a matrix product may follow without brackets
        for position, factor in enumerate(above):
            items += [" * "] if position else []
            first = MATMUL if leading and self._is_contraction(factor) else UNARY if position else PRODUCT
            items.append((factor, first))
            leading = leading and factor.ndim == 0
        for mask in masks:
            items += [" * "] if above or mask is not masks[0] else []
            items += [mask] if isinstance(mask, str) else ["[", (mask, OPEN), "]"]
        if not above and not masks:
            items.append("1")
        for divisor in found.below:
            items += [" / ", (divisor, UNARY)]
        alone = len(items) == 3 and not above and len(masks) == 1
        return Form(ATOM if alone else PRODUCT, tuple(items))

    def _is_one(self, node: Expr) -> bool:
        return self.names.of(node) is None and literal(node) == 1

    def _factor_key(self, node: Expr) -> tuple[Any, ...]:
        if node.op == "constant":
            kind = 0.0
        elif node.op == "dim" and not str(node.attrs["size"]).isidentifier():
            kind = 0.5  # 2 * N needs no brackets in front
        elif self._is_contraction(node):
            kind = 2
        else:
            kind = 1 if node.ndim == 0 else 3 if self._has_name(node) else 4
        return kind, self._head[id(node)], self._weight[id(node)], order_key(node)


_FACTORED = frozenset({"multiply", "divide", "negative", "where"})


def _alphabetical(name: str) -> tuple[str, str]:
    """Order names as a reader does, small letters before capitals: a A b."""
    return name.casefold(), name.swapcase()


# -- forms ----------------------------------------------------------------------------------------------------------

FormOf = Callable[[Expr, Writer], Form]
LETTERS = "ijklmnopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ"  # of axes, in the order of their use


def _call(node: Expr, writer: Writer, *, name: str = "", args: Sequence[Expr] | None = None, **keywords: Any) -> Form:
    """Write a function call; without a `name` the node's attributes are given by name."""
    items: list[Item] = [f"{name or plain_name(node.op)}("]
    for position, arg in enumerate(node.args if args is None else args):
        items += [", "] if position else []
        items.append((arg, OPEN))
    given = keywords if name else dict(node.attrs)
    parts = [f"{key}={data_text(value)}" for key, value in given.items()]
    separator = ", " if parts and len(items) > 1 else ""
    return Form(ATOM, (*items, f"{separator}{', '.join(parts)})"))


def _number_last(node: Expr, writer: Writer) -> Form:
    """Write maximum(x, 0), as everybody does; the canonical order has numbers first."""
    return _call(node, writer, name=node.op, args=sorted(node.args, key=lambda a: a.op == "constant"))


def _axes_call(node: Expr, writer: Writer) -> Form:
    """Write a reduction: the axis only if it is not all of them, keepdims only if true."""
    axes = node.attrs["axes"]
    keywords: dict[str, Any] = {}
    if len(axes) < node.args[0].ndim or not axes:
        keywords["axis"] = axes[0] if len(axes) == 1 else axes
    if node.attrs["keepdims"]:
        keywords["keepdims"] = True
    return _call(node, writer, name=node.op, **keywords)


def _softmax(node: Expr, writer: Writer) -> Form:
    keywords = {} if node.ndim == 1 else {"axis": node.attrs["axis"]}
    return _call(node, writer, name=node.op, **keywords)


def _infix(sign: str, precedence: int) -> FormOf:
    def form(node: Expr, writer: Writer) -> Form:
        a, b = node.args
        left = precedence + (precedence == COMPARE)  # Python chains comparisons
        return Form(precedence, ((a, left), f" {sign} ", (b, precedence + 1)))

    return form


def _matmul(node: Expr, writer: Writer) -> Form:
    a, b = node.args
    return Form(MATMUL, ((a, MATMUL), " @ ", (b, UNARY)))


def _power(node: Expr, writer: Writer) -> Form:
    if node.op == "square":
        return Form(POWER, ((node.args[0], ATOM), "**2"))
    return Form(POWER, ((node.args[0], ATOM), "**", (node.args[1], UNARY)))


def _transpose(node: Expr, writer: Writer) -> Form:
    if is_transposed(node):
        return Form(ATOM, ((node.args[0], ATOM), ".T" if node.ndim == 2 else ".mT"))
    return Form(ATOM, ("transpose(", (node.args[0], OPEN), f", {data_text(node.attrs['axes'])})"))


def _reshape(node: Expr, writer: Writer) -> Form:
    """Write new axes of size 1 as None and dropped ones as 0, as NumPy's indexing does; else the new shape."""
    (x,) = node.args
    if x.op == "slice" and writer.names.of(x) is None:
        taken = [n == 1 and source != 1 for n, source in zip(x.shape, x.args[0].shape, strict=True)]
        if tuple(n for n, gone in zip(x.shape, taken, strict=True) if not gone) == node.shape:
            return Form(ATOM, ((x.args[0], ATOM), f"[{_index_text(x, taken)}]"))
    index = unit_index(x.shape, node.shape)
    if index is not None:
        return Form(ATOM, ((x, ATOM), f"[{index}]"))
    return Form(ATOM, ("reshape(", (x, OPEN), f", {data_text(node.shape)})"))


def _broadcast(node: Expr, writer: Writer) -> Form:
    return Form(ATOM, ("broadcast_to(", (node.args[0], OPEN), f", {data_text(node.shape)})"))


def _cast(node: Expr, writer: Writer) -> Form:
    """Write a conversion; NumPy converts integers in a float formula by itself."""
    (x,) = node.args
    if is_mask(node):
        return writer.product_form(node)
    if node.dtype.is_float and not x.dtype.is_float:
        return writer.form(x)
    return Form(ATOM, ((x, ATOM), f".astype({node.dtype})"))


def _where(node: Expr, writer: Writer) -> Form:
    return writer.product_form(node) if is_mask(node) else _call(node, writer)


def _slice(node: Expr, writer: Writer) -> Form:
    return Form(ATOM, ((node.args[0], ATOM), f"[{_index_text(node, [False] * node.ndim)}]"))


def _index_text(node: Expr, taken: Sequence[bool]) -> str:
    """Write the index of a slice; where an axis of one element is taken away its position stands alone."""
    starts, stops, steps = (node.attrs[key] for key in ("starts", "stops", "steps"))
    spans = zip(node.args[0].shape, starts, stops, steps, strict=True)
    texts = [str(span[1]) if gone else span_text(*span) for span, gone in zip(spans, taken, strict=True)]
    while len(texts) > 1 and texts[-1] == ":":
        texts.pop()
    return ", ".join(texts)


def _concatenate(node: Expr, writer: Writer) -> Form:
    inside = _call(node, writer, name="(").items[1:-1]
    return Form(ATOM, ("concatenate((", *inside, f"), axis={node.attrs['axis']})"))


def _take(node: Expr, writer: Writer) -> Form:
    if node.attrs["axis"] == 0:
        return Form(ATOM, ((node.args[0], ATOM), "[", (node.args[1], OPEN), "]"))
    return _call(node, writer)


def _pick(node: Expr, writer: Writer) -> Form:
    x, positions = node.args
    if x.ndim == 2:
        return Form(ATOM, ((x, ATOM), f"[arange({x.shape[0]}), ", (positions, OPEN), "]"))
    return _call(node, writer)


def _one_hot(node: Expr, writer: Writer) -> Form:
    return Form(ATOM, ("one_hot(", (node.args[0], OPEN), f", {node.attrs['depth']})"))


def _arange(node: Expr, writer: Writer) -> Form:
    start, step, size = node.attrs["start"], node.attrs["step"], node.attrs["size"]
    if step == 1:
        return Form(ATOM, (f"arange({size})" if start == 0 else f"arange({start}, {start + size})",))
    return Form(ATOM, (f"arange({start}, {start + step * size}, {step})",))


def _contract(node: Expr, writer: Writer) -> Form:
    """Write a contraction as einsum, the axes with letters in the order in which they are read."""
    axes = [node.attrs[name] for name in ("left", "right", "out")]
    letters = dict(zip(dict.fromkeys((*axes[0], *axes[1])), LETTERS, strict=False))
    left, right, out = ("".join(letters[label] for label in labels) for labels in axes)
    a, b = node.args
    return Form(ATOM, (f"einsum('{left},{right}->{out}', ", (a, OPEN), ", ", (b, OPEN), ")"))


def _triangular_solve(node: Expr, writer: Writer) -> Form:
    keywords: dict[str, Any] = {} if node.attrs["lower"] else {"lower": False}
    return _call(node, writer, name=node.op, **keywords)


def _diagonal(node: Expr, writer: Writer) -> Form:
    """Write the axes unless there are only two."""
    keywords: dict[str, Any] = {} if node.ndim == 1 else {"axis1": -2, "axis2": -1}
    return _call(node, writer, name=node.op, **keywords)


def _constant(node: Expr, writer: Writer) -> Form:
    text = number_text(node)
    return Form(UNARY if text.startswith("-") else ATOM, (text,))


def _dim(node: Expr, writer: Writer) -> Form:
    size = node.attrs["size"]
    text = str(size)
    if text.isidentifier() or not isinstance(size, Dim):
        return Form(ATOM, (text,))
    product = len(size.terms()) == 1 and "//" not in text and "%" not in text
    return Form(PRODUCT if product else OPEN, (text.replace("*", " * ") if product and "**" not in text else text,))


def _buffer(node: Expr, writer: Writer) -> Form:
    array = getattr(node, "array", np.zeros(0))
    return Form(ATOM, (f"array({array.tolist()})",))


def _project(node: Expr, writer: Writer) -> Form:
    return Form(ATOM, ((node.args[0], ATOM), f"[{node.attrs['item']}]"))


def _symbol(node: Expr, writer: Writer) -> Form:
    return Form(ATOM, (str(node.attrs["name"]),))


FORMS: dict[str, FormOf] = {
    **dict.fromkeys(("add", "subtract"), lambda node, writer: writer.sum_form(node)),
    **dict.fromkeys(("multiply", "divide", "negative"), lambda node, writer: writer.product_form(node)),
    **dict.fromkeys(("sum", "prod", "max", "min", "argmax", "argmin", "any", "all"), _axes_call),
    **dict.fromkeys(("mean", "var", "logsumexp", "norm"), _axes_call),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("square", "power"), _power),
    **dict.fromkeys(("maximum", "minimum"), _number_last),
    **dict.fromkeys(("symbol", "parameter"), _symbol),
    **{name: _infix(ROWS[name].symbol, COMPARE) for name in (
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    )},
    "logical_or": _infix("|", OR), "logical_xor": _infix("^", XOR), "logical_and": _infix("&", AND),
    "floor_divide": _infix("//", PRODUCT), "remainder": _infix("%", PRODUCT),
    "logical_not": lambda node, writer: Form(UNARY, ("~", (node.args[0], UNARY))),
    "reciprocal": lambda node, writer: Form(PRODUCT, ("1 / ", (node.args[0], UNARY))),
    "matmul": _matmul, "transpose": _transpose, "reshape": _reshape, "broadcast_to": _broadcast, "astype": _cast,
    "where": _where, "slice": _slice, "concatenate": _concatenate, "take": _take, "pick": _pick, "one_hot": _one_hot,
    "custom": lambda node, writer: _call(node, writer, name=node.attrs["name"]),
    "gelu_tanh": lambda node, writer: _call(node, writer, name="gelu", approximate=True),
    "checkpoint": lambda node, writer: _call(node, writer, name=node.op, args=node.args[: node.attrs["count"]]),
    "recompute": lambda node, writer: _call(node, writer, name=node.op, args=node.args[:1]),
    "contract": _contract, "diagonal": _diagonal, "triangular_solve": _triangular_solve,
    "assume": lambda node, writer: writer.form(node.args[0]),
    "arange": _arange, "constant": _constant, "dim": _dim, "buffer": _buffer, "project": _project,
}  # fmt: skip
