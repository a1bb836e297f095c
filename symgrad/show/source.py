"""An expression as a program: Python text that builds the same node again.

In: an expression. Out: one Python expression over the name `sg`, which `eval` turns into the very node: every dtype,
constant and attribute is written out, nothing is promoted or simplified on the way. What is used once stands where it
is used; what is shared, deep or named stands once, in a tuple of `name := value` whose last element is the result.
The text is linear in the size of the graph, and the same in every process. It must not know how formulas read.
"""

from __future__ import annotations

import functools
import json
import keyword
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from symgrad import ops, side
from symgrad.dtypes import DType
from symgrad.errors import SymgradError
from symgrad.expr import Body, Buffer, Expr, Parameter, literal
from symgrad.ops.leaves import constant
from symgrad.ops.row import ROWS
from symgrad.serial import below_of, listed
from symgrad.shape import Dim

__all__ = ["parameters_by_name", "srepr"]

DEEPEST = 5  # calls inside each other
WIDEST = 100  # characters of a value that stands inside another one
INDENT = "    "
_OURS = frozenset({"sg", "parameters", "float", "memoryview", "bytes", *keyword.kwlist})  # no let-line takes these
_NAME, _ODD = re.compile(r"[^\W\d]\w*"), re.compile("inf|nan")

Word = tuple[str, str]  # what a text needs beside nodes: ("size", "N"), ("dtype", "int64"), ("number", "inf"), rows
ROWS_WORD: Word = ("table", "rows")


def srepr(expr: Expr) -> str:
    """Write an expression as Python text that builds the same node: `eval(srepr(e), {"sg": sg}) is e`.

    Names that were given with `named` are given again. Parameters are objects of their own, so the text looks them up:
    it reads `parameters["W"]`, which `parameters_by_name(expr)` of `symgrad.show.source` holds. Operators made with
    `sg.elementwise` must be defined where the text is evaluated; their formulas are part of the names there.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"), 3))
    >>> print(srepr(sg.exp(x)))
    sg.exp(sg.symbol("x", (sg.dim("N"), 3), "float32"))
    >>> print(srepr(x * x))
    (
        x := sg.symbol("x", (sg.dim("N"), 3), "float32"),
        sg.multiply(x, x),
    )[-1]
    >>> eval(srepr(x * x), {"sg": sg}) is x * x
    True
    """
    if not isinstance(expr, Expr):
        raise TypeError(f"an expression is written, not {type(expr).__name__} {expr!r}")
    return _Source(expr).text()


def parameters_by_name(expr: Expr) -> dict[str, Parameter]:
    """Give the parameters of an expression by the names under which its `srepr` looks them up.

    Of several with one name the second is `V_2`, the third `V_3`, in the order of their first use.
    """
    found: dict[str, Parameter] = {}
    for node in listed([expr]):
        if isinstance(node, Parameter):
            found[_free(node.name, found)] = node
    return found


