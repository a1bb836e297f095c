"""How a told derivation is set: as text in columns, as LaTeX, as HTML.

In: an account. Out: one text. Formulas come written in the notation of each; here words and formulas are put together.
It must not know what a step says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from symgrad.chainrule.steps import Account
from symgrad.chainrule.telling import Formula, Partial, Piece, Prime, Told, tell
from symgrad.show.mathml import MATHML
from symgrad.show.notation import Notation
from symgrad.show.python import TEXT
from symgrad.show.tex import LATEX, escaped

__all__ = ["as_equations", "as_html", "as_latex", "as_text", "sections"]

_WIDEST = 64  # a column further right than this is not kept for the sake of one long line


# -- text ----------------------------------------------------------------------------------------------------------


def as_text(account: Account, notation: Notation = TEXT) -> str:
    """Set a derivation as text: statements in a column, shapes and lines of code beside them, notes below."""
    told = list(tell(account, notation))
    width = max((len(one.number) for one in told), default=0) + 2
    sides = max((len(_plain(one.statement[:1])) for one in told if isinstance(one.statement[0], Partial)), default=0)
    heads = [_head(one, width, sides) for one in told]
    column = max((len(head) for head in heads if len(head) <= _WIDEST), default=0) + 2
    lines: list[str] = []
    for one, head in zip(told, heads, strict=True):
        lines.append(f"{head:<{column}}  {one.beside}".rstrip())
        lines += [" " * (width + 2) + _plain(note) for note in one.notes]
    return "\n".join(lines)


def _head(one: Told, width: int, sides: int) -> str:
    """Set the number and the statement, whose left side is a derivative, all of one width."""
    if not one.number:
        return _plain(one.statement)
    first = _plain(one.statement[:1])
    left = f"{first:<{sides}}" if isinstance(one.statement[0], Partial) else first
    return f"{one.number:<{width}}{left}{_plain(one.statement[1:])}"


def _plain(pieces: Sequence[Piece]) -> str:
    return "".join(map(_plain_piece, pieces))


def _plain_piece(piece: Piece) -> str:
    match piece:
        case Formula(text):
            return text
        case Partial(above, below):
            return f"d {above} / d {below}" if above else f"d/d{below}"
        case Prime(function, variable):
            return f"{function}'({variable})"
    return str(piece)


# -- LaTeX ---------------------------------------------------------------------------------------------------------


def as_latex(account: Account) -> str:
    """Set a derivation as LaTeX: a `description` list whose items are the steps."""
    lines = [r"\begin{description}"]
    for one in tell(account, LATEX):
        beside = rf" \hfill \texttt{{{escaped(one.beside)}}}" if one.beside else ""
        lines.append(rf"\item[{one.number}] {_joined(one.statement, _tex_piece)}{beside}")
        lines += [rf"  \\ {_joined(note, _tex_piece)}" for note in one.notes]
    return "\n".join([*lines, r"\end{description}"])


def as_equations(account: Account) -> str:
    """Set the statements alone as one formula, as notebooks show it."""
    rows = []
    for one in tell(account, LATEX):
        if isinstance(one.statement[0], Partial):
            left, _, *right = (_tex_piece(piece).strip("$") for piece in one.statement)
            rows.append(rf"  {left} &= {''.join(right)} && \quad \texttt{{{escaped(one.beside)}}}")
    return "$\\displaystyle \\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$"


def _tex_piece(piece: Piece) -> str:
    match piece:
        case Formula(text):
            return f"${text}$"
        case Partial(above, below):
            return rf"$\frac{{\partial {above}}}{{\partial {below}}}$"
        case Prime(function, variable):
            return rf"$\operatorname{{{escaped(function)}}}'({variable})$"
    return escaped(str(piece)).replace("<", r"\textless{}").replace(">", r"\textgreater{}")


def _joined(pieces: Sequence[Piece], one: Callable[[Piece], str]) -> str:
    """Put pieces together; the sign between two sides of an equation belongs to the formula."""
    return "".join(map(one, pieces)).replace("$ = $", " = ")


# -- HTML ----------------------------------------------------------------------------------------------------------


def as_html(account: Account) -> str:
    """Set a derivation as HTML: sections with MathML, for notebooks and pages; it needs no script and no style."""
    return "\n".join(['<div class="symgrad-derivation">', *(text for _, text in sections(account)), "</div>"])


def sections(account: Account) -> Iterator[tuple[str, str]]:
    """Set each step as a section by itself, after its number; what stands around the steps has none."""
    for one in tell(account, MATHML):
        number = f"<b>{one.number}</b>&ensp;" if one.number else ""
        beside = f"&emsp;<small><code>{escape(one.beside)}</code></small>" if one.beside else ""
        notes = "".join(f"<li>{_marked(note)}</li>" for note in one.notes)
        listed = f'<ul style="list-style:none">{notes}</ul>' if notes else ""
        yield one.number, f'<section class="step"><p>{number}{_marked(one.statement)}{beside}</p>{listed}</section>'


def _marked(pieces: Sequence[Piece]) -> str:
    return "".join(map(_marked_piece, pieces))


def _marked_piece(piece: Piece) -> str:
    match piece:
        case Formula(text):
            return f"<math><mrow>{text}</mrow></math>"
        case Partial(above, below):
            return f"<math><mfrac><mrow><mo>∂</mo>{above}</mrow><mrow><mo>∂</mo>{below}</mrow></mfrac></math>"
        case Prime(function, variable):
            name = f'<mi mathvariant="normal">{escape(function)}</mi>'
            return f"<math><msup>{name}<mo>′</mo></msup><mo>(</mo>{variable}<mo>)</mo></math>"
    return escape(str(piece))
