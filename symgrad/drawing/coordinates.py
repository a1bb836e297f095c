"""Where items stand in their rows: straight lines, nothing too close (Brandes and Köpf, "Fast and simple horizontal
coordinate assignment", 2002).

In: ordered `Layers`, and how far items reach. Out: the middle of each item. Items along the spine are aligned into
blocks, four times, leaning left or right and downwards or upwards; each time blocks are placed as close as they may be,
and the mean of the two middle results counts. Borders of frames are blocks that no line may cross. At last, what hangs
on the spine by no line is drawn to its users. It must not know heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from symgrad.drawing.layering import Layers

__all__ = ["positions", "title_ends"]

Conflicts = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Spacing:
    """The least distances between the sides of neighbours: nodes, and lines that pass."""

    node: float = 22.0
    bend: float = 14.0
    border: float = 24.0


def positions(
    layers: Layers, halves: Sequence[tuple[float, float]], least: Mapping[int, float] | None = None,
    spacing: Spacing | None = None,
) -> list[float]:  # fmt: skip
    """Give the middle of every item; neighbours in a row keep their order and their distance.

    - `halves`: how far each node reaches to the left and to the right of its middle; what is no node has no width.
    - `least`: of each frame, how much is free in its first row, for a title.
    """
    room = _Room(layers, halves, spacing or Spacing(), least or {})
    conflicts = _conflicts(layers)
    results = []
    for down in (True, False):
        for left in (True, False):
            blocks = _aligned(layers, conflicts, down=down, left=left)
            results.append(_compacted(layers, room, blocks, left=left))
    middle = _balanced(results)
    _straighten(layers, room, middle)
    _draw_near(layers, room, middle)
    first = min((middle[i] - room.left[i] for i in range(len(middle))), default=0.0)
    return [x - first for x in middle]


class _Room:
    """How far apart neighbours must stand."""

    def __init__(
        self, layers: Layers, halves: Sequence[tuple[float, float]], spacing: Spacing, least: Mapping[int, float]
    ) -> None:
        count = len(layers.level)
        rest = [0.0] * (count - layers.nodes)
        self.left = [left for left, _ in halves] + rest
        self.right = [right for _, right in halves] + rest
        self.margin = [spacing.node / 2] * layers.nodes + [spacing.bend / 2] * (count - layers.nodes)
        for border in layers.side:
            self.margin[border] = spacing.border / 2
        self.titles = [(*title_ends(layers, g), width) for g, width in least.items()]

    def between(self, left: int, right: int) -> float:
        """Give the least distance between the middles of two neighbours."""
        return self.right[left] + self.margin[left] + self.margin[right] + self.left[right]


def title_ends(layers: Layers, g: int) -> tuple[int, int]:
    """Give the items between which the title of a frame stands: the last that enters it, and its right border."""
    right = layers.borders[g][1][0]
    row = layers.rows[layers.level[right]]
    return row[row.index(right) - 1], right


# -- blocks -----------------------------------------------------------------------------------------------------------


def _conflicts(layers: Layers) -> Conflicts:
    """Collect the links that cross a straight one: lines give way to borders, and last pieces of lines to bends."""
    found: Conflicts = set()
    for upper, lower in zip(layers.rows, layers.rows[1:], strict=False):
        place = {item: i for i, item in enumerate(upper)}
        found |= _crossing(layers, lower, place, [item in layers.side for item in lower])
        inner = [item >= layers.nodes and any(up >= layers.nodes for up in layers.above[item]) for item in lower]
        found |= {link for link in _crossing(layers, lower, place, inner) if min(link) < layers.nodes}
    return found


def _crossing(layers: Layers, lower: Sequence[int], place: dict[int, int], straight: Sequence[bool]) -> Conflicts:
    """Collect the links between two rows that cross one to an item of the lower row that has a `straight` line."""
    found: Conflicts = set()
    first, start = -1, 0
    for at, item in enumerate(lower):
        ups = [place[up] for up in layers.above[item]]
        fixed = straight[at] and bool(ups)
        if not fixed and at + 1 < len(lower):
            continue
        last = ups[0] if fixed else len(place)
        for other in lower[start : at + 1]:
            links = [up for up in layers.above[other] if not first <= place[up] <= last]
            found |= {(up, other) for up in links}
        first, start = last, at + 1
    return found


def _aligned(layers: Layers, conflicts: Conflicts, *, down: bool, left: bool) -> list[int]:
    """Align items with the median of what they are linked to in the row before; give each item's block."""
    block = list(range(len(layers.level)))
    place = {item: i for row in layers.rows for i, item in enumerate(row)}
    taken: set[int] = set()
    rows = layers.rows[1:] if down else layers.rows[-2::-1]
    for row in rows:
        limit = -1 if left else len(layers.level)
        for item in row if left else reversed(row):
            linked = _spine_links(layers, item, down=down)
            linked.sort(key=place.__getitem__)
            for other in _medians(linked, left=left):
                link = (other, item) if down else (item, other)
                free = place[other] > limit if left else place[other] < limit
                if free and other not in taken and link not in conflicts:
                    block[item] = block[other]
                    taken.add(other)
                    limit = place[other]
                    break
    return block


