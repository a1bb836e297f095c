"""Random operands, and values for them: what rules may meet, of every dtype and of shapes that broadcast.

In: a generator of random numbers. Out: expressions of a wanted dtype and shape; arrays that make what is declared of a
symbol true. It must not know rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.dtypes import DType
from symgrad.expr import Expr, constant_node, dim_node, topological
from symgrad.ops.facts import declared
from symgrad.ops.row import ROWS
from symgrad.shape import Size, names
from symgrad.shape import evaluate as size_value

N, M = sg.dim("n"), sg.dim("m")
SIZES: tuple[Size, ...] = (0, 1, 1, 2, 3, 3, 4, N, N, M)
FLOATS = ("float64", "float32")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ELEMENT_FACTS = ("finite", "nonzero", "positive", "nonnegative", "integer_valued")
# Operators that have a float for every finite number.
UNARY = ("negative", "abs", "square", "tanh", "exp", "relu", "sigmoid", "sin", "floor", "sign")
UNARY_OF_INTEGERS = ("negative", "abs", "square", "sign", "relu")
# Operators of which inference knows what they hand on.
REDUCTIONS = ("sum", "max", "min", "prod", "mean", "cumsum", "cumprod")
HANDING_ON_INTEGERS = (
    "abs", "square", "add", "subtract", "multiply", "maximum", "minimum", "negative", "sign", "relu", "remainder",
    "power", "where", "clip", "astype", "max", "min", "floor_divide",
)  # fmt: skip
HANDING_ON = (
    *HANDING_ON_INTEGERS, "sqrt", "exp", "sigmoid", "softplus", "cosh", "erfc", "ndtr", "divide", "reciprocal", "log1p",
    "expm1", "cbrt", "floor", "ceil", "round", "trunc", "tanh", "hypot", "fmod", "relu6", "logaddexp", "sinh", "atan",
    "asinh", "erf", "softsign", "sin", *REDUCTIONS,
)  # fmt: skip
INDEXED = {"take": 1, "pick": 1, "scatter_add": 1, "take_along_axis": 1, "scatter_along_axis": 1, "one_hot": 0}


class Operands:
    """Draws operands of one program; names are its own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0
        self.made: list[Expr] = []

    def dtype(self) -> str:
        """Choose a dtype, a float more often than not."""
        return self.rng.choice((*FLOATS, *FLOATS, self.rng.choice(INTEGERS)))

    def shape(self, least: int = 0) -> tuple[Size, ...]:
        return tuple(self.rng.choice(SIZES) for _ in range(max(least, self.rng.choice((0, 1, 2, 2, 2, 3)))))

    def narrowed(self, shape: Sequence[Size]) -> tuple[Size, ...]:
        """Choose a shape that broadcasts to this one."""
        if self.rng.random() < 0.5:
            return tuple(shape)
        first = self.rng.randrange(len(shape) + 1)
        return tuple(1 if self.rng.random() < 0.3 else size for size in shape[first:])

    def symbol(self, shape: Sequence[Size], dtype: str, facts: Sequence[str] = ()) -> Expr:
        """Declare a symbol, perhaps with facts."""
        chosen = set(facts)
        if dtype != "bool" and self.rng.random() < 0.25:
            chosen |= set(self.rng.sample(ELEMENT_FACTS, self.rng.randrange(1, 3)))
        if len(shape) > 1 and shape[-1] == shape[-2] and dtype in FLOATS and self.rng.random() < 0.4:
            chosen.add("symmetric")
        self.count += 1
        node = sg.symbol(f"x{self.count}", tuple(shape), dtype, facts=chosen)
        self.made.append(node)
        return node

    def operand(self, shape: Sequence[Size], dtype: str, facts: Sequence[str] = (), depth: int = 2) -> Expr:
        """Give an expression of this type: a symbol, one that is there already, or a symbol seen through operators."""
        same = [x for x in self.made if x.dtype == dtype and x.shape == tuple(shape)]
        if same and not facts and self.rng.random() < 0.2:
            return self.rng.choice(same)
        if facts and self.rng.random() < 0.6:
            return self.inferred(tuple(shape), dtype, facts)
        if facts or depth == 0 or self.rng.random() < 0.5:
            return self.symbol(shape, dtype, facts)
        return self.rng.choice(WAYS)(self, tuple(shape), dtype, depth - 1)

    def inferred(self, shape: tuple[Size, ...], dtype: str, facts: Sequence[str]) -> Expr:
        """Give an expression of which facts may follow from those of its operands."""
        known = [*facts, *self.rng.sample(ELEMENT_FACTS, self.rng.randrange(3))]
        x, y = (self.symbol(shape, dtype, self.rng.sample(known, self.rng.randrange(1, len(known) + 1))) for _ in "xy")
        name = self.rng.choice(HANDING_ON if dtype in FLOATS else HANDING_ON_INTEGERS)
        match name:
            case "astype":
                inner = self.symbol(shape, self.dtype() if dtype in FLOATS else self.rng.choice(INTEGERS), facts)
                return ROWS["astype"](inner, dtype=DType(dtype))
            case "where":
                return ROWS["where"](self.symbol(shape, "bool"), x, y)
            case "clip":
                return ROWS["clip"](x, 0, y)
            case "power":
                return ROWS["power"](x, self.rng.choice((0, 1, 2, 3)))
            case "sum" | "max" | "min" | "prod" | "mean" if shape:
                wide = self.symbol((*shape, self.rng.choice((2, 3))), dtype, known)
                return ROWS[name](wide, axes=(len(shape),), keepdims=False)
            case "cumsum" | "cumprod" if shape:
                return ROWS[name](x, axis=len(shape) - 1)
        operator = ROWS.get(name) if name not in REDUCTIONS else ROWS["abs"]
        assert operator is not None
        return operator(x, y) if operator.arity == 2 else operator(x)

    # -- ways to make an expression of a type --------------------------------------------------------------------------

    def applied(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        name = self.rng.choice(UNARY if dtype in FLOATS else UNARY_OF_INTEGERS)
        return self.symbol(shape, dtype) if dtype == "bool" else ROWS[name](self.operand(shape, dtype, (), depth))

    def scaled(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        """Multiply or divide by a number, a size or a scalar."""
        if dtype == "bool":
            return ROWS["logical_not"](self.operand(shape, dtype, (), depth))
        x = self.operand(shape, dtype, (), depth)
        choices: list[Callable[[], Any]] = [lambda: self.rng.choice((0, 1, 2, 3)), lambda: self.symbol((), dtype)]
        if dtype in FLOATS:
            choices += [
                lambda: dim_node(self.rng.choice((N, M, N * M)), x.dtype),
                lambda: self.rng.choice((-1, 0.5, -3.0)),
            ]
        by = self.rng.choice(choices)()
        may_divide = dtype in FLOATS and (isinstance(by, Expr) or by != 0)
        name = self.rng.choice(("multiply", "divide") if may_divide else ("multiply",))
        return ROWS[name](*((x, by) if name == "divide" or self.rng.random() < 0.5 else (by, x)))

    def combined(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        """Combine operands, one of which has the shape."""
        pair = [self.operand(shape, dtype, (), depth), self.operand(self.narrowed(shape), dtype, (), depth)]
        self.rng.shuffle(pair)
        if dtype == "bool":
            return ROWS["logical_and"](*pair)
        return ROWS[self.rng.choice(("add", "subtract", "multiply", "maximum"))](*pair)

    def spread(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        return ROWS["broadcast_to"](self.operand(self.narrowed(shape), dtype, (), depth), shape=shape)

    def turned(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        axes = self.rng.sample(range(len(shape)), len(shape))
        inner = [shape[axes.index(axis)] for axis in range(len(shape))]
        return ROWS["transpose"](self.operand(inner, dtype, (), depth), axes=tuple(axes))

    def reshaped(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        inner = [size for size in shape if size != 1]
        inner.insert(self.rng.randrange(len(inner) + 1), 1)
        return ROWS["reshape"](self.operand(inner, dtype, (), depth), shape=shape)

    def masked(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        condition = self.operand(self.narrowed(shape), "bool", (), depth)
        other = False if dtype == "bool" else 0
        return ROWS["where"](condition, self.operand(shape, dtype, (), depth), other)

    def converted(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        inner = "bool" if self.rng.random() < 0.4 else self.dtype()
        if inner in FLOATS and dtype not in FLOATS:
            inner = "bool"  # what is out of range has no meaning
        return ROWS["astype"](self.operand(shape, inner, (), depth), dtype=DType(dtype))

    def number(self, shape: tuple[Size, ...], dtype: str, depth: int) -> Expr:
        value = constant_node(self.rng.choice((0, 1, 2, 3)), DType(dtype))
        return ROWS["broadcast_to"](value, shape=shape) if shape else value


WAYS: tuple[Callable[..., Expr], ...] = (
    Operands.applied, Operands.scaled, Operands.combined, Operands.spread, Operands.turned, Operands.reshaped,
    Operands.masked, Operands.converted, Operands.number,
)  # fmt: skip


# -- values ------------------------------------------------------------------------------------------------------------

# Values among ordinary ones: none that matter, the extremes of both float types, and infinities and NaN besides.
EXTREME = (0.0, -0.0, 1.0, 5e-324, -1e-310, 1e-45, 1e30, -1e30, 3e38, -3e38, 1e308, 88.9, -103.0, 710.0, -740.0)
SPECIAL = {"tame": (0.0, -0.0, 1.0, -1.0, 8.0), "extreme": EXTREME, "wild": (*EXTREME, np.inf, -np.inf, np.nan)}


def environment(root: Expr, rng: np.random.Generator, kind: str, misplaced: bool = False) -> dict[Any, Any]:
    """Draw an array for every symbol, and a size for every dimension.

    `kind` is a key of SPECIAL; `misplaced` lets positions lie outside their axes.
    """
    order = topological([root])
    least = 1 if any(node.op in ("softmax", "log_softmax") for node in order) and rng.random() < 0.9 else 0
    sizes = {name: int(rng.integers(least, 5)) for name in ("n", "m")}
    extents = _extents(order, sizes)
    facts = {node.args[0]: declared(node) for node in order if node.op == "assume"}
    env: dict[Any, Any] = {dim: sizes[str(dim)] for dim in (N, M) if any(str(dim) in _names(node) for node in order)}
    for node in order:
        if node.op == "symbol":
            shape = tuple(size_value(size, sizes) for size in node.shape)
            extent = extents.get(node)
            if extent is not None:
                low = -extent - 1 if misplaced else -extent if node.dtype.kind == "i" else 0
                env[node] = rng.integers(max(low, 0 if node.dtype.kind == "u" else low), extent + misplaced or 1, shape)
                env[node] = env[node].astype(node.dtype.numpy)
                continue
            env[node] = _drawn(node, shape, declared(node) | facts.get(node, frozenset()), rng, kind)
    return env


def _names(node: Expr) -> set[str]:
    found: set[str] = set()
    parts = [*(getattr(node.type, "shape", ())), *node.attrs.values()]
    for part in parts:
        for size in part if isinstance(part, tuple) else (part,):
            found |= set(names(size)) if isinstance(size, (type(N),)) else set()
    return found


def _extents(order: Sequence[Expr], sizes: Mapping[str, int]) -> dict[Expr, int]:
    """Give for each symbol that is used as a position the size of the axis it counts."""
    found: dict[Expr, int] = {}
    for node in order:
        if node.op not in INDEXED:
            continue
        at = node.args[INDEXED[node.op]]
        while at.args and at.op in ("reshape", "transpose", "broadcast_to", "astype"):
            (at,) = at.args
        extent = size_value(_extent(node), sizes)
        found[at] = min(extent, found.get(at, extent))
    return found


def _extent(node: Expr) -> Size:
    match node.op:
        case "one_hot":
            return node.attrs["depth"]  # type: ignore[no-any-return]
        case "scatter_add" | "scatter_along_axis":
            return node.attrs["size"]  # type: ignore[no-any-return]
        case "pick":
            return node.args[0].shape[-1]
    return node.args[0].shape[node.attrs["axis"]]


def _drawn(
    node: Expr, shape: tuple[int, ...], facts: frozenset[str], rng: np.random.Generator, kind: str
) -> np.ndarray:
    if node.dtype == "bool":
        return rng.random(shape) < 0.5 if not {"nonzero", "positive"} & facts else np.ones(shape, bool)
    if node.dtype.is_integer:
        return _integers(shape, node.dtype.numpy, facts, rng, kind)
    values = rng.uniform(-2, 2, shape)
    special = SPECIAL["extreme" if kind == "wild" and "finite" in facts else kind]
    values = np.where(rng.random(shape) < (0.1 if kind == "tame" else 0.4), rng.choice(special, shape), values)
    if kind == "extreme":
        values = np.clip(values, np.finfo(node.dtype.numpy).min, np.finfo(node.dtype.numpy).max)
    with np.errstate(all="ignore"):
        return _true_of(values.astype(node.dtype.numpy), facts)


def _integers(
    shape: tuple[int, ...], dtype: np.dtype, facts: frozenset[str], rng: np.random.Generator, kind: str
) -> np.ndarray:
    limits = np.iinfo(dtype)
    values = rng.integers(max(-3, limits.min), 4, shape).astype(dtype)
    if kind != "tame" or rng.random() < 0.5:
        extremes = np.array([limits.min, limits.max, limits.max - 1, 0, 1, limits.max // 2 + 1], dtype)
        values = np.where(rng.random(shape) < 0.5, rng.choice(extremes, shape), values)
    if {"nonnegative", "positive"} & facts:
        values = np.where(values < 0, 2, values).astype(dtype)
    if "symmetric" in facts:
        values = _mirrored(values)
    return np.where(values == 0, 1, values).astype(dtype) if {"nonzero", "positive"} & facts else values


def _mirrored(values: np.ndarray) -> np.ndarray:
    below = np.tri(values.shape[-1], k=-1, dtype=bool)
    return np.where(below, np.swapaxes(values, -1, -2), values)


def _true_of(values: np.ndarray, facts: frozenset[str]) -> np.ndarray:
    """Change numbers until what is declared of them is true."""
    if "symmetric" in facts:
        values = _mirrored(values)
    if "rows_sum_to_one" in facts:
        positive = np.abs(np.nan_to_num(values, posinf=1, neginf=1)) % 4 + 0.1
        return (positive / positive.sum(axis=-1, keepdims=True)).astype(values.dtype)
    if "integer_valued" in facts:
        values = np.trunc(3 * values)
    if {"nonnegative", "positive"} & facts:
        values = np.where(values < 0, -values, values)
    if "nonzero" in facts or "positive" in facts:
        values = np.where(values == 0, 1, values)
    return np.nan_to_num(values, nan=2, posinf=3, neginf=4) if "finite" in facts else values
