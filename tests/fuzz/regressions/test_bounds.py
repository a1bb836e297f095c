"""Where bounds had no room for what rounding does: rounded numbers, and infinities on the way."""

import numpy as np

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare
from symgrad.ops.row import ROWS


def test_a_rounded_pi_at_a_zero_of_the_cosine():
    x = sg.symbol("x", (4, sg.dim("M")), "float32")
    loss = sg.sum(sg.sin(sg.trigamma(x)))
    g = sg.grad(loss, x)
    inputs = [(x, lambda N, M: drawn((40194, 30), "wild float32", (4, M), -1, 1))]
    compare(inputs, [g], gradients=[(loss, x, g)], sizes=[{"N": 0, "M": 16}], wild=True)


def test_a_recurrence_that_comes_back_from_an_infinity():
    """The tenth element is 6.6e38 in float64, the next one finite again."""
    a, b = (sg.symbol(name, (2, sg.dim("N"), 3), "float32") for name in "ab")
    scale = np.float32(0.9995)
    out = ROWS["recurrence"](a, b * scale, axis=1)
    inputs = [
        (a, lambda N, M: drawn((40330, 5), "wild float32", (2, N, 3), -1.0, 1.0)),
        (b, lambda N, M: drawn((40330, 6), "float32", (2, N, 3), -2.0, 2.0)),
    ]
    compare(inputs, [out, out @ sg.matrix_transpose(out)], sizes=[{"N": 16, "M": 0}], wild=True)


def test_a_factor_that_is_no_number_beside_a_sum_of_nothing():
    N = sg.dim("N")
    x, y = sg.symbol("x", (N, 1), "float32"), sg.symbol("y", (1, 1), "float32")
    of_nothing = sg.logsumexp(ROWS["elu"](x, 1.6 + 1.4 * sg.tanh(y)))
    loss = sg.sin(of_nothing) + sg.sum(sg.sin(sg.softplus(y) * y))
    g = sg.grad(loss, y, simplify=False)
    inputs = [
        (x, lambda N, M: drawn((40235, 2), "float32", (N, 1), -1.5, 1.5)),
        (y, lambda N, M: drawn((40235, 10), "float32", (1, 1), 0.2, 3.0)),
    ]
    compare(inputs, [g], gradients=[(loss, y, g)], sizes=[{"N": 0, "M": 0}])


def test_a_solution_that_passes_an_infinity():
    x = sg.symbol("x", (sg.dim("N"), sg.dim("M")), "float32")
    matrix = sg.eye(2, dtype="float32") * 3 + sg.tanh(x)[:2, :2]
    inputs = [(x, lambda N, M: drawn((51497, 0), "wild float32", (N, M), -1.5, 1.5))]
    compare(inputs, [sg.linalg.solve(matrix, x[:2, :])], sizes=[{"N": 2, "M": 128}], wild=True)


def test_what_may_be_no_number_may_not_equal_itself():
    x = sg.symbol("x", (1, sg.dim("M")), "float32")
    v = sg.var(sg.std(x + 0.1, axis=(0, 1), keepdims=True))
    inputs = [(x, lambda N, M: drawn((51562, 1), "wild float32", (1, M), -1.5, 1.5))]
    compare(inputs, [v >= v, sg.equal(v, v)], sizes=[{"N": 0, "M": 17}], wild=True)
