"""What the explorer shows: a drawing's nodes, the steps of a derivation and the kernels of a compiled function, linked.

In: an `Exhibition`: what is drawn, what was derived, what was compiled. Out: plain data, ready to be written as JSON:
texts for text, MathML and HTML for formulas. It must not know the page that shows it.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codegen.emit import emit
from codegen.jit import assembly
from codegen.pipeline import Compiled
from codegen.text import print_kernel
from symgrad import side
from symgrad.chainrule.derivation import Derivation
from symgrad.chainrule.why import built_at, why
from symgrad.compiled import Function
from symgrad.drawing.figure import Graph
from symgrad.drawing.picture import Box
from symgrad.expr import Expr, TensorType, topological
from symgrad.inspection.labels import expanded_nodes
from symgrad.inspection.subject import Subject
from symgrad.ops.body import inline
from symgrad.ops.row import plain_name
from symgrad.shape import format_shape
from symgrad.show.glimpse import glimpse
from symgrad.show.mathml import MATHML
from symgrad.show.notation import Written
from symgrad.show.text import equation_lines
from symgrad.simplifier import simplify

__all__ = ["Exhibition", "exhibits"]

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Exhibition:
    """What is shown: a drawing, perhaps another with layers folded; the equations of its results; perhaps a derivation;
    a compiled function.

    `seconds` are the times of its launches, or None where nothing was run; `sizes` bind the dimensions of its costs.
    """

    graph: Graph
    folded: Graph | None
    equations: Mapping[str, Expr]
    derivation: Derivation | None
    function: Function
    seconds: Sequence[float | None]
    sizes: Mapping[str, int]


def exhibits(shown: Exhibition) -> Data:
    """Collect everything; positions in lists link nodes, steps and kernels."""
    kernel_of = _kernel_of(shown)
    place = {id(box.node): k for k, box in enumerate(shown.graph.nodes)}
    nodes = [_node(box, shown.graph, kernel_of.get(id(box.node))) for box in shown.graph.nodes]
    for edge in shown.graph.edges:
        nodes[edge.target]["operands"].append(edge.source)
        nodes[edge.source]["users"].append(edge.target)
    steps = _steps(shown.derivation, place)
    named = {node["name"]: node for node in nodes if node["gradient"]}
    for k, step in enumerate(steps):
        if step["node"] is not None:
            value = nodes[step["node"]]
            value["steps"].append(k)
            if f"d{value['name']}" in named:
                named[f"d{value['name']}"]["steps"].append(k)
    return {
        "nodes": nodes, "steps": steps, "equations": _equations(shown, place), "kernels": _launches(shown),
        "code": _code(shown.function.subject.compiled),
        "start": next((box.id for box in reversed(shown.graph.nodes) if box.result), None),
        "checked": _checked(shown.derivation),
    }  # fmt: skip


# -- nodes -------------------------------------------------------------------------------------------------------------


def _node(box: Box, graph: Graph, kernel: int | None) -> Data:
    node = box.node
    sites = [
        {"file": Path(site.file).name, "line": site.line, "code": linecache.getline(site.file, site.line).strip()}
        for site in built_at(node)
    ]
    text = graph.mathematics(box)
    is_tensor = isinstance(node.type, TensorType)
    lines = (f"{site['file']}:{site['line']} {site['code']}" for site in sites)
    return {
        "id": box.id, "name": box.name, "label": box.text or box.name, "kind": box.kind, "gradient": box.gradient,
        "operator": plain_name(node.op), "text": text, "math": _mathematics(box, graph.drawing.picture.names),
        "shape": format_shape(node.shape) if is_tensor else "", "dtype": str(node.dtype) if is_tensor else "",
        "sites": sites, "why": str(why(node)) if box.gradient and side.origins(node) else "",
        "kernel": kernel, "operands": [], "users": [], "steps": [],
        "search": " ".join((box.name, box.text, node.op, text, *lines)).lower(),
    }  # fmt: skip


def _mathematics(box: Box, names: Mapping[int, str]) -> str:
    """Give the formula of a box, with the name of its value if it has one."""

    def named(lines: Sequence[Written]) -> str:
        *above, last = lines
        if box.name and box.node.args and not last.name:
            last = replace(last, name=MATHML.name(box.name))
        return MATHML.lines([*above, last])

    others = {at: name for at, name in names.items() if at != id(box.node)}
    return glimpse(box.node, others, replace(MATHML, lines=named))


# -- formulas ----------------------------------------------------------------------------------------------------------


def _equations(shown: Exhibition, place: Mapping[int, int]) -> list[Data]:
    """List the lines of the whole formula, each with the node that it defines, where that is drawn."""
    named = {box.name: k for k, box in enumerate(shown.graph.nodes) if box.name}
    named |= {name: place[id(node)] for name, node in shown.equations.items() if id(node) in place}
    found = []
    for line in equation_lines(shown.equations, notation=MATHML):
        at = named.get(line.name)
        gradient = at is not None and shown.graph.nodes[at].gradient
        found.append({"math": MATHML.set([line]), "node": at, "gradient": gradient})
    return found


def _checked(derivation: Derivation | None) -> str:
    """Say whether the steps agree at random points, or why that cannot be told."""
    if derivation is None:
        return ""
    try:
        return str(derivation.check())
    except ValueError as error:  # nowhere that was looked is the loss finite
        return f"not checked: {error}"


def _steps(derivation: Derivation | None, place: Mapping[int, int]) -> list[Data]:
    """List the steps of the chain rule, each with the node of the forward computation that it differentiates by."""
    if derivation is None:
        return []
    values = {str(step.number): step.value.node for step in derivation.steps}
    return [
        {"number": number, "html": html, "node": place.get(id(values.get(number)))}
        for number, html in derivation.sections()
    ]


# -- kernels -----------------------------------------------------------------------------------------------------------


def _kernel_of(shown: Exhibition) -> dict[int, int]:
    """Map what is drawn, by `id`, to the first launch that computes it, as it stands or as simplified."""
    launch_of = _launch_of(shown.function.subject)
    drawn = [box.node for box in shown.graph.nodes]
    with side.building_at(None):
        simplified = simplify(inline(drawn))
    subject = shown.function.subject
    outputs = dict(zip(subject.titles, subject.outputs, strict=True))
    became = {id(node): outputs[name] for name, node in shown.equations.items() if name in outputs}
    found: dict[int, int] = {}
    for node, new in zip(drawn, simplified, strict=True):
        for form in (node, became.get(id(node), new), new):
            if id(form) in launch_of:
                found.setdefault(id(node), launch_of[id(form)])
    return found


def _launch_of(subject: Subject) -> dict[int, int]:
    """Map the nodes of a function's simplified graph, by `id`, to the first launch that computes them."""
    inside: dict[int, int] = {}
    for k, step in enumerate(subject.compiled.steps):
        elsewhere = {n for n, home in subject.compiled.home.items() if home is not step.group}
        for node in topological(step.group.stores, stop=elsewhere.__contains__):
            if node.args and node not in elsewhere:
                inside.setdefault(id(node), k)
    expanded = expanded_nodes(subject)
    return {id(node): inside[id(new)] for node, new in expanded.items() if id(new) in inside}


def _launches(shown: Exhibition) -> list[Data]:
    """List the launches: what each computes, and what it costs."""
    costs = shown.function.cost_analysis().at(**shown.sizes).kernels
    return [
        {
            "name": cost.kernel, "label": list(cost.label), "seconds": seconds, "flops": int(cost.flops),
            "bytes": int(cost.bytes_accessed),
        }
        for cost, seconds in zip(costs, shown.seconds, strict=True)
    ]  # fmt: skip


def _code(compiled: Compiled) -> dict[str, Data]:
    """Give the code of every kernel, which may serve many launches, by its name."""
    llvm = {name: emit(kernel, compiled.machine) for name, kernel in compiled.kernels.items()}
    return {
        name: {
            "text": print_kernel(kernel), "llvm": llvm[name], "assembly": assembly(llvm[name], compiled.machine),
        }
        for name, kernel in compiled.kernels.items()
    }  # fmt: skip
