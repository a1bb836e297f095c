"""Symbolic sizes and indices: `Dim`, a canonical integer polynomial over names, floor quotients and remainders.

In: names, ints and the operators `+ - * // % **`. Out: a `Size`, that is an int wherever the result is constant and a
`Dim` otherwise; equal polynomials are equal by `==` and `hash`, however they were built.
Names stand for sizes >= 0; denominators are not zero. It must not know tensors, SymPy or NumPy: NumPy's integers come
in by `numbers.Integral`, and what leaves the algebra (`N / 2`, `N + 0.5`) goes to the hook of the operator layer.
"""

from __future__ import annotations

import keyword
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from numbers import Integral, Rational, Real
from typing import Any, NoReturn, Self, TypeAlias, Union

from symgrad import polynomial
from symgrad.atoms import AtomOfSize, Name, evaluate, interval, names, sort_key, substitute
from symgrad.errors import ShapeError
from symgrad.polynomial import CONSTANT, Key, Monomial, Terms

__all__ = ["Dim", "Shape", "Size", "dim", "evaluate", "names", "sort_key", "substitute", "set_node_hook"]

Size: TypeAlias = Union[int, "Dim"]
Shape: TypeAlias = tuple[Size, ...]
NodeHook: TypeAlias = Callable[[str, Any, Any], Any]
DivisionRule: TypeAlias = Callable[["Size", "Size"], "Size"]


