"""Orders of nothing."""

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare


def test_nothing_is_sorted():
    x, y = sg.symbol("x", (0,), "float32"), sg.symbol("y", (3, 0), "float64")
    inputs = [
        (x, lambda N, M: drawn((50368, 4), "float32", (0,), -1.5, 1.5)),
        (y, lambda N, M: drawn((50368, 5), "float64", (3, 0), -1.5, 1.5)),
    ]
    outputs = [sg.concatenate([sg.sort(x), x]), sg.argsort(y), sg.sort(y, axis=0)]
    compare(inputs, outputs, sizes=[{"N": 0, "M": 0}])
