"""What is said at each node: the phrase of every operator.

In: a node, and the names that stand for nodes. Out: its phrase. Sums and products are read flat and sorted by the
reader's eye: matrix products, names, other factors, masks last; the order depends on structure and names alone.
It must not know notations, lines or alignment. To add an operator that is no function call is one entry in PHRASES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from symgrad.show.phrase import (
    Call,
    Convert,
    Index,
    MatMul,
    Named,
    Not,
    Number,
    Phrase,
    Power,
    Product,
    Quotient,
    Relation,
    SizeOf,
    Sum,
    Transposed,
    Words,
)
from symgrad.show.plain import data_text, number_text, span_text, unit_index


class Writer:
    """Gives the phrase of each node; knows the names, and what it learned of nodes below (operands come first)."""

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

    def phrase(self, node: Expr, *, defined: bool = False) -> Phrase:
        """Give a node's phrase: its name, if it has one and is not being `defined`."""
        name = self.names.of(node)
        if name is not None and not defined:
            return Named(name)
        return compound(node) or PHRASES.get(node.op, _call)(node, self)

    # -- sums -----------------------------------------------------------------------------------------------------

    def sum_of(self, node: Expr) -> Phrase:
        """Read a sum flat: what an update changes, positive terms, others, sorted."""
        found = sorted(terms(node, self._has_name), key=lambda t: (t[0] < 0, *self._term_key(t[1], node)))
        return Sum(tuple((sign, self._term(term)) for sign, term in found))

    def _term(self, term: Expr) -> Expr | Number:
        plain = not is_negative(term) or self._has_name(term)
        return term if plain else Number(number_text(term, -1))

    def _term_key(self, term: Expr, whole: Expr) -> tuple[Any, ...]:
        later = not self.names.is_renewed(term, whole)
        return (later, -term.ndim, not self._is_contraction(term), *self._key(term))

    def _key(self, node: Expr) -> tuple[int, tuple[str, str], bytes]:
        return self._weight[id(node)], self._head[id(node)], order_key(node)

    # -- products -------------------------------------------------------------------------------------------------

    def product_of(self, node: Expr) -> Phrase:
        """Read a product flat: factors sorted, then masks, then divisors."""
        found = factors(node, self._has_name)
        above = sorted(found.above, key=self._factor_key)
        if len(above) > 1 or found.masks:
            above = [f for f in above if not self._is_one(f)]
        contracts = tuple(self._is_contraction(f) for f in above)
        below = (*found.guarded, *found.below)
        return Product(found.sign, tuple(above), contracts, tuple(found.masks), below, len(found.guarded))

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


# -- phrases --------------------------------------------------------------------------------------------------------

PhraseOf = Callable[[Expr, Writer], Phrase]
LETTERS = "ijklmnopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ"  # of axes, in the order of their use


def _call(node: Expr, writer: Writer) -> Phrase:
    """Say a function of all operands; the node's attributes are given by name."""
    return Call(plain_name(node.op), node.args, dict(node.attrs))


def _number_last(node: Expr, writer: Writer) -> Phrase:
    """Say maximum(x, 0), as everybody does; the canonical order has numbers first."""
    args: list[Expr] = sorted(node.args, key=_is_number)
    return Call(node.op, tuple(args))


def _is_number(node: Expr) -> bool:
    return node.op == "constant"


def _reduction(node: Expr, writer: Writer) -> Phrase:
    """Say a reduction: the axis only if it is not all of them, keepdims only if true."""
    axes = node.attrs["axes"]
    keywords: dict[str, Any] = {}
    if len(axes) < node.args[0].ndim or not axes:
        keywords["axis"] = axes[0] if len(axes) == 1 else axes
    if node.attrs["keepdims"]:
        keywords["keepdims"] = True
    return Call(node.op, node.args, keywords)


def _softmax(node: Expr, writer: Writer) -> Phrase:
    return Call(node.op, node.args, {} if node.ndim == 1 else {"axis": node.attrs["axis"]})


