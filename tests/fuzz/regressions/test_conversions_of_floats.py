"""Floats that no integer of the type holds."""

import symgrad as sg
from fuzz.draw import drawn
from fuzz.referee import compare
from fuzz.variants import with_fma


def test_a_float_beyond_the_integers_is_the_same_everywhere():
    x = sg.symbol("x", (sg.dim("N"),), "float32")
    outputs = [sg.round(sg.arange(3, 67, 2, dtype="float32") * 2).astype("int8"), (x * 300).astype("uint8")]
    inputs = [(x, lambda N, M: drawn((50602, 1), "wild float32", (N,), -2.0, 2.0))]
    others = [row.name for row in with_fma()]
    compare(inputs, outputs, sizes=[{"N": 33, "M": 0}], variants=others, wild=True)
