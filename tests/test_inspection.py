"""What a compiled function says of itself: labels, costs, memory, time; and that the numbers are true."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from row_cases import calls

import symgrad as sg
from codegen.kernel import bind
from codegen.machine import host
from codegen.memory import aligned
from codegen.peak import multiply_adds, peak_flops
from codegen.verify import verify
from symgrad.dtypes import FLOAT32
from symgrad.errors import IndexRangeError, ShapeError
from symgrad.inspection.costs import CostAnalysis
from symgrad.shape import dim, evaluate

N = sg.dim("N")


def small_step(**options):
    """A training step: two layers, softmax over integer labels, RMSprop."""
    x, y = sg.symbol("X", (N, 20)), sg.symbol("y", (N,), "int32")
    W1, b1 = sg.parameter("W1", (20, 33), seed=1), sg.parameter("b1", (33,), "zeros")
    W2 = sg.parameter("W2", (33, 5), seed=2)
    loss = sg.losses.sparse_categorical_crossentropy(y, sg.relu(x @ W1 + b1) @ W2, from_logits=True)
    updates = sg.optim.RMSprop().updates(loss, [W1, b1, W2])
    return sg.function(
        [x, y], {"loss": loss}, updates=updates, name="step", options=sg.Options(machine="avx2", **options)
    )


looked_at = functools.cache(small_step)  # shared by the tests that never call it


def batch(n=128):
    draw = np.random.default_rng(3)
    return draw.normal(size=(n, 20)).astype(np.float32), draw.integers(0, 5, n).astype(np.int32)


def values(f):
    return {id(p): p.value for p in f.subject.compiled.parameters}


def same(before, after):
    return all(np.array_equal(before[key], after[key]) for key in before)


# -- labels ----------------------------------------------------------------------------------------------------------


def test_every_launch_says_what_it_computes():
    f = looked_at()
    listing = f.as_text()
    head = listing.split("\n\n")[0]
    for line in ("Z1 = X @ W1 + b1", "H = relu(Z1)", "check -5 <= y < 5", "W1 <- W1 - lr * dW1 / sqrt(V + eps)"):
        assert line in head
    for text, sign in ((listing, "#"), (f.llvm_ir(), ";"), (f.assembly(), "#")):
        assert f"\n{sign} H = relu(Z1)\n" in text
        assert f"\n{sign} V <- rho * V + (1 - rho) * dW1**2\n" in text


@pytest.mark.parametrize("fuse", [True, False])
def test_labels_mention_only_what_some_label_defines(fuse):
    f = looked_at(fuse=fuse)
    lines = [line for launch in f._labels.launches for line in launch]
    assert all(f._labels.launches)
    defined = {"X", "y", "N", *f._labels.names.values(), *(line.split()[0] for line in lines)}
    for line in lines:
        words = set(re.findall(r"(?<!\.)\b[A-Za-z_]\w*\b(?![(=])", line))
        assert words <= defined | {"check", "parts", "of", "None", "int64", "bool", "float32"}, line


def test_a_kernel_of_two_launches_names_both():
    x, y = sg.symbol("x", (N, 3)), sg.symbol("y", (N, 3))
    f = sg.function([x, y], {"a": sg.cumsum(x, axis=0), "b": sg.cumsum(y, axis=0)})
    assert len({s.kernel.name for s in f.subject.compiled.steps}) == 1
    for text, sign in ((f.as_text(), "#"), (f.llvm_ir(), ";"), (f.assembly(), "#")):
        assert f"{sign} a = cumsum(x, axis=0)\n{sign} b = cumsum(y, axis=0)\n" in text


def test_names_of_the_user_go_first():
    x = sg.symbol("x", (N, 4))
    hidden = sg.tanh(x * 2).named("hidden")
    f = sg.function([x], {"total": (hidden * hidden).sum(), "hidden_too": hidden})
    text = f.as_text()
    assert "hidden = tanh(2 * x)" in text
    assert "total = " in text


def test_values_that_cannot_be_written_in_place_have_names():
    a, b = sg.parameter("a", (3,), "zeros"), sg.parameter("b", (3,), "zeros")
    f = sg.function([], a.sum(), updates={a: b + 1, b: a + 1})
    assert [line for launch in f._labels.launches for line in launch] == [
        "out = sum(a)", "b_new = a + 1", "a <- b + 1", "b <- b_new",
    ]  # fmt: skip


UPDATES = {  # what is output and what becomes of a, from a and b -> lines
    "in place": (lambda a, b: (a.sum(), a * 2), ["a <- 2 * a", "out = sum(a)"]),
    "stopped": (lambda a, b: (a.sum(), sg.stop_gradient(a * 2)), ["a <- stop_gradient(2 * a)", "out = sum(a)"]),
    "output too": (lambda a, b: (a * 2, a * 2), ["a <- out", "out = 2 * a"]),
    "given": (lambda a, b: (a.sum(), b), ["a <- b", "out = sum(a)"]),
    "output of the new one": (lambda a, b: (sg.exp(a * 2), a * 2), ["a <- 2 * a", "out = exp(a)"]),
    "both in one line": (
        lambda a, b: (a / (a * 2).sum(), a * 2), ["a <- a_new", "a_new = 2 * a", "out = a / t1", "t1 = sum(a_new)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UPDATES)
def test_lines_of_updates(case):
    build, want = UPDATES[case]
    a, b = sg.parameter("a", (3,), "ones"), sg.parameter("b", (3,), "ones")
    out, new = build(a, b)
    f = sg.function([], out, updates={a: new})
    trace = f.trace()
    assert sorted({line for launch in f._labels.launches for line in launch}) == want
    assert sorted(value.line for value in trace) == want
    f()
    np.testing.assert_array_equal(trace["a"].value, a.value)


def test_outputs_that_are_given_are_named():
    x = sg.symbol("x", (3,))
    f = sg.function([x], [x, sg.constant(2.0), x + 1])
    lines = {line for launch in f._labels.launches for line in launch}
    assert lines == {"out1 = x", "out2 = 2", "out3 = x + 1"}


def test_labels_are_linear_in_the_size_of_the_graph():
    x = sg.symbol("x", (4,))
    y = x
    for _ in range(1000):
        y = sg.sin(y) + x
    f = sg.function([x], y)
    assert len(f.as_text()) < 200 * 1000


FIRST_CASES = {call.row.name: call for call in reversed(calls())}


@pytest.mark.parametrize("name", FIRST_CASES)
def test_every_row_can_be_looked_at(name):
    call = FIRST_CASES[name]
    given, sizes = call.operands, {"n": 3, "m": 3}
    known = {str(size) for node in given for size in node.shape}
    used = {str(size) for size in call.node.shape} | {str(size) for size in call.case.attrs.values()}
    if not used & {"n", "m"} <= known:
        given = [*given, sg.symbol("sizes", (sg.dim("n"), sg.dim("m")))]
    f = sg.function(given, call.node)
    own = {size: sizes[size] for size in sizes if any(size in map(str, node.shape) for node in given)}
    arrays = [a.astype(node.dtype.numpy) for a, node in zip([*call.draw(3), np.zeros((3, 3))], given, strict=False)]
    assert all(f._labels.launches)
    assert str(f.cost_analysis().at(**own))
    assert f.memory_analysis(**own).arena == bind(f.executable, own).arena.nbytes
    np.testing.assert_array_equal(f.trace(*arrays)["out"].value, f(*arrays))


# -- cost ------------------------------------------------------------------------------------------------------------


def test_cost_of_a_training_step(golden):
    cost = looked_at().cost_analysis()
    golden("step.cost", f"{cost}\n\n{cost.at(N=128)}")


def test_costs_add_up_and_are_polynomials():
    cost = looked_at().cost_analysis()
    assert sum(k.flops for k in cost.kernels) == cost.flops == cost["flops"]
    assert evaluate(cost.flops, {"N": 64}) == cost.at(N=64).flops
    assert cost["bytes accessed"] == cost.bytes_read + cost.bytes_written
    assert set(cost) >= {"flops", "transcendentals", "bytes accessed"}
    assert cost.dims == ("N",)
    assert cost.intensity is None
    bound = cost.at(N=128)
    assert bound.dims == ()
    assert bound.intensity == bound.flops / bound.bytes_accessed
    with pytest.raises(ShapeError, match="N"):
        cost.at(M=3)


def scattered():
    """Give a gradient that is sums of rows of `u`, and no other arithmetic."""
    table, u, k = sg.symbol("table", (9, 4)), sg.symbol("u", (N, 4)), sg.symbol("k", (N,), "int64")
    return sg.grad(sg.sum(table[k] * u), table)


x, m, s = sg.symbol("x", (N, 8)), sg.symbol("m", (8, 8)), sg.symbol("s", (8, 3))
COSTS = {  # expression -> FLOPs, functions
    "product": (x @ m, 2 * 64 * N, 0),
    "bias": (x @ m + 1, 2 * 64 * N + 8 * N, 0),
    "exp": (sg.exp(x), 0, 8 * N),
    "square": (x**2, 8 * N, 0),
    "cube": (x**3, 16 * N, 0),
    "power": (x**2.5, 0, 8 * N),
    "mask": (sg.where(x > 0, x, 0.0), 16 * N, 0),
    "sum": (x.sum(axis=1), 8 * N, 0),
    "copy": (x.T, 0, 0),
    "cast": (x.astype("float64"), 0, 0),
    "integers": (sg.symbol("k", (N,), "int32") * 2, 0, 0),
    "cumsum": (sg.cumsum(x, axis=0), 8 * N, 0),
    "sort": (sg.argsort(x, axis=1), 0, 0),
    "cholesky": (sg.linalg.cholesky(m), 8 * 9 * 17 // 6, 0),
    "solve": (sg.linalg.solve(m, s), 28 + 2 * 140 + 3 * (128 - 8), 0),
    "scatter": (scattered(), 4 * N, 0),
    "outer": (x[:, 0][:, None] * m[0], 8 * N, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_what_counts_as_a_flop(name):
    expr, flops, functions = COSTS[name]
    f = sg.function([n for n in expr.free_symbols if n.op == "symbol"] or [x], expr)
    cost = f.cost_analysis()
    assert (cost.flops, cost.transcendentals) == (flops, functions)


def test_a_fill_computes_nothing():
    expr = scattered()
    f = sg.function([n for n in expr.free_symbols if n.op == "symbol"], {"dtable": expr})
    fill, scatter = f.cost_analysis().kernels[-2:]
    assert (fill.flops, scatter.flops) == (0, 4 * N)
    assert fill.label == tuple(f"parts of {line}" for line in scatter.label)


def test_elimination_is_counted_operation_by_operation():
    n, count = 8, 0
    for k in range(n):
        count += (n - k - 1) + 2 * (n - k - 1) ** 2
    assert count == 28 + 2 * 140


def test_bytes_of_a_gather_are_those_of_the_rows():
    table, k = sg.symbol("table", (1000, 16)), sg.symbol("k", (N,), "int64")
    cost = sg.function([table, k], table[k]).cost_analysis().kernels[-1]
    assert (cost.bytes_read, cost.bytes_written) == (64 * N + 8 * N, 64 * N)


def test_costs_do_not_depend_on_fusion():
    fused, unfused = looked_at().cost_analysis(), looked_at(fuse=False).cost_analysis()
    assert evaluate(fused.bytes_accessed, {"N": 128}) < evaluate(unfused.bytes_accessed, {"N": 128})
    assert fused.flops - unfused.flops in range(-9, 10)  # rank-0 parts are computed again where that is cheaper
    assert fused.transcendentals == unfused.transcendentals


def test_dimensions_keep_their_users_names():
    i0 = sg.dim("i0")
    f = sg.function([sg.symbol("x", (i0, 3))], sg.symbol("x", (i0, 3)) * 2)
    assert f.cost_analysis().flops == 3 * dim("i0")
    assert f.memory_analysis(i0=5).outputs[0].shape == (5, 3)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_memory_of_a_training_step(golden):
    golden("step.memory", str(looked_at().memory_analysis(N=128)))


@pytest.mark.parametrize("n", [0, 1, 7, 128, 5000])
@pytest.mark.parametrize("fuse", [True, False])
def test_the_arena_is_what_a_run_allocates(n, fuse):
    f = looked_at(fuse=fuse)
    memory, bound = f.memory_analysis(N=n), bind(f.executable, {"N": n})
    assert memory.arena == bound.arena.nbytes
    assert memory.peak <= memory.arena
    assert memory.padding == sum(aligned(t.bytes) - t.bytes for t in memory.temporaries)
    for k, one in enumerate(memory.temporaries):
        assert 1 <= one.first <= one.last <= memory.launches
        assert one.offset % 64 == 0
        assert one.offset + one.bytes <= memory.arena
        for other in memory.temporaries[:k]:
            if one.first <= other.last and other.first <= one.last and one.bytes and other.bytes:
                assert one.offset + one.bytes <= other.offset or other.offset + other.bytes <= one.offset


def test_memory_counts_every_array():
    memory = looked_at().memory_analysis(N=128)
    assert [(m.name, m.shape, m.bytes) for m in memory.inputs] == [("X", (128, 20), 10240), ("y", (128,), 512)]
    assert {m.name: m.bytes for m in memory.outputs} == {"loss": 4}
    assert {m.name for m in memory.parameters} >= {"W1", "b1", "W2", "lr", "rho"}
    flat = [*memory.parameters, *memory.constants, *memory.inputs, *memory.outputs]
    assert memory.total == sum(m.bytes for m in flat) + memory.arena


def test_memory_refuses_dimensions_that_do_not_fit():
    f = looked_at()
    with pytest.raises(TypeError, match="no dimension 'M'. Valid: N"):
        f.memory_analysis(M=3)
    with pytest.raises(ShapeError, match="N"):
        f.memory_analysis()
    x = sg.symbol("x", (N,))
    with pytest.raises(ShapeError, match="no element is left"):
        sg.function([x], x[3:]).memory_analysis(N=2)
    for ask in (f.memory_analysis, f.cost_analysis().at):
        with pytest.raises(ShapeError, match="dimension N is 0 or more"):
            ask(N=-2)


# -- profile ---------------------------------------------------------------------------------------------------------


def test_profile_times_every_launch_and_changes_nothing():
    f, arrays = small_step(), batch()
    before = values(f)
    profile = f.profile(*arrays, repeat=3)
    assert same(before, values(f))
    assert sorted(one.launch for one in profile) == list(range(1, len(f.subject.compiled.steps) + 1))
    assert [one.seconds for one in profile] == sorted((one.seconds for one in profile), reverse=True)
    assert 0 < profile.call
    assert profile.total == sum(one.seconds for one in profile)
    assert abs(sum(one.share for one in profile) - 1) < 1e-9
    assert profile[0].label == f.cost_analysis().kernels[profile[0].launch - 1].label
    assert "Z1 = X @ W1 + b1" in str(profile)
    assert "<table>" in profile._repr_html_()
    f(*arrays)
    assert not same(before, values(f))


def test_profile_raises_what_a_call_raises():
    f, (x, y) = small_step(), batch()
    before = values(f)
    for ask in (f, f.profile, f.trace):
        with pytest.raises(IndexRangeError, match=r"y\[3\] = 77"):
            ask(x, np.where(np.arange(128) == 3, 77, y))
        with pytest.raises(ShapeError):
            ask(x, y[1:])
    with pytest.raises(ValueError, match="repeat"):
        f.profile(x, y, repeat=0)
    assert same(before, values(f))


def test_the_peak_is_measured_by_a_kernel_that_verifies():
    verify(multiply_adds(FLOAT32, 16, 4))
    alone = peak_flops(FLOAT32, host(), 1)
    assert 1e8 < alone < 1e13
    assert peak_flops(FLOAT32, host(), 2) >= alone
    assert peak_flops(FLOAT32, host(), 1) == alone  # once per process


# -- the rest --------------------------------------------------------------------------------------------------------


def test_reports_are_shown_in_notebooks():
    f = looked_at()
    for report in (f.cost_analysis(), f.cost_analysis().at(N=3), f.memory_analysis(N=3)):
        html = report._repr_html_()
        assert html.count("<table>") == html.count("</table>") >= 1
        assert "&lt;-" in html or "temporaries" in html
        assert repr(report).startswith(f"<{type(report).__name__} step")


def test_a_model_shows_its_training_step():
    model = sg.Sequential([
        sg.layers.Dense(3, activation="relu", input_shape=(4,)), sg.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    step = model.train_function()
    assert isinstance(step.cost_analysis(), CostAnalysis)
    assert "H = relu(Z1)" in step.as_text()
    draw = np.random.default_rng(1)
    X, Y = draw.normal(size=(6, 4)), np.eye(2)[[0, 1, 1, 0, 0, 1]]
    twin = [w.copy() for w in model.get_weights()]
    said = step(X, Y)
    moved = model.get_weights()
    model.set_weights(twin)
    assert model.train_on_batch(X, Y) == pytest.approx([said["loss"], said["accuracy"]])
    for a, b in zip(moved, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


TEXTS = """
import sys; sys.path.insert(0, "tests")
from test_inspection import batch, small_step
f = small_step()
print(f.as_text(), f.cost_analysis(), f.memory_analysis(N=9), f.trace(*batch(9)))
"""


def test_texts_do_not_depend_on_the_hash_seed():
    texts = {
        subprocess.run(
            [sys.executable, "-c", TEXTS], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
            text=True, check=True, cwd=Path(__file__).parents[1],
        ).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(texts) == 1
