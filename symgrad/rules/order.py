"""The order of several matrix products: (A @ B) @ v is better computed as A @ (B @ v).

In: chains of `matmul` whose inner products nothing else uses. Out: the same chain with fewer multiplications, where
that is certain, for all sizes of SMALLEST and more. Chains of up to LONGEST factors are searched through; longer ones
are ordered in linear time, nearly as well. It must not know other operators.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.expr import Expr
from symgrad.ops.leaves import symbol
from symgrad.ops.moves import is_transposed, transposed
from symgrad.ops.row import ROWS
from symgrad.ops.subscripts import cost_key
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.shape import Name, Shape, Size, dim, names, product, substitute

REAL = RuleClass.REAL
SMALLEST = 2
LONGEST = 6
n, m = dim("n"), dim("m")

Order = tuple[int | None, ...]  # places of factors, and None where the last two values are multiplied


# -- costs ---------------------------------------------------------------------------------------------------------


def is_never_more(cost: Size, other: Size) -> bool:
    """Tell whether one count is at most the other whatever the sizes, SMALLEST or more, and is not the same.

    A size is written as a number that is not negative and SMALLEST: the difference then has no negative coefficient.

    >>> is_never_more(n * m, n * m * m), is_never_more(n * m, n + m), is_never_more(n, n)
    (True, False, False)
    """
    gain = other - cost
    if isinstance(gain, int):
        return gain > 0
    raised = substitute(gain, {name: dim(name) + SMALLEST for name in names(gain)})
    if isinstance(raised, int):
        return raised > 0
    return all(number > 0 and all(isinstance(a, Name) for a, _ in atoms) for number, atoms in raised.terms())


# -- chains --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chain:
    """Factors from left to right, the sizes between them (and before the first, after the last), and an order."""

    factors: tuple[Expr, ...]
    sizes: tuple[Size, ...]
    order: Order

    def cost(self, order: Order) -> Size:
        """Count the multiplications of an order."""
        total: Size = 0
        stack: list[tuple[int, int]] = []
        for step in order:
            if step is not None:
                stack.append((step, step + 1))
                continue
            (middle, last), (first, _) = stack.pop(), stack.pop()
            total = total + product((self.sizes[first], self.sizes[middle], self.sizes[last]))
            stack.append((first, last))
        return total

    def products(self, order: Order) -> list[Expr]:
        """Multiply in an order: all products, the whole last."""
        stack, made = list[Expr](), list[Expr]()
        for step in order:
            if step is None:
                right, left = stack.pop(), stack.pop()
                made.append(ROWS["matmul"](left, right))
            stack.append(made[-1] if step is None else self.factors[step])
        return made

    def best(self) -> Order:
        """Search for the cheapest order: that of a part is that of two parts of it."""
        count = len(self.factors)
        found: dict[tuple[int, int], tuple[Size, Order]] = {(i, i): (0, (i,)) for i in range(count)}
        for length in range(1, count):
            for i in range(count - length):
                j = i + length
                ends = product((self.sizes[i], self.sizes[j + 1]))
                ways = (_joined(found[i, k], found[k + 1, j], ends * self.sizes[k + 1]) for k in range(i, j))
                found[i, j] = min(ways, key=lambda way: cost_key(way[0]))
        return found[0, count - 1][1]

    def fanned(self) -> Order:
        """Find a good order in linear time, at most a sixth dearer than the best (Chin 1978).

        Large sizes between two factors are multiplied away first; then all products meet the smallest size.
        """
        sizes = self.sizes
        least = min(range(len(sizes)), key=lambda k: (cost_key(sizes[k]), k))
        ends, parts = [0], list[Order]()
        for k in range(len(self.factors)):
            parts.append((k,))
            ends.append(k + 1)
            while len(parts) > 1 and ends[-2] != least and self._is_bulge(ends[-3], ends[-2], ends[-1], least):
                right = parts.pop()
                parts[-1] = (*parts[-1], *right, None)
                del ends[-2]
        place = ends.index(least)
        steps: list[int | None] = [step for part in parts[:place] for step in part]
        steps += [None] * (place - 1)
        for number, part in enumerate(parts[place:]):
            steps += part if number == 0 else (*part, None)
        if 0 < place < len(parts):
            steps.append(None)
        return tuple(steps)

    def _is_bulge(self, a: int, b: int, c: int, least: int) -> bool:
        """Tell whether size b, between a and c, is better multiplied away than met with the smallest size."""
        before, at, after, small = (self.sizes[k] for k in (a, b, c, least))
        away = product((before, at, after)) + product((small, before, after))
        return cost_key(away) < cost_key(product((small, at)) * (before + after))


def _joined(a: tuple[Size, Order], b: tuple[Size, Order], cost: Size) -> tuple[Size, Order]:
    return a[0] + b[0] + cost, (*a[1], *b[1], None)


@dataclass(frozen=True, slots=True)
class _Place:
    """A part of a chain while it is read: whether it stands transposed, and before or behind what it meets.

    A product with a vector is a vector: a row where it stands before a matrix, a column behind one.
    """

    node: Expr
    turned: bool
    is_before: bool


def read_chain(node: Expr, context: Context) -> Chain | None:
    """Read a product as a chain; None where it has two factors only. Of stacks at most LONGEST factors are read."""
    a, b = node.args
    batch = a.shape[:-2] if a.ndim == b.ndim > 2 and a.shape[:-2] == b.shape[:-2] else None
    if batch is None and b.ndim > 2:
        return None
    most = LONGEST if a.ndim > 2 else None
    factors: list[_Place] = []
    order: list[int | None] = []
    stack: list[_Place | None] = [None, _Place(b, False, False), _Place(a, False, True)]
    while stack:
        place = stack.pop()
        if place is None:
            order.append(None)
            continue
        parts = _taken(place, batch, context) if most is None or len(factors) + len(stack) < most else None
        if parts is not None:
            stack += (None, *parts[::-1])
            continue
        order.append(len(factors))
        factors.append(place)
    if len(factors) == 2:
        return None
    extents = [_extents(place) for place in factors]
    sizes = (extents[0][0], *(columns for _, columns in extents))
    return Chain(tuple(transposed(p.node) if p.turned else p.node for p in factors), sizes, tuple(order))


def _taken(place: _Place, batch: Shape | None, context: Context) -> tuple[_Place, _Place] | None:
    """Take a product apart that nothing else uses; reversed where it stands transposed."""
    node, turned = place.node, place.turned
    if context.owns(node, "transpose") and is_transposed(node):
        node, turned = node.args[0], not turned
    if not context.owns(node, "matmul"):
        return None
    a, b = node.args
    if batch is None:
        # A stack of matrices times a vector has rows for its last axis: as a matrix it is no product of these two.
        fits = b.ndim <= 2 and (a.ndim <= 2 or (b.ndim == 2 and not turned))
    else:
        fits = a.ndim == b.ndim and a.shape[:-2] == b.shape[:-2] == batch
    if not fits:
        return None
    if node.ndim == 1:
        turned = place.is_before != (a.ndim == 1)
    first, second = (b, a) if turned else (a, b)
    return _Place(first, turned, True), _Place(second, turned, False)


def _extents(place: _Place) -> tuple[Size, Size]:
    """Give rows and columns; the leading axes of a first factor are rows, too."""
    shape = place.node.shape
    if len(shape) == 1:
        return (1, shape[0]) if place.is_before else (shape[0], 1)
    return (shape[-1], shape[-2]) if place.turned else (product(shape[:-1]), shape[-1])


# -- rules ---------------------------------------------------------------------------------------------------------


def _chains() -> list[Expr]:
    A, B, v, w, S = (
        symbol(name, shape, "float64")
        for name, shape in (("A", (n, 3)), ("B", (3, 5)), ("v", (5,)), ("w", (n,)), ("S", (2, n, 7)))
    )
    T = symbol("T", (2, 7, 3), "float64")
    return [
        (A @ B) @ v, transposed(A @ B) @ w, w @ (A @ B), (A @ B @ v) @ (A @ B), (T @ B) @ v,
        (S @ T) @ transposed(symbol("U", (2, 1, 3), "float64")),
    ]  # fmt: skip


@structural(
    "matmul_order", "matmul", "(A @ B) @ v", "A @ (B @ v)", REAL,
    condition=f"fewer multiplications for all sizes of {SMALLEST} and more; nothing else uses A @ B", examples=_chains,
)  # fmt: skip
def matmul_order(node: Expr, context: Context) -> Expr | None:
    """Multiply a chain of matrices in a cheaper order; the whole chain decides, not the products inside."""
    if id(node) in context.inner or not any(a.op in ("matmul", "transpose") for a in node.args):
        return None
    chain = read_chain(node, context)
    if chain is None:
        return None
    order = chain.best() if len(chain.factors) <= LONGEST else chain.fanned()
    if not is_never_more(chain.cost(order), chain.cost(chain.order)):
        return None
    *inside, whole = chain.products(order)
    context.inner.update(map(id, inside))
    return whole


ORDER: tuple[Rule, ...] = (matmul_order,)
