"""The expression graph: immutable, interned nodes.

In: an operator's name, operands, plain-data attributes and the type that the operator's row inferred. Out: the one node
that stands for them: building the same thing twice gives the same object, so `a is b` is structural equality. A node
does not know its operators: `symgrad.ops` registers what `+`, `.sum()` and `[...]` mean, `symgrad.show` how to print.
Constructors never simplify.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from symgrad import side
from symgrad.buffers import aligned_copy
from symgrad.dtypes import BOOL, DType
from symgrad.errors import DTypeError, ShapeError
from symgrad.shape import Dim, Shape, Size, format_shape, product, stable_bytes
from symgrad.surface import Surface


@dataclass(frozen=True, slots=True)
class TensorType:
    """The shape and element type of a tensor."""

    shape: Shape
    dtype: DType

    @property
    def rank(self) -> int:
        """Give the number of axes."""
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{format_shape(self.shape)}"


@dataclass(frozen=True, slots=True)
class TupleType:
    """The type of a node with several results, each reached by `project`."""

    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.items)) + ")"


Type = TensorType | TupleType


class Body:
    """A closed graph as an attribute: inputs (symbols) and outputs; equal when its nodes are the same."""

    __slots__ = ("inputs", "outputs")

    def __init__(self, inputs: Sequence[Expr], outputs: Sequence[Expr]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    def _identity(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(map(id, self.inputs)), tuple(map(id, self.outputs))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())


Attr = None | bool | int | str | DType | Dim | Body | tuple[Any, ...]


class Expr(Surface):
    """A node: an operator applied to operands. Made by the functions of `symgrad`, never by calling this class."""

    __slots__ = ("__weakref__", "_digest", "args", "attrs", "beside", "op", "type")

    op: str
    args: tuple[Expr, ...]
    attrs: Mapping[str, Any]
    type: Type
    beside: dict[Any, Any] | None  # what side tables hold of the node

    # -- facts about the node -------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """Give the sizes of the axes: integers and symbolic dimensions."""
        type = self.type
        return type.shape if type.__class__ is TensorType else self._tensor().shape  # rules ask a million times

    @property
    def dtype(self) -> DType:
        """Give the element type."""
        type = self.type
        return type.dtype if type.__class__ is TensorType else self._tensor().dtype

    @property
    def ndim(self) -> int:
        """Give the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Give the number of elements."""
        return product(self.shape)

    @property
    def func(self) -> str:
        """Give the operator's name."""
        return self.op

    @property
    def free_symbols(self) -> tuple[Expr, ...]:
        """Give the symbols and parameters that the value depends on, in the order of their first use."""
        return tuple(n for n in topological([self]) if n.op in ("symbol", "parameter"))

    @property
    def digest(self) -> bytes:
        """Give a digest that is the same in every process for the same structure."""
        if self._digest is None:
            for node in topological([self], stop=lambda node: node._digest is not None):
                if node._digest is None:
                    _set(node, "_digest", _digest_of(node))
        return self._digest  # type: ignore[no-any-return]

    def _tensor(self) -> TensorType:
        if isinstance(self.type, TensorType):
            return self.type
        raise ShapeError(f"{self.op} has several results", got=str(self.type), hint="Take one by its position.")

    def named(self, name: str) -> Expr:
        """Give this node the name under which formulas show it; the node itself stays what it is."""
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not a name. Use letters, digits and underscores.")
        side.set_name(self, name)
        return self


class Buffer(Expr):
    """A constant array of any size; equal contents are one node."""

    __slots__ = ("array",)
    array: np.ndarray


