"""The explorer's page as a file: what is in it, and what it refuses; `make test-browser` clicks through it."""

import json
import re

import pytest
from formulas import printed_under_hash_seeds

import symgrad as sg
from symgrad.page import explorer

N = sg.dim("N")
x, y = sg.symbol("x", (N, 3)), sg.symbol("y", (N,))


@pytest.fixture
def page(tmp_path):
    """Write a page, and read what it holds."""

    def write(target, **how):
        text = explorer(target, tmp_path / "page.html", **how).read_text(encoding="utf8")
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
        return text, json.loads(found[1])

    return write


def regression():
    w = sg.parameter("w", (3,), init="zeros")
    residual = (x @ w - y).named("r")
    return sg.mean(residual**2), w


def test_nodes_steps_kernels_and_equations_are_linked(page):
    text, data = page(regression()[0])
    assert len(re.findall(r'<g id="n\d+" class="node', text)) == len(data["nodes"])
    by_name = {node["name"]: node for node in data["nodes"]}
    assert by_name["dw"]["gradient"]
    assert data["steps"][by_name["dw"]["steps"][0]]["number"]
    assert by_name["r"]["sites"][0]["code"] == "residual = (x @ w - y).named(\"r\")"
    assert "by the chain rule" in by_name["dw"]["why"]
    for node in data["nodes"]:
        for k in node["operands"]:
            assert data["nodes"].index(node) in data["nodes"][k]["users"]
    kernel = data["kernels"][by_name["dw"]["kernel"]]
    assert "dw" in " ".join(kernel["label"])
    assert set(data["code"]) == {one["name"] for one in data["kernels"]}
    assert all(one["seconds"] > 0 for one in data["kernels"])
    assert all("define" in code["llvm"] and "kernel " in code["text"] for code in data["code"].values())
    assert [data["nodes"][line["node"]]["name"] for line in data["equations"]] == ["r", "loss", "dw"]
    assert data["checked"].startswith("checked: ")


def test_costs_are_of_the_sizes_that_were_asked_for(page):
    loss, _ = regression()
    few, many = (page(loss, sizes={"N": size})[1] for size in (10, 1000))
    flops = [sum(one["flops"] for one in data["kernels"]) for data in (few, many)]
    assert 50 < flops[1] / flops[0] < 101


@pytest.mark.parametrize(
    ("sizes", "error", "said"),
    [
        ({"M": 3}, TypeError, "no dimension 'M'"),
        ({"N": -1}, ValueError, "0 or more"),
        ({"N": 2.5}, TypeError, "integer"),
    ],
)
def test_sizes_that_are_refused(sizes, error, said, tmp_path):
    with pytest.raises(error, match=said):
        explorer(regression()[0], tmp_path / "page.html", sizes=sizes)
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_no_machine_has_are_shown_without_times(page):
    _, data = page(regression()[0], sizes={"N": 10**14})
    assert {one["seconds"] for one in data["kernels"]} == {None}


def test_a_dimension_that_no_input_tells(page):
    z = sg.symbol("z", (N + 1, 3))
    _, data = page(sg.mean((z[1:] - z[:-1]) ** 2))
    assert all(one["seconds"] > 0 for one in data["kernels"])


def test_what_cannot_be_checked_says_so(page):
    z = sg.symbol("z", (N,))
    _, data = page(sg.sum(z[200:] ** 2))
    assert data["checked"].startswith("not checked: no point was found")


def test_every_operator_has_the_kernel_that_computes_it(page):
    w, v = sg.parameter("w", (3, 4), seed=1), sg.parameter("v", (4,), seed=2)
    hidden = sg.tanh(x @ w).named("hidden")
    _, data = page(sg.mean(((hidden @ v).named("out") - y) ** 2))
    lines = [" ".join(kernel["label"]) for kernel in data["kernels"]]
    for node in data["nodes"]:
        assert (node["kernel"] is None) == (node["kind"] != "operator"), node["text"]
    for node in data["nodes"]:
        if node["name"] in ("hidden", "out", "loss", "dw", "dv"):
            assert f"{node['name']} = " in lines[node["kernel"]]


def test_a_gradient_is_written_in_the_names_of_the_forward_computation(page):
    model = sg.Sequential([
        sg.layers.Dense(8, activation="tanh", input_shape=(5,)), sg.layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy")
    _, data = page(model)
    texts = [node["text"].split("\n")[0] for node in data["nodes"]]
    assert "dW2 = H.T @ (P - Y) / N" in texts
    assert "db2 = sum(P - Y, axis=0) / N" in texts


def test_without_parameters_symbols_are_differentiated_by(page):
    _, data = page(sg.mean(sg.sin(x) * 2))
    assert "dx" in {node["name"] for node in data["nodes"]}


def test_what_is_no_scalar_is_shown_without_a_gradient(page):
    _, data = page(sg.exp(x @ sg.symbol("A", (3, 2))))
    assert not any(node["gradient"] for node in data["nodes"])
    assert data["steps"] == []
    assert data["checked"] == ""


def test_what_cannot_be_timed_is_shown_without_times(page):
    k = sg.symbol("k", (0,), "int32")
    _, data = page(sg.sum(sg.take(sg.symbol("t", (0, 2)), k, axis=0)))
    assert all(one["seconds"] is None or one["seconds"] > 0 for one in data["kernels"])


def test_a_page_loads_nothing(page):
    text, _ = page(regression()[0])
    without_names = text.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1998/Math/MathML", "")
    assert not re.search(r"https?://|@import|src=|<link", without_names)


def test_a_title_is_text(page):
    text, _ = page(regression()[0], title="a < b & </script>")
    assert "<title>a &lt; b &amp; &lt;/script&gt;</title>" in text


def test_parameters_keep_their_values(page):
    loss, w = regression()
    w.value = [1.0, 2.0, 3.0]
    page(loss)
    assert w.value.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("target", [3, "loss", None, [x]])
def test_what_is_refused(target, tmp_path):
    with pytest.raises(TypeError, match="takes an expression or a model"):
        explorer(target, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_differentiated_writes_nothing(tmp_path):
    with pytest.raises(sg.GradientError):
        explorer(sg.mean(x), tmp_path / "page.html", wrt=y)
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_the_same_in_every_process(tmp_path):
    program = (
        "import re, symgrad as sg; from symgrad.page import explorer; x = sg.symbol('x', (sg.dim('N'), 3)); "
        "w = sg.parameter('w', (3,), init='zeros'); "
        f"page = explorer(sg.mean(sg.tanh(x @ w) ** 2), {str(tmp_path / 'page.html')!r}).read_text(); "
        r"print(re.sub(r'\"seconds\":[0-9.e-]+', '', page))"
    )
    assert len(printed_under_hash_seeds(program, "012")) == 1


def test_what_is_cut_off_is_dots(page):
    v = sg.symbol("v", (3, 4))
    for k in range(12):
        v = sg.tanh(v @ sg.symbol(f"A{k}", (4, 4))) + sg.sum(sg.sin(v), axis=0)
    text, _ = page(sg.mean(v) * sg.sum(v * sg.exp(v)), wrt=sg.symbol("A0", (4, 4)))
    assert "…" in text
    assert "hidden_part" not in text
    assert not re.search(r"hidden</mi>", text)
