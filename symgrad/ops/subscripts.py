"""The notation of `einsum`: what its letters mean, and the order in which several operands are multiplied.

In: a specification such as "ij,jk->ik" and operands. Out: sums, diagonals and transposes of single operands, and one
`contract` for each pair of them, in the order of the least number of multiplications. Sizes are polynomials: costs are
compared by degree, then by coefficients. It must not know how a contraction is computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from symgrad.dtypes import DType
from symgrad.errors import ShapeError
from symgrad.expr import Expr
from symgrad.ops.contract import pair
from symgrad.ops.fill import diagonal
from symgrad.ops.moves import permuted, reshaped
from symgrad.ops.row import COERCIONS, ROWS, as_expr, cast, describe, where_text
from symgrad.shape import Size, product

__all__ = ["einsum"]

SEARCHED = 7  # operands up to which every order is tried
Order = int | tuple["Order", "Order"]  # an operand's position, or two parts to be multiplied


@dataclass(slots=True)
class _Term:
    """A tensor and the label of each of its axes."""

    node: Expr
    labels: tuple[str, ...]


def einsum(spec: str, *operands: Any) -> Expr:
    """Multiply tensors with labelled axes and sum over the labels that the result does not have, as NumPy does.

    - `spec`: letters for the axes of each operand, then those of the result: `"ij,jk->ik"`. A letter given twice in an
      operand takes its diagonal; `...` stands for leading axes, which broadcast. Without `->` the result has the
      letters that occur once, in alphabetical order.

    Several operands are multiplied in the cheapest order. Raises ShapeError where a letter has two sizes, ValueError
    for what is no specification.

    >>> import symgrad as sg
    >>> A, B = sg.symbol("A", (2, 3)), sg.symbol("B", (3, 5))
    >>> sg.einsum("ij,jk->ik", A, B), sg.einsum("ij->ji", A).shape, sg.einsum("ii", A @ A.T).shape
    (einsum('ij,jk->ik', A, B), (3, 2), ())
    """
    if not isinstance(spec, str):
        raise TypeError(f"einsum: the specification is a string like 'ij,jk->ik', not {type(spec).__name__}")
    if not operands:
        raise TypeError("einsum takes one operand at least")
    args = COERCIONS["same"]("einsum", tuple(map(as_expr, operands)))
    if args[0].dtype is DType.BOOL:
        args = COERCIONS["arithmetic"]("einsum", args)
    inputs, out = _read(spec, args)
    sizes = _sizes(spec, args, inputs)
    missing = [label for label in out if label not in sizes]
    if missing:
        raise ValueError(f"einsum: {missing[0]!r} of the result is in no operand of {spec!r}")
    terms = [_without_units(_Term(x, labels), sizes) for x, labels in zip(args, inputs, strict=True)]
    for position, term in enumerate(terms):
        others = [other.labels for other in terms if other is not term]
        terms[position] = _summed(_diagonals(term), set(out).union(*others))
    whole = _multiplied(terms, _order(terms, out, sizes), out)
    return _as_result(whole, out, sizes)


# -- reading -------------------------------------------------------------------------------------------------------


def _read(spec: str, args: Sequence[Expr]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Give the labels of every operand and of the result; leading axes are labelled by their place from the right."""
    left, arrow, right = spec.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(args):
        raise ValueError(f"einsum: {spec!r} names {len(parts)} operands, {len(args)} are given")
    leading = [x.ndim - len(part.replace("...", "")) for part, x in zip(parts, args, strict=True)]
    for part, count, x in zip(parts, leading, args, strict=True):
        if count < 0 or (count > 0 and "..." not in part):
            what = f"einsum: {part!r} does not label the axes"
            raise ShapeError(what, got=describe(x), where=where_text(args), hint="One letter for each axis.")
    inputs = [_labels(part, count, spec) for part, count in zip(parts, leading, strict=True)]
    most = max((count for part, count in zip(parts, leading, strict=True) if "..." in part), default=0)
    if arrow:
        out = _labels(right, most if "..." in right else 0, spec)
        if len(set(out)) != len(out):
            raise ValueError(f"einsum: the result of {spec!r} has a label twice")
        if most and "..." not in right:
            raise ValueError(f"einsum: the result of {spec!r} has no place for the leading axes")
        return inputs, out
    counts = [label for labels in inputs for label in labels]
    once = sorted({label for label in counts if counts.count(label) == 1 and label.isalpha()})
    return inputs, (*_leading(most), *once)


