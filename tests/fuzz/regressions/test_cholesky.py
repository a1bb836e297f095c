"""Loops that never run."""

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare


def test_a_matrix_of_one_element():
    x = sg.symbol("x", (1, 1), "float64")
    inputs = [(x, lambda N, M: drawn((166, 2), "float64", (1, 1), 1.0, 2.0))]
    compare(inputs, [sg.linalg.cholesky(x)], sizes=[{"N": 0, "M": 0}])
