"""What an identity of matrix calculus is: two sides, the shapes, and where it is written.

A side takes the operands in the order in which they are declared. The left one gets symbols and gives the expression to
differentiate; the right one gets arrays and gives, with NumPy alone, what the text says the derivative is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.expr import Expr

SIZES = {"n": 4, "m": 3, "k": 2, "p": 6, "t": 10, "d": 7}  # t = n (n + 1) / 2 and d = 2 n - 1 parametrise structures


def _invertible(x: np.ndarray) -> np.ndarray:
    return x + len(x) * np.eye(len(x))


def _positive_definite(x: np.ndarray) -> np.ndarray:
    return x @ x.T + np.eye(len(x))


# What a mark behind the sizes of an operand asks of it.
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda x: x,
    "!": _invertible,
    "=": lambda x: x + x.T,
    "+": _positive_definite,
    ">": lambda x: np.abs(x) + 0.2,
    "l": lambda x: np.tril(_invertible(x)),
    "0": lambda x: x / (4 * np.linalg.norm(x)),
}

DERIVATIVES: dict[str, Callable[[Expr, Expr], Expr]] = {
    "grad": sg.grad,
    "jacobian": sg.jacobian,
    "hessian": sg.hessian,
    "grad @ X.T": lambda f, X: sg.grad(f, X) @ X.T,
}


# The same, multiplied by a direction of the variable: forward mode.
ALONG: dict[str, Callable[[Expr, Expr, Expr], Expr]] = {
    "grad": sg.jvp,
    "jacobian": sg.jvp,
    "hessian": sg.hvp,
    "grad @ X.T": lambda f, X, V: sg.jvp(f, X, V @ X),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity: the derivative of `left` with respect to the first operand is `right`.

    - `cite`: text and number of the equation, or the section where equations have no numbers.
    - `text`: the left-hand side as it is written there.
    - `operands`: name, sizes and kind of each, e.g. "X:nn! a:n": an invertible matrix and a vector; "x:" is a scalar.
    - `derivative`: a key of `DERIVATIVES`. A Jacobian has the axes of the function, then those of the variable.
    """

    cite: str
    text: str
    operands: str
    left: Callable[..., Expr]
    right: Callable[..., Any]
    derivative: str = "grad"

    def __str__(self) -> str:
        return f"{self.cite}: {self.text}"

    def symbols(self, suffix: str = "") -> list[Expr]:
        """Declare the operands; the suffix tells the symbols of one identity from those of another."""
        parts = [part.split(":") for part in self.operands.split()]
        return [sg.symbol(name + suffix, [SIZES[s] for s in kind if s in SIZES], "float64") for name, kind in parts]

    def derived(self, symbols: list[Expr]) -> Expr:
        """Let symgrad derive what the right-hand side states."""
        return DERIVATIVES[self.derivative](self.left(*symbols), symbols[0])

    def along(self, symbols: list[Expr], direction: Expr) -> Expr:
        """Let symgrad derive what the right-hand side says of a direction, without forming the derivative."""
        return ALONG[self.derivative](self.left(*symbols), symbols[0], direction)

    def draw(self) -> list[np.ndarray]:
        """Draw the operands, always the same ones."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        found = []
        for part in self.operands.split():
            kind = part.split(":")[1]
            sizes = [SIZES[s] for s in kind if s in SIZES]
            found.append(KINDS[kind[len(sizes) :]](rng.uniform(-1, 1, sizes)))
        return found


def power(x: Any, k: int) -> Any:
    """Multiply k copies of a matrix, of either kind."""
    out = sg.eye(x.shape[0], dtype="float64") if isinstance(x, Expr) else np.eye(len(x))
    for _ in range(k):
        out = out @ x
    return out


def kron(x: Expr, y: Expr) -> Expr:
    """Give the Kronecker product of two matrices."""
    rows, columns = (x.shape[i] * y.shape[i] for i in (0, 1))
    return sg.reshape(sg.einsum("ij,kl->ikjl", x, y), (rows, columns))


def vec(x: Any) -> Any:
    """Stack the columns of a matrix, of either kind."""
    return x.T.reshape(-1)
