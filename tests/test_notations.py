"""Formulas in mathematical notation: LaTeX, MathML and Unicode of golden formulas and of every row."""

import re
import xml.etree.ElementTree as ET

import pytest
from formulas import FORMULAS, N, printed_under_hash_seeds, symbol
from row_cases import calls

import symgrad as sg
from symgrad.show.look import formatted
from symgrad.show.mathml import MATHML
from symgrad.show.spelling import spelled
from symgrad.show.tex import LATEX
from symgrad.show.text import format_equations, format_expression
from symgrad.show.unicode import UNICODE


def written(formula, notation):
    return format_equations(formula.equations, updates=formula.updates, names=formula.names, notation=notation)


@pytest.mark.parametrize("name", FORMULAS)
def test_golden_formulas(name, golden):
    formula = FORMULAS[name]()
    golden(f"{name}.tex", written(formula, LATEX))
    golden(f"{name}.unicode.txt", written(formula, UNICODE))
    (table,) = rendered(written(formula, MATHML))
    assert len(table) == len(formula.text().split("\n"))


def rendered(target):
    """Give the element tree of MathML, which has to be one element."""
    return ET.fromstring(target)


def is_balanced(tex):
    """Tell whether braces, fences and environments close in the order in which they open."""
    ends = {"}": "{", r"\right": r"\left", r"\end": r"\begin"}
    found = re.findall(r"\\[{}|\\]|\\left|\\right|\\begin|\\end|[{}]", tex)
    open_ = []
    for token in found:
        if token in ends.values():
            open_.append(token)
        elif token in ends and (not open_ or open_.pop() != ends[token]):
            return False
    return not open_


@pytest.mark.parametrize("call", calls(), ids=str)
def test_every_row_has_a_form_in_every_notation(call):
    node = call.node
    for target in (node, sg.exp(-node) * 2 if getattr(node.type, "dtype", None) == "float32" else node):
        assert is_balanced(format_expression(target, notation=LATEX))
        math = rendered(format_expression(target, notation=MATHML, shapes=True))
        assert math.tag == "math"
        assert len(math)
        assert format_expression(target, notation=UNICODE)


x, z, v = symbol("x", (N, 3)), symbol("z", (N, 3)), symbol("v", (3,))
A, B, s, t = symbol("A", (3, 3)), symbol("B", (3, 3)), symbol("s"), symbol("lam")
c = symbol("c", (N, 3), "bool")

