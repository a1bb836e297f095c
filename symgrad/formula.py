"""The closed scalar language, and its door to SymPy.

In: formulas (`parse` reads them; the nodes stand in `notation.py`) and dimensions, or SymPy expressions. Out: SymPy
expressions, or formulas. SymPy is imported at the first call that needs it, and never sees a text that a user wrote. It
must not know which operators exist beyond the names it translates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from symgrad.atoms import FloorDiv, Name
from symgrad.dimension import set_sympy_door
from symgrad.errors import FormatError
from symgrad.notation import CONSTANTS, Call, Const, Formula, Num, Var, fold, parse, substitute, variables
from symgrad.shape import Size

__all__ = [
    "CONSTANTS", "Call", "Const", "Formula", "Num", "Var",
    "fold", "from_sympy", "has_sympy_form", "parse", "size_to_sympy", "substitute", "symbol_to_sympy", "to_sympy",
    "variables",
]  # fmt: skip


@cache
def _to_table() -> dict[str, Callable[..., Any]]:
    """Map operators to what they mean over the reals; NaN is no real number."""
    import sympy as sp

    def where(c: Any, a: Any, b: Any) -> Any:
        return sp.Piecewise((a, c), (b, True))

    def trunc(x: Any) -> Any:
        return sp.sign(x) * sp.floor(sp.Abs(x))

    return {
        "add": sp.Add, "multiply": sp.Mul, "power": sp.Pow, "negative": lambda x: -x, "subtract": lambda x, y: x - y,
        "divide": lambda x, y: x / y, "square": lambda x: x**2, "reciprocal": lambda x: 1 / x,
        "floor_divide": lambda x, y: sp.floor(x / y), "remainder": lambda x, y: x - y * sp.floor(x / y),
        "floor": sp.floor, "ceil": sp.ceiling, "round": lambda x: sp.floor(x + sp.Rational(1, 2)),  # ties aside
        "trunc": trunc, "fmod": lambda x, y: x - y * trunc(x / y),
        "abs": sp.Abs, "sign": sp.sign, "maximum": sp.Max, "minimum": sp.Min,
        "sqrt": sp.sqrt, "exp": sp.exp, "expm1": lambda x: sp.exp(x) - 1,
        "cbrt": lambda x: x ** sp.Rational(1, 3), "exp2": lambda x: 2**x,  # the root of what is not negative
        "log": sp.log, "log2": lambda x: sp.log(x) / sp.log(2), "log10": lambda x: sp.log(x) / sp.log(10),
        "log1p": lambda x: sp.log(1 + x), "logaddexp": lambda x, y: sp.log(sp.exp(x) + sp.exp(y)),
        "sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "asin": sp.asin, "acos": sp.acos, "atan": sp.atan,
        "sinh": sp.sinh, "cosh": sp.cosh, "tanh": sp.tanh, "asinh": sp.asinh, "acosh": sp.acosh, "atanh": sp.atanh,
        "atan2": sp.atan2, "hypot": lambda x, y: sp.sqrt(x**2 + y**2),
        "erf": sp.erf, "erfc": sp.erfc, "ndtr": lambda x: sp.erfc(-x / sp.sqrt(2)) / 2,
        "lgamma": sp.loggamma, "digamma": sp.digamma, "trigamma": sp.trigamma, "polygamma": sp.polygamma,
        "gelu_tanh": lambda x: x / (1 + sp.exp(-sp.sqrt(8 / sp.pi) * (x + sp.Rational(44715, 10**6) * x**3))),
        "sigmoid": lambda x: 1 / (1 + sp.exp(-x)), "softplus": lambda x: sp.log(1 + sp.exp(x)),
        "silu": lambda x: x / (1 + sp.exp(-x)), "mish": lambda x: x * sp.tanh(sp.log(1 + sp.exp(x))),
        "gelu": lambda x: x * sp.erfc(-x / sp.sqrt(2)) / 2, "softsign": lambda x: x / (1 + sp.Abs(x)),
        "relu": lambda x: where(x <= 0, 0, x), "where": where,
        "isnan": lambda x: sp.false, "isinf": lambda x: sp.false, "isfinite": lambda x: sp.true,
        "stop_gradient": lambda x: x,
        "equal": sp.Eq, "not_equal": sp.Ne, "less": sp.Lt, "less_equal": sp.Le,
        "greater": sp.Gt, "greater_equal": sp.Ge,
        "logical_and": sp.And, "logical_or": sp.Or, "logical_xor": sp.Xor, "logical_not": sp.Not,
    }  # fmt: skip


def has_sympy_form(name: str) -> bool:
    """Tell whether `to_sympy` knows an operator."""
    return name in _to_table()


def to_sympy(formula: Formula, env: Mapping[str, Any] | None = None) -> Any:
    """Give the SymPy expression of a formula; variables become real symbols, or what `env` gives for them.

    SymPy simplifies as it builds, so the way back need not give the same formula. Raises FormatError for an operator
    that has no SymPy counterpart.

    >>> to_sympy(parse("log(exp(x)) + where(x > 0, 1, 0)"))
    x + Piecewise((1, x > 0), (0, True))
    """
    import sympy as sp

    table, given = _to_table(), env or {}
    constants = {"pi": sp.pi, "inf": sp.oo, "highest": sp.oo, "lowest": -sp.oo, "nan": sp.nan}

    def leaf(node: Any) -> Any:
        if isinstance(node, Num):
            value = node.value
            short = isinstance(value, float) and (64 * value).is_integer()  # 0.5 is 1/2; 0.1 stays a float
            return sp.Rational(value) if short else sp.sympify(value)
        if isinstance(node, Const):
            return constants[node.name]
        return given[node.name] if node.name in given else sp.Symbol(node.name, real=True)

    def call(name: str, args: tuple[Any, ...]) -> Any:
        if name not in table:
            raise FormatError(f"operator {name!r} has no SymPy form", hint="Expand it into its formula first.")
        return table[name](*args)

    return fold(formula, leaf, call)


@cache
def _from_table() -> dict[str, Callable[..., Formula]]:
    """Map the names of SymPy's classes to formulas of their translated operands."""

    def chain(name: str) -> Callable[..., Formula]:
        def build(*operands: Formula) -> Formula:
            first, *rest = sorted(operands, key=lambda operand: isinstance(operand, Num))  # as one writes it: max(x, 0)
            for operand in rest:
                first = Call(name, (first, operand))
            return first

        return build

    def text(template: str) -> Callable[..., Formula]:
        return lambda *args: substitute(parse(template), dict(zip("xy", args, strict=False)))

    def polygamma(order: Formula, x: Formula) -> Formula:
        known = {Num(0): "digamma", Num(1): "trigamma"}
        return Call(known[order], (x,)) if order in known else Call("polygamma", (order, x))

    same = (
        "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
        "erf", "erfc", "floor", "sign",
    )  # fmt: skip
    return {
        **{name: text(f"{name}(x)") for name in same},
        "Abs": text("abs(x)"), "Max": chain("maximum"), "Min": chain("minimum"), "Mod": text("x % y"),
        "ceiling": text("ceil(x)"), "atan2": text("atan2(x, y)"), "loggamma": text("lgamma(x)"), "polygamma": polygamma,
        "Equality": text("x == y"), "Unequality": text("x != y"), "StrictLessThan": text("x < y"),
        "LessThan": text("x <= y"), "StrictGreaterThan": text("x > y"), "GreaterThan": text("x >= y"),
        "And": chain("logical_and"), "Or": chain("logical_or"), "Xor": chain("logical_xor"), "Not": text("~x"),
        "Pi": lambda: Const("pi"), "Exp1": lambda: parse("exp(1)"), "Infinity": lambda: Const("inf"),
        "NegativeInfinity": lambda: parse("-inf"), "BooleanTrue": lambda: Num(True), "BooleanFalse": lambda: Num(False),
    }  # fmt: skip


