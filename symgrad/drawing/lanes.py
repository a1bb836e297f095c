"""Rows of the forward computation and, beside it, of its gradient, which goes the other way.

In: a picture. Out: a row for each box: links of the forward computation go down, those of the gradient up, and a box
of the gradient stands no lower than what it takes from the forward computation, where it can beside it. It must not
know places within rows.
"""

from __future__ import annotations

import math

from symgrad.drawing.layering import assign_levels
from symgrad.drawing.picture import LOOSE, Picture

__all__ = ["box_rows"]


def box_rows(picture: Picture) -> tuple[list[int], list[int]]:
    """Give each box its row, 0 at the top, and each its frame, -1 where a frame could not be drawn."""
    boxes = picture.boxes
    forward = [i for i, box in enumerate(boxes) if not picture.rises(box)]
    local = {i: k for k, i in enumerate(forward)}
    edges = [(local[link.source], local[link.target]) for link in picture.links if link.target in local]
    levels, groups = assign_levels(len(forward), list(dict.fromkeys(edges)), [boxes[i].frame for i in forward])
    row = [0] * len(boxes)
    frame = [LOOSE] * len(boxes)
    for i, level, group in zip(forward, levels, groups, strict=True):
        row[i], frame[i] = level, group
    if len(forward) < len(boxes):
        _Ascent(picture, row, max(levels, default=0)).settle()
    least = min([0, *row])  # the gradient may go on above the forward computation
    return [r - least for r in row], frame


class _Ascent:
    """Rows of the gradient, from the last row of the forward computation upwards.

    The main operand of a box is the one with the longest way behind it; a box stands above its main operand, as low as
    it may beside the forward values that it reads. The other operands are hung below it afterwards.
    """

    def __init__(self, picture: Picture, row: list[int], last: int) -> None:
        self.row, self.last = row, last
        boxes = picture.boxes
        self.order = [i for i, box in enumerate(boxes) if box.gradient]
        self.operands: dict[int, list[int]] = {i: [] for i in self.order}
        self.users: dict[int, list[int]] = {i: [] for i in self.order}
        self.beside: dict[int, int] = {}  # the lowest row of the forward values that a box reads
        for link in picture.links:
            if not boxes[link.target].gradient:
                continue
            if boxes[link.source].gradient:
                self.operands[link.target].append(link.source)
                self.users[link.source].append(link.target)
            else:
                self._reads(link.target, row[link.source])
        user = self._only_users(picture)
        for i in self.order:
            for leaf in () if i in self.beside else boxes[i].inside:
                if id(leaf) in user:
                    self._reads(i, row[user[id(leaf)]])
        self.main = self._main_operands()
        self.fixed = self._fixed()

    def _only_users(self, picture: Picture) -> dict[int, int]:
        """Map forward leaves with one user to it: what reads such a leaf in the gradient belongs beside that user."""
        users: dict[int, list[int]] = {}
        for link in picture.links:
            source = picture.boxes[link.source]
            if source.kind in ("input", "parameter") and not source.gradient:
                users.setdefault(id(source.node), []).append(link.target)
        return {leaf: found[0] for leaf, found in users.items() if len(set(found)) == 1}

    def _reads(self, box: int, row: int) -> None:
        self.beside[box] = max(row, self.beside.get(box, row))

    def _main_operands(self) -> dict[int, int]:
        depth: dict[int, int] = {}
        main: dict[int, int] = {}
        for i in self.order:
            if self.operands[i]:
                main[i] = max(self.operands[i], key=lambda j: (depth[j], -j))
            depth[i] = 1 + depth[main[i]] if i in main else 0
        return main

    def _fixed(self) -> set[int]:
        """Collect the results and the main operands behind them; all others hang."""
        fixed: set[int] = set()
        for i in reversed(self.order):
            if not self.users[i] or any(self.main[user] == i and user in fixed for user in self.users[i]):
                fixed.add(i)
        return fixed

    def settle(self) -> None:
        """Give rows from the operands to the results, then to what hangs."""
        bound: dict[int, float] = {}
        beside: dict[int, float] = {}
        for i in self.order:
            hanging = [j for j in self.operands[i] if j not in self.fixed]
            beside[i] = max((beside[j] for j in hanging), default=-math.inf)
            beside[i] = max(beside[i], self.beside.get(i, -math.inf))
            bound[i] = min((bound[j] - 1 for j in self.operands[i]), default=math.inf)
            if i in self.fixed:
                wanted = beside[i] if beside[i] > -math.inf else self.last
                self.row[i] = int(min(wanted, bound[i]))
                bound[i] = self.row[i]
        for i in reversed(self.order):
            if i not in self.fixed:
                self.row[i] = 1 + max(self.row[user] for user in self.users[i])