def _relation(node: Expr, writer: Writer) -> Phrase:
    args = sorted(node.args, key=_is_number) if node.op in ("equal", "not_equal") else node.args
    return Relation(node.op, SIGNS.get(node.op) or ROWS[node.op].symbol, *args)


def _power(node: Expr, writer: Writer) -> Phrase:
    if node.op == "square":
        return Power(node.args[0], Number("2"))
    base, exponent = node.args
    return Power(base, Number(number_text(exponent)) if exponent.op == "constant" else exponent)


def _matmul(node: Expr, writer: Writer) -> Phrase:
    left, right = node.args
    starts_with_row = left.op == "matmul" and left.args[0].ndim == 1 and writer.names.of(left) is None
    return MatMul(left, right, is_row=left.ndim == 1 and not starts_with_row)


def _transpose(node: Expr, writer: Writer) -> Phrase:
    if is_transposed(node):
        return Transposed(node.args[0], node.ndim == 2)
    return Call("transpose", (node.args[0], data_text(node.attrs["axes"])))


def _reshape(node: Expr, writer: Writer) -> Phrase:
    """Say new axes of size 1 as None and dropped ones as 0, as NumPy's indexing does; else the new shape."""
    (x,) = node.args
    if x.op == "slice" and writer.names.of(x) is None:
        taken = [n == 1 and source != 1 for n, source in zip(x.shape, x.args[0].shape, strict=True)]
        if tuple(n for n, gone in zip(x.shape, taken, strict=True) if not gone) == node.shape:
            return Index(x.args[0], (_index_text(x, taken),))
    index = unit_index(x.shape, node.shape)
    if index is None or x.op in ("constant", "dim"):  # a number has no index
        return Call("reshape", (x, data_text(node.shape)))
    return Index(x, (index,))


def _cast(node: Expr, writer: Writer) -> Phrase:
    """Say a conversion; NumPy converts integers in a float formula by itself."""
    (x,) = node.args
    if is_mask(node):
        return writer.product_of(node)
    if node.dtype.is_float and not x.dtype.is_float:
        return writer.phrase(x)
    return Convert(x, str(node.dtype))


def _where(node: Expr, writer: Writer) -> Phrase:
    return writer.product_of(node) if is_mask(node) else _call(node, writer)


def _slice(node: Expr, writer: Writer) -> Phrase:
    return Index(node.args[0], (_index_text(node, [False] * node.ndim),))


def _index_text(node: Expr, taken: Sequence[bool]) -> str:
    """Write the index of a slice; where an axis of one element is taken away its position stands alone."""
    starts, stops, steps = (node.attrs[key] for key in ("starts", "stops", "steps"))
    spans = zip(node.args[0].shape, starts, stops, steps, strict=True)
    texts = [str(span[1]) if gone else span_text(*span) for span, gone in zip(spans, taken, strict=True)]
    while len(texts) > 1 and texts[-1] == ":":
        texts.pop()
    return ", ".join(texts)


def _take(node: Expr, writer: Writer) -> Phrase:
    return Index(node.args[0], (node.args[1],)) if node.attrs["axis"] == 0 else _call(node, writer)


def _pick(node: Expr, writer: Writer) -> Phrase:
    x, positions = node.args
    return Index(x, (f"arange({x.shape[0]}), ", positions)) if x.ndim == 2 else _call(node, writer)


def _arange(node: Expr, writer: Writer) -> Phrase:
    start, step, size = node.attrs["start"], node.attrs["step"], node.attrs["size"]
    if step == 1:
        return Call("arange", (str(size),) if start == 0 else (str(start), str(start + size)))
    return Call("arange", (str(start), str(start + step * size), str(step)))