class Parameter(Expr):
    """A tensor with a value: `value` reads a copy and sets it; the memory is the parameter's own for life."""

    __slots__ = ("_lock", "buffer", "trainable")
    buffer: np.ndarray
    trainable: bool

    @property
    def name(self) -> str:
        """Give the name the parameter was declared under."""
        result: str = self.attrs["name"]
        return result

    @property
    def value(self) -> np.ndarray:
        """Read a copy of the value, or set it from an array of the same shape."""
        with self._lock:
            return self.buffer.copy()

    @value.setter
    def value(self, new: object) -> None:
        """Copy an array into the parameter's memory; ShapeError or DTypeError for one that does not fit."""
        array = np.asarray(new)
        if array.shape != self.buffer.shape:
            raise ShapeError(
                f"value of {self.name!r} has the wrong shape",
                got=f"{format_shape(array.shape)} instead of {format_shape(self.shape)}",
            )
        if not np.can_cast(array.dtype, self.buffer.dtype, "same_kind"):
            what = f"value of {self.name!r} cannot become {self.dtype}"
            raise DTypeError(what, got=str(array.dtype), hint="Convert it.")
        with self._lock:
            self.buffer[...] = array

    @property
    def lock(self) -> threading.RLock:
        """Give the lock that an update of the value holds."""
        return self._lock  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: object) -> None:  # type: ignore[override]
        if name != "value":
            raise AttributeError(f"parameters are immutable except for their value: cannot set {name!r}")
        object.__setattr__(self, name, value)


# -- interning ----------------------------------------------------------------------------------------------------

_set = object.__setattr__
_table: dict[Any, weakref.ref[Expr]] = {}
_lock = side.TABLES
_serial = itertools.count()
_PLAIN = (bool, int, str, Dim, Body, type(None))


def _check_attr(key: str, value: Any) -> None:
    """Refuse attributes that are not plain data; floats belong into operands, where -0.0 and NaN keep their bits."""
    if isinstance(value, tuple):
        for item in value:
            _check_attr(key, item)
    elif not isinstance(value, _PLAIN):
        raise TypeError(f"attribute {key!r} must be plain data, not {type(value).__name__}")


def _kind(value: Any) -> Any:
    """Give the class of an attribute, inside tuples too: 1 equals True and is not the same attribute."""
    return tuple(map(_kind, value)) if value.__class__ is tuple else value.__class__


def attributes(attrs: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], tuple[Any, ...]]:
    """Give attributes as a key that tells any two apart: their items, and the classes of the values."""
    items = tuple(sorted(attrs.items()))
    return items, tuple(_kind(value) for _, value in items)


def make(
    op: str, args: tuple[Expr, ...], attrs: Mapping[str, Any], type: Type, *, cls: Any = Expr, **slots: Any
) -> Any:
    """Give the one node with this operator, operands, attributes and type."""
    items, kinds = attributes(attrs)
    key = (op, tuple(map(id, args)), items, kinds, type)
    with _lock:
        ref = _table.get(key)
        node = ref() if ref is not None else None
        if node is None:
            for name, value in items:
                _check_attr(name, value)
            node = _new(cls, op, args, dict(items), type, slots)
            _table[key] = weakref.ref(node, lambda dead: _forget(key, dead))
    side.record_site(node)
    return node


def _new(cls: Any, op: str, args: tuple[Expr, ...], attrs: dict[str, Any], type: Type, slots: Mapping[str, Any]) -> Any:
    node = object.__new__(cls)
    facts = {"op": op, "args": args, "attrs": MappingProxyType(attrs), "type": type, "beside": None, "_digest": None}
    for name, value in {**facts, **slots}.items():
        _set(node, name, value)
    return node


def _forget(key: Any, dead: weakref.ref[Expr]) -> None:
    with _lock:
        if _table.get(key) is dead:
            del _table[key]


def interned_count() -> int:
    """Tell how many nodes are alive."""
    return len(_table)


# -- leaves -------------------------------------------------------------------------------------------------------

_PACK = {"float32": "<f", "float64": "<d"}


def constant_node(value: bool | int | float, dtype: DType) -> Expr:
    """Give the rank-0 constant of this dtype; 0.0 and -0.0 differ, and every NaN is one."""
    if dtype.is_float:
        number = float(value) if value == value else math.nan
        data = struct.pack(_PACK[dtype], np.float32(number) if dtype.size == 4 else number)
        bits = int.from_bytes(data, "little")
    elif dtype is BOOL:
        bits = int(bool(value))
    else:
        info = np.iinfo(dtype.numpy)
        if int(value) != value or not info.min <= value <= info.max:
            raise DTypeError(f"{value!r} does not fit {dtype}", hint="Choose a wider dtype with astype.")
        bits = int(value)
    node: Expr = make("constant", (), {"bits": bits}, TensorType((), dtype))
    return node


