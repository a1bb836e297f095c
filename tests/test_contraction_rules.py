"""The algebra of contractions: matrix form, what moves outside, orders by cost, one-hot rows, out of shared values."""

import numpy as np
import pytest
from formulas import N, symbol

import symgrad as sg
from symgrad.errors import IndexRangeError
from symgrad.expr import topological
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Contraction
from symgrad.rewrite import Context, Rewriter, dispatch
from symgrad.rules import TABLE
from symgrad.rules.contraction import CONTRACTION
from symgrad.rules.onehot import ONE_HOT
from symgrad.rules.order import LONGEST, ORDER, is_never_more
from symgrad.rules.summation import SUMMATION
from symgrad.shape import evaluate as size_value
from symgrad.simplifier import _uses

M = sg.dim("M")
BOUND = {"N": 4, "M": 5, "n": 4}
A, B, C = symbol("A", (N, 3)), symbol("B", (3, M)), symbol("C", (M, 2))
S, T = symbol("S", (3, 3)), symbol("T", (3, 3))
u, v, w = symbol("u", (N,)), symbol("v", (3,)), symbol("w", (M,))
s, t = symbol("s"), symbol("t")
stack, other = symbol("stack", (2, N, 3)), symbol("other", (2, 3, M))
i = symbol("i", (N,), "int32")


def broadcast(a, *shape):
    return ROWS["broadcast_to"](a, shape=shape)


def environment(nodes):
    """Draw values for the symbols of expressions, integers below 3."""
    rng = np.random.default_rng(0)
    env = {sg.dim(name): size for name, size in BOUND.items()}
    for node in topological(nodes):
        if node.op == "symbol":
            shape = [size_value(size, BOUND) for size in node.shape]
            env[node] = rng.integers(-3, 3, shape) if node.dtype.is_integer else rng.uniform(-1, 1, shape)
    return env


def check_equal(before, after):
    env = environment([before, after])
    old, new = sg.evaluate([before, after], env)
    np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)


RULES = (*CONTRACTION, *SUMMATION, *ONE_HOT, *ORDER)


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.name)
def test_each_example_fires_and_keeps_its_value(one):
    for before in one.examples():
        after = one.apply(before, Context())
        assert after is not None, str(before)
        assert after.type == before.type
        check_equal(before, after)


