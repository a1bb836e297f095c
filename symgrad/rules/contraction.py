"""Rules of contractions: matrix products wherever one says it, and nothing multiplied that can be moved outside.

In: `matmul` and `contract` nodes, read as products with labelled axes. Out: rules to forms with fewer transposes,
smaller operands or fewer multiplications. It must not know sums of products (`summation.py`), the order of several
(`order.py`), scalar factors (`scale.py`) or one-hot rows (`onehot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.expr import Expr
from symgrad.ops.contract import Labels, canonical, pair
from symgrad.ops.moves import reshaped, stretched, transposed
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Contraction
from symgrad.rewrite import Context, Rule, RuleClass, structural
from symgrad.rules.examples import tensor
from symgrad.shape import Shape, dim, dropped_axes, repeated_axes

REAL = RuleClass.REAL
CONTRACTIONS = tuple(name for name, row in ROWS.items() if isinstance(row.structure, Contraction))
n = dim("n")


# -- products with labelled axes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Product:
    """The sum, over the labels that are not in `out`, of x * y, whose axes bear the labels `left` and `right`."""

    x: Expr
    left: Labels
    y: Expr
    right: Labels
    out: Labels

    @property
    def summed(self) -> tuple[int, ...]:
        """Give the labels that are summed."""
        return tuple(label for label in self.left if label not in self.out)

    def swapped(self) -> Product:
        """Give the same product with its operands exchanged."""
        return Product(self.y, self.right, self.x, self.left, self.out)

    def built(self) -> Expr:
        """Give the node: elementwise without a sum, a matrix product where one says it, a contraction elsewhere."""
        if not self.summed:
            return pair(self.x, self.left, self.y, self.right, self.out)
        found = [m for m in (_matrix_product(p) for p in (self, self.swapped())) if m is not None]
        if not found:
            labels = canonical(self.left, self.right, self.out)
            return ROWS["contract"](self.x, self.y, **labels)
        return min(found, key=_transposes)


def read(node: Expr, context: Context) -> Product | None:
    """Read a node that is a contraction; None for any other, and where axes of size 1 are stretched."""
    structure = ROWS[node.op].structure
    if not isinstance(structure, Contraction):
        return None
    (x, y), axes = node.args, structure.axes(node)
    sizes = dict(zip(axes.left, x.shape, strict=True))
    if any(sizes.get(label, size) != size for label, size in zip(axes.right, y.shape, strict=True)):
        return None
    return Product(x, axes.left, y, axes.right, axes.out)


def read_owned(node: Expr, context: Context) -> Product | None:
    """Read a contraction that nothing else uses; None for any other node."""
    return read(node, context) if node.op in CONTRACTIONS and context.owns(node, node.op) else None


def _any_is(node: Expr, op: str) -> bool:
    """Ask for an operand's operator before the axes are read, for most products are of something else."""
    return any(a.op == op for a in node.args)


def _matrix_product(p: Product) -> Expr | None:
    """Build `x @ y` of matrices, stacks and vectors, each with its last two axes exchanged if need be."""
    if len(p.summed) != 1 or not p.left or not p.right:
        return None
    (s,) = p.summed
    x, left = _turned_to(p.x, p.left, s, -1)
    y, right = _turned_to(p.y, p.right, s, -2)
    if left[-1] != s or right[-min(2, len(right))] != s:
        return None
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    if set(rows) & set(right) or set(columns) & set(left):
        return None
    batch = [list(left[:-2]), list(right[:-2])]
    shorter, longer = sorted(batch, key=len)
    if shorter != longer[len(longer) - len(shorter) :] or list(p.out) != [*longer, *rows, *columns]:
        return None
    return ROWS["matmul"](x, y)


def _turned_to(x: Expr, labels: Labels, label: int, place: int) -> tuple[Expr, Labels]:
    """Exchange the last two axes where that brings a label to its place."""
    if x.ndim < 2 or labels[place] == label or label not in labels[-2:]:
        return x, labels
    return transposed(x), (*labels[:-2], labels[-1], labels[-2])


