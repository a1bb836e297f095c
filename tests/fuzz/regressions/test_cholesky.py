"""Loops that never run, and matrices without a factor."""

import numpy as np

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare


def test_a_matrix_of_one_element():
    x = sg.symbol("x", (1, 1), "float64")
    inputs = [(x, lambda N, M: drawn((166, 2), "float64", (1, 1), 1.0, 2.0))]
    compare(inputs, [sg.linalg.cholesky(x)], sizes=[{"N": 0, "M": 0}])


def test_a_matrix_that_holds_nan_has_no_factor():
    x, y = sg.symbol("x", (2, 2), "float32"), sg.symbol("y", (sg.dim("N"),), "float32")
    inputs = [
        (x, lambda N, M: np.eye(2, dtype=np.float32) + drawn((50297, 15), "float32", (2, 2), -0.2, 0.2)),
        (y, lambda N, M: drawn((50297, 0), "float32", (N,), -1.5, 1.5)),
    ]
    compare(inputs, [sg.linalg.cholesky(x * sg.exp(sg.var(y)))], sizes=[{"N": 0, "M": 0}], wild=True)
