"""Identities of matrix calculus: what symgrad derives has, on random matrices, the values that the texts state.

Each identity is derived and computed in float64 by the interpreter, once more by compiled code, all identities of a
section in one function, and along a direction in forward mode.
"""

from itertools import chain

import cookbook_forms
import cookbook_traces
import numpy as np
import pytest
import textbooks

import symgrad as sg

IDENTITIES = cookbook_forms.IDENTITIES + cookbook_traces.IDENTITIES + textbooks.IDENTITIES
SECTIONS = {
    f"{module.__name__}-{name}": table
    for module in (cookbook_forms, cookbook_traces, textbooks)
    for name, table in vars(module).items()
    if isinstance(table, tuple) and name.isupper() and name != "IDENTITIES"
}
# Of the largest element: some dozens of operations on matrices whose condition numbers are below a thousand.
TOLERANCE = 1e-11


def stated(identity, arrays):
    return np.asarray(identity.right(*arrays), np.float64)


def check(got, identity, want):
    assert np.shape(got) == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * max(1.0, np.abs(want).max()), err_msg=str(identity))


@pytest.mark.parametrize("identity", IDENTITIES, ids=str)
def test_derivative_is_what_the_text_states(identity):
    symbols, arrays = identity.symbols(), identity.draw()
    check(
        sg.evaluate(identity.derived(symbols), dict(zip(symbols, arrays, strict=True))),
        identity,
        stated(identity, arrays),
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_compiled_derivatives_are_what_the_text_states(section):
    table = SECTIONS[section]
    symbols = [identity.symbols(str(i)) for i, identity in enumerate(table)]
    arrays = [identity.draw() for identity in table]
    derived = [identity.derived(own) for identity, own in zip(table, symbols, strict=True)]
    results = sg.function(list(chain(*symbols)), derived)(*chain(*arrays))
    for got, identity, own in zip(results, table, arrays, strict=True):
        check(got, identity, stated(identity, own))


@pytest.mark.parametrize("identity", IDENTITIES, ids=str)
def test_forward_mode_gives_its_product_with_a_direction(identity):
    symbols, arrays = identity.symbols(), identity.draw()
    direction = sg.symbol("direction", symbols[0].shape, "float64")
    drawn = np.random.default_rng(1).uniform(-1, 1, np.shape(arrays[0]))
    got = sg.evaluate(identity.along(symbols, direction), {**dict(zip(symbols, arrays, strict=True)), direction: drawn})
    check(got, identity, np.tensordot(stated(identity, arrays), drawn, drawn.ndim))


def test_every_identity_is_listed_once():
    assert sum(len(table) for table in SECTIONS.values()) == len(IDENTITIES)
    assert len({str(identity) for identity in IDENTITIES}) == len(IDENTITIES)
    assert sum(identity.cite.startswith("Cookbook (") for identity in IDENTITIES) >= 80
