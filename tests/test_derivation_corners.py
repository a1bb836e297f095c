"""Derivations in corners: rounded numbers, far depths, hidden operands, names, domains, and what is refused."""

import numpy as np
import pytest
from counting import calls_while

import symgrad as sg

N = sg.dim("N")
x, v, W = sg.symbol("x", (N, 3)), sg.symbol("v", (3,)), sg.symbol("W", (3, 3))


def chain(length, factor):
    """Give a loss through many layers, and its variable, which every layer reads."""
    value = v
    for _ in range(length):
        value = sg.tanh(value * factor + v)
    return sg.sum(value), v


# -- what is checked -----------------------------------------------------------------------------------------------


def test_a_number_rounded_to_the_dtype_is_no_failure():
    value = v
    for _ in range(4):
        value = sg.tanh(value * 0.9)  # 0.9 * 0.9 in float32 is not the square of 0.9 in float64
    derivation = sg.derivation(sg.sum(value), v)
    assert "0.80999994" in str(derivation)
    report = derivation.check()
    assert report, str(report)
    assert 1e-9 < report.difference < 1e-6


def test_a_loss_whose_numbers_were_collected_is_the_same_loss():
    report = sg.derivation(sg.mean(0.9 * (0.7 * sg.exp(v))) * 0.3, v).check()
    assert report, str(report)


def test_formulas_without_new_numbers_are_compared_to_the_last_digits():
    report = sg.derivation(sg.sum(sg.exp(v) * v), v).check()
    assert report
    assert report.difference < 1e-14


def test_derivatives_that_vanish_in_depth_are_no_failures():
    loss, variable = chain(130, 1e-3)
    report = sg.derivation(loss, variable).check(points=1)
    assert report, str(report)[:500]


def test_time_is_linear_in_depth_where_every_layer_reads_one_variable():
    counts = []
    for length in (50, 300):
        loss, variable = chain(length, 0.9)
        counts.append(calls_while(lambda loss=loss, variable=variable: sg.derivation(loss, variable))[0])
    assert counts[1] < 8 * counts[0]  # 6 if linear, 36 if quadratic


@pytest.mark.parametrize(
    "function",
    [sg.acosh, sg.atanh, sg.asin, sg.log, lambda a: sg.log(sg.linalg.det(a)), sg.linalg.cholesky],
    ids=["acosh", "atanh", "asin", "log", "logdet", "cholesky"],
)
def test_a_point_is_found_in_narrow_domains(function):
    assert sg.derivation(sg.sum(function(W)), W).check(points=2)


def test_probabilities_are_drawn_for_a_crossentropy():
    p, y = sg.symbol("p", (N, 4)), sg.symbol("y", (N, 4))
    assert sg.derivation(sg.losses.binary_crossentropy(y, p).mean(), p).check()


# -- how it reads --------------------------------------------------------------------------------------------------


def test_operands_that_no_formula_shows_have_no_line():
    layer = sg.checkpoint(lambda x, W: sg.tanh(x @ W))
    loss = sg.sum(layer(layer(x, W), W))
    assert "corner(" not in str(sg.grad(loss, W))
    derivation = sg.derivation(loss, W)
    assert "corner(" not in str(derivation)
    assert derivation.check(points=2)


def test_a_loss_that_is_rewritten_to_its_variable_is_called_loss():
    s = sg.symbol("s")
    lines = str(sg.derivation(s * 1.0, s)).split("\n")
    assert lines[0].startswith("loss = s ")
    assert lines[1].split("  ")[1].strip() == "d loss / d s = 1"
    assert len(lines) == 2
    assert str(sg.derivation(s, s)).split("\n")[1].startswith("1  d s / d s = 1")


def test_what_collects_numbers_is_not_told():
    text = str(sg.derivation(sg.mean(v**2) * 3, v))
    assert "simplified" not in text
    assert "rules" not in text


def test_python_keywords_are_no_names():
    scale = sg.symbol("lambda")
    assert str(scale * v) == "lambda_ * v"
    assert sg.latex(scale * v) == r"\lambda\, v"
    assert "d loss / d lambda_ = sum(v)" in " ".join(str(sg.derivation(sg.sum(scale * v), scale)).split())
    assert str(sg.exp((v * 2).named("class")) * 3).split("\n")[0] == "class_ = 2 * v"


def test_a_name_for_a_comparison_is_set_apart_from_it():
    formula = sg.where(sg.equal(v, sg.max(v)).named("ties"), v, 0)
    assert r"\mathrm{ties} &= \left(v = \max\left(v\right)\right)" in sg.latex(formula)
    assert str(formula).startswith("ties = v == max(v)\n")


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"points": 0}, {"points": 1.5}, {"points": True}, {"seed": -1}], ids=str)
def test_numbers_of_a_check_are_whole(options):
    with pytest.raises(ValueError, match="is a whole number"):
        sg.derivation(sg.sum(v * v), v).check(**options)


def test_arrays_are_given_by_symbol_and_shape():
    derivation = sg.derivation(sg.sum(sg.tanh(x @ W)), W)
    with pytest.raises(TypeError, match="by symbol or parameter, not by str x"):
        derivation.check(given={"x": np.ones((2, 3))})
    with pytest.raises(ValueError, match="The last one was refused: axis 1 of x has the wrong size"):
        derivation.check(given={x: np.ones((2, 4))})


def test_names_are_given_by_expression():
    with pytest.raises(TypeError, match="strings by expression"):
        sg.derivation(sg.sum(v * v), v, names={"v": "u"})
    with pytest.raises(TypeError, match="a mapping from names"):
        sg.format_equations([v])
