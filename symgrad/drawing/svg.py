"""A drawing as SVG: self-contained, light and dark, the same bytes always.

In: a drawing, and the mathematics of its boxes. Out: text. Colours are CSS variables of the root element, so that a
page may set others; every box has an id by its place in topological order, and says in a tooltip what it computes;
layers are groups that a page's script can fold. It must not know how places were found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Final

from symgrad.drawing.arrangement import Place
from symgrad.drawing.curves import Way, number
from symgrad.drawing.measure import Line, box_lines, frame_title
from symgrad.drawing.picture import LOOSE, Box
from symgrad.drawing.sheet import Drawing, Heading, shape_anchor

__all__ = ["svg_text"]

_LIGHT: Final = {
    "paper": "#ffffff", "ink": "#1f2933", "quiet": "#6b7785", "forward": "#2f6fd0", "forward-fill": "#eaf2fd",
    "gradient": "#d9660b", "gradient-fill": "#fef0e2", "parameter": "#2c8a5b", "parameter-fill": "#e8f6ee",
    "input": "#5b6773", "input-fill": "#f1f4f7", "wire": "#8fb3e6", "frame": "#b9c6d6", "frame-fill": "#f7f9fc",
}  # fmt: skip
_DARK: Final = {
    "paper": "#12161c", "ink": "#e4e9ef", "quiet": "#94a1b0", "forward": "#6ea8fe", "forward-fill": "#16263d",
    "gradient": "#ff9d4d", "gradient-fill": "#382312", "parameter": "#5fcf97", "parameter-fill": "#142c20",
    "input": "#9aa7b5", "input-fill": "#1d242c", "wire": "#3f659c", "frame": "#364353", "frame-fill": "#171d25",
}  # fmt: skip
_RULES: Final = """
.symgrad-graph{background:var(--paper)}
.symgrad-graph text{font-family:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--ink)}
.symgrad-graph .sheet{fill:var(--paper)}
.symgrad-graph .node rect{fill:var(--forward-fill);stroke:var(--forward);stroke-width:1.2}
.symgrad-graph .node text{text-anchor:middle;font-size:13px}
.symgrad-graph .name{font-weight:600}
.symgrad-graph .node .detail,.symgrad-graph .layer>.title{font-size:10.5px;fill:var(--quiet)}
.symgrad-graph .node .shape{font-size:10.5px;text-anchor:start;fill:var(--quiet)}
.symgrad-graph .gradient rect{fill:var(--gradient-fill);stroke:var(--gradient)}
.symgrad-graph .parameter rect{fill:var(--parameter-fill);stroke:var(--parameter)}
.symgrad-graph .input rect{fill:var(--input-fill);stroke:var(--input)}
.symgrad-graph .constant rect,.symgrad-graph .cut rect{fill:var(--paper);stroke:var(--quiet);stroke-dasharray:3 2}
.symgrad-graph .result rect{stroke-width:2.4}
.symgrad-graph .edge path{fill:none;stroke:var(--forward);stroke-width:1.2}
.symgrad-graph .edge polygon{fill:var(--forward)}
.symgrad-graph .edge.gradient path{stroke:var(--gradient)}
.symgrad-graph .edge.gradient polygon{fill:var(--gradient)}
.symgrad-graph .edge.shared path{stroke:var(--wire)}
.symgrad-graph .edge.shared polygon{fill:var(--wire)}
.symgrad-graph .edge text{font-size:8.5px;fill:var(--quiet)}
.symgrad-graph .layer>.frame{fill:var(--frame-fill);stroke:var(--frame)}
.symgrad-graph .layer>.title{font-weight:600}
.symgrad-graph .lane{font-size:12px;font-weight:600;letter-spacing:.04em;fill:var(--forward)}
.symgrad-graph .lane.gradient{fill:var(--gradient)}
"""
_ARROW = {  # the corners of an arrow, from its tip
    "down": ((0, 0), (-3.4, -7), (3.4, -7)), "up": ((0, 0), (-3.4, 7), (3.4, 7)),
    "right": ((0, 0), (-7, -3.4), (-7, 3.4)),
}  # fmt: skip
_BESIDE = {"down": (4.5, -2.0), "up": (4.5, 8.0), "right": (-7.0, -5.0)}  # where the number of an operand stands


def svg_text(drawing: Drawing, mathematics: Callable[[Box], str], prefix: str = "") -> str:
    """Write a drawing.

    - `mathematics`: gives the tooltip of a box.
    - `prefix`: begins every id, for several drawings on one page.
    """
    size = f'width="{number(drawing.width)}" height="{number(drawing.height)}"'
    view = f'viewBox="0 0 {number(drawing.width)} {number(drawing.height)}"'
    title, label = _escaped(drawing.picture.title), f'aria-label="{_escaped(drawing.picture.title)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="symgrad-graph" {size} {view} role="img" {label}>',
        f"<title>{title}</title>",
        f"<style>{_style()}</style>",
        '<rect class="sheet" width="100%" height="100%"/>',
        *(_heading(heading) for heading in drawing.headings),
        *_layers(drawing, mathematics, prefix),
        '<g class="edges">',
        *(_edge(drawing, way, prefix) for way in sorted(drawing.ways, key=lambda way: not way.shared)),
        "</g>",
        *(_node(drawing, i, mathematics, prefix) for i in _loose(drawing)),
        "</svg>",
    ]
    return "\n".join(lines)


def _style() -> str:
    light, dark = (";".join(f"--{k}:{v}" for k, v in colours.items()) for colours in (_LIGHT, _DARK))
    return f".symgrad-graph{{{light}}}\n@media (prefers-color-scheme:dark){{.symgrad-graph{{{dark}}}}}{_RULES}"


def _heading(heading: Heading) -> str:
    side = " gradient" if heading.gradient else ""
    return f'<text class="lane{side}" x="{number(heading.x)}" y="{number(heading.y)}">{heading.text}</text>'


_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


# -- boxes ------------------------------------------------------------------------------------------------------------


def _loose(drawing: Drawing) -> Iterator[int]:
    """List the boxes in no frame that is drawn."""
    for i, box in enumerate(drawing.picture.boxes):
        if box.frame == LOOSE or drawing.frames[box.frame] is None:
            yield i


def _layers(drawing: Drawing, mathematics: Callable[[Box], str], prefix: str) -> Iterator[str]:
    """Write each layer as a group: its frame, its title, its boxes."""
    members: dict[int, list[int]] = {}
    for i, box in enumerate(drawing.picture.boxes):
        members.setdefault(box.frame, []).append(i)
    for g, (frame, place) in enumerate(zip(drawing.picture.frames, drawing.frames, strict=True)):
        if place is None:
            continue
        ids = " ".join(prefix + drawing.picture.boxes[i].id for i in members[g])
        data = f'data-layer="{_escaped(frame.name)}" data-kind="{_escaped(frame.kind)}"'
        data += f' data-parameters="{frame.parameters}" data-members="{ids}"'
        yield f'<g id="{prefix}{frame.id}" class="layer" {data}>'
        yield _rect(place, 12.0, ' class="frame"')
        title = _escaped(frame_title(frame))
        yield f'<text class="title" x="{number(place.title)}" y="{number(place.top + 15)}">{title}</text>'
        yield from (_node(drawing, i, mathematics, prefix) for i in members[g])
        yield "</g>"


def _node(drawing: Drawing, i: int, mathematics: Callable[[Box], str], prefix: str) -> str:
    box, place = drawing.picture.boxes[i], drawing.places[i]
    kinds = ["node", box.kind, *(["gradient"] if box.gradient else []), *(["result"] if box.result else [])]
    round_ = place.height / 2 if box.kind in ("input", "parameter", "constant") else 7
    title = f"<title>{_escaped(mathematics(box))}</title>"
    out = [f'<g id="{prefix}{box.id}" class="{" ".join(kinds)}">{title}', _rect(place, round_)]
    lines = box_lines(box)
    for k, line in enumerate(lines):
        out.append(_line(line, place.x, place.y + 4.6 + 15 * (k - (len(lines) - 1) / 2)))
    if box.shape:
        at, base = shape_anchor(drawing, i)
        out.append(f'<text class="shape" x="{number(at)}" y="{number(base)}">{_escaped(box.shape)}</text>')
    return "".join([*out, "</g>"])


def _rect(place: Place, radius: float, more: str = "") -> str:
    at = f'x="{number(place.x - place.width / 2)}" y="{number(place.top)}"'
    size = f'width="{number(place.width)}" height="{number(place.height)}"'
    return f'<rect{more} {at} {size} rx="{number(radius)}"/>'


def _line(line: Line, x: float, y: float) -> str:
    pieces = []
    for k, (text, style) in enumerate(line.pieces):
        gap = ' dx="1.5"' if k else ""
        pieces.append(f'<tspan class="{style}"{gap}>{_escaped(text)}</tspan>')
    return f'<text x="{number(x)}" y="{number(y)}">{" ".join(pieces)}</text>'


# -- links ------------------------------------------------------------------------------------------------------------


def _edge(drawing: Drawing, way: Way, prefix: str) -> str:
    boxes = drawing.picture.boxes
    side = " shared" if way.shared else " gradient" if boxes[way.target].gradient else ""
    x, y = way.tip
    arrow = " ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in _ARROW[way.heading])
    ends = f'data-from="{prefix}{boxes[way.source].id}" data-to="{prefix}{boxes[way.target].id}"'
    ordinal = _ordinal(way, drawing.places[way.target]) if way.ordinal else ""
    return f'<g class="edge{side}" {ends}><path d="{way.path}"/><polygon points="{arrow}"/>{ordinal}</g>'


def _ordinal(way: Way, target: Place) -> str:
    """Write which operand a link is, on the outer side of its arrow."""
    dx, dy = _BESIDE[way.heading]
    is_left = way.tip[0] < target.x - 1
    x, y = number(way.tip[0] - abs(dx) if is_left else way.tip[0] + dx), number(way.tip[1] + dy)
    anchor = ' text-anchor="end"' if is_left else ""
    return f'<text x="{x}" y="{y}"{anchor}>{way.ordinal}</text>'


def _escaped(text: str) -> str:
    """Escape text for elements and attributes; what XML cannot hold is shown as such."""
    return escape(_FORBIDDEN.sub("\ufffd", text))
