"""The explorer's page in a real browser: what a click shows, keys, search, light and dark, a phone, 1,000 nodes.

These are not collected with the other tests, but by `make test-browser`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import symgrad as sg

N = sg.dim("N")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Root in a container has no sandbox; no connection is wanted.
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start a headless Chromium: the one that CHROMIUM names, or the first on the PATH."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert path is not None, "no Chromium is installed"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open a file in a page of its own; at the end nothing may have been complained about or asked of a network."""
    contexts, said, asked = [], [], []

    def opened(path: Path, width: int = 1400, height: int = 900, **how: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **how)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("file:")] == []


def reference():
    """Give the loss of the reference network, and its parameters."""
    X, Y = sg.symbol("X", (N, 784)), sg.symbol("Y", (N, 10), facts={"rows_sum_to_one"})
    W1, b1 = sg.parameter("W1", (784, 512)), sg.parameter("b1", (512,), init="zeros")
    W2, b2 = sg.parameter("W2", (512, 10)), sg.parameter("b2", (10,), init="zeros")
    H = sg.relu((X @ W1 + b1).named("Z1")).named("H")
    P = sg.softmax(H @ W2 + b2, axis=1).named("P")
    return -sg.mean(sg.sum(Y * sg.log(P), axis=1)), [W1, b1, W2, b2]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    loss, parameters = reference()
    return sg.explorer(loss, tmp_path_factory.mktemp("page") / "gradient.html", wrt=parameters)


def node(page, name):
    """Find a box by the name in it."""
    return page.locator("g.node").filter(has=page.locator(f'tspan.name:text-is("{name}")'))


def spoken(page, selector):
    """Give the text of an element, blanks apart."""
    return re.sub(r"\s+", "", page.locator(selector).inner_text())


def test_a_click_shows_the_formula(visit, written):
    page = visit(written)
    node(page, "H").click()
    panel = page.locator("#panel-node")
    assert panel.locator("h2").inner_text() == "H"
    assert re.sub(r"\s", "", panel.locator(".math math").text_content()) == "H=relu(Z1)"
    assert panel.locator(".math math").bounding_box()["height"] > 10
    assert "H=sg.relu" in spoken(page, "#panel-node .source code")
    assert "check_explorer.py:" in panel.locator(".source .where").first.inner_text()
    assert panel.locator("ol.steps > li").count() == 1
    assert "fma" in panel.locator("pre").last.inner_text()
    assert page.evaluate("location.hash") == "#" + node(page, "H").get_attribute("id")


def test_the_gradient_of_a_parameter(visit, written):
    page = visit(written)
    node(page, "dW2").click()
    assert "gradient" in page.locator("#panel-node .kind").inner_text()
    assert re.sub(r"\s", "", page.locator("#panel-node .math math").text_content()) == "dW2=1NH⊤(P−Y)"
    assert page.locator("#panel-node ol.steps > li").count() == 1
    page.locator("#panel-node .tabs button", has_text="Assembly").click()
    assert ".globl" in page.locator("#panel-node pre").last.inner_text()
    figures = page.locator("#panel-node .figures b").all_inner_texts()
    assert figures[0].endswith(("µs", "ms"))
    assert figures[1].endswith("M")


def test_the_formula_leads_to_the_graph(visit, written):
    page = visit(written)
    page.click("#tab-formula")
    lines = page.locator("#panel-formula .line")
    assert lines.count() == 9
    lines.filter(has_text="relu").click()
    assert page.locator("g.node.selected").get_attribute("id") == node(page, "H").get_attribute("id")


def test_derivation_and_kernels(visit, written):
    page = visit(written)
    page.click("#tab-derivation")
    assert "checked: 8 of 8 steps agree" in page.locator("#panel-derivation").inner_text()
    page.locator("#panel-derivation li", has_text="relu").first.click()
    assert page.locator("g.node.selected").count() == 1
    page.click("#tab-kernels")
    rows = page.locator("#panel-kernels tr.kernel")
    assert rows.count() >= 8
    rows.first.click()
    assert "kernel " in page.locator("#panel-kernels pre").first.inner_text()


