"""Trainers: one model on one pair of data sets.

In: the symbols of a batch, the expressions to report, updates, arrays. Out: passes over the data, with the mean of each
report weighted by batch size, as Keras computes it. It must not know layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symgrad.expr import Expr, Parameter
from symgrad.options import Options
from symgrad.train.loop import BatchProgram
from symgrad.train.rows import Rows

BATCH = "N"  # the dimension of the batch axis in every model
Watch = Callable[[int, Mapping[str, float]], None]


def check_batch_size(batch_size: object) -> int:
    """Refuse a batch size that is not an int of 1 or more."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(f"batch_size is an int, not {type(batch_size).__name__}: {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size is 1 or more, not {batch_size}")
    return int(batch_size)


class Trainer:
    """Runs passes over data: forward and updates for training, forward alone for evaluation."""

    def __init__(
        self, program: BatchProgram, names: Sequence[str], rows: Sequence[Rows], batch_size: int
    ) -> None:
        self._program, self._names, self._rows, self._batch = program, list(names), list(rows), batch_size
        self._out = program.allocate(rows[0].samples, batch_size)

    @property
    def steps(self) -> int:
        """Give the number of steps of a full pass."""
        return -(-self._rows[0].samples // self._batch)

    def epoch(self, order: np.ndarray, watch: Watch | None = None) -> dict[str, float]:
        """Run over the samples at these positions once; return the means of the reports.

        `watch` is called now and then with the number of steps done and the means so far.
        """
        positions = np.ascontiguousarray(order, np.int64)
        done = 0
        for done in self._program.run(self._rows, positions, self._batch, self._out):
            if watch is not None:
                watch(done, self._means(done, len(positions)))
        return self._means(done, len(positions))

    def _means(self, steps: int, samples: int) -> dict[str, float]:
        """Average the reports of the first steps, weighted by the sizes of their batches."""
        sizes = np.full(steps, self._batch, np.float64)
        if steps * self._batch > samples:
            sizes[-1] = samples - (steps - 1) * self._batch
        total = sizes.sum()
        reports = (self._out[slot] for slot in self._program.slot_of)
        values = [float(np.dot(r[:steps].astype(np.float64), sizes) / total) for r in reports]
        return dict(zip(self._names, values, strict=True))


def make_program(
    feeds: Sequence[tuple[Expr, Rows]], reports: Sequence[Expr], updates: Mapping[Parameter, Expr], options: Options
) -> BatchProgram:
    """Compile a step for data sets of this kind."""
    return BatchProgram(feeds, reports, updates, BATCH, options)
