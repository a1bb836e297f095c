"""SymPy as the calculus: derivatives of formulas, and proofs that two formulas of a derivative are equal.

In: formulas over primitive operators, or Python functions of SymPy symbols. Out: formulas; GradientError where a
derivative does not exist in closed form. SymPy is imported at the first call. What it differentiates into forms that
overflow (the logistic function) or into distributions (absolute value, maximum, floor) is named before it
differentiates: the chain rule is then applied to the names, whose own derivatives are stated in their rows.
It must not know the graph, nor what the derivatives are used for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from symgrad.errors import FormatError, GradientError
from symgrad.formula import Call, Formula, Var, from_sympy, substitute, to_sympy
from symgrad.ops.calculus import OPERANDS, derivative_of, expand

__all__ = ["differentiate", "formula_of_function", "prove"]

_NAMED = {"Abs": "abs", "sign": "sign", "floor": "floor", "Max": "maximum", "Min": "minimum"}
_DIGITS = 50
_POINTS = 12


def differentiate(formula: Formula, name: str) -> Formula:
    """Give the derivative of a formula with respect to a variable, by SymPy.

    >>> from symgrad.formula import parse
    >>> from symgrad.ops import scalar
    >>> str(differentiate(parse("x * sigmoid(x)"), "x")), str(differentiate(parse("maximum(x * x, y)"), "y"))
    ('x * sigmoid(x) * (1 - sigmoid(x)) + sigmoid(x)', 'where(y > square(x), 1, where(y == square(x), 0.5, 0))')
    """
    names = _Names()
    total = names.derivative(names.hide(to_sympy(formula)), to_sympy(Var(name)))
    try:
        return names.formula(names.hide(total))
    except FormatError as error:
        raise GradientError(f"{formula} has no derivative in {name} in closed form", got=error.what) from None


def formula_of_function(f: Callable[..., Any], count: int) -> Formula:
    """Call a function with real SymPy symbols x, y, z, w and give its result as a formula.

    Raises FormatError where the function does not take SymPy symbols, or the result is no real function of these in
    closed form.
    """
    import sympy as sp

    symbols = [to_sympy(Var(name)) for name in OPERANDS[:count]]
    try:
        result = f(*symbols)
    except TypeError as error:  # what math, NumPy and symgrad itself say to a symbol of SymPy's
        hint = "Write it with SymPy's functions: sympy.exp, not math.exp, np.exp or sg.exp."
        raise FormatError("the function does not take SymPy symbols", got=str(error), hint=hint) from error
    if isinstance(result, (int, float)) and not isinstance(result, bool):
        result = sp.sympify(result)
    if not isinstance(result, sp.Expr):
        raise FormatError("the function does not return one SymPy expression", got=type(result).__name__)
    if strange := result.free_symbols - set(symbols):
        raise FormatError("the result has symbols that were not given", got=", ".join(sorted(map(str, strange))))
    names = _Names()
    return names.formula(names.hide(result))


class _Names:
    """Parts of a SymPy expression that stand under symbols of their own: `row(args)` for each."""

    def __init__(self) -> None:
        self.symbols: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self.parts: dict[Any, tuple[str, tuple[Any, ...]]] = {}

    def name(self, row: str, *args: Any) -> Any:
        """Give the symbol of `row(args)`; it sorts behind the operands, so that these come first in products."""
        import sympy as sp

        key = (row, args)
        if key not in self.symbols:
            self.symbols[key] = sp.Symbol(f"zz_{row}_{len(self.parts)}", real=True)
            self.parts[self.symbols[key]] = key
        return self.symbols[key]

    def hide(self, expr: Any) -> Any:
        """Replace what needs a name, innermost parts first."""
        import sympy as sp

        if not expr.args:
            return expr
        expr = expr.rewrite(sp.floor) if expr.has(sp.Mod, sp.ceiling) else expr
        expr = expr.func(*(self.hide(a) for a in expr.args))
        kind = type(expr).__name__
        if kind in ("Max", "Min"):
            first, *rest = sorted(expr.args, key=lambda a: a.sort_key())
            for operand in rest:
                first = self.name(_NAMED[kind], first, operand)
            return first
        if kind in _NAMED:
            return self.name(_NAMED[kind], *expr.args)
        if kind == "log" and (v := _exponent_beside_one(expr.args[0])) is not None:
            return self.name("softplus", v)
        inverse = kind == "Pow" and expr.exp.is_Integer and expr.exp < 0
        if inverse and (v := _exponent_beside_one(expr.base)) is not None:
            return self.name("sigmoid", -v) ** -expr.exp
        return self._joined(expr) if kind == "Mul" else expr

    def _joined(self, product: Any) -> Any:
        """Write exp(v) * sigmoid(-v) as sigmoid(v), which does not overflow."""
        import sympy as sp

        for factor in product.args:
            row, args = self.parts.get(factor.as_base_exp()[0], ("", ()))
            if row == "sigmoid" and product.has(sp.exp(-args[0])) and sp.exp(-args[0]) in product.args:
                return self._joined(product / (factor.as_base_exp()[0] * sp.exp(-args[0])) * self.name(row, -args[0]))
        return product

    def derivative(self, expr: Any, x: Any) -> Any:
        """Differentiate by SymPy, with the chain rule for the names."""
        import sympy as sp

        total = sp.diff(expr, x)
        for part in sorted(expr.free_symbols & set(self.parts), key=str):
            row, args = self.parts[part]
            env = {"out": part, **dict(zip(OPERANDS, args, strict=False))}
            outer = sp.diff(expr, part)
            for local, operand in zip(derivative_of(row), args, strict=True):
                inner = self.derivative(operand, x)
                total += outer * to_sympy(local, env) * inner if inner != 0 else 0
        return total

    def formula(self, expr: Any) -> Formula:
        """Translate, with the names written as the calls they stand for."""
        env: dict[Any, Formula] = {}
        for symbol, (row, args) in self.parts.items():
            env[symbol] = Call(row, tuple(from_sympy(a, env) for a in args))
        return from_sympy(expr, env)


def _exponent_beside_one(expr: Any) -> Any | None:
    """Give v for 1 + exp(v), None for anything else."""
    if not expr.is_Add or len(expr.args) != 2 or expr.args[0] != 1 or type(expr.args[1]).__name__ != "exp":
        return None
    return expr.args[1].args[0]


def prove(
    formula: Formula, name: str, stated: Formula, domain: Sequence[tuple[float, float]], bools: Sequence[str] = ()
) -> str:
    """Prove a stated derivative of a formula equal to SymPy's; return "symbolic" or "numeric".

    Expressions without choices must simplify to each other. All are compared with 50 digits at random points of the
    domain; where SymPy has no derivative (at jumps), with the difference quotient. Raises GradientError with the point.
    """
    import sympy as sp

    function = _exactly(_as_number(to_sympy(expand(formula))))
    claim = _exactly(to_sympy(expand(substitute(stated, {"out": formula}))))
    x = to_sympy(Var(name))
    reference, tolerance = sp.diff(function, x), sp.Float(10) ** (10 - _DIGITS)
    choices = function.has(sp.Piecewise) or claim.has(sp.Piecewise)
    if reference.has(sp.Derivative, sp.Subs, sp.DiracDelta, sp.Heaviside):
        h = sp.Rational(1, 10**20)
        reference = (function.subs(x, x + h) - function.subs(x, x - h)) / (2 * h)
        choices, tolerance = True, sp.Float(10) ** -15
    if not choices and sp.simplify(reference - claim) != 0:
        raise GradientError(f"{stated} is not proved to be the derivative of {formula} in {name}", got=str(reference))
    for point in _points(domain, bools):
        expected, got = (sp.N(_as_number(e).xreplace(point), _DIGITS) for e in (reference, claim))
        if not abs(expected - got) <= tolerance * (1 + abs(expected)):
            raise GradientError(
                f"{stated} is not the derivative of {formula} in {name}", got=f"{got} instead of {expected} at {point}"
            )
    return "numeric" if choices else "symbolic"


def _exactly(expr: Any) -> Any:
    """Take the decimals of floats at their word: 0.1 is 1/10."""
    import sympy as sp

    return expr.xreplace({number: sp.Rational(repr(float(number))) for number in expr.atoms(sp.Float)})


def _as_number(expr: Any) -> Any:
    """Count true as 1 and false as 0."""
    import sympy as sp
    from sympy.logic.boolalg import Boolean

    is_condition = isinstance(expr, Boolean) and not isinstance(expr, sp.Symbol)
    return sp.Piecewise((sp.Integer(1), expr), (sp.Integer(0), True)) if is_condition else expr


def _points(domain: Sequence[tuple[float, float]], bools: Sequence[str]) -> list[dict[Any, Any]]:
    """Draw rational points: exact, so that comparisons in both expressions decide alike."""
    import sympy as sp

    draw = random.Random(0)

    def value(name: str, low: float, high: float) -> Any:
        if name in bools:
            return sp.true if draw.random() < 0.5 else sp.false
        fraction = Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(draw.randrange(1, 10**6), 10**6)
        return sp.Rational(fraction.numerator, fraction.denominator)

    spans = list(zip(OPERANDS, domain, strict=False))
    return [{to_sympy(Var(name)): value(name, *span) for name, span in spans} for _ in range(_POINTS)]