def _labels(part: str, leading: int, spec: str) -> tuple[str, ...]:
    before, dots, after = part.partition("...")
    for letter in (*before, *after):
        if not (letter.isascii() and letter.isalpha()):
            raise ValueError(f"einsum: {letter!r} in {spec!r} is no letter")
    return (*before, *(_leading(leading) if dots else ()), *after)


def _leading(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count - 1, -1, -1)))


def _sizes(spec: str, args: Sequence[Expr], inputs: Sequence[tuple[str, ...]]) -> dict[str, Size]:
    """Give the size of every label; axes of size 1 stretch."""
    sizes: dict[str, Size] = {}
    for x, labels in zip(args, inputs, strict=True):
        for label, size in zip(labels, x.shape, strict=True):
            known = sizes.get(label, 1)
            if known == 1 or size in (1, known):
                sizes[label] = size if known == 1 else known
                continue
            what = f"einsum {spec!r}: the sizes of {label!r} differ"
            got = f"{', '.join(map(describe, args))}; {known} != {size}"
            raise ShapeError(what, got=got, where=where_text(args))
    return sizes


# -- one operand ---------------------------------------------------------------------------------------------------


def _without_units(term: _Term, sizes: dict[str, Size]) -> _Term:
    """Drop the axes of size 1 that other operands stretch."""
    kept = [i for i, label in enumerate(term.labels) if term.node.shape[i] != 1 or sizes[label] == 1]
    if len(kept) == term.node.ndim:
        return term
    shape = tuple(term.node.shape[i] for i in kept)
    return _Term(ROWS["reshape"](term.node, shape=shape), tuple(term.labels[i] for i in kept))


def _diagonals(term: _Term) -> _Term:
    """Take the diagonal of axes with the same label; it stands last."""
    while len(set(term.labels)) < len(term.labels):
        label = next(label for label in term.labels if term.labels.count(label) > 1)
        first = term.labels.index(label)
        second = term.labels.index(label, first + 1)
        rest = tuple(own for i, own in enumerate(term.labels) if i not in (first, second))
        term = _Term(diagonal(term.node, axis1=first, axis2=second), (*rest, label))
    return term


def _summed(term: _Term, needed: Set[str]) -> _Term:
    """Sum over the labels that nothing else needs."""
    axes = tuple(i for i, label in enumerate(term.labels) if label not in needed)
    if not axes:
        return term
    total = cast(ROWS["sum"](term.node, axes=axes, keepdims=False), term.node.dtype)
    return _Term(total, tuple(label for label in term.labels if label in needed))


def _as_result(term: _Term, out: tuple[str, ...], sizes: dict[str, Size]) -> Expr:
    """Order the axes; a label of size 1 may have been dropped from every operand."""
    node, shape = term.node, tuple(sizes[label] for label in out)
    order = tuple(term.labels.index(label) for label in out if label in term.labels)
    return reshaped(permuted(node, order), shape)


# -- the order of several ------------------------------------------------------------------------------------------


def _multiplied(terms: Sequence[_Term], order: Order, out: tuple[str, ...]) -> _Term:
    """Multiply in this order; each product keeps the labels that the result or another operand needs."""

    def value(part: Order) -> tuple[_Term, frozenset[int]]:
        if isinstance(part, int):
            return terms[part], frozenset((part,))
        (a, of_a), (b, of_b) = value(part[0]), value(part[1])
        inside = of_a | of_b
        needed = _needed(terms, out, inside)
        both = tuple(dict.fromkeys((*a.labels, *b.labels)))
        whole = len(inside) == len(terms)
        kept = tuple(label for label in (out if whole else both) if label in both and label in needed)
        return _Term(pair(a.node, a.labels, b.node, b.labels, kept), kept), inside

    return value(order)[0]


