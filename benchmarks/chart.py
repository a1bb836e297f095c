"""A bar chart of results as a plain SVG: for each case a bar for everyone, as long as their speed to the best peer's.

In: results of rungs. Out: text, the same for the same numbers. It must not know who is measured, but symgrad, whose
bars are of another colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.contest import OURS
from benchmarks.measure import CaseResult, RungResult
from benchmarks.report import seconds_text

WIDTH, LEFT, RIGHT = 860, 250, 110  # of the sheet, the names, and the numbers behind the bars
BAR, GAP, MARGIN = 14, 20, 12  # heights, and the space around everything
COLOURS = {True: "#1565c0", False: "#b0bec5"}  # of symgrad, of peers
FONT = 'font-family="sans-serif" font-size="11"'


def bar_chart(rungs: Sequence[RungResult]) -> str:
    """Draw all cases that have a peer."""
    cases = [(rung.name, case) for rung in rungs for case in rung.cases if case.best(ours=False) is not None]
    speeds = [speed for _, case in cases for _, speed, _ in _bars(case)]
    scale = (WIDTH - LEFT - RIGHT) / max(speeds, default=1.0)
    lines, y = [], MARGIN + BAR
    lines.append(_text(MARGIN, y, "speed to the best peer's = 1 (longer is faster); median of a step"))
    for name, case in cases:
        y += GAP
        lines.append(_text(MARGIN, y + BAR - 3, f"{name}: {case.title}", bold=True))
        y += BAR
        top = y
        for label, speed, seconds in _bars(case):
            lines.append(_text(MARGIN, y + BAR - 3, label))
            colour = COLOURS[label.startswith(OURS)]
            lines.append(
                f'<rect x="{LEFT}" y="{y + 1}" width="{speed * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            lines.append(_text(LEFT + speed * scale + 4, y + BAR - 3, f"{speed:.2f} ({seconds_text(seconds)})"))
            y += BAR
        at = f"{LEFT + scale:.1f}"
        lines.append(f'<line x1="{at}" y1="{top}" x2="{at}" y2="{y}" stroke="#37474f" stroke-dasharray="2 2"/>')
    height = y + MARGIN
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>\n<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([opening, *lines, "</svg>"]) + "\n"


def _bars(case: CaseResult) -> Iterator[tuple[str, float, float]]:
    """Give (label, speed to the best peer's, seconds), the fastest first."""
    peer = case.best(ours=False)
    assert peer is not None
    for timing in sorted(case.timings, key=lambda t: t.median):
        yield timing.label, peer.median / timing.median, timing.median


def _text(x: float, y: float, text: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}"{weight}>{escape(text)}</text>'
