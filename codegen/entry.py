"""Entries: whole programs on disk, from which a process gets an executable without compiling anything.

In: a graph as its user wrote it, and what else decides what it is compiled to. Out: an `Entry`, which knows where on
disk the program is, finds it there or keeps it. What is kept is plain data (launches, operands by their numbers, sizes)
and object code; where a process reads it, parameters and constant arrays are those of its own graph, and stand-ins take
the place of all other nodes. Any doubt is a miss. It must not know how programs are made.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from codegen import dump
from codegen.executable import Executable
from codegen.graph_key import graph_key
from codegen.machine import machine, runnable
from codegen.objects import full_key, user_store
from codegen.packing import Tensors, packed, unpacked
from codegen.store import Store
from symgrad.expr import Expr, Parameter
from symgrad.options import Options

VERSIONS: Final = f"{np.__version__} {sys.version}"  # constants are computed by NumPy and Python


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """The place of one program in the user's store."""

    store: Store
    key: str
    tensors: Tensors

    def find(self) -> tuple[Executable, Any] | None:
        """Give the program, linked, and the notes that were kept with it; None where there is nothing to be trusted."""
        data = self.store.get(self.key)
        return None if data is None else unpacked(data, self.tensors)

    def keep(self, program: Executable, objects: Mapping[str, bytes], notes: Any = None) -> None:
        """Keep a program with the object code of its kernels; notes are JSON's plain data."""
        data = packed(program, objects, self.tensors, notes)
        if data is not None:
            self.store.put(self.key, data)


def entry_of(
    what: str, inputs: Sequence[Expr], roots: Sequence[Expr], renewed: Sequence[Parameter], options: Options
) -> Entry | None:
    """Find the place of a program: `what` is made of the graph below `roots`, and `renewed` the parameters it updates.

    Give None where programs are not kept: without a store, for a machine that the host is not, and where somebody
    wants to see them being made.
    """
    if options.poison or options.check or dump.is_wanted():
        return None
    store, target = user_store(), machine(options.machine)
    if store is None or target not in runnable():
        return None
    graph = graph_key([*inputs, *roots, *renewed])
    counts = f"{len(inputs)} {len(roots)} {len(renewed)}"
    key = full_key(target, what, graph.digest, counts, repr(replace(options, threads=None)), VERSIONS)
    return Entry(store, key, Tensors(tuple(inputs), graph.parameters, graph.buffers))
