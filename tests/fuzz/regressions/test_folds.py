"""Sums over axes, or for results, of size 0."""

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare


def test_no_columns_beside_a_sum():
    x = sg.symbol("x", (1, 3), "float64")
    y = sg.symbol("y", (3, 0), "float64")
    loss = sg.sum(sg.sin(x @ y))
    (g,) = sg.grad(loss, [y])
    inputs = [
        (x, lambda N, M: drawn((30, 3), "float64", (1, 3), -2.0, 2.0)),
        (y, lambda N, M: drawn((30, 6), "float64", (3, 0), -1, 1)),
    ]
    compare(inputs, [g, x @ y, sg.sum(y, axis=0)], gradients=[(loss, y, g)], sizes=[{"N": 0, "M": 0}])


def test_a_sum_over_a_middle_axis_beside_no_columns():
    x = sg.symbol("x", (3, 0, 3), "float32")
    inputs = [(x, lambda N, M: drawn((1, 3), "float32", (3, 0, 3), -1.5, 1.5))]
    compare(inputs, [sg.sum(x - sg.max(x, axis=(2, 0), keepdims=True))], sizes=[{"N": 0, "M": 0}])
