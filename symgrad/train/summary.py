"""The summary of a model, in Keras' form."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.expr import Expr, Parameter, topological
from symgrad.nn.layer import calls_of
from symgrad.shape import Dim, Shape

COLUMNS = (("Layer (type)", 36), ("Output Shape", 24), ("Param #", 15))


def summary_text(name: str, output: Expr, parameters: Sequence[Parameter]) -> str:
    """Give a table of the layers in order, with the shapes of their results and their numbers of parameters."""
    calls = [(call, node) for node in topological([output]) for call in calls_of(node)]
    width = sum(w for _, w in COLUMNS)
    lines = [f'Model: "{name}"', "-" * width, _row([title for title, _ in COLUMNS]), "=" * width]
    for call, out in calls:
        layer = call.layer
        cells = [f"{layer.name} ({type(layer).__name__})", _shape(out.shape), f"{_count(layer.parameters):,}"]
        lines.append(_row(cells))
    total, moved = _count(parameters), _count([p for p in parameters if p.trainable])
    lines += ["=" * width, f"Total params: {total:,}", f"Trainable params: {moved:,}"]
    return "\n".join([*lines, f"Non-trainable params: {total - moved:,}", "-" * width])


def _row(cells: Sequence[str]) -> str:
    return "".join(cell.ljust(w) for cell, (_, w) in zip(cells, COLUMNS, strict=True)).rstrip()


def _shape(shape: Shape) -> str:
    sizes = ["None" if isinstance(n, Dim) else str(n) for n in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _count(parameters: Sequence[Parameter]) -> int:
    return sum(p.buffer.size for p in parameters)
