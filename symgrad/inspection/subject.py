"""What a compiled function was made from: what its values are compared with, and what its kernels are named after.

In: inputs, outputs and new values as they were given and as simplified, the program. Out: a `Subject`, and the nodes
that its launches store. It must not know arrays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symgrad.errors import ShapeError
from symgrad.expr import Expr, Parameter
from symgrad.shape import Size

if TYPE_CHECKING:
    from codegen.pipeline import Compiled

BISECT = "SYMGRAD_BISECT"


class GuardError(Exception):
    """A guard has ended the run."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The expressions of a function, in one order: outputs, then the new values of the parameters `renewed`.

    `titles` are the names of the outputs.
    """

    name: str
    symbols: tuple[Expr, ...]
    given: tuple[Expr, ...]
    simplified: tuple[Expr, ...]
    renewed: tuple[Parameter, ...]
    titles: tuple[str, ...]
    compiled: Compiled

    @property
    def outputs(self) -> tuple[Expr, ...]:
        """List the outputs as simplified."""
        return self.simplified[: len(self.simplified) - len(self.renewed)]

    @property
    def updates(self) -> tuple[tuple[Parameter, Expr], ...]:
        """Pair each parameter with its new value as simplified."""
        return tuple(zip(self.renewed, self.simplified[len(self.outputs) :], strict=True))


def is_bisected() -> bool:
    """Tell whether the environment asks for bisection."""
    return os.environ.get(BISECT, "").strip().lower() not in ("", "0", "off")


def check_not_negative(dims: Mapping[str, Size]) -> None:
    """Raise ShapeError for a size that no array has."""
    for name, size in dims.items():
        if isinstance(size, int) and size < 0:
            raise ShapeError(f"dimension {name} is 0 or more", got=str(size))


def stored_nodes(compiled: Compiled) -> list[Expr]:
    """List the expressions that the launches store, in their order; what checks indices is not among them."""
    found = (o for s in compiled.steps for o in s.stored if isinstance(o, Expr) and o not in compiled.flags)
    return list(dict.fromkeys(found))
