"""docs/operators.md says what the registry says."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
CODE = "import sys, symgrad; from symgrad.ops.document import page; sys.stdout.write(page())"


def test_the_reference_of_operators_is_current():
    """In a process of its own: other tests register operators."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
    hint = "run `python -m symgrad.ops.document` and read the difference"
    assert done.stdout == PAGE.read_text(encoding="utf8"), hint


WITHOUT_ACCURACY = {"assume", "checkpoint", "custom", "normal", "uniform"}  # wrappers, and numbers drawn at random


def test_every_operator_has_a_meaning_and_an_accuracy():
    text = PAGE.read_text(encoding="utf8")
    entries = re.findall(r"^- \*\*`(\w+)`\*\* (.*?)(?=^- |^#)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 130
    for name, entry in entries:
        assert entry.strip()
        assert ("Accuracy: " in entry) != (name in WITHOUT_ACCURACY), name
