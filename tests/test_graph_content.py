"""What `sg.graph` shows: which boxes there are, what they say, and the SVG, DOT and Mermaid text of it."""

import re
import xml.etree.ElementTree as ET

import pytest
from drawings import DRAWINGS, attention, block, logistic, network, towers, with_gradient
from formulas import printed_under_hash_seeds
from row_cases import calls

import symgrad as sg

N = sg.dim("N")
SVG = "{http://www.w3.org/2000/svg}"
x, z = sg.symbol("x", (N, 3)), sg.symbol("z", (N, 3))
A, s = sg.symbol("A", (3, 3)), sg.symbol("s")


def label(expr):
    """Give what the box of an expression says."""
    box = sg.graph(expr).nodes[-1]
    return " ".join(part for part in (box.text, box.detail) if part)


LABELS = {
    "+": x + z, "−": x - z, "×": x * z, "/": x / z, "@": x @ A, "**": x**s, "x × x": x * x, "x²": x**2, "x⁻³": x**-3.0,
    "1 − ·": 1 - sg.exp(x), "− 1": sg.exp(x) - 1, "+ 1": sg.exp(x) + 1, "× 2": 2 * sg.exp(x), "/ N": sg.exp(x) / N,
    "× (−0.5)": sg.exp(x) * -0.5, "/ (2 × N)": sg.exp(x) / (2 * N), "1 / ·": 1 / sg.exp(x), "x > 0": x > 0, "≥": x >= z,
    "× [x > 0]": sg.where(x > 0, sg.exp(z), 0), "[x > 0]": sg.where(x > 0, 1.0, 0.0), "where": sg.where(x > s, x, z),
    "relu": sg.relu(x), "softmax axis 1": sg.softmax(x, axis=1), "sum": x.sum(), "sum axis 0": x.sum(axis=0),
    "mean axes 0, 2": sg.symbol("t", (2, 3, 4)).mean(axis=(0, 2)), "transpose": sg.exp(A).T, "A @ ·ᵀ": A @ sg.exp(A).T,
    "Aᵀ @ x": A.T @ sg.symbol("x", (3,)), "[:, None]": sg.symbol("v", (3,))[:, None],
    "[1:, :]": x[1:], "concatenate axis 0": sg.concatenate([x, z]), "maximum(x, 0)": sg.maximum(x, 0),
    "outer": sg.outer(sg.symbol("v", (3,)), sg.symbol("u", (2,))), "eye(3)": sg.eye(3), "arange(N)": sg.arange(N),
    "clip(x, −1, 1)": sg.clip(x, -1, 1), "float64": x.astype("float64"), "array": sg.constant([[1.0] * 9]),
    "and": (x > s) & (z > s), "einsum ij,ij→i": sg.einsum("ij,ij->i", x, z),
}  # fmt: skip


@pytest.mark.parametrize("text", LABELS)
def test_labels(text):
    assert label(LABELS[text]) == text


def test_constants_are_written_inside_and_assumptions_are_not_boxes():
    drawing = sg.graph(sg.assume(x, positive=True) * 2 + sg.constant([1.0, 2.0, 3.0]))
    assert [(n.name or n.text, n.kind) for n in drawing.nodes] == [
        ("x", "input"), ("x × 2", "operator"), ("+ [1.0, 2.0, 3.0]", "operator"),
    ]  # fmt: skip


@pytest.mark.parametrize("call", calls(), ids=str)
def test_every_operator_is_drawn(call):
    graph = sg.graph({"result": call.node})
    box = graph.nodes[-1]
    assert box.result
    assert box.text or call.row.name == "assume"
    text = graph.svg()
    ET.fromstring(text)
    assert " object at " not in text
    read = call.operands[:1] if call.row.name == "recompute" else call.operands  # it only waits for the other
    assert {n.name for n in graph.nodes if n.kind == "input"} == {x.attrs["name"] for x in read}


def test_functions_with_derivatives_of_their_own():
    def doubled(x):
        return 2 * x

    double = sg.custom_gradient(doubled, lambda operands, out, g: [2 * g])
    again = sg.checkpoint(lambda a: sg.tanh(a) * a)
    graph = sg.graph(again(double(x)).sum(), wrt=x)
    assert said(graph, gradient=False)[:2] == ["doubled", "checkpoint"]
    assert " object at " not in graph.svg() + graph.dot() + graph.mermaid()


def said(graph, *, gradient):
    return [f"{n.name} = {n.text}" if n.name else n.text for n in graph.nodes if n.gradient == gradient and n.text]