TARGETS = {
    # matrix form, transposes, layouts
    "einsum is a product": (sg.einsum("ij,jk->ik", A, B), "A @ B"),
    "einsum, turned": (sg.einsum("ij,jk->ki", A, B), "B.T @ A.T"),
    "einsum of a vector": (sg.einsum("ij,i->j", A, u), "u @ A"),
    "einsum of stacks": (sg.einsum("bij,bjk->bik", stack, other), "stack @ other"),
    "einsum of a stack and a matrix": (sg.einsum("bij,jk->bik", stack, B), "stack @ B"),
    "einsum of a turned stack": (sg.einsum("bij,bkj->bik", stack, stack), "stack @ stack.mT"),
    "einsum stays": (sg.einsum("ij,ij->", A, 2 * A), "2 * einsum('ij,ij->', A, A)"),
    "einsum takes transposes up": (sg.einsum("ij,ij->", A.T, A.T / s), "einsum('ij,ij->', A, A) / s"),
    "two transposes": ((B.T @ A.T).T, "A @ B"),
    "one transpose": ((A.T @ A).T, "A.T @ A"),
    "vector before a transpose": (v @ A.T, "A @ v"),
    "stack turned": (sg.matrix_transpose(stack @ sg.matrix_transpose(stack)), "stack @ stack.mT"),
    "row of a product": (v[None, :] @ B, "(v @ B)[None, :]"),
    "a row and back": ((v[None, :] @ B)[0], "v @ B"),
    "outer product": (u[:, None] @ v[None, :], "outer(u, v)"),
    # scalars
    "scalars out of einsum": (sg.einsum("ij,ij->", A / s, -2 * A), "-2 * einsum('ij,ij->', A, A) / s"),
    "scalars out of a product": ((s * A) @ (B / t), "s * A @ B / t"),
    "minus out of a product": (A @ -B, "-A @ B"),
    "a repeated scalar": (A @ broadcast(s, 3, M), "broadcast_to(s * sum(A, axis=1)[:, None], (N, M))"),
    # what is repeated
    "a repeated row": (A @ broadcast(w, 3, M), "outer(sum(A, axis=1), w)"),
    "a repeated column": (A @ broadcast(v[:, None], 3, 7), "broadcast_to((A @ v)[:, None], (N, 7))"),
    # outer products inside
    "outer operand": ((u[:, None] * v) @ B, "outer(u, v @ B)"),
    # sums
    "sum over rows": (sg.sum(A @ B, axis=0), "sum(A, axis=0) @ B"),
    "sum over columns": (sg.sum(A @ B, axis=1), "A @ sum(B, axis=1)"),
    "sum over all": (sg.sum(A @ B), "sum(A, axis=0) @ sum(B, axis=1)"),
    "sum with kept axes": (sg.sum(A @ B, axis=1, keepdims=True), "(A @ sum(B, axis=1))[:, None]"),
    "mean over rows": (sg.mean(A @ B, axis=0), "mean(A, axis=0) @ B"),
    "sum of a stack": (sg.sum(stack @ other, axis=1), "einsum('ij,ijk->ik', sum(stack, axis=1), other)"),
    "a product written as a sum": (sg.sum(A[:, :, None] * B, axis=1), "A @ B"),
    "a plain sum of products": (sg.sum(A * (2 * A)), "2 * sum(A**2)"),
    "a sum of products stays": (sg.sum(A * sg.exp(A), axis=1), "sum(A * exp(A), axis=1)"),
    "rows times a vector stay": (sg.sum(A * v, axis=1), "sum(A * v, axis=1)"),
    "a factor of each row": (sg.sum(A * u[:, None], axis=1), "u * sum(A, axis=1)"),
    "a divisor of each row": (sg.sum(A / u[:, None], axis=1), "sum(A, axis=1) / u"),
    "a divisor of each row, kept": (sg.mean(A / u[:, None], axis=1, keepdims=True), "(mean(A, axis=1) / u)[:, None]"),
    # orders
    "matrices and a vector": ((A @ B) @ w, "A @ (B @ w)"),
    "a vector and matrices": (u @ (A @ B), "u @ A @ B"),
    "transposed product": ((A @ S).T @ u, "S.T @ (A.T @ u)"),
    "square matrices": ((S @ T) @ A.T, "S @ T @ A.T"),
    "square matrices, too": (S @ (T @ A.T), "S @ (T @ A.T)"),
    "gram matrix": (A @ A.T @ A, "A @ A.T @ A"),
    "unknown sizes stay": ((A @ B) @ C, "A @ B @ C"),
    "unknown sizes stay, too": (A @ (B @ C), "A @ (B @ C)"),
    "a stack times a vector is no product of matrices": ((stack @ v) @ u, "stack @ v @ u"),
    "attention without softmax": ((stack @ sg.matrix_transpose(stack)) @ stack, "stack @ stack.mT @ stack"),
    # one-hot rows
    "rows of a table": (sg.one_hot(i, 3, "float64") @ S, "S[i]"),
    "converted rows": (sg.one_hot(i, 3) @ S, "S[i]"),
    "columns of a table": (S @ sg.one_hot(i, 3, "float64").T, "take(S, i, axis=1)"),
    "added rows": (sg.one_hot(i, 3, "float64").T @ A, "scatter_add(A, i, axis=0, size=3)"),
    "elements": (sg.einsum("ij,ij->i", sg.one_hot(i, 3, "float64"), A), "A[arange(N), i]"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_target(name):
    before, text = TARGETS[name]
    after = sg.simplify(before)
    assert str(after) == text
    check_equal(before, after)
    assert sg.simplify(after) is after


# -- values that are needed as they are ----------------------------------------------------------------------------


def multiplications(*roots):
    """Count the multiplications of contractions, with the sizes bound."""
    total = 0
    for node in topological(roots):
        structure = ROWS[node.op].structure
        if isinstance(structure, Contraction):
            axes = structure.axes(node)
            sizes = dict(zip((*axes.left, *axes.right), (*node.args[0].shape, *node.args[1].shape), strict=True))
            total += int(np.prod([size_value(size, BOUND) for size in sizes.values()]))
    return total


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p @ w, lambda p: sg.sum(p, axis=0), lambda p: sg.mean(p), lambda p: sg.einsum("ij->ji", p),
        lambda p: u @ p,
    ],
)  # fmt: skip
def test_a_product_that_others_need_is_computed_once(use):
    p = sg.einsum("ij,jk->ik", A, B)
    before = [use(p), sg.exp(p)]
    after = sg.simplify(before)
    assert sum(node.op in ("matmul", "contract") and node.shape == p.shape for node in topological(after)) == 1
    assert multiplications(*after) <= multiplications(*before)


