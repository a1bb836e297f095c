"""Wires: links that are led around the boxes, because they go to another lane or very far.

In: a picture, its lanes, the row of each box. Out: for each such link its way. A wire leaves its box to the side if
nothing stands there, else along a channel below its row; it follows a trunk beside the lanes, and arrives in the same
manner. Wires from one box share their way. It must not know colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.drawing.arrangement import TRACK, Lane, Place, Rows
from symgrad.drawing.curves import Point, Way, rounded
from symgrad.drawing.picture import Picture

__all__ = ["Wiring"]

_TRUNKS = ("left", "middle", "right")
_SPREAD = 6.0  # between wires that arrive at the side of one box


@dataclass(slots=True)
class Net:
    """The wires from one box along one trunk.

    `exit` is the channel along which they leave, None if to the side; `entries` are those along which they arrive, by
    target. Channel c runs below row c, channel -1 above all rows.
    """

    source: int
    trunk: str
    exit: int | None
    entries: dict[int, int | None] = field(default_factory=dict)


class Wiring:
    """The wires of a drawing, and how much room they need: known before rows have places.

    - `tracks`: how many run along in each channel, that above all rows first.
    - `columns`: how many run along in each trunk.
    - `arriving`: by box, the sources of wires that arrive along a channel, before its links.
    """

    def __init__(self, picture: Picture, lanes: Sequence[Lane], rows: Sequence[int]) -> None:
        self._rows, self._lanes = rows, lanes
        self._x = {i: lane.x[k] for lane in lanes for k, i in enumerate(lane.boxes)}
        self._nets = self._connected(picture)
        self._track = self._tracks()
        self.tracks = [0] * (1 + max(lane.rows for lane in lanes))
        for (_, channel), track in self._track.items():
            self.tracks[channel + 1] = max(self.tracks[channel + 1], track + 1)
        self._column = self._columns()
        self.columns = dict.fromkeys(_TRUNKS, 0)
        for net, column in zip(self._nets, self._column, strict=True):
            self.columns[net.trunk] = max(self.columns[net.trunk], column + 1)
        self.arriving: dict[int, list[int]] = {}
        self._beside: dict[int, list[int]] = {}  # sources of wires that arrive at the side
        for net in sorted(self._nets, key=lambda n: (rows[n.source], n.source)):
            for target, entry in net.entries.items():
                (self._beside if entry is None else self.arriving).setdefault(target, []).append(net.source)

    def _connected(self, picture: Picture) -> list[Net]:
        nets: dict[tuple[int, str], Net] = {}
        for lane in self._lanes:
            for u, v in lane.far:
                trunk = "right" if lane.rising else "left"
                far = nets.setdefault((u, trunk), Net(u, trunk, self._rows[u] - lane.rising))
                far.entries[v] = self._rows[v] - (not lane.rising)
        last, first = self._outermost()
        for link in picture.links:
            u, v = link.source, link.target
            if picture.boxes[u].gradient == picture.boxes[v].gradient:
                continue
            exit_ = None if u in last else self._rows[u]
            nets.setdefault((u, "middle"), Net(u, "middle", exit_)).entries[v] = None if v in first else self._rows[v]
        return list(nets.values())

    def _outermost(self) -> tuple[set[int], set[int]]:
        """Collect the last boxes of the rows of the forward lane, and the first ones of the gradient's."""
        ends: tuple[set[int], set[int]] = (set(), set())
        for lane in self._lanes:
            for row in lane.layers.rows:
                boxes = [lane.boxes[item] for item in row if item < len(lane.boxes)]
                if boxes:
                    ends[lane.rising].add(boxes[0 if lane.rising else -1])
        return ends

    def _tracks(self) -> dict[tuple[int, int], int]:
        """Give each net its track in every channel, so that wires from, or to, one side of a row do not cross."""
        users: dict[int, dict[int, float]] = {}
        for number, net in enumerate(self._nets):
            outwards = 1 if net.trunk == "left" else -1
            if net.exit is not None:
                users.setdefault(net.exit, {})[number] = outwards * self._x[net.source]
            for target, channel in net.entries.items():
                if channel is not None:
                    users.setdefault(channel, {}).setdefault(number, -outwards * self._x[target])
        return {
            (number, channel): track
            for channel, keys in users.items()
            for track, number in enumerate(sorted(keys, key=lambda n: (keys[n], n)))
        }

    def _columns(self) -> list[int]:
        """Give each net a column of its trunk; none overlap."""
        spans = [self._span(net) for net in self._nets]
        column = [0] * len(spans)
        ends: dict[str, list[float]] = {trunk: [] for trunk in _TRUNKS}
        for number in sorted(range(len(spans)), key=lambda n: (spans[n], n)):
            low, high = spans[number]
            taken = ends[self._nets[number].trunk]
            free = next((c for c, end in enumerate(taken) if end < low), len(taken))
            taken[free : free + 1] = [high]
            column[number] = free
        return column

    def _span(self, net: Net) -> tuple[float, float]:
        """Give the first and the last row between which a net needs its trunk."""
        ends = [self._rows[net.source] if net.exit is None else net.exit + 0.5]
        ends += [self._rows[v] if channel is None else channel + 0.5 for v, channel in net.entries.items()]
        return min(ends), max(ends)

    def ways(
        self, places: Sequence[Place], rows: Rows, arrival: Mapping[tuple[int, int], float],
        trunks: Mapping[str, float],
    ) -> Iterator[Way]:  # fmt: skip
        """Draw all wires; `trunks` gives where the first column of each trunk is."""
        for number, net in enumerate(self._nets):
            source = places[net.source]
            trunk = trunks[net.trunk] + TRACK * self._column[number]
            start: list[Point] = [(source.x + source.width / 2, source.y)]
            if net.exit is not None:
                y = self._channel(rows, number, net.exit)
                start = [(source.x, source.bottom if y > source.y else source.top), (source.x, y)]
            for target, channel in net.entries.items():
                place = places[target]
                if channel is None:
                    sources = self._beside[target]
                    offset = (sources.index(net.source) - (len(sources) - 1) / 2) * _SPREAD
                    end, heading = [(place.x - place.width / 2, place.y + offset)], "right"
                else:
                    y = self._channel(rows, number, channel)
                    x = place.x + arrival[net.source, target]
                    heading = "up" if y > place.y else "down"
                    end = [(x, y), (x, place.bottom if y > place.y else place.top)]
                path = rounded([*start, (trunk, start[-1][1]), (trunk, end[0][1]), *end])
                yield Way(net.source, target, path, end[-1], heading, net.trunk == "middle")

    def _channel(self, rows: Rows, net: int, channel: int) -> float:
        track, count = self._track[net, channel], self.tracks[channel + 1]
        end = rows.bottom(channel) if channel >= 0 else rows.top(0)
        return end - TRACK * (count - track - 0.5)