class Dim:
    """A size that is not a constant: an immutable integer polynomial in canonical form. Make one with `dim`.

    >>> from symgrad.shape import dim
    >>> N, k = dim("N"), dim("k")
    >>> (N + 1) * 2 - N, (N - k) // 2 + 1, (2 * N) // 2 == N, N - N
    (N + 2, (N - k)//2 + 1, True, 0)
    """

    __slots__ = ("_hash", "_names", "_sorted", "_terms")
    _terms: Terms
    _hash: int
    _names: frozenset[str]
    _sorted: tuple[tuple[int, Monomial], ...]

    __array_ufunc__ = None  # NumPy's scalars and arrays then leave the operation to this class

    def __new__(cls, *_: object) -> Self:
        """Refuse: a Dim is made with `dim` and arithmetic."""
        raise TypeError('a Dim is made with dim("N") and arithmetic, not by its class')

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Dim is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Dim is immutable: cannot delete {name!r}")

    @property
    def names(self) -> frozenset[str]:
        """Return every name inside, those inside quotients and remainders included."""
        try:
            return self._names
        except AttributeError:
            found = frozenset(name for term in self._terms for atom, _ in term for name in atom.contained())
            _set_names(self, found)
            return found

    def terms(self) -> tuple[tuple[int, Monomial], ...]:
        """Return (coefficient, monomial) pairs in printing order; a monomial is a tuple of (atom, power)."""
        try:
            return self._sorted
        except AttributeError:
            _set_sorted(self, polynomial.sorted_terms(self._terms))
            return self._sorted

    def to_sympy(self) -> Any:
        """Give the size as a SymPy polynomial of non-negative integer symbols.

        >>> from symgrad.shape import dim
        >>> (dim("N") // 4 * dim("M") + 1).to_sympy()
        M*floor(N/4) + 1
        """
        return _doors["sympy"](self)

    def sort_key(self) -> Key:
        """Return a key of a total order of sizes that is the same in every process."""
        return sort_key(self)

    def evaluate(self, env: Mapping[str, int]) -> int:
        """Return the value for the given names; ShapeError names one that is missing."""
        total = 0
        for monomial, coefficient in self._terms.items():
            for atom, power in monomial:
                value = atom.value(env)
                coefficient *= value if power == 1 else value**power
            total += coefficient
        return total

    def substitute(self, env: Mapping[str, Size]) -> Size:
        """Return the size with all given names replaced at once."""
        if self.names.isdisjoint(env):
            return self
        total: Size = 0
        for monomial, coefficient in self._terms.items():
            product: Size = coefficient
            for atom, power in monomial:
                product = product * _replaced(atom, env) ** power
            total = total + product
        return total

    def __add__(self, other: Size) -> Size:
        other_size = as_size(other)
        if other_size is None:
            return _foreign("add", self, other, other)
        return from_terms(polynomial.add(self._terms, terms_of(other_size)))

    def __radd__(self, other: Size) -> Size:
        other_size = as_size(other)
        return _foreign("add", other, self, other) if other_size is None else self + other_size

    def __sub__(self, other: Size) -> Size:
        other_size = as_size(other)
        if other_size is None:
            return _foreign("subtract", self, other, other)
        return from_terms(polynomial.add(self._terms, polynomial.scale(terms_of(other_size), -1)))

    def __rsub__(self, other: Size) -> Size:
        other_size = as_size(other)
        return _foreign("subtract", other, self, other) if other_size is None else -self + other_size

    def __mul__(self, other: Size) -> Size:
        other_size = as_size(other)
        if other_size is None:
            return _foreign("multiply", self, other, other)
        if isinstance(other_size, int):
            return from_terms(polynomial.scale(self._terms, other_size))
        return from_terms(polynomial.multiply(self._terms, other_size._terms))

    def __rmul__(self, other: Size) -> Size:
        other_size = as_size(other)
        return _foreign("multiply", other, self, other) if other_size is None else self * other_size

    def __neg__(self) -> Size:
        return from_terms(polynomial.scale(self._terms, -1))

    def __pos__(self) -> Size:
        return self

    def __pow__(self, exponent: int) -> Size:
        size = as_size(exponent)
        if size is None:
            return _foreign("power", self, exponent, exponent)
        if isinstance(size, Dim):
            return _leave_algebra("power", self, exponent)
        if size < 0:
            raise ValueError(f"({self})**{size}: a size has no negative power; write 1 / x**{-size}")
        out: Size = 1
        for _ in range(size):
            out = out * self
        return out

    def __rpow__(self, base: Any) -> Any:
        size = as_size(base)
        return _foreign("power", base, self, base) if size is None else _leave_algebra("power", size, self)

    def __truediv__(self, other: Any) -> Any:
        size = as_size(other)
        return _foreign("divide", self, other, other) if size is None else _leave_algebra("divide", self, size)

    def __rtruediv__(self, other: Any) -> Any:
        size = as_size(other)
        return _foreign("divide", other, self, other) if size is None else _leave_algebra("divide", size, self)

    def __floordiv__(self, other: Size) -> Size:
        size = as_size(other)
        return NotImplemented if size is None else _division["//"](self, size)

    def __rfloordiv__(self, other: Size) -> Size:
        size = as_size(other)
        return NotImplemented if size is None else _division["//"](size, self)

    def __mod__(self, other: Size) -> Size:
        size = as_size(other)
        return NotImplemented if size is None else _division["%"](self, size)

    def __rmod__(self, other: Size) -> Size:
        size = as_size(other)
        return NotImplemented if size is None else _division["%"](size, self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim):
            return self is other or self._terms == other._terms
        return False if isinstance(other, Real) else NotImplemented

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            _set_hash(self, hash(frozenset(self._terms.items())))
            return self._hash

    def __lt__(self, other: Size) -> bool:
        size = as_size(other)
        return NotImplemented if size is None else _decide(size - self - 1, self, "<", size)

    def __le__(self, other: Size) -> bool:
        size = as_size(other)
        return NotImplemented if size is None else _decide(size - self, self, "<=", size)

    def __gt__(self, other: Size) -> bool:
        size = as_size(other)
        return NotImplemented if size is None else _decide(self - size - 1, self, ">", size)

    def __ge__(self, other: Size) -> bool:
        size = as_size(other)
        return NotImplemented if size is None else _decide(self - size, self, ">=", size)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"the symbolic size {self} has no truth value; compare it, as in `size == 1`")

    def __index__(self) -> NoReturn:
        raise TypeError(f"the symbolic size {self} has no int value until its dimensions are bound; see evaluate()")

    __int__ = __index__

    def __str__(self) -> str:
        return polynomial.text(self._terms)

    __repr__ = __str__

    def __copy__(self) -> Dim:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Dim:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return from_terms, ({monomial: coefficient for coefficient, monomial in self.terms()},)


# The slots' own setters: the one way past `__setattr__`, for construction and the lazily filled caches.
_new: Callable[[type[Dim]], Dim] = object.__new__
_set_terms: Callable[[Dim, Terms], None] = Dim.__dict__["_terms"].__set__
_set_hash: Callable[[Dim, int], None] = Dim.__dict__["_hash"].__set__
_set_names: Callable[[Dim, frozenset[str]], None] = Dim.__dict__["_names"].__set__
_set_sorted: Callable[[Dim, Any], None] = Dim.__dict__["_sorted"].__set__

