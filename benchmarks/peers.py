"""Which frameworks are there: a module of ours for each, imported only where the framework is installed.

Each module has `WHO` and the functions `train`, `chain`, `softmax` and `product`, which give contenders.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from types import ModuleType

MODULES = {
    "numpy": "benchmarks.by_hand",
    "torch": "benchmarks.with_torch",
    "jax": "benchmarks.with_jax",
}


def installed() -> list[ModuleType]:
    """Import the modules of the frameworks that are there."""
    return [importlib.import_module(ours) for name, ours in MODULES.items() if _is_there(name)]


def missing() -> list[str]:
    """Name the frameworks that are not there."""
    return [name for name in MODULES if not _is_there(name)]


def versions() -> dict[str, str]:
    """Give the versions of what is compared."""
    names = ("symgrad", "llvmlite", *(name for name in MODULES if _is_there(name)))
    return {name: _version(name) for name in names}


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "from the working directory"
