"""Tally: what the expressions of each launch cost, counted exactly, as polynomials of the dimensions.

In: the launches of a program. Out: for each the floating-point operations, the evaluations of functions, the bytes read
and written. It counts what the mathematics asks for, every value once, not what a schedule repeats or masks:

- an arithmetic operation, a comparison or a choice between floats is 1 FLOP; a formula counts its operations;
- a product that is summed is 2, however many instructions it takes; a sum, a maximum ... is 1 per element;
- exp, log, tanh, erf, a general power ... are counted apart, as functions;
- solving counts elimination and substitution;
- integers, bools, conversions, indices, sorting and random bits count nothing;
- bytes: each buffer of a kernel once, of a table that is only gathered from the elements gathered.

It must not know arrays, nor how kernels are run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from codegen.arrange import computed
from codegen.contraction import roles_of
from codegen.group import Group
from codegen.ir import Access
from codegen.operand import Operand
from codegen.reach import base
from codegen.scalars import PRIMITIVES
from codegen.step import Step
from symgrad.expr import Expr, literal
from symgrad.notation import Call, Formula, Num, parse
from symgrad.ops.row import ROWS, row_of
from symgrad.ops.structure import Contraction, Fold, Gather, Map, Scatter, Sequential
from symgrad.shape import Size, product


@dataclass(frozen=True, slots=True)
class Tally:
    """What one launch costs."""

    flops: Size
    functions: Size
    read: Size
    written: Size


def tallies(steps: Sequence[Step], home: Mapping[Expr, Group]) -> list[Tally]:
    """Count every launch. A reduction and its operands belong to the first of its launches, what follows to the last;
    a launch that only fills the memory in which the next one sums, or rounds what it multiplies, counts nothing.

    >>> from codegen.pipeline import compile_graph
    >>> from symgrad.options import Options
    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"), 8))
    >>> compiled = compile_graph([x], [sg.exp(x) * 2], [], Options())
    >>> tallies(compiled.steps, compiled.home)
    [Tally(flops=8*N, functions=8*N, read=32*N, written=32*N)]
    """
    found: list[Tally] = []
    begun: set[Group] = set()
    for position, step in enumerate(steps):
        beside = [other for other in steps[position + 1 : position + 2] if other.group is step.group]
        last = not beside
        fills = step.rounds or any(isinstance(o, Expr) and o in other.stored for other in beside for o in step.stored)
        inside = computed(step.group, home)
        reduced = _below(step.group.root, inside, home)
        first = not fills and step.group not in begun
        if not fills:
            begun.add(step.group)
        flops = functions = 0  # type: Size
        for node in inside:
            if first if node in reduced else last:
                more, calls = operations(node)
                flops, functions = flops + more, functions + calls
        found.append(Tally(flops, functions, *_moved(step, inside, home)))
    return found


def _below(root: Expr | None, inside: set[Expr], home: Mapping[Expr, Group]) -> set[Expr]:
    """Give a reduction and what its kernel computes of its operands."""
    found: set[Expr] = set()
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        if node in inside and node not in found:
            found.add(node)
            waiting += [base(arg, home) for arg in node.args]
    return found


def operations(node: Expr) -> tuple[Size, Size]:
    """Count the operations and the functions that a node's elements need."""
    structure = row_of(node).structure
    if isinstance(structure, Contraction):
        return _contraction(node), 0
    if not any(n.dtype.is_float for n in (node, *node.args)):
        return 0, 0
    match structure:
        case Map():
            each, functions = _of_map(node.op, _exponent(node))
            return each * product(node.shape), functions * product(node.shape)
        case Fold():
            return product(node.args[0].shape), 0
        case Scatter():
            return product(node.args[0].shape), 0
        case Sequential(kind=kind):
            return SEQUENTIAL[kind](node)
    return 0, 0


def _contraction(node: Expr) -> Size:
    return 2 * product(roles_of(node).sizes.values()) if node.dtype.is_float else 0


# -- elementwise -----------------------------------------------------------------------------------------------------


def _exponent(node: Expr) -> float | None:
    value = literal(node.args[1]) if node.op == "power" else None
    return None if value is None else float(value)


