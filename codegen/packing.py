"""Packing: an executable as bytes, and back.

In: an executable, object code, and the tensors of the graph that it was compiled from. Out: bytes from which a process
that has the same graph makes the same executable. First comes the length of a text in JSON, then that text, then object
code and constant arrays, one after the other:

    {"operands": [["input", 0], ["parameter", 2], ["memory", 1], ...], "types": [["float32", [[0], 10]], ...],
     "sizes": [[[1, [["N", 1]]]], ...], "kernels": [["map_5f0c", 1936, [0, 1], ["N"], [0], 0], ...],
     "calls": [[0, [0, 1], [3], 0], ...], "inputs": [0], "results": [4], "updated": [[5, 1]], "flags": [], ...}

Operands, types, kernels and sizes that are no numbers are written once, and then by their number. It must not know
where bytes are kept, nor what kernels compute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from codegen.executable import Call, Executable
from codegen.jit import link
from codegen.operand import Operand, Temp
from symgrad import shape as sizes
from symgrad.dtypes import DType
from symgrad.errors import SymgradError
from symgrad.expr import Buffer, Expr, Parameter, buffer_node
from symgrad.shape import Dim, Size

HEAD = 8  # bytes of the text's length


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """What a program shares with the graph that it was compiled from, in an order that follows from the graph."""

    inputs: tuple[Expr, ...]
    parameters: tuple[Parameter, ...]
    buffers: tuple[Buffer, ...]

    def numbered(self) -> dict[Operand, tuple[str, int]]:
        """Give the kind and the number of each."""
        kinds = (("input", self.inputs), ("parameter", self.parameters), ("buffer", self.buffers))
        return {node: (kind, k) for kind, nodes in kinds for k, node in enumerate(nodes)}

    def at(self, kind: str, k: int) -> Operand:
        """Give what has a kind and a number; KeyError or IndexError where there is nothing."""
        kinds: dict[str, Sequence[Operand]] = {
            "input": self.inputs, "parameter": self.parameters, "buffer": self.buffers,
        }  # fmt: skip
        return kinds[kind][k]


# -- writing ------------------------------------------------------------------------------------------------------


def packed(program: Executable, objects: Mapping[str, bytes], tensors: Tensors, notes: Any) -> bytes | None:
    """Write a program; None where one of its sizes would not come back as it is."""
    writer = _Writer(tensors, list(objects))
    kernels: dict[str, list[Any]] = {}
    calls: list[Any] = []
    for call in program.calls:
        image = objects[call.kernel]
        if call.kernel not in kernels:
            facts = [[int(w) for w in call.writes], list(call.dims), writer.size(call.tasks), writer.size(call.scratch)]
            kernels[call.kernel] = [call.kernel, len(image), *facts]
        operands = [writer.operand(o) for o in call.operands]
        calls.append([writer.kernels[call.kernel], operands, writer.size(call.cost), int(call.is_guard)])
    data = {
        "calls": calls,
        "kernels": [kernels[name] for name in objects],
        "inputs": [writer.operand(o) for o in program.inputs],
        "results": [writer.operand(o) for o in program.results],
        "updated": [[writer.operand(o), writer.operand(p)] for o, p in program.updated.items()],
        "flags": sorted(writer.operand(o) for o in program.flags),
        "operands": writer.told,
        "types": writer.types.told,
        "sizes": [sizes.to_data(size) for size in writer.sizes.known],
        "notes": notes,
    }
    if any(sizes.from_data(sizes.to_data(size)) != size for size in writer.sizes.known):
        return None
    text = json.dumps(data, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(HEAD, "little"), text, *objects.values(), *writer.arrays])


class _Numbers:
    """Gives numbers to things as they are met, and keeps what is told of each."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}
        self.told: list[Any] = []

    def of(self, thing: Any, told: Any = None) -> int:
        """Give the number of a thing."""
        if thing not in self.known:
            self.known[thing] = len(self.known)
            self.told.append(told)
        return self.known[thing]


