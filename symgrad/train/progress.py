"""The progress bar: Keras' format; one line per epoch where the output is not a terminal.

In: steps done and measures so far. Out: text on a stream. It must not know models.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

WIDTH = 30


def format_measures(measures: Mapping[str, float]) -> str:
    """Format measures as Keras does.

    >>> format_measures({"loss": 0.25767, "accuracy": 0.92453})
    'loss: 0.2577 - accuracy: 0.9245'
    """
    return " - ".join(f"{name}: {_number(value)}" for name, value in measures.items())


def _after_dash(measures: Mapping[str, float]) -> str:
    return f" - {format_measures(measures)}" if measures else ""


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    """Format a time per step.

    >>> _duration(0.0012), _duration(2.6), _duration(3e-6)
    ('1ms', '3s', '3us')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.0f}{unit}"
    return f"{seconds * 1e6:.0f}us"


class Progress:
    """Shows one epoch's progress; `verbose` is 0 (silent), 1 (a moving bar) or 2 (one line when the epoch ends).

    "auto" is 1; a stream that is no terminal gets one line per epoch in either case.
    """

    def __init__(self, total: int, verbose: int | str = "auto", stream: TextIO | None = None) -> None:
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"verbose is 'auto', 0, 1 or 2, not {verbose!r}")
        self.total = total
        self.stream = stream or sys.stdout
        verbose = 1 if verbose == "auto" else verbose
        self.moving = verbose == 1 and self.stream.isatty()
        self.silent = verbose == 0
        self.begun = time.perf_counter()

    def header(self, epoch: int, epochs: int) -> None:
        """Announce an epoch."""
        if not self.silent:
            self.stream.write(f"Epoch {epoch + 1}/{epochs}\n")
        self.begun = time.perf_counter()

    def update(self, done: int, measures: Mapping[str, float]) -> None:
        """Move the bar."""
        if self.moving:
            filled = WIDTH * done // max(self.total, 1)
            bar = "=" * filled + (">" if filled < WIDTH else "") + "." * (WIDTH - filled - 1)
            self._write(f"\r{done}/{self.total} [{bar}]{_after_dash(measures)}")

    def finish(self, measures: Mapping[str, float]) -> None:
        """Write the epoch's line."""
        if self.silent:
            return
        spent = time.perf_counter() - self.begun
        per_step = _duration(spent / max(self.total, 1))
        bar = "=" * WIDTH
        line = f"{self.total}/{self.total} [{bar}] - {_duration(spent)} {per_step}/step{_after_dash(measures)}"
        self._write(("\r" if self.moving else "") + line + "\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
