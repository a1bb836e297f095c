"""Graph keys: what tells a graph from every other that would be compiled to another program.

In: expressions, before anything is done to them. Out: a `GraphKey`: a digest that is the same in every process, and the
parameters and constant arrays in the order in which the digest tells of them. Everything counts that a pass may look
at: operators, attributes, types, how nodes are connected, the formulas of the user's own operators, names that the user
gave. Of a parameter its value, and when it was made, do not count; of an array its contents do. Linear in the graph,
and iterative. It must not know what programs are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad import side
from symgrad.expr import Body, Buffer, Expr, Parameter, TensorType, Type
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Map
from symgrad.serial import listed
from symgrad.shape import Dim, Size, stable_bytes


@dataclass(frozen=True, slots=True, eq=False)
class GraphKey:
    """The digest of a graph, and what stands in it by number."""

    digest: str
    parameters: tuple[Parameter, ...]
    buffers: tuple[Buffer, ...]


def graph_key(roots: Sequence[Expr]) -> GraphKey:
    """Digest a graph; the order of the roots and how often each is given count.

    >>> from symgrad.ops.leaves import symbol
    >>> x, y = symbol("x", (3,)), symbol("y", (3,))
    >>> graph_key([x + y]).digest == graph_key([x + y]).digest, graph_key([x + y]).digest == graph_key([x - y]).digest
    (True, False)
    """
    nodes = listed(roots)
    number = {node: k for k, node in enumerate(nodes)}
    teller = _Teller(number)
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(teller.node(node).encode())
    formulas = {op: structure.formula for op in teller.ops if isinstance(structure := ROWS[op].structure, Map)}
    digest.update(repr((formulas, [number[root] for root in roots])).encode())
    parameters = tuple(n for n in nodes if isinstance(n, Parameter))
    return GraphKey(digest.hexdigest(), parameters, tuple(n for n in nodes if isinstance(n, Buffer)))


class _Teller:
    """Writes nodes as texts, each of which tells everything, with numbers for other nodes."""

    def __init__(self, number: Mapping[Expr, int]) -> None:
        self.number = number
        self.ops: dict[str, None] = {}
        self._types: dict[Type, str] = {}
        self._sizes: dict[Size, str] = {}

    def node(self, node: Expr) -> str:
        """Write a node as a line; texts are quoted, so that no two nodes have the same line."""
        self.ops[node.op] = None
        number = self.number
        args = [number[a] for a in node.args]
        attrs = [(key, self._attr(value)) for key, value in node.attrs.items() if key != "serial"]
        kind = self._types.get(node.type)
        if kind is None:
            kind = self._types[node.type] = self._type(node.type)
        return f"{node.op} {args} {attrs} {kind} {side.name_of(node)!r}\n"

    def _attr(self, value: Any) -> Any:
        """Give an attribute as what `repr` tells everything of: no attribute is a list, so tuples here are others."""
        if isinstance(value, tuple):
            return list(map(self._attr, value))
        if isinstance(value, Body):
            return "body", [self.number[n] for n in value.inputs], [self.number[n] for n in value.outputs]
        if isinstance(value, Dim):
            return "size", self._size(value)
        return value

    def _size(self, size: Size) -> str:
        known = self._sizes.get(size)
        if known is None:
            known = self._sizes[size] = stable_bytes(size).decode()
        return known

    def _type(self, type: Type) -> str:
        if isinstance(type, TensorType):
            return f"{type.dtype}[{', '.join(map(self._size, type.shape))}]"
        return f"({', '.join(map(self._type, type.items))})"
