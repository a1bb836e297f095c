"""The minibatch loop: a graph over batches of rows as one native program.

In: expressions over the symbols of one batch, the data sets that feed these symbols, updates. Out: a `BatchProgram`,
whose native loop gathers the rows of each batch by position, computes, updates, and stores the outputs of each step.
Python is entered again every `SLICE` seconds or step. It must not know layers or losses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from codegen.kernel import LOOP, Bound, Iteration, bind
from codegen.pipeline import compile_graph
from symgrad.compiled import locked, process_threads
from symgrad.dtypes import INT64
from symgrad.errors import SymgradError
from symgrad.expr import Expr, Parameter, rebuild, symbol_node, topological
from symgrad.options import Options
from symgrad.shape import dim, evaluate
from symgrad.train.rows import Rows

SLICE = 0.03  # seconds of native work between two looks at the clock, at least one step


def replaced(roots: Sequence[Expr], pairs: Mapping[Expr, Expr]) -> list[Expr]:
    """Give the graphs with nodes replaced by others of the same type."""
    done = dict(pairs)
    for node in topological(roots, stop=done.__contains__):
        if node not in done:
            done[node] = rebuild(node, tuple(done[a] for a in node.args))
    return [done[r] for r in roots]


class BatchProgram:
    """A compiled step over rows of data sets; `outputs` have a value for each batch, or for each row of it."""

    def __init__(
        self, feeds: Sequence[tuple[Expr, Rows]], outputs: Sequence[Expr], updates: Mapping[Parameter, Expr],
        batch: str, options: Options,
    ) -> None:  # fmt: skip
        self.batch = batch
        positions = symbol_node("positions", (dim(batch),), INT64)
        gathered = {symbol: rows.take(positions, symbol.dtype) for symbol, rows in feeds}
        roots = replaced([*outputs, *updates.values()], gathered)
        inputs = [*(rows.memory for _, rows in feeds), positions]
        checked = [positions, *(node for symbol, node in gathered.items() if symbol.dtype.is_integer)]
        self._updated = list(updates)
        self._options = options
        self._compiled = compile_graph(
            inputs, roots[: len(outputs)], list(zip(updates, roots[len(outputs) :], strict=True)), options,
            trusted=checked,
        )  # fmt: skip
        self._results = tuple(dict.fromkeys(self._compiled.results))
        self.slot_of = [_index(self._results, r) for r in self._compiled.results]
        self._threads = options.threads or process_threads()
        self._bound: dict[tuple[int, ...], Bound] = {}

    def allocate(self, samples: int, batch_size: int) -> list[np.ndarray]:
        """Make arrays for the outputs of one pass: a row per batch, or per sample where an output has the batch axis."""
        batches = -(-samples // batch_size)
        return [np.empty(self._shape(r, samples, batches), r.dtype.numpy) for r in self._results]

    def _shape(self, result: Expr, samples: int, batches: int) -> tuple[int, ...]:
        if result.ndim and str(result.shape[0]) == self.batch:
            return (samples, *(evaluate(n, {}) for n in result.shape[1:]))
        return (batches, *(evaluate(n, {}) for n in result.shape))

    def run(
        self, rows: Sequence[Rows], positions: np.ndarray, batch_size: int, out: Sequence[np.ndarray]
    ) -> Iterator[int]:
        """Run over all positions in batches, the last one may be short; yield the number of steps done so far."""
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
            self._slice(rows, positions[whole * batch_size :], rest, tail, 0, 1)
            yield done + 1

    def _slice(
        self, rows: Sequence[Rows], positions: np.ndarray, size: int, out: Sequence[np.ndarray], first: int, count: int
    ) -> float:
        """Run some iterations; return the seconds they took."""
        bound = self._bind(rows, size)
        bound.table.patch_loop(LOOP, first, count)
        addresses = [*(r.address for r in rows), positions.ctypes.data, *(o.ctypes.data for o in out)]
        begun = time.perf_counter()
        with locked(self._updated):
            status = bound.run(addresses, self._threads)
        if status.code:
            raise SymgradError("an index computed from the data is out of range", got=f"in step {status.iteration}")
        return time.perf_counter() - begun

    def _bind(self, rows: Sequence[Rows], size: int) -> Bound:
        key = (size, *(r.samples for r in rows))
        if key not in self._bound:
            dims: dict[str, Any] = {self.batch: size}
            for r in rows:
                dims[str(r.memory.shape[0])] = r.array.size
                dims[str(r.view.shape[0])] = r.samples
            strides = {len(rows): size * INT64.size}
            for slot, result in enumerate(self._results, len(rows) + 1):
                per_step = size if result.ndim and str(result.shape[0]) == self.batch else 1
                elements = per_step * int(np.prod([n for n in result.shape if isinstance(n, int)], dtype=np.int64))
                strides[slot] = elements * result.dtype.size
            self._bound[key] = bind(self._compiled, dims, Iteration(strides))
        return self._bound[key]


def _index(nodes: Sequence[Expr], node: Expr) -> int:
    return next(k for k, n in enumerate(nodes) if n is node)
