"""What can be drawn: where whoever defines layers and models says what a drawing of them shows.

In: functions from a node to the uses of layers that end in it, and from an object to the results that are drawn of it.
Out: the same, for those who draw. It must not know how: nothing of a drawing is imported with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from symgrad.expr import Expr, Parameter

__all__ = ["CALLS", "TARGETS", "LayerCall", "Named", "Results"]

Named = tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What is drawn: named results of the forward computation and named gradients; a name may be empty."""

    forward: Named
    gradients: Named
    title: str

    @property
    def nodes(self) -> list[Expr]:
        """List all results."""
        return [node for _, node in (*self.forward, *self.gradients)]


@dataclass(frozen=True, slots=True, eq=False)
class LayerCall:
    """One use of a layer: the expressions that it was applied to, and its parameters."""

    name: str
    kind: str
    inputs: tuple[Expr, ...]
    parameters: tuple[Parameter, ...]


# Functions from a node to the uses of layers that it is the result of; whoever defines layers adds one.
CALLS: Final[list[Callable[[Expr], Sequence[LayerCall]]]] = []

# Class -> what to draw of its instances, given `wrt`; whoever defines the class adds it.
TARGETS: Final[dict[type, Callable[[Any, Any], Results]]] = {}
