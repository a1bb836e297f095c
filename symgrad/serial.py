"""Graphs as plain data: what a file, another process or another language can read.

In: expressions. Out: a dictionary of JSON's types with the nodes in topological order, and from it the expressions
again. Reading trusts nothing: every node is built by its row, and the type that the row infers must be the type that
was written; all else is a FormatError. Parameters come back as new parameters. It must not know files.

    {"format": "symgrad graph", "version": 1, "roots": [4], "nodes": [
        {"op": "symbol", "type": ["float32", [[[1, [["N", 1]]]], 784]], "attrs": {"name": "x", ...}}, ...
        {"op": "sum", "args": [3], "attrs": {"axes": {"tuple": [0]}, "keepdims": false}, "type": ["float32", [784]]}]}

An attribute that JSON has no type for is an object with one entry: `tuple`, `dtype`, `size` or `body`. Contents of
constant arrays and of parameters are base64, row-major, little-endian; without values, parameters come back as zeros.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad import shape as sizes
from symgrad import side
from symgrad.dtypes import DType
from symgrad.errors import FormatError, SymgradError, nearest
from symgrad.expr import (
    Body,
    Buffer,
    Expr,
    Parameter,
    TensorType,
    TupleType,
    Type,
    buffer_node,
    dim_node,
    make,
    parameter_node,
)
from symgrad.ops.leaves import check_name, symbol
from symgrad.ops.row import ROWS, plain_name
from symgrad.ops.structure import Leaf
from symgrad.shape import Dim

FORMAT, VERSION = "symgrad graph", 1


# -- writing ------------------------------------------------------------------------------------------------------


def to_data(exprs: Iterable[Expr], values: bool = True) -> dict[str, Any]:
    """Give expressions as data made of dicts, lists, strings, numbers and None.

    `values` tells whether the parameters' values are part of the data.

    >>> from symgrad.ops.leaves import symbol, dim
    >>> x = symbol("x", (dim("N"), 3))
    >>> from_data(to_data([x]))[0] is x
    True
    """
    roots = list(exprs)
    number: dict[Expr, int] = {}
    nodes: list[dict[str, Any]] = []
    for node in listed(roots):
        number[node] = len(nodes)
        nodes.append(_node_to_data(node, number, values))
    return {"format": FORMAT, "version": VERSION, "nodes": nodes, "roots": [number[root] for root in roots]}


def below_of(node: Expr) -> tuple[Expr, ...]:
    """Give what must be written before a node: its operands and the graphs in its attributes."""
    bodies = [value for value in node.attrs.values() if isinstance(value, Body)]
    return node.args + tuple(inner for body in bodies for inner in (*body.inputs, *body.outputs))


def listed(roots: Sequence[Expr]) -> list[Expr]:
    """List every node that must be written, each after those below it; iterative at any depth."""
    order: list[Expr] = []
    entered: set[Expr] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in entered:
            entered.add(node)
            stack.append((node, True))
            stack.extend((below, False) for below in reversed(below_of(node)))
    return order


def _node_to_data(node: Expr, number: Mapping[Expr, int], values: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"op": node.op, "type": _type_to_data(node.type)}
    attrs: Mapping[str, Any] = {} if isinstance(node, Buffer) else node.attrs
    if isinstance(node, Parameter):
        attrs = {"name": node.name, "trainable": node.trainable}
    if node.args:
        data["args"] = [number[arg] for arg in node.args]
    if attrs:
        data["attrs"] = {key: _attr_to_data(value, number) for key, value in attrs.items()}
    if isinstance(node, Buffer):
        data["values"] = _array_to_data(node.array)
    elif isinstance(node, Parameter) and values:
        data["values"] = _array_to_data(node.value)
    label = side.name_of(node)
    if label is not None:
        data["label"] = label
    return data


def _type_to_data(type: Type) -> Any:
    if isinstance(type, TupleType):
        return {"tuple": [_type_to_data(item) for item in type.items]}
    return [str(type.dtype), [sizes.to_data(size) for size in type.shape]]


def _attr_to_data(value: Any, number: Mapping[Expr, int]) -> Any:
    if isinstance(value, tuple):
        return {"tuple": [_attr_to_data(item, number) for item in value]}
    if isinstance(value, DType):
        return {"dtype": str(value)}
    if isinstance(value, Dim):
        return {"size": sizes.to_data(value)}
    if isinstance(value, Body):
        return {"body": [[number[node] for node in value.inputs], [number[node] for node in value.outputs]]}
    return value


def _array_to_data(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode("ascii")


# -- reading ------------------------------------------------------------------------------------------------------


def from_data(data: Any) -> list[Expr]:
    """Give the expressions that `to_data` wrote; FormatError for anything else."""
    try:
        if (data["format"], data["version"]) != (FORMAT, VERSION):
            raise FormatError("not a graph of this version", got=f"{data['format']!r}, version {data['version']!r}")
        nodes: list[Expr] = []
        for position, entry in enumerate(data["nodes"]):
            nodes.append(_node_from_data(entry, nodes, position))
        return [_node_at(nodes, root) for root in data["roots"]]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise FormatError("the data is no serialised graph", got=f"{type(error).__name__}: {error}") from None


def _node_from_data(entry: Mapping[str, Any], nodes: Sequence[Expr], position: int) -> Expr:
    op = entry["op"]
    if op not in ROWS:
        raise _unknown(op, position)
    type = _type_from_data(entry["type"])
    attrs = {key: _attr_from_data(value, nodes) for key, value in entry.get("attrs", {}).items()}
    args = tuple(_node_at(nodes, arg) for arg in entry.get("args", ()))
    try:
        if isinstance(ROWS[op].structure, Leaf):
            node = _LEAVES[op](type, attrs, entry.get("values"))
        else:
            node = ROWS[op](*args, **attrs)
    except FormatError:
        raise
    except (SymgradError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"node {position} is no {op}", got=f"{error.__class__.__name__}: {error}") from None
    same_args = len(node.args) == len(args) and all(a is b for a, b in zip(node.args, args, strict=True))
    if node.op != op or not same_args or node.type != type:
        raise FormatError(f"node {position}, {op}, has another type than was written", got=f"{node.type}, not {type}")
    label = entry.get("label")
    if label is not None:
        if not isinstance(label, str) or not label.isidentifier():
            raise FormatError(f"node {position} has a label that is no name", got=repr(label))
        node.named(label)
    return node


def _unknown(op: Any, position: int) -> FormatError:
    name = plain_name(str(op))
    if name == op:
        return FormatError(f"node {position} has an unknown operator {op!r}", hint=nearest(str(op), ROWS))
    known = any(plain_name(row) == name for row in ROWS)
    hint = f"Define it first, by the formula that it was written with: sg.elementwise({name!r}, ...)."
    what = f"node {position} has an operator {name!r} of its author's own"
    return FormatError(what, got="here its formula is another one" if known else "not defined here", hint=hint)


def _node_at(nodes: Sequence[Expr], index: Any) -> Expr:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(nodes):
        raise FormatError("a node refers to one that does not stand before it", got=repr(index))
    return nodes[index]


def _type_from_data(data: Any) -> Type:
    if isinstance(data, dict):
        return TupleType(tuple(_tensor_type(item) for item in data["tuple"]))
    return _tensor_type(data)


def _tensor_type(data: Any) -> TensorType:
    match data:
        case [str(dtype), [*shape]]:
            return TensorType(tuple(sizes.from_data(size) for size in shape), _dtype(dtype))
        case _:
            raise FormatError("a type is [dtype, shape]", got=repr(data))


def _dtype(name: Any) -> DType:
    try:
        return DType(name)
    except ValueError:
        raise FormatError(f"unknown dtype {name!r}", hint=nearest(str(name), DType)) from None


def _body(data: Any, nodes: Sequence[Expr]) -> Body:
    inputs, outputs = data
    return Body([_node_at(nodes, i) for i in inputs], [_node_at(nodes, i) for i in outputs])


_TAGS: dict[str, Callable[[Any, Sequence[Expr]], Any]] = {
    "tuple": lambda data, nodes: tuple(_attr_from_data(item, nodes) for item in data),
    "dtype": lambda data, nodes: _dtype(data),
    "size": lambda data, nodes: sizes.from_data(data),
    "body": _body,
}


def _attr_from_data(data: Any, nodes: Sequence[Expr]) -> Any:
    if data is None or isinstance(data, (bool, int, str)):
        return data
    match data:
        case {**entries} if len(entries) == 1:
            ((tag, content),) = entries.items()
            if tag in _TAGS:
                return _TAGS[tag](content, nodes)
    raise FormatError("an attribute is no plain data", got=repr(data))


# -- leaves -------------------------------------------------------------------------------------------------------


def _array_from_data(type: TensorType, text: Any) -> np.ndarray:
    if not all(isinstance(size, int) and size >= 0 for size in type.shape):
        raise FormatError("an array has a symbolic size", got=str(type))
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise FormatError("the values of an array are not base64", got=str(error)) from None
    count = int(sizes.product(type.shape))
    if len(raw) != count * type.dtype.size:
        raise FormatError("an array has too few or too many values", got=f"{len(raw)} bytes for {type}")
    array = np.frombuffer(raw, type.dtype.numpy.newbyteorder("<"))
    return array.astype(type.dtype.numpy).reshape(type.shape)


def _constant(type: Any, attrs: Mapping[str, Any], values: Any) -> Expr:
    bits = attrs["bits"]
    if type.shape != () or isinstance(bits, bool) or not isinstance(bits, int):
        raise FormatError("a constant is a scalar given by its bits", got=f"{type}, {bits!r}")
    if type.dtype.kind in "iu":
        limits = np.iinfo(type.dtype.numpy)
        low, high = int(limits.min), int(limits.max)
    else:
        low, high = 0, 1 if type.dtype is DType.BOOL else 2 ** (8 * type.dtype.size) - 1
    if not low <= bits <= high:
        raise FormatError("a constant does not fit its dtype", got=f"{bits} as {type.dtype}")
    node: Expr = make("constant", (), {"bits": bits}, type)
    return node


def _symbol(type: Any, attrs: Mapping[str, Any], values: Any) -> Expr:
    return symbol(attrs["name"], type.shape, type.dtype, attrs["facts"])


def _dimension(type: Any, attrs: Mapping[str, Any], values: Any) -> Expr:
    if not isinstance(attrs["size"], Dim):
        raise FormatError("a dim node has a symbolic size", got=repr(attrs["size"]))
    return dim_node(attrs["size"], type.dtype)


def _buffer(type: Any, attrs: Mapping[str, Any], values: Any) -> Expr:
    return buffer_node(_array_from_data(type, values), type.dtype)


def _parameter(type: Any, attrs: Mapping[str, Any], values: Any) -> Expr:
    if not isinstance(attrs["trainable"], bool):
        raise FormatError("trainable is true or false", got=repr(attrs["trainable"]))
    value = np.zeros(type.shape, type.dtype.numpy) if values is None else _array_from_data(type, values)
    return parameter_node(check_name(attrs["name"]), value, type.dtype, attrs["trainable"])


_LEAVES: dict[str, Callable[[Any, Mapping[str, Any], Any], Expr]] = {
    "constant": _constant, "symbol": _symbol, "dim": _dimension, "buffer": _buffer, "parameter": _parameter,
}  # fmt: skip
