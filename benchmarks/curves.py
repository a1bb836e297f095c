"""Curves of seconds against a size as a plain SVG, both axes logarithmic: what grows as the size does is a diagonal.

In: plots. Out: text, the same for the same numbers. Dotted diagonals show growth in proportion. It must not know what
is plotted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.chart import FONT
from benchmarks.report import seconds_text

WIDTH, LEFT, RIGHT = 860, 70, 130  # of the sheet, the times, and the names behind the curves
TOP, BOTTOM, MARGIN = 34, 40, 12
DECADE = 90  # height of a factor of ten
COLOURS = ("#1565c0", "#ef6c00", "#2e7d32", "#6a1b9a")
LINE = 14  # height of a line of text


@dataclass(frozen=True, slots=True)
class Curve:
    """A name, and pairs of size and seconds, by size."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves in one frame."""

    title: str
    size: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where numbers lie on the sheet; decades of x and y, the ends included."""

    top: float
    x: tuple[int, int]
    y: tuple[int, int]

    @property
    def bottom(self) -> float:
        return self.top + DECADE * (self.y[1] - self.y[0])

    def across(self, size: float) -> float:
        return LEFT + (math.log10(size) - self.x[0]) * (WIDTH - LEFT - RIGHT) / (self.x[1] - self.x[0])

    def down(self, seconds: float) -> float:
        return self.bottom - (math.log10(seconds) - self.y[0]) * DECADE


def curve_chart(plots: Sequence[Plot]) -> str:
    """Draw one plot below the other."""
    lines: list[str] = []
    top: float = MARGIN
    for plot in plots:
        frame = _frame(plot, top + TOP)
        lines += [_text(MARGIN, top + LINE, plot.title, "bold"), *_grid(frame, plot.size), *_curves(frame, plot.curves)]
        top = frame.bottom + BOTTOM
    height = round(top + MARGIN)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>\n<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([opening, *lines, "</svg>"]) + "\n"


def _frame(plot: Plot, top: float) -> _Frame:
    points = [point for curve in plot.curves for point in curve.points]
    return _Frame(top, _decades([size for size, _ in points]), _decades([seconds for _, seconds in points]))


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Give the powers of ten around all values, at least one decade.

    >>> _decades([1, 8192]), _decades([3e-6, 4e-6])
    ((0, 4), (-6, -5))
    """
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _grid(frame: _Frame, size: str) -> Iterator[str]:
    left, right = LEFT, WIDTH - RIGHT
    for power in range(frame.y[0], frame.y[1] + 1):
        y = frame.down(10.0**power)
        yield _path([(left, y), (right, y)], "#cfd8dc")
        yield _text(left - 6, y + 4, seconds_text(10.0**power), "end")
    for power in range(frame.x[0], frame.x[1] + 1):
        x = frame.across(10.0**power)
        yield _path([(x, frame.top), (x, frame.bottom)], "#cfd8dc")
        yield _text(x, frame.bottom + LINE, f"{10**power:,}", "middle")
    yield _text((left + right) / 2, frame.bottom + 2 * LINE, size, "middle")
    for shift in range(frame.y[0] - frame.x[1] + 1, frame.y[1] - frame.x[0]):
        low = max(frame.x[0], frame.y[0] - shift)
        high = min(frame.x[1], frame.y[1] - shift)
        ends = [(frame.across(10.0**p), frame.down(10.0 ** (p + shift))) for p in (low, high)]
        yield _path(ends, "#cfd8dc", ' stroke-dasharray="2 3"')


def _curves(frame: _Frame, curves: Sequence[Curve]) -> Iterator[str]:
    """Draw the curves, and their names at their ends, pushed apart where they would overlap."""
    taken = math.inf
    by_end = sorted(range(len(curves)), key=lambda k: curves[k].points[-1][1])
    for k in by_end:
        curve, colour = curves[k], COLOURS[k % len(COLOURS)]
        places = [(frame.across(size), frame.down(seconds)) for size, seconds in curve.points]
        yield _path(places, colour, ' stroke-width="1.5"')
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colour}"/>' for x, y in places)
        x, y = places[-1]
        taken = min(y + 4, taken - LINE)
        yield _text(x + 8, taken, curve.name, colour=colour)


def _path(places: Sequence[tuple[float, float]], colour: str, more: str = "") -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{colour}"{more}/>'


def _text(x: float, y: float, text: str, style: str = "", colour: str = "") -> str:
    styles = {"": "", "bold": ' font-weight="bold"', "middle": ' text-anchor="middle"', "end": ' text-anchor="end"'}
    fill = f' fill="{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{styles[style]}{fill}>{escape(text)}</text>'
