"""The table of special values, held against the interpreter and against compiled code in both float types."""

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops import activations, generate
from symgrad.ops.row import ROWS, Row
from symgrad.ops.special_values import SPECIAL_VALUES

WITHOUT_FLOATS = {row.name for row in generate.rows() if row.operands in ("bool", "bits", "select")}


def results_of(row, dtype, simplify):
    """Build the row over vectors, with the derivative in each operand: its cotangent is 1."""
    operands = [sg.symbol(name, (sg.dim("N"),), dtype) for name in "xyzw"[: row.arity]]
    out = row(*operands)
    if not row.differentiable:
        return operands, [out]
    slopes = sg.grad(sg.sum(out), operands, simplify=simplify, disconnected="zero")
    return operands, [out, *slopes]


def check(name, got, want, dtype):
    info = np.finfo(dtype)
    for position, (value, expected) in enumerate(zip(got, want, strict=True)):
        value, expected = np.asarray(value, "float64"), expected.astype(dtype).astype("float64")
        np.testing.assert_allclose(value, expected, rtol=8 * info.eps, atol=info.tiny, err_msg=f"{name}, {position}")
        if position == 0:
            zeros = expected == 0
            np.testing.assert_array_equal(np.signbit(value[zeros]), np.signbit(expected[zeros]), err_msg=name)


def test_every_row_of_floats_is_in_the_table():
    assert set(SPECIAL_VALUES) == {row.name for row in generate.rows()} - WITHOUT_FLOATS
    for name, points in SPECIAL_VALUES.items():
        row = ROWS[name]
        assert {len(point) for point in points} == {row.arity + 1 + row.arity * row.differentiable}


ENDS = (-np.inf, -0.0, 0.0, np.inf, np.nan)
ACTIVATIONS = [row.name for row in vars(activations).values() if isinstance(row, Row)]


@pytest.mark.parametrize("name", [name for name in SPECIAL_VALUES if ROWS[name].arity == 1 or name in ACTIVATIONS])
def test_the_table_has_both_infinities_both_zeros_and_nan(name):
    listed = {str(point[0]) for point in SPECIAL_VALUES[name]}
    assert listed >= {str(end) for end in ENDS}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_nan_at_nan_alone(name):
    """At the infinities value and slope have their limits; no inf * 0 or inf / inf is left."""
    for point in SPECIAL_VALUES[name]:
        assert np.isnan(point[ROWS[name].arity]) == np.isnan(point[0])
        assert np.isnan(point[0]) or not np.isnan(point).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_special_values(name, dtype):
    row, table = ROWS[name], np.array(SPECIAL_VALUES[name]).T
    arrays, want = table[: row.arity].astype(dtype), table[row.arity :]
    for simplify in (False, True):
        operands, outputs = results_of(row, dtype, simplify)
        check(name, sg.evaluate(outputs, dict(zip(operands, arrays, strict=True)), dtype=None), want, dtype)
        check(name, sg.function(operands, outputs)(*arrays), want, dtype)
