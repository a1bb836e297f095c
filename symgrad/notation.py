"""The scalar language: nodes, their text, and the way back from text.

In: text in Python's syntax. Out: `Formula` nodes (variables, numbers, named constants, calls of scalar operators by
name) and their text. Nothing is evaluated or reordered: `1 - out * out` stays what was written. Formulas are interned,
so `a is b` is structural equality. It must not know which operators exist, nor SymPy.
"""

from __future__ import annotations

import ast
import keyword
import math
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NoReturn, TypeVar

from symgrad.errors import FormatError
from symgrad.forks import hold_at_fork

__all__ = ["CONSTANTS", "Call", "Const", "Formula", "Num", "Var", "fold", "parse", "substitute", "variables"]

T = TypeVar("T")

# `lowest` and `highest` are the least and the greatest value of the dtype in use: -inf and inf for floats.
CONSTANTS = ("pi", "inf", "nan", "lowest", "highest")

# -- nodes --------------------------------------------------------------------------------------------------------

_interned: weakref.WeakValueDictionary[tuple[Any, ...], Formula] = weakref.WeakValueDictionary()
_lock = hold_at_fork(threading.RLock())


class Formula:
    """A scalar formula: a `Var`, `Num`, `Const` or `Call`; immutable, and equal formulas are one object."""

    __slots__ = ("__weakref__",)
    __match_args__: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def _make(cls, key: tuple[Any, ...], *fields: Any) -> Any:
        with _lock:
            known = _interned.get((cls, *key))
            if known is None:
                known = object.__new__(cls)
                for name, value in zip(cls.__match_args__, fields, strict=True):
                    object.__setattr__(known, name, value)
                _interned[(cls, *key)] = known
            return known

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a formula is immutable: cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)

    def __str__(self) -> str:
        return _text(self)

    def __repr__(self) -> str:
        return f"parse({_text(self)!r})"


class Var(Formula):
    """A variable: an operand (x, y, z, w), the result (out), or a part of a state."""

    __slots__ = __match_args__ = ("name",)
    name: str

    def __new__(cls, name: str) -> Var:
        """Give the variable of this name."""
        if not name.isidentifier() or keyword.iskeyword(name) or name in CONSTANTS:
            raise FormatError(f"{name!r} cannot name a variable", hint="Use an identifier that names no constant.")
        return cls._make((name,), name)  # type: ignore[no-any-return]


class Num(Formula):
    """A number as it was written: 1 is not 1.0, and 0.0 is not -0.0."""

    __slots__ = __match_args__ = ("value",)
    value: bool | int | float

    def __new__(cls, value: bool | int | float) -> Num:
        """Give the node of this number."""
        if type(value) not in (bool, int, float) or not math.isfinite(value):
            raise FormatError(f"{value!r} is not a number of a formula", hint="Infinity is inf, not-a-number is nan.")
        return cls._make((type(value), repr(value)), value)  # type: ignore[no-any-return]


class Const(Formula):
    """A named constant, see `CONSTANTS`."""

    __slots__ = __match_args__ = ("name",)
    name: str

    def __new__(cls, name: str) -> Const:
        """Give the constant of this name."""
        if name not in CONSTANTS:
            raise FormatError(f"{name!r} is not a constant", hint=f"Valid: {', '.join(CONSTANTS)}.")
        return cls._make((name,), name)  # type: ignore[no-any-return]


class Call(Formula):
    """A scalar operator, named as its row is, applied to formulas."""

    __slots__ = __match_args__ = ("name", "args")
    name: str
    args: tuple[Formula, ...]

    def __new__(cls, name: str, args: tuple[Formula, ...]) -> Call:
        """Give the call of operator `name` with these operands."""
        if not name.isidentifier() or keyword.iskeyword(name) or name in CONSTANTS:
            raise FormatError(f"{name!r} cannot name an operator")
        return cls._make((name, *args), name, tuple(args))  # type: ignore[no-any-return]


def fold(formula: Formula, leaf: Callable[[Any], T], call: Callable[[str, tuple[T, ...]], T]) -> T:
    """Compute a value bottom-up: `leaf` of a Var, Num or Const, `call` of an operator's name and its operands' values.

    Equal parts are computed once; iterative at any depth.

    >>> fold(parse("x * (x + 1)"), str, lambda name, args: f"{name}[{', '.join(args)}]")
    'multiply[x, add[x, 1]]'
    """
    done: dict[Formula, T] = {}
    stack = [formula]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif not isinstance(node, Call):
            done[node] = leaf(node)
        elif missing := [a for a in node.args if a not in done]:
            stack.extend(reversed(missing))
        else:
            done[node] = call(node.name, tuple(done[a] for a in node.args))
    return done[formula]


def substitute(formula: Formula, env: Mapping[str, Formula]) -> Formula:
    """Replace variables by formulas, all at once.

    >>> str(substitute(parse("x * y"), {"x": parse("y + 1"), "y": parse("x")}))
    '(y + 1) * x'
    """

    def leaf(node: Formula) -> Formula:
        return env.get(node.name, node) if isinstance(node, Var) else node

    return fold(formula, leaf, Call)


