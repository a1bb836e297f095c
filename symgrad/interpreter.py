"""The referee: evaluate a graph with the rows' NumPy oracles, independently of the compiler.

In: expressions (alone or in lists, tuples and dicts) and arrays for their symbols. Out: arrays in the same structure.
By default every float is computed in float64, so that a float32 kernel can be compared with something better; integers
and bools keep their dtypes. A value is dropped after its last use. It must not know codegen, gradients or rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.boundary import Binding, as_array
from symgrad.dtypes import DType, as_dtype
from symgrad.errors import DTypeError, IndexRangeError, ShapeError, nearest
from symgrad.expr import Buffer, Expr, Parameter, TensorType, literal, topological
from symgrad.ops.body import holds_body
from symgrad.ops.layout import requirements
from symgrad.ops.row import Row, label, row_of
from symgrad.ops.structure import Composite, Fold, Gather, Leaf, Random, Scatter
from symgrad.shape import Dim, Shape, Size, format_shape, names, product
from symgrad.shape import evaluate as size_value
from symgrad.structures import parts, restore

__all__ = ["evaluate"]


def evaluate(expr: Any, env: Mapping[Any, Any] | None = None, dtype: Any = "float64") -> Any:
    """Compute the value of an expression, or of a list, tuple or dict of them, with NumPy.

    - `env`: arrays by symbol, or by its name. Any expression may be a key: its value is then not computed but taken.
      Parameters default to their values; dimensions follow from the arrays' shapes, or are keys themselves.
    - `dtype`: the float type in which everything is computed; None keeps the declared dtypes.

    Rank 0 comes back as a NumPy scalar. Raises TypeError for a symbol without a value and for an unknown name,
    ShapeError where arrays do not fit, DTypeError where a conversion would lose more than precision, IndexRangeError
    for positions outside their axis.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"),))
    >>> float(evaluate((x * x).sum(), {x: [1.0, 2.0, 3.0]}))
    14.0
    """
    roots = _expressions(expr)
    working = None if dtype is None else as_dtype(dtype)
    if working is not None and not working.is_float:
        raise DTypeError(
            "evaluate computes in a float dtype", got=str(working), hint="Use None for the declared dtypes."
        )
    given = _by_node(env or {}, roots)
    order = topological(roots, stop=lambda node: node in given)
    missing = [
        f"{node.attrs['name']} of type {node.type}" for node in order if node.op == "symbol" and node not in given
    ]
    if missing:
        raise TypeError(f"evaluate needs values for {', '.join(missing)}")
    arrays, sizes = _bind(given, working)
    machine = _Machine(arrays, sizes, working)
    with np.errstate(all="ignore"):
        values = machine.run(order, roots)
    return restore(expr, iter(values))


def _expressions(structure: Any) -> list[Expr]:
    """List the expressions of a structure in order; TypeError for anything else in it."""
    found = list(parts(structure))
    for part in found:
        if not isinstance(part, Expr):
            raise TypeError(f"evaluate takes expressions, lists, tuples and dicts of them, not {type(part).__name__}")
    return found


# -- binding -------------------------------------------------------------------------------------------------------


def _by_node(env: Mapping[Any, Any], roots: Sequence[Expr]) -> dict[Any, Any]:
    """Replace names by the symbols and parameters they mean; keys that are expressions or dimensions stay."""
    known = {node.attrs["name"]: node for node in topological(roots) if node.op in ("symbol", "parameter")}
    found: dict[Any, Any] = {}
    for key, value in env.items():
        if isinstance(key, str):
            if key not in known:
                raise TypeError(f"evaluate: {key!r} is no symbol of the expression. {nearest(key, known)}")
            key = known[key]
        elif not isinstance(key, (Expr, Dim)):
            raise TypeError(f"evaluate: a key is a symbol or its name, not {type(key).__name__}")
        found[key] = value
    return found


def _bind(given: Mapping[Any, Any], working: DType | None) -> tuple[dict[Expr, np.ndarray], dict[str, int]]:
    """Convert the given arrays and read the dimensions off their shapes; ShapeError where two disagree."""
    binding = Binding()
    arrays: dict[Expr, np.ndarray] = {}
    for key, value in given.items():
        if isinstance(key, Dim):
            binding.bind(key, _as_size(key, value), f"the value given for {key}")
        else:
            arrays[key] = as_array(key, value, working)
    for node, array in arrays.items():
        binding.read(node, array.shape)
    for node, array in arrays.items():
        binding.check(node, array.shape)
    return arrays, binding.sizes


def _as_size(key: Dim, value: Any) -> int:
    if len(key.names) != 1 or str(key) not in key.names:
        raise TypeError(f"evaluate: {key} is no dimension but made of some. Give the value of each.")
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ShapeError(f"{key} must be an int that is not negative", got=repr(value))
    return int(value)


# -- running -------------------------------------------------------------------------------------------------------


def _numpy(dtype: DType, working: DType | None) -> np.dtype:
    """Give the NumPy dtype in which values of a declared dtype are computed."""
    return working.numpy if working is not None and dtype.is_float else dtype.numpy


@dataclass(frozen=True, slots=True)
class ConcreteNode:
    """What an oracle may ask of a node: its operator, attributes and type, with all dimensions bound."""

    op: str
    attrs: Mapping[str, Any]
    type: TensorType
    args: tuple[ConcreteNode, ...] = ()

    @property
    def shape(self) -> Shape:
        """Give the bound sizes of the axes."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """Give the declared element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """Give the number of axes."""
        return len(self.type.shape)

    @property
    def size(self) -> Size:
        """Give the number of elements."""
        return product(self.type.shape)


