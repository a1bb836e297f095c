"""Graphs as JSON: there and back, and what is refused."""

import base64
import copy
import json
import subprocess
import sys

import numpy as np
import pytest

import symgrad.ops as sg
from symgrad import side
from symgrad.dtypes import FLOAT32, INT64
from symgrad.errors import FormatError
from symgrad.expr import Parameter, parameter_node, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.serial import from_data, to_data
from symgrad.shape import dim

N = dim("N")


def through_json(exprs, **options):
    return from_data(json.loads(json.dumps(to_data(exprs, **options), allow_nan=False)))


def graphs():
    x, y = sg.symbol("x", (N, 4), facts={"finite"}), sg.symbol("y", (N,), "int32")
    z = x @ np.arange(12, dtype="float32").reshape(4, 3)
    yield x
    yield sg.log_softmax(z)[sg.arange(N), y].mean()
    yield (x[1:, ::-2] * 0.1 + N).reshape(-1, 1, 2).T
    yield sg.concatenate([x, -x], axis=1).argmax(axis=1).astype("uint8")
    yield sg.where(x > 0, x, -0.0).sum(axis=0, keepdims=True) / N
    yield sg.random.normal(3, (N // 2 + 1, 5), dtype="float64") + sg.constant(np.nan, "float64")
    yield sg.one_hot(y, 4) * np.inf
    yield sg.constant(-(2**63)) + sg.constant([[1, 2]], "int64")


@pytest.mark.parametrize("graph", list(graphs()), ids=lambda graph: graph.op)
def test_graphs_come_back_as_the_same_nodes(graph):
    assert through_json([graph])[0] is graph


def test_every_row_comes_back():
    for row in ROWS.values():
        for case in row.cases:
            operands = [
                sg.symbol(f"x{i}", sample.shape, "float32" if sample.dtype == "float" else sample.dtype)
                for i, sample in enumerate(case.operands)
            ]
            node = row(*operands, **case.attrs)
            assert through_json([node])[0] is node


def test_shared_nodes_and_several_roots():
    x = sg.symbol("x", (3,))
    e = sg.exp(x)
    data = to_data([e * e, e, x, e])
    assert len(data["nodes"]) == 3
    roots = from_data(data)
    assert all(a is b for a, b in zip(roots, [e * e, e, x, e], strict=True))
    assert from_data(to_data([])) == []


def test_parameters_come_back_as_new_ones():
    w = parameter_node("dense/kernel", np.float32([[1, 2], [3, -0.0]]), FLOAT32, trainable=False)
    counter = parameter_node("step", np.array(2**60), INT64)
    (first, second), (third, _) = (through_json([w * 2 + w, counter]) for _ in range(2))
    again = first.free_symbols[0]
    assert isinstance(again, Parameter)
    assert again is not w
    assert again is not third.free_symbols[0]
    assert (again.name, again.trainable, again.dtype) == ("dense/kernel", False, "float32")
    assert again.value.tobytes() == w.value.tobytes()
    assert int(second.value) == 2**60
    assert len(first.free_symbols) == 1, "one parameter used twice stays one"
    np.testing.assert_array_equal(evaluate(first), 3 * w.value)
    (empty, _) = through_json([w, counter], values=False)
    np.testing.assert_array_equal(empty.value, np.zeros((2, 2)))


def test_names_travel():
    h = sg.relu(sg.symbol("travelling", (N, 2))).named("H")
    data = to_data([h])
    side.set_name(h, "other")
    assert side.name_of(from_data(data)[0]) == "H"


def test_another_process_reads_the_same_digests():
    graph = list(graphs())[1]
    code = (
        "import json, sys, symgrad.ops, symgrad.serial as s; print(s.from_data(json.load(sys.stdin))[0].digest.hex())"
    )
    text = json.dumps(to_data([graph]))
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == graph.digest.hex()


def test_ten_thousand_nodes():
    node = sg.symbol("x", (2,))
    for _ in range(10_000):
        node = sg.sin(node)
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(200)
        assert from_data(to_data([node]))[0] is node
    finally:
        sys.setrecursionlimit(limit)


# -- corrupt data -------------------------------------------------------------------------------------------------

X = sg.symbol("x", (N, 4))
WEIGHTS = parameter_node("w", np.ones((4, 2)), FLOAT32)
GOOD = to_data([(X @ WEIGHTS + np.float32([1, 2])).sum(axis=1)[1:] * 2])
POSITIONS = {entry["op"]: position for position, entry in enumerate(GOOD["nodes"])}


def entry(data, op):
    return data["nodes"][POSITIONS[op]]


def change(node, /, **items):
    return lambda data: entry(data, node).update(items)


def change_attr(node, /, **items):
    return lambda data: entry(data, node)["attrs"].update(items)


CORRUPTIONS = {
    "format": lambda data: data.update(format="pickle"),
    "version": lambda data: data.update(version=2),
    "no nodes": lambda data: data.pop("nodes"),
    "nodes is a number": lambda data: data.update(nodes=3),
    "root outside": lambda data: data.update(roots=[99]),
    "root negative": lambda data: data.update(roots=[-1]),
    "unknown operator": change("matmul", op="matmull"),
    "forward reference": change("matmul", args=[0, 99]),
    "itself": change("matmul", args=[0, POSITIONS["matmul"]]),
    "missing operand": change("matmul", args=[0]),
    "operands swapped": lambda data: entry(data, "matmul")["args"].reverse(),
    "wrong type": change("sum", type=["float32", [3]]),
    "wrong dtype": change("sum", type=["float64", [[[1, [["N", 1]]]]]]),
    "unknown dtype": change("sum", type=["float31", []]),
    "type is text": change("sum", type="float32"),
    "size is text": change("sum", type=["float32", ["N"]]),
    "missing attribute": lambda data: entry(data, "sum")["attrs"].pop("axes"),
    "wrong attribute": change_attr("sum", axes={"tuple": [7]}),
    "float attribute": change_attr("sum", axes=0.5),
    "unknown tag": change_attr("sum", axes={"list": [1]}),
    "slice outside": change_attr("slice", starts={"tuple": [-3]}),
    "bits of another dtype": change_attr("constant", bits=2**40),
    "bits is a bool": change_attr("constant", bits=True),
    "no base64": change("buffer", values="!!!!"),
    "too short": change("buffer", values=base64.b64encode(b"1234").decode()),
    "no contents": lambda data: entry(data, "buffer").pop("values"),
    "symbolic parameter": change("parameter", type=["float32", [[[1, [["N", 1]]]], 2]]),
    "parameter name": change_attr("parameter", name="a b"),
    "trainable": change_attr("parameter", trainable="yes"),
    "symbol name": change_attr("symbol", name=3),
    "symbol fact": change_attr("symbol", facts={"tuple": ["flat"]}),
    "symbol size": change("symbol", type=["float32", [-1]]),
    "label": change("sum", label="a b"),
}


@pytest.mark.parametrize("corrupt", list(CORRUPTIONS.values()), ids=list(CORRUPTIONS))
def test_corrupt_data_is_refused(corrupt):
    data = copy.deepcopy(GOOD)
    assert len(topological(from_data(data))) == len(GOOD["nodes"])
    corrupt(data)
    with pytest.raises(FormatError):
        from_data(data)


@pytest.mark.parametrize("data", [None, 3, "text", [], {}, {"format": "symgrad graph"}], ids=str)
def test_other_data_is_refused(data):
    with pytest.raises(FormatError):
        from_data(data)