def _contract(node: Expr, writer: Writer) -> Phrase:
    """Say a contraction as einsum, the axes with letters in the order in which they are read."""
    axes = [node.attrs[name] for name in ("left", "right", "out")]
    letters = dict(zip(dict.fromkeys((*axes[0], *axes[1])), LETTERS, strict=False))
    left, right, out = ("".join(letters[label] for label in labels) for labels in axes)
    return Call("einsum", (f"'{left},{right}->{out}'", *node.args))


def _triangular_solve(node: Expr, writer: Writer) -> Phrase:
    return Call(node.op, node.args, {} if node.attrs["lower"] else {"lower": False})


def _sorted(node: Expr, writer: Writer) -> Phrase:
    """Say the order only if it is not the usual one."""
    descending = {"descending": True} if node.attrs["descending"] else {}
    return Call(node.op, node.args, {"axis": node.attrs["axis"], **descending})


def _diagonal(node: Expr, writer: Writer) -> Phrase:
    """Say the axes unless there are only two."""
    return Call(node.op, node.args, {} if node.ndim == 1 else {"axis1": -2, "axis2": -1})


def _dim(node: Expr, writer: Writer) -> Phrase:
    size = node.attrs["size"]
    text = str(size)
    if text.isidentifier() or not isinstance(size, Dim):
        return SizeOf(text, is_atom=True, is_product=True)
    product = len(size.terms()) == 1 and "//" not in text and "%" not in text
    spaced = text.replace("*", " * ") if product and "**" not in text else text
    return SizeOf(spaced, is_atom=False, is_product=product)


def _buffer(node: Expr, writer: Writer) -> Phrase:
    array = getattr(node, "array", np.zeros(0))
    return Words(f"array({array.tolist()})")


SIGNS = {"logical_or": "|", "logical_xor": "^", "logical_and": "&", "floor_divide": "//", "remainder": "%"}
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")

PHRASES: dict[str, PhraseOf] = {
    **dict.fromkeys(("add", "subtract"), lambda node, writer: writer.sum_of(node)),
    **dict.fromkeys(("multiply", "divide", "negative"), lambda node, writer: writer.product_of(node)),
    **dict.fromkeys(("sum", "prod", "max", "min", "argmax", "argmin", "any", "all"), _reduction),
    **dict.fromkeys(("mean", "var", "logsumexp", "norm"), _reduction),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("square", "power"), _power),
    **dict.fromkeys(("maximum", "minimum"), _number_last),
    **dict.fromkeys(("symbol", "parameter"), lambda node, writer: Named(str(node.attrs["name"]))),
    **dict.fromkeys((*COMPARISONS, *SIGNS), _relation),
    "logical_not": lambda node, writer: Not(node.args[0]),
    "reciprocal": lambda node, writer: Quotient(node.args[0]),
    "matmul": _matmul,
    "transpose": _transpose, "reshape": _reshape, "astype": _cast, "where": _where, "slice": _slice,
    "broadcast_to": lambda node, writer: Call("broadcast_to", (node.args[0], data_text(node.shape))),
    "concatenate": lambda node, writer: Call("concatenate", node.args, {"axis": node.attrs["axis"]}, is_listed=True),
    "take": _take, "pick": _pick,
    "one_hot": lambda node, writer: Call("one_hot", (node.args[0], str(node.attrs["depth"]))),
    "custom": lambda node, writer: Call(node.attrs["name"], node.args),
    "gelu_tanh": lambda node, writer: Call("gelu", node.args, {"approximate": True}),
    **dict.fromkeys(("checkpoint", "recompute"), lambda node, writer: Call(node.op, reads(node))),
    "contract": _contract, "diagonal": _diagonal, "triangular_solve": _triangular_solve,
    "sort": _sorted, "argsort": _sorted,
    "assume": lambda node, writer: writer.phrase(node.args[0]),
    "arange": _arange, "constant": lambda node, writer: Number(number_text(node)), "dim": _dim, "buffer": _buffer,
    "project": lambda node, writer: Index(node.args[0], (str(node.attrs["item"]),)),
}  # fmt: skip