def _free(wanted: str, taken: Any) -> str:
    """Give the wanted name, or that with the next free number."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


class _Source:
    """Writes the values of one graph, operands first."""

    def __init__(self, root: Expr) -> None:
        self.root = root
        self.order = listed([root])
        self.uses = Counter(id(below) for node in self.order for below in below_of(node))
        self.parameters = {id(node): name for name, node in parameters_by_name(root).items()}
        self.words = Counter(word for node in self.order for word in _words_of(node))
        self.names: dict[Word, str] = {}  # what each word is written as
        self.taken = set(_OURS)
        self.lets: list[str] = []
        self.written: dict[int, tuple[str, int]] = {}  # text and depth of each node
        self.count = 0

    def text(self) -> str:
        """Give the whole text."""
        self._let_words()
        for node in self.order:
            self.written[id(node)] = self._placed(node, *self._value(node))
        result = self.written[id(self.root)][0]
        if not self.lets:
            return result
        return "\n".join(["(", *(f"{INDENT}{line}," for line in (*self.lets, result)), ")[-1]"])

    def _let_words(self) -> None:
        """Give words that are written twice a name: sizes first, whose names are the user's."""
        for kind, word in sorted(self.words, key=lambda w: w[0] != "size"):
            source = _WORDS[kind].format(word)
            if self.words[kind, word] > 1:
                own = _free(word, self.taken)
                self.taken.add(own)
                self.lets.append(f"{own} := {source}")
                source = own
            self.names[kind, word] = source

    def _placed(self, node: Expr, text: str, depth: int) -> tuple[str, int]:
        """Let a value stand where it is used, or by a name."""
        label = side.name_of(node)
        if label is not None and not isinstance(node, Parameter):
            text = f'{text}.named("{label}")'
        alone = self.uses[id(node)] <= 1 and depth < DEEPEST and len(text) <= WIDEST
        if node is self.root or alone or node.op == "constant":
            return text, depth
        name = self._name(node, label)
        self.lets.append(f"{name} := {text}")
        return name, 0

    def _name(self, node: Expr, label: str | None) -> str:
        wanted = label or str(node.attrs.get("name", "")) if node.op in ("symbol", "parameter") else label
        if wanted:
            name = _free(re.sub(r"\W", "_", wanted), self.taken)
        else:
            while (name := f"v{self.count}") in self.taken:
                self.count += 1
        self.taken.add(name)
        return name

    # -- values ---------------------------------------------------------------------------------------------------

    def _value(self, node: Expr) -> tuple[str, int]:
        """Write a node, and say how many calls stand inside each other in it."""
        leaf = _LEAVES.get(node.op)
        if leaf is not None:
            return leaf(self, node), 1
        parts = [self.written[id(arg)] for arg in node.args]
        inside = [text for text, _ in parts]
        inside += [f"{key}={self.data(value)}" for key, value in node.attrs.items()]
        depth = 1 + max((depth for _, depth in parts), default=0)
        return f"{self._caller(node.op)}({', '.join(inside)})", depth

    def _caller(self, op: str) -> str:
        return f"sg.{op}" if _is_public(op) else f'{self.names[ROWS_WORD]}["{op}"]'

    def data(self, value: Any) -> str:
        """Write an attribute."""
        if isinstance(value, tuple):
            inside = ", ".join(map(self.data, value))
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        if isinstance(value, DType):
            return self.names["dtype", str(value)]
        if isinstance(value, Dim):
            return _NAME.sub(lambda name: self.names["size", name[0]], str(value))
        if isinstance(value, Body):
            sides = (value.inputs, value.outputs)
            return f"sg.expr.Body({', '.join(self._list(nodes) for nodes in sides)})"
        return json.dumps(value) if isinstance(value, str) else repr(value)

    def _list(self, nodes: Sequence[Expr]) -> str:
        return f"[{', '.join(self.written[id(node)][0] for node in nodes)}]"

    # -- leaves ---------------------------------------------------------------------------------------------------

    def symbol(self, node: Expr) -> str:
        """Write a declaration."""
        name, facts = node.attrs["name"], node.attrs["facts"]
        given = f", facts={self.data(facts)}" if facts else ""
        return f'sg.symbol("{name}", {self.data(node.shape)}, "{node.dtype}"{given})'

    def parameter(self, node: Expr) -> str:
        """Write where the parameter is found."""
        return f'parameters["{self.parameters[id(node)]}"]'

    def constant(self, node: Expr) -> str:
        """Write a number in its dtype."""
        return f'sg.constant({self._number(literal(node))}, "{node.dtype}")'

    def _number(self, value: Any) -> str:
        return self._numbers(repr(value)) if _is_odd(value) else repr(value)

    def _numbers(self, text: str) -> str:
        return _ODD.sub(lambda word: self.names["number", word[0]], text)

    def dim(self, node: Expr) -> str:
        """Write a size as a number."""
        return f'sg.constant({self.data(node.attrs["size"])}, "{node.dtype}")'

    def buffer(self, node: Expr) -> str:
        """Write an array as a list, or its bytes where a list would not give the same bits."""
        assert isinstance(node, Buffer)
        array, dtype = node.array, node.dtype
        if array.size == 0:
            return f'sg.constant(sg.evaluate(sg.zeros({node.shape}, "{dtype}"), {{}}, dtype=None), "{dtype}")'
        if _is_list(node):
            text = repr(array.tolist())
            return f'sg.constant({text if np.isfinite(array).all() else self._numbers(text)}, "{dtype}")'
        flat = f'memoryview(bytes.fromhex("{array.tobytes().hex()}"))'
        return f'sg.constant({flat}.cast("{array.dtype.char}", {node.shape}), "{dtype}")'


_LEAVES: dict[str, Callable[[_Source, Expr], str]] = {
    "symbol": _Source.symbol, "parameter": _Source.parameter, "constant": _Source.constant, "dim": _Source.dim,
    "buffer": _Source.buffer,
}  # fmt: skip
_WORDS = {
    "size": 'sg.dim("{}")', "dtype": 'sg.dtypes.DType("{}")', "number": 'float("{}")', "table": "sg.ops.row.ROWS",
}  # fmt: skip


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@functools.cache
def _is_public(op: str) -> bool:
    """Tell whether the root exports the row itself; a function of its name may do more than build the node."""
    return op in ops.__all__ and getattr(ops, op) is ROWS.get(op)


def _is_list(node: Buffer) -> bool:
    """Tell whether the array is what its nested lists say: great integers, and NaNs of other bits, may not be."""
    plain = node.array
    if node.dtype.is_float:
        plain = np.where(np.isnan(plain), plain.dtype.type(math.nan), plain)
    try:
        return constant(plain.tolist(), node.dtype) is node
    except SymgradError:
        return False


def _words_of(node: Expr) -> Iterator[Word]:
    """List the words that the text of a node needs, as often as it does."""
    if isinstance(node, Buffer):
        finite = np.isfinite(node.array)
        odd = [] if finite.all() or not _is_list(node) else node.array[~finite].tolist()
        yield from (("number", word) for word in _ODD.findall(repr(odd)))
    elif node.op == "constant":
        value = literal(node)
        yield from (("number", word) for word in _ODD.findall(repr(value)) if _is_odd(value))
    elif node.op == "symbol":
        yield from _words_in(node.shape)
    elif not isinstance(node, Parameter):
        if node.op not in _LEAVES and not _is_public(node.op):
            yield ROWS_WORD
        yield from _words_in(tuple(node.attrs.values()))


def _words_in(value: Any) -> Iterator[Word]:
    if isinstance(value, tuple):
        for item in value:
            yield from _words_in(item)
    elif isinstance(value, DType):
        yield "dtype", str(value)
    elif isinstance(value, Dim):
        yield from (("size", name) for name in _NAME.findall(str(value)))
