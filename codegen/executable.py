"""Executables: what of a compiled program is needed to run it.

In: launches, the operands that they are bound to, linked code. Out: an `Executable`, from which `codegen.kernel` plans
runs for given dimensions. It is the same whether a program was compiled or found on disk; then stand-ins take the place
of nodes. It must not know expressions beyond their identity, groups, nor the loop IR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.jit import Library
from codegen.operand import Operand
from symgrad.expr import Parameter
from symgrad.shape import Size


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One launch: a kernel by its name, its operands and which of them it writes, the dims it takes.

    `tasks` are the iterations of its parallel loop, `cost` its estimated work, `scratch` the bytes that each thread
    needs; a guard may end the run.
    """

    kernel: str
    operands: tuple[Operand, ...]
    writes: tuple[bool, ...]
    dims: tuple[str, ...]
    tasks: Size
    cost: Size
    scratch: Size
    is_guard: bool


@dataclass(frozen=True, slots=True, eq=False)
class Executable:
    """A program that any dimensions and arrays can be bound to.

    `results` hold the outputs; `updated` maps what holds new values to the parameters in whose memory it lies; `flags`
    lie in the status word. With `poison`, runs happen between unmapped pages.
    """

    inputs: tuple[Operand, ...]
    results: tuple[Operand, ...]
    updated: Mapping[Operand, Parameter]
    flags: frozenset[Operand]
    calls: tuple[Call, ...]
    library: Library
    poison: bool = False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """List the parameters that are read or written, in the order of the launches."""
        read = (o for c in self.calls for o in c.operands if isinstance(o, Parameter))
        return tuple(dict.fromkeys([*read, *self.updated.values()]))
