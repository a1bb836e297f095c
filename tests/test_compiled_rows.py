"""Every row, compiled: values and gradients against the interpreter in float64 and against central differences.

All cases of one row that admit the same sizes are one compiled function of a symbolic `n`, called at every size. The
second derivatives of smooth rows are outputs, too. In float32 gradients are simplified, in float64 they are not.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
from row_cases import calls, draw

import symgrad as sg
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, symbol_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS, Case, Row, Sample
from symgrad.options import Options

# How far a compiled result may lie from the interpreter's, in units in the last place of the result's largest
# magnitude: some functions of a few ulp each, sums of some hundred terms.
ULPS = 300
STEP = 1e-6  # of central differences
N = sg.dim("n")
SIZE = symbol_node("size", (N,), as_dtype("float32"))  # tells n where no operand does


@dataclass
class Bundle:
    """Cases of one row in one function: inputs with their samples, outputs, and what differentiates what."""

    row: Row
    float_dtype: str
    inputs: dict[Expr, Sample] = field(default_factory=dict)
    outputs: list[Expr] = field(default_factory=list)
    slopes: list[tuple[Expr, list[Expr], list[Expr]]] = field(default_factory=list)  # loss, variables, gradients

    def symbol(self, name: str, sample: Sample) -> Expr:
        dtype = self.float_dtype if sample.dtype == "float" else sample.dtype
        node = symbol_node(name, sample.shape, as_dtype(dtype))
        self.inputs[node] = sample
        return node

    def add(self, number: int, case: Case) -> None:
        """Add a case: its value, and gradients of a sum in which every element counts differently."""
        operands = [self.symbol(f"{x}{number}", s) for x, s in zip("abcd", case.operands, strict=False)]
        node = self.row(*operands, **case.attrs)
        self.outputs.append(node)
        floats = [x for x in operands if x.dtype.is_float]
        if not (floats and node.dtype.is_float and self.row.differentiable):
            return
        loss = sg.sum(node * self.symbol(f"w{number}", Sample(node.shape)))
        gradients = self.gradients(loss, floats)
        if self.row.name != "stop_gradient":
            self.slopes.append((loss, floats, gradients))
        if self.row.smooth:
            along = [self.symbol(f"v{number}{k}", Sample(x.shape)) for k, x in enumerate(floats)]
            self.gradients(sum(sg.sum(g * v) for g, v in zip(gradients, along, strict=True)), floats)

    def gradients(self, loss: Expr, floats: list[Expr]) -> list[Expr]:
        found = sg.grad(loss, floats, simplify=self.float_dtype == "float32", disconnected="zero")
        self.outputs += found
        return found

    def draw(self, n: int) -> dict[Expr, np.ndarray]:
        rng = np.random.default_rng([n, 7])
        return {x: np.asarray(draw(rng, sample, n), x.dtype.numpy) for x, sample in self.inputs.items()}


def bundles() -> list:
    """Group the cases by row and by the sizes they admit."""
    found: dict[tuple[str, tuple[int, ...]], list[tuple[int, Case]]] = {}
    for call in calls():
        found.setdefault((call.row.name, call.case.sizes), []).append((call.number, call.case))
    return [
        pytest.param(name, dtype, sizes, cases, id=f"{name}-{dtype}-{','.join(map(str, sizes))}")
        for (name, sizes), cases in found.items()
        for dtype in ("float32", "float64")
    ]


@pytest.mark.parametrize(("name", "dtype", "sizes", "cases"), bundles())
def test_compiled_rows(name, dtype, sizes, cases):
    bundle = Bundle(ROWS[name], dtype)
    for number, case in cases:
        bundle.add(number, case)
    function = sg.function([SIZE, *bundle.inputs], bundle.outputs, options=Options(check=True))
    for n in sizes:
        env = bundle.draw(n)
        results = function(np.zeros(n, "float32"), *env.values())
        expected = evaluate(bundle.outputs, {N: n, **env})
        for node, got, want in zip(bundle.outputs, results, expected, strict=True):
            assert np.shape(got) == np.shape(want)
            assert got.dtype == node.dtype.numpy
            np.testing.assert_allclose(np.asarray(got, want.dtype), want, rtol=0, atol=tolerance(node, want))
        if dtype == "float64":
            check_slopes(bundle, env, dict(zip(bundle.outputs, results, strict=True)), n)


def tolerance(node: Expr, want: np.ndarray) -> float:
    """Give the allowed error: that of the narrowest float in which any part is computed."""
    if not node.dtype.is_float:
        return 0.0
    eps = max(float(np.finfo(n.dtype.numpy).eps) for n in topological([node]) if n.dtype.is_float)
    return ULPS * eps * max(1.0, float(np.max(np.abs(want), initial=0, where=np.isfinite(want))))


def check_slopes(bundle, env, results, n):
    """Compare compiled gradients with central differences of the interpreter along a random direction."""
    rng = np.random.default_rng(n)
    for loss, variables, gradients in bundle.slopes:
        direction = {x: rng.standard_normal(env[x].shape) for x in variables}

        def value(step, loss=loss, direction=direction):
            return evaluate(loss, {N: n, **env, **{x: env[x] + step * d for x, d in direction.items()}})

        terms = [results[g] * direction[x] for x, g in zip(variables, gradients, strict=True)]
        scale = 1 + abs(value(0)) + sum(float(np.sum(np.abs(t))) for t in terms)
        slope = sum(float(np.sum(t)) for t in terms)
        assert (value(STEP) - value(-STEP)) / (2 * STEP) == pytest.approx(slope, abs=1e-6 * scale)


def test_random_rows_have_the_bits_of_the_interpreter():
    shape = (N, 3)
    nodes = [op(7, shape, dtype=d) for op in (sg.random.uniform, sg.random.normal) for d in ("float32", "float64")]
    function = sg.function([SIZE], nodes)
    for n in (0, 1, 17, 1001):
        env = {SIZE: np.zeros(n, "float32")}
        results, expected = function(env[SIZE]), evaluate(nodes, env, dtype=None)
        for node, got, want in zip(nodes, results, expected, strict=True):
            if "uniform" in node.op:
                np.testing.assert_array_equal(got, want)
            np.testing.assert_allclose(got, want, rtol=4 * np.finfo(want.dtype).eps, atol=0)


def test_a_repeated_number_is_an_operand_of_products_and_gathers():
    x, i = symbol_node("x", (N, 3), as_dtype("float64")), symbol_node("i", (N,), as_dtype("int64"))
    number = lambda *shape: sg.full(shape, 0.5, "float64")  # noqa: E731
    size = sg.broadcast_to(N * sg.constant(1.0, "float64"), (4, N))
    nodes = [
        number(4, N) @ x, x @ number(3, 70), number(N, 4, 1) @ x[:, None, :], x[:, :, None] @ number(N, 1, 1), size @ x,
        sg.take(number(5, 3), i, axis=0),
    ]  # fmt: skip
    function = sg.function([x, i], nodes)
    for n in (1, 17, 64):
        env = {x: np.random.default_rng(n).standard_normal((n, 3)), i: np.arange(n) % 5}
        for got, want in zip(function(*env.values()), evaluate(nodes, env), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