def test_the_gradient_is_what_only_the_gradient_needs():
    loss, parameters = logistic()
    by_wrt = sg.graph(loss, wrt=parameters)
    assert said(by_wrt, gradient=True)[-4:] == ["Xᵀ @ ·", "dw = / N", "sum", "db = / N"]
    of_list = sg.graph([loss, *sg.grad(loss, parameters)])
    assert [n.gradient for n in of_list.nodes] == [n.gradient for n in by_wrt.nodes]
    alone = sg.graph(sg.grad(loss, parameters[0]))
    assert said(alone, gradient=True)[-2:] == ["Xᵀ @ ·", "/ N"]
    assert {n.name for n in alone.nodes if not n.gradient} >= {"X", "w", "b"}
    assert not any(n.gradient for n in sg.graph(loss).nodes)
    v = sg.symbol("v", (3,))
    quadratic = sg.graph(sg.grad(v @ A @ v, v))  # nothing is computed before: the leaves are boxes of the gradient
    assert [(n.name or n.text, n.gradient) for n in quadratic.nodes] == [
        ("A", True), ("transpose", True), ("+", True), ("v", True), ("@", True),
    ]  # fmt: skip


def test_the_reference_network():
    graph = with_gradient(network())
    assert said(graph, gradient=True) == [
        "P − Y", "@ W2ᵀ", "× [Z1 > 0]", "Xᵀ @ ·", "dW1 = / N", "sum", "db1 = / N", "Hᵀ @ ·", "dW2 = / N", "sum",
        "db2 = / N",
    ]  # fmt: skip
    shared = {graph.nodes[e.source].name for e in graph.edges
              if graph.nodes[e.target].gradient and not graph.nodes[e.source].gradient}  # fmt: skip
    assert shared == {"P", "Z1", "H"}
    assert [n.name for n in graph.nodes if n.result] == ["loss", "dW1", "db1", "dW2", "db2"]


def test_layers_are_groups_and_collapse_to_boxes():
    graph = sg.graph(network())
    groups = [(g.name, g.kind, g.parameters) for g in graph.groups]
    assert groups == [("dense", "Dense", 401_920), ("dense_1", "Dense", 5_130)]
    members = [[n.name or n.text for n in graph.nodes if n.frame == i] for i in (0, 1)]
    assert members == [["W1", "@", "b1", "Z1", "H"], ["W2", "@", "b2", "Z2", "P"]]
    folded = sg.graph(network(), collapse=True)
    assert [(n.kind, n.name, n.detail, n.shape) for n in folded.nodes] == [
        ("input", "X", "", "(N, 784)"),
        ("layer", "dense", "401,920 parameters", "(N, 512)"),
        ("layer", "dense_1", "5,130 parameters", "(N, 10)"),
    ]
    assert [(e.source, e.target) for e in folded.edges] == [(0, 1), (1, 2)]
    assert [(e.source, e.target) for e in sg.graph(towers(), collapse=True).edges] == [
        (0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (1, 4), (4, 5),
    ]  # fmt: skip


def test_a_shared_layer_and_one_that_does_nothing():
    dense, flat = sg.layers.Dense(3), sg.layers.Flatten()
    given = sg.layers.Input((3,), name="x")
    graph = sg.graph(sg.Model(given, dense(dense(flat(given)))))
    assert [g.name for g in graph.groups] == ["dense", "dense"]
    assert [n.name for n in graph.nodes if n.kind == "parameter"] == ["W", "b"]


def test_depth_cuts_the_graph_off():
    out = block()
    graph = sg.graph(out, depth=2)
    assert [n.text for n in graph.nodes if n.kind == "cut"] == ["…", "…"]
    assert len(graph.nodes) < 8
    assert len(sg.graph(out, depth=10_000).nodes) == len(sg.graph(out).nodes)
    assert [n.kind for n in sg.graph(out, depth=0).nodes] == ["cut"]
    with pytest.raises(ValueError, match="depth is 0 or more"):
        sg.graph(out, depth=-1)


def test_names_given_with_the_results():
    assert [n.name for n in sg.graph({"a": x + 1, "b": [x - 1]}).nodes] == ["x", "a", "b"]
    W = sg.parameter("W", (3,))
    updates = sg.optim.SGD().updates((W**2).sum(), [W])
    assert "new W" in [n.name for n in sg.graph(updates).nodes if n.result]
    assert [n.name for n in sg.graph((x + 7).named("H")).nodes] == ["x", "H"]


def test_what_cannot_be_drawn():
    with pytest.raises(TypeError, match="expressions are drawn, not int 3"):
        sg.graph(3)
    with pytest.raises(TypeError, match="wrt: the gradient of several expressions"):
        sg.graph([x, z], wrt=x)
    with pytest.raises(sg.GradientError):
        sg.graph(x, wrt=x)


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWINGS)
def test_svg_is_wellformed_and_complete(name):
    graph = DRAWINGS[name]()
    text = graph.svg()
    root = ET.fromstring(text)
    assert (root.get("role"), bool(root.get("aria-label"))) == ("img", True)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    nodes = {e.get("id"): e for e in root.iter(f"{SVG}g") if "node" in (e.get("class") or "").split()}
    assert set(nodes) == {n.id for n in graph.nodes}
    for box in graph.nodes:
        shown = " ".join(t.text or "" for e in nodes[box.id].iter(f"{SVG}text") for t in (e, *e))
        assert all(part in shown for part in (box.name, box.text, box.detail, box.shape) if len(part) < 40)
        assert nodes[box.id].findtext(f"{SVG}title") == graph.mathematics(box)
    edges = [(e.get("data-from"), e.get("data-to")) for e in root.iter(f"{SVG}g") if "data-from" in e.attrib]
    assert sorted(edges) == sorted({(f"n{e.source}", f"n{e.target}") for e in graph.edges})
    layers = [e for e in root.iter(f"{SVG}g") if e.get("class") == "layer"]
    assert [(e.get("data-layer"), e.get("data-parameters")) for e in layers] == [
        (g.name, str(g.parameters)) for g in graph.groups
    ]