@cache
def _of_map(op: str, exponent: float | None) -> tuple[int, int]:
    """Count what one element of an elementwise operator needs."""
    structure = ROWS[op].structure
    assert isinstance(structure, Map)
    if structure.formula is not None:
        return _of_formula(parse(structure.formula))
    if op == "power" and exponent in (1, 2, 3, -1):
        return {1: 0, 2: 1, 3: 2, -1: 1}[int(exponent)], 0
    return (1, 0) if op in PRIMITIVES and op != "power" else (0, 1)


def _of_formula(formula: Formula) -> tuple[int, int]:
    """Count the operations of a formula, shared parts once."""
    flops = functions = 0
    seen: set[Formula] = set()
    stack = [formula]
    while stack:
        part = stack.pop()
        if part in seen or not isinstance(part, Call):
            continue
        seen.add(part)
        exponent = part.args[1] if part.name == "power" else None
        more, calls = _of_map(part.name, float(exponent.value) if isinstance(exponent, Num) else None)
        flops, functions = flops + more, functions + calls
        stack.extend(part.args)
    return flops, functions


# -- steps that need the ones before ---------------------------------------------------------------------------------


def _elimination(n: Size) -> Size:
    """Count the factorisation of an n x n matrix: sum over k < n of k divisions and 2 k**2 operations."""
    return n * (n - 1) // 2 + n * (n - 1) * (2 * n - 1) // 3


def _per_matrix(count: Callable[[Size], Size], functions: int = 0) -> Callable[[Expr], tuple[Size, Size]]:
    def counted(node: Expr) -> tuple[Size, Size]:
        *batch, n, _ = node.args[0].shape
        return count(n) * product(batch), functions * n * product(batch)

    return counted


def _per_column(count: Callable[[Size], Size], first: Callable[[Size], Size]) -> Callable[[Expr], tuple[Size, Size]]:
    """Count systems: `first` for each matrix, `count` for each right-hand side."""

    def counted(node: Expr) -> tuple[Size, Size]:
        *batch, n, _ = node.args[0].shape
        return product(node.shape) // n * count(n) + product(batch) * first(n), 0

    return counted


SEQUENTIAL: dict[str, Callable[[Expr], tuple[Size, Size]]] = {
    "cumsum": lambda node: (product(node.shape), 0),
    "cumprod": lambda node: (product(node.shape), 0),
    "recurrence": lambda node: (2 * product(node.shape), 0),
    "argsort": lambda node: (0, 0),
    "searchsorted": lambda node: (0, 0),
    "solve": _per_column(lambda n: 2 * n * n - n, _elimination),
    "triangular_solve": _per_column(lambda n: n * n, lambda n: 0),
    "det": _per_matrix(lambda n: _elimination(n) + n),
    "logdet": _per_matrix(lambda n: _elimination(n) + n, functions=1),
    "det_sign": _per_matrix(_elimination),
    "cholesky": _per_matrix(lambda n: n * (n + 1) * (2 * n + 1) // 6),
}


# -- bytes -----------------------------------------------------------------------------------------------------------


def _moved(step: Step, inside: set[Expr], home: Mapping[Expr, Group]) -> tuple[Size, Size]:
    """Count the bytes that a launch reads and writes; what it reads of its own results has not left the cache."""
    read: dict[Operand, Size] = {}
    written: dict[Operand, Size] = {}
    made = {o for o, b in zip(step.operands, step.kernel.buffers, strict=True) if b.access is Access.OUT}
    for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
        size = product(operand.shape) * operand.dtype.size
        if buffer.access is not Access.OUT and operand not in made:
            read[operand] = size if not isinstance(operand, Expr) else _gathered(operand, inside, home, size)
        if buffer.access is not Access.IN:
            written[operand] = size
    total: tuple[Size, Size] = sum(read.values()), sum(written.values())
    return total


def _gathered(operand: Expr, inside: set[Expr], home: Mapping[Expr, Group], whole: Size) -> Size:
    """Give the bytes of an operand, of one that all its readers gather from those of what they gather."""
    total: Size = 0
    for node in inside:
        for position, arg in enumerate(node.args):
            if base(arg, home) is operand:
                if position or not isinstance(row_of(node).structure, Gather):
                    return whole
                total = total + product(node.shape) * operand.dtype.size
    return whole if isinstance(total, int) and total == 0 else total
