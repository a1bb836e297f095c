"""Random typed graphs: a seed grows a `Program`, node by node.

In: a seed. Out: a `Program`. Every new node is evaluated at once, on small samples, so that the range of its values is
known: what leaves the domain of the next operator is bent into it, what grows is bent back, and what fails is dropped.
In a wild program nothing is bent. It must not know what is compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

import symgrad as sg
from fuzz.program import NAMES, Line, Program, slopes
from symgrad.errors import SymgradError
from symgrad.expr import Expr, topological
from symgrad.interpreter import evaluate
from symgrad.shape import Dim, Size
from symgrad.shape import evaluate as size_value

SIZES = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)
SAMPLE = {"N": 6, "M": 5}
TYPICAL = {"N": 16, "M": 16}
MOST_TYPICAL = 6000  # elements of a node of typical sizes
MOST = 30_000  # elements of the largest node of a run
GREAT = 30.0  # what is greater is bent back
WILD_SHARE = 0.12  # of programs
SMALL = 18  # lines
ENDS = 6  # the most outputs that are chosen because nothing else uses them
N, M = sg.dim("N"), sg.dim("M")


@dataclass(frozen=True)
class Value:
    """A name, its node, and what it is for samples of the inputs."""

    name: str
    node: Expr
    sample: np.ndarray

    @property
    def low(self) -> float:
        return float(np.nanmin(self.sample, initial=0.0))

    @property
    def high(self) -> float:
        return float(np.nanmax(self.sample, initial=0.0))

    @property
    def size(self) -> float:
        return max(abs(self.low), abs(self.high))

    @property
    def is_float(self) -> bool:
        return bool(self.node.dtype.is_float)

    @property
    def is_integer(self) -> bool:
        return bool(self.node.dtype.is_integer)


class Generator:
    """Grows a program."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        self.wild = self.rng.random() < WILD_SHARE
        self.dtype = self.rng.choice(["float32", "float64"])
        self.lines: list[Line] = []
        self.updates: list[str] = []
        self.names = {**NAMES, "N": N, "M": M}
        self.values: list[Value] = []
        self.parameters: list[Value] = []
        self.palette: list[Size] = [N, M, *self.rng.sample(SIZES[1:], 3)]
        if self.rng.random() < 0.05:
            self.palette.append(0)

    # -- lines ---------------------------------------------------------------------------------------------------------

    def run(self, line: Line) -> object:
        """Execute a line and keep it."""
        self.names[line.name] = eval(line.source, self.names)
        self.lines.append(line)
        return self.names[line.name]

    def fresh(self, letter: str) -> str:
        return f"{letter}{sum(line.name.startswith(letter) for line in self.lines)}"

    def make(self, source: str) -> Value | None:
        """Add a node; None where operands do not fit, or the node is too large or of no use."""
        name = self.fresh("v")
        try:
            node = eval(source, self.names)
            if not isinstance(node, Expr) or not fits(node) or any(node is v.node for v in self.values):
                return None
            sample = np.asarray(evaluate(node, {N: SAMPLE["N"], M: SAMPLE["M"], **self.known()}))
        except (SymgradError, TypeError, ValueError):
            return None
        value = Value(name, node, sample)
        if not self.wild and value.is_float and not np.isfinite(sample).all():
            return None
        self.run(Line(name, source))
        self.values.append(value)
        if not self.wild and value.is_float and value.size > GREAT:
            return self.make(f"sg.tanh({name} * {2 / value.size:.3g})")
        if value.is_integer and value.size > 1e6:
            return self.make(f"sg.remainder({name}, 101)")
        return value

    def known(self) -> dict[Expr, np.ndarray]:
        return {v.node: v.sample for v in self.values}

    def symbol(
        self, shape: Sequence[Size], dtype: str, low: Size | float = 0, high: Size | float = 9, made: str = "{}"
    ) -> Value:
        """Add an input; `made` is the source of what turns the drawn array into what an operator is defined for."""
        name = self.fresh("x")
        node = sg.symbol(name, tuple(shape), dtype)
        kind = f"wild {dtype}" if self.wild and node.dtype.is_float and made == "{}" else dtype
        draw = made.format(f'drawn(({self.seed}, {len(self.lines)}), "{kind}", {text(shape)}, {low}, {high})')
        if made != "{}":
            draw = f'({draw}).astype("{dtype}")'
        self.run(Line(name, f'sg.symbol("{name}", {text(shape)}, "{dtype}")', draw))
        calm = eval(draw.replace("wild ", ""), {**NAMES, **SAMPLE})
        self.values.append(Value(name, node, np.asarray(calm, np.float64 if node.dtype.is_float else calm.dtype)))
        return self.values[-1]

    def parameter(self, shape: Sequence[int]) -> Value:
        name = self.fresh("p")
        start = f"np.random.default_rng({self.rng.randrange(1000)}).uniform(-1, 1, {text(shape)})"
        node = self.run(Line(name, f'parameter_node("{name}", {start}, as_dtype("{self.dtype}"))'))
        value = Value(name, node, np.asarray(node.value, np.float64))  # type: ignore[arg-type, attr-defined]
        self.parameters.append(value)
        self.values.append(value)
        return value

    # -- choices -------------------------------------------------------------------------------------------------------

    def shape(self, least: int = 0) -> tuple[Size, ...]:
        """Choose a shape of rank 0 to 4."""
        while True:
            rank = max(least, self.rng.choices(range(5), (1, 3, 5, 2, 1))[0])
            shape = tuple(self.rng.choice(self.palette) for _ in range(rank))
            if count(shape) <= MOST_TYPICAL:
                return shape

    def pick(self, test: Callable[[Value], bool]) -> Value | None:
        """Choose a value, a recent one by preference."""
        fitting = [v for v in self.values if test(v)]
        if not fitting:
            return None
        return self.rng.choice(fitting[-4:] if self.rng.random() < 0.6 else fitting)

    def float_(self, least: int = 0) -> Value:
        """Choose a float value of this rank at least."""
        found = self.pick(lambda v: v.is_float and v.node.ndim >= least)
        return found or self.symbol(self.shape(least), self.dtype, -1.5, 1.5)

    def integer(self) -> Value:
        found = self.pick(lambda v: v.is_integer) if self.rng.random() < 0.7 else None
        return found or self.symbol(self.shape(), self.rng.choice(["int32", "int64", "uint8", "int8"]), 0, 9)

    def boolean(self) -> Value:
        found = self.pick(lambda v: v.node.dtype == "bool")
        return found or self.symbol(self.shape(), "bool")

    def bent(self, value: Value, low: float, high: float, always: bool = False) -> str:
        """Give the source of a value bent into a range, where it is not there already; in a wild program only if so."""
        if (self.wild and not always) or (not self.wild and low <= value.low and value.high <= high):
            return value.name
        if value.is_integer:
            least = max(int(np.ceil(low)), 0) if value.node.dtype.kind == "u" else int(np.ceil(low))
            return f"(sg.remainder({value.name}, {max(int(high) - least, 1)}) + {least})"
        middle, half = (low + high) / 2, (high - low) / 2
        inside = value.name if value.size < 3 else f"{value.name} * {2 / value.size:.3g}"
        return f"({middle:.6g} + {half:.6g} * sg.tanh({inside}))"

    def axes(self, node: Expr) -> str:
        """Choose axes of a reduction."""
        ndim = node.ndim
        if self.rng.random() < 0.2 or ndim == 0:
            return "None"
        chosen = self.rng.sample(range(ndim), self.rng.randrange(1, ndim + 1))
        return str(chosen[0] - self.rng.choice((0, ndim))) if len(chosen) == 1 else str(tuple(chosen))

    def axis(self, node: Expr) -> int:
        return self.rng.randrange(node.ndim) - self.rng.choice((0, node.ndim))

    # -- the whole -----------------------------------------------------------------------------------------------------

    def grow(
        self, size: int, kinds: Mapping[Callable[[Generator], object], float],
        turn: Callable[[Generator], Value | None],
    ) -> Program:  # fmt: skip
        """Grow to so many nodes, one of them that whose turn it is, then choose outputs, gradients and updates."""
        self.symbol((N, M), self.dtype, -1.5, 1.5)
        for _ in range(self.rng.randrange(2)):
            self.symbol(self.shape(), self.dtype, -1.5, 1.5)
        for _ in range(self.rng.choice((0, 0, 1, 1, 2))):
            self.parameter([n for n in self.shape() if isinstance(n, int)])
            if self.rng.random() < 0.5:
                self.parameter(self.parameters[-1].node.shape)  # type: ignore[arg-type]
        own = next(filter(None, (turn(self) for _ in range(5))), None)
        made, tries = 1, 0
        while made < size and tries < 20 * size:
            tries += 1
            before = len(self.values)
            self.rng.choices(list(kinds), list(kinds.values()))[0](self)
            made += len(self.values) > before
        return self.finish({own.name} if own else set())

    def finish(self, chosen: set[str]) -> Program:
        """Choose outputs, differentiate, update."""
        made = [v for v in self.values if v.name.startswith("v")] or self.values
        some = self.rng.randrange(0 if len(self.lines) < SMALL else 1, 4)
        chosen |= {v.name for v in (made[-1], *self.rng.sample(made, min(len(made), some)))}
        if len(self.lines) >= SMALL:
            ends = self.ends()
            chosen |= set(self.rng.sample(ends, min(len(ends), ENDS)))
        if self.rng.random() < 0.1:
            chosen.add(self.rng.choice(self.values).name)  # an input or a parameter, perhaps
        outputs = sorted(chosen)
        floats = [v for v in self.values if v.name in chosen and v.is_float]
        found: list[str] = []
        if floats and self.rng.random() < 0.9:
            self.run(Line("l0", " + ".join(f"sg.sum(sg.sin({v.name}))" for v in floats)))
            found = self.differentiate()
            outputs += ["l0", *found]
        self.update(dict(zip(self.wrt, found, strict=True)) if found else {})
        if self.rng.random() < 0.05:
            outputs.append(self.rng.choice(outputs))  # one value twice
        form = self.rng.choice(["list", "list", "tuple", "dict"])
        program = Program(self.seed, tuple(self.lines), tuple(outputs), tuple(self.updates), form, (), self.wild)
        return replace(program.pruned(["x0"]), sizes=self.sizes())

    def ends(self) -> list[str]:
        """List the nodes that no other node uses."""
        used = {name for line in self.lines for name in line.uses}
        return [v.name for v in self.values if v.name.startswith("v") and v.name not in used]

    def differentiate(self) -> list[str]:
        """Take the gradients of the loss by inputs and parameters of its type."""
        loss = self.names["l0"]
        leaves = [v for v in self.values if v.name[0] in "xp" and v.is_float and v.node.dtype is loss.dtype]  # type: ignore[attr-defined]
        most = 2 if len(self.lines) < SMALL else 5  # gradients are what takes longest to compile
        chosen = self.rng.sample(leaves, min(len(leaves), self.rng.randrange(1, most + 1)))
        if not chosen:
            return []
        self.wrt = tuple(v.name for v in chosen)
        line = slopes("l0", self.wrt, tuple(f"g{k}" for k in range(len(chosen))), self.rng.random() < 0.5)
        self.names.update(zip(line.found, eval(line.source, self.names), strict=True))
        self.lines.append(line)
        return list(line.found)

    wrt: tuple[str, ...] = ()

    def update(self, slopes_of: dict[str, str]) -> None:
        """Renew parameters: by their gradients, by optimizers, by each other's old values."""
        waiting = [v.name for v in self.parameters]
        self.rng.shuffle(waiting)
        while waiting:
            a = waiting.pop()
            same = [b for b in waiting if self.names[b].shape == self.names[a].shape]  # type: ignore[attr-defined]
            kind = self.rng.randrange(6)
            if kind == 0 or (kind < 3 and a not in slopes_of):
                continue
            if kind <= 2:
                self.updates.append(f"({a}, {a} - 0.1 * {slopes_of[a]})")
            elif kind == 3 and a in slopes_of:
                optimizer = self.rng.choice(OPTIMIZERS)
                name = self.fresh("o")
                self.run(Line(name, f"list(sg.optim.{optimizer}.apply([({slopes_of[a]}, {a})]).items())"))
                self.updates.append(f"*{name}")
            elif same:
                b = same[0]
                waiting.remove(b)
                new_a, new_b = self.rng.choice(TOGETHER)
                self.updates += [f"({p}, {new.format(a=a, b=b)})" for p, new in ((a, new_a), (b, new_b))]
            else:
                others = [v.name for v in self.parameters if v.name != a]
                other = f"sg.sum({self.rng.choice(others)})" if others else "1"
                self.updates.append(f"({a}, 0.5 * {a} + 0.1 * {other})")

    def sizes(self) -> tuple[dict[str, int], ...]:
        """Choose two combinations of the dimensions, neither too large."""
        roots = [v for v in self.names.values() if isinstance(v, Expr)]
        shapes = {n.shape for n in topological(roots)}
        found: list[dict[str, int]] = []
        while len(found) < 2:
            sizes = {"N": self.rng.choice(SIZES), "M": self.rng.choice(SIZES)}
            if max(count(shape, sizes) for shape in shapes) <= MOST or max(sizes.values()) <= 3:
                found.append(sizes)
        return tuple(found)


OPTIMIZERS = (
    "SGD(0.1)", "SGD(0.1, momentum=0.9)", "SGD(0.1, momentum=0.9, nesterov=True)", "RMSprop(0.01)", "Adam(0.01)",
)  # fmt: skip
# New values of two parameters of one shape: each may read what the other was.
TOGETHER = (
    ("{b}", "{a}"), ("{a} + {b}", "{a} + {b}"), ("{b}", "{b} * 0.5"), ("{a} * 0.9 + 0.1 * {b}", "{a}"),
    ("sg.flip({b}) if {b}.ndim else {b}", "{a} - {b}"), ("{b}", "1 + {b} * {a}"),
)  # fmt: skip


def count(shape: Sequence[Size], sizes: dict[str, int] = TYPICAL) -> int:
    """Count the elements of a shape."""
    return int(np.prod([max(size_value(n, sizes), 0) for n in shape], dtype=int))


def fits(node: Expr) -> bool:
    """Tell whether a node is neither too large nor of too high a rank."""
    return node.ndim <= 5 and count(node.shape) <= MOST_TYPICAL


def text(shape: Sequence[Size]) -> str:
    """Give the source of a shape."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def is_symbolic(size: Size) -> bool:
    return isinstance(size, Dim)
