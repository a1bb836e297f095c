"""Rules of systems of equations: a solution is linear in its right-hand side, and one elimination serves many of them.

In: `solve` and `triangular_solve`, for vectors or for matrices of right-hand sides, and `inv`. Out: rules to fewer
eliminations, scalar factors outside, and inverses only where one is wanted: inv(A) @ b is the solution of a system,
which costs less and loses less. It must not know how elimination runs.
"""

from __future__ import annotations

from symgrad.expr import Expr, literal
from symgrad.ops.fill import eye
from symgrad.ops.moves import is_transposed, permuted, reshaped, transposed
from symgrad.ops.row import ROWS
from symgrad.pattern import op, variables
from symgrad.rewrite import Context, Rule, RuleClass, rule, structural
from symgrad.rules.examples import tensor
from symgrad.rules.identity import diagonal_of
from symgrad.rules.scale import Scaled, join, joined, split
from symgrad.shape import dim, product, repeated_axes

BITWISE, REAL, REFINES = RuleClass.BITWISE, RuleClass.REAL, RuleClass.REFINES
SYSTEMS = ("solve", "triangular_solve")
A, b = variables("A b")
n = dim("n")


def _matrix(*batch: object) -> Expr:
    return tensor("A", *batch, 3, 3)


def _solved(matrix: Expr, right: Expr, like: Expr) -> Expr:
    """Solve another system of the kind that a node is."""
    return ROWS[like.op](matrix, right, **like.attrs)


def _triangular(matrix: Expr, right: Expr) -> Expr:
    return ROWS["triangular_solve"](matrix, right, lower=True)


# -- linearity -----------------------------------------------------------------------------------------------------


def _scaled_systems() -> list[Expr]:
    M, v, B, s = _matrix(), tensor("v", 3), tensor("B", 3, n), tensor("s")
    return [
        ROWS["solve"](M, -0.5 * v), ROWS["solve"](M / n, s * B / n), _triangular(2 * M, v / s), ROWS["inv"](M / n),
        ROWS["inv"](-s * M),
    ]  # fmt: skip


@structural(
    "scale_solve", "solve triangular_solve inv", "solve(a * A, b * B)", "(b / a) * solve(A, B)", REAL,
    condition="a, b have rank 0; also inv(a * A)", examples=_scaled_systems,
)  # fmt: skip
def scale_solve(node: Expr, context: Context) -> Expr | None:
    """Move scalar factors out of a system."""
    parts = [split(x, context) for x in node.args]
    if all(part.is_trivial for part in parts) or any(part.core is None for part in parts):
        return None
    core = ROWS[node.op](*(part.core for part in parts if part.core is not None), **node.attrs)
    above, below = parts[1] if len(parts) > 1 else Scaled(1.0, None), parts[0]
    whole = Scaled(
        above.number * below.divisor, core, above.factors + below.divisors, above.divisor * below.number,
        above.divisors + below.factors, above.size * below.divisor_size, above.divisor_size * below.size,
    )  # fmt: skip
    return joined(whole, node)


def _two_systems() -> list[Expr]:
    M, v, w, s = _matrix(), tensor("v", 3), tensor("w", 3), tensor("s")
    return [
        ROWS["solve"](M, v) + ROWS["solve"](M, w), s * ROWS["solve"](M, v) - 2 * ROWS["solve"](M, w),
        _triangular(M, v) - _triangular(M, w),
    ]  # fmt: skip


@structural(
    "add_solves", "add subtract", "a * solve(A, B) + b * solve(A, C)", "solve(A, a * B + b * C)", REAL,
    condition="a, b have rank 0; nothing else uses the solutions", examples=_two_systems,
)  # fmt: skip
def add_solves(node: Expr, context: Context) -> Expr | None:
    """Solve once for the sum of two right-hand sides."""
    if not node.dtype.is_float:
        return None
    first, second = (split(x, context) for x in node.args)
    x, y = first.core, second.core
    if x is None or y is None or x is y or x.op not in SYSTEMS or x.op != y.op or x.shape != y.shape:
        return None
    if x.args[0] is not y.args[0] or x.attrs != y.attrs or not (context.owns(x, x.op) and context.owns(y, y.op)):
        return None
    sides = [_with_core(part, solution.args[1]) for part, solution in ((first, x), (second, y))]
    return _solved(x.args[0], ROWS[node.op](*(join(side, node) for side in sides)), x)


def _with_core(s: Scaled, core: Expr) -> Scaled:
    return Scaled(s.number, core, s.factors, s.divisor, s.divisors, s.size, s.divisor_size)


# -- right-hand sides ----------------------------------------------------------------------------------------------


def _columns() -> list[Expr]:
    v, stack = tensor("v", 3), tensor("x", n, 3)
    return [
        ROWS["solve"](_matrix(), reshaped(v, (3, 1))), _triangular(_matrix(n), reshaped(stack, (n, 3, 1))),
    ]  # fmt: skip


@structural(
    "solve_column", " ".join(SYSTEMS), "solve(A, v[:, None])", "solve(A, v)[:, None]", BITWISE,
    condition="a reshape that adds the last axis", examples=_columns,
)  # fmt: skip
def solve_column(node: Expr, context: Context) -> Expr | None:
    """Solve for a vector rather than a matrix of one column."""
    matrix, right = node.args
    if right.ndim != matrix.ndim or right.op != "reshape" or right.args[0].shape != right.shape[:-1]:
        return None
    return reshaped(_solved(matrix, right.args[0], node), node.shape)