def literal(node: Expr) -> bool | int | float | None:
    """Give the Python value of a constant node, None for any other node."""
    if node.op != "constant":
        return None
    bits: int = node.attrs["bits"]
    if node.dtype.is_float:
        value: float = struct.unpack(_PACK[node.dtype], bits.to_bytes(node.dtype.size, "little"))[0]
        return value
    return bool(bits) if node.dtype is BOOL else bits


def buffer_node(array: np.ndarray, dtype: DType) -> Expr:
    """Give the node of a constant array; the contents are copied."""
    data = aligned_copy(np.asarray(array), dtype.numpy)
    data.flags.writeable = False
    digest = hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()
    node: Expr = make("buffer", (), {"content": digest}, TensorType(data.shape, dtype), cls=Buffer, array=data)
    return node


def symbol_node(name: str, shape: Shape, dtype: DType, facts: tuple[str, ...] = ()) -> Expr:
    """Give the free tensor of this name, shape, dtype and facts."""
    node: Expr = make("symbol", (), {"name": name, "facts": tuple(sorted(facts))}, TensorType(shape, dtype))
    return node


def dim_node(size: Size, dtype: DType) -> Expr:
    """Give the rank-0 node whose value is a dimension."""
    if isinstance(size, int):
        return constant_node(size, dtype)
    node: Expr = make("dim", (), {"size": size}, TensorType((), dtype))
    return node


def parameter_node(name: str, value: np.ndarray, dtype: DType, trainable: bool = True) -> Parameter:
    """Make a new parameter that owns a copy of the value; two parameters are never the same node."""
    node: Parameter = make(
        "parameter", (), {"name": name, "serial": next(_serial)}, TensorType(tuple(value.shape), dtype), cls=Parameter,
        buffer=aligned_copy(np.asarray(value), dtype.numpy), trainable=trainable, _lock=threading.RLock(),
    )  # fmt: skip
    return node


# -- traversal ----------------------------------------------------------------------------------------------------


def topological(roots: Iterable[Expr], stop: Callable[[Expr], bool] | None = None) -> list[Expr]:
    """List every node below the roots, operands before users, in a deterministic order; iterative at any depth.

    Where `stop` holds the node is listed but not entered.
    """
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(list(roots))]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        if stop is None or not stop(node):
            stack.extend((a, False) for a in reversed(node.args) if id(a) not in seen)
    return order


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """Give the node with other operands of the same types."""
    if all(a is b for a, b in zip(node.args, args, strict=True)):
        return node
    new: Expr = make(node.op, args, node.attrs, node.type)
    return new


def _attr_bytes(value: Any) -> bytes:
    if isinstance(value, tuple):
        return b"(" + b",".join(map(_attr_bytes, value)) + b")"
    if isinstance(value, Body):
        return b"{" + b"".join(n.digest for n in (*value.inputs, *value.outputs)) + b"}"
    if isinstance(value, Dim):
        return b"d" + stable_bytes(value)
    return f"{type(value).__name__}:{value}".encode()


def _type_bytes(type: Type) -> bytes:
    if isinstance(type, TupleType):
        return b"[" + b"".join(map(_type_bytes, type.items)) + b"]"
    return type.dtype.encode() + b"(" + b",".join(map(stable_bytes, type.shape)) + b")"


def _digest_of(node: Expr) -> bytes:
    """Digest a node whose operands have digests."""
    h = hashlib.blake2b(digest_size=16)
    h.update(node.op.encode())
    for key, value in sorted(node.attrs.items()):
        h.update(b"|" + key.encode() + b"=" + _attr_bytes(value))
    h.update(_type_bytes(node.type))
    for arg in node.args:
        h.update(arg._digest)
    return h.digest()
