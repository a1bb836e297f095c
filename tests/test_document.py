"""docs/operators.md says what the registry says."""

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
