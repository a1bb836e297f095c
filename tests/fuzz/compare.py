"""Compare one random program's compiled results with the interpreter's, and with those of other ways to compile it."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator, Sequence

import numpy as np

import codegen.kernel
import symgrad as sg
from codegen.machine import runnable
from codegen.program import encode
from fuzz.generate import SIZES, Program
from symgrad.errors import SymgradError
from symgrad.interpreter import evaluate
from symgrad.options import Options

Arrays = list[np.ndarray]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
ROUNDINGS = {"float32": 2000, "float64": 1_000_000}  # units in the last place of the largest result that may be lost
NOISE = 50  # how many times the error of NumPy's float32 a float32 result may have

BASE = Options(check=True)
VARIANTS: dict[str, Options] = {
    "unfused": Options(fuse=False, check=True),
    "tiles 4x32": Options(tiles=(4, 32)),
    "tiles 1x16": Options(tiles=(1, 16)),
    "packed": Options(packing=True),
    "not packed": Options(packing=False),
}


def has_avx512() -> bool:
    return "avx512" in {row.name for row in runnable()}


class MismatchError(AssertionError):
    """A difference, with the program that shows it."""


def use_every_thread(monkeypatch) -> None:
    """Let the smallest launch be worth several threads."""
    monkeypatch.setattr(codegen.kernel, "encode", functools.partial(encode, grain=1))


def dims_for(program: Program, rng: np.random.Generator) -> Iterator[dict[str, int]]:
    for _ in range(2):
        yield {"N": int(rng.choice(SIZES)), "M": int(rng.choice(SIZES))}


def results_of(function, program: Program, arrays: Arrays, start: dict) -> Arrays | str:
    """Call the function from the given parameter values; give outputs and new parameter values, or the error's name."""
    for parameter, value in start.items():
        parameter.value = value
    try:
        outputs = [np.asarray(o) for o in function(*arrays)]
    except SymgradError as error:
        if any((p.value != v).any() for p, v in start.items()):
            raise MismatchError("an error changed a parameter") from error
        return type(error).__name__
    return [*outputs, *(p.value for p, _ in program.renewed())]


def compile_(program: Program, options: Options):
    return sg.function([i.node for i in program.inputs], program.nodes(), updates=program.renewed(), options=options)


def check(program: Program, variants: Sequence[str], seed: int = 0) -> None:
    """Raise MismatchError, which shows the program, if anything differs."""
    try:
        _check(program, variants, seed)
    except Exception as error:
        raise MismatchError(f"{type(error).__name__}: {error}\n\n{program}\n\n{traceback.format_exc()}") from None


def _check(program: Program, variants: Sequence[str], seed: int) -> None:
    rng = np.random.default_rng([program.seed, seed])
    roots = [*program.nodes(), *(v for _, v in program.renewed())]
    start = {p: p.value for p, _ in program.renewed()}
    compiled = compile_(program, BASE)
    others = {name: compile_(program, VARIANTS.get(name) or Options(machine=name)) for name in variants}
    for dims in dims_for(program, rng):
        arrays = [i.draw(rng, dims) for i in program.inputs]
        got = results_of(compiled, program, arrays, start)
        _against_interpreter(program, roots, arrays, got, start, dims)
        for threads in (1, 3):
            compiled._threads = threads
            _same(got, results_of(compiled, program, arrays, start), f"{threads} threads, {dims}")
        for name, other in others.items():
            _same(got, results_of(other, program, arrays, start), f"{name}, {dims}")
    for parameter, value in start.items():
        parameter.value = value


def _same(got: Arrays | str, other: Arrays | str, what: str) -> None:
    if isinstance(got, str) or isinstance(other, str):
        assert got == other, f"{what}: {got} and {other}"
        return
    for k, (a, b) in enumerate(zip(got, other, strict=True)):
        if a.tobytes() != b.tobytes():
            equal = (a == b) | ((a != a) & (b != b))
            signs = np.signbit(a) == np.signbit(b) if a.dtype.kind == "f" else equal
            if not (equal & (signs | (a != a))).all():
                raise MismatchError(f"{what}: result {k} has other bits: {a[~equal][:5]} and {b[~equal][:5]}")


def _against_interpreter(program, roots, arrays, got, start, dims) -> None:
    for parameter, value in start.items():
        parameter.value = value
    env = {i.node: a for i, a in zip(program.inputs, arrays, strict=True)}
    try:
        want = evaluate(roots, env)
        plain = evaluate(roots, env, dtype=None)
    except SymgradError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert got == type(refusal).__name__, f"{dims}: the interpreter says {refusal!r}, compiled {got}"
        return
    assert not isinstance(got, str), f"{dims}: compiled raises {got}"
    for k, (node, g, w, p) in enumerate(zip(roots, got, want, plain, strict=True)):
        assert (g.dtype, g.shape) == (node.dtype.numpy, np.shape(w)), f"{dims}: result {k}: {g.dtype}{g.shape}"
        if not node.dtype.is_float:
            assert np.array_equal(g, w), f"{dims}: result {k}: {g} instead of {w}"
            continue
        finite = np.isfinite(w)
        assert np.array_equal(np.isfinite(g), finite), f"{dims}: result {k}: {g} instead of {w}"
        scale = max(1.0, float(np.max(np.abs(w), initial=0, where=finite)))
        noise = _distance(p, w, finite & np.isfinite(p))
        bound = ROUNDINGS[node.dtype] * EPS[node.dtype] * scale + (NOISE * noise if node.dtype == "float32" else 0)
        error = _distance(g, w, finite)
        assert error <= bound, f"{dims}: result {k} ({program.outputs[k:k + 1]}) is off by {error}, allowed {bound}"


def _distance(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.max(np.abs(np.where(where, a, 0.0) - np.where(where, b, 0.0)), initial=0))
