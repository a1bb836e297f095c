"""docs/operators.md says what the registry says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.ops.row import ROWS
from symgrad.show.document import FUNCTIONS, cotangents, functions

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
CODE = "import sys, symgrad; from symgrad.show.document import page; sys.stdout.write(page())"


def test_the_reference_of_operators_is_current():
    """In a process of its own: other tests register operators."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
    hint = "run `python -m symgrad.show.document` and read the difference"
    assert done.stdout == PAGE.read_text(encoding="utf8"), hint


WITHOUT_ACCURACY = {"assume", "checkpoint", "custom", "normal", "uniform"}  # wrappers, and numbers drawn at random


def test_every_operator_has_a_meaning_and_an_accuracy():
    text = PAGE.read_text(encoding="utf8").partition(f"## {FUNCTIONS}")[0]
    entries = re.findall(r"^- \*\*`(\w+)`\*\* (.*?)(?=^- |^#)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 130
    for name, entry in entries:
        assert entry.strip()
        assert re.search(r"^  (Derivatives?( of|:)|No derivative\.)", entry, re.MULTILINE), name
        assert ("Accuracy: " in entry) != (name in WITHOUT_ACCURACY), name


def test_the_page_is_well_formed():
    text = PAGE.read_text(encoding="utf8")
    assert not re.search(r"(?<!\.)\.\.(?!\.)", re.sub(r"`[^`]*`", "", text))
    lines = text.splitlines()
    assert all(not lines[k - 1] and not lines[k + 1] for k, line in enumerate(lines) if line.startswith("## "))


EXPECTED = {
    "matmul": ("A @ B", ["dA = g @ B.T", "dB = A.T @ g"]),
    "logdet": ("logdet(A)", ["dA = g * inv(A).T"]),
    "cumsum": ("cumsum(x, axis=0)", ["dx = cumsum(g[::-1], axis=0)[::-1]"]),
    "assume": ("assume(x)", ["dx = g"]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_derivatives_are_what_differentiation_gives(name):
    assert cotangents(ROWS[name]) == EXPECTED[name]


def test_every_function_that_is_no_operator_says_what_it_does():
    found = functions()
    assert {"einsum", "diag", "tril", "linalg.slogdet", "random.fold_in"} <= set(found)
    assert all(re.fullmatch(r"[A-Z].{8,}[^.:]\.", sentence) for sentence in found.values()), found


INTERNAL = {"corner", "recompute"}  # stand in graphs only while these are compiled or differentiated


@pytest.mark.parametrize("name", sorted(name for name, row in ROWS.items() if row.differentiable and row.cases))
def test_what_is_printed_can_be_typed(name):
    found = cotangents(ROWS[name])
    assert found is not None
    call, equations = found
    called = set(re.findall(r"(?<![\w.])([A-Za-z_]\w*)\(", " ".join([call, *equations])))
    assert called <= {*sg.__all__, *sg.linalg.__all__, *INTERNAL}
