"""Element types and the promotion rules.

In: dtype names, NumPy dtypes or Python scalars. Out: `DType` members and promoted results. Knows nothing of tensors.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable

import numpy as np

from symgrad.errors import DTypeError, nearest


class DType(enum.StrEnum):
    """An element type; a member equals its NumPy name.

    >>> DType.FLOAT32 == "float32", DType.FLOAT32.kind, DType.FLOAT32.size
    (True, 'f', 4)
    """

    BOOL = "bool"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def kind(self) -> str:
        """Give NumPy's kind letter: b, i, u or f."""
        return _KIND[self]

    @property
    def size(self) -> int:
        """Give the bytes one element takes in memory."""
        return _SIZE[self]

    @property
    def is_float(self) -> bool:
        """Tell whether derivatives exist with respect to values of this type."""
        return _KIND[self] == "f"

    @property
    def is_integer(self) -> bool:
        """Tell whether this is a signed or unsigned integer type (bool is not)."""
        return _KIND[self] in "iu"

    @property
    def numpy(self) -> np.dtype:
        """Give the native NumPy dtype."""
        return _NUMPY[self]


_NUMPY: dict[DType, np.dtype] = {d: np.dtype(d.value) for d in DType}
_KIND: dict[DType, str] = {d: n.kind for d, n in _NUMPY.items()}
_SIZE: dict[DType, int] = {d: n.itemsize for d, n in _NUMPY.items()}

BOOL, INT32, INT64 = DType.BOOL, DType.INT32, DType.INT64
UINT8, UINT16, UINT32 = DType.UINT8, DType.UINT16, DType.UINT32
FLOAT32, FLOAT64 = DType.FLOAT32, DType.FLOAT64
DEFAULT_FLOAT = FLOAT32


def as_dtype(value: object) -> DType:
    """Read a dtype given as a member, a name, a NumPy dtype or a NumPy scalar type.

    >>> as_dtype(np.float64), as_dtype("int32").name
    (<DType.FLOAT64: 'float64'>, 'INT32')
    """
    if isinstance(value, DType):
        return value
    try:
        name = value if isinstance(value, str) else np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        raise DTypeError("dtype not understood", got=repr(value), hint=nearest(str(value), DType)) from None
    aliases = {"float": "float32", "int": "int64", "single": "float32", "double": "float64"}
    try:
        return DType(aliases.get(name, name))
    except ValueError:
        raise DTypeError(f"dtype {name!r} is not supported", hint=nearest(name, DType)) from None


def weak_kind(value: object) -> str | None:
    """Tell the kind of a weak scalar (Python's bool, int, float, or np.float64), or None when the value is not weak."""
    if isinstance(value, bool):
        return "b"
    if isinstance(value, int):
        return "i"
    return "f" if isinstance(value, float) else None  # np.float64 is a float


@functools.cache
def promote_pair(a: DType, b: DType) -> DType:
    """Promote two strong dtypes: int with float gives the float's dtype, otherwise NumPy's lattice within a kind."""
    if a == b:
        return a
    if a.is_float != b.is_float:
        return a if a.is_float else b
    result = np.promote_types(a.numpy, b.numpy)
    if result.kind == "f" and not a.is_float:  # uint64 with a signed integer has no common integer type
        raise DTypeError(f"{a} and {b} have no common integer type", hint="Convert one with astype first.")
    return DType(result.name)


def promote(strong: Iterable[DType], weak: str = "") -> DType:
    """Promote strong dtypes, then weak scalar kinds (a string of b, i, f), which change the kind only if they must.

    >>> promote([INT32, FLOAT32]), promote([FLOAT32], "f"), promote([INT32], "f"), promote([UINT8], "i")
    (<DType.FLOAT32: 'float32'>, <DType.FLOAT32: 'float32'>, <DType.FLOAT32: 'float32'>, <DType.UINT8: 'uint8'>)
    """
    types = list(strong)
    result = functools.reduce(promote_pair, types) if types else None
    order = "biuf"
    for kind in weak:
        default = {"b": BOOL, "i": INT64, "f": DEFAULT_FLOAT}[kind]
        if result is None or (order.index(kind) > order.index(result.kind) and not (kind == "i" and result.is_integer)):
            result = default
    if result is None:
        raise DTypeError("nothing to promote")
    return result


def inexact(dtype: DType) -> DType:
    """Give the float type in which a quotient or a mean of this dtype is computed (float32 for bool and integers)."""
    return dtype if dtype.is_float else DEFAULT_FLOAT


def accumulator(dtype: DType) -> DType:
    """Give the dtype of a sum of this dtype: int64 for bool and integers, else itself."""
    return dtype if dtype.is_float else INT64
