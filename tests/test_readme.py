"""The README and the chapters run: `python` blocks in order, as one session; a `text` block after one is its output.

In a `text` block `...` stands for anything, as in doctests. A fence with any other info string is not run.
"""

import ast
import doctest
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.ops.row import ROWS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/backpropagation.md", "docs/tour.md")
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its first line's number, and the output it promises (None if it promises none)."""

    line: int
    code: str
    expected: str | None


def blocks(text: str) -> list[Block]:
    fences = list(FENCE.finditer(text))
    following = [*fences[1:], None] if fences else []
    return [
        Block(
            line=text.count("\n", 0, fence.start("body")) + 1,
            code=fence["body"],
            expected=after["body"] if after is not None and after["kind"] == "text" else None,
        )
        for fence, after in zip(fences, following, strict=True)
        if fence["kind"] == "python"
    ]


def test_blocks_are_found_with_their_output():
    text = "# T\n```python\nx = 1\n```\nwhich\n```python\nprint(x)\n```\nprints\n```text\n1\n```\n```sh\nmake\n```\n"
    assert blocks(text) == [Block(3, "x = 1\n", None), Block(7, "print(x)\n", "1\n")]


def test_every_page_with_code_is_run():
    pages = [p for p in (ROOT / "docs").rglob("*.md") if blocks(p.read_text(encoding="utf8"))]
    assert {p.relative_to(ROOT).as_posix() for p in pages} <= set(PAGES)


@pytest.fixture
def _own_rows_are_forgotten():
    """Take back the operators that a page defines."""
    before = set(ROWS)
    yield
    for name in set(ROWS) - before:
        del ROWS[name]


@pytest.mark.usefixtures("_own_rows_are_forgotten")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page, capsys, tmp_path, monkeypatch):
    session = {"__name__": "page"}
    found = blocks((ROOT / page).read_text(encoding="utf8"))
    assert found, f"{page} shows no code"
    monkeypatch.chdir(tmp_path)
    sg.set_seed(0)  # as in a fresh process: other tests have drawn keys
    for block in found:
        tree = ast.increment_lineno(ast.parse(block.code), block.line - 1)
        exec(compile(tree, str(ROOT / page), "exec"), session)
        printed = capsys.readouterr().out
        if block.expected is None or doctest.OutputChecker().check_output(block.expected, printed, OPTIONS):
            continue
        pytest.fail(f"{page}:{block.line} promises\n{block.expected}\nbut prints\n{printed}")
