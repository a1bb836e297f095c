"""`srepr`: the text of every graph gives the same node, on one line or with names, at any depth."""

import subprocess
import sys

import numpy as np
import pytest
from formulas import FORMULAS, printed_under_hash_seeds
from row_cases import Call, calls

import symgrad as sg
from symgrad.dtypes import DType
from symgrad.expr import Expr, buffer_node, parameter_node
from symgrad.ops.row import ROWS
from symgrad.show.source import parameters_by_name, srepr

N, M = sg.dim("N"), sg.dim("M")
x, W = sg.symbol("x", (N, 3), "float64"), sg.symbol("W", (3, 4), "float64")


def again(expr: Expr) -> Expr:
    """Evaluate the text of an expression."""
    return eval(srepr(expr), {"sg": sg, "parameters": parameters_by_name(expr)})


@pytest.mark.parametrize("call", calls(), ids=str)
def test_every_row_comes_back(call: Call) -> None:
    assert again(call.node) is call.node


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_comes_back(name: str) -> None:
    for expr in FORMULAS[name]().results.values():
        assert again(expr) is expr


def leaves() -> list[Expr]:
    odd = np.array([0x7FC00001, 0xFFC00000, 0x80000000], "uint32").view("float32")
    return [
        sg.symbol("dense/kernel", (N // 2 + 1, (N * M - 3) % 4, 2 * N**2 + 7), "int8"),
        sg.symbol("p", (3, 3), "float32", facts={"positive", "symmetric"}),
        sg.constant(0.1, "float32"), sg.constant(-0.0, "float64"), sg.constant(np.nan, "float32"), sg.constant(True),
        sg.constant(-np.inf, "float64"), sg.constant(2**64 - 1, "uint64"), sg.constant(1e300, "float64"),
        sg.constant(N * 2 + M, "float32"), sg.constant(N, "int64"),
        sg.constant([[1.5, np.nan], [-np.inf, -0.0]], "float64"), sg.constant([1, 2**64 - 1 - 2**63], "uint64"),
        buffer_node(np.array([1, 2**64 - 1], "uint64"), DType.UINT64), buffer_node(odd, DType.FLOAT32),
        buffer_node(np.zeros((0, 3)), DType.FLOAT64), buffer_node(np.zeros((2, 0), bool), DType.BOOL),
        sg.constant([[True, False]]),
    ]  # fmt: skip


@pytest.mark.parametrize("leaf", leaves(), ids=srepr)
def test_leaves_come_back(leaf: Expr) -> None:
    assert again(leaf) is leaf
    assert again(leaf.astype("float64") * 2) is leaf.astype("float64") * 2


SHARED = """\
(
    N := sg.dim("N"),
    rows := sg.ops.row.ROWS,
    H := sg.tanh(rows["matmul"](sg.symbol("x", (N, 3), "float64"), sg.symbol("W", (3, 4), "float64"))).named("H"),
    sg.divide(rows["sum"](sg.multiply(H, H), axes=(0,), keepdims=False), sg.constant(N, "float64")),
)[-1]"""


def test_a_tree_is_one_line_and_what_is_shared_has_a_name() -> None:
    assert srepr(sg.exp(x.sum())) == (
        'sg.exp(sg.ops.row.ROWS["sum"](sg.symbol("x", (sg.dim("N"), 3), "float64"), axes=(0, 1), keepdims=False))'
    )
    hidden = sg.tanh(x @ W).named("H")
    assert srepr((hidden * hidden).sum(axis=0) / N) == SHARED


def test_names_are_given_again() -> None:
    program = "import sys, symgrad as sg; print(eval(sys.stdin.read(), {'sg': sg}))"
    text = srepr(2 * sg.tanh(x @ W).named("H"))
    done = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == "H = tanh(x @ W)\n2 * H\n"


def test_names_do_not_meet() -> None:
    rows, sg_ = sg.dim("rows"), sg.dim("sg")
    a, b = sg.symbol("v0", (rows, sg_)), sg.symbol("float32", (rows, sg_), "float64")
    inf = sg.symbol("inf", (rows, 1)) + sg.symbol("parameters", (1, sg_)) * np.inf
    shared = sg.exp(a) * inf
    e = (shared * shared - np.inf).astype("float64") + b * b + sg.sum(b.astype("float32").astype("float64"))
    assert again(e) is e


def test_parameters_are_looked_up_by_name() -> None:
    one, two = (parameter_node("dense/kernel", np.zeros(3), DType.FLOAT64) for _ in range(2))
    e = one * two + one
    assert list(parameters_by_name(e)) == ["dense/kernel", "dense/kernel_2"]
    assert again(e) is e
    assert set(parameters_by_name(e).values()) == {one, two}
    assert again(one) is one
    with pytest.raises(NameError, match="parameters"):
        eval(srepr(one), {"sg": sg})


def test_graphs_inside_nodes_come_back() -> None:
    shared = sg.symbol("s", (N, 3), "float64")
    region = sg.checkpoint(lambda v: sg.exp(v) * sg.sum(v))(x)
    straight = sg.custom_gradient(lambda v: sg.floor(v), lambda operands, out, g: g, check=False)(x + shared)
    for e in (region, straight, sg.grad(sg.sum(region * straight), x), sg.checkpoint(lambda v: v * region)(shared)):
        assert again(e) is e


def test_an_operator_of_the_users_own_comes_back_where_it_is_defined() -> None:
    pytest.importorskip("sympy")
    cube = sg.elementwise("cube_of_source", lambda u: u**3 + u)
    e = cube(x)
    text = srepr(e)
    assert again(e) is e
    del ROWS[e.op]
    try:
        with pytest.raises(KeyError, match="cube_of_source"):
            eval(text, {"sg": sg})
    finally:
        ROWS[cube.name] = cube


def chain(length: int, width: int) -> Expr:
    e = x
    for _ in range(length):
        for _ in range(width):
            e = sg.sin(e)
        e = e * sg.cos(e)
    return e


def test_any_depth_comes_back() -> None:
    e = chain(500, 3)  # Python itself takes longer the longer a text is: it counts lines for every node that is built
    assert again(e) is e


def test_the_text_is_linear() -> None:
    short, long = (len(srepr(chain(length, 7))) for length in (100, 400))
    assert long < 4.4 * short


def test_the_text_is_the_same_in_every_process() -> None:
    program = "from formulas import FORMULAS\nfrom symgrad.show.source import srepr\nfor one in FORMULAS.values():\n"
    program += "    for e in one().results.values(): print(srepr(e))"
    assert len(printed_under_hash_seeds(program, ["0", "1", "4294967295"])) == 1


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(TypeError, match="an expression is written, not int"):
        srepr(3)
