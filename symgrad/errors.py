"""The error family: every refusal says where, what, what was got, and one hint.

In: plain strings. Out: exceptions whose text reads as one sentence and whose parts can be asked for.
Each class is also the built-in exception that Python programmers expect, so `except ValueError` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SymgradError(Exception):
    """Base of every error that symgrad raises on purpose.

    >>> what = "x @ W: contracted dimensions differ"
    >>> print(ShapeError(what, got="784 != 783", where="net.py:12", hint="Did you mean W.T?"))
    x @ W: contracted dimensions differ; 784 != 783 (net.py:12). Did you mean W.T?
    """

    def __init__(self, what: str, *, got: str = "", where: str = "", hint: str = "") -> None:
        self.what, self.got, self.where, self.hint = what, got, where, hint
        text = what + (f"; {got}" if got else "") + (f" ({where})" if where else "")
        if hint:
            text = text + ("" if text.endswith((".", "?", "!")) else ".") + " " + hint
        super().__init__(text)


class ShapeError(SymgradError, ValueError):
    """Shapes, ranks or dimensions do not fit together."""


class DTypeError(SymgradError, TypeError):
    """A dtype is unknown, or a conversion would lose values silently."""


class GradientError(SymgradError, ValueError):
    """A derivative was asked for that does not exist."""


class IndexRangeError(SymgradError, IndexError):
    """An index lies outside the axis it indexes."""


class FormatError(SymgradError, ValueError):
    """A file or a serialised graph is not what it claims to be."""


class CompileError(SymgradError, RuntimeError):
    """A graph could not be compiled; a defect of symgrad unless the message says otherwise."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the hint that names the nearest valid choice.

    >>> nearest("rmsprp", ["sgd", "rmsprop", "adam"])
    "Did you mean 'rmsprop'? Valid: adam, rmsprop, sgd."
    """
    choices = sorted(map(str, valid))
    close = difflib.get_close_matches(name.lower(), choices, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Valid: {', '.join(choices)}." if choices else "There is none."
