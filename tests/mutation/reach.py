"""Which tests run which line, measured once, so that those that may notice a bug go first.

In: a tree, whose tests are run once under coverage.py, and a site. Out: the names of tests, the quickest first. It only
orders: a bug that these tests do not notice meets all the others, too.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from coverage import CoverageData

from mutation.sites import ROOT, Site

SETTINGS = "[run]\nsource = symgrad,codegen\ndynamic_context = test_function\nparallel = true\n"
WORTH = 120.0  # seconds of tests that go first
NAMES = 6  # of what a table holds


def measure(files: Iterable[Path], folder: Path, processes: int = 2) -> None:
    """Run files of tests under coverage.py; leave in `folder` what each test runs, and how long it takes."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings"
    settings.write_text(SETTINGS + f"data_file = {folder / 'data'}\n", encoding="utf8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    asked = [str(file) for file in files]
    running = []
    for k in range(processes):
        command = ["coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        part = [f"--junitxml={folder}/times-{k}.xml", *asked[k::processes]]
        running.append(subprocess.Popen([sys.executable, "-m", *command, *part], cwd=ROOT, env=environment))
    for process in running:
        process.wait()
    subprocess.run([sys.executable, "-m", "coverage", "combine", f"--rcfile={settings}"], cwd=ROOT, check=True)


class Reach:
    """What each test runs, as `measure` left it in a folder."""

    def __init__(self, folder: Path) -> None:
        self._data = CoverageData(str(folder / "data"))
        self._data.read()
        self._times = [ET.parse(path) for path in sorted(folder.glob("times-*.xml"))]

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Give the seconds that each test function takes, with all its parameters, by the name pytest knows it by."""
        total: dict[str, float] = defaultdict(float)
        for tree in self._times:
            for case in tree.iter("testcase"):
                if not case.get("classname"):
                    continue  # a file that was skipped as a whole
                path, _, group = re.sub(r"\.(?=[A-Z])", "::", case.get("classname", "")).partition("::")
                function = case.get("name", "").partition("[")[0]
                test = "::".join(filter(None, (path.replace(".", "/") + ".py", group, function)))
                total[test] += float(case.get("time", 0))
        return dict(total)

    @cached_property
    def _by_context(self) -> dict[str, str]:
        """Name tests as coverage.py does: by the last part of the module's name (or the class), and the function's."""
        parts = {test: test.split("::") for test in self.seconds}
        return {f"{Path(p[-2].removesuffix('.py')).stem}.{p[-1]}": test for test, p in parts.items()}

    def first(self, site: Site) -> list[str]:
        """List tests that run a site's line, the quickest first, as many as are worth running ahead of the others."""
        contexts = self._data.contexts_by_lineno(str(ROOT / site.file)).get(site.line, [])
        found = {".".join(c.rsplit(".", 2)[-2:]) for c in contexts}
        known = (self._by_context[c] for c in found if c in self._by_context)
        tests = sorted(filter(_is_there, known), key=self.seconds.__getitem__)
        chosen, spent = [], 0.0
        for test in tests:
            spent += self.seconds[test]
            if spent > WORTH:
                break
            chosen.append(test)
        return chosen


def _is_there(test: str) -> bool:
    """Tell whether a test still exists: a name that pytest does not find would end the run as a failure does."""
    path, *_, function = test.split("::")
    file = ROOT / path
    return file.exists() and f"def {function}(" in file.read_text(encoding="utf8")


def named_near(site: Site, text: str) -> str:
    """Give pytest's `-k` expression for tests that have the names of the table that a line stands in; or nothing."""
    for statement in ast.parse(text).body:
        if statement.lineno <= site.line <= (statement.end_lineno or 0):
            words = (n.value for n in ast.walk(statement) if isinstance(n, ast.Constant) and isinstance(n.value, str))
            names = dict.fromkeys(w for w in words if re.fullmatch(r"[a-z][a-z0-9_]{2,}", w))
            return " or ".join(list(names)[:NAMES])
    return ""