MATHEMATICS = {
    "product": (x * z * s, "s x ⊙ z", r"s\, x \odot z"),
    "numbers": (2 * t * (x + z), "2 λ (x + z)", r"2\, \lambda\, \left(x + z\right)"),
    "quadratic form": (v @ A @ v, "vᵀ A v", r"v^{\top}\, A\, v"),
    "row of a column": ((A @ v) @ B, "(A v)ᵀ B", r"\left(A\, v\right)^{\top}\, B"),
    "matrix product by elements": ((A @ B) * A, "A B ⊙ A", r"A\, B \odot A"),
    "product of a sum": ((A + B).T @ A, "(A + B)ᵀ A", r"\left(A + B\right)^{\top}\, A"),
    "quotient": (x / z, "x / z", r"\frac{x}{z}"),
    "quotient by a number": (-A / s, "-A / s", r"-\frac{1}{s}\, A"),
    "power": (x**3, "x³", r"x^{\odot 3}"),
    "power of a power": ((s**2) ** t, "(s²)^λ", r"\left(s^{2}\right)^{\lambda}"),
    "outer": (sg.outer(v, v), "v vᵀ", r"v\, v^{\top}"),
    "identity": (sg.simplify(sg.eye(3) * 1.0), "I₃", r"I_{3}"),
    "diagonal": (sg.diag(v), "diag(v)", r"\operatorname{diag}\left(v\right)"),
    "inverse": (sg.linalg.inv(A).T, "(A⁻¹)ᵀ", r"\left(A^{-1}\right)^{\top}"),
    "sum over an axis": (sg.sum(x * z, axis=0), "∑₀(x ⊙ z)", r"\sum_{\mathrm{axis}\,0}\left(x \odot z\right)"),
    "mean": (sg.mean(x), "mean(x)", r"\operatorname{mean}\left(x\right)"),
    "root": (sg.sqrt(x + 1), "√(x + 1)", r"\sqrt{x + 1}"),
    "exponential": (sg.exp(-x), "e^(-x)", r"\mathrm{e}^{-x}"),
    "mask": (sg.where(x > 0, z, 0), "z ⊙ [x > 0]", r"z \odot \left[x > 0\right]"),
    "choice": (
        sg.where(c, x, z), "where(c, x, z)", r"\begin{cases} x & \text{if } c \\ z & \text{otherwise} \end{cases}",
    ),
    "comparison": (
        (x <= 1) & ~(z != 0), "(x ≤ 1) ∧ ¬(z ≠ 0)", r"\left(x \le 1\right) \land \lnot \left(z \ne 0\right)",
    ),
    "absolute value": (sg.abs(x - z), "|x - z|", r"|x - z|"),
    "whole quotient": (x // 2, "⌊x / 2⌋", r"\left\lfloor \frac{x}{2}\right\rfloor "),
    "elements": (x[1:], "x[1:]", r"{x}_{\texttt{1:}}"),
    "size": (x / (2 * N), "x / (2 * N)", r"\frac{1}{2\,N}\, x"),
    "small number": (x * 1e-7, "1e-07 x", r"10^{-7}\, x"),
}  # fmt: skip


@pytest.mark.parametrize("name", MATHEMATICS)
def test_mathematics(name):
    node, in_unicode, in_latex = MATHEMATICS[name]
    assert format_expression(node, notation=UNICODE) == in_unicode
    assert sg.latex(node) == in_latex


@pytest.mark.parametrize(
    ("name", "letters", "below", "order"),
    [
        ("W", "W", "", 0), ("dW1", "W", "1", 1), ("d2z", "z", "", 2), ("u_xx", "u", "xx", 0), ("lam", "λ", "", 0),
        ("dlam", "dlam", "", 0), ("delta", "δ", "", 0), ("dense_kernel", "dense", "kernel", 0),
        ("G_1_2", "G", "1_2", 0),
        ("dx", "x", "", 1), ("d", "d", "", 0), ("_x", "_x", "", 0), ("x1_new", "x", "1,new", 0), ("db_2", "b", "2", 1),
    ],
)  # fmt: skip
def test_spelling(name, letters, below, order):
    found = spelled(name)
    assert (found.letters, found.subscript, found.differential) == (letters, below, order)


def test_names_that_no_notation_can_break():
    evil = sg.symbol("a_b_c", (2,)).named("x_") * 2
    assert is_balanced(sg.latex(evil))
    rendered(formatted(evil, MATHML))
    wide = sg.symbol("π", ()) + sg.symbol("größe", ())
    assert is_balanced(sg.latex(wide))
    rendered(formatted(wide, MATHML))


def test_shapes_on_request():
    h = (z @ B).named("H")
    assert format_expression(sg.sum(h * h), shapes=True).split("\n") == ["H = z @ B   # (N, 3)", "sum(H * H)  # ()"]
    assert sg.latex(h, shapes=True) == "\\begin{aligned}\n  H &= z\\, B &&\\quad \\texttt{(N, 3)}\n\\end{aligned}"


def test_what_pprint_prints(capsys):
    sg.pprint(x @ A, {"y": x + 1}, [x, z], shapes=True)
    assert capsys.readouterr().out == "x A  # (N, 3)\ny = x + 1  # (N, 3)\nx  # (N, 3)\nz  # (N, 3)\n"


def test_a_terminal_without_signs_gets_text(monkeypatch):
    import io

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    sg.pprint(A.T @ v)
    out.flush()
    assert out.buffer.getvalue() == b"A.T @ v\n"


def test_notebooks():
    e = A.T @ v
    assert e._repr_latex_() == r"$\displaystyle A^{\top}\, v$"
    assert rendered(e._repr_html_()).tag == "math"


def test_every_notation_is_the_same_in_every_process():
    program = (
        "import symgrad as sg; from formulas import *; from symgrad.show.look import formatted; "
        "from symgrad.show.tex import LATEX; from symgrad.show.mathml import MATHML; e, n = network(sg.relu); "
        "print([formatted(e, k) for k in (LATEX, MATHML)])"
    )
    assert len(printed_under_hash_seeds(program, "012")) == 1
