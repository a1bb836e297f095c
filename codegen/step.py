"""Step: one launch of a program."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.elements import Operand
from codegen.group import Group
from codegen.ir import Access, Kernel
from symgrad.shape import Size


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One launch: a kernel, what its buffers are bound to, its estimated work, and whether it may stop the run.

    `group` is what it computes, alone or together with the launches beside it that have the same group.
    """

    kernel: Kernel
    operands: tuple[Operand, ...]
    cost: Size
    is_guard: bool
    group: Group

    @property
    def stored(self) -> tuple[Operand, ...]:
        """List what the launch writes."""
        return tuple(o for o, b in zip(self.operands, self.kernel.buffers, strict=True) if b.access is not Access.IN)