def test_a_product_with_a_name_is_kept():
    named = (symbol("A1", (N, 3)) @ B).named("AB")  # a name stays with its node as long as that lives
    assert sg.simplify(named @ w).args[0] is named


def test_a_product_that_a_gradient_may_ask_for_is_kept():
    product = A @ B
    assert sg.simplify(product @ w, wrt=product).args[0] is product


def test_an_outer_product_that_others_need_is_kept():
    outer = u[:, None] * v
    after = sg.simplify([outer @ B, sg.exp(outer)])
    assert after[0].op == "matmul"


# -- orders --------------------------------------------------------------------------------------------------------


def test_counts_are_compared_for_all_sizes():
    assert is_never_more(N * M, 2 * N * M)
    assert not is_never_more(2 * N * M, N * M)
    assert not is_never_more(N * N, N * M)
    assert not is_never_more(100 * N, N * N), "at 50 it is more"
    assert is_never_more(2 * N, N * N + 1)
    assert not is_never_more(N // 3, N), "what a quotient may be is not known here"


def cheapest(sizes):
    """Give the least number of multiplications of a chain of matrices with these sizes, by the textbook's recursion."""
    count = len(sizes) - 1
    best = {(k, k): 0 for k in range(count)}
    for length in range(1, count):
        for a in range(count - length):
            b = a + length
            best[a, b] = min(best[a, k] + best[k + 1, b] + sizes[a] * sizes[k + 1] * sizes[b + 1] for k in range(a, b))
    return best[0, count - 1]


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_is_multiplied_in_the_cheapest_order(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, LONGEST + 1))
    sizes = [int(size) for size in rng.integers(2, 60, count + 1)]
    parts = [symbol(f"A{k}", (sizes[k], sizes[k + 1])) for k in range(count)]
    while len(parts) > 1:
        k = int(rng.integers(len(parts) - 1))
        parts[k : k + 2] = [parts[k] @ parts[k + 1]]
    after = sg.simplify(parts[0])
    assert multiplications(after) == cheapest(sizes)
    check_equal(parts[0], after)


def test_the_order_in_which_a_chain_was_written_does_not_matter_where_one_is_best():
    V = symbol("V", (3, 4)), symbol("V2", (4, 5)), symbol("V3", (5, 9)), symbol("V4", (9, 2))
    a, b, c, d = V
    ways = [((a @ b) @ c) @ d, (a @ b) @ (c @ d), a @ (b @ (c @ d)), (a @ (b @ c)) @ d, a @ ((b @ c) @ d)]
    assert len({id(sg.simplify(way)) for way in ways}) == 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_chain_takes_time_in_proportion(side):
    """Each product meets a window of the chain: 400 factors need no more rewrites for each than 50 do."""

    def rewrites(count):
        vector = symbol("v", (count + 2,))
        chain = symbol("A0", (2, 3)) if side == "right" else symbol("A0", (count + 1, count + 2))
        for k in range(1, count):
            if side == "right":
                chain = chain @ symbol(f"A{k}", (k + 2, k + 3))
            else:
                chain = symbol(f"A{k}", (count + 1 - k, count + 2 - k)) @ chain
        whole = chain @ vector if side == "right" else symbol("u", (2,)) @ chain
        rewriter = Rewriter(dispatch(TABLE), (), *_uses([whole]))
        (out,) = rewriter.run([whole])
        assert all(node.ndim == 1 for node in topological([out]) if node.op == "matmul")
        return rewriter.rewrites / count

    assert rewrites(400) <= 1.5 * rewrites(50)


# -- one-hot rows --------------------------------------------------------------------------------------------------

ROWS_OF_TABLE = sg.one_hot(i, 3, "float64")


def test_the_gradient_of_a_table_adds_rows():
    gradient = sg.grad(sg.sum(A * (ROWS_OF_TABLE @ S)), S)
    assert "matmul" not in {node.op for node in topological([gradient])}
    assert str(gradient) == "scatter_add(A, i, axis=0, size=3)"


