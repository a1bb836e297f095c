"""Expressions as programs: what a failure prints can be pasted and run.

In: expressions, arrays by symbol, sizes by dimension. Out: source text. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.dtypes import DType
from symgrad.expr import Expr, literal, topological
from symgrad.shape import Dim

HEADER = """import numpy as np
import symgrad as sg
from numpy import array, inf, nan
from symgrad.dtypes import as_dtype
from symgrad.expr import constant_node, dim_node
from symgrad.ops.row import ROWS

n, m = sg.dim("n"), sg.dim("m")
"""


def written(roots: Mapping[str, Expr], env: Mapping[Any, Any]) -> str:
    """Write a program that builds the roots under their names and binds `env`."""
    names: dict[Expr, str] = {}
    lines = [HEADER]
    for node in topological(roots.values()):
        names[node] = f"v{len(names)}"
        lines.append(f"{names[node]} = {_line(node, names)}")
    lines += [f"{name} = {names[node]}" for name, node in roots.items()]
    pairs = ", ".join(f"{names.get(key, key)}: {_array(value)}" for key, value in env.items())
    return "\n".join([*lines, f"env = {{{pairs}}}"])


def _line(node: Expr, names: Mapping[Expr, str]) -> str:
    match node.op:
        case "symbol":
            facts = f", facts={set(node.attrs['facts'])!r}" if node.attrs["facts"] else ""
            return f'sg.symbol("{node.attrs["name"]}", {_text(node.shape)}, "{node.dtype}"{facts})'
        case "constant":
            return f'constant_node({literal(node)!r}, as_dtype("{node.dtype}"))'
        case "dim":
            return f'dim_node({node.attrs["size"]}, as_dtype("{node.dtype}"))'
    parts = [names[arg] for arg in node.args] + [f"{key}={_text(value)}" for key, value in node.attrs.items()]
    return f'ROWS["{node.op}"]({", ".join(parts)})'


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, DType):
        return f'as_dtype("{value}")'
    return str(value) if isinstance(value, Dim) else repr(value)


def _array(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f'np.array({value.tolist()!r}, "{value.dtype}").reshape({value.shape})'


def shown(roots: Sequence[Expr]) -> str:
    """Give the formulas, one a line."""
    return "\n".join(map(str, roots))
