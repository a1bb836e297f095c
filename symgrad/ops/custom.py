"""The user's own scalar operators.

In: a Python function of SymPy symbols. Out: a registered row, like those of `scalar.py`: it prints, differentiates (to
any order), evaluates and compiles. It must not know how SymPy differentiates.

A row of this kind is named by the user's name and a digest of its formula: `snake__5b1d2a04`. So what a node means is
in its identity. A cell of a notebook that runs again gives the same operator; after an edit it gives another one, and
nodes built before keep their meaning, in caches and files too: a graph is read back only where its formula is known.
"""

from __future__ import annotations

import hashlib
import inspect
import keyword
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import as_dtype
from symgrad.errors import FormatError
from symgrad.formula import CONSTANTS, fold, parse
from symgrad.ops.calculus import OPERANDS, compute
from symgrad.ops.derive import differentiate, formula_of_function
from symgrad.ops.row import ROWS, Row, plain_name
from symgrad.ops.scalar import REAL, scalar

__all__ = ["elementwise"]


def elementwise(
    name: str, f: Callable[..., Any], *, doc: str = "", latex: str = "", domain: Sequence[tuple[float, float]] = ()
) -> Row:
    """Add a scalar operator: `f` takes one to four real SymPy symbols and returns one SymPy expression of them.

    The operator is then called with tensors, which broadcast; integers become float32. Its derivatives are SymPy's, by
    the chain rule over stable forms: 1 / (1 + exp(-u)) is `sigmoid(u)`, log(1 + exp(u)) is `softplus(u)`, and kinks
    follow the built-in choices (abs'(0) = 0, ties of Max and Min shared evenly).

    - `latex`: the LaTeX form, with `{x}`, `{y}`, `{z}`, `{w}` for the operands.
    - `domain`: (low, high) per operand, from which tests draw; (-2, 2) unless given.

    A name may be used again: with the same formula it is the same operator, with another one a new operator, and what
    was built before keeps its meaning.

    Raises FormatError where the name is a built-in operator's or no identifier, or the result is no real function in
    closed form; GradientError where its derivative is none (it has a Heaviside, a DiracDelta, an unevaluated
    Derivative); TypeError where `f` is no function.

    >>> import sympy
    >>> silu = elementwise("silu_of_the_example", lambda x: x / (1 + sympy.exp(-x)), doc="Give x * sigmoid(x).")
    >>> silu.structure.formula, silu.derivatives
    ('x * sigmoid(x)', ('x * sigmoid(x) * (1 - sigmoid(x)) + sigmoid(x)',))
    """
    _check_name(name)
    count = _count_of(name, f)
    text = str(formula_of_function(f, count))
    if domain and len(domain) != count:
        raise FormatError(f"{name}: one range per operand is needed", got=f"{len(domain)} for {count} operands")
    own = f"{name}__{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    doc, spans = doc or f"Give {text}.", tuple(domain) or (REAL,) * count
    known = ROWS.get(own)
    if known is not None and (known.doc, known.latex, _spans(known)) == (doc, latex, spans):
        return known
    derivatives = known.derivatives if known else tuple(str(differentiate(parse(text), x)) for x in OPERANDS[:count])
    if known is not None:
        del ROWS[own]  # only its documentation differs: equal nodes, and they print in the new form
    return scalar(
        own, _oracle(text), text, doc=doc, domain=spans, derivatives=derivatives, latex=latex,
        smooth=not _KINKS & set(_calls(text)),
    )  # fmt: skip


def _oracle(text: str) -> Callable[..., np.ndarray]:
    def oracle(*arrays: Any) -> np.ndarray:
        env = dict(zip(OPERANDS, map(np.asarray, arrays), strict=False))
        value = compute(parse(text), env, as_dtype(env["x"].dtype))
        return np.broadcast_to(value, np.broadcast_shapes(*(a.shape for a in env.values())))  # it may ignore operands

    return oracle


def _spans(row: Row) -> tuple[tuple[float, float], ...]:
    """Give the ranges from which tests draw the operands of a row."""
    return tuple((sample.low, sample.high) for sample in row.cases[0].operands)


_KINKS = {"abs", "sign", "floor", "maximum", "minimum", "where", "remainder"}


def _calls(text: str) -> list[str]:
    found: list[str] = []
    fold(parse(text), lambda node: None, lambda name, args: found.append(name))
    return found


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or plain_name(name) != name:
        raise FormatError(f"{name!r} cannot name an operator", hint="Use a Python identifier.")
    if name in ROWS:
        raise FormatError(f"{name!r} is a built-in operator: sg.{name} is there", hint="Choose another name.")
    if name in CONSTANTS or name in (*OPERANDS, "out"):
        raise FormatError(f"{name!r} has a meaning in formulas", hint="Choose another name.")


def _count_of(name: str, f: Any) -> int:
    """Count the operands: the function's parameters, all of them positional."""
    if not callable(f):
        formula = f if isinstance(f, str) else "x + sympy.sin(x) ** 2"
        hint = f"Write sg.elementwise({name!r}, lambda x: {formula}), with SymPy's functions."
        raise TypeError(f"{name}: a function of SymPy symbols is needed, not {type(f).__name__} {f!r}. {hint}")
    try:
        parameters = inspect.signature(f).parameters.values()
    except ValueError:  # built-in functions may have none
        what = f"{name}: how many operands the function takes is not known"
        raise FormatError(what, hint="Write a lambda.") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not 1 <= len(parameters) <= len(OPERANDS) or any(p.kind not in positional for p in parameters):
        raise FormatError(f"{name}: the function takes one to four positional operands", got=str(inspect.signature(f)))
    return len(parameters)
