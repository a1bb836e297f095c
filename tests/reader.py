"""The reader: takes a printed formula to NumPy by hand, mechanically, as a person who knows calculus would.

In: lines of text as symgrad prints them, and arrays by name. Out: what every line defines. It knows Python's syntax,
NumPy's names and the notation below; it must not know symgrad, so that it cannot share an error with the printer.

- `<-` is `=`: the new value under the old name.
- `[c]` that is no index is 1 where the condition c holds and 0 elsewhere, and this 0 is strong, as Iverson and Knuth
  have it: what it multiplies may be undefined there. A bracket is an index after a name, a `)` or a `]`; inside
  `array(...)` it is a list.
- A name is a function of NumPy's, or one of FUNCTIONS; `sum` is np.sum.
- Arrays of floats are float64, of integers int64: as mathematics has it, nothing rounds or wraps.
"""

from __future__ import annotations

import io
import math
import tokenize
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class Strong(np.ndarray):
    """Zeros and ones of which a zero annihilates: 0 * inf is 0."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Strong) else x for x in inputs]
        kwargs.pop("out", None)
        with np.errstate(all="ignore"):
            out = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is not np.multiply or method != "__call__":
            return out
        zero = [np.asarray(x) == 0 for x in inputs if isinstance(x, Strong)]
        product = np.where(np.logical_or.reduce(np.broadcast_arrays(*zero)), 0.0, out)
        return product.view(Strong) if len(zero) == len(inputs) else product


def iverson(condition: Any) -> np.ndarray:
    """Give 1.0 where a condition holds, else a 0.0 that annihilates."""
    return np.where(condition, 1.0, 0.0).view(Strong)


# -- what NumPy has no name for ------------------------------------------------------------------------------------


def _softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _logsumexp(z: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    most = np.max(z, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(z - most), axis=axis, keepdims=True)) + most
    return total if keepdims else np.squeeze(total, axis=axis)


def _norm(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


def _sort(x: np.ndarray, axis: int = -1, descending: bool = False) -> np.ndarray:
    return np.flip(np.sort(x, axis=axis), axis) if descending else np.sort(x, axis=axis)


def _argsort(x: np.ndarray, axis: int = -1, descending: bool = False) -> np.ndarray:
    """Give the stable order; of equal elements the first stays first, descending too."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    last = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - last, axis)


def _scatter_add(updates: np.ndarray, positions: np.ndarray, *, axis: int, size: int) -> np.ndarray:
    """Add slices to zeros, at positions along an axis of this size; `positions` may have any rank."""
    rank = np.ndim(positions)
    rows = np.moveaxis(updates, range(axis, axis + rank), range(rank))
    out = np.zeros((size, *rows.shape[rank:]))
    np.add.at(out, np.asarray(positions), rows)
    return np.moveaxis(out, 0, axis)


def _scatter_along_axis(updates: np.ndarray, positions: np.ndarray, *, size: int) -> np.ndarray:
    """Add elements to zeros, at positions along the last axis."""
    out = np.zeros((*updates.shape[:-1], size))
    np.add.at(out, (*np.indices(updates.shape)[:-1], positions), updates)
    return out


def _place(x: np.ndarray, *, shape: tuple[int, ...], starts: tuple[int, ...], steps: tuple[int, ...]) -> np.ndarray:
    """Lay an array into zeros."""
    out = np.zeros(shape, x.dtype)
    out[tuple(slice(a, a + n * k, k) for a, n, k in zip(starts, x.shape, steps, strict=True))] = x
    return out


def _searchsorted(a: np.ndarray, v: np.ndarray, *, side: str) -> np.ndarray:
    """Find positions in sorted rows: those of each row of `v` in that of `a`."""
    rows = zip(a.reshape(-1, a.shape[-1]), v.reshape(-1, v.shape[-1]), strict=True) if a.ndim > 1 else [(a, v)]
    return np.reshape([np.searchsorted(row, values, side=side) for row, values in rows], v.shape)


def _solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else np.linalg.solve(a, b)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": _softmax, "logsumexp": _logsumexp, "norm": _norm, "sigmoid": _sigmoid,
    "log_softmax": lambda z, axis=-1: z - _logsumexp(z, axis=axis, keepdims=True),
    "relu": lambda z: np.maximum(z, 0.0), "inv": np.linalg.inv, "det": np.linalg.det,
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "one_hot": lambda i, depth: np.eye(depth)[np.asarray(i)],
    "softplus": lambda z: np.logaddexp(0, z), "silu": lambda z: z * _sigmoid(z),
    "erf": np.vectorize(math.erf, otypes=[float]), "gamma": np.vectorize(math.gamma, otypes=[float]),
    "stop_gradient": lambda x: x, "sort": _sort, "argsort": _argsort, "solve": _solve, "searchsorted": _searchsorted,
    "scatter_add": _scatter_add, "scatter_along_axis": _scatter_along_axis, "place": _place,
}  # fmt: skip

NUMPY: dict[str, Any] = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}


# -- from notation to Python ---------------------------------------------------------------------------------------


def python(text: str) -> str:
    """Translate notation to Python.

    >>> python("G1 = (P - Y) @ W2.T * [Z1[0] > 0]")
    'G1 = (P - Y) @ W2.T * iverson(Z1[0] > 0)'
    >>> python("x <- x - array([1, 2])[0]")
    'x = x - array([1, 2])[0]'
    """
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    name, sign, rest = line.partition(" <- ")
    if sign:
        line = f"{name} = {rest}"
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(line).readline) if t.string.strip()]
    out, closing, column = "", [], 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        out += line[column : token.start[1]]
        column = token.end[1]
        written = token.string
        if written == "[":
            is_index = before is not None and (before.type == tokenize.NAME or before.string in (")", "]"))
            plain = is_index or "array(" in closing
            closing.append("[" if plain else "iverson(")
            written = closing[-1]
        elif written == "(":
            closing.append("array(" if before is not None and before.string == "array" else "(")
        elif written in (")", "]"):
            written = ")" if closing.pop() != "[" else "]"
        out += written
    return out


def read(text: str, arrays: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> dict:
    """Execute the lines of a text, each of which defines a name; give all names.

    >>> read("y = 2 * x * [x > 0]", {"x": np.array([-1.0, 3.0])})["y"].tolist()
    [0.0, 6.0]
    """
    scope = {**NUMPY, **FUNCTIONS, "iverson": iverson, **(functions or {}), **arrays}
    with np.errstate(all="ignore"):
        exec(python(text), scope)
    return scope
