"""The links of a lane as curves from row to row, and the pieces of paths.

In: a lane with places. Out: for each link its way: a path, as SVG's path data, and where its arrow points. A curve goes
through the bends of its link and turns aside only between rows, so it meets no box. It must not know colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from symgrad.drawing.arrangement import Lane, Place, Rows

__all__ = ["Way", "arrivals", "curves", "number", "rounded"]

Point = tuple[float, float]
_PORT, _EDGE, _ROUND = 14.0, 8.0, 7.0  # between arrows at a box, from its corner, the radius of a wire's corner


@dataclass(frozen=True, slots=True)
class Way:
    """A drawn link: its ends, its path, the tip of its arrow and the direction in which that points."""

    source: int
    target: int
    path: str
    tip: Point
    heading: str  # down, up or right
    shared: bool  # leads from the forward computation to the gradient
    ordinal: int = 0  # which operand it is, from 1, where that could not be told


def number(value: float) -> str:
    """Write a coordinate, short."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def rounded(points: Sequence[Point]) -> str:
    """Write a line through points as a path with round corners.

    >>> rounded([(0, 0), (20, 0), (20, 30)])
    'M0 0L13 0Q20 0 20 7L20 30'
    """
    line = [points[0], *(b for a, b in pairwise(points) if a != b)]
    out = [f"M{_at(line[0])}"]
    for before, corner, after in zip(line, line[1:], line[2:], strict=False):
        radius = min(_ROUND, _distance(before, corner) / 2, _distance(corner, after) / 2)
        out.append(f"L{_at(_towards(corner, before, radius))}Q{_at(corner)} {_at(_towards(corner, after, radius))}")
    return "".join([*out, f"L{_at(line[-1])}" if len(line) > 1 else ""])


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(a: Point, b: Point, way: float) -> Point:
    part = way / _distance(a, b)
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part


# -- curves -----------------------------------------------------------------------------------------------------------


def arrivals(lane: Lane, places: Sequence[Place], wires: Mapping[int, Sequence[int]]) -> dict[tuple[int, int], float]:
    """Give where links and wires arrive at a box, by (source, target), from its middle: as they come, left to right.

    What comes straight arrives in the middle. `wires` lists the sources of wires that arrive left of all links.
    """
    found: dict[tuple[int, int], float] = {}
    arriving: dict[int, list[tuple[float, int]]] = {k: [] for k in range(len(lane.boxes))}
    for (u, v), bends in lane.layers.bends.items():
        arriving[v].append((lane.x[bends[-1] if bends else u], lane.boxes[u]))
    for v, linked in arriving.items():
        box = lane.boxes[v]
        first = wires.get(box, ())
        linked.sort()
        sources = [*first, *(u for _, u in linked)]
        straight = [i for i, (x, _) in enumerate(linked, len(first)) if abs(x - lane.x[v]) < 0.5]
        middle = straight[0] if straight else (len(sources) - 1) / 2
        room = places[box].width / 2 - _EDGE
        step = min(_PORT, room / max(middle, len(sources) - 1 - middle, 1))
        found |= {(u, box): (i - middle) * step for i, u in enumerate(sources)}
    return found


def curves(
    lane: Lane, places: Sequence[Place], rows: Rows, arrival: Mapping[tuple[int, int], float]
) -> Iterator[Way]:  # fmt: skip
    """Draw the links of a lane from row to row."""
    for (u, v), bends in lane.layers.bends.items():
        one, other = lane.boxes[u], lane.boxes[v]
        source, target = places[one], places[other]
        shift = source.x - lane.x[u]
        end = target.x + arrival[one, other]
        first, last = (source.top, target.bottom) if lane.rising else (source.bottom, target.top)
        points = [(lane.row(u), source.x), *((lane.row(b), lane.x[b] + shift) for b in bends), (lane.row(v), end)]
        path = f"M{_at((source.x, first))}{_through(points, rows, rising=lane.rising)}V{number(last)}"
        yield Way(one, other, path, (end, last), "up" if lane.rising else "down", False)


def _through(points: Sequence[tuple[int, float]], rows: Rows, *, rising: bool) -> str:
    """Go straight through rows, and aside between them."""
    out = []
    for (row, x), (next_row, next_x) in pairwise(points):
        leave = rows.top(row) if rising else rows.bottom(row)
        arrive = rows.bottom(next_row) if rising else rows.top(next_row)
        if abs(x - next_x) > 0.05:
            half = (leave + arrive) / 2
            out.append(f"V{number(leave)}C{_at((x, half))} {_at((next_x, half))} {_at((next_x, arrive))}")
    return "".join(out)