class _Writer:
    """Writes operands and sizes by number."""

    def __init__(self, tensors: Tensors, kernels: Sequence[str]) -> None:
        self.kernels = {name: k for k, name in enumerate(kernels)}
        self.sizes, self.types = _Numbers(), _Numbers()
        self.told: list[Any] = []
        self.arrays: list[bytes] = []
        self._given = tensors.numbered()
        self._known: dict[Operand, int] = {}

    def size(self, size: Size) -> Any:
        """Write a size: a number as itself, another one as a list with its place."""
        return [self.sizes.of(size)] if isinstance(size, Dim) else size

    def operand(self, operand: Operand) -> int:
        """Give the number of an operand."""
        if operand not in self._known:
            told = self._tell(operand)  # a stand-in is told by its type alone
            self._known[operand] = len(self._known)
            self.told.append(told)
        return self._known[operand]

    def _tell(self, operand: Operand) -> list[Any]:
        if operand in self._given:
            return list(self._given[operand])
        type = [str(operand.dtype), [self.size(n) for n in operand.shape]]
        number = self.types.of((operand.dtype, operand.shape), type)
        if isinstance(operand, Buffer):
            self.arrays.append(operand.array.tobytes())
            return ["constant", number]
        assert not isinstance(operand, Parameter)  # all of them stand in the graph
        return ["memory", number]


# -- reading ------------------------------------------------------------------------------------------------------


def unpacked(data: bytes, tensors: Tensors) -> tuple[Executable, Any] | None:
    """Read a program and link it; None for what `packed` has not written for such a graph."""
    try:
        end = HEAD + int.from_bytes(data[:HEAD], "little")
        text = json.loads(data[HEAD:end])
        reader = _Reader(text, memoryview(data)[end:], tensors)
        return reader.program(), text["notes"]
    except (ValueError, TypeError, KeyError, IndexError, SymgradError):
        return None


class _Reader:
    """Reads what `packed` writes; whatever is not as it must be raises one error or another."""

    def __init__(self, text: Any, blobs: memoryview, tensors: Tensors) -> None:
        self.text, self.tensors = text, tensors
        self.sizes = [sizes.from_data(size) for size in text["sizes"]]
        lengths = [kernel[1] for kernel in text["kernels"]]
        starts = [0, *accumulate(lengths)]
        self.objects = {
            kernel[0]: bytes(blobs[start : start + kernel[1]])
            for kernel, start in zip(text["kernels"], starts, strict=False)
        }
        self._arrays, self._at = blobs, starts[-1]
        self.types = [(tuple(map(self._size, shape)), DType(dtype)) for dtype, shape in text["types"]]
        self.operands = [self._operand(kind, k) for kind, k in text["operands"]]
        if self._at != len(blobs):
            raise ValueError("bytes are left over")

    def program(self) -> Executable:
        """Link the code and put the launches together."""
        text, operands = self.text, self.operands
        updated = {operands[o]: self._parameter(p) for o, p in text["updated"]}
        return Executable(
            tuple(operands[o] for o in text["inputs"]), tuple(operands[o] for o in text["results"]), updated,
            frozenset(operands[o] for o in text["flags"]), self._calls(), link(self.objects),
        )  # fmt: skip

    def _calls(self) -> tuple[Call, ...]:
        size, operands = self._size, self.operands
        kernels = [
            (name, tuple(map(bool, writes)), tuple(dims), size(tasks), size(scratch))
            for name, _, writes, dims, tasks, scratch in self.text["kernels"]
        ]
        calls = []
        for number, own, cost, is_guard in self.text["calls"]:
            name, writes, dims, tasks, scratch = kernels[number]
            bound = tuple([operands[o] for o in own])
            calls.append(Call(name, bound, writes, dims, tasks, size(cost), scratch, bool(is_guard)))
        return tuple(calls)

    def _size(self, data: Any) -> Size:
        return data if data.__class__ is int else self.sizes[data[0]]

    def _operand(self, kind: str, k: int) -> Operand:
        if kind == "memory":
            return Temp(*self.types[k])
        return self._constant(*self.types[k]) if kind == "constant" else self.tensors.at(kind, k)

    def _constant(self, shape: sizes.Shape, dtype: DType) -> Expr:
        count = int(sizes.product(shape)) * dtype.size
        start, self._at = self._at, self._at + count
        array = np.frombuffer(self._arrays[start : self._at], dtype.numpy)
        return buffer_node(array.reshape([int(n) for n in shape]), dtype)

    def _parameter(self, number: int) -> Parameter:
        found = self.operands[number]
        if not isinstance(found, Parameter):
            raise TypeError(f"operand {number} is no parameter")
        return found
