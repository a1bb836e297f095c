"""Random typed graphs as small Python programs.

In: a seed. Out: a `Program`: lines of source that build the graph, its inputs with the way to draw their values, its
outputs and updates. Every line is executed as it is written, so what a failing test prints can be pasted and run.

Values stay in a moderate range: what grows is wrapped in tanh. Operators with jumps or kinks take inputs and integers
as operands unless all floats are float64: in float32 rounding would choose another side than the interpreter.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import symgrad as sg
from symgrad.expr import Expr, Parameter, parameter_node
from symgrad.shape import Size, evaluate

SIZES = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65)
TYPICAL = 12  # what a symbolic size counts as in the estimates below
MOST_ELEMENTS = 6000  # of one node
GREAT = 50.0  # a bound beyond this is wrapped in tanh


@dataclass(frozen=True)
class Input:
    """An input: floats are drawn from [-1.5, 1.5), integers from [low, high) where `high` may be symbolic."""

    node: Expr
    low: Size = 0
    high: Size = 0

    def draw(self, rng: np.random.Generator, dims: dict[str, int]) -> np.ndarray:
        shape = tuple(max(evaluate(n, dims), 0) for n in self.node.shape)
        if self.node.dtype.is_float:
            return rng.uniform(-1.5, 1.5, shape).astype(self.node.dtype.numpy)
        if self.node.dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        low, high = evaluate(self.low, dims), evaluate(self.high, dims)
        return rng.integers(low, max(high, low + 1), shape).astype(self.node.dtype.numpy)


@dataclass
class Program:
    """The source, the names it binds, and what to compile."""

    seed: int
    lines: list[str] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=lambda: {"sg": sg, "np": np, "parameter_node": parameter_node})
    inputs: list[Input] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    updates: list[tuple[str, str]] = field(default_factory=list)

    def run(self, name: str, source: str) -> Expr:
        """Execute `name = source` and keep the line."""
        self.lines.append(f"{name} = {source}")
        self.names[name] = eval(source, self.names)
        return self.names[name]  # type: ignore[return-value]

    def nodes(self) -> list[Expr]:
        return [self.names[o] for o in self.outputs]  # type: ignore[misc]

    def renewed(self) -> list[tuple[Parameter, Expr]]:
        return [(self.names[p], self.names[v]) for p, v in self.updates]  # type: ignore[misc]

    def __str__(self) -> str:
        head = [f"# seed {self.seed}", "import numpy as np", "import symgrad as sg",
                "from symgrad.expr import parameter_node", 'N, M = sg.dim("N"), sg.dim("M")']  # fmt: skip
        pairs = ", ".join(f"({p}, {v})" for p, v in self.updates)
        inputs = ", ".join(i.node.attrs["name"] for i in self.inputs)
        tail = [f"f = sg.function([{inputs}], [{', '.join(self.outputs)}], updates=[{pairs}])"]
        return "\n".join([*head, *self.lines, *tail])


@dataclass
class Value:
    """A name, its node, a bound of its absolute value, and whether rounding cannot have touched it."""

    name: str
    node: Expr
    bound: float = 1.5
    exact: bool = False


class Generator:
    """Grows a program node by node."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.program = Program(seed)
        self.program.names |= {"N": sg.dim("N"), "M": sg.dim("M")}
        self.dtype = self.rng.choice(["float32", "float64"])
        self.values: list[Value] = []
        self.parameters: list[Value] = []
        self.palette: list[Size] = [sg.dim("N"), sg.dim("M"), *self.rng.sample([1, 2, 3, 7, 8, 16, 17, 31, 33], 3)]

    # -- pieces --------------------------------------------------------------------------------------------------------

    def make(self, source: str, bound: float = 1.5, exact: bool = False) -> Value | None:
        """Add a node, wrapped where it is too great; None where the operands do not fit or it would be too large."""
        name = f"v{len(self.program.lines)}"
        try:
            node = eval(source, self.program.names)
        except (sg.ShapeError, sg.DTypeError, sg.IndexRangeError):
            return None
        if not isinstance(node, Expr) or elements(node) > MOST_ELEMENTS or node.ndim > 5:
            return None
        value = Value(name, self.program.run(name, source), bound, exact)
        self.values.append(value)
        if node.dtype.is_float and bound > GREAT:
            return self.make(f"sg.tanh({name} * {2 / bound:.6g})", 1.0)
        if node.dtype.is_integer and bound > 1e6:
            return self.make(f"sg.remainder({name}, 101)", 101, exact)
        return value

    def shape(self, least: int = 0) -> tuple[Size, ...]:
        while True:
            rank = max(least, self.rng.choices(range(5), (1, 3, 5, 2, 1))[0])
            shape = tuple(self.rng.choice(self.palette) for _ in range(rank))
            if count(shape) <= MOST_ELEMENTS:
                return shape

    def symbol(self, shape: tuple[Size, ...], dtype: str, low: Size = 0, high: Size = 0) -> Value:
        name = f"x{len(self.program.inputs)}"
        node = self.program.run(name, f'sg.symbol("{name}", {text(shape)}, "{dtype}")')
        self.program.inputs.append(Input(node, low, high))
        bound = 1.5 if node.dtype.is_float else float(max(abs(count((low,))), abs(count((high,)))))
        self.values.append(Value(name, node, bound, exact=True))
        return self.values[-1]

    def parameter(self, shape: tuple[int, ...]) -> Value:
        name, seed = f"p{len(self.parameters)}", self.rng.randrange(1000)
        value = f"np.random.default_rng({seed}).uniform(-1, 1, {text(shape)})"
        node = self.program.run(name, f'parameter_node("{name}", {value}, sg.symbol("_", (), "{self.dtype}").dtype)')
        self.parameters.append(Value(name, node, 1.0, exact=True))
        self.values.append(self.parameters[-1])
        return self.values[-1]

    def pick(self, test: Callable[[Value], bool]) -> Value | None:
        fitting = [v for v in self.values if test(v)]
        if not fitting:
            return None
        recent = fitting[-4:]
        return self.rng.choice(recent if self.rng.random() < 0.6 else fitting)

    def float_(self, least: int = 0) -> Value | None:
        return self.pick(lambda v: v.node.dtype.is_float and v.node.ndim >= least)

    def kinky(self, least: int = 0) -> Value | None:
        """Give an operand for an operator that jumps."""
        if self.dtype == "float64" and self.rng.random() < 0.7:
            return self.float_(least)
        return self.pick(lambda v: v.exact and v.node.dtype.is_float and v.node.ndim >= least)

    # -- the whole -----------------------------------------------------------------------------------------------------

    def grow(self, size: int) -> Program:
        self.symbol((sg.dim("N"), sg.dim("M")), self.dtype)
        for _ in range(self.rng.randrange(3)):
            self.symbol(self.shape(), self.dtype)
        for _ in range(self.rng.randrange(3)):
            self.parameter(tuple(n for n in self.shape() if isinstance(n, int)))
        tries = 0
        while len(self.values) < size and tries < 20 * size:
            tries += 1
            self.rng.choices(KINDS, WEIGHTS)[0](self)
        self.finish()
        return self.program

    def finish(self) -> None:
        """Choose outputs, add gradients and updates."""
        made = [v for v in self.values if v.name.startswith("v")] or self.values
        outputs = {v.name for v in self.rng.sample(made, min(len(made), self.rng.randrange(1, 4)))} | {made[-1].name}
        if self.rng.random() < 0.1:
            outputs.add(self.rng.choice(self.values).name)  # an input or a parameter, perhaps
        self.program.outputs = sorted(outputs)
        floats = [v for v in self.values if v.name in outputs and v.node.dtype.is_float]
        if not floats:
            return
        terms = " + ".join(f"sg.sum(sg.sin({v.name}))" for v in floats)
        self.program.run("loss", terms)
        self.program.outputs.append("loss")
        leaves = [v for v in self.values if v.name[0] in "xp" and v.node.dtype == self.dtype]
        chosen = leaves[:3] if self.rng.random() < 0.5 else self.rng.sample(leaves, min(3, len(leaves)))
        chosen = [v for v in chosen if v not in self.parameters] + self.parameters
        if floats[0].node.dtype != self.dtype and not chosen:
            return
        names = ", ".join(v.name for v in chosen)
        simplify = self.rng.random() < 0.7
        self.program.run("grads", f'sg.grad(loss, [{names}], simplify={simplify}, disconnected="zero")')
        for k, v in enumerate(chosen):
            g = f"g{k}"
            self.program.run(g, f"grads[{k}]")
            self.program.outputs.append(g)
            if v in self.parameters and self.rng.random() < 0.7:
                self.program.run(f"u{k}", f"{v.name} - 0.1 * {g}")
                self.program.updates.append((v.name, f"u{k}"))
        self.swap()

    def swap(self) -> None:
        """Let two parameters of one shape take each other's value, now and then."""
        for a in self.parameters:
            for b in self.parameters:
                free = {a.name, b.name}.isdisjoint(p for p, _ in self.program.updates)
                if a is not b and a.node.shape == b.node.shape and free:
                    self.program.updates += [(a.name, b.name), (b.name, a.name)]


