"""`sg.explorer`: a page on which a gradient can be walked through, one file that needs no network.

In: a scalar loss or a model. Out: a file: the graph, and on a click a node's mathematics, its step of the chain rule,
its line of code, and the kernel that computes it, with its code and its measured time. It must not know how any of
these are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from symgrad.boundary import unbound
from symgrad.chainrule.derivation import derivation
from symgrad.chainrule.sampling import sizes_in
from symgrad.compiled import Function, function
from symgrad.drawing.figure import Graph, graph
from symgrad.dtypes import FLOAT32
from symgrad.errors import SymgradError, nearest
from symgrad.exhibits import Exhibition, exhibits
from symgrad.expr import Expr, Parameter, symbol_node, topological
from symgrad.shape import dim, evaluate, names
from symgrad.structures import parts
from symgrad.train.model import Model

__all__ = ["explorer"]

DEFAULT_SIZE = 128  # of a symbolic dimension, in costs and times
REPEAT = 20


def explorer(
    target: Any, path: str | Path, *, wrt: Any = None, sizes: Mapping[str, int] | None = None, title: str | None = None
) -> Path:
    """Write a page on which the gradient of a loss, or of a model, can be read and walked through.

    - `target`: a scalar expression, or a compiled model; of any other expression the page shows the computation alone.
    - `path`: the file, such as "gradient.html"; it holds everything and loads nothing.
    - `wrt`: what to differentiate by: the model's trainable parameters, else the expression's parameters, else its
      symbols of float dtype, if nothing is given.
    - `sizes`: of symbolic dimensions, for costs and times: {"N": 256}; 128 where nothing is said. Kernels are timed on
      random arrays, parameters stay as they are.
    - `title`: the heading of the page.

    Gives the path. Raises TypeError for what is neither and for sizes of dimensions that do not exist, GradientError as
    `sg.grad` does, and OSError where the file cannot be written.

    >>> import symgrad as sg, tempfile, pathlib
    >>> x, y = sg.symbol("x", (sg.dim("N"), 3)), sg.symbol("y", (sg.dim("N"),))
    >>> w = sg.parameter("w", (3,), init="zeros")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = sg.explorer(sg.mean((x @ w - y) ** 2), pathlib.Path(folder) / "gradient.html")
    ...     page.read_text()[:15]
    '<!doctype html>'
    """
    if not isinstance(target, Expr | Model):
        raise TypeError(f"explorer takes an expression or a model, not {type(target).__name__}")
    heading = title or (f"{target.name}: its gradient" if isinstance(target, Model) else "The gradient function")
    shown = _exhibition(target, wrt, dict(sizes or {}))
    page = _page(heading, shown)
    path = Path(path)
    path.write_text(page, encoding="utf8")
    return path


# -- what is shown -----------------------------------------------------------------------------------------------------


def _exhibition(target: Expr | Model, wrt: Any, sizes: dict[str, int]) -> Exhibition:
    if isinstance(target, Model):
        loss, wrt = target.objective(), list(parts(wrt if wrt is not None else _moved(target)))
        compiled = target.train_function()
    else:
        loss, wrt = target, list(parts(wrt if wrt is not None else _variables(target)))
        compiled = None
    drawing = graph(target, wrt=wrt or None)
    folded = graph(target, wrt=wrt or None, collapse=True) if drawing.groups else None
    equations = _results(drawing, loss)
    if compiled is None:
        compiled = function(_inputs(equations.values()), equations)
    sizes = _chosen_sizes(sizes, _dimensions(compiled))
    account = derivation(loss, wrt) if wrt else None
    return Exhibition(drawing, folded, equations, account, compiled, _seconds(compiled, sizes), sizes)


def _moved(model: Model) -> list[Parameter]:
    return [p for p in model.parameters if p.trainable]


def _variables(loss: Expr) -> list[Expr]:
    """Give what a scalar is differentiated by if nobody says it."""
    if loss.shape or not loss.dtype.is_float:
        return []
    leaves = topological([loss])
    parameters: list[Expr] = [n for n in leaves if isinstance(n, Parameter) and n.dtype.is_float]
    return parameters or [n for n in leaves if n.op == "symbol" and n.dtype.is_float]


def _results(drawing: Graph, loss: Expr) -> dict[str, Expr]:
    """Name the results: the loss, and the gradients as the drawing does."""
    found = {"loss": loss}
    for box in drawing.nodes:
        if box.result and box.gradient:
            found[box.name or f"gradient_{len(found)}"] = box.node
    return found


def _inputs(equations: Iterable[Expr]) -> list[Expr]:
    """List the symbols of expressions, and others that are only there to tell the sizes that no symbol tells."""
    order = topological(equations)
    symbols = [node for node in order if node.op == "symbol"]
    untold = unbound(symbols, sizes_in(order))
    return [*symbols, *(symbol_node(f"size of {name}", (dim(name),), FLOAT32) for name in untold)]


def _chosen_sizes(asked: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """Bind all dimensions; TypeError for one that does not exist or is no number, ValueError for a negative one."""
    for name, size in asked.items():
        if name not in names:
            raise TypeError(f"sizes: there is no dimension {name!r}. {nearest(name, names)}")
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"sizes: {name} is an integer, not {size!r}")
        if size < 0:
            raise ValueError(f"sizes: {name} is 0 or more, not {size}")
    return {name: int(asked.get(name, DEFAULT_SIZE)) for name in names}


def _dimensions(compiled: Function) -> list[str]:
    found = (str(name) for node in compiled.inputs for size in node.shape for name in names(size))
    return list(dict.fromkeys(found))


def _seconds(compiled: Function, sizes: Mapping[str, int]) -> list[float | None]:
    """Time every launch on random arrays; where these cannot be run, say nothing of time."""
    rng = np.random.default_rng(0)
    found: list[float | None] = [None] * len(compiled.subject.compiled.steps)
    try:
        arrays = [_drawn(node, rng, sizes) for node in compiled.inputs]
        for one in compiled.profile(*arrays, repeat=REPEAT):
            found[one.launch - 1] = one.seconds
    except (SymgradError, MemoryError):  # indices or sizes that only the user can choose
        pass
    return found


def _drawn(node: Expr, rng: np.random.Generator, sizes: Mapping[str, int]) -> np.ndarray:
    shape = tuple(evaluate(size, sizes) for size in node.shape)
    values = rng.uniform(0.1, 0.9, shape) if node.dtype.is_float else np.zeros(shape)
    return values.astype(node.dtype.numpy)


# -- the page ----------------------------------------------------------------------------------------------------------


def _page(heading: str, shown: Exhibition) -> str:
    folder = resources.files("symgrad") / "assets"
    page, style, script = (
        (folder / f"explorer.{kind}").read_text(encoding="utf8") for kind in ("html", "css", "js")
    )  # fmt: skip
    pieces = {
        "title": escape(heading), "facts": escape(_facts(shown)), "style": style, "script": script,
        "drawing": shown.graph.svg(), "folded": shown.folded.svg(prefix="folded-") if shown.folded else "",
        "data": _embedded(exhibits(shown)),
    }  # fmt: skip
    return re.sub(r"\{\{(\w+)\}\}", lambda found: pieces[found[1]], page)


def _facts(shown: Exhibition) -> str:
    """Say in a line what the page shows."""
    machine = shown.function.subject.compiled.machine
    sizes = ", ".join(f"{name} = {size}" for name, size in shown.sizes.items())
    forward = sum(not box.gradient for box in shown.graph.nodes)
    counts = f"{forward} forward and {len(shown.graph.nodes) - forward} gradient nodes"
    kernels = f"{len(shown.function.subject.compiled.steps)} kernels for {machine.name}"
    return " · ".join(filter(None, (counts, kernels, sizes)))


def _embedded(data: Any) -> str:
    """Write JSON that may stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"<(?=/|!|script)", "\\\\u003c", text)
