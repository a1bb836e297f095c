"""What a box of a drawing says: one operator, with the small things that it is applied to written inside.

In: a node, who has a name, and what must be a box of its own. Out: a label: the operator's sign or name, what else is
said of it, and the operands that lines come from, from left to right. Numbers, sizes, the transpose before a matrix
product and the comparison of a mask are written inside: `× [Z1 > 0]`, `Hᵀ @ ·`, where a dot is an operand that has no
name. It must not know boxes, lines or markup. To add an operator that is no function call is one entry in LABELS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.expr import Body, Buffer, Expr, literal
from symgrad.ops.moves import is_transposed
from symgrad.ops.row import plain_name, row_of
from symgrad.show.compounds import compound, identity_factor, reads
from symgrad.show.phrase import Call, Outer
from symgrad.show.plain import data_text, number_text, span_text, unit_index

__all__ = ["Label", "Labels", "bearer", "leaf_text"]

DOT = "·"  # an operand that has no name
SIGNS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "/", "matmul": "@", "power": "**",
    "floor_divide": "//", "remainder": "%", "equal": "=", "not_equal": "≠", "less": "<", "less_equal": "≤",
    "greater": ">", "greater_equal": "≥", "logical_and": "and", "logical_or": "or", "logical_xor": "xor",
}  # fmt: skip
MINUS = SIGNS["subtract"]
_COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ARRAY_LIMIT = 4  # elements up to which a constant array is written inside
_TYPE = frozenset({"dtype", "shape", "size"})  # attributes that say what the shape at the link says, too
_DETAIL_LIMIT = 24  # characters of what is said of an operator


@dataclass(frozen=True, slots=True)
class Label:
    """The text of a box, what is said beside it, the operands that lines come from, the leaves that have no line.

    `ordered` tells that it matters which line is which, and the text does not say it.
    """

    text: str
    detail: str
    operands: tuple[Expr, ...]
    inside: tuple[Expr, ...] = ()
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """An operand in a label: its text, and the boxes it needs; `plain` if it is nothing but one box."""

    text: str
    operands: tuple[Expr, ...]
    plain: bool
    inside: tuple[Expr, ...] = ()


class Labels:
    """Labels of the nodes of one drawing.

    - `names`: by node, what operands are called.
    - `kept`: nodes that are boxes wherever they are used.
    - `is_hidden`: tells whether an operand is written inside the box of a user although it is a box elsewhere.
    - `resolve`: gives the node that is drawn for an operand.
    """

    def __init__(
        self, names: Mapping[int, str], kept: Collection[int], is_hidden: Callable[[Expr, Expr], bool],
        resolve: Callable[[Expr], Expr],
    ) -> None:  # fmt: skip
        self.names, self.kept, self.is_hidden, self.resolve = names, kept, is_hidden, resolve

    def label(self, node: Expr) -> Label:
        """Label a node that has operands, or is computed from nothing."""
        found = compound(node)
        if found is not None:
            return self._compound(node, found)
        words = [self.word(node, arg) for arg in reads(node)]
        text, detail = LABELS.get(node.op, _call)(node, words)
        operands, inside = _together(words)
        unclear = _all_plain(words) or sum(DOT in word.text for word in words) > 1
        ordered = unclear and len(operands) > 1 and not row_of(node).commutative
        return Label(text, detail, operands, inside, ordered)

    def word(self, user: Expr, operand: Expr) -> Word:
        """Say what stands for an operand in the label of its user."""
        operand = self.resolve(operand)
        name = self.names.get(id(operand))
        written = name if self.is_hidden(user, operand) else leaf_text(operand)
        if written is not None:
            return Word(written, (), False, (operand,))
        if id(operand) not in self.kept and name is None and _joins(user, operand):
            inner = self.label(operand) if operand.op != "transpose" else self._transposed(operand)
            return Word(inner.text, inner.operands, False, inner.inside)
        return Word(name or DOT, (operand,), True)

    def _transposed(self, node: Expr) -> Label:
        word = self.word(node, node.args[0])
        return Label(f"{word.text}ᵀ", "", word.operands, word.inside)

    def _compound(self, node: Expr, found: Call | Outer) -> Label:
        name, args = ("outer", (found.column, found.row)) if isinstance(found, Outer) else (found.function, found.args)
        words = [self.word(node, arg) if isinstance(arg, Expr) else Word(arg, (), False) for arg in args]
        text = name if _all_plain(words) else f"{name}({', '.join(word.text for word in words)})"
        return Label(text, "", *_together(words))


def _together(words: Iterable[Word]) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    words = tuple(words)
    return tuple(x for word in words for x in word.operands), tuple(x for word in words for x in word.inside)


def _all_plain(words: Iterable[Word]) -> bool:
    """Tell whether each operand is a box, and none is used twice: then the operator alone says what happens."""
    words = tuple(words)
    operands = {id(x) for word in words for x in word.operands}
    return all(word.plain for word in words) and len(operands) == len(words)


def bearer(node: Expr) -> Expr:
    """Give the node that is drawn: what is assumed of a value is no box.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2, 2))
    >>> bearer(sg.assume(x, symmetric=True)) is x
    True
    """
    while node.op == "assume":
        (node,) = node.args
    return node


def leaf_text(node: Expr) -> str | None:
    """Write a number, a size or a short constant array; None for anything else.

    >>> import symgrad as sg
    >>> leaf_text(sg.constant(0.5)), leaf_text(sg.symbol("x"))
    ('0.5', None)
    """
    if node.op == "constant":
        return re.sub("^-", MINUS, number_text(node))
    if node.op == "dim":
        return str(node.attrs["size"]).replace("*", " × ").replace(" ×  × ", "**")
    if isinstance(node, Buffer) and isinstance(node.size, int) and 0 < node.size <= _ARRAY_LIMIT:
        return str(node.array.tolist())
    return None


def _joins(user: Expr, operand: Expr) -> bool:
    """Tell whether an operand without a name is read as part of its user: A.T in A.T @ B, the condition of a mask."""
    if user.op == "matmul":
        return is_transposed(operand)
    compares = operand.op in _COMPARISONS and any(leaf_text(bearer(a)) is not None for a in operand.args)
    return compares and _is_mask(user) and operand is bearer(user.args[0])


def _is_mask(node: Expr) -> bool:
    if node.op == "astype":
        return bool(node.args[0].dtype == "bool" and node.dtype.is_float)
    return node.op == "where" and literal(node.args[2]) == 0 and node.dtype.is_float


# -- operators --------------------------------------------------------------------------------------------------------

Text = tuple[str, str]  # label, detail
LabelOf = Callable[[Expr, Sequence[Word]], Text]


def _call(node: Expr, words: Sequence[Word], name: str = "", detail: str | None = None) -> Text:
    """Name a function; its operands only if not all of them are boxes."""
    name = name or plain_name(node.op)
    detail = _attributes(node) if detail is None else detail
    if _all_plain(words):
        return name, detail
    return f"{name}({', '.join(word.text for word in words)})", detail


def _attributes(node: Expr) -> str:
    """Write the attributes that somebody chose; the type and the only axis of a vector go without saying."""
    said = []
    for key, value in node.attrs.items():
        is_only_axis = key == "axis" and node.args and node.args[0].ndim < 2
        if key in _TYPE or is_only_axis or value is None or value is False or value == () or _holds_body(value):
            continue
        said.append(key if value is True else f"{key} {data_text(value)}")
    text = ", ".join(said)
    return text if len(text) <= _DETAIL_LIMIT else ""


def _holds_body(value: Any) -> bool:
    return isinstance(value, Body) or (isinstance(value, tuple) and any(map(_holds_body, value)))


def _infix(node: Expr, words: Sequence[Word]) -> Text:
    sign = SIGNS[node.op]
    a, b = words
    if _all_plain(words):
        return sign, ""
    if row_of(node).commutative and not a.operands and b.operands:
        a, b = b, a
    composite = b.text.startswith(MINUS) or (" " in b.text and not b.text.startswith("["))
    right = f"({b.text})" if composite else b.text
    return (f"{sign} {right}" if a.plain and a.text == DOT != b.text else f"{a.text} {sign} {right}"), ""


def _power(node: Expr, words: Sequence[Word]) -> Text:
    base = words[0].text
    exponent = 2 if node.op == "square" else literal(node.args[1])
    if exponent is not None and exponent == int(exponent):
        return base + str(int(exponent)).translate(_RAISED), ""
    return _infix(node, words)


def _reduction(node: Expr, words: Sequence[Word]) -> Text:
    """Say over which axes, unless it is all of them."""
    axes = node.attrs["axes"]
    whole = axes and len(axes) == node.args[0].ndim
    numbers = ", ".join(map(str, axes))
    return _call(node, words, detail="" if whole else f"axis {numbers}" if len(axes) == 1 else f"axes {numbers}")


def _axis(node: Expr, words: Sequence[Word]) -> Text:
    axis = node.attrs["axis"]
    return _call(node, words, detail="" if node.ndim == 1 else f"axis {axis}")


def _mask(node: Expr, words: Sequence[Word]) -> Text:
    """Write x where a condition holds, else 0, as a product with the condition."""
    eye = identity_factor(node)
    if eye is not None:
        return f"× {eye.function}({', '.join(map(str, eye.args))})", ""
    if not _is_mask(node):
        return _call(node, words) if node.op == "where" else (str(node.dtype), "")
    if node.op == "astype" or literal(node.args[1]) == 1:
        return f"[{words[0].text}]", ""
    value = "" if words[1].text == DOT else f"{words[1].text} "
    return f"{value}× [{words[0].text}]", ""


def _transpose(node: Expr, words: Sequence[Word]) -> Text:
    if is_transposed(node):
        return (f"{words[0].text}ᵀ" if not words[0].plain else "transpose"), ""
    return _call(node, words, detail=f"axes {', '.join(map(str, node.attrs['axes']))}")


def _reshape(node: Expr, words: Sequence[Word]) -> Text:
    index = unit_index(node.args[0].shape, node.shape)
    return _call(node, words, detail="") if index is None else (f"{_bare(words[0])}[{index}]", "")


def _slice(node: Expr, words: Sequence[Word]) -> Text:
    starts, stops, steps = (node.attrs[key] for key in ("starts", "stops", "steps"))
    spans = zip(node.args[0].shape, starts, stops, steps, strict=True)
    return f"{_bare(words[0])}[{', '.join(span_text(*span) for span in spans)}]", ""


def _bare(word: Word) -> str:
    return "" if word.plain else word.text


def _contract(node: Expr, words: Sequence[Word]) -> Text:
    axes = [node.attrs[name] for name in ("left", "right", "out")]
    letters = dict(zip(dict.fromkeys((*axes[0], *axes[1])), "ijklmnopqrstuvwxyz", strict=False))
    left, right, out = ("".join(letters.get(label, "?") for label in labels) for labels in axes)
    return _call(node, words, "einsum", f"{left},{right}→{out}")


def _arange(node: Expr, words: Sequence[Word]) -> Text:
    start, step, size = node.attrs["start"], node.attrs["step"], node.attrs["size"]
    if step == 1:
        return f"arange({size})" if start == 0 else f"arange({start}, {start + size})", ""
    return f"arange({start}, {start + step * size}, {step})", ""


def _negative(node: Expr, words: Sequence[Word]) -> Text:
    return (MINUS if words[0].plain else f"{MINUS}{words[0].text}"), ""


LABELS: dict[str, LabelOf] = {
    **dict.fromkeys(SIGNS, _infix),
    **dict.fromkeys(("square", "power"), _power),
    **dict.fromkeys(("sum", "prod", "max", "min", "argmax", "argmin", "any", "all"), _reduction),
    **dict.fromkeys(("mean", "var", "logsumexp", "norm"), _reduction),
    **dict.fromkeys(("softmax", "log_softmax", "concatenate", "take"), _axis),
    **dict.fromkeys(("where", "astype"), _mask),
    "negative": _negative, "transpose": _transpose, "reshape": _reshape, "slice": _slice, "contract": _contract,
    "arange": _arange,
    "reciprocal": lambda node, words: (f"1 / {words[0].text}", ""),
    "logical_not": lambda node, words: _call(node, words, "not"),
    "broadcast_to": lambda node, words: _call(node, words, "broadcast", ""),
    "one_hot": lambda node, words: _call(node, words, detail=""),
    "pick": lambda node, words: _call(node, words, detail=""),
    "gelu_tanh": lambda node, words: _call(node, words, "gelu", "tanh form"),
    "custom": lambda node, words: _call(node, words, str(node.attrs["name"]), ""),
    "checkpoint": lambda node, words: _call(node, words, detail=""),
    "recompute": lambda node, words: _call(node, words, detail=""),
    "project": lambda node, words: (f"{_bare(words[0])}[{node.attrs['item']}]", ""),
}  # fmt: skip