def _transposes(node: Expr) -> int:
    return sum(a.op == "transpose" for a in node.args)


def without(x: Expr, labels: Sequence[int], dropped: Sequence[int]) -> tuple[Expr, Labels]:
    """Drop axes of size 1."""
    kept = [i for i, label in enumerate(labels) if label not in dropped]
    return reshaped(x, [x.shape[i] for i in kept]), tuple(labels[i] for i in kept)


def summed_over(x: Expr, labels: Labels, gone: Sequence[int], op: str = "sum") -> tuple[Expr, Labels]:
    """Sum, or average, over the axes with these labels."""
    axes = tuple(i for i, label in enumerate(labels) if label in gone)
    if not axes:
        return x, labels
    return ROWS[op](x, axes=axes, keepdims=False), tuple(label for label in labels if label not in gone)


def spread_to(x: Expr, labels: Sequence[int], out: Sequence[int], shape: Shape) -> Expr:
    """Repeat along the axes whose labels the result has and x has not; the others are in order."""
    sizes = iter(x.shape)
    return stretched(reshaped(x, [next(sizes) if label in labels else 1 for label in out]), shape)


# -- transposes and layouts ----------------------------------------------------------------------------------------


def _contract(x: Expr, left: str, y: Expr, right: str, out: str) -> Expr:
    return ROWS["contract"](x, y, **canonical(left, right, out))


def _turned_operands() -> list[Expr]:
    x, y = tensor("x", 2, n, 3), tensor("y", n, 3, 4)
    turned = ROWS["transpose"](x, axes=(1, 2, 0))
    return [_contract(turned, "ija", y, "ijk", "ak"), _contract(y, "ijk", turned, "ija", "ka")]


@structural(
    "contract_transpose", "contract", "einsum(transpose(x), y)", "einsum(x, y)", REAL,
    condition="the labels take up the order of the axes", examples=_turned_operands,
)  # fmt: skip
def contract_transpose(node: Expr, context: Context) -> Expr | None:
    """Read an operand where it stands: labels say what a transpose says."""
    p = read(node, context)
    if p is None or not any(a.op == "transpose" for a in node.args):
        return None
    x, left = in_place(p.x, p.left, context)
    y, right = in_place(p.y, p.right, context)
    return Product(x, left, y, right, p.out).built()


def in_place(x: Expr, labels: Labels, context: Context) -> tuple[Expr, Labels]:
    """Read what is transposed where it stands, with the labels in the order of its axes."""
    if x.op != "transpose":
        return x, labels
    place = dict(zip(x.attrs["axes"], labels, strict=True))
    return x.args[0], tuple(place[axis] for axis in range(x.ndim))


def _matrices() -> list[Expr]:
    x, W, v, s = tensor("x", n, 3), tensor("W", 3, 4), tensor("v", 3), tensor("s", 2, n, 3)
    return [
        _contract(x, "ij", W, "jk", "ik"), _contract(x, "ij", W, "jk", "ki"), _contract(W, "ij", v, "i", "j"),
        _contract(v, "i", v, "i", ""), _contract(s, "bij", W, "jk", "bik"), _contract(s, "bij", s, "bkj", "bki"),
    ]  # fmt: skip


@structural(
    "contract_matrices", "contract", "einsum('ij,jk->ik', x, y)", "x @ y", REAL,
    condition="the result of a matrix product, its operands transposed if need be", examples=_matrices,
)  # fmt: skip
def contract_matrices(node: Expr, context: Context) -> Expr | None:
    """Write a contraction as a product of matrices or stacks of them."""
    p = read(node, context)
    return None if p is None else p.built()


