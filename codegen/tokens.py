"""The lines of the loop IR's text, token by token.

In: a line and its number. Out: words, literals' parts, sizes; a FormatError that names the line. It must not know
statements.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from codegen.notation import INDENT
from symgrad.errors import FormatError, SymgradError
from symgrad.shape import Size, dim

T = TypeVar("T")

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.(?!\.)\d*)?(?:[eE][-+]?\d+)?)(?P<suffix>[a-z]\w*)?"
    r"|(?P<word>[^\W\d]\w*)|(?P<sign>>>>|<<|>>|\*\*|//|\.\.|==|!=|<=|>=|[-+*/%<>|&^()\[\],:;=]))"
)
_END = ""
_PRODUCTS: dict[str, Callable[[Size, Size], Size]] = {"*": operator.mul, "//": operator.floordiv, "%": operator.mod}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number (with its suffix), sign, or the end of the line."""

    kind: str
    text: str
    suffix: str = ""


class Line:
    """The tokens of one line, read from left to right."""

    def __init__(self, number: int, text: str) -> None:
        self.number, self.text = number, text
        stripped = text.lstrip(" ")
        if (len(text) - len(stripped)) % len(INDENT):
            self.fail("indentation is not a multiple of two spaces")
        self.depth = (len(text) - len(stripped)) // len(INDENT)
        self.tokens = self._split(stripped.rstrip())
        self.at = 0

    def _split(self, text: str) -> list[Token]:
        tokens, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                self.fail(f"character {text[at:].lstrip()[:1]!r} not understood")
            kind = str(match.lastgroup if match.lastgroup != "suffix" else "number")
            tokens.append(Token(kind, match[kind], match["suffix"] or ""))
            at = match.end()
        return tokens

    def fail(self, what: str) -> NoReturn:
        """Raise the FormatError that names this line."""
        raise FormatError(what, got=self.text.strip(), where=f"line {self.number}")

    @property
    def next(self) -> Token:
        """Return the token to be read next."""
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end", _END)

    def take(self) -> Token:
        """Read a token of any kind."""
        token = self.next
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        """Read a word or sign if it is the next; tell whether it was."""
        if self.next.text != text or self.next.kind == "number":
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> None:
        """Read a word or sign that must be the next."""
        if not self.accept(text):
            self.fail(f"expected {text!r}, found {self.next.text or 'the end of the line'!r}")

    def word(self) -> str:
        """Read a word."""
        if self.next.kind != "word":
            self.fail(f"expected a name, found {self.next.text or 'the end of the line'!r}")
        return self.take().text

    def choice(self, kind: Callable[[str], T], what: str) -> T:
        """Read a member of an enumeration."""
        word = self.word()
        try:
            return kind(word)
        except ValueError:
            self.fail(f"{word!r} is no {what}")

    def integer(self) -> int:
        """Read a plain integer."""
        token = self.take()
        if token.kind != "number" or token.suffix or not token.text.isdigit():
            self.fail(f"expected an integer, found {token.text!r}")
        return int(token.text)

    def end(self) -> None:
        """Check that nothing is left."""
        if self.next.kind != "end":
            self.fail(f"unexpected {self.next.text!r}")

    def sizes(self) -> tuple[Size, ...]:
        """Read `[size, ...]`."""
        found: list[Size] = []
        self.expect("[")
        while not self.accept("]"):
            if found:
                self.expect(",")
            found.append(self.size())
        return tuple(found)

    def size(self) -> Size:
        """Read a sum of products, as Python does."""
        total = self._product()
        while self.next.text in ("+", "-"):
            total = total + self._product() if self.take().text == "+" else total - self._product()
        return total

    def _product(self) -> Size:
        if self.accept("-"):
            return -self._product()
        total = self._power()
        while self.next.text in ("*", "//", "%"):
            symbol, factor = self.take().text, self._power()
            try:
                total = _PRODUCTS[symbol](total, factor)
            except (ZeroDivisionError, SymgradError) as error:
                self.fail(str(error))
        return total

    def _power(self) -> Size:
        if self.accept("("):
            base = self.size()
            self.expect(")")
        elif self.next.kind == "word":
            try:
                base = dim(self.word())
            except SymgradError as error:  # a keyword
                self.fail(str(error))
        else:
            base = self.integer()
        return base ** self.integer() if self.accept("**") else base
