"""What a drawing of a graph shows: boxes, links between them, frames around layers; no places yet.

In: the results of a forward computation, and gradients. Out: a `Picture`: boxes in topological order, each with what
it says and whether it belongs to the gradient; links in the order of operands; a frame for each use of a layer. A node
is part of the gradient if no forward result needs it. There, inputs and parameters of the forward computation are
written inside the boxes that use them. It must not know places, colours or markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symgrad import side
from symgrad.drawing.drawable import CALLS, Results
from symgrad.drawing.labels import Label, Labels, bearer, leaf_text
from symgrad.expr import Expr, TensorType, topological
from symgrad.ops.row import row_of
from symgrad.shape import format_shape
from symgrad.show.naming import LEAVES

__all__ = ["Box", "Frame", "Link", "Picture", "collapsed", "picture_of"]

LOOSE = -1  # the frame of what is in no layer


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A node of the drawing.

    - `kind`: operator, input, parameter, constant, layer, or cut: there is more above.
    - `name`, `text`, `detail`, `shape`: what it says: what the value is called, what computes it and how, its shape.
    - `gradient`: whether it is part of the gradient. `result`: whether it is what was asked for.
    - `frame`: the number of its frame, -1 for none. `inside`: leaves that are written inside, without a link.
    - `ordered`: whether it matters which link is which, and the text does not say it.
    """

    id: str
    kind: str
    name: str
    text: str
    detail: str
    shape: str
    gradient: bool
    result: bool
    frame: int
    node: Expr
    inside: tuple[Expr, ...] = ()
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A value on its way: from a box to the one that uses it as its `operand`-th drawn operand."""

    source: int
    target: int
    operand: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A use of a layer: its name and class, the number of elements of its parameters."""

    id: str
    name: str
    kind: str
    parameters: int


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A drawing without places; boxes stand in topological order."""

    title: str
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    frames: tuple[Frame, ...]
    names: Mapping[int, str]
    is_double: bool  # shows a forward computation and a gradient

    def rises(self, box: Box) -> bool:
        """Tell whether a box belongs to a gradient that is drawn upwards, beside the forward computation."""
        return self.is_double and box.gradient


def picture_of(results: Results, depth: int | None = None) -> Picture:
    """Collect boxes, links and frames.

    - `depth`: how many operators are followed upwards from the results; all if None.
    """
    twins = _twins(results)

    def resolve(node: Expr) -> Expr:
        return twins.get(id(bearer(node)), bearer(node))

    roots = [resolve(node) for node in results.nodes]
    forward = {id(node) for node in topological(node for _, node in results.forward)}
    if not results.forward:
        forward = _needed(roots)

    def is_hidden(user: Expr, operand: Expr) -> bool:
        return id(user) not in forward and id(operand) in forward and operand.op in ("symbol", "parameter")

    names = _names(results, resolve)
    names |= {at: names[id(twin)] for at, twin in twins.items() if id(twin) in names}
    ends = set(map(id, roots))
    named = {id(node) for node in topological(roots) if node.args and side.name_of(node) is not None}
    walk = _Walk(Labels(names, ends | named, is_hidden, resolve), roots, depth)
    frames, framed = _frames([node for node in walk.order if id(node) in forward], roots)
    boxes = tuple(
        _box(i, node, walk, names, gradient=id(node) not in forward, result=id(node) in ends,
             frame=framed.get(id(node), LOOSE))
        for i, node in enumerate(walk.order)
    )  # fmt: skip
    place = {id(node): i for i, node in enumerate(walk.order)}
    links = tuple(
        Link(place[id(operand)], i, position)
        for i, node in enumerate(walk.order)
        for position, operand in enumerate(walk.labels[id(node)].operands)
    )
    is_double = len({box.gradient for box in boxes}) > 1
    return Picture(results.title, boxes, links, frames, names, is_double)


# -- nodes ------------------------------------------------------------------------------------------------------------


def _twins(results: Results) -> dict[int, Expr]:
    """Map nodes of gradients to the forward nodes that equal them but for the order of operands."""
    if not results.gradients or not results.forward:
        return {}
    forward = topological(node for _, node in results.forward)
    own = set(map(id, forward))
    known: dict[Any, Expr] = {}
    twins: dict[int, Expr] = {}

    def key(node: Expr) -> Any:
        args = [id(twins.get(id(a), a)) for a in node.args]
        return node.op, tuple(sorted(args) if row_of(node).commutative else args), tuple(node.attrs.items()), node.type

    for node in forward:
        if node.args:
            known.setdefault(key(node), node)
    for node in topological(node for _, node in results.gradients):
        if id(node) not in own and node.args and (twin := known.get(key(node))) is not None:
            twins[id(node)] = twin
    return twins


def _needed(roots: Sequence[Expr]) -> set[int]:
    """Collect, where only gradients are drawn, what they need of the forward computation.

    Leaves and their transposes are part of it where it computes something of them; else they belong to the gradient.
    """
    gradient: set[int] = set()
    order = topological(roots)
    for node in order:
        if any(id(a) in gradient for a in node.args) or is_cotangent(node):
            gradient.add(id(node))
    used: set[int] = set()
    for node in reversed(order):
        if id(node) in gradient:
            continue
        if id(node) not in used and (node.op in LEAVES or node.op == "transpose"):
            gradient.add(id(node))
        else:
            used |= {id(a) for a in node.args}
    return {id(node) for node in order} - gradient


_FOLLOWED = 24  # how many rewrites back the origin of a node is looked for


def is_cotangent(node: Expr) -> bool:
    """Tell whether a step of the chain rule made a node, perhaps before rewrites."""
    queue = [node]
    for at in queue:  # grows while it is read
        origins = side.origins(at)
        if any(origin.upstream is not None for origin in origins):
            return True
        queue += [o.source for o in origins if isinstance(o.source, Expr)][: max(0, _FOLLOWED - len(queue))]
    return False


def _names(results: Results, resolve: Callable[[Expr], Expr]) -> dict[int, str]:
    """Name leaves and what somebody named; results by the names given with them if they have no other."""
    names: dict[int, str] = {}
    for node in topological(results.nodes):
        given, proposed = side.name_of(node), side.suggested_name(node)
        own = proposed or given or node.attrs.get("name") if node.op in LEAVES else given or proposed
        if own is not None:
            names.setdefault(id(resolve(node)), own)
    for name, node in (*results.forward, *results.gradients):
        if name:
            names.setdefault(id(resolve(node)), name)
    return names


class _Walk:
    """The drawn nodes, operands first, with their labels; iterative at any depth."""

    def __init__(self, labels: Labels, roots: Sequence[Expr], depth: int | None) -> None:
        self.labels: dict[int, Label] = {}
        self.cut: set[int] = set()
        self.order: list[Expr] = []
        self._label(labels, roots, depth)
        seen: set[int] = set()
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, done = stack.pop()
            if done:
                self.order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack += [(x, False) for x in reversed(self.labels[id(node)].operands) if id(x) not in seen]

    def _label(self, labels: Labels, roots: Sequence[Expr], depth: int | None) -> None:
        """Label nodes from the results upwards, as far as `depth` allows."""
        queue = [(root, 0) for root in roots]
        for node, far in queue:  # grows while it is read
            if id(node) in self.labels:
                continue
            found = labels.label(node) if node.args or node.op not in LEAVES else Label("", "", ())
            if far == depth and found.operands:
                self.cut.add(id(node))
                found = replace(found, operands=())
            self.labels[id(node)] = found
            queue += [(operand, far + 1) for operand in found.operands]


_KINDS = {"symbol": "input", "parameter": "parameter", "constant": "constant", "dim": "constant", "buffer": "constant"}


def _box(
    number: int, node: Expr, walk: _Walk, names: Mapping[int, str], *, gradient: bool, result: bool, frame: int
) -> Box:
    label, name = walk.labels[id(node)], names.get(id(node), "")
    kind = "cut" if id(node) in walk.cut else _KINDS.get(node.op, "operator")
    text = label.text
    if kind == "constant":
        text = leaf_text(node) or ("" if name else "array")
    elif kind == "cut":
        text = "" if name else "…"
    shape = format_shape(node.shape) if isinstance(node.type, TensorType) else ""
    said = (kind, name, text, label.detail, "" if shape == "()" else shape)
    return Box(f"n{number}", *said, gradient, result, frame, node, label.inside, label.ordered)


# -- layers -----------------------------------------------------------------------------------------------------------


def _frames(drawn: Sequence[Expr], roots: Sequence[Expr]) -> tuple[tuple[Frame, ...], dict[int, int]]:
    """Find the uses of layers, and what each of them computes: what lies between its result and its inputs."""
    frames: list[Frame] = []
    framed: dict[int, int] = {}
    order = topological(roots) if CALLS else []
    for node in order:
        for call in (call for calls in CALLS for call in calls(node) if call.inputs):
            ends = {id(x) for x in call.inputs}
            inside = topological([node], stop=lambda n: id(n) in ends or id(n) in framed)  # noqa: B023
            number = len(frames)
            framed |= {id(n): number for n in inside if id(n) not in ends and id(n) not in framed and n.op != "symbol"}
            elements = sum(p.buffer.size for p in call.parameters)
            frames.append(Frame(f"g{number}", call.name, call.kind, elements))
    shown = {id(node): framed[id(node)] for node in drawn if id(node) in framed}
    used = {old: new for new, old in enumerate(dict.fromkeys(shown[id(n)] for n in drawn if id(n) in shown))}
    kept = tuple(replace(frames[old], id=f"g{new}") for old, new in used.items())
    return kept, {key: used[old] for key, old in shown.items()}


def collapsed(picture: Picture) -> Picture:
    """Draw each layer as one box, with the number of elements of its parameters."""
    last = {box.frame: i for i, box in enumerate(picture.boxes)}
    new: list[Box] = []
    at: dict[int, int] = {}
    for i, box in enumerate(picture.boxes):
        if box.frame != LOOSE and last[box.frame] != i:
            continue
        at[i] = len(new)
        if box.frame != LOOSE:
            frame = picture.frames[box.frame]
            count = f"{frame.parameters:,} parameters" if frame.parameters else ""
            box = replace(box, kind="layer", name=frame.name, text=frame.kind, detail=count)
        new.append(replace(box, id=f"n{len(new)}", frame=LOOSE))
    home = {i: at[last[box.frame]] if box.frame != LOOSE else at[i] for i, box in enumerate(picture.boxes)}
    pairs = dict.fromkeys((home[link.source], home[link.target]) for link in picture.links)
    seen: dict[int, int] = {}
    links = []
    for source, target in pairs:
        if source != target:
            seen[target] = seen.get(target, -1) + 1
            links.append(Link(source, target, seen[target]))
    return Picture(picture.title, tuple(new), tuple(links), (), picture.names, picture.is_double)
