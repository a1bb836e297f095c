"""How much room text takes, and what stands in a box line by line.

In: a box of a picture. Out: its lines with their styles, and its size. Fonts are the reader's own, so widths are
estimates on the wide side, from a small table of characters of sans-serif fonts. It must not know places.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from symgrad.drawing.picture import Box, Frame

__all__ = ["SHAPE_SIZE", "Line", "box_lines", "box_size", "frame_title", "text_width", "title_width"]

# Widths in thousandths of the font size.
_CLASSES = {
    300: "iljI.,:;'|!·", 400: "ft()[]r-\"/ᵀ", 340: " ", 560: "sczxkvyJ*°²³¹⁻⁰⁴⁵⁶⁷⁸⁹",
    620: "abdeghnopquLFE?_0123456789$", 680: "TZABKPRSVXY", 760: "CDGHNOQU+−=<>≤≥≠×~→#&√Σ…", 900: "mwMW%", 1000: "@",
}  # fmt: skip
_WIDTHS = {char: width for width, chars in _CLASSES.items() for char in chars}
_OTHER, _WIDE, _BOLD = 680, 1060, 1.07

NAME_SIZE, TEXT_SIZE, DETAIL_SIZE, SHAPE_SIZE = 13.0, 13.0, 10.5, 10.5
_LINE, _PADDING, _LEAST, _MOST = 15.0, 11.0, 40.0, 42  # the last: characters in a line


@dataclass(frozen=True, slots=True)
class Line:
    """A line in a box: pieces of text, each with its style: name, text or detail."""

    pieces: tuple[tuple[str, str], ...]

    @property
    def width(self) -> float:
        """Give the estimated width."""
        gaps = 5.0 * (len(self.pieces) - 1)
        return gaps + sum(text_width(text, _SIZES[style], bold=style == "name") for text, style in self.pieces)


_SIZES = {"name": NAME_SIZE, "text": TEXT_SIZE, "detail": DETAIL_SIZE}


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Estimate the width of text in a sans-serif font of a size.

    >>> text_width("W", 10.0), text_width("il", 10.0)
    (9.0, 6.0)
    """
    thousandths = sum(_WIDTHS.get(char) or _other(char) for char in text)
    return round(thousandths * size / 1000 * (_BOLD if bold else 1), 2)


def _other(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return _WIDE if unicodedata.east_asian_width(char) in "WF" else _OTHER


def box_lines(box: Box) -> tuple[Line, ...]:
    """List what stands in a box: the name, beneath it what computes the value, beside that what is said of it."""
    lines = [Line(((_short(box.name), "name"),))] if box.name else []
    said = tuple((_short(text), style) for text, style in ((box.text, "text"), (box.detail, "detail")) if text)
    if box.kind == "layer" and box.detail:
        lines += [Line((piece,)) for piece in said]
    elif said:
        lines.append(Line(said))
    return tuple(lines)


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"


def box_size(box: Box) -> tuple[float, float]:
    """Give width and height of a box.

    Lines and padding, but never narrower than what one can click.
    """
    lines = box_lines(box)
    width = max([_LEAST, *(line.width + 2 * _PADDING for line in lines)])
    return round(width, 1), 11.0 + _LINE * max(1, len(lines))


def frame_title(frame: Frame) -> str:
    """Say which layer a frame is: `dense · 5,130 parameters`."""
    return f"{frame.name} · {frame.parameters:,} parameters" if frame.parameters else f"{frame.name} · {frame.kind}"


def title_width(frame: Frame) -> float:
    """Give the width of a frame's title, and what is free around it."""
    return 18.0 + text_width(frame_title(frame), DETAIL_SIZE, bold=True)
