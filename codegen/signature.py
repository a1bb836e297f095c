"""Signatures of the loop IR's operations: which dtypes they admit and which they give.

In: an operation's name and the dtypes of its operands. Out: the dtype of its result, or what is wrong. The parser needs
the first, the verifier both. It must not know how an operation is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.ir import MIXED, OPS, Const, Index, Load, Name, Op, Value
from symgrad.dtypes import BOOL, INT64, DType

# name -> the kinds (NumPy's letters) of the operands. Operations that are not here take any dtype. Where a name of
# this table meets a dtype that it does not admit, `codegen.vecmath` may define it (the remainder of floats, say).
KINDS: dict[str, str] = {
    "add": "iuf", "sub": "iuf", "mul": "iuf", "div": "f", "fma": "f", "residue": "f", "neg": "iuf", "abs": "if",
    "sqrt": "f",
    "floor": "f", "ceil": "f", "trunc": "f", "rint": "f", "copysign": "f", "rem": "iu",
    "floordiv": "iu", "mod": "iu", "min": "iu", "max": "iu", "mulhi": "u",
    "and": "biu", "or": "biu", "xor": "biu", "not": "biu", "shl": "iu", "lshr": "iu", "ashr": "i",
}  # fmt: skip
COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
CHOICES = frozenset(("select", "rarely"))


def dtype_of(value: Value) -> DType:
    """Return the dtype of a value."""
    return INT64 if isinstance(value, Index) else value.dtype


def result_dtype(name: str, operands: Sequence[DType]) -> DType | None:
    """Return the dtype that follows from the operands, or None where it must be stated (`cast`, `bitcast`).

    >>> from symgrad.dtypes import FLOAT32
    >>> result_dtype("add", [FLOAT32, FLOAT32]).name, result_dtype("lt", [FLOAT32, FLOAT32]).name
    ('FLOAT32', 'BOOL')
    """
    if name in MIXED:
        return MIXED[name][1]
    if name in COMPARISONS:
        return BOOL
    if name in ("cast", "bitcast") or not operands:
        return None
    return operands[-1]  # the first is a choice's condition; those of others are of one dtype


def admits(name: str, dtype: DType) -> bool:
    """Tell whether the tables of operations themselves define a name for operands of a dtype."""
    if name in MIXED:
        return MIXED[name][0][0] == dtype
    return name in OPS and dtype.kind in KINDS.get(name, "biuf")


def misuse(op: Op) -> str | None:
    """Say what is wrong with an operation's operands, or return None.

    A name with no row for its dtype here may be one of `codegen.vecmath`: its operands then have the result's dtype.
    """
    operands = [dtype_of(value) for value in op.args]
    if op.name in MIXED:
        expected, result = MIXED[op.name]
        fits = tuple(operands) == expected and op.dtype == result
        return None if fits else f"{op.name} of {', '.join(operands)} as {op.dtype}"
    if op.name in OPS and len(operands) != OPS[op.name]:
        return f"{op.name} takes {OPS[op.name]} operands, not {len(operands)}"
    if op.name in CHOICES:
        return _misused_choice(op, operands)
    if op.name == "cast":
        return None
    if op.name == "bitcast":
        fits = BOOL not in (op.dtype, operands[0]) and op.dtype.size == operands[0].size
        return None if fits else f"bitcast from {operands[0]} to {op.dtype}"
    if len(set(operands)) > 1:
        return f"operands of {op.name} differ: " + ", ".join(operands)
    if op.name in OPS and not admits(op.name, operands[0]) and not operands[0].is_float:
        return f"{op.name} does not take {operands[0]}"
    follows = result_dtype(op.name, operands)
    if follows is not None and op.dtype != follows:
        return f"{op.name} gives {follows}, not {op.dtype}"
    return None


def _misused_choice(op: Op, operands: Sequence[DType]) -> str | None:
    if operands[0] is not BOOL:
        return f"the condition of {op.name} is {operands[0]}, not bool"
    if operands[1] != operands[2] or op.dtype != operands[1]:
        return f"{op.name} of {operands[1]} and {operands[2]} as {op.dtype}"
    return None


def children(value: Value) -> tuple[Value, ...]:
    """Return the values that a value is computed from directly."""
    return value.args if isinstance(value, Op) else ()


def is_leaf(value: Value) -> bool:
    """Tell whether a value has no operands."""
    return isinstance(value, (Const, Name, Index, Load))