def test_everything_can_be_reached_by_keys(visit, written):
    page = visit(written)
    page.locator("#graph").focus()
    seen = set()
    for _ in range(40):
        seen.add(page.locator("g.node.selected").get_attribute("id"))
        page.keyboard.press("ArrowUp")
    assert len(seen) >= 5
    assert page.evaluate("document.activeElement.classList.contains('node')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    for key, panel in zip("1234", ("node", "formula", "derivation", "kernels"), strict=True):
        page.keyboard.press(key)
        assert page.locator(f"#panel-{panel}").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    assert page.locator("g.node.hit").count() >= 1
    assert "softmax" in page.locator("g.node.selected").text_content()
    page.keyboard.press("Escape")
    page.locator("#graph").focus()
    page.keyboard.press("Escape")
    assert page.locator("g.node.selected").count() == 0


def test_tabs_are_walked_with_arrows(visit, written):
    page = visit(written)
    page.locator("#tab-node").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-formula"
    assert page.locator("#tab-formula").get_attribute("aria-selected") == "true"


def test_a_search_for_nothing(visit, written):
    page = visit(written)
    page.fill("#search", "no such thing")
    assert page.locator("#found").inner_text() == "0 found"
    page.keyboard.press("Enter")


def test_zoom_and_drag(visit, written):
    page = visit(written)
    before = node(page, "H").bounding_box()
    page.mouse.move(500, 400)
    page.mouse.wheel(0, -400)
    larger = node(page, "H").bounding_box()
    assert larger["width"] > before["width"] * 1.3
    page.mouse.down()
    page.mouse.move(560, 450, steps=4)
    page.mouse.up()
    moved = node(page, "H").bounding_box()
    assert moved["x"] == pytest.approx(larger["x"] + 60, abs=2)
    page.click("[data-zoom=fit]")
    page.wait_for_timeout(400)
    assert node(page, "H").bounding_box()["width"] == pytest.approx(before["width"], abs=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(visit, written, scheme):
    page = visit(written, color_scheme=scheme)
    colour = "getComputedStyle(document.body).backgroundColor"

    def is_light():
        return sum(map(int, re.findall(r"\d+", page.evaluate(colour))[:3])) > 384

    assert is_light() == (scheme == "light")
    page.click("#theme")
    assert is_light() != (scheme == "light")


FAINTEST = """() => {  // the least contrast of any text with what lies behind it
    const light = (colour) => {
        const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = colour.map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parsed = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (front, back) => back.map((v, k) => front[k] * front[3] + v * (1 - front[3]));
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.unshift(parsed(getComputedStyle(at).backgroundColor));
        return layers.reduce((back, front) => over(front, back), [255, 255, 255]);
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement, words = walk.currentNode.textContent.trim();
        if (!words || !element.getBoundingClientRect().width) continue;
        const box = element.closest("g.node")?.querySelector("rect"), drawn = element.closest("svg");
        const { fill, color } = getComputedStyle(element);
        let back = behind(drawn ?? element), front = parsed(drawn ? fill : color);
        if (box && getComputedStyle(box).fill !== "none") back = over(parsed(getComputedStyle(box).fill), back);
        for (let at = element; at; at = at.parentElement) front[3] *= getComputedStyle(at).opacity;
        const [low, high] = [light(over(front, back)), light(back)].sort((a, b) => a - b);
        found.push([(high + 0.05) / (low + 0.05), words]);
    }
    return found.sort((a, b) => a[0] - b[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(visit, written, scheme):
    page = visit(written, color_scheme=scheme)
    for panel in ("node", "formula", "derivation", "kernels"):
        page.click(f"#tab-{panel}")
        contrast, words = page.evaluate(FAINTEST)
        assert contrast >= 4.5, f"{words!r} in {panel}: {contrast:.2f}"


def test_what_a_screen_reader_is_told(visit, written):
    page = visit(written)
    assert page.get_by_role("button", name="H = relu(Z1)", exact=False).count() == 1
    assert "gradient" in node(page, "dW2").get_attribute("aria-label")
    page.click("#tab-derivation")
    step = page.get_by_role("tabpanel").get_by_role("button", name=re.compile(r"^Step \d+: show ")).first
    step.focus()
    page.keyboard.press("Enter")
    assert page.locator("#panel-derivation li[aria-current=true]").count() >= 1
    assert page.locator("#panel-node").is_visible()
    page.click("#tab-kernels")
    opener = page.locator("#panel-kernels tr.kernel button").first
    assert opener.get_attribute("aria-expanded") == "false"
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    assert page.locator("#panel-kernels pre").first.is_visible()


def test_a_click_without_a_pointer_counts_after_a_drag(visit, written):
    page = visit(written)
    page.mouse.move(500, 400)
    page.mouse.down()
    page.mouse.move(560, 450, steps=4)
    page.mouse.up()
    page.wait_for_timeout(50)
    node(page, "H").dispatch_event("click")
    assert page.locator("#panel-node h2").inner_text() == "H"
    page.keyboard.press("Escape")
    node(page, "H").focus()
    page.keyboard.press("Enter")
    assert page.locator("g.node.selected").get_attribute("id") == node(page, "H").get_attribute("id")


def test_an_address_that_leads_nowhere(visit, written, tmp_path):
    page = visit(written)
    page.goto(written.as_uri() + "#%")
    page.reload()
    assert page.locator("g.node.selected").count() == 1


def test_a_phone(visit, written):
    page = visit(written, 390, 844, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = node(page, "H").bounding_box()
    assert 0 <= box["x"] <= 390
    node(page, "H").tap()
    assert page.locator("#panel-node h2").inner_text() == "H"
    panel = page.locator("#side").bounding_box()
    assert panel["height"] > 300


def test_a_thousand_nodes_stay_fluid(visit, tmp_path):
    x = sg.symbol("X", (N, 16))
    weights = [sg.parameter(f"W{k}", (16, 16)) for k in range(80)]
    h = x
    for w in weights:
        h = sg.tanh(h @ w) + sg.sin(h)
    page = visit(sg.explorer(sg.mean(h**2), tmp_path / "deep.html", wrt=weights))
    assert page.locator("g.node").count() >= 1000
    spent = page.evaluate("""async () => {
        const graph = document.getElementById("graph"), times = [];
        for (let k = 0; k < 60; k++) {
            const start = performance.now();
            const way = { deltaY: k % 2 ? 60 : -60, clientX: 400, clientY: 400, cancelable: true };
            graph.dispatchEvent(new WheelEvent("wheel", way));
            await new Promise(requestAnimationFrame);
            times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b)[30];
    }""")
    assert spent < 100, f"a frame takes {spent} ms"
    page.locator("#graph").focus()
    for _ in range(12):
        page.keyboard.press("ArrowUp")
    page.wait_for_timeout(400)
    room, box = page.locator("#graph").bounding_box(), page.locator("g.node.selected").bounding_box()
    assert room["x"] <= box["x"] <= room["x"] + room["width"] - box["width"]
    assert room["y"] <= box["y"] <= room["y"] + room["height"] - box["height"]
    start = page.evaluate("performance.now()")
    page.locator("g.node").nth(500).dispatch_event("click")
    assert page.evaluate("performance.now()") - start < 1000


def test_a_model(visit, tmp_path):
    model = sg.Sequential(
        [sg.layers.Dense(8, activation="relu", input_shape=(5,)), sg.layers.Dense(3, activation="softmax")]
    )
    model.compile("rmsprop", "categorical_crossentropy")
    before = model.get_weights()
    page = visit(sg.explorer(model, tmp_path / "model.html"))
    assert page.locator("#canvas svg").first.locator("g.layer").count() == 2
    page.click("#fold")
    folded = page.locator("#canvas svg").nth(1)
    assert folded.is_visible()
    assert not page.locator("#canvas svg").nth(0).is_visible()
    folded.locator("g.node.layer").last.click()
    assert not folded.is_visible()
    assert page.locator("g.node.selected").count() == 1
    page.click("#tab-kernels")
    assert "W1 <-" in page.locator("#panel-kernels").inner_text()
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_names_cannot_break_out_of_the_page(visit, tmp_path):
    x = sg.symbol("x", (3,)).named("h")
    title = '</script><script>document.title = "broken"</script>'
    page = visit(sg.explorer(sg.sum(sg.exp(x) * 2), tmp_path / "odd.html", title=title))
    assert page.title() == title
