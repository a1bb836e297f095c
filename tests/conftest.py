"""Shared by all tests: golden files, the option that rewrites them, and a look at all code that any test emits."""

import os
import re
from pathlib import Path

import pytest

from codegen import jit

os.environ["SYMGRAD_CACHE"] = "off"  # code is compiled here, not found; inherited by every process that a test starts

GOLDEN = Path(__file__).parent / "golden"
collect_ignore_glob = ["browser/*"]  # what needs a browser is asked for by name


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/ anew, do not compare")


@pytest.fixture
def golden(request):
    """Compare a text with a file under tests/golden/; with --update-golden, write the file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n", encoding="utf8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden and read what it wrote"
        assert text + "\n" == path.read_text(encoding="utf8")

    return compare


# What would change bits from one context to the next (fast-math flags), hide a pointer from LLVM, or call libm.
FLAGS = r" (?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc) "
LIBM = r"@llvm\.(?:a?(?:sin|cos|tan)h?|atan2|exp|exp2|exp10|log|log2|log10|pow|powi|ldexp|frexp|fmuladd|sincos)\."
FORBIDDEN = re.compile(rf"{FLAGS}|\bptrtoint\b|\bfrem\b|{LIBM}")


def forbidden(text: str) -> str | None:
    """Give the first line of an LLVM module that has what no emitted module may have."""
    found = FORBIDDEN.search(text)
    return None if found is None else text[text.rfind("\n", 0, found.start()) + 1 : text.find("\n", found.end())]


@pytest.fixture(autouse=True, scope="session")
def _audit():
    """Read every module that goes to LLVM in the whole suite."""
    optimized = jit._optimized

    def audited(text, target):
        line = forbidden(text)
        assert line is None or "frem float %a, %b" in line, f"emitted code has {line!r}"  # a test of that refusal
        return optimized(text, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jit, "_optimized", audited)
        yield