@pytest.mark.parametrize("position", [3, -4])
@pytest.mark.parametrize(
    "before", [ROWS_OF_TABLE @ S, ROWS_OF_TABLE.T @ A, sg.einsum("ij,ij->i", ROWS_OF_TABLE, A)],
    ids=["take", "scatter_add", "pick"],
)  # fmt: skip
def test_a_position_outside_is_refused_before_and_after(before, position):
    after = sg.simplify(before)
    assert "one_hot" not in {node.op for node in topological([after])}
    env = environment([before])
    env[i] = np.array([0, position, 1, 2])
    for node in (before, after):
        with pytest.raises(IndexRangeError, match=str(position)):
            sg.evaluate(node, env)
    arrays = {node: env[node] for node in before.free_symbols}
    function = sg.function(list(arrays), before)
    with pytest.raises(IndexRangeError, match=str(position)):
        function(*(a.astype(node.dtype.numpy) for node, a in arrays.items()))


def test_the_choice_is_compiled():
    env = environment([ROWS_OF_TABLE @ S])
    function = sg.function([i, S], [ROWS_OF_TABLE @ S, ROWS_OF_TABLE.T @ (ROWS_OF_TABLE @ S)])
    hot = np.eye(3)[env[i]]
    chosen, added = function(env[i].astype("int32"), env[S])
    np.testing.assert_allclose(chosen, hot @ env[S])
    np.testing.assert_allclose(added, hot.T @ hot @ env[S])


# -- at random -----------------------------------------------------------------------------------------------------


def random_graph(rng, size):
    """Draw a graph of products, sums, transposes and axes of size 1."""
    nodes = [symbol(name, (3, 3)) for name in "XYZ"] + [symbol("p", (3,)), symbol("q", (2, 3, 3)), s]
    unary = [
        lambda a: a.T if a.ndim == 2 else a, lambda a: sg.sum(a, axis=0) if a.ndim else a, lambda a: -2 * a,
        lambda a: sg.sum(a, axis=a.ndim - 1, keepdims=True) if a.ndim else a, lambda a: a / s, sg.tanh,
        lambda a: broadcast(a, 3, 3) if a.ndim <= 1 else a, lambda a: a[:, None] if a.ndim == 1 else a,
        lambda a: sg.matrix_transpose(a) if a.ndim > 1 else a, lambda a: sg.mean(a, axis=0) if a.ndim else a,
    ]  # fmt: skip
    binary = [
        lambda a, b: a @ b if a.ndim and b.ndim and a.shape[-1] == b.shape[max(-2, -b.ndim)] else a,
        lambda a, b: sg.einsum("ij,jk->ki", a, b) if a.shape == b.shape == (3, 3) else b,
        lambda a, b: sg.einsum("bij,jk->bki", a, b) if (a.ndim, b.shape) == (3, (3, 3)) and a.shape[2] == 3 else b,
        lambda a, b: sg.einsum("ij,ij->", a, b) if a.shape == b.shape == (3, 3) else a,
        lambda a, b: a * b if max(a.ndim, b.ndim) < 3 else a, lambda a, b: sg.sum(a[:, :, None] * b, axis=1)
        if a.shape == b.shape == (3, 3) else a,
    ]  # fmt: skip
    for _ in range(size):
        a, b = (nodes[k] for k in rng.integers(max(0, len(nodes) - 9), len(nodes), 2))
        if rng.random() < 0.45:
            nodes.append(unary[rng.integers(len(unary))](a))
        else:
            nodes.append(binary[rng.integers(len(binary))](a, b))
    return nodes[-2:]


@pytest.mark.parametrize("seed", range(120))
def test_random_products_keep_their_values_and_become_normal(seed):
    rng = np.random.default_rng(seed)
    roots = random_graph(rng, 18)
    out = sg.simplify(roots)
    again = sg.simplify(out)
    assert all(a is b for a, b in zip(again, out, strict=True)), (str(out), str(again))
    env = {node: rng.uniform(0.5, 1, node.shape) for node in topological(roots) if node.op == "symbol"}
    for old, new in zip(*(sg.evaluate(nodes, env) for nodes in (roots, out)), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9 * np.max(np.abs(old), initial=1))
