"""Make a failing program small: every step leaves something out, and is kept if the same kind of failure remains.

In: a program, a test for failure. Out: the smallest program found. It must not know what failed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from fuzz.generate import SIZES, text
from fuzz.program import Line, Program, Slopes, slopes
from symgrad.expr import Expr

NUMBER = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
TERMS = " + "


def shrunk(program: Program, fails: Callable[[Program], bool], seconds: float = 60.0) -> Program:
    """Give the smallest failing program that single steps lead to, or what was reached when time was over."""
    end = time.monotonic() + seconds
    tried = set()
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(program):
            if time.monotonic() > end:
                return program
            key = str(candidate)
            if key in tried:
                continue
            tried.add(key)
            if _is_sound(candidate) and fails(candidate):
                program, progress = candidate, True
                break
    return program


def _is_sound(program: Program) -> bool:
    """Tell whether a program can be built, and its inputs drawn: leaving out may leave nonsense."""
    try:
        program.build()
        for sizes in program.sizes:
            program.arrays(sizes)
    except Exception:
        return False
    return True


def _smaller(program: Program) -> Iterator[Program]:
    yield from _fewer_runs(program)
    yield from _fewer_results(program)
    yield from _fewer_slopes(program)
    yield from _fewer_nodes(program)
    yield from _smaller_sizes(program)
    yield from _plainer(program)


def _fewer_runs(program: Program) -> Iterator[Program]:
    if len(program.sizes) > 1:
        for sizes in program.sizes:
            yield replace(program, sizes=(sizes,))


def _fewer_results(program: Program) -> Iterator[Program]:
    updates, outputs = program.updates, program.outputs
    if updates:
        yield replace(program, updates=()).pruned()
    for k in range(len(updates)):
        yield replace(program, updates=(*updates[:k], *updates[k + 1 :])).pruned()
    for k in range(len(outputs)):
        if len(outputs) > 1 or updates:
            yield replace(program, outputs=(outputs[k],)).pruned()
    for k in range(len(outputs)):
        if len(outputs) > 1 or updates:
            yield replace(program, outputs=(*outputs[:k], *outputs[k + 1 :])).pruned()


def _with(program: Program, k: int, line: Line) -> Program:
    return replace(program, lines=(*program.lines[:k], line, *program.lines[k + 1 :])).pruned()


def _fewer_slopes(program: Program) -> Iterator[Program]:
    """Differentiate by fewer nodes, and a loss of fewer terms."""
    for k, line in enumerate(program.lines):
        if isinstance(line, Slopes):
            others = {use for other in program.lines if other is not line for use in other.uses}
            kept = [i for i, g in enumerate(line.found) if g in program.wanted | others]
            if len(kept) < len(line.found):
                wrt, found = (tuple(part[i] for i in kept) for part in (line.wrt, line.found))
                yield _with(program, k, slopes(line.loss, wrt, found, "simplify=True" in line.source))
        elif line.name == "l0" and TERMS in line.source:
            terms = line.source.split(TERMS)
            for i in range(len(terms)):
                yield _with(program, k, replace(line, source=TERMS.join([*terms[:i], *terms[i + 1 :]])))


def _fewer_nodes(program: Program) -> Iterator[Program]:
    """Put an operand, another value or an input in the place of a node."""
    nodes = program.nodes()
    for k in reversed(range(len(program.lines))):
        line = program.lines[k]
        node = nodes.get(line.name)
        if line.draw or not isinstance(node, Expr) or line.name[0] not in "vl":
            continue
        earlier = [name for other in program.lines[:k] for name in other.names]
        same = [n for n in earlier if isinstance(nodes[n], Expr) and nodes[n].type == node.type]
        if line.source in earlier:
            yield _with(_renamed(program, line.name, line.source), k, line)
            continue
        for name in sorted(same, key=lambda n: n not in line.uses):
            yield _renamed(program, line.name, name).pruned()
        yield _with(program, k, _as_input(program.seed, k, line.name, node))


def _renamed(program: Program, old: str, new: str) -> Program:
    """Let everything that reads one name read another."""
    word = re.compile(rf"\b{old}\b")
    lines: list[Line] = []
    for line in program.lines:
        if isinstance(line, Slopes):
            changed = [new if n == old else n for n in (line.loss, *line.wrt)]
            lines.append(slopes(changed[0], tuple(changed[1:]), line.found, "simplify=True" in line.source))
        else:
            lines.append(replace(line, source=word.sub(new, line.source) if line.name != old else line.source))
    outputs = tuple(dict.fromkeys(new if o == old else o for o in program.outputs))
    updates = tuple(word.sub(new, update) for update in program.updates)
    return replace(program, lines=tuple(lines), outputs=outputs, updates=updates)


def _as_input(seed: int, k: int, name: str, node: Expr) -> Line:
    shape, dtype = text(node.shape), str(node.dtype)
    low, high = (-1.5, 1.5) if node.dtype.is_float else (0, 3)
    return Line(
        name, f'sg.symbol("{name}", {shape}, "{dtype}")', f'drawn(({seed}, {k}), "{dtype}", {shape}, {low}, {high})'
    )


def _smaller_sizes(program: Program) -> Iterator[Program]:
    for number, sizes in enumerate(program.sizes):
        for name, size in sizes.items():
            for smaller in [s for s in SIZES if s < size]:
                changed = {**sizes, name: smaller}
                yield replace(program, sizes=(*program.sizes[:number], changed, *program.sizes[number + 1 :]))
    numbers = {int(n) for line in program.lines for n in NUMBER.findall(line.source)}
    for number in sorted(numbers & set(SIZES) - {0, 1, 2, 3}, reverse=True):
        for smaller in [s for s in SIZES if 0 < s < number]:
            yield replace(program, lines=tuple(_resized(line, number, smaller) for line in program.lines))


def _resized(line: Line, old: int, new: int) -> Line:
    change = lambda source: NUMBER.sub(lambda m: str(new) if int(m[1]) == old else m[1], source)  # noqa: E731
    return line if isinstance(line, Slopes) else replace(line, source=change(line.source), draw=change(line.draw))


def _plainer(program: Program) -> Iterator[Program]:
    if program.form != "list":
        yield replace(program, form="list")
    if any("wild" in line.draw for line in program.lines):
        yield replace(program, lines=tuple(replace(n, draw=n.draw.replace("wild ", "")) for n in program.lines))
    for k, line in enumerate(program.lines):
        if "wild" in line.draw:
            yield _with(program, k, replace(line, draw=line.draw.replace("wild ", "")))
