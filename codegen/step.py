"""Step: one launch of a program."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.executable import Call
from codegen.group import Group
from codegen.ir import Access, Kernel
from codegen.operand import Operand, Temp
from codegen.scratch import scratch_bytes
from symgrad.dtypes import FLOAT32, UINT32
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

    def call(self) -> Call:
        """Give what of the launch is needed to run it."""
        kernel = self.kernel
        writes = tuple(b.access is not Access.IN for b in kernel.buffers)
        return Call(
            kernel.name, self.operands, writes, kernel.dims, kernel.tasks, self.cost, scratch_bytes(kernel),
            self.is_guard,
        )  # fmt: skip

    @property
    def rounds(self) -> bool:
        """Tell whether the launch only writes, in pairs of bfloat16, an operand of the product that comes next."""
        return all(map(self._is_pairs, self.stored))

    @property
    def multiplies_pairs(self) -> bool:
        """Tell whether the launch computes a product of such operands."""
        return not self.rounds and any(map(self._is_pairs, self.operands))

    def _is_pairs(self, operand: Operand) -> bool:
        root = self.group.root
        return isinstance(operand, Temp) and operand.dtype is UINT32 and root is not None and root.dtype is FLOAT32
