"""What Python's syntax means on an expression.

In: operators, methods, conversions and NumPy functions applied to nodes. Out: calls of the functions registered in
`OPERATORS` by the operator rows, and in `PRINTERS` by the printers, or a TypeError that says what to write instead.
Knows nothing of any operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np

if TYPE_CHECKING:
    from symgrad.expr import Expr
    from symgrad.shape import Shape

# name -> meaning: operators ("add"), indexing ("getitem"), NumPy's functions ("ufunc"), methods (".sum").
OPERATORS: dict[str, Callable[..., Any]] = {}
PRINTERS: dict[str, Callable[..., str]] = {}


class Surface:
    """Python's operators, methods and conversions, each looked up when it is used."""

    __slots__ = ()
    __array_priority__: ClassVar[float] = 1000.0

    if TYPE_CHECKING:

        @property
        def shape(self) -> Shape:
            """Give the sizes of the axes."""
            ...

    def __add__(self, other: Any) -> Expr:
        return OPERATORS["add"](self, other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> Expr:
        return OPERATORS["add"](other, self)  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> Expr:
        return OPERATORS["subtract"](self, other)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> Expr:
        return OPERATORS["subtract"](other, self)  # type: ignore[no-any-return]

    def __mul__(self, other: Any) -> Expr:
        return OPERATORS["multiply"](self, other)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> Expr:
        return OPERATORS["multiply"](other, self)  # type: ignore[no-any-return]

    def __truediv__(self, other: Any) -> Expr:
        return OPERATORS["divide"](self, other)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> Expr:
        return OPERATORS["divide"](other, self)  # type: ignore[no-any-return]

    def __floordiv__(self, other: Any) -> Expr:
        return OPERATORS["floor_divide"](self, other)  # type: ignore[no-any-return]

    def __rfloordiv__(self, other: Any) -> Expr:
        return OPERATORS["floor_divide"](other, self)  # type: ignore[no-any-return]

    def __mod__(self, other: Any) -> Expr:
        return OPERATORS["remainder"](self, other)  # type: ignore[no-any-return]

    def __rmod__(self, other: Any) -> Expr:
        return OPERATORS["remainder"](other, self)  # type: ignore[no-any-return]

    def __pow__(self, other: Any) -> Expr:
        return OPERATORS["power"](self, other)  # type: ignore[no-any-return]

    def __rpow__(self, other: Any) -> Expr:
        return OPERATORS["power"](other, self)  # type: ignore[no-any-return]

    def __matmul__(self, other: Any) -> Expr:
        return OPERATORS["matmul"](self, other)  # type: ignore[no-any-return]

    def __rmatmul__(self, other: Any) -> Expr:
        return OPERATORS["matmul"](other, self)  # type: ignore[no-any-return]

    def __and__(self, other: Any) -> Expr:
        return OPERATORS["logical_and"](self, other)  # type: ignore[no-any-return]

    def __rand__(self, other: Any) -> Expr:
        return OPERATORS["logical_and"](other, self)  # type: ignore[no-any-return]

    def __or__(self, other: Any) -> Expr:
        return OPERATORS["logical_or"](self, other)  # type: ignore[no-any-return]

    def __ror__(self, other: Any) -> Expr:
        return OPERATORS["logical_or"](other, self)  # type: ignore[no-any-return]

    def __xor__(self, other: Any) -> Expr:
        return OPERATORS["logical_xor"](self, other)  # type: ignore[no-any-return]

    def __rxor__(self, other: Any) -> Expr:
        return OPERATORS["logical_xor"](other, self)  # type: ignore[no-any-return]

    def __lshift__(self, other: Any) -> Expr:
        return OPERATORS["bitwise_left_shift"](self, other)  # type: ignore[no-any-return]

    def __rlshift__(self, other: Any) -> Expr:
        return OPERATORS["bitwise_left_shift"](other, self)  # type: ignore[no-any-return]

    def __rshift__(self, other: Any) -> Expr:
        return OPERATORS["bitwise_right_shift"](self, other)  # type: ignore[no-any-return]

    def __rrshift__(self, other: Any) -> Expr:
        return OPERATORS["bitwise_right_shift"](other, self)  # type: ignore[no-any-return]

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return OPERATORS["equal"](self, other)  # type: ignore[no-any-return]

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return OPERATORS["not_equal"](self, other)  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> Expr:
        return OPERATORS["less"](self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> Expr:
        return OPERATORS["less_equal"](self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> Expr:
        return OPERATORS["greater"](self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> Expr:
        return OPERATORS["greater_equal"](self, other)  # type: ignore[no-any-return]

    def __neg__(self) -> Expr:
        return OPERATORS["negative"](self)  # type: ignore[no-any-return]

    def __pos__(self) -> Expr:
        return OPERATORS["positive"](self)  # type: ignore[no-any-return]

    def __abs__(self) -> Expr:
        return OPERATORS["abs"](self)  # type: ignore[no-any-return]

    def __invert__(self) -> Expr:
        return OPERATORS["logical_not"](self)  # type: ignore[no-any-return]

    def __getitem__(self, key: Any) -> Expr:
        return OPERATORS["getitem"](self, key)  # type: ignore[no-any-return]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"expressions are immutable: cannot set {name!r}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("expressions are not pickled. Use symgrad.serial.to_data, which gives plain JSON data.")

    def __hash__(self) -> int:
        return id(self) >> 4

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an expression has no truth value: its elements are not known yet. "
            "Use `a is b` to ask whether two expressions are the same, sg.where to choose between values."
        )

    def __len__(self) -> int:
        first = self.shape[0] if self.shape else None
        if isinstance(first, int):
            return first
        raise TypeError("len() of a scalar expression" if first is None else f"the length {first} is not known yet")

    def __iter__(self) -> Iterator[Expr]:
        if not self.shape:
            raise TypeError("iteration over a rank-0 expression")
        if not isinstance(self.shape[0], int):
            raise TypeError(f"cannot iterate: the first dimension {self.shape[0]} is not known yet")
        return iter([self[i] for i in range(self.shape[0])])

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError("expressions are immutable. Use sg.where, or build the new value with sg.concatenate.")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            "an expression is not an array yet. Use symgrad's function of the same name (sg.where, sg.concatenate, "
            "x @ W; of NumPy's only the ufuncs take expressions), or sg.evaluate(expr, {symbol: array}) for its value."
        )

    def __float__(self) -> NoReturn:
        raise TypeError("an expression is not a number yet. Use sg.evaluate(expr, {symbol: array}) for its value.")

    __int__ = __index__ = __complex__ = __float__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Expr:
        result: Expr = OPERATORS["ufunc"](ufunc, method, inputs, kwargs)
        return result

    def __str__(self) -> str:
        return PRINTERS["text"](self) if "text" in PRINTERS else repr(self)

    def __repr__(self) -> str:
        return PRINTERS["text"](self) if "text" in PRINTERS else f"<{self.op} {self.type}>"

    def _repr_latex_(self) -> str | None:
        return PRINTERS["latex"](self) if "latex" in PRINTERS else None

    def _repr_html_(self) -> str | None:
        return PRINTERS["html"](self) if "html" in PRINTERS else None

    def _repr_svg_(self) -> str | None:
        return PRINTERS["svg"](self) or None if "svg" in PRINTERS else None

    def __getattr__(self, name: str) -> Any:
        method = OPERATORS.get("." + name)
        if method is None:
            raise AttributeError(f"expression has no attribute {name!r}")
        if getattr(method, "is_property", False):
            return method(self)
        return lambda *args, **kwargs: method(self, *args, **kwargs)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(k[1:] for k in OPERATORS if k.startswith("."))})