def from_sympy(expr: Any, env: Mapping[Any, Formula] | None = None) -> Formula:
    """Give the formula of a real SymPy expression; `env` says what symbols mean, others become variables of their name.

    Raises FormatError for what is no real function of its symbols in closed form: Heaviside, DiracDelta, an unevaluated
    Derivative or Subs, an unknown function, a complex number.

    >>> import sympy
    >>> x = sympy.Symbol("x", real=True)
    >>> str(from_sympy((1 - x)**2 / (3 * sympy.sqrt(x)) + sympy.Max(x, 0)))
    'maximum(x, 0) + square(1 - x) / (3 * sqrt(x))'
    """
    given = env or {}
    if expr in given:
        return given[expr]
    if expr.is_Symbol:
        return Var(expr.name)
    if expr.is_Rational:
        return _ratio(int(expr.p), int(expr.q))
    if expr.is_Float or (expr.is_number and type(expr).__name__ in ("GoldenRatio", "EulerGamma", "Catalan")):
        return Num(float(expr))
    special = {"Add": _from_sum, "Mul": _from_product, "Pow": _from_power, "Piecewise": _from_piecewise}
    kind = type(expr).__name__
    if kind in special:
        return special[kind](expr, given)
    if kind not in _from_table():
        raise FormatError(
            f"no operator computes SymPy's {expr}", hint="Write it with exp, log, sin, cos, tan, tanh, sinh, cosh, "
            "erf, loggamma, sqrt, Abs, sign, Max, Min, floor and Piecewise.",
        )  # fmt: skip
    return _from_table()[kind](*(from_sympy(a, given) for a in expr.args))


