"""A random program as data: lines of source that build a graph, how its inputs are drawn, its outputs and updates.

In: lines. Out: a `Built`: the nodes that the lines bind. Every line is executed as it is printed, so that the text of a
program is a program. It must not know how lines are invented, nor what is compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import symgrad as sg
from fuzz.draw import drawn
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, Parameter, parameter_node
from symgrad.ops.row import ROWS

NAMES: dict[str, Any] = {
    "sg": sg, "np": np, "ROWS": ROWS, "as_dtype": as_dtype, "parameter_node": parameter_node, "drawn": drawn,
}  # fmt: skip
WORD = re.compile(r"\b[xpvglo][0-9]+\b")  # a name that a line binds: x0, p1, v12, g0, l0, o0


@dataclass(frozen=True)
class Line:
    """`name = source`; an input also says how it is drawn, where N and M are numbers."""

    name: str
    source: str
    draw: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names that the line binds."""
        return (self.name,)

    @property
    def uses(self) -> set[str]:
        """Give the names that the line reads."""
        return set(WORD.findall(self.source))

    def __str__(self) -> str:
        return f"{self.name} = {self.source}"


@dataclass(frozen=True)
class Slopes(Line):
    """The line `g0, g1 = sg.grad(loss, [x0, x1])`: the gradients of a scalar by some nodes."""

    loss: str = ""
    wrt: tuple[str, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.found

    def __str__(self) -> str:
        return f"{', '.join(self.found)}, = {self.source}"


def slopes(loss: str, wrt: tuple[str, ...], found: tuple[str, ...], simplify: bool) -> Slopes:
    """Make the line that differentiates a loss."""
    source = f'sg.grad({loss}, [{", ".join(wrt)}], simplify={simplify}, disconnected="zero")'
    return Slopes("", source, "", loss, wrt, found)


@dataclass(frozen=True)
class Gradient:
    """What a node is said to be the gradient of."""

    loss: Expr
    wrt: Expr
    node: Expr


@dataclass(frozen=True)
class Built:
    """What the lines of a program have made."""

    inputs: list[Expr]
    outputs: list[Expr]
    structure: Any
    updates: list[tuple[Parameter, Expr]]
    gradients: list[Gradient]

    @property
    def roots(self) -> list[Expr]:
        return [*self.outputs, *(value for _, value in self.updates)]


@dataclass(frozen=True)
class Program:
    """Lines, and what to compile; `form` is how outputs are given back: "list", "tuple" or "dict"."""

    seed: int
    lines: tuple[Line, ...] = ()
    outputs: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()  # "(p0, v1)", or "*o0" for the pairs of an optimizer
    form: str = "list"
    sizes: tuple[Mapping[str, int], ...] = field(default_factory=tuple)
    wild: bool = False  # whether inputs aim at kinks, poles and what is no number

    def nodes(self) -> dict[str, Any]:
        """Run the lines: what every name is bound to."""
        names: dict[str, Any] = {**NAMES, "N": sg.dim("N"), "M": sg.dim("M")}
        for line in self.lines:
            value = eval(line.source, names)
            names.update(zip(line.names, value if isinstance(line, Slopes) else [value], strict=True))
        return names

    def build(self) -> Built:
        """Run the lines, and gather what is to be compiled."""
        names = self.nodes()
        gradients = [
            Gradient(names[line.loss], names[w], names[g])
            for line in self.lines if isinstance(line, Slopes) for w, g in zip(line.wrt, line.found, strict=True)
        ]  # fmt: skip
        outputs = [names[o] for o in self.outputs]
        kept = {names[o] for o in self.outputs}
        updates = eval(self._updates(), names)
        inputs = [names[line.name] for line in self.inputs]
        return Built(inputs, outputs, eval(self.structure(), names), updates, [g for g in gradients if g.node in kept])

    @property
    def inputs(self) -> list[Line]:
        return [line for line in self.lines if line.draw]

    def arrays(self, sizes: Mapping[str, int]) -> list[np.ndarray]:
        """Draw the inputs for these values of N and M."""
        return [eval(line.draw, {**NAMES, **sizes}) for line in self.inputs]

    def structure(self) -> str:
        """Give the source of the outputs."""
        if self.form == "dict":
            half = len(self.outputs) // 2
            first = ", ".join(f'"{o}": {o}' for o in self.outputs[:half])
            return f'{{{first}{", " if first else ""}"rest": ({"".join(o + ", " for o in self.outputs[half:])})}}'
        if self.form == "tuple":
            return f"({''.join(o + ', ' for o in self.outputs)})"
        return f"[{', '.join(self.outputs)}]"

    def _updates(self) -> str:
        return f"[{', '.join(self.updates)}]"

    @property
    def wanted(self) -> set[str]:
        """Give the names that outputs and updates read."""
        return {*self.outputs, *(name for update in self.updates for name in WORD.findall(update))}

    def pruned(self, keep: Collection[str] = ()) -> Program:
        """Leave out the lines that nothing reads, but those to be kept."""
        wanted, kept = {*self.wanted, *keep}, []
        for line in reversed(self.lines):
            if wanted.intersection(line.names):
                kept.append(line)
                wanted |= line.uses
        return replace(self, lines=tuple(reversed(kept)))

    # -- as text -------------------------------------------------------------------------------------------------------

    def text(self, variants: tuple[str, ...], why: str = "") -> str:
        """Give a test that runs the comparison again; it needs nothing but this tree, and runs as a program, too."""
        inputs = "".join(f"        ({line.name}, lambda N, M: {line.draw}),\n" for line in self.inputs)
        reason = "".join(f"# {line}\n" for line in why.splitlines())
        body = "".join(f"    {line}\n" for line in self.lines)
        return TEXT.format(
            reason=reason, seed=self.seed, body=body, inputs=inputs, structure=self.structure(), wild=self.wild,
            updates=self._updates(), sizes=[dict(s) for s in self.sizes], variants=list(variants),
            gradients="".join(
                f"({line.loss}, {w}, {g}), " for line in self.lines if isinstance(line, Slopes)
                for w, g in zip(line.wrt, line.found, strict=True) if g in self.outputs
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.text(())


TEXT = """\
{reason}import numpy as np

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare
from symgrad.dtypes import as_dtype
from symgrad.expr import parameter_node
from symgrad.ops.row import ROWS


def test_seed_{seed}():
    N, M = sg.dim("N"), sg.dim("M")
{body}    inputs = [
{inputs}    ]
    compare(
        inputs, {structure}, updates={updates}, gradients=[{gradients}],
        sizes={sizes}, variants={variants}, wild={wild},
    )


if __name__ == "__main__":
    test_seed_{seed}()
"""
