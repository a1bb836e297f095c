"""Where everything in a drawing stands, ready to be written down.

In: a picture. Out: a `Drawing`: the places of boxes and frames, the ways of links, the sides of the sheet. It must not
know colours or markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symgrad.drawing.arrangement import TRACK, Lane, Place, Rows, lanes_of, stacked
from symgrad.drawing.coordinates import title_ends
from symgrad.drawing.curves import Way, arrivals, curves
from symgrad.drawing.measure import box_size
from symgrad.drawing.picture import Picture
from symgrad.drawing.wires import Wiring

__all__ = ["Drawing", "Heading", "drawn", "shape_anchor"]

_MARGIN, _HEADING, _BETWEEN, _INSET = 16.0, 26.0, 24.0, 6.0


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a lane."""

    text: str
    x: float
    y: float
    gradient: bool


@dataclass(slots=True)
class FramePlace(Place):
    """The middle and the size of a frame, and where its title begins: right of what enters it."""

    title: float


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A picture with places: of boxes in their order, of frames in theirs (None for one that is not drawn)."""

    picture: Picture
    places: tuple[Place, ...]
    frames: tuple[FramePlace | None, ...]
    ways: tuple[Way, ...]
    headings: tuple[Heading, ...]
    width: float
    height: float


def drawn(picture: Picture) -> Drawing:
    """Lay a picture out."""
    if not picture.boxes:
        return Drawing(picture, (), (), (), (), 2 * _MARGIN, 2 * _MARGIN)
    lanes, row = lanes_of(picture)
    wiring = Wiring(picture, lanes, row)
    top = _MARGIN + (_HEADING if len(lanes) > 1 else 0.0)
    rows = stacked(picture, lanes, row, wiring.tracks, top)
    places, trunks, starts, width = _across(picture, lanes, row, rows, wiring)
    arrival = {k: v for lane in lanes for k, v in arrivals(lane, places, wiring.arriving).items()}
    ways = [way for lane in lanes for way in curves(lane, places, rows, arrival)]
    ways += wiring.ways(places, rows, arrival, trunks)
    ways = _numbered(picture, ways)
    frames = [_frame(lanes, starts, rows, number) for number in range(len(picture.frames))]
    headings = []
    if len(lanes) > 1:
        headings = [Heading(("forward", "gradient")[lane.rising], start, _MARGIN + 10.0, lane.rising)
                    for lane, start in zip(lanes, starts, strict=True)]  # fmt: skip
    height = rows.bottom(len(rows.middle) - 1) + _MARGIN
    right = max([width, *(f.x + f.width / 2 + _MARGIN for f in frames if f is not None)])
    size = round(right, 1), round(height, 1)
    return Drawing(picture, tuple(places), tuple(frames), tuple(ways), tuple(headings), *size)


def _numbered(picture: Picture, ways: Sequence[Way]) -> list[Way]:
    """Number the links to a box where their order matters and does not show: they should come from left to right."""
    operand = {(link.source, link.target): link.operand for link in reversed(picture.links)}
    arriving: dict[int, list[Way]] = {}
    for way in ways:
        if picture.boxes[way.target].ordered:
            arriving.setdefault(way.target, []).append(way)
    unclear = set()
    for target, found in arriving.items():
        found.sort(key=lambda way: (way.tip[0], way.tip[1]))
        order = [operand[way.source, target] for way in found]
        if order != sorted(order) or len({way.heading for way in found}) > 1:
            unclear.add(target)
    return [replace(way, ordinal=operand[way.source, way.target] + 1) if way.target in unclear else way for way in ways]


def _across(
    picture: Picture, lanes: Sequence[Lane], row: Sequence[int], rows: Rows, wiring: Wiring
) -> tuple[list[Place], dict[str, float], list[float], float]:
    """Place lanes and trunks side by side; give boxes, trunks, where lanes start, and the width of the sheet."""
    x = _MARGIN
    trunks = {"left": x + TRACK / 2}
    x += TRACK * wiring.columns["left"] + (_BETWEEN / 2 if wiring.columns["left"] else 0.0)
    starts = []
    places: dict[int, Place] = {}
    for lane in lanes:
        if lane is not lanes[0]:
            trunks["middle"] = x + _BETWEEN
            x += 2 * _BETWEEN + TRACK * max(0, wiring.columns["middle"] - 1)
        starts.append(x)
        for item, i in enumerate(lane.boxes):
            width, height = box_size(picture.boxes[i])
            places[i] = Place(round(x + lane.x[item], 1), round(rows.middle[row[i]], 1), width, height)
        x += lane.width
    trunks.setdefault("middle", x)
    trunks["right"] = x + _BETWEEN / 2
    x += _BETWEEN / 2 + TRACK * wiring.columns["right"] if wiring.columns["right"] else 0.0
    return [places[i] for i in range(len(places))], trunks, starts, x + _MARGIN


def _frame(lanes: Sequence[Lane], starts: Sequence[float], rows: Rows, number: int) -> FramePlace | None:
    for lane, start in zip(lanes, starts, strict=True):
        if number in lane.layers.borders:
            left, right = lane.layers.borders[number]
            low, high = start + lane.x[left[0]] - _INSET, start + lane.x[right[0]] + _INSET
            top, bottom = rows.top(lane.row(left[0])), rows.bottom(lane.row(left[-1]))
            before = title_ends(lane.layers, number)[0]
            title = low + 10.0 if before == left[0] else start + lane.x[before] + 8.0
            return FramePlace((low + high) / 2, (top + bottom) / 2, high - low, bottom - top, title)
    return None


def shape_anchor(drawing: Drawing, i: int) -> tuple[float, float]:
    """Give where the shape of a box stands: beside its outgoing links."""
    place, picture = drawing.places[i], drawing.picture
    return place.x + 5.0, place.top - 5.5 if picture.rises(picture.boxes[i]) else place.bottom + 11.5