def _ratio(p: int, q: int) -> Formula:
    """Write p/q as an integer, as a float if that is exact and short, else as the quotient."""
    if q == 1:
        return Num(p)
    exact = q & (q - 1) == 0 and q <= 64 and p / q * q == p
    return Num(p / q) if exact else Call("divide", (Num(p), Num(q)))


def _from_sum(expr: Any, env: Mapping[Any, Formula]) -> Formula:
    """Write a sum in SymPy's printing order, a positive term first, negative terms subtracted."""
    terms = expr.as_ordered_terms()
    terms.sort(key=lambda t: t.could_extract_minus_sign() and not t.is_Add)  # stable: the order within each sign stays
    total = from_sympy(terms[0], env)
    for term in terms[1:]:
        minus = term.could_extract_minus_sign() and not term.is_Add
        total = Call("subtract" if minus else "add", (total, from_sympy(-term if minus else term, env)))
    return total


def _from_product(expr: Any, env: Mapping[Any, Formula]) -> Formula:
    """Write a product as number * numerator / denominator; a power of two below becomes a factor 0.5 or such."""
    number, rest = expr.as_coeff_Mul()
    if number == -1:
        return Call("negative", (from_sympy(rest, env),))
    factor = from_sympy(number, env)
    upper: list[Formula] = [factor] if isinstance(factor, Num) and number != 1 else []
    lower: list[Formula] = []
    if not isinstance(factor, Num):  # a fraction: its parts join numerator and denominator
        upper += [Num(int(number.p))] if number.p != 1 else []
        lower.append(Num(int(number.q)))
    for factor in rest.as_ordered_factors():
        exponent = factor.exp if factor.is_Pow else None
        if exponent is not None and exponent.is_Rational and exponent < 0:
            lower.append(from_sympy(1 / factor, env))
        else:
            upper.append(from_sympy(factor, env))
    top = _product(upper)
    return Call("divide", (top, _product(lower))) if lower else top


def _product(factors: list[Formula]) -> Formula:
    if not factors:
        return Num(1)
    result = factors[0]
    for factor in factors[1:]:
        result = Call("multiply", (result, factor))
    return result


def _from_power(expr: Any, env: Mapping[Any, Formula]) -> Formula:
    base, exponent = expr.base, expr.exp
    if exponent.is_Rational and exponent < 0:
        return Call("divide", (Num(1), from_sympy(1 / expr, env)))
    short = {2: "square", 0.5: "sqrt"}.get(float(exponent)) if exponent.is_Rational else None
    if short:
        return Call(short, (from_sympy(base, env),))
    return Call("power", (from_sympy(base, env), from_sympy(exponent, env)))


def _from_piecewise(expr: Any, env: Mapping[Any, Formula]) -> Formula:
    """Write the pieces as nested choices; where no condition holds the value is NaN, as in SymPy."""
    pieces = [(from_sympy(value, env), from_sympy(condition, env)) for value, condition in expr.args]
    result: Formula = Const("nan")
    for value, condition in reversed(pieces):
        result = value if condition is Num(True) else Call("where", (condition, value, result))
    return result


def symbol_to_sympy(name: str, **assumptions: bool) -> Any:
    """Give the SymPy symbol of a name: of a proposition if nothing is assumed, else of a number.

    >>> symbol_to_sympy("x", real=True).is_real
    True
    """
    import sympy as sp

    return sp.Symbol(name, **assumptions)


def size_to_sympy(size: Size) -> Any:
    """Give a dimension as a SymPy polynomial of non-negative integer symbols.

    >>> from symgrad.shape import dim
    >>> size_to_sympy(dim("N") // 4 * dim("M") + 1)
    M*floor(N/4) + 1
    """
    import sympy as sp

    if isinstance(size, int):
        return sp.Integer(size)

    def atom(node: Any) -> Any:
        if isinstance(node, Name):
            return sp.Symbol(str(node), integer=True, nonnegative=True)
        upper, lower = size_to_sympy(node.numerator), size_to_sympy(node.denominator)
        return sp.floor(upper / lower) if isinstance(node, FloorDiv) else sp.Mod(upper, lower)

    return sp.Add(*(c * sp.Mul(*(atom(a) ** power for a, power in monomial)) for c, monomial in size.terms()))


set_sympy_door(size_to_sympy)
