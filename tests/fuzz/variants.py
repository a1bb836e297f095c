"""The ways to compile that must not change a bit, and what a graph must hold for one to matter.

In: a name. Out: `Options`. The 128-bit row with fused multiply-add stands in no machine table: it is AVX2's with half
the width, for hosts that have AVX2.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

import codegen.kernel
import codegen.pipeline
from codegen.machine import MACHINES, Machine, host, runnable
from codegen.program import encode
from symgrad.expr import Expr, topological
from symgrad.ops.row import row_of
from symgrad.ops.structure import Contraction
from symgrad.options import Options

NARROW = replace(MACHINES["avx2"], name="fma128", vector_bytes=16, tile=(4, 2))
BASE = Options(check=True)
PRODUCTS: dict[str, Options] = {  # what changes products of matrices only
    "tiles 4x32": Options(tiles=(4, 32)),
    "tiles 1x16": Options(tiles=(1, 16)),
    "packed": Options(packing=True),
    "not packed": Options(packing=False),
}
EVERYTHING: dict[str, Options] = {
    "unfused": Options(fuse=False, check=True),
    "unfused, packed": Options(fuse=False, packing=True),
}


def with_fma() -> list[Machine]:
    """List the other machine rows with fused multiply-add that this host can run."""
    own = host()
    rows = [row for row in runnable() if row.has_fma and row is not own]
    return [*rows, *([NARROW] if any(row.name == "avx2" for row in runnable()) else [])]


def named(name: str) -> Options:
    """Give the options of a variant."""
    return PRODUCTS.get(name) or EVERYTHING.get(name) or Options(machine=name)


def fitting(roots: Sequence[Expr]) -> list[str]:
    """List the variants that may compile these graphs otherwise."""
    has_products = any(isinstance(row_of(n).structure, Contraction) for n in topological(roots))
    general = ["unfused", *(["unfused, packed"] if has_products else [])]
    return [*general, *(PRODUCTS if has_products else ()), *(row.name for row in with_fma())]


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Let the narrow row be asked for, and the smallest launch be worth several threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MACHINES, NARROW.name, NARROW)
        patch.setattr(codegen.pipeline, "runnable", lambda: (*runnable(), NARROW))
        patch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))
        yield
