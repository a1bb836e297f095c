"""The stages of the pipeline as text: what a small network becomes, and how large its gradient may be."""

import pytest

import symgrad as sg
from codegen.group import MOST_WEIGHT
from codegen.machine import MACHINES, runnable
from codegen.text import print_kernel
from symgrad.expr import topological


def small_step():
    """A training step of a network whose sizes show every kind of kernel: panels, tails, folds, epilogues."""
    N = sg.dim("N")
    x, y = sg.symbol("x", (N, 20)), sg.symbol("y", (N,), "int32")
    W1, b1 = sg.parameter("W1", (20, 33), seed=1), sg.parameter("b1", (33,), "zeros")
    W2 = sg.parameter("W2", (33, 5), seed=2)
    loss = sg.losses.sparse_categorical_crossentropy(y, sg.relu(x @ W1 + b1) @ W2, from_logits=True)
    return [x, y], loss, sg.optim.RMSprop().updates(loss, [W1, b1, W2])


def test_loop_ir_of_a_training_step(golden):
    inputs, loss, updates = small_step()
    step = sg.function(inputs, loss, updates=updates, options=sg.Options(machine="avx2"))
    golden("training_step.ir", step.as_text())


def test_dump_names_what_each_stage_made(capsys, monkeypatch):
    monkeypatch.setenv("SYMGRAD_DUMP", "group,lower,emit")
    x = sg.symbol("x", (sg.dim("N"), 4))
    sg.function([x], sg.exp(x).sum())
    shown = capsys.readouterr().err
    assert "-- group --" in shown
    assert "kernel " in shown
    assert "define void" in shown
    assert "-- expand --" not in shown


def test_dump_lists_what_a_group_computes(capsys, monkeypatch):
    monkeypatch.setenv("SYMGRAD_DUMP", "group")
    x, W, b = sg.symbol("x", (sg.dim("N"), 4)), sg.symbol("W", (4, 3)), sg.symbol("b", (3,))
    sg.function([x, W, b], sg.relu(x @ W + b) * 2)
    assert "matmul: matmul, add, relu, multiply; stores 1" in capsys.readouterr().err


def test_dump_refuses_an_unknown_stage(monkeypatch):
    monkeypatch.setenv("SYMGRAD_DUMP", "grop")
    x = sg.symbol("x", ())
    with pytest.raises(ValueError, match="'group'"):
        sg.function([x], x + 1)


def count(*roots):
    return len(topological(roots))


def mlp(activation, depth):
    layers = [sg.layers.Dense(8, activation=activation, input_shape=(6,)) for _ in range(1)]
    layers += [sg.layers.Dense(8, activation=activation) for _ in range(depth - 1)]
    model = sg.Sequential([*layers, sg.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("depth", [1, 4])
def test_a_gradient_has_at_most_five_times_the_nodes_of_the_forward_graph(activation, depth):
    model = mlp(activation, depth)
    assert count(*model.gradients().values()) <= 5 * count(model.output)


def test_a_machine_row_that_the_host_cannot_run_is_refused():
    other = next(name for name, row in MACHINES.items() if row not in runnable())
    x = sg.symbol("x", ())
    with pytest.raises(sg.CompileError, match=f"cannot run code for '{other}'"):
        sg.function([x], x + 1, options=sg.Options(machine=other))


ALONG_ROWS = {
    "tanh": sg.tanh, "sum": lambda x: sg.sum(x, axis=1), "softmax": sg.softmax, "product": lambda x: x @ x.T,
    "cumsum": lambda x: sg.cumsum(x, axis=1), "sort": sg.sort, "argmax": lambda x: sg.argmax(x, axis=1),
    "convert": lambda x: x.astype("float64"), "take": lambda x: sg.take(x, [0, 1], axis=0), "step": lambda x: x[:, ::3],
}  # fmt: skip


@pytest.mark.parametrize("name", ALONG_ROWS)
def test_code_does_not_grow_with_a_fixed_extent(name):
    """A loop over a known number of elements stays a loop."""
    rows = [sg.symbol("x", (sg.dim("N"), size)) for size in (784, 65536)]
    few, many = (len(sg.function([x], ALONG_ROWS[name](x)).llvm_ir().splitlines()) for x in rows)
    assert many < 2500
    assert many < 3 * few


def test_a_kernel_has_a_bounded_size():
    """However long a chain of elementwise operators is: what compiles a kernel takes more than linear time."""
    e = x = sg.symbol("x", (sg.dim("N"),))
    for k in range(600):
        e = sg.maximum(e * x, k)
    kernels = sg.function([x], e).subject.compiled.kernels.values()
    assert max(len(print_kernel(k).splitlines()) for k in kernels) < 2 * MOST_WEIGHT
    assert 2 < len(kernels) < 40


TWICE = {  # what costs no more to compute than to load
    "positions": lambda x: sg.arange(5, dtype="float64"),
    "a converted input": lambda x: x.astype("float64"),
    "a step of rank 0": lambda x: sg.symbol("s", ()) * 3,
}


@pytest.mark.parametrize("name", TWICE)
def test_what_is_trivial_is_computed_wherever_it_is_read(name):
    x, s = sg.symbol("x", (sg.dim("N"), 5), dtype="float32"), sg.symbol("s", ())
    y = TWICE[name](x)
    steps = sg.function([x, s], [sg.sum(x * y, axis=1), sg.max(x + y + s, axis=0)]).subject.compiled.steps
    assert [step.kernel.name.split("_")[0] for step in steps] == ["fold", "chunk", "join"]