def _turned_results() -> list[Expr]:
    x, y, s = tensor("x", n, 3, 2), tensor("y", 3, n, 4), tensor("s", 2, n, 3)
    product = ROWS["matmul"](s, ROWS["transpose"](s, axes=(0, 2, 1)))
    return [
        ROWS["transpose"](_contract(x, "ija", y, "jik", "ak"), axes=(1, 0)),
        ROWS["transpose"](product, axes=(0, 2, 1)),
    ]  # fmt: skip


@structural(
    "transpose_of_contract", "transpose", "transpose(einsum(x, y))", "einsum(x, y)", REAL,
    condition="nothing else uses the product; a stack of matrix products is turned if an operand is",
    examples=_turned_results,
)  # fmt: skip
def transpose_of_contract(node: Expr, context: Context) -> Expr | None:
    """Let the labels of a contraction take up the order of the result's axes."""
    (inner,) = node.args
    p = read_owned(inner, context)
    if p is None:
        return None
    if inner.op == "matmul":
        if node.ndim == 2 or not _transposes(inner):
            return None  # matrices have a rule of their own
        x, left = in_place(p.x, p.left, context)
        y, right = in_place(p.y, p.right, context)
        p = Product(x, left, y, right, p.out)
    new = Product(p.x, p.left, p.y, p.right, tuple(p.out[a] for a in node.attrs["axes"])).built()
    return new if inner.op == "contract" or new.op == "matmul" else None


def _row_vectors() -> list[Expr]:
    return [ROWS["matmul"](tensor("v", 3), ROWS["transpose"](tensor("x", n, 3), axes=(1, 0)))]


@structural("vector_matmul_transpose", "matmul", "v @ A.T", "A @ v", REAL, examples=_row_vectors)
def vector_matmul_transpose(node: Expr, context: Context) -> Expr | None:
    """Put the vector on the side where the matrix needs no transpose."""
    v, A = node.args
    if v.ndim != 1 or A.ndim != 2 or A.op != "transpose":
        return None
    return ROWS["matmul"](A.args[0], v)


def _unit_operands() -> list[Expr]:
    v, W, u = tensor("v", 3), tensor("W", 3, 4), tensor("u", n)
    row, column = ROWS["reshape"](v, shape=(1, 3)), ROWS["reshape"](u, shape=(n, 1))
    return [row @ W, column @ row, _contract(column, "ij", tensor("x", n, 2), "ik", "jk")]


@structural(
    "contraction_of_units", " ".join(CONTRACTIONS), "x[None, :] @ y", "(x @ y)[None, :]", REAL,
    condition="reshape that only adds axes of size 1", examples=_unit_operands,
)  # fmt: skip
def contraction_of_units(node: Expr, context: Context) -> Expr | None:
    """Let axes of size 1 float outward from a product."""
    p = read(node, context) if _any_is(node, "reshape") else None
    if p is None:
        return None
    added = {*_added(p.x, p.left, context), *_added(p.y, p.right, context)}
    for x, labels in ((p.x, p.left), (p.y, p.right)):
        added -= {a for a in added if a in labels and a not in _added(x, labels, context) and a not in p.out}
    if not added:
        return None
    x, left = _stripped(p.x, p.left, added, context)
    y, right = _stripped(p.y, p.right, added, context)
    out = tuple(label for label in p.out if label in left or label in right)
    new = Product(x, left, y, right, out).built()
    if node.op == "matmul" and new.op == "contract":
        return None
    return reshaped(new, node.shape)


def _added(x: Expr, labels: Labels, context: Context) -> list[int]:
    """List the labels of the axes of size 1 that a reshape adds and does nothing else."""
    if x.op != "reshape":
        return []
    return [labels[axis] for axis in dropped_axes(x.shape, x.args[0].shape) or ()]


def _stripped(x: Expr, labels: Labels, added: set[int], context: Context) -> tuple[Expr, Labels]:
    """Take the axes away that a reshape added; one that stays is reshaped anew."""
    dropped = [a for a in _added(x, labels, context) if a in added]
    return without(x, labels, dropped)


# -- what can be moved outside -------------------------------------------------------------------------------------


