"""The command line: what `symgrad bench` runs, and what it says where the benchmark is not there."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from symgrad import cli

ROOT = Path(__file__).resolve().parents[1]


def symgrad(*arguments, cwd, package=ROOT):
    command = [sys.executable, "-P", "-m", "symgrad", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_benchmark_runs_from_anywhere(tmp_path):
    """Also where a folder has its name; its files are written where one stands."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise SystemExit('this is another one')")
    done = symgrad("bench", "tiny", "--quick", "--repetitions=1", "--to=here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "## tiny" in done.stdout
    (rung,) = json.loads((tmp_path / "here" / "benchmark.json").read_text())["rungs"]
    assert {timing["who"] for timing in rung["cases"][0]["timings"]} >= {"symgrad", "NumPy"}


def test_arguments_and_the_exit_status_are_passed_on(tmp_path):
    done = symgrad("bench", "gem", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no rung 'gem'; there are tiny, logreg" in done.stderr
    assert "--repetitions" in symgrad("bench", "--help", cwd=tmp_path).stdout


def test_an_installed_package_says_where_the_benchmark_is(tmp_path):
    for package in ("symgrad", "codegen"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    done = symgrad("bench", "tiny", cwd=tmp_path, package=tmp_path)
    assert done.returncode == 2
    assert f"no benchmark lies beside this package, in {tmp_path}. It comes with the source and is not" in done.stderr


def test_the_benchmark_is_not_installed():
    """Nobody's site-packages should have a package of so common a name."""
    find = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["tool"]["setuptools"]["packages"]["find"]
    patterns = find["include"]
    assert any(fnmatch.fnmatch("symgrad.nn", pattern) for pattern in patterns)
    assert not any(fnmatch.fnmatch(name, pattern) for name in ("benchmarks", "benchmarks.ours") for pattern in patterns)


@pytest.mark.parametrize("given", [["mnist", "--rungs"], ["mnist", "--epochs=-1"], ["benchmark"], []])
def test_other_arguments_are_refused(given, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(given)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: symgrad")
