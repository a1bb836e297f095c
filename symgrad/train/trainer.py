"""Trainers: one model on one pair of data sets.

In: the symbols of a batch, the expressions to report, updates, arrays. Out: passes over the data, with the mean of each
report weighted by batch size, as Keras computes it. It must not know layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from symgrad.errors import ShapeError
from symgrad.expr import Expr, Parameter
from symgrad.options import Options
from symgrad.shape import format_shape
from symgrad.train.graphs import BATCH
from symgrad.train.labels import check_range
from symgrad.train.loop import BatchProgram
from symgrad.train.rows import Rows

Watch = Callable[[int, Mapping[str, float]], None]


DEFAULT_BATCH = 32


def check_epochs(epochs: object) -> int:
    """Refuse a number of epochs that is not an int of 0 or more."""
    if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer):
        raise TypeError(f"epochs is an int, not {type(epochs).__name__}: {epochs!r}")
    if epochs < 0:
        raise ValueError(f"epochs is 0 or more, not {epochs}")
    return int(epochs)


def check_batch_size(batch_size: object) -> int:
    """Refuse a batch size that is not an int of 1 or more; None is Keras' default, 32."""
    if batch_size is None:
        return DEFAULT_BATCH
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(f"batch_size is an int, not {type(batch_size).__name__}: {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size is 1 or more, not {batch_size}")
    return int(batch_size)


class Trainer:
    """Runs passes over data: forward and updates for training, forward alone for evaluation."""

    def __init__(self, program: BatchProgram, names: Sequence[str], rows: Sequence[Rows], batch_size: int) -> None:
        self._program, self._names, self._rows, self._batch = program, list(names), list(rows), batch_size
        self._out = program.allocate(rows[0].samples, batch_size)

    @property
    def samples(self) -> int:
        """Give the number of samples."""
        return self._rows[0].samples

    @property
    def steps(self) -> int:
        """Give the number of steps of a full pass."""
        return -(-self._rows[0].samples // self._batch)

    def epoch(self, order: np.ndarray, watch: Watch | None = None) -> dict[str, float]:
        """Run over the samples at these positions once; return the means of the reports.

        `watch` is called now and then with the number of steps done and the means so far.
        """
        positions = self._positions(order)
        done = 0
        for done in self._program.run(self._rows, positions, self._batch, self._out):
            if watch is not None:
                watch(done, self._means(done, len(positions)))
        return self._means(done, len(positions))

    def _positions(self, order: np.ndarray) -> np.ndarray:
        """Check the positions of samples, through which native code will read."""
        given = np.asarray(order)
        if given.ndim != 1 or given.dtype.kind not in "iu" or not 0 < len(given) <= self.samples:
            got = f"{given.dtype} of shape {format_shape(given.shape)}"
            what = f"the order of a pass is a row of 1 to {self.samples} positions of samples"
            raise ShapeError(what, got=got, hint=f"np.arange({self.samples}) is one.")
        check_range("order", given, 0, self.samples)
        return np.ascontiguousarray(given, np.int64)

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
