"""`sg.graph`: what can be drawn, and the drawing as an object: SVG, DOT, Mermaid.

In: an expression, several of them, a loss with what it is derived in, or whatever a later module teaches to be drawn (a
model). Out: a `Graph`. It must not know how pictures are laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from symgrad import side
from symgrad.drawing.diagram import dot_text, mermaid_text
from symgrad.drawing.drawable import TARGETS, Results
from symgrad.drawing.picture import Box, Frame, Link, Picture, collapsed, is_cotangent, picture_of
from symgrad.drawing.sheet import Drawing, drawn
from symgrad.drawing.svg import svg_text
from symgrad.expr import Expr, TensorType
from symgrad.reverse import grad
from symgrad.show.glimpse import OPERATORS, glimpse
from symgrad.structures import parts
from symgrad.surface import PRINTERS

__all__ = ["Graph", "graph", "with_gradients"]

_LARGE = 2_000  # nodes from which on tooltips are short
_NOTEBOOK_LIMIT = 200  # nodes up to which an expression shows itself as a drawing


class Graph:
    """A drawing of expressions; a notebook shows it.

    - `nodes`: the boxes in topological order, with `id`, `kind`, `name`, `text`, `shape`, `gradient`, `node` (the
      expression) and more.
    - `edges`: the lines, with the positions of their ends in `nodes`.
    - `groups`: the layers; a node's `frame` is a position in them, or -1.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    @property
    def nodes(self) -> tuple[Box, ...]:
        """List the boxes."""
        return self._picture.boxes

    @property
    def edges(self) -> tuple[Link, ...]:
        """List the lines."""
        return self._picture.links

    @property
    def groups(self) -> tuple[Frame, ...]:
        """List the layers."""
        return self._picture.frames

    @cached_property
    def drawing(self) -> Drawing:
        """Give the places of everything; found when first asked for."""
        return drawn(self._picture)

    def mathematics(self, node: Box) -> str:
        """Say what a box computes, and its type: the text of its tooltip."""
        if node.kind == "layer":
            return "\n".join(filter(None, (f"{node.name}: {node.text}", node.detail, node.shape)))
        kind = node.node.type
        type_ = f"{kind.dtype} {node.shape or 'scalar'}" if isinstance(kind, TensorType) else str(kind)
        if not node.node.args:
            return f"{node.node.attrs.get('name') or node.name or node.text}\n{node.kind}, {type_}"
        operators = OPERATORS if len(self.nodes) <= _LARGE else 2
        *lines, text = glimpse(node.node, self._picture.names, operators=operators).split("\n")
        known = node.name and not text.startswith(f"{node.name} = ")
        return "\n".join([*lines, f"{node.name} = {text}" if known else text, type_])

    def svg(self, prefix: str = "") -> str:
        """Give the drawing as SVG; `prefix` begins every id, for several drawings on one page."""
        return svg_text(self.drawing, self.mathematics, prefix)

    def dot(self) -> str:
        """Give the graph in Graphviz' language."""
        return dot_text(self._picture)

    def mermaid(self) -> str:
        """Give the graph as a Mermaid flowchart."""
        return mermaid_text(self._picture)

    def save(self, path: str | Path) -> None:
        """Write a file: .svg, .dot or .mmd. Raise ValueError for any other ending."""
        path = Path(path)
        if path.suffix not in _WRITERS:
            raise ValueError(f"a graph is saved as {', '.join(_WRITERS)}, not {path.suffix or 'without an ending'!r}")
        path.write_text(_WRITERS[path.suffix](self) + "\n", encoding="utf8")

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<Graph: {len(self.nodes)} nodes, {len(self.edges)} edges>"


_WRITERS: Final[dict[str, Callable[[Graph], str]]] = {".svg": Graph.svg, ".dot": Graph.dot, ".mmd": Graph.mermaid}


def graph(
    target: Any, *, wrt: Any = None, depth: int | None = None, collapse: bool = False, title: str | None = None
) -> Graph:
    """Draw expressions as a layered graph: boxes for operators, lines with shapes for values.

    - `target`: an expression, a list or dict of them, or a model. Gradients among them are drawn beside the forward
      computation, in another colour, and go the other way.
    - `wrt`: draw the gradient of `target`, a scalar, with respect to these, too.
    - `depth`: how many operators are followed upwards from the results; all if None.
    - `collapse`: draw each layer as one box.
    - `title`: what a screen reader calls the drawing.

    Raises TypeError for what is no expression, GradientError as `sg.grad` does.

    >>> import symgrad as sg
    >>> x, w, y = sg.symbol("x", (3,)), sg.symbol("w", (3,)), sg.symbol("y")
    >>> drawing = sg.graph((sg.sum(x * w) - y) ** 2, wrt=w)
    >>> drawing
    <Graph: 9 nodes, 8 edges>
    >>> [node.text for node in drawing.nodes if node.gradient]
    ['× 2', '× x']
    """
    if depth is not None and depth < 0:
        raise ValueError(f"depth is 0 or more, not {depth}")
    results = _results(target, wrt)
    if title is not None:
        results = Results(results.forward, results.gradients, title)
    picture = picture_of(results, depth)
    return Graph(collapsed(picture) if collapse else picture)


def with_gradients(loss: Expr, wrt: Any, title: str = "forward and gradient") -> Results:
    """Give what is drawn of a loss and its gradients; those are named after what they are derived in."""
    gradients = parts(grad(loss, wrt))
    named = tuple((f"d{_name(x)}" if _name(x) else "", g) for x, g in zip(parts(wrt), gradients, strict=True))
    return Results((("loss", loss),), named, title)


def _name(node: Expr) -> str:
    return side.suggested_name(node) or side.name_of(node) or str(node.attrs.get("name", ""))


def _results(target: Any, wrt: Any) -> Results:
    for kind, adapter in TARGETS.items():
        if isinstance(target, kind):
            return adapter(target, wrt)
    if isinstance(target, Expr) and wrt is not None:
        return with_gradients(target, wrt)
    if wrt is not None:
        raise TypeError("wrt: the gradient of several expressions is not defined. Give one scalar, or use sg.vjp.")
    named = tuple(_named(target))
    forward = tuple((name, node) for name, node in named if not is_cotangent(node))
    gradients = tuple((name, node) for name, node in named if is_cotangent(node))
    title = "forward and gradient" if forward and gradients else "gradient" if gradients else "expression graph"
    return Results(forward, gradients, title)


def _named(target: Any) -> Iterator[tuple[str, Expr]]:
    """List the expressions of a structure with the names that keys give: that of a parameter means its update."""
    if isinstance(target, Mapping):
        for key, value in target.items():
            name = f"new {_name(key)}" if isinstance(key, Expr) else str(key)
            yield from ((name, node) for _, node in _named(value))
    elif isinstance(target, list | tuple):
        for value in target:
            yield from _named(value)
    elif isinstance(target, Expr):
        yield "", target
    else:
        raise TypeError(f"expressions are drawn, not {type(target).__name__} {target!r}")


def _small_svg(node: Expr) -> str:
    """Draw an expression of few nodes; nothing for a larger one, which takes a call of `graph`."""
    seen = {id(node)}
    queue = [node]
    for at in queue:  # grows while it is read
        for arg in at.args:
            if id(arg) not in seen:
                seen.add(id(arg))
                queue.append(arg)
        if len(queue) > _NOTEBOOK_LIMIT:
            return ""
    return graph(node).svg()


PRINTERS["svg"] = _small_svg