@lru_cache(maxsize=4096)
def variables(formula: Formula) -> tuple[str, ...]:
    """List the variables in the order of their first use.

    >>> variables(parse("where(y > 0, x, y)"))
    ('y', 'x')
    """
    found: dict[str, None] = {}

    def leaf(node: Formula) -> None:
        if isinstance(node, Var):
            found[node.name] = None

    fold(formula, leaf, lambda name, args: None)
    return tuple(found)


# -- text ---------------------------------------------------------------------------------------------------------

_COMPARE, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM, _NUMBER = 1, 5, 6, 7, 8, 9, 10  # Python's precedence
_INFIX: dict[str, tuple[str, int]] = {
    "equal": ("==", _COMPARE), "not_equal": ("!=", _COMPARE), "less": ("<", _COMPARE),
    "less_equal": ("<=", _COMPARE), "greater": (">", _COMPARE), "greater_equal": (">=", _COMPARE),
    "logical_or": ("|", 2), "logical_xor": ("^", 3), "logical_and": ("&", 4),
    "add": ("+", _SUM), "subtract": ("-", _SUM),
    "multiply": ("*", _PRODUCT), "divide": ("/", _PRODUCT), "floor_divide": ("//", _PRODUCT),
    "remainder": ("%", _PRODUCT), "power": ("**", _POWER),
}  # fmt: skip
_PREFIX = {"negative": "-", "logical_not": "~"}

_SYNTAX: dict[type, str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder", ast.Pow: "power",
    ast.BitAnd: "logical_and", ast.BitOr: "logical_or", ast.BitXor: "logical_xor",
    ast.Eq: "equal", ast.NotEq: "not_equal", ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater",
    ast.GtE: "greater_equal", ast.USub: "negative", ast.Invert: "logical_not",
}  # fmt: skip


@lru_cache(maxsize=4096)
def parse(text: str) -> Formula:
    """Read a formula: numbers, names, `+ - * / // % **`, comparisons, `& | ^ ~` and calls of operators by name.

    The minus of a literal belongs to the literal. Raises FormatError for anything else in Python's grammar.

    >>> str(parse("where((x > y) | isnan(x), x, -y ** 2)"))
    'where((x > y) | isnan(x), x, -y**2)'
    """
    try:
        return _build(ast.parse(text.strip(), mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{text!r} is not a formula", got=str(error) or type(error).__name__) from None


def _build(node: ast.AST, text: str) -> Formula:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return Num(value)
        case ast.Name(id=name):
            return Const(name) if name in CONSTANTS else Var(name)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as literal)) if literal is not True:
            return Num(-literal)
        case ast.UnaryOp(op=op, operand=x) if type(op) in _SYNTAX:
            return Call(_SYNTAX[type(op)], (_build(x, text),))
        case ast.BinOp(left=x, op=op, right=y) | ast.Compare(left=x, ops=[op], comparators=[y]) if type(op) in _SYNTAX:
            return Call(_SYNTAX[type(op)], (_build(x, text), _build(y, text)))
        case ast.Call(func=ast.Name(id=name), args=[*operands], keywords=[]) if name not in CONSTANTS:
            return Call(name, tuple(_build(x, text) for x in operands))
    found = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
    raise FormatError(
        f"{text!r} is not a formula", got=f"{found} ({type(node).__name__})",
        hint="A formula has numbers, names, + - * / // % **, one comparison at a time, & | ^ ~ and calls by name.",
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _text(formula: Formula) -> str:
    return fold(formula, _leaf_text, _call_text)[1]


def _leaf_text(node: Any) -> tuple[int, str]:
    if isinstance(node, Num):
        text = repr(node.value)
        return (_UNARY if text.startswith("-") else _NUMBER), text
    return _ATOM, node.name


def _call_text(name: str, args: tuple[tuple[int, str], ...]) -> tuple[int, str]:
    """Write a call with the fewest brackets that read back as the same formula; each operand is (precedence, text)."""

    def bracket(operand: tuple[int, str], least: int) -> str:
        return operand[1] if operand[0] >= least else f"({operand[1]})"

    if name in _PREFIX and len(args) == 1 and args[0][0] != _NUMBER:  # the minus of -1 belongs to the literal
        return _UNARY, _PREFIX[name] + bracket(args[0], _UNARY)
    if name in _INFIX and len(args) == 2:
        sign, level = _INFIX[name]
        if level == _POWER:  # binds to the right, and lets a minus stand in the exponent
            return level, f"{bracket(args[0], _ATOM)}**{bracket(args[1], _UNARY)}"
        left = level + 1 if level == _COMPARE else level
        return level, f"{bracket(args[0], left)} {sign} {bracket(args[1], level + 1)}"
    return _ATOM, f"{name}({', '.join(text for _, text in args)})"
