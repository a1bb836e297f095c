"""Floats to integers: truncated, at the ends where integers end, 0 for NaN; on every machine, compiled or not."""

import numpy as np
import pytest

import symgrad as sg
from codegen.machine import runnable

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def edges(source: str, target: str) -> np.ndarray:
    """Give numbers around both ends of the integers and of the float type, and some between."""
    ends = np.iinfo(target)
    near = np.array([ends.min, ends.max + 1, 0, -1, 1, 130, -200, 2**31, 2**63, 2**64, -(2**63)], source)
    far = np.array([np.inf, -np.inf, np.nan, -np.nan, 1e30, -1e30, 0.5, -0.5, -0.0, 99.999, -99.999], source)
    return np.concatenate([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf), far])


def exactly(x: float, target: str) -> int:
    """Convert with Python's whole numbers."""
    ends = np.iinfo(target)
    if np.isnan(x):
        return 0
    return int(ends.max if x > ends.max else ends.min if x < ends.min else int(x))


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_every_float_has_one_integer(source, target):
    values = edges(source, target)
    want = np.array([exactly(float(v), target) for v in values], target)
    x = sg.symbol("x", (sg.dim("N"),), dtype=source)
    np.testing.assert_array_equal(sg.evaluate(x.astype(target), {x: values}), want)
    for row in runnable():
        function = sg.function([x], x.astype(target), options=sg.Options(machine=row.name))
        np.testing.assert_array_equal(function(values), want)
        np.testing.assert_array_equal(function(values[:3]), want[:3])
