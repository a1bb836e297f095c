"""Shared by all tests: golden files, and the option that rewrites them."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


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
