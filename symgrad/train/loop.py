"""The minibatch loop: a graph over batches of rows as one native program.

In: expressions over the symbols of one batch, the data sets that feed these symbols, updates. Out: a `BatchProgram`,
whose native loop gathers the rows of each batch by position, computes, updates, and stores the outputs of each step.
Python is entered again every `SLICE` seconds or step. It must not know layers or losses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.entry import Entry, entry_of
from codegen.executable import Executable
from codegen.kernel import LOOP, Bound, Iteration, bind
from codegen.operand import Operand
from symgrad.compiled import Plan, locked, process_threads, remember
from symgrad.dtypes import INT64
from symgrad.errors import IndexRangeError
from symgrad.expr import Expr, Parameter, symbol_node
from symgrad.late import late
from symgrad.ops.body import replaced
from symgrad.ops.row import label
from symgrad.options import Options
from symgrad.shape import dim, evaluate
from symgrad.simplifier import simplify
from symgrad.train.labels import check_range
from symgrad.train.rows import Rows

if TYPE_CHECKING:
    from codegen.guards import Guard, find_guards
    from codegen.pipeline import compile_graph
else:
    find_guards = late("codegen.guards", "find_guards")
    compile_graph = late("codegen.pipeline", "compile_graph")

SLICE = 0.03  # seconds of native work between two looks at the clock, at least one step


class BatchProgram:
    """A compiled step over rows of data sets; `outputs` have a value for each batch, or for each row of it."""

    def __init__(
        self, feeds: Sequence[tuple[Expr, Rows]], outputs: Sequence[Expr], updates: Mapping[Parameter, Expr],
        batch: str, options: Options,
    ) -> None:  # fmt: skip
        self.batch = batch
        positions = symbol_node("positions", (dim(batch),), INT64)
        gathered = {symbol: rows.take(positions, symbol.dtype) for symbol, rows in feeds}
        inputs = [*(rows.memory for _, rows in feeds), positions]
        roots = [*outputs, *updates.values()]
        self._updated = list(updates)
        entry = entry_of("loop", inputs, [*gathered, *gathered.values(), *roots], self._updated, options)
        found = None if entry is None else entry.find()
        if found is None:
            self._program, ranges = _compiled(inputs, gathered, roots, self._updated, options, entry)
        else:
            self._program, ranges = found
        self._ranges = [(slot, feeds[slot][0], extent) for slot, extent in ranges]
        self._results = tuple(dict.fromkeys(self._program.results))
        self.slot_of = [_index(self._results, r) for r in self._program.results]
        self._threads = options.threads or process_threads()
        self._plans: dict[tuple[int, ...], Plan] = {}

    def allocate(self, samples: int, batch_size: int) -> list[np.ndarray]:
        """Make arrays for the outputs of one pass: a row per batch, or per sample for those with the batch axis."""
        batches = -(-samples // batch_size)
        return [np.empty(self._shape(r, samples, batches), r.dtype.numpy) for r in self._results]

    def _shape(self, result: Operand, samples: int, batches: int) -> tuple[int, ...]:
        if self._has_batch(result):
            return (samples, *(evaluate(n, {}) for n in result.shape[1:]))
        return (batches, *(evaluate(n, {}) for n in result.shape))

    def _has_batch(self, result: Operand) -> bool:
        return bool(result.shape) and str(result.shape[0]) == self.batch

    def run(
        self, rows: Sequence[Rows], positions: np.ndarray, batch_size: int, out: Sequence[np.ndarray]
    ) -> Iterator[int]:
        """Run over all positions in batches, the last one may be short; yield the number of steps done so far.

        Raise IndexRangeError before the first step where an input that serves as an index leaves its axis.
        """
        for slot, symbol, extent in self._ranges:
            check_range(label(symbol), rows[slot].array, -extent, extent)
        samples = len(positions)
        whole = samples // batch_size
        done, count = 0, 1
        while done < whole:
            count = min(count, whole - done)
            spent = self._slice(rows, positions, batch_size, out, done, count)
            done += count
            yield done
            count = max(1, int(SLICE * count / max(spent, 1e-9)))
        rest = samples - whole * batch_size
        if rest:
            tail = [o[whole * batch_size :] if len(o) == samples else o[whole:] for o in out]
            self._slice(rows, positions[whole * batch_size :], rest, tail, 0, 1, before=whole)
            yield done + 1

    def _slice(
        self, rows: Sequence[Rows], positions: np.ndarray, size: int, out: Sequence[np.ndarray], first: int, count: int,
        before: int = 0,
    ) -> float:  # fmt: skip
        """Run some iterations; return the seconds they took. `before` counts the steps that `positions` lie behind."""
        free = self._plan(rows, size).free
        try:
            bound = free.pop()
        except IndexError:  # another thread is inside the same model
            bound = self._bind(rows, size)
        bound.table.patch_loop(LOOP, first, count)
        addresses = [*(r.address for r in rows), positions.ctypes.data, *(o.ctypes.data for o in out)]
        begun = time.perf_counter()
        try:
            with locked(self._updated):
                status = bound.run(addresses, self._threads)
        finally:
            free.append(bound)
        if status.code:
            step = before + status.iteration
            raise IndexRangeError("an index computed from the data is out of range", got=f"in step {step} of this pass")
        return time.perf_counter() - begun

    def _plan(self, rows: Sequence[Rows], size: int) -> Plan:
        key = (size, *(r.samples for r in rows))
        return self._plans.get(key) or remember(self._plans, key, Plan((), []))

    def _bind(self, rows: Sequence[Rows], size: int) -> Bound:
        """Bind the dimensions of these data sets, and what moves from batch to batch."""
        dims: dict[str, Any] = {self.batch: size}
        for r in rows:
            dims[str(r.memory.shape[0])] = r.array.size
            dims[str(r.view.shape[0])] = r.samples
        strides = {len(rows): size * INT64.size}
        for slot, result in enumerate(self._results, len(rows) + 1):
            per_step = size if self._has_batch(result) else 1
            elements = per_step * int(np.prod([n for n in result.shape if isinstance(n, int)], dtype=np.int64))
            strides[slot] = elements * result.dtype.size
        return bind(self._program, dims, Iteration(strides))


def _compiled(
    inputs: Sequence[Expr], gathered: Mapping[Expr, Expr], roots: Sequence[Expr], updated: Sequence[Parameter],
    options: Options, entry: Entry | None,
) -> tuple[Executable, list[tuple[int, int]]]:  # fmt: skip
    """Simplify a step, put rows in the place of its symbols and compile it; give the program, and what it leaves to
    whole data sets to be checked."""
    positions = inputs[-1]
    roots = replaced(simplify(list(roots)), gathered)
    ranges = _checkable(list(gathered.values()), find_guards(roots, [positions]))
    checked = [positions, *(list(gathered.values())[slot] for slot, _ in ranges)]
    outputs = len(roots) - len(updated)
    pairs = list(zip(updated, roots[outputs:], strict=True))
    compiled = compile_graph(inputs, roots[:outputs], pairs, options, trusted=checked)
    if entry is not None:
        entry.keep(compiled.executable, compiled.objects(), ranges)
    return compiled.executable, ranges


def _checkable(gathered: Sequence[Expr], guards: Sequence[Guard]) -> list[tuple[int, int]]:
    """List the guards that whole data sets answer before a pass: (slot of the input, extent of its axis)."""
    slot_of = {node: slot for slot, node in enumerate(gathered)}
    smallest: dict[int, int] = {}
    for guard in guards:
        slot = slot_of.get(guard.indices)
        if slot is not None and isinstance(guard.extent, int):
            smallest[slot] = min(guard.extent, smallest.get(slot, guard.extent))
    open_ones = {slot_of.get(g.indices) for g in guards if not isinstance(g.extent, int)}
    return [(slot, extent) for slot, extent in smallest.items() if slot not in open_ones]


def _index(nodes: Sequence[Operand], node: Operand) -> int:
    return next(k for k, n in enumerate(nodes) if n is node)