HOSTILE = """<b a="1">&'`#\\"""


def test_names_and_titles_are_escaped():
    graph = sg.graph({HOSTILE: x + 1}, title=HOSTILE)
    root = ET.fromstring(graph.svg(prefix="first-"))
    assert root.get("aria-label") == root.findtext(f"{SVG}title") == HOSTILE
    assert HOSTILE in "".join(root.itertext())
    assert {e.get("id") for e in root.iter() if e.get("id")} == {"first-n0", "first-n1"}
    assert "nul\ufffdchar" in "".join(ET.fromstring(sg.graph({"nul\0char": x + 1}).svg()).itertext())
    assert graph.dot().startswith(r'digraph "<b a=\"1\">&' + "'`#" + r'\\" {')
    assert re.search(r'n1\("([^"]*)"\)', graph.mermaid())[1].startswith("#60;b a=#34;1#34;#62;#38;'#96;#35;#92;<br>")


@pytest.mark.parametrize("name", ["logistic", "model"])
def test_golden_texts(golden, name):
    graph = DRAWINGS[name]()
    golden(f"graph_{name}.dot", graph.dot())
    golden(f"graph_{name}.mmd", graph.mermaid())
    golden(f"graph_{name}.svg", graph.svg())


HASHED = """
from drawings import attention, network, towers, with_gradient
import symgrad as sg
for graph in (with_gradient(network()), sg.graph(attention()), sg.graph(towers())):
    print(graph.svg(), graph.dot(), graph.mermaid())
"""


def test_texts_are_the_same_for_every_hash_seed():
    assert len(printed_under_hash_seeds(HASHED, ("0", "1", "2024"))) == 1


def test_tooltips_say_the_mathematics():
    graph = sg.graph(attention())
    tips = {n.name or n.text: graph.mathematics(n) for n in graph.nodes}
    assert tips["A"] == "A = softmax(Q @ K.T / 4, axis=1)\nfloat32 (N, N)"
    assert tips["dV"] == "dV = A.T @ G\nfloat32 (N, 16)"
    assert tips["Q"] == "Q\ninput, float32 (N, 16)"
    folded = sg.graph(network(), collapse=True)
    assert folded.mathematics(folded.nodes[1]) == "dense: Dense\n401,920 parameters\n(N, 512)"


def test_operands_whose_order_does_not_show_are_numbered():
    a, b = sg.exp(x), sg.exp(z)
    assert "<text" not in "".join(re.findall(r'<g class="edge.*', sg.graph(a - b).svg()))
    both = sg.graph([a - b, b - a])  # one of them must be crossed
    ordinals = [way.ordinal for way in both.drawing.ways if way.ordinal]
    assert sorted(ordinals) in ([1, 2], [])
    crossed = [
        n for i, n in enumerate(both.nodes) if n.text == "−"
        for ways in [sorted((w for w in both.drawing.ways if w.target == i), key=lambda w: w.tip)]
        if [both.nodes[w.source].id for w in ways] != [both.nodes[e.source].id for e in both.edges if e.target == i]
    ]  # fmt: skip
    assert len(crossed) == len(ordinals) / 2


def test_saved_by_the_ending(tmp_path):
    graph = sg.graph(x + 1)
    for ending, text in ((".svg", graph.svg()), (".dot", graph.dot()), (".mmd", graph.mermaid())):
        path = tmp_path / f"drawing{ending}"
        graph.save(path)
        assert path.read_text(encoding="utf8") == text + "\n"
    with pytest.raises(ValueError, match=r"saved as .svg, .dot, .mmd, not '.png'"):
        graph.save(tmp_path / "drawing.png")


def test_notebooks_show_small_expressions_only():
    assert (x + 1)._repr_svg_() == sg.graph(x + 1)._repr_svg_() == sg.graph(x + 1).svg()
    h = x
    for _ in range(250):
        h = sg.tanh(h)
    assert h._repr_svg_() is None
    assert repr(sg.graph(h)) == "<Graph: 251 nodes, 250 edges>"