def _stacked_systems() -> list[Expr]:
    M, V, B, W = _matrix(), tensor("V", n, 3), tensor("B", n, 3, 2), tensor("W", 2, n, 3)
    wide = ROWS["broadcast_to"](M, shape=(n, 3, 3))
    partly = ROWS["broadcast_to"](tensor("A", 2, 1, 3, 3), shape=(2, n, 3, 3))
    return [ROWS["solve"](wide, V), _triangular(wide, B), ROWS["solve"](partly, W), ROWS["inv"](wide)]


@structural(
    "solve_of_repeated", "solve triangular_solve inv", "solve(broadcast_to(A), V)", "solve(A, V.T).T", REAL,
    condition="the right-hand sides of all copies become columns; an inverse is repeated", examples=_stacked_systems,
)  # fmt: skip
def solve_of_repeated(node: Expr, context: Context) -> Expr | None:
    """Eliminate once in a matrix that a batch repeats."""
    wide = node.args[0]
    if wide.op != "broadcast_to" or wide.args[0].shape[-2:] != wide.shape[-2:]:
        return None
    (matrix,), batch = wide.args, wide.ndim - 2
    if node.op == "inv":
        return ROWS["broadcast_to"](ROWS["inv"](matrix), shape=node.shape)
    gone = repeated_axes(matrix.shape, wide.shape)
    kept = [axis for axis in range(batch) if axis not in gone]
    matrix = reshaped(matrix, (*(wide.shape[axis] for axis in kept), *wide.shape[batch:]))
    order = (*kept, batch, *gone, *range(batch + 1, node.ndim))
    columns = permuted(node.args[1], order)
    count = len(kept) + 1
    flat = reshaped(columns, (*columns.shape[:count], product(columns.shape[count:])))
    found = reshaped(_solved(matrix, flat, node), columns.shape)
    return permuted(found, [order.index(axis) for axis in range(node.ndim)])


# -- inverses ------------------------------------------------------------------------------------------------------


def _identity_systems() -> list[Expr]:
    identity = eye(3, dtype="float64")
    return [ROWS["solve"](_matrix(), identity)]


@structural(
    "solve_identity", "solve", "solve(A, eye)", "inv(A)", BITWISE, examples=_identity_systems
)  # fmt: skip
def solve_identity(node: Expr, context: Context) -> Expr | None:
    """Call the solution for the identity the inverse."""
    matrix, right = node.args
    found = diagonal_of(right) if right.ndim == matrix.ndim else None
    return ROWS["inv"](matrix) if found is not None and literal(found) == 1 else None


def _turned_inverses() -> list[Expr]:
    return [ROWS["inv"](transposed(_matrix())), ROWS["inv"](transposed(_matrix(n)))]


@structural("inv_of_transpose", "inv", "inv(A.T)", "inv(A).T", REAL, examples=_turned_inverses)
def inv_of_transpose(node: Expr, context: Context) -> Expr | None:
    """Invert the matrix itself, for its inverse may be wanted, too."""
    (turned,) = node.args
    if not is_transposed(turned):
        return None
    inverse = ROWS["inv"](turned.args[0])
    context.shared.add(id(inverse))  # who else uses it is not known before the next pass
    return transposed(inverse)


def _inverse_products() -> list[Expr]:
    inverse, v, B = ROWS["inv"](_matrix()), tensor("v", 3), tensor("B", 3, n)
    stack = ROWS["inv"](_matrix(n))
    return [inverse @ v, transposed(inverse) @ B, v @ inverse, v @ transposed(inverse), stack @ tensor("C", n, 3, 2)]


@structural(
    "inv_times", "matmul", "inv(A) @ b", "solve(A, b)", REAL,
    condition="nothing else uses the inverse; also inv(A).T @ b, and v @ inv(A) for a vector",
    examples=_inverse_products,
)  # fmt: skip
def inv_times(node: Expr, context: Context) -> Expr | None:
    """Solve a system rather than multiply by an inverse: fewer operations, and the residual is small."""
    left, right = node.args
    matrix = _inverted(left, context)
    if matrix is not None and (right.ndim == 1 or right.shape[:-2] == matrix.shape[:-2]):
        return ROWS["solve"](matrix, right) if right.ndim > 1 or matrix.ndim == 2 else None
    matrix = _inverted(right, context)
    if matrix is not None and left.ndim == 1 and matrix.ndim == 2:
        return ROWS["solve"](_turned(matrix), left)
    return None


def _turned(x: Expr) -> Expr:
    return x.args[0] if is_transposed(x) else transposed(x)


def _inverted(x: Expr, context: Context) -> Expr | None:
    """Give the matrix of which x is the inverse, if x has no other user."""
    if context.owns(x, "inv"):
        return x.args[0]
    if context.owns(x, "transpose") and is_transposed(x) and context.owns(x.args[0], "inv"):
        return _turned(x.args[0].args[0])
    return None


SOLVING: tuple[Rule, ...] = (
    rule("inv_inv", op("inv", op("inv", A)), A, REFINES, examples=lambda: [ROWS["inv"](ROWS["inv"](_matrix()))]),
    rule(
        "solve_product", op("solve", A, A @ b), b, REFINES,
        examples=lambda: [ROWS["solve"](_matrix(), _matrix() @ tensor(k, *s)) for k, s in (("B", (3, n)), ("v", (3,)))],
    ),
    rule(
        "product_of_solve", A @ op("solve", A, b), b, REFINES,
        examples=lambda: [_matrix() @ ROWS["solve"](_matrix(), tensor("v", 3))],
    ),
    solve_identity,
    solve_column,
    solve_of_repeated,
    inv_of_transpose,
    scale_solve,
    add_solves,
    inv_times,
)  # fmt: skip
