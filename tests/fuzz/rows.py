"""Draw operators from the registry: a new row is fuzzed because it exists, by what its own cases say of its operands.

In: a generator. Out: a node more. An elementwise row takes any values that broadcast, bent into its samples' ranges;
any other row takes the shapes and attributes of one of its cases, with a size from the palette for each dimension.
"""

from __future__ import annotations

import re
from typing import Any

import symgrad as sg
from fuzz.generate import Generator, M, N, Value, count, text
from symgrad.dtypes import DType
from symgrad.errors import ShapeError
from symgrad.ops.row import ROWS, Row, Sample, plain_name
from symgrad.ops.structure import Layout, Leaf, Map
from symgrad.shape import Dim, Shape, Size, broadcast_shapes

DIMENSION = re.compile(r"\b[a-z]\b")


# Rows that are undefined, and not NaN, outside their operands' domains.
NEVER_WILD = {
    "celu",  # its scale is positive: for others formula and derivative are two different extensions
}


NEVER_ASKED = {
    "corner",  # stands for what must come first: of nothing it is an element that nobody may look at
}


def callable_rows() -> list[str]:
    """List the rows that have cases, without those that the process has defined: a seed is the same program always."""
    ours = (name for name, row in ROWS.items() if row.cases and not isinstance(row.structure, Leaf))
    return sorted(name for name in ours if plain_name(name) == name)


def draw_row(g: Generator, number: int | None = None) -> Value | None:
    """Add a node of the row of this number, of any row that has cases without one."""
    names = callable_rows()
    row = ROWS[g.rng.choice(names) if number is None else names[number % len(names)]]
    if row.name in NEVER_ASKED:
        return None
    return draw_map(g, row) if isinstance(row.structure, Map) else draw_case(g, row)


def draw_elementwise(g: Generator) -> Value | None:
    """Add an elementwise node."""
    names = [n for n in callable_rows() if isinstance(ROWS[n].structure, Map)]
    return draw_map(g, ROWS[g.rng.choice(names)])


def called(row: Row) -> str:
    """Give the source of what calls a row: its public name, if that is the row itself."""
    return f"sg.{row.name}" if getattr(sg, row.name, None) is row else f'ROWS["{row.name}"]'


def draw_map(g: Generator, row: Row) -> Value | None:
    """Call an elementwise row on values that broadcast."""
    case = g.rng.choice(list(row.cases))
    operands: list[str] = []
    shape: Shape = ()
    for sample in case.operands:
        value = _operand(g, sample, shape if operands else None)
        shape = broadcast_shapes(shape, value.node.shape)
        low, high = _range(sample)
        name = g.bent(value, low, high, row.name in NEVER_WILD) if sample.dtype != "bool" else value.name
        operands.append(name)
    return g.make(f"{called(row)}({', '.join([*operands, *_attrs(case.attrs, {})])})")


def _range(sample: Sample) -> tuple[float, float]:
    """Give the range in which values need no bending: the sample's, wider where nothing ends there."""
    if (sample.low, sample.high) == (-2.0, 2.0):
        return -6.0, 6.0
    return sample.low, sample.high


def _operand(g: Generator, sample: Sample, shape: Shape | None) -> Value:
    """Choose a value of the sample's kind that broadcasts with a shape, or add an input that does."""
    found = g.pick(lambda v: _is_kind(v, sample) and (shape is None or _meets(v.node.shape, shape)))
    if found is not None and g.rng.random() < 0.85:
        return found
    new = g.shape() if shape is None else g.rng.choice([shape, shape, shape[-1:], (), (1,) * len(shape)])
    return _input(g, sample, new)


def _input(g: Generator, sample: Sample, shape: Shape) -> Value:
    if sample.dtype == "float":
        return g.symbol(shape, g.dtype, sample.low, sample.high)
    low, high = (0, 1) if sample.dtype == "bool" else (int(sample.low), int(sample.high))
    return g.symbol(shape, sample.dtype, low, high)


