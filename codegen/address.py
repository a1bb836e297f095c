"""Sizes and indices as LLVM values: polynomials to 64-bit arithmetic, and how an index moves from lane to lane.

In: a `Size` and the `Scope` that says what its names stand for here. Out: scalars, vectors of i64, and for a memory
access in a vector loop its `Stride`: the index of lane 0 and the distance from lane to lane, where it has one.
It must not know buffers or values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from codegen.writer import Val, Writer
from symgrad.shape import FloorDiv, Name, Size, bounds, coefficient, names, substitute


@dataclass(frozen=True, slots=True)
class Lane:
    """The vector loop around: its variable is `base + lane` for lane in 0..width.

    Where the base is only known when the kernel runs, it is the variable's own name, bound to a scalar.
    """

    var: str
    width: int
    base: Size


@dataclass(slots=True)
class Indices:
    """What index names stand for: `fixed` by other sizes, `bound` by LLVM values (vectors: one value per lane).

    The right sides of `fixed` know only bound names and the lane's variable.
    """

    fixed: dict[str, Size] = field(default_factory=dict)
    bound: dict[str, Val] = field(default_factory=dict)
    lane: Lane | None = None
    memo: dict[Size, str] = field(default_factory=dict)  # scalars computed in a block that dominates this one

    def child(self) -> Indices:
        """Return the table for an inner block: it sees everything, what it adds stays inside."""
        return Indices(dict(self.fixed), dict(self.bound), self.lane, dict(self.memo))

    def resolved(self, size: Size) -> Size:
        """Return a size with fixed names replaced."""
        return substitute(size, self.fixed)  # type: ignore[no-any-return]

    def varying(self) -> set[str]:
        """Return the names that differ between lanes."""
        found = {name for name, value in self.bound.items() if value.lanes}
        return found | {self.lane.var} if self.lane else found


@dataclass(frozen=True, slots=True)
class Stride:
    """An index that is `base + lane * step`; both are the same in all lanes."""

    base: Size
    step: Size


def stride(size: Size, scope: Indices) -> Stride | None:
    """Return how a resolved index moves with the lane, or None where it does not move evenly."""
    varying = scope.varying()
    if scope.lane is None or names(size).isdisjoint(varying):
        return Stride(size, 0)
    step = coefficient(size, scope.lane.var)
    if step is None or names(size) & varying != {scope.lane.var}:
        return None
    return Stride(substitute(size, {scope.lane.var: scope.lane.base}), step)


def scalar(size: Size, scope: Indices, out: Writer) -> str:
    """Write a resolved size whose names are all the same in every lane, and return it as an i64."""
    if isinstance(size, int):
        return str(size)
    if size not in scope.memo:
        scope.memo[size] = _polynomial(size, scope, out, 0).text
    return scope.memo[size]


def vector(size: Size, scope: Indices, out: Writer) -> Val:
    """Write any resolved size in a vector loop: a scalar where it does not vary, else a vector of i64."""
    if names(size).isdisjoint(scope.varying()):
        return Val(scalar(size, scope, out))
    assert scope.lane is not None
    return _polynomial(size, scope, out, scope.lane.width)


def lane_numbers(width: int) -> str:
    """Return the vector constant 0, 1, 2 ..."""
    return "<" + ", ".join(f"i64 {lane}" for lane in range(width)) + ">"


def _polynomial(size: Size, scope: Indices, out: Writer, lanes: int) -> Val:
    """Add up the terms: what loops do not change first, the constant last, where an address can take it in."""
    if isinstance(size, int):
        return Val(str(size))
    constant = 0
    terms: list[Val] = []
    for factor, monomial in size.terms():
        if monomial:
            terms.append(_term(factor, monomial, scope, out, lanes))
        else:
            constant = factor
    terms.sort(key=lambda term: out.depth(term.text))
    total = reduce(lambda sum_, term: _binary("add", sum_, term, out), terms)
    return _binary("add", total, Val(str(constant)), out) if constant else total


def _term(factor: int, monomial: Any, scope: Indices, out: Writer, lanes: int) -> Val:
    product: Val | None = None
    for atom, power in monomial:
        value = _atom(atom, scope, out, lanes)
        for _ in range(power):
            product = value if product is None else _binary("mul", product, value, out)
    assert product is not None
    return product if factor == 1 else _binary("mul", product, Val(str(factor)), out)


def _atom(atom: Any, scope: Indices, out: Writer, lanes: int) -> Val:
    if isinstance(atom, Name):
        return _name(str(atom), scope, out, lanes)
    top, bottom = (vector(part, scope, out) if lanes else Val(scalar(part, scope, out))
                   for part in (atom.numerator, atom.denominator))  # fmt: skip
    low, least = bounds(atom.numerator)[0], bounds(atom.denominator)[0]
    plain = low is not None and low >= 0 and least is not None and least >= 0
    quotient = isinstance(atom, FloorDiv)
    if plain:  # also what LLVM turns into shifts and masks
        return _binary("udiv" if quotient else "urem", top, bottom, out)
    return _floored(quotient, top, bottom, out)


def _floored(quotient: bool, top: Val, bottom: Val, out: Writer) -> Val:
    """Divide towards minus infinity: correct the machine's division where remainder and divisor differ in sign."""
    rest = _binary("srem", top, bottom, out)
    signs = _binary("xor", rest, bottom, out)
    type_ = "i64" if not signs.lanes else f"<{signs.lanes} x i64>"
    bits = "i1" if not signs.lanes else f"<{signs.lanes} x i1>"
    zero = "0" if not signs.lanes else "zeroinitializer"
    differ = out.value(f"icmp slt {type_} {signs.text}, {zero}")
    uneven = out.value(f"icmp ne {type_} {out.splat(rest, 'i64', signs.lanes)}, {zero}")
    wrong = out.value(f"and {bits} {differ}, {uneven}")
    if quotient:
        borrow = Val(out.value(f"sext {bits} {wrong} to {type_}"), signs.lanes)
        return _binary("add", _binary("sdiv", top, bottom, out), borrow, out)
    carried = out.splat(_binary("add", rest, bottom, out), "i64", signs.lanes)
    kept = out.splat(rest, "i64", signs.lanes)
    return Val(out.value(f"select {bits} {wrong}, {type_} {carried}, {type_} {kept}"), signs.lanes)


def _name(name: str, scope: Indices, out: Writer, lanes: int) -> Val:
    if not (lanes and scope.lane and name == scope.lane.var):
        return scope.bound[name]
    width = scope.lane.width
    base = out.splat(Val(scalar(scope.lane.base, scope, out)), "i64", width)
    return Val(out.value(f"add <{width} x i64> {base}, {lane_numbers(width)}", "lane"), width)


def _binary(instruction: str, a: Val, b: Val, out: Writer) -> Val:
    lanes = a.lanes or b.lanes
    left, right = out.splat(a, "i64", lanes), out.splat(b, "i64", lanes)
    return Val(out.value(f"{instruction} {'i64' if not lanes else f'<{lanes} x i64>'} {left}, {right}"), lanes)