_node_hook: NodeHook | None = None


def set_node_hook(hook: NodeHook | None) -> None:
    """Register `hook(op_name, left, right)`, called where arithmetic leaves the algebra: `N / 2`, `N + 0.5`, `2**N`."""
    global _node_hook
    _node_hook = hook


def dim(name: str) -> Dim:
    """Return the symbolic size with this name; equal names give equal sizes.

    Raises ShapeError (a ValueError) if `name` is not a Python identifier.

    >>> dim("N") * dim("M") == dim("M") * dim("N")
    True
    """
    if not isinstance(name, str):
        raise TypeError(f"a dimension's name is a string, not {type(name).__name__}: {name!r}")
    return _named(name)


@lru_cache(maxsize=4096)
def _named(name: str) -> Dim:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ShapeError(f"{name!r} cannot name a dimension", hint='Use a Python identifier, as in dim("N").')
    made = _new(Dim)
    _set_terms(made, {((Name(name), 1),): 1})
    return made


def from_terms(terms: Terms) -> Size:
    """Return the size with these terms (which it keeps): an int where they are constant."""
    if len(terms) <= 1:
        if not terms:
            return 0
        if CONSTANT in terms:
            return terms[CONSTANT]
    made = _new(Dim)
    _set_terms(made, terms)
    return made


def from_atom(atom: AtomOfSize) -> Size:
    """Return the size that is this one atom."""
    return from_terms({((atom, 1),): 1})


def terms_of(size: Size) -> Terms:
    """Return the terms of a size; not to be modified."""
    if isinstance(size, int):
        return {CONSTANT: size} if size else {}
    return size._terms


def as_size(value: object) -> Size | None:
    """Return `value` as a size: a Dim or a plain int; None for another type; TypeError for a bool."""
    if type(value) is int or isinstance(value, Dim):
        return value
    if isinstance(value, bool):
        raise TypeError(f"{value} is not a size: use an int")
    return operator.index(value) if isinstance(value, Integral) else None


def checked_size(value: object) -> Size:
    """Return `value` as a size; TypeError for what is none."""
    size = as_size(value)
    if size is None:
        raise TypeError(f"a size is an int or a Dim, not {type(value).__name__}: {value!r}")
    return size


_division: dict[str, DivisionRule] = {}


def set_division_rules(floor_divide: DivisionRule, remainder: DivisionRule) -> None:
    """Register what `//` and `%` mean for a Dim; `division.py` does so when it is imported."""
    _division.update({"//": floor_divide, "%": remainder})


_doors: dict[str, Callable[[Size], Any]] = {}


def set_sympy_door(convert: Callable[[Size], Any]) -> None:
    """Register what turns a size into a SymPy expression; `formula.py` does so when it is imported."""
    _doors["sympy"] = convert


def _replaced(atom: AtomOfSize, env: Mapping[str, Size]) -> Size:
    """Return what stands for an atom after replacing names."""
    if not isinstance(atom, Name):
        replaced: Size = atom.replaced(env)
        return replaced
    return checked_size(env[atom]) if atom in env else dim(atom)


def _foreign(op: str, left: Any, right: Any, other: object) -> Size:
    """Handle an operand that is no size: a real number makes a node, any other type gets its own chance."""
    if isinstance(other, Real) and not isinstance(other, Rational):
        return _leave_algebra(op, left, right)
    return NotImplemented  # type: ignore[no-any-return]


def _leave_algebra(op: str, left: Any, right: Any) -> Size:
    """Hand an operation whose result is no size to the operator layer; typed as the operators are for sizes."""
    if _node_hook is None:
        raise TypeError(f"{op} of {left} and {right} is not an integer size; use + - * // %")
    node: Size = _node_hook(op, left, right)
    return node


def _decide(difference: Size, left: Size, relation: str, right: Size) -> bool:
    """Return whether difference >= 0; TypeError where that depends on the sizes."""
    low, high = interval(difference)
    if low is not None and low >= 0:
        return True
    if high is not None and high < 0:
        return False
    raise TypeError(f"whether {left} {relation} {right} depends on the sizes; evaluate them first")