class _Machine:
    """Values by node, and the dimensions and the float type in force."""

    def __init__(self, arrays: Mapping[Expr, np.ndarray], sizes: dict[str, int], working: DType | None) -> None:
        self.given, self.sizes, self.working = arrays, sizes, working
        self.values: dict[Expr, Any] = {}

    def run(self, order: Sequence[Expr], roots: Sequence[Expr]) -> list[Any]:
        """Compute all nodes in order, each dropped after its last use, and give copies of the roots' values."""
        uses = _count_uses(order, roots, self.given)
        for node in order:
            self.values[node] = self.given[node] if node in self.given else self.compute(node)
            if node not in self.given:
                self._release(node.args, uses)
        return [np.array(self.values[root])[()] for root in roots]

    def _release(self, args: Iterable[Expr], uses: dict[Expr, int]) -> None:
        for arg in args:
            uses[arg] -= 1
            if not uses[arg]:
                del self.values[arg]

    def compute(self, node: Expr) -> Any:
        """Compute one node whose operands have values."""
        row = row_of(node)
        if isinstance(row.structure, Leaf):
            return self._leaf(node)
        if isinstance(row.structure, Composite) and holds_body(node):
            return self._defined(node, row.structure)
        arrays = [self.values[arg] for arg in node.args]
        self._check(node, row, arrays)
        concrete = row.oracle_wants_node or isinstance(row.structure, Random)
        attrs = {key: self._attr(value, keep=concrete) for key, value in node.attrs.items()}
        if row.oracle_wants_node:
            result = row.oracle(*arrays, **attrs, node=self._concrete(node, depth=1))
        else:
            result = row.oracle(*arrays, **attrs)
        return self._typed(node, result)

    def _defined(self, node: Expr, structure: Composite) -> Any:
        """Compute a node that holds a graph: its definition, over the operands' values."""
        definition = structure.define(node)
        given = {**self.given, **{arg: self.values[arg] for arg in node.args}}
        inner = _Machine(given, self.sizes, self.working)
        return inner.run(topological([definition], stop=given.__contains__), [definition])[0]

    def _leaf(self, node: Expr) -> np.ndarray:
        target = _numpy(node.dtype, self.working)
        if isinstance(node, Parameter):
            return np.asarray(node.value, target)
        if isinstance(node, Buffer):
            return np.asarray(node.array, target)
        if node.op == "dim":
            return np.asarray(size_value(node.attrs["size"], self.sizes), target)
        return np.asarray(literal(node), target)

    def _attr(self, value: Any, keep: bool = False) -> Any:
        """Bind dimensions inside an attribute; float dtypes become the working one unless they are to be kept."""
        if isinstance(value, DType):
            return value if keep or self.working is None or not value.is_float else self.working
        if isinstance(value, Dim):
            return size_value(value, self.sizes)
        if isinstance(value, tuple):
            return tuple(self._attr(item, keep) for item in value)
        return value

    def _concrete(self, node: Expr, depth: int) -> ConcreteNode:
        shape = tuple(size_value(size, self.sizes) for size in node.shape)
        args = tuple(self._concrete(arg, depth - 1) for arg in node.args) if depth else ()
        attrs = {key: self._attr(value, keep=True) for key, value in node.attrs.items()}
        return ConcreteNode(node.op, attrs, TensorType(shape, node.dtype), args)

    def _typed(self, node: Expr, result: Any) -> Any:
        """Give a result its node's dtype, and check that it has its node's shape."""
        if not isinstance(node.type, TensorType):
            return result
        shape = tuple(size_value(size, self.sizes) for size in node.shape)
        array = np.asarray(result, _numpy(node.dtype, self.working))
        if array.shape != shape:
            got = f"{format_shape(array.shape)} instead of {format_shape(shape)}"
            raise ShapeError(f"{node.op}: its oracle and its type rule disagree", got=got)
        return array

    def _check(self, node: Expr, row: Row, arrays: Sequence[np.ndarray]) -> None:
        """Refuse what only bound dimensions and computed positions can show to be wrong."""
        for size in requirements(node):
            if size_value(size, self.sizes) < 0:
                raise ShapeError(f"{node.op}: the positions lie outside the axis", got=self._bound(size, "< 0"))
        structure = row.structure
        if isinstance(structure, Fold) and not structure.empty:
            if any(arrays[0].shape[axis] == 0 for axis in node.attrs["axes"]):
                raise ShapeError(f"{node.op}: nothing to choose from", got=format_shape(arrays[0].shape))
        elif isinstance(structure, (Gather, Scatter)):
            _check_positions(node, node.args[1], arrays[1], size_value(structure.extent(node), self.sizes))
        elif node.op == "one_hot":
            _check_positions(node, node.args[0], arrays[0], size_value(node.attrs["depth"], self.sizes))

    def _bound(self, size: Size, relation: str) -> str:
        values = ", ".join(f"{name} = {self.sizes[name]}" for name in sorted(names(size)))
        return f"{size} {relation} for {values}"


def _check_positions(node: Expr, positions: Expr, indices: np.ndarray, extent: int) -> None:
    wrong = (indices < -extent) | (indices >= extent)
    if wrong.any():
        place = tuple(int(i[0]) for i in np.nonzero(wrong)) if indices.ndim else ()
        got = f"{int(indices[place])} at {format_shape(place)} of {label(positions)}"
        raise IndexRangeError(f"{node.op}: a position is outside an axis of size {extent}", got=got)


def _count_uses(order: Sequence[Expr], roots: Sequence[Expr], given: Mapping[Expr, Any]) -> dict[Expr, int]:
    """Count how often each value is still needed; the roots' values are needed to the end."""
    uses = dict.fromkeys(order, 0)
    for node in order:
        if node not in given:
            for arg in node.args:
                uses[arg] += 1
    for root in roots:
        uses[root] += 1
    return uses