def _repeated() -> list[Expr]:
    x, W, b, s = tensor("x", n, 3), tensor("W", 3, 4), tensor("b", 4), tensor("s")
    wide = ROWS["broadcast_to"](b, shape=(3, 4))
    column = ROWS["broadcast_to"](ROWS["reshape"](tensor("c", 3), shape=(3, 1)), shape=(3, 5))
    return [
        x @ wide, x @ column, ROWS["broadcast_to"](s, shape=(n, 3)) @ W,
        _contract(ROWS["broadcast_to"](b, shape=(n, 3, 4)), "ijk", x, "ij", "ik"),
    ]  # fmt: skip


@structural(
    "contraction_of_repeated", " ".join(CONTRACTIONS), "x @ broadcast_to(y)", "sum(x) * y", REAL,
    condition="the axes that are repeated need no product", examples=_repeated,
)  # fmt: skip
def contraction_of_repeated(node: Expr, context: Context) -> Expr | None:
    """Sum the other operand over axes along which one is repeated, or repeat the result."""
    p = read(node, context) if _any_is(node, "broadcast_to") else None
    if p is None:
        return None
    if p.x.op != "broadcast_to":
        p = p.swapped()
    if p.x.op != "broadcast_to":
        return None
    (inner,) = p.x.args
    repeated = [p.left[axis] for axis in repeated_axes(inner.shape, p.x.shape)]
    x, left = without(inner, p.left[p.x.ndim - inner.ndim :], repeated)
    y, right = summed_over(p.y, p.right, [label for label in repeated if label not in p.out])
    if y.dtype is not node.dtype:
        return None  # integers are summed in int64, and multiplied in their own dtype
    out = tuple(label for label in p.out if label in left or label in right)
    core = (Product(x, left, y, right, out) if p.x is node.args[0] else Product(y, right, x, left, out)).built()
    return spread_to(core, out, p.out, node.shape)


def _outer_operands() -> list[Expr]:
    g, v, W = tensor("g", n), tensor("v", 3), tensor("W", 3, 4)
    outer = ROWS["multiply"](ROWS["reshape"](g, shape=(n, 1)), v)
    return [outer @ W]


@structural(
    "contraction_of_outer", " ".join(CONTRACTIONS), "(u[:, None] * v) @ y", "u[:, None] * (v @ y)", REAL,
    condition="u has none of the summed axes, v not all of u's; nothing else uses the product",
    examples=_outer_operands,
)  # fmt: skip
def contraction_of_outer(node: Expr, context: Context) -> Expr | None:
    """Contract the factor that has the summed axes, then multiply by the other."""
    whole = read(node, context) if _any_is(node, "multiply") else None
    if whole is None:
        return None
    for p in (whole, whole.swapped()):
        if not context.owns(p.x, "multiply"):
            continue
        for u, v in (p.x.args, p.x.args[::-1]):
            (u, of_u), (v, of_v) = factor(u, p.x, p.left), factor(v, p.x, p.left)
            if set(of_u) & set(p.summed) or set(of_u) <= set(of_v):
                continue
            out = tuple(label for label in p.out if label in of_v or label in p.right)
            core = (Product(v, of_v, p.y, p.right, out) if p is whole else Product(p.y, p.right, v, of_v, out)).built()
            return pair(u, of_u, core, out, p.out)
    return None


def factor(x: Expr, whole: Expr, labels: Labels) -> tuple[Expr, Labels]:
    """Give an operand of an elementwise product without the axes along which it is repeated."""
    own = labels[len(labels) - x.ndim :]
    extent = dict(zip(labels, whole.shape, strict=True))
    return without(x, own, [label for label, size in zip(own, x.shape, strict=True) if size != extent[label]])


CONTRACTION: tuple[Rule, ...] = (
    contraction_of_repeated,
    contraction_of_units,
    contraction_of_outer,
    contract_transpose,
    contract_matrices,
    transpose_of_contract,
    vector_matmul_transpose,
)
