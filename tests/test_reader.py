"""Printed formulas are read as a person would, executed with NumPy, and are what they stand for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import random_formulas
from formulas import FORMULAS, SIZES, Formula, bound
from random_formulas import ARRAYS, ROWS_OF_N
from reader import FUNCTIONS, NUMPY, python, read
from row_cases import Call, calls

import symgrad as sg
from symgrad.expr import Expr, TupleType
from symgrad.ops.row import ROWS, plain_name
from symgrad.show import format_equations, format_expression

ROUNDING = 1e-12
WEAK = {"iverson": lambda condition: np.where(condition, 1.0, 0.0)}  # what a hand writes: enough where all is finite


def wide(value: np.ndarray) -> np.ndarray:
    """Give integers as int64: what is read does not wrap."""
    return value.astype(np.int64) if value.dtype.kind in "iu" else value


def named(env: dict[Expr, np.ndarray]) -> dict[str, np.ndarray]:
    return {str(node.attrs["name"]): wide(np.array(value)) for node, value in env.items()}


def assert_equal(read_value: object, value: np.ndarray, what: str, rounding: float = ROUNDING) -> None:
    """Compare with rounding errors of the size of the largest element."""
    found = np.asarray(read_value)
    assert found.shape == value.shape, what
    largest = np.abs(value[np.isfinite(value)]).max(initial=0) if value.dtype.kind == "f" else 0
    np.testing.assert_allclose(found, value, rtol=rounding, atol=rounding * largest, err_msg=what)


# -- golden formulas ------------------------------------------------------------------------------------------------


@cache
def compiled(name: str) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Give a formula's text, what its names stand for, and what compiled code says of its lines."""
    formula: Formula = FORMULAS[name]()
    env = bound(formula)
    inputs = [node for node in env if node.op == "symbol"]
    f = sg.function(inputs, list(formula.results.values()))
    values = f(*(env[node] for node in inputs))
    return formula.text(), {**named(env), **SIZES}, dict(zip(formula.results, map(np.asarray, values), strict=True))


@pytest.mark.parametrize("name", FORMULAS)
def test_what_is_read_is_what_is_compiled(name: str) -> None:
    text, arrays, values = compiled(name)
    for brackets in ({}, WEAK):
        scope = read(text, arrays, brackets)
        for line, value in values.items():
            assert value.dtype == np.float64
            assert_equal(scope[line], value, f"{line} of\n{text}")


MISPRINTS = [
    ("ridge", " + 2 * lam", " - 2 * lam"), ("ridge", "(X @ w - y)", "X @ w - y"), ("linear_regression", ".T", ""),
    ("softmax_regression", "axis=0", "axis=1"), ("network", "[Z1 > 0]", "[Z1 < 0]"), ("network", ".T * [", ".T + ["),
    ("network_tanh", "H**2", "H"), ("attention", ", keepdims=True", ""), ("attention", "dS.T @ Q", "dS @ Q"),
    ("layer_norm", "mean(u, axis=1, keepdims=True)", "mean(u)"), ("rmsprop", "sqrt(V + eps)", "sqrt(V) + eps"),
    ("adam", "beta_2**t", "beta_2"), ("quadratic_form", "A.T", "A"),
]  # fmt: skip


def agrees(text: str, arrays: dict, values: dict[str, np.ndarray]) -> bool:
    """Tell whether a text can be executed and gives the values, roughly."""
    try:
        scope = read(text, arrays)
        for line, value in values.items():
            assert_equal(scope[line], value, line, 1e-3)
    except (AssertionError, ValueError):
        return False
    return True


@pytest.mark.parametrize(("name", "right", "wrong"), MISPRINTS)
def test_a_misprint_is_noticed(name: str, right: str, wrong: str) -> None:
    text, arrays, values = compiled(name)
    assert right in text
    assert agrees(text, arrays, values)
    assert not agrees(text.replace(right, wrong), arrays, values)


# -- every operator ---------------------------------------------------------------------------------------------------

BITS = ("bitwise_invert", "bitwise_left_shift")  # of the type that the operand has
ABOUT_TYPES = ("uniform", "normal", "recompute", "gelu_tanh", "triangular_solve")


def operators() -> dict[str, object]:
    """Give the operators that neither NumPy nor the reader has: their text is read, their values are taken as given."""
    rows = {plain_name(name): row.oracle for name, row in ROWS.items()}
    return {name: oracle for name, oracle in rows.items() if name not in {*NUMPY, *FUNCTIONS}}


READ = [call for call in calls() if call.row.name not in ABOUT_TYPES and not isinstance(call.node.type, TupleType)]


@pytest.mark.parametrize("call", READ, ids=str)
def test_every_operator_is_read(call: Call) -> None:
    call = replace(call, float_dtype="float64")
    n = min([size for size in call.case.sizes if size > 2] or [5])
    env = dict(zip(call.operands, call.draw(n), strict=True))
    sizes = {sg.dim("n"): n, sg.dim("m"): n}
    value = np.asarray(sg.evaluate(call.node, {**env, **sizes}, dtype=None))
    arrays = {str(x.attrs["name"]): v for x, v in env.items()} if call.row.name in BITS else named(env)
    text = f"out = {format_expression(call.node)}"
    assert_equal(read(text, {**arrays, "n": n}, operators())["out"], value, text)


# -- random formulas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 480, 40))
def test_random_formulas_are_read(first: int) -> None:
    env = {**ARRAYS, random_formulas.N: ROWS_OF_N}
    arrays = {**named(ARRAYS), "N": ROWS_OF_N}
    for seed in range(first, first + 40):
        equations = random_formulas.formula(seed)
        text = format_equations(equations)
        with np.errstate(all="ignore"):
            values = sg.evaluate(list(equations.values()), env, dtype=None)
        scope = read(text, arrays)
        for line, value in zip(equations, values, strict=True):
            assert_equal(scope[line], np.asarray(value), f"seed {seed}, {line} of\n{text}", 1e-9)


def test_an_index_is_none_of_the_masks() -> None:
    assert python("a[0][1] * [b[2] > c.T[0]] @ d(e)[1]") == "a[0][1] * iverson(b[2] > c.T[0]) @ d(e)[1]"
    assert python("array([[1, 2], [3, 4]])[i]") == "array([[1, 2], [3, 4]])[i]"


def test_the_zero_of_a_mask_is_strong() -> None:
    x = np.array([0.0, 2.0])
    assert read("y = 1 / x * [x != 0]", {"x": x})["y"].tolist() == [0.0, 0.5]
