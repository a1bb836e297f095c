"""Programs aimed at a rule: its pattern over random operands, or its examples changed at random.

In: a rule, random numbers. Out: expressions that the rule may match at the root. A draw that no operator accepts
is no program: `None`. It must not know what a rule makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rewriting.operands import FLOATS, INTEGERS, M, N, Operands
from symgrad.dtypes import DType
from symgrad.errors import SymgradError
from symgrad.expr import Expr, constant_node, dim_node, literal, topological
from symgrad.ops.leaves import symbol
from symgrad.ops.row import ROWS
from symgrad.pattern import Number, Op, Pattern, Variable
from symgrad.rewrite import Rule
from symgrad.rules import TABLE
from symgrad.shape import Dim, Size, dim, substitute

PATTERNS = tuple(one for one in TABLE if one.pattern is not None)
REFUSED = (SymgradError, TypeError, ValueError, IndexError, ZeroDivisionError)


def aimed(one: Rule, rng: random.Random, dtype: str) -> Expr | None:
    """Draw a program for a rule; None where operators refuse what was drawn."""
    try:
        if one.pattern is not None and (one.examples is None or rng.random() < 0.7):
            return Instance(one, rng, dtype).root()
        assert one.examples is not None
        return Mutation(rng, dtype).of(rng.choice(list(one.examples())))
    except REFUSED:
        return None


def around(x: Expr, rng: random.Random) -> Expr:
    """Put a program into another one's operand, or give it as it is."""
    try:
        match rng.randrange(6):
            case 0:
                return ROWS[rng.choice(("negative", "square", "abs"))](x)
            case 1:
                return ROWS["multiply"](x, rng.choice((1, 2)))
            case 2:
                return ROWS["add"](x, Operands(rng).operand(x.shape, str(x.dtype)))
            case 3:
                return ROWS["broadcast_to"](x, shape=(2, *x.shape))
            case 4:
                outer = rng.choice(PATTERNS)
                return Instance(outer, rng, str(x.dtype), x).root()
    except REFUSED:
        pass
    return x


# -- patterns ----------------------------------------------------------------------------------------------------------


class Instance:
    """A pattern with an operand for each variable; `given` is one of them."""

    def __init__(self, one: Rule, rng: random.Random, dtype: str, given: Expr | None = None) -> None:
        assert one.pattern is not None
        self.rng, self.dtype = rng, dtype
        self.operands = Operands(rng)
        self.pattern = one.pattern
        self.numbers = ("c", "d") if "numbers" in one.condition else ()
        self.facts = tuple(one.condition.removeprefix("x is ").removeprefix("declared ").split(" and "))
        self.facts = (
            self.facts if one.condition.startswith(("x is declared", "x is ")) and "dtype" not in one.condition else ()
        )
        self.shape = given.shape if given is not None else self.operands.shape(_least_rank(one.pattern))
        self.bound: dict[str, Any] = {} if given is None else {rng.choice("xy"): given}

    def root(self) -> Expr:
        found: Expr = self.made(self.pattern, self.dtype)
        return found

    def made(self, pattern: Pattern, dtype: str) -> Any:
        if isinstance(pattern, Number):
            return pattern.value
        if isinstance(pattern, Variable):
            if pattern.name not in self.bound:
                self.bound[pattern.name] = self.variable(pattern.name, dtype)
            return self.bound[pattern.name]
        assert isinstance(pattern, Op)
        bools = {0} if pattern.name == "where" else set()
        if pattern.name in ("logical_and", "logical_or"):
            bools = {0, 1}
        args = [self.made(a, "bool" if i in bools else dtype) for i, a in enumerate(pattern.args)]
        if ROWS[pattern.name].commutative and self.rng.random() < 0.5:
            args.reverse()
        return ROWS[pattern.name](*args, **self.attributes(pattern, args))

    def variable(self, name: str, dtype: str) -> Expr:
        if name in self.numbers:
            return constant_node(
                self.rng.choice((1, 2, 3, 0.75, -2.5) if dtype in FLOATS else (1, 2, 100)), DType(dtype)
            )
        if dtype != "bool" and self.rng.random() < 0.1:
            dtype = self.operands.dtype()
        facts = self.facts if name == "x" else ()
        shape = self.shape if _least_rank(self.pattern) else self.operands.narrowed(self.shape)
        return self.operands.operand(shape, dtype, facts)

    def attributes(self, pattern: Op, args: Sequence[Any]) -> dict[str, Any]:
        """Choose attributes; those of one name agree."""
        drawn = ATTRIBUTES.get(pattern.name, lambda rng, x: {})(self.rng, args[0])
        for key, wanted in pattern.attrs:
            if key in drawn and hasattr(wanted, "name"):
                drawn[key] = self.bound.setdefault(f"attribute {wanted.name}", drawn[key])
        return drawn


def _least_rank(pattern: Pattern) -> int:
    """Give the rank that the operators of a pattern need."""
    if not isinstance(pattern, Op):
        return 0
    own = {"softmax": 1, "log_softmax": 1, "det": 2, "transpose": 1}.get(pattern.name, 0)
    return max([own, *map(_least_rank, pattern.args)])


def _axes(rng: random.Random, x: Expr) -> dict[str, Any]:
    count = rng.randrange(x.ndim + 1)
    return {"axes": tuple(sorted(rng.sample(range(x.ndim), count))), "keepdims": rng.random() < 0.5}