def _spine_links(layers: Layers, item: int, *, down: bool) -> list[int]:
    if down:
        return [up for up in layers.above[item] if (up, item) in layers.spine]
    return [low for low in layers.below[item] if (item, low) in layers.spine]


def _medians(linked: Sequence[int], *, left: bool) -> list[int]:
    if not linked:
        return []
    low, high = (len(linked) - 1) // 2, len(linked) // 2
    both = [linked[low]] if low == high else [linked[low], linked[high]]
    return both if left else both[::-1]


def _compacted(layers: Layers, room: _Room, block: Sequence[int], *, left: bool) -> list[float]:
    """Place blocks as far to one side as they may stand, then back as far as the others let them."""
    sign = 1 if left else -1
    after: dict[int, dict[int, float]] = {b: {} for b in block}
    for row in layers.rows:
        line = row if left else row[::-1]
        for one, other in pairwise(line):
            a, b = block[one], block[other]
            gap = room.between(one, other) if left else room.between(other, one)
            after[a][b] = max(after[a].get(b, gap), gap)
    for low, high, gap in room.titles:
        a, b = (block[low], block[high]) if left else (block[high], block[low])
        after[a][b] = max(after[a].get(b, gap), gap)
    waits = dict.fromkeys(after, 0)
    for following in after.values():
        for b in following:
            waits[b] += 1
    order = [b for b, n in waits.items() if not n]
    x = dict.fromkeys(after, 0.0)
    for a in order:  # grows while it is read
        for b, gap in after[a].items():
            x[b] = max(x[b], x[a] + gap)
            waits[b] -= 1
            if not waits[b]:
                order.append(b)
    for a in reversed(order):
        if after[a] and layers.side.get(a) != sign:  # a far border stays close to what it encloses
            x[a] = max(x[a], min(x[b] - gap for b, gap in after[a].items()))
    return [sign * x[b] for b in block]


def _balanced(results: Sequence[Sequence[float]]) -> list[float]:
    """Shift the four results to the sides of the narrowest, and take the mean of the two in the middle."""
    if not results[0]:
        return []
    extents = [(min(xs), max(xs)) for xs in results]
    low, high = min(extents, key=lambda e: e[1] - e[0])
    shifted = []
    for number, (xs, extent) in enumerate(zip(results, extents, strict=True)):
        shift = low - extent[0] if number % 2 == 0 else high - extent[1]
        shifted.append([x + shift for x in xs])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*shifted, strict=True)]


# -- touches ----------------------------------------------------------------------------------------------------------

_NEARLY = 18.0  # how far a line may be from straight to be made straight


def _straighten(layers: Layers, room: _Room, x: list[float]) -> None:
    """Move blocks where a line of the spine is nearly straight, if there is room for all that hangs together."""
    left = {b: a for row in layers.rows for a, b in pairwise(row)}
    right = {a: b for b, a in left.items()}
    block = {item: [item] for link in layers.spine for item in link}
    bent = []
    for upper, lower in sorted(layers.spine):
        if abs(x[upper] - x[lower]) > 0.01:
            bent.append((round(abs(x[upper] - x[lower]), 3), upper, lower))
        elif block[upper] is not block[lower]:
            _join(block, upper, lower)
    for away, upper, lower in sorted(bent):
        if away > _NEARLY or block[upper] is block[lower]:
            continue
        for one, other in sorted(((upper, lower), (lower, upper)), key=lambda pair: len(block[pair[0]])):
            shift = x[other] - x[one]
            if all(_fits(room, x, item, shift, left, right) for item in block[one]):
                for item in block[one]:
                    x[item] += shift
                _join(block, one, other)
                break


def _join(block: dict[int, list[int]], one: int, other: int) -> None:
    small, large = sorted((block[one], block[other]), key=len)
    large += small
    for item in small:
        block[item] = large


def _fits(
    room: _Room, x: Sequence[float], item: int, shift: float, left: dict[int, int], right: dict[int, int]
) -> bool:
    near = right.get(item) if shift > 0 else left.get(item)
    if near is None:
        return True
    gap = room.between(item, near) if shift > 0 else room.between(near, item)
    return abs(x[near] - x[item]) - gap >= abs(shift) - 1e-9


# -- what hangs on by no straight line --------------------------------------------------------------------------------


def _draw_near(layers: Layers, room: _Room, x: list[float]) -> None:
    """Move items that are on no spine towards their users, as far as their neighbours let them."""
    held = {item for link in layers.spine for item in link}
    for _ in range(2):
        for row in layers.rows:
            for at in (*range(len(row)), *range(len(row) - 1, -1, -1)):
                item = row[at]
                if item in held or item in layers.side:
                    continue
                users = [x[low] for low in layers.below[item]] or [x[up] for up in layers.above[item]]
                if not users:
                    continue
                wanted = sum(users) / len(users)
                least = x[row[at - 1]] + room.between(row[at - 1], item) if at else -1e18
                most = x[row[at + 1]] - room.between(item, row[at + 1]) if at + 1 < len(row) else 1e18
                x[item] = max(min(wanted, most), least)
