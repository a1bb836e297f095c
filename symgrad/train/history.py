"""History: what training has measured, epoch by epoch, under Keras' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class History:
    """The result of `fit`: `history` maps a measure (`loss`, `accuracy`, `val_loss` ...) to its value in each epoch.

    >>> h = History()
    >>> h.record(0, {"loss": 0.5})
    >>> h.epoch, h.history
    ([0], {'loss': [0.5]})
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)

    def record(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Add the measures of one epoch."""
        self.epoch.append(epoch)
        for name, value in measures.items():
            self.history.setdefault(name, []).append(value)
