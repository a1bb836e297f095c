"""Launches that walk the same rows become one: what is joined, what is not, and that no bit changes."""

import numpy as np
import pytest

import symgrad as sg
from codegen.ir import Alloc, Space
from codegen.scratch import statements
from symgrad.options import Options

N, M = sg.dim("N"), sg.dim("M")
x = sg.symbol("x", (N, M))


def launches(function):
    return list(function.subject.compiled.kernels)


def norm(v, axis=-1):
    centred = v - sg.mean(v, axis=axis, keepdims=True)
    return centred / sg.sqrt(sg.mean(centred * centred, axis=axis, keepdims=True) + 1e-5)


CHAINS = {
    "softmax": sg.softmax(x),
    "log_softmax": sg.log_softmax(x),
    "layer norm": norm(x),
    "two of them": sg.softmax(norm(x) * 2),
    "a row and its sum": [sg.exp(x), sg.exp(x).sum(axis=1)],
    "cumulated": sg.softmax(x).cumsum(axis=1),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("columns", [0, 1, 10, 64, 65, 4097])
def test_rows_have_the_same_bits(name, columns):
    functions = [
        sg.function([x], CHAINS[name], options=o)
        for o in (Options(fuse=False), Options(check=True, poison=True), Options(threads=2))
    ]
    assert len(launches(functions[1])) < len(launches(functions[0]))
    for rows in (0, 1, 5):
        data = np.random.default_rng(0).standard_normal((rows, columns)).astype("float32")
        results = [f(data) if isinstance(CHAINS[name], list) else [f(data)] for f in functions]
        for other in results[1:]:
            assert [a.tobytes() for a in other] == [a.tobytes() for a in results[0]]


@pytest.mark.parametrize("columns", [10, 1000, M])
def test_softmax_is_one_launch(columns):
    z = sg.symbol("z", (N, columns))
    (name,) = launches(sg.function([z], sg.softmax(z)))
    assert name.startswith("rows_")


def test_the_loss_of_labels_is_one_launch_and_a_mean():
    z, y = sg.symbol("z", (N, 10)), sg.symbol("y", (N, 10))
    loss = -sg.mean(sg.sum(y * sg.log_softmax(z), axis=1))
    names = launches(sg.function([z, y], [loss, sg.grad(loss, z)]))
    assert [name.split("_")[0] for name in names].count("rows") == 1


def spaces(function):
    (kernel,) = function.subject.compiled.kernels.values()
    return {s.space for s in statements(kernel.body) if isinstance(s, Alloc) and s.name.startswith("row")}


def test_short_rows_stay_in_registers_and_long_ones_in_scratch():
    for columns, space in ((10, Space.REGISTER), (1000, Space.SCRATCH)):
        z = sg.symbol("z", (N, columns))
        assert space in spaces(sg.function([z], sg.softmax(z)))


def test_deeper_loops_are_shared():
    z = sg.symbol("z", (N, 3, 40))
    function = sg.function([z], sg.softmax(z), options=Options(check=True))
    assert "rows" in function.as_text()
    assert "for i1 in 0..3:" in function.as_text()
    data = np.random.default_rng(0).standard_normal((4, 3, 40)).astype("float32")
    np.testing.assert_array_equal(function(data), sg.function([z], sg.softmax(z), options=Options(fuse=False))(data))


OTHER_ROWS = {
    "reversed": lambda v: v + v[::-1],
    "shifted": lambda v: v[1:] - v[:-1],
    "transposed": lambda v: v.T @ v,
    "sorted": lambda v: sg.sort(v, axis=0) + v,
    "chosen": lambda v: v[sg.argsort(v[:, 0])] + v,
}


@pytest.mark.parametrize("name", OTHER_ROWS)
def test_what_reads_other_rows_waits_for_all_of_them(name):
    out = OTHER_ROWS[name](sg.softmax(x))
    data = np.random.default_rng(0).standard_normal((37, 11)).astype("float32")
    plain = sg.function([x], out, options=Options(fuse=False))(data)
    for threads in (1, 3):
        assert sg.function([x], out, options=Options(threads=threads, poison=True))(data).tobytes() == plain.tobytes()


def test_a_parameter_is_read_before_its_rows_are_renewed():
    start = np.random.default_rng(1).standard_normal((6, 5)).astype("float32")
    found = []
    for options in (Options(fuse=False), Options(), Options(threads=2, poison=True)):
        W = sg.parameter("W", start.shape)
        W.value = start
        new = sg.softmax(W)
        outputs = sg.function([], [W.sum(axis=1), W[::-1] * 2, sg.softmax(new)], updates={W: new}, options=options)()
        found.append([a.tobytes() for a in (*outputs, W.value)])
    assert found[0] == found[1] == found[2]
