"""Boxes in lanes and rows: the forward computation downwards, the gradient upwards beside it.

In: a picture. Out: its lanes, each laid out by itself, and the heights of the rows that they share. It must not know
the ways of links, colours or markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.drawing.coordinates import positions
from symgrad.drawing.lanes import box_rows
from symgrad.drawing.layering import Layers, layered
from symgrad.drawing.measure import SHAPE_SIZE, box_size, text_width, title_width
from symgrad.drawing.ordering import order_rows
from symgrad.drawing.picture import LOOSE, Box, Picture

__all__ = ["TRACK", "Lane", "Place", "Rows", "lanes_of", "stacked"]

FAR = 24  # rows between the ends of a link from which on it is led around its lane
LABEL = 16.0  # the height of a shape written at a link
GAP, WIDEST_GAP, SLOPE = 18.0, 64.0, 0.16  # between rows; it grows with how far links go aside in it
CROSSING = 40.0  # how much wider a lane may be to save a crossing
TRACK = 8.0  # between parallel wires
_WEIGHTS = {"operator": 4, "layer": 4, "cut": 4, "input": 2, "parameter": 1, "constant": 0}


@dataclass(slots=True)
class Place:
    """The middle and the size of a box."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        """Give the upper edge."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """Give the lower edge."""
        return self.y + self.height / 2


@dataclass(slots=True, eq=False)
class Lane:
    """Boxes laid out together: their numbers, and their items; in a `rising` lane level 0 is the last row."""

    boxes: list[int]
    layers: Layers
    x: list[float]  # of items
    width: float
    rising: bool
    first: int  # the row of level 0
    far: list[tuple[int, int]]  # links that are led around

    @property
    def rows(self) -> int:
        """Give the number of rows from the top of the drawing to the last one of the lane."""
        return self.first + (1 if self.rising else len(self.layers.rows))

    def row(self, item: int) -> int:
        """Give the row of an item."""
        level = self.layers.level[item]
        return self.first - level if self.rising else self.first + level


@dataclass(slots=True)
class Rows:
    """The middle of each row, and how far boxes and their labels reach above and below it."""

    middle: list[float]
    above: list[float]
    below: list[float]

    def top(self, row: int) -> float:
        """Give where the boxes of a row begin."""
        return self.middle[row] - self.above[row]

    def bottom(self, row: int) -> float:
        """Give where the boxes of a row end."""
        return self.middle[row] + self.below[row]


def lanes_of(picture: Picture) -> tuple[list[Lane], list[int]]:
    """Lay out the forward computation, and the gradient if there is one; give the row of each box, too."""
    rows, frames = box_rows(picture)
    lanes = []
    for rising in (False, True):
        boxes = [i for i, box in enumerate(picture.boxes) if picture.rises(box) == rising]
        if boxes:
            lanes.append(_lane(picture, boxes, rows, frames, rising=rising))
    return lanes, rows


def _lane(picture: Picture, boxes: list[int], rows: Sequence[int], frames: Sequence[int], *, rising: bool) -> Lane:
    local = {i: k for k, i in enumerate(boxes)}
    links = [(link.source, link.target) for link in picture.links if link.source in local and link.target in local]
    far = [(u, v) for u, v in links if abs(rows[u] - rows[v]) > FAR]
    edges = [(local[u], local[v]) for u, v in links if abs(rows[u] - rows[v]) <= FAR]
    first = max(rows[i] for i in boxes) if rising else min(rows[i] for i in boxes)
    if any(frames[i] != LOOSE and rows[i] == first for i in boxes):
        first -= 1  # a frame reaches above its boxes
    levels = [abs(rows[i] - first) for i in boxes]
    frame = [frames[i] for i in boxes]
    weights = [_WEIGHTS[picture.boxes[i].kind] for i in boxes]
    halves = [_halves(picture.boxes[i]) for i in boxes]
    results = []
    for spread in (False, True) if rising else (False,):
        layers = layered(levels, list(dict.fromkeys(edges)), frame, weights)
        crossings = order_rows(layers, spread=spread)
        x = positions(layers, halves, {g: title_width(picture.frames[g]) for g in layers.borders})
        width = max([x[k] + right for k, (_, right) in enumerate(halves)] + x)
        results.append((CROSSING * crossings + width, width, layers, x))
    _, width, layers, x = min(results, key=lambda result: result[0])
    return Lane(boxes, layers, x, width, rising, first, list(dict.fromkeys(far)))


def _halves(box: Box) -> tuple[float, float]:
    """Tell how far a box reaches from its middle, with the shape at its link, which stands to the right."""
    half = box_size(box)[0] / 2
    return half, max(half, text_width(box.shape, SHAPE_SIZE) + 8.0) if box.shape else half


# -- rows in the height -----------------------------------------------------------------------------------------------


def stacked(picture: Picture, lanes: Sequence[Lane], rows: Sequence[int], tracks: Sequence[int], top: float) -> Rows:
    """Place rows below one another.

    - `tracks`: how many wires run along below each row; the first is above all rows.
    """
    count = len(tracks) - 1
    above, below = [5.0] * count, [5.0] * count
    for i, row in enumerate(rows):
        box = picture.boxes[i]
        half = box_size(box)[1] / 2
        label = LABEL if box.shape else 0.0
        above[row] = max(above[row], half + (label if picture.rises(box) else 0.0))
        below[row] = max(below[row], half + (0.0 if picture.rises(box) else label))
    for lane in lanes:
        for left, _ in lane.layers.borders.values():
            above[lane.row(left[0])] = max(above[lane.row(left[0])], 11.0)
    below = [b + TRACK * n + (4.0 if n else 0.0) for b, n in zip(below, tracks[1:], strict=True)]
    gaps = _gaps(lanes, count, set(rows))
    y = top + TRACK * tracks[0]
    middle = []
    for row in range(count):
        middle.append(y + above[row])
        y = middle[-1] + below[row] + (gaps[row] if row + 1 < count else 0.0)
    return Rows(middle, above, below)


def _gaps(lanes: Sequence[Lane], count: int, filled: set[int]) -> list[float]:
    """Give the distances between rows: small where one has no box, larger where links go far aside."""
    gaps = [GAP if {row, row + 1} <= filled else GAP / 2 for row in range(count)]
    for lane in lanes:
        for item, ups in enumerate(lane.layers.above):
            for up in ups:
                upper = min(lane.row(item), lane.row(up))
                aside = abs(lane.x[item] - lane.x[up])
                gaps[upper] = max(gaps[upper], min(WIDEST_GAP, GAP + SLOPE * aside) if aside > 0.5 else 0.0)
    return gaps