def _is_kind(value: Value, sample: Sample) -> bool:
    if sample.dtype == "float":
        return value.is_float
    return value.node.dtype == "bool" if sample.dtype == "bool" else value.is_integer


def _meets(shape: Shape, other: Shape) -> bool:
    try:
        return count(broadcast_shapes(shape, other)) <= 6000
    except ShapeError:
        return False


# -- by case -------------------------------------------------------------------------------------------------------


def draw_case(g: Generator, row: Row) -> Value | None:
    """Call a row as one of its cases does."""
    number = g.rng.randrange(len(row.cases))
    case, sizes = row.cases[number], {}
    for sample in case.operands:
        for dimension in DIMENSION.findall(text(sample.shape)):
            sizes.setdefault(dimension, _size(g, 8 if sample.make is not None else 0))
    for value in case.attrs.values():
        for dimension in DIMENSION.findall(_attr(value, {})) if _has_dims(value) else ():
            sizes.setdefault(dimension, _size(g, 0))
    if any(count(_shape(sample.shape, sizes)) > 6000 for sample in case.operands):
        return None
    operands = [_given(g, row, number, k, sizes) for k in range(len(case.operands))]
    source = f"{called(row)}({', '.join([*operands, *_attrs(case.attrs, sizes)])})"
    # What moves elements but is said to have no derivative has one all the same, for the oracle.
    is_cut = not row.differentiable and isinstance(row.structure, Layout)
    return g.make(f"sg.stop_gradient({source})" if is_cut else source)


def _size(g: Generator, matrix: int) -> Size:
    """Choose a size, not known to be 0; matrices that are solved stay small, as their conditions grow."""
    fixed = [n for n in g.palette if isinstance(n, int) and 0 < n <= (matrix or n)]
    return g.rng.choice([*fixed, 3] if matrix else [N, M, *fixed])


def _has_dims(value: Any) -> bool:
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(_has_dims, value)))


def _replaced(size: Size, sizes: dict[str, Size]) -> str:
    return DIMENSION.sub(lambda m: f"({sizes[m[0]]})" if m[0] in sizes else m[0], str(size))


def _shape(shape: Shape, sizes: dict[str, Size]) -> Shape:
    return tuple(eval(_replaced(n, sizes), {"N": N, "M": M}) for n in shape)


def _given(g: Generator, row: Row, number: int, k: int, sizes: dict[str, Size]) -> str:
    """Give the source of one operand: a value of that very type, or an input, perhaps scaled by what is there."""
    sample = row.cases[number].operands[k]
    shape = _shape(sample.shape, sizes)
    if sample.make is None:
        found = g.pick(lambda v: _is_kind(v, sample) and v.node.shape == shape)
        is_position = sample.dtype not in ("float", "bool")
        if found is not None and not is_position and g.rng.random() < 0.7:
            return g.bent(found, *_range(sample)) if sample.dtype == "float" else found.name
        new = _input(g, sample, shape)
    else:
        made = f'ROWS["{row.name}"].cases[{number}].operands[{k}].make({{}})'
        new = g.symbol(shape, g.dtype, sample.low, sample.high, made)
    other = g.pick(lambda v: v.is_float)
    if new.is_float and other is not None and g.rng.random() < 0.6:
        return f"({new.name} * sg.exp(0.1 * sg.tanh(0.01 * sg.sum({other.name}))).astype('{g.dtype}'))"
    return new.name


def _attrs(attrs: Any, sizes: dict[str, Size]) -> list[str]:
    return [f"{key}={_attr(value, sizes)}" for key, value in attrs.items()]


def _attr(value: Any, sizes: dict[str, Size]) -> str:
    """Give the source of an attribute."""
    if isinstance(value, DType):
        return f'as_dtype("{value}")'
    if isinstance(value, tuple):
        return f"({', '.join(_attr(v, sizes) for v in value)}{',' if len(value) == 1 else ''})"
    return _replaced(value, sizes) if isinstance(value, Dim) else repr(value)
