"""Plain data as text: numbers, attributes, positions.

In: constants, attributes, sizes. Out: Python source for them. It must not know operators or names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from symgrad.expr import Expr, literal
from symgrad.shape import Size


def number_text(node: Expr, sign: int = 1) -> str:
    """Write a constant as short as it is exact in its dtype.

    >>> from symgrad.ops.leaves import constant
    >>> [number_text(constant(v)) for v in (2.0, 0.1, 1e-7, -1, True)]
    ['2', '0.1', '1e-07', '-1', 'True']
    """
    value = literal(node)
    if isinstance(value, bool) or value is None:
        return str(value)
    value = sign * value
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value)) if value or math.copysign(1, value) > 0 else "-0.0"
    return str(node.dtype.numpy.type(value))


def data_text(value: Any) -> str:
    """Write an attribute."""
    if isinstance(value, tuple):
        inside = ", ".join(map(data_text, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value) if value.__class__ is str else str(value)


def unit_index(source: Sequence[Size], target: Sequence[Size]) -> str | None:
    """Write the index that adds or drops axes of size 1 between two shapes; None where more changes.

    >>> unit_index((3,), (3, 1)), unit_index((3, 1), (3,)), unit_index((6,), (2, 3))
    (':, None', ':, 0', None)
    """
    i = j = 0
    parts: list[str] = []
    while i < len(source) or j < len(target):
        if i < len(source) and j < len(target) and source[i] == target[j]:
            parts, i, j = [*parts, ":"], i + 1, j + 1
        elif j < len(target) and target[j] == 1:
            parts, j = [*parts, "None"], j + 1
        elif i < len(source) and source[i] == 1:
            parts, i = [*parts, "0"], i + 1
        else:
            return None
    return ", ".join(parts) if parts else None


def span_text(size: Size, start: Size, stop: Size, step: int) -> str:
    """Write a slice of an axis of this size.

    >>> span_text(5, 1, 5, 1), span_text(5, 4, -1, -1), span_text(5, 0, 5, 2)
    ('1:', '::-1', '::2')
    """
    if step > 0:
        first, last = "" if start == 0 else str(start), "" if stop == size else str(stop)
    else:
        first, last = "" if start == size - 1 else str(start), "" if stop == -1 else str(stop)
    return f"{first}:{last}" + ("" if step == 1 else f":{step}")