def _needed(terms: Sequence[_Term], out: Sequence[str], inside: Set[int]) -> set[str]:
    """List the labels that the result, or an operand outside of a product, needs."""
    return set(out).union(*(term.labels for i, term in enumerate(terms) if i not in inside))


def _order(terms: Sequence[_Term], out: Sequence[str], sizes: dict[str, Size]) -> Order:
    """Find the cheapest order: the best of all for few operands, pair by pair for many."""
    search = _Search(terms, out, sizes)
    return search.best() if len(terms) <= SEARCHED else search.greedy()


class _Search:
    """The orders of a product; a part is the set of its operands."""

    def __init__(self, terms: Sequence[_Term], out: Sequence[str], sizes: dict[str, Size]) -> None:
        self.terms, self.out, self.sizes = terms, out, sizes
        self.count = len(terms)

    def _labels(self, part: frozenset[int]) -> set[str]:
        """List the labels of a part's product."""
        own = set[str]().union(*(self.terms[i].labels for i in part))
        return own & _needed(self.terms, self.out, part)

    def _cost(self, a: frozenset[int], b: frozenset[int]) -> Size:
        """Count the multiplications of two parts."""
        return product(self.sizes[label] for label in sorted(self._labels(a) | self._labels(b)))

    def best(self) -> Order:
        """Try every order: the best of a part is the best of two parts of it."""
        found: dict[frozenset[int], tuple[Size, Order]] = {frozenset((i,)): (0, i) for i in range(self.count)}
        for length in range(2, self.count + 1):
            for members in itertools.combinations(range(self.count), length):
                found[frozenset(members)] = min(
                    (self._joined(found, *split) for split in _splits(members)), key=lambda entry: cost_key(entry[0])
                )
        return found[frozenset(range(self.count))][1]

    def _joined(
        self, found: dict[frozenset[int], tuple[Size, Order]], a: frozenset[int], b: frozenset[int]
    ) -> tuple[Size, Order]:
        return found[a][0] + found[b][0] + self._cost(a, b), (found[a][1], found[b][1])

    def greedy(self) -> Order:
        """Multiply the cheapest pair until one part is left, pairs that share a label first.

        Of equally cheap ones the one with the smallest product. (That the cheapest pair is often an outer product,
        which makes all that follows larger, is why labels come first: on average 1.3 times the best cost, not 1.9.)
        """
        parts: dict[frozenset[int], Order] = {frozenset((i,)): i for i in range(self.count)}

        def key(two: tuple[frozenset[int], frozenset[int]]) -> tuple[Any, ...]:
            a, b = map(self._labels, two)
            left = product(self.sizes[label] for label in sorted(self._labels(two[0] | two[1])))
            return a.isdisjoint(b), cost_key(self._cost(*two)), cost_key(left)

        while len(parts) > 1:
            a, b = min(itertools.combinations(parts, 2), key=key)
            parts[a | b] = (parts.pop(a), parts.pop(b))
        return next(iter(parts.values()))


def _splits(members: tuple[int, ...]) -> list[tuple[frozenset[int], frozenset[int]]]:
    """List the ways to cut a set in two; the first member is in the first part."""
    first, *rest = members
    whole = frozenset(members)
    parts = [frozenset((first, *chosen)) for size in range(len(rest)) for chosen in itertools.combinations(rest, size)]
    return [(part, whole - part) for part in parts]


def cost_key(cost: Size) -> tuple[int, ...]:
    """Order costs: by degree, then by the coefficients from the highest degree down.

    >>> from symgrad.shape import dim
    >>> n = dim("n")
    >>> cost_key(5), cost_key(3 * n * n + 2), cost_key(784 * n) < cost_key(n * n)
    ((0, 5), (2, 3, 0, 2), True)
    """
    if isinstance(cost, int):
        return 0, cost
    by_degree: dict[int, int] = {}
    for number, monomial in cost.terms():
        degree = sum(power for _, power in monomial)
        by_degree[degree] = by_degree.get(degree, 0) + number
    highest = max(by_degree)
    return (highest, *(by_degree.get(degree, 0) for degree in range(highest, -1, -1)))
