"""Operands: what the buffers of kernels are bound to.

An operand is compared by identity and has a shape and a dtype: a node of the graph, or memory that no node stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.dtypes import DType
from symgrad.expr import Expr
from symgrad.shape import Shape


@dataclass(frozen=True, slots=True, eq=False)
class Temp:
    """Memory without a node: between two kernels of one group, or of a program that was found compiled."""

    shape: Shape
    dtype: DType


Operand = Expr | Temp
