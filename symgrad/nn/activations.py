"""Activations: functions of one expression, by name.

In: a name or a callable. Out: a callable from expression to expression. Every differentiable elementwise operator of
one operand is an activation under its own name, the user's own (`sg.elementwise`) too. It must not know layers.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad.expr import Expr
from symgrad.nn.lookup import find
from symgrad.ops.activations import celu, elu, leaky_relu
from symgrad.ops.composite import log_softmax, softmax
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Map

__all__ = ["get", "linear", "names"]

Activation = Callable[[Expr], Expr]


def linear(x: Expr) -> Expr:
    """Give x itself."""
    return x


def _softmax(x: Expr) -> Expr:
    return softmax(x, axis=-1)


def _log_softmax(x: Expr) -> Expr:
    return log_softmax(x, axis=-1)


# What is no elementwise operator, or has another name there.
_OWN: dict[str, Activation] = {
    "linear": linear, "softmax": _softmax, "log_softmax": _log_softmax, "exponential": ROWS["exp"],
    "leaky_relu": leaky_relu, "elu": elu, "celu": celu, "swish": ROWS["silu"], "hard_silu": ROWS["hard_swish"],
}  # fmt: skip
_NONE = frozenset({"stop_gradient"})  # elementwise, differentiable by name only


def _table() -> dict[str, Activation]:
    """List what a name may mean now: rows may have been added since the import."""
    rows: dict[str, Activation] = {
        name: row
        for name, row in ROWS.items()
        if isinstance(row.structure, Map) and row.arity == 1 and row.differentiable and name not in _NONE
    }
    return rows | _OWN


def names() -> list[str]:
    """List the names of all activations.

    >>> {"linear", "relu", "sigmoid", "softmax", "softplus", "tanh"} <= set(names())
    True
    """
    return sorted(_table())


def get(activation: str | Activation | None) -> Activation:
    """Give the activation of a name, the callable given, or `linear` for None.

    Raises ValueError for an unknown name.

    >>> from symgrad.ops import symbol
    >>> get("relu")(symbol("x", (3,))).op, get(None) is linear
    ('relu', True)
    """
    if activation is None:
        return linear
    if callable(activation):
        return activation
    return find("activation", activation, _table())


def label(activation: Activation) -> str:
    """Give the name of an activation, for summaries."""
    for name, known in _table().items():
        if known is activation:
            return name
    return getattr(activation, "__name__", type(activation).__name__)