def generate(seed: int, size: int | None = None) -> Program:
    """Make the program of a seed."""
    generator = Generator(seed)
    return generator.grow(size or generator.rng.randrange(5, 25))


def count(shape: tuple[Size, ...]) -> int:
    """Estimate the elements of a shape."""
    return int(np.prod([evaluate(n, {"N": TYPICAL, "M": TYPICAL}) for n in shape], dtype=int))


def elements(node: Expr) -> int:
    return count(node.shape)


def text(shape: tuple[Size, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


# -- kinds of nodes ----------------------------------------------------------------------------------------------------

# name -> source over {x}, and the bound of the result given that of x.
SMOOTH: tuple[tuple[str, Callable[[float], float]], ...] = (
    ("sg.tanh({x})", lambda b: 1), ("sg.sigmoid({x})", lambda b: 1), ("sg.sin({x})", lambda b: 1),
    ("sg.cos({x})", lambda b: 1), ("sg.exp(sg.tanh({x}))", lambda b: 2.8), ("sg.square({x})", lambda b: b * b),
    ("-{x}", lambda b: b), ("sg.sqrt({x} * {x} + 1)", lambda b: b + 1), ("sg.log({x} * {x} + 0.5)", lambda b: b + 1),
    ("sg.log1p(sg.square({x}))", lambda b: b + 1), ("sg.expm1(sg.sin({x}))", lambda b: 2),
    ("sg.erf({x})", lambda b: 1), ("sg.softplus({x})", lambda b: b + 1), ("1 / ({x} * {x} + 1)", lambda b: 1),
    ("{x}**3", lambda b: b**3), ("{x} * {x}", lambda b: b * b), ("2.5 - {x} / 3", lambda b: 2.5 + b),
    ("sg.stop_gradient({x})", lambda b: b), ("{x} * N / (M + 1)", lambda b: 40 * b),
)  # fmt: skip
KINKS = ("sg.abs({x})", "sg.relu({x})", "sg.sign({x})", "sg.floor({x} * 3)", "sg.where({x} > 0.1, {x} * 2, -{x})",
         "sg.remainder({x} * 3, 2)", "sg.floor_divide({x} * 5, 2)")  # fmt: skip
TWO: tuple[tuple[str, Callable[[float, float], float]], ...] = (
    ("{x} + {y}", lambda a, b: a + b), ("{x} - {y}", lambda a, b: a + b), ("{x} * {y}", lambda a, b: a * b),
    ("{x} / ({y} * {y} + 0.7)", lambda a, b: 2 * a),
    ("sg.power({x} * {x} + 0.5, sg.tanh({y}))", lambda a, b: a * a + 3),
)  # fmt: skip


def _smooth(g: Generator) -> None:
    x = g.float_()
    if x is not None:
        source, bound = g.rng.choice(SMOOTH)
        g.make(source.format(x=x.name), bound(x.bound))


def _kink(g: Generator) -> None:
    x = g.kinky()
    if x is not None:
        g.make(g.rng.choice(KINKS).format(x=x.name), 5 * x.bound)


def _two(g: Generator) -> None:
    x, y = g.float_(), g.float_()
    if x is not None and y is not None:
        source, bound = g.rng.choice(TWO)
        g.make(source.format(x=x.name, y=y.name), bound(x.bound, y.bound))


def _choose(g: Generator) -> None:
    x, y = g.kinky(), g.kinky()
    if x is None or y is None:
        return
    source = g.rng.choice(("sg.maximum({x}, {y})", "sg.minimum({x}, {y})", "sg.where({x} < {y}, {y}, {x})",
                           "sg.where(({x} > 0) & ~({y} > 0.5), {x} * {y}, 1)"))  # fmt: skip
    g.make(source.format(x=x.name, y=y.name), x.bound * y.bound + 2)


def _cast(g: Generator) -> None:
    x = g.pick(lambda v: True)
    if x is None:
        return
    if x.node.dtype.is_float and g.rng.random() < 0.5:
        exact = g.kinky()
        if exact is not None:
            dtype = g.rng.choice(["int32", "int64", "int8"])
            g.make(f"sg.floor({exact.name} * 4).astype('{dtype}')", 4 * exact.bound, exact=True)
        return
    if x.node.dtype.is_float and g.dtype == "float64":
        return  # a float32 in a float64 graph would need the other tolerance
    g.make(f"{x.name}.astype('{g.dtype}')", x.bound)


def _integers(g: Generator) -> None:
    x = g.pick(lambda v: v.node.dtype.is_integer)
    if x is None or g.rng.random() < 0.3:
        g.symbol(g.shape(), g.rng.choice(["int32", "int64", "uint8", "int8", "bool"]), 0, 9)
        return
    y = g.pick(lambda v: v.node.dtype.is_integer)
    if y is None:
        return
    source = g.rng.choice((
        "{x} + {y}", "{x} - {y}", "{x} * {y}", "sg.maximum({x}, {y})", "{x} // ({y} * {y} + 1)", "{x} % (abs({y}) + 2)",
        "({x} > {y}).sum(axis=-1)", "({x} == {y}) | ({x} < 2)", "{x}**2", "sg.sum({x})", "{x} // -3", "{x} % -3",
    ))  # fmt: skip
    if x.node.dtype.kind == "u" or y.node.dtype.kind == "u":
        unsigned = ("{x} * {y}", "sg.maximum({x}, {y})", "{x} // ({y} + 1)", "{x} % ({y} + 2)", "{x} <= {y}")
        source = g.rng.choice(unsigned)
    if "axis" in source and max(x.node.ndim, y.node.ndim) == 0:
        return
    bound = x.bound * y.bound + x.bound + y.bound + 3
    if bound > 100 and min(x.node.dtype.size, y.node.dtype.size) == 1:
        return
    g.make(source.format(x=x.name, y=y.name), bound * (elements(x.node) + 1 if "sum" in source else 1), exact=True)


def _axes(g: Generator, x: Value) -> str:
    ndim = x.node.ndim
    if g.rng.random() < 0.2 or ndim == 0:
        return "None"
    chosen = g.rng.sample(range(ndim), g.rng.randrange(1, ndim + 1))
    return str(chosen[0] - g.rng.choice((0, ndim))) if len(chosen) == 1 else str(tuple(chosen))


def _fold(g: Generator) -> None:
    x = g.float_()
    if x is None:
        return
    axes, keep = _axes(g, x), g.rng.random() < 0.3
    many = 0.3 * elements(x.node) * x.bound if axes == "None" else 5 * x.bound
    g.rng.choice((
        lambda: g.make(f"sg.sum({x.name}, axis={axes}, keepdims={keep})", many),
        lambda: g.make(f"sg.mean({x.name}, axis={axes}, keepdims={keep})", x.bound),
        lambda: g.make(f"sg.var({x.name}, axis={axes}, keepdims={keep})", x.bound**2),
        lambda: g.make(f"sg.logsumexp({x.name}, axis={axes}, keepdims={keep})", x.bound + 3),
        lambda: g.make(f"sg.prod(1 + 0.1 * sg.tanh({x.name}), axis={axes}, keepdims={keep})", 5),
    ))()  # fmt: skip


def _extreme(g: Generator) -> None:
    x = g.kinky()
    if x is None:
        return
    axes, keep, op = _axes(g, x), g.rng.random() < 0.3, g.rng.choice(["max", "min", "argmax", "argmin", "any", "all"])
    if op in ("any", "all"):
        g.make(f"sg.{op}({x.name} > 0.3, axis={axes}, keepdims={keep})", 1, exact=True)
    elif op in ("max", "min"):
        g.make(f"sg.{op}({x.name}, axis={axes}, keepdims={keep})", x.bound)
    else:
        axis = "None" if axes == "None" or "(" in axes else axes
        g.make(f"sg.{op}({x.name}, axis={axis})", 100, exact=True)


def _softmax(g: Generator) -> None:
    x = g.float_(1)
    if x is not None:
        axis, op = g.rng.randrange(x.node.ndim), g.rng.choice(["softmax", "log_softmax", "softmax"])
        g.make(f"sg.{op}({x.name}, axis={axis})", 1 if op == "softmax" else x.bound + 5)


def _layout(g: Generator) -> None:
    x = g.pick(lambda v: True)
    if x is None:
        return
    shape, ndim = x.node.shape, x.node.ndim
    axis = g.rng.randrange(ndim) if ndim else 0

    def permuted() -> str:
        return f"sg.transpose({x.name}, {tuple(g.rng.sample(range(ndim), ndim))})"

    def merged() -> str:
        if axis + 1 >= ndim:
            return f"{x.name}.reshape(-1)" if g.rng.random() < 0.5 else f"sg.ravel({x.name}.T)"
        whole = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        return f"{x.name}.reshape({text(whole)})"

    def split() -> str:
        size = shape[axis]
        parts = [k for k in range(2, 10) if isinstance(size, int) and size > k and size % k == 0]
        if not parts:
            return f"{x.name}.reshape({text((*shape[:axis], 1, *shape[axis:]))})"
        k = g.rng.choice(parts)
        return f"{x.name}.reshape({text((*shape[:axis], size // k, k, *shape[axis + 1 :]))})"

    def sliced() -> str:
        size = shape[axis]
        most = ":-1" if not isinstance(size, int) else f":{max(size - 1, 1)}"
        part = g.rng.choice(["::-1", "::2", "::-2", most, "1:"])
        return f"{x.name}[{':, ' * axis}{part}]"

    def indexed() -> str:
        return f"{x.name}[{':, ' * axis}{g.rng.choice([0, -1])}]"

    def grown() -> str:
        return f"sg.broadcast_to({x.name}, {text((g.rng.choice(g.palette), *shape))})"

    kinds = [permuted, merged, split, sliced, grown, lambda: f"sg.expand_dims({x.name}, {axis})",
             lambda: f"sg.flip({x.name}, {axis})", lambda: f"sg.squeeze({x.name})"]  # fmt: skip
    if ndim:
        if isinstance(shape[axis], int) and shape[axis] > 0:
            kinds.append(indexed)
        g.make(g.rng.choice(kinds)(), x.bound, x.exact)


def _join(g: Generator) -> None:
    x = g.float_(1)
    if x is None:
        return
    axis = g.rng.randrange(x.node.ndim)
    fits = [v for v in g.values if v.node.dtype == x.node.dtype and v.node.ndim == x.node.ndim]
    parts = [x, *(g.rng.choice(fits) for _ in range(g.rng.randrange(1, 3)))]
    names = ", ".join(p.name for p in parts)
    op = g.rng.choice(["concatenate", "concatenate", "stack"])
    made = g.make(f"sg.{op}([{names}], axis={axis})", max(p.bound for p in parts), all(p.exact for p in parts))
    if made is None:
        g.make(f"sg.{op}([{x.name}, sg.sin({x.name})], axis={axis})", x.bound + 1)


def _matmul(g: Generator) -> None:
    x = g.float_(1)
    if x is None:
        return
    y = g.pick(lambda v: v.node.dtype == x.node.dtype and v.node.ndim >= 1 and v is not x)
    bound = 4 * x.bound
    if y is not None and g.rng.random() < 0.5:
        for a, b in (("", ""), ("", ".T"), (".T", ""), (".T", ".T")):
            if g.make(f"sg.matmul({x.name}{a}, {y.name}{b})", bound * y.bound) is not None:
                return
    inner, outer = x.node.shape[-1], g.rng.choice(g.palette)
    shape: tuple[Size, ...] = g.rng.choice([(inner, outer), (inner, outer), (inner,), (outer, inner)])
    if x.node.ndim > 2 and g.rng.random() < 0.4:
        shape = (*(g.rng.choice((1, n)) for n in x.node.shape[:-2]), inner, outer)
    if all(isinstance(n, int) for n in shape) and x.node.dtype == g.dtype and g.rng.random() < 0.5:
        y = g.parameter(shape)  # type: ignore[arg-type]
    else:
        y = g.symbol(shape, str(x.node.dtype))
    if len(shape) == 2 and shape[-1] == inner and shape[0] != inner:
        g.make(f"{x.name} @ {y.name}.T", bound * y.bound)
    elif g.make(f"{x.name} @ {y.name}", bound * y.bound) is None:
        return
    if g.rng.random() < 0.15 and x.node.ndim == 2:
        g.make(f"({x.name} > 0).astype('int64') @ ({x.name}.T < 0.3).astype('int64')", 100)


def _gather(g: Generator) -> None:
    x = g.float_(1)
    if x is None:
        return
    axis, dtype = g.rng.randrange(x.node.ndim), g.rng.choice(["int32", "int64"])
    kind = g.rng.choice(["take", "take", "pick", "one_hot", "known"])
    extent = x.node.shape[axis if kind in ("take", "known") else -1]
    low = g.rng.choice((0, 0 - extent))
    if kind == "take":
        i = g.symbol(tuple(g.rng.choice(g.palette) for _ in range(g.rng.randrange(3))), dtype, low, extent)
        g.make(f"sg.take({x.name}, {i.name}, axis={axis})", x.bound, x.exact)
    elif kind == "pick":
        i = g.symbol(x.node.shape[:-1], dtype, low, extent)
        g.make(f"sg.pick({x.name}, {i.name})", x.bound, x.exact)
    elif kind == "one_hot":
        i = g.symbol(x.node.shape[:-1], dtype, low, extent)
        g.make(f"sg.one_hot({i.name}, {extent}, '{g.dtype}') * {x.name}", x.bound)
    elif isinstance(extent, int) and extent > 0:
        known = [g.rng.randrange(-extent, extent) for _ in range(g.rng.randrange(1, 5))]
        g.make(f"sg.take({x.name}, {known}, axis={axis})", x.bound, x.exact)


def _random(g: Generator) -> None:
    op, shape = g.rng.choice(["uniform", "normal"]), g.shape()
    g.make(f"sg.random.{op}({g.rng.randrange(100)}, {text(shape)}, dtype='{g.dtype}')", 4)


def _count(g: Generator) -> None:
    g.make(f"sg.arange({g.rng.choice(g.palette)}, dtype='{g.dtype}') / (N + 1)", 5)


KINDS: list[Callable[[Generator], None]] = [
    _smooth, _two, _kink, _choose, _cast, _integers, _fold, _extreme, _softmax, _layout, _join, _matmul, _gather,
    _random, _count,
]  # fmt: skip
WEIGHTS = [5, 6, 4, 3, 1, 1, 4, 3, 2, 6, 2, 6, 3, 1, 1]
