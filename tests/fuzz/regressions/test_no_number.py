"""What is no number, and what stands beside nothing: gradients, conversions, distributions, orders of digamma."""

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare
from symgrad.ops.row import ROWS

N, M = sg.dim("N"), sg.dim("M")


def test_a_loss_that_is_no_number_has_no_gradient_beside_what_it_picks():
    x, i = sg.symbol("x", (N, M), "float64"), sg.symbol("i", (N,), "int32")
    loss = sg.sum(sg.sin(sg.log1p(sg.pick(x, i))))
    g = sg.grad(loss, x)
    inputs = [
        (x, lambda N, M: drawn((53764, 0), "float64", (N, M), -1.5, 1.5)),
        (i, lambda N, M: drawn((53764, 10), "int32", (N,), 0, M)),
    ]
    compare(inputs, [g], gradients=[(loss, x, g)], sizes=[{"N": 1, "M": 8}])


def test_a_loss_of_no_columns_that_is_no_number():
    x, y = sg.symbol("x", (M, 2)), sg.symbol("y", (N, 2))
    loss = sg.sin(sg.logsumexp(x @ y.T, axis=(1, 0)))
    g = sg.grad(loss, x)
    inputs = [
        (x, lambda N, M: drawn((54889, 4), "float32", (M, 2), -1, 1)),
        (y, lambda N, M: drawn((54889, 2), "float32", (N, 2), -1.5, 1.5)),
    ]
    compare(inputs, [g], gradients=[(loss, x, g)], sizes=[{"N": 0, "M": 1}])


def test_orders_of_digamma_that_there_are_not():
    order, x = sg.symbol("order", (7,), "int32"), sg.symbol("x", (7,), "float64")
    inputs = [
        (order, lambda N, M: drawn((54085, 3), "int32", (7,), -2, 2)),
        (x, lambda N, M: drawn((54085, 4), "float64", (7,), -1, 1).round()),
    ]
    compare(inputs, [sg.polygamma(order, x)], sizes=[{"N": 0, "M": 0}], wild=True)


def test_no_probabilities_sum_to_nothing():
    x, y = sg.symbol("x", (M,)), sg.symbol("y", (3,))
    inputs = [
        (x, lambda N, M: drawn((55161, 3), "float32", (M,), -2.0, 2.0)),
        (y, lambda N, M: drawn((55161, 28), "float32", (3,), -1.0, 1.0)),
    ]
    compare(inputs, [y * sg.sum(ROWS["softmax"](x, axis=0))], sizes=[{"N": 0, "M": 0}, {"N": 0, "M": 3}])


def test_integers_made_of_what_is_no_number():
    """Rewriting picks finite elements where the product with zeros has met an infinity."""
    x, i = sg.symbol("x", (N, 7), "float64"), sg.symbol("i", (N,), "int64")
    chosen = sg.sum(x * (sg.one_hot(i, 7, "float64") * x))
    inputs = [
        (x, lambda N, M: drawn((55872, 3), "wild float64", (N, 7), -9.0, 9.0)),
        (i, lambda N, M: drawn((55872, 7), "int64", (N,), 0, 7)),
    ]
    compare(inputs, [sg.floor(chosen * 4).astype("int32")], sizes=[{"N": 8, "M": 0}], wild=True)


def test_elements_that_equal_the_maximum_of_another_shape():
    x = sg.symbol("x", (2, 3))
    v = x[None]
    loss = sg.std(v - sg.max(v, axis=(2, 0, 1), keepdims=True) + 0.1)
    g = sg.grad(loss, x, simplify=False)
    inputs = [(x, lambda N, M: drawn((54430, 1), "float32", (2, 3), -2.0, 2.0))]
    compare(inputs, [g], gradients=[(loss, x, g)], sizes=[{"N": 0, "M": 0}])


def test_a_stack_times_a_vector_times_a_vector():
    stack, u, v = sg.symbol("stack", (M, 2, M)), sg.symbol("u", (M,)), sg.symbol("v", (2,))
    inputs = [
        (stack, lambda N, M: drawn((55593, 0), "float32", (M, 2, M), -1.0, 1.0)),
        (u, lambda N, M: drawn((55593, 1), "float32", (M,), -1.0, 1.0)),
        (v, lambda N, M: drawn((55593, 2), "float32", (2,), -1.0, 1.0)),
    ]
    product = sg.matmul(stack, stack.mT)
    compare(inputs, [(stack @ u) @ v, (product @ v) @ v], sizes=[{"N": 0, "M": 3}])


def test_an_infinity_times_what_vanishes_in_float32():
    x = sg.symbol("x", (N, M))
    square = ROWS["elu"](x, x)
    inputs = [(x, lambda N, M: drawn((61340, 0), "wild float32", (N, M), -1.5, 1.5))]
    compare(inputs, [square @ square.T], sizes=[{"N": 31, "M": 33}], wild=True)


def test_what_is_made_of_the_zeros_beside_what_is_no_number():
    x, y = sg.symbol("x", (N, M)), sg.symbol("y", (M,))
    scaled = y * sg.exp(0.1 * sg.tanh(0.01 * sg.sum(x)))
    placed = ROWS["place"](scaled, shape=(M + 3,), starts=(2,), steps=(1,))
    inputs = [
        (x, lambda N, M: drawn((62784, 0), "wild float32", (N, M), -1.5, 1.5)),
        (y, lambda N, M: drawn((62784, 1), "float32", (M,), -2.0, 2.0)),
    ]
    compare(inputs, [sg.log(placed * placed + 0.5)], sizes=[{"N": 3, "M": 17}], wild=True)
