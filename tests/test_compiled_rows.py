"""Every row, compiled: values and gradients against the interpreter in float64 and against central differences.

All cases of one row that admit the same sizes are one compiled function of a symbolic `n`, called at every size. Second
derivatives are compared for the smooth rows.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
from row_cases import calls, draw

import symgrad as sg
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, symbol_node
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS, Case, Row, Sample
from symgrad.options import Options
from symgrad.shape import evaluate as size_value, names

# How far a compiled result may lie from the interpreter's, in units of the last place of the largest magnitude around:
# formulas of a few roundings, functions of a few ulp, sums of a few hundred terms.
ULPS = 300
STEP = {"float32": 0.0, "float64": 1e-6}  # of the central differences; float32 is too coarse for any
SIZE = symbol_node("size", (sg.dim("n"),), as_dtype("float32"))  # tells n where no operand does


@dataclass
class Bundle:
    """Cases of one row in one function: inputs with their samples, outputs, and what differentiates what."""

    row: Row
    float_dtype: str
    cases: list[tuple[int, Case]]
    inputs: list[tuple[Expr, Sample]] = field(default_factory=list)
    outputs: list[Expr] = field(default_factory=list)
    slopes: list[tuple[Expr, list[Expr], list[Expr]]] = field(default_factory=list)  # loss, variables, gradients

    def operand(self, name: str, sample: Sample) -> Expr:
        dtype = self.float_dtype if sample.dtype == "float" else sample.dtype
        node = symbol_node(name, sample.shape, as_dtype(dtype))
        self.inputs.append((node, sample))
        return node

    def add(self, number: int, case: Case, simplify: bool) -> None:
        operands = [self.operand(f"{x}{number}", s) for x, s in zip("abcd", case.operands, strict=False)]
        node = self.row(*operands, **case.attrs)
        self.outputs.append(node)
        floats = [x for x in operands if x.dtype.is_float]
        if not (floats and node.dtype.is_float and self.row.differentiable):
            return
        weight = self.operand(f"w{number}", Sample(node.shape, dtype="float"))
        loss = sg.sum(node * weight)
        gradients = sg.grad(loss, floats, simplify=simplify, disconnected="zero")
        self.outputs += gradients
        if self.row.name != "stop_gradient":
            self.slopes.append((loss, floats, gradients))
        if self.row.smooth:
            along = [self.operand(f"v{number}{k}", Sample(x.shape)) for k, x in enumerate(floats)]
            slope = sum(sg.sum(g * v) for g, v in zip(gradients, along, strict=True))
            self.outputs += sg.grad(slope, floats, simplify=simplify, disconnected="zero")


def sizes_of(case: Case) -> tuple[int, ...]:
    return case.sizes


def is_static(row: Row, case: Case) -> bool:
    dims = [s for sample in case.operands for s in sample.shape]
    return not any(names(s) for s in dims) and not any("n" in str(v) for v in case.attrs.values())


def bundles() -> list:
    by_row: dict[str, list[tuple[int, Case]]] = {}
    for call in calls():
        by_row.setdefault(call.row.name, []).append((call.number, call.case))
    found = []
    for name, cases in by_row.items():
        sizes = sorted({case.sizes for _, case in cases}, key=len, reverse=True)
        for own in sizes:
            part = [(k, case) for k, case in cases if case.sizes == own]
            for dtype in ("float32", "float64"):
                found.append(pytest.param(name, dtype, own, part, id=f"{name}-{dtype}-{len(own)}"))
    return found


def close(got: np.ndarray, want: np.ndarray, dtype: str, scale: float) -> None:
    """Compare with the tolerance above; infinities and NaN must stand at the same places."""
    assert got.shape == want.shape
    if got.dtype.kind != "f":
        assert np.array_equal(got, want)
        return
    tolerance = ULPS * np.finfo(got.dtype).eps * scale
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "dtype", "sizes", "cases"), bundles())
def test_compiled_rows(name, dtype, sizes, cases):
    bundle = Bundle(ROWS[name], dtype, cases)
    for number, case in cases:
        bundle.add(number, case, simplify=dtype == "float32")
    symbols = [x for x, _ in bundle.inputs]
    function = sg.function([SIZE, *symbols], bundle.outputs, options=Options(check=True))
    for n in sizes:
        rng = np.random.default_rng([n, 7])
        arrays = [np.asarray(draw(rng, sample, n), x.dtype.numpy) for x, sample in bundle.inputs]
        results = function(np.zeros(n, "float32"), *arrays)
        env = dict(zip(symbols, arrays, strict=True))
        expected = evaluate(bundle.outputs, {SIZE: np.zeros(n), **env})
        for got, want in zip(results, expected, strict=True):
            scale = max(1.0, float(np.max(np.abs(want), initial=0, where=np.isfinite(want))))
            close(np.asarray(got), np.asarray(want), dtype, scale)
        if dtype == "float64":
            check_slopes(bundle, env, dict(zip(bundle.outputs, results, strict=True)), n, rng)


def check_slopes(bundle, env, results, n, rng):
    """Compare compiled gradients with central differences of the interpreter along a random direction."""
    for loss, variables, gradients in bundle.slopes:
        direction = [rng.standard_normal(env[x].shape) for x in variables]

        def value(sign, loss=loss, variables=variables, direction=direction):
            moved = {x: env[x] + sign * 1e-6 * d for x, d in zip(variables, direction, strict=True)}
            return evaluate(loss, {sg.dim("n"): n, **env, **moved})

        terms = [results[g] * d for g, d in zip(gradients, direction, strict=True)]
        slope = sum(float(np.sum(t)) for t in terms)
        scale = 1 + abs(value(0)) + sum(float(np.sum(np.abs(t))) for t in terms)
        assert (value(1) - value(-1)) / 2e-6 == pytest.approx(slope, abs=1e-6 * scale)
