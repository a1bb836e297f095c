"""A picture as text for other tools: Graphviz' DOT, and Mermaid, which Markdown pages show.

In: a picture. Out: text, with the labels that the drawing has, shapes on the links, layers as clusters. It must not
know places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from symgrad.drawing.measure import box_lines, frame_title
from symgrad.drawing.picture import LOOSE, Box, Picture

__all__ = ["dot_text", "mermaid_text"]

_DOT_STYLES = {
    "operator": 'shape=box, style="rounded,filled", color="#2f6fd0", fillcolor="#eaf2fd"',
    "gradient": 'shape=box, style="rounded,filled", color="#d9660b", fillcolor="#fef0e2"',
    "layer": 'shape=box, style="rounded,filled", color="#2f6fd0", fillcolor="#eaf2fd"',
    "parameter": 'shape=ellipse, style=filled, color="#2c8a5b", fillcolor="#e8f6ee"',
    "input": 'shape=ellipse, style=filled, color="#5b6773", fillcolor="#f1f4f7"',
    "constant": 'shape=ellipse, style="dashed,filled", color="#6b7785", fillcolor="#ffffff"',
    "cut": 'shape=box, style="dashed,filled", color="#6b7785", fillcolor="#ffffff"',
}
_MERMAID_STYLES = {
    "operator": "fill:#eaf2fd,stroke:#2f6fd0,color:#1f2933",
    "gradient": "fill:#fef0e2,stroke:#d9660b,color:#1f2933",
    "layer": "fill:#eaf2fd,stroke:#2f6fd0,color:#1f2933",
    "parameter": "fill:#e8f6ee,stroke:#2c8a5b,color:#1f2933",
    "input": "fill:#f1f4f7,stroke:#5b6773,color:#1f2933",
    "constant": "fill:#ffffff,stroke:#6b7785,color:#1f2933,stroke-dasharray:3 2",
    "cut": "fill:#ffffff,stroke:#6b7785,color:#1f2933,stroke-dasharray:3 2",
}
_OVAL = frozenset({"input", "parameter", "constant"})


def dot_text(picture: Picture) -> str:
    """Write a picture in Graphviz' language."""
    lines = [f"digraph {_dot_quoted(picture.title)} {{", '  node [fontname="Helvetica", fontsize=12];',
             '  edge [fontname="Helvetica", fontsize=10, color="#6b7785"];']  # fmt: skip
    for frame, members in _clusters(picture):
        inner = "  "
        if frame != LOOSE:
            inner = "    "
            title = _dot_quoted(frame_title(picture.frames[frame]))
            lines += [f"  subgraph cluster_{picture.frames[frame].id} {{", f"    label={title};",
                      '    style="rounded,filled"; color="#b9c6d6"; fillcolor="#f7f9fc";']  # fmt: skip
        for box in members:
            bold = ", penwidth=2.4" if box.result else ""
            lines.append(f"{inner}{box.id} [label={_dot_quoted(_text(box))}, {_DOT_STYLES[_style(box)]}{bold}];")
        lines += ["  }"] if frame != LOOSE else []
    for source, target in _links(picture):
        label = f" [label={_dot_quoted(source.shape)}]" if source.shape else ""
        lines.append(f"  {source.id} -> {target.id}{label};")
    return "\n".join([*lines, "}"])


def mermaid_text(picture: Picture) -> str:
    """Write a picture as a Mermaid flowchart."""
    lines = ["flowchart TD"]
    for frame, members in _clusters(picture):
        inner = "  "
        if frame != LOOSE:
            inner = "    "
            title = _mermaid_quoted(frame_title(picture.frames[frame]))
            lines.append(f"  subgraph {picture.frames[frame].id}[{title}]")
        for box in members:
            first, last = ("([", "])") if box.kind in _OVAL else ("(", ")")
            lines.append(f"{inner}{box.id}{first}{_mermaid_quoted(_text(box))}{last}:::{_style(box)}")
        lines += ["  end"] if frame != LOOSE else []
    for source, target in _links(picture):
        label = f"|{_mermaid_quoted(source.shape)}|" if source.shape else ""
        lines.append(f"  {source.id} -->{label} {target.id}")
    used = dict.fromkeys(_style(box) for box in picture.boxes)
    lines += [f"  classDef {style} {_MERMAID_STYLES[style]}" for style in _MERMAID_STYLES if style in used]
    return "\n".join(lines)


def _clusters(picture: Picture) -> Iterator[tuple[int, Sequence[Box]]]:
    """List the boxes of each layer, then all others."""
    members: dict[int, list[Box]] = {frame: [] for frame in (*range(len(picture.frames)), LOOSE)}
    for box in picture.boxes:
        members[box.frame].append(box)
    yield from members.items()


def _links(picture: Picture) -> Iterator[tuple[Box, Box]]:
    for link in picture.links:
        yield picture.boxes[link.source], picture.boxes[link.target]


def _style(box: Box) -> str:
    return "gradient" if box.gradient and box.kind == "operator" else box.kind


def _text(box: Box) -> str:
    return "\n".join(" ".join(text for text, _ in line.pieces) for line in box_lines(box))


def _dot_quoted(text: str) -> str:
    """Quote a string; in labels a backslash begins an escape."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _mermaid_quoted(text: str) -> str:
    """Quote a string; signs that HTML or Markdown would read are written by their numbers."""
    escaped = re.sub(r"""["#<>&`*+\\]""", lambda sign: f"#{ord(sign[0])};", text)
    return '"' + escaped.replace("\n", "<br>") + '"'
