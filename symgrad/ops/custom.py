"""The user's own scalar operators.

In: a Python function of SymPy symbols. Out: a registered row, like those of `scalar.py`: it prints, differentiates (to
any order), evaluates and compiles. It must not know how SymPy differentiates.
"""

from __future__ import annotations

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
from symgrad.ops.row import ROWS, Row
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

    Raises FormatError where the name is taken or no identifier, or the result is no real function in closed form;
    GradientError where its derivative is none (it has a Heaviside, a DiracDelta, an unevaluated Derivative).

    >>> import sympy
    >>> silu = elementwise("silu_of_the_example", lambda x: x / (1 + sympy.exp(-x)), doc="Give x * sigmoid(x).")
    >>> silu.structure.formula, silu.derivatives
    ('x * sigmoid(x)', ('x * sigmoid(x) * (1 - sigmoid(x)) + sigmoid(x)',))
    """
    _check_name(name)
    count = _count_of(name, f)
    formula = formula_of_function(f, count)
    derivatives = tuple(str(differentiate(formula, operand)) for operand in OPERANDS[:count])
    text = str(formula)
    if domain and len(domain) != count:
        raise FormatError(f"{name}: one range per operand is needed", got=f"{len(domain)} for {count} operands")

    def oracle(*arrays: Any) -> np.ndarray:
        env = dict(zip(OPERANDS, map(np.asarray, arrays), strict=False))
        value = compute(parse(text), env, as_dtype(env["x"].dtype))
        return np.broadcast_to(value, np.broadcast_shapes(*(a.shape for a in env.values())))  # it may ignore operands

    return scalar(
        name, oracle, text, doc=doc or f"Give {text}.", domain=domain or (REAL,) * count,
        derivatives=derivatives, latex=latex, smooth=not _KINKS & set(_calls(text)),
    )  # fmt: skip


_KINKS = {"abs", "sign", "floor", "maximum", "minimum", "where", "remainder"}


def _calls(text: str) -> list[str]:
    found: list[str] = []
    fold(parse(text), lambda node: None, lambda name, args: found.append(name))
    return found


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise FormatError(f"{name!r} cannot name an operator", hint="Use a Python identifier.")
    if name in ROWS or name in CONSTANTS or name in (*OPERANDS, "out"):
        raise FormatError(f"{name!r} is taken", hint="Choose another name.")


def _count_of(name: str, f: Callable[..., Any]) -> int:
    """Count the operands: the function's parameters, all of them positional."""
    parameters = inspect.signature(f).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not 1 <= len(parameters) <= len(OPERANDS) or any(p.kind not in positional for p in parameters):
        raise FormatError(f"{name}: the function takes one to four positional operands", got=str(inspect.signature(f)))
    return len(parameters)