def _flattened(rng: random.Random, x: Expr) -> dict[str, Any]:
    shape = [size for size in x.shape if size != 1]
    if rng.random() < 0.4 and len(shape) > 1:
        shape[:2] = [shape[0] * shape[1]]
    rng.shuffle(shape)
    for _ in range(rng.randrange(3)):
        shape.insert(rng.randrange(len(shape) + 1), 1)
    return {"shape": tuple(shape)}


def _wider(rng: random.Random, x: Expr) -> dict[str, Any]:
    shape = [rng.choice((1, 3, N)) if size == 1 else size for size in x.shape]
    return {"shape": (*(rng.choice((0, 1, 2, N)) for _ in range(rng.randrange(3))), *shape)}


ATTRIBUTES: dict[str, Callable[[random.Random, Expr], dict[str, Any]]] = {
    **dict.fromkeys(("softmax", "log_softmax"), lambda rng, x: {"axis": rng.randrange(x.ndim)}),
    **dict.fromkeys(("sum", "mean"), _axes), "reshape": _flattened, "broadcast_to": _wider,
}  # fmt: skip


# -- examples ----------------------------------------------------------------------------------------------------------

_SIZED = ("shape", "size", "depth")  # attributes that are sizes


class Mutation:
    """Changes an example: sizes and dtypes everywhere, leaves into expressions, axes, the order of operands."""

    def __init__(self, rng: random.Random, dtype: str) -> None:
        self.rng = rng
        self.operands = Operands(rng)
        self.floats = dtype
        self.sizes: dict[Size, Size] = {}
        self.resized = rng.random() < 0.7
        self.axes = rng.random() < 0.3
        self.leaves = rng.choice((0.0, 0.4, 0.8))

    def of(self, root: Expr) -> Expr:
        order = topological([root])
        positions = {id(a) for node in order for a in node.args[1:] if node.op in _INDEXING}
        positions |= {id(node.args[0]) for node in order if node.op == "one_hot"}
        new: dict[Expr, Expr] = {}
        for node in order:
            new[node] = self.leaf(node, id(node) in positions) if not node.args else self.inner(node, new)
        return new[root]

    def size(self, size: Size) -> Size:
        """Give the size that takes the place of one, the same everywhere."""
        if not self.resized or size == 1:
            return size
        if isinstance(size, Dim) and size != N:
            return substitute(size, {"n": self.size(N)})
        if size not in self.sizes:
            choices: tuple[Size, ...] = (size, size, 0, 1, 2, 3, 4, 5, N, M)
            self.sizes[size] = self.rng.choice(choices)
        return self.sizes[size]

    def dtype(self, old: str) -> str:
        return self.floats if old in FLOATS else self.rng.choice((old, old, "int64", "uint8")) if old != "bool" else old

    def leaf(self, node: Expr, is_position: bool) -> Expr:
        if node.op == "symbol":
            return self.symbol(node, is_position)
        if node.op == "dim":
            dtype = DType(self.floats) if node.dtype.is_float else node.dtype
            return dim_node(self.size(node.attrs["size"]), dtype)
        if node.op == "constant" and node.dtype.is_float:
            value = literal(node)
            other = self.rng.choice((value, value, value, -3.0, 1.0, 0.0))
            return constant_node(other if self.floats in FLOATS or int(other) == other >= 0 else 1, DType(self.floats))
        attrs = {key: self.attribute(key, value) for key, value in node.attrs.items()}
        return ROWS[node.op](**attrs) if node.op == "arange" else node

    def symbol(self, node: Expr, is_position: bool) -> Expr:
        shape, facts = tuple(map(self.size, node.shape)), node.attrs["facts"]
        dtype = self.dtype(str(node.dtype))
        if is_position:
            return symbol(node.attrs["name"], shape, dtype)
        if facts or self.rng.random() >= self.leaves:
            made = symbol(node.attrs["name"], shape, dtype, facts=set(facts))
            self.operands.made.append(made)
            return made
        return self.operands.operand(shape, dtype)

    def inner(self, node: Expr, new: Mapping[Expr, Expr]) -> Expr:
        args = [new[a] for a in node.args]
        if ROWS[node.op].commutative and self.rng.random() < 0.5:
            args.reverse()
        attrs = {key: self.attribute(key, value) for key, value in node.attrs.items()}
        if "axes" in attrs and "keepdims" in attrs and self.axes:
            attrs |= _axes(self.rng, args[0])
        if node.op == "reshape" and args[0].ndim == node.args[0].ndim and "shape" in attrs:
            attrs["shape"] = tuple(attrs["shape"])
        made = ROWS[node.op](*args, **attrs)
        if made.dtype != "bool" and self.rng.random() < 0.05:
            made = self.rng.choice((lambda x: x * 1, lambda x: -x, lambda x: x + x))(made)
        return made

    def attribute(self, key: str, value: Any) -> Any:
        if key == "dtype" and value in FLOATS:
            return DType(self.floats)
        if key in _SIZED:
            return tuple(map(self.size, value)) if isinstance(value, tuple) else self.size(value)
        return value


_INDEXING = ("take", "pick", "scatter_add", "take_along_axis", "scatter_along_axis")
DTYPES = (*FLOATS, *INTEGERS)
__all__ = ["DTYPES", "Instance", "Mutation", "aimed", "around", "dim"]
