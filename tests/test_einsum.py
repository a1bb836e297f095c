"""einsum: every kind of contraction against NumPy, interpreted and compiled, with gradients; the order of several."""

import itertools

import numpy as np
import pytest

import symgrad as sg
from symgrad.errors import ShapeError
from symgrad.expr import topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import ROWS
from symgrad.ops.subscripts import cost_key
from symgrad.options import Options

N, M = sg.dim("N"), sg.dim("M")
SIZES = {"b": 2, "i": 5, "j": 7, "k": 3, "l": 4, "m": 6, "n": N, "u": 1}
BOUND = 9  # of n

SPECS = [
    # one operand: transposes, sums, diagonals
    "ij->ji", "ijk->kij", "ij->", "ij->j", "ijk->j", "nij->n", "ll->", "ll->l", "llk->kl", "lllk->k", "ijij->ij",
    "nn->n", "uj->ju", "ij",
    # products without a sum
    "i,j->ij", "i,j->ji", "ij,ij->ij", "ij,j->ji", "nj,kn->jkn", ",ij->ji",
    # vectors and matrices
    "i,i->", "ij,j->i", "ij,i->j", "i,ij->j", "nj,nj->", "nj,jn->", "ij,jk->ik", "ij,jk->ki", "ji,kj->ik", "ni,nk->ik",
    "nj,jk", "ij,jk->k", "ij,jk->", "ll,lk->k", "uj,jk->ku",
    # stacks of matrices, labels in any place
    "bij,bjk->bik", "bij,bjk->ikb", "ibj,jkb->kbi", "nij,njk->nik", "bij,jk->ibk", "bij,bj->bi", "bij,bi->jb",
    "bnj,bnj->b", "bnj,jnb->bj", "ijk,ik->j",
    # several summed labels
    "ijk,ijk->", "ijk,kji->", "ijk,jkl->il", "ijk,kjl->li", "bijk,bkj->bi", "nijk,ikj->n", "ijk,jlk->i", "nij,lnj->il",
    "ijkl,kjim->lm",
    # several rows and columns
    "ijk,klm->ijlm", "ijk,klm->milj", "bijk,bkl->blij",
    # three operands and more
    "ij,jk,kl->il", "ni,ij,nj->n", "i,ij,j->", "ij,ik,il->jkl", "ij,kj,ik->", "bi,bj,bk->ijk", "ij,jk,kl,lm->im",
    "ij,jk,kl,lm,mn->in", "ij,ij,ij->i", "l,l,l,l->l", "ij,jk,kl,lm,mb,bi,ij->",
]  # fmt: skip


def operands(spec, dtype="float64"):
    """Declare the operands of a specification, and draw values for them."""
    rng = np.random.default_rng(len(spec))
    nodes, arrays = [], []
    for position, labels in enumerate(spec.partition("->")[0].split(",")):
        node = sg.symbol("ABCDEFG"[position], tuple(SIZES[label] for label in labels), dtype)
        nodes.append(node)
        shape = [BOUND if size is N else size for size in node.shape]
        arrays.append(np.asarray(rng.uniform(-1, 1, shape), dtype))
    return nodes, arrays


def expected_gradient(spec, arrays, weights, position):
    """Differentiate sum(w * einsum(..)), which is linear in each operand, one element at a time."""
    found = np.zeros_like(arrays[position])
    for index in np.ndindex(found.shape):
        unit = np.zeros_like(found)
        unit[index] = 1
        found[index] = np.sum(weights * np.einsum(spec, *arrays[:position], unit, *arrays[position + 1 :]))
    return found


@pytest.mark.parametrize("spec", SPECS)
def test_values_and_gradients_are_numpys(spec):
    nodes, arrays = operands(spec)
    expected = np.einsum(spec, *arrays)
    out = sg.einsum(spec, *nodes)
    w = sg.symbol("w", out.shape, "float64")
    weights = np.random.default_rng(1).uniform(-1, 1, expected.shape)
    gradients = sg.grad(sg.sum(out * w), nodes)
    env = {**dict(zip(nodes, arrays, strict=True)), w: weights, N: BOUND}
    size = sg.symbol("size", (N,))
    function = sg.function([size, w, *nodes], [out, *gradients], options=Options(check=True))
    wanted = [expected, *(expected_gradient(spec, arrays, weights, k) for k in range(len(arrays)))]
    for results in (evaluate([out, *gradients], env), function(np.zeros(BOUND, "float32"), weights, *arrays)):
        for got, want in zip(results, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * max(1.0, np.max(np.abs(want), initial=0)))


@pytest.mark.parametrize("spec", ["nij,njk->nik", "nij,ijk->nk", "nn->n", "nij,nij->", "ni,ij,nj->n"])
def test_one_function_serves_all_sizes(spec):
    nodes, arrays = operands(spec, "float32")
    function = sg.function(nodes, sg.einsum(spec, *nodes))
    for size in (0, 1, 5, 9):
        cut = [
            array[tuple(slice(size) if own is N else slice(None) for own in node.shape)]
            for node, array in zip(nodes, arrays, strict=True)
        ]
        np.testing.assert_allclose(function(*cut), np.einsum(spec, *cut), rtol=0, atol=1e-4)


def test_long_sums_over_several_labels_stay_accurate():
    a, b = sg.symbol("a", (300, 40, 3)), sg.symbol("b", (3, 300, 40))
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 1, a.shape).astype("float32"), rng.uniform(0, 1, b.shape).astype("float32")
    exact = np.einsum("ijk,kij->", x.astype(float), y.astype(float))
    got = sg.function([a, b], sg.einsum("ijk,kij->", a, b))(x, y)
    assert abs(got - exact) < 1e-6 * exact


@pytest.mark.parametrize("spec", ["...ij,...jk->...ik", "...j,j->...", "i...->...", "...,...", "...ij,kj"])
def test_leading_axes_broadcast(spec):
    rng = np.random.default_rng(4)
    shapes = {
        "...ij,...jk->...ik": [(4, 1, 2, 3), (5, 3, 2)], "...j,j->...": [(2, 5, 3), (3,)], "i...->...": [(2, 3, 4)],
        "...,...": [(3, 1), (4,)], "...ij,kj": [(6, 2, 3), (5, 3)],
    }  # fmt: skip
    arrays = [rng.uniform(-1, 1, shape) for shape in shapes[spec]]
    nodes = [sg.symbol("AB"[k], array.shape, "float64") for k, array in enumerate(arrays)]
    got = evaluate(sg.einsum(spec, *nodes), dict(zip(nodes, arrays, strict=True)))
    np.testing.assert_allclose(got, np.einsum(spec, *arrays), atol=1e-12)


def test_axes_of_size_one_stretch():
    x, y = np.ones((2, 1)), np.arange(12.0).reshape(3, 4)
    a, b = sg.symbol("a", (2, 1), "float64"), sg.symbol("b", (3, 4), "float64")
    np.testing.assert_array_equal(evaluate(sg.einsum("ij,jk->ik", a, b), {a: x, b: y}), np.einsum("ij,jk->ik", x, y))
    np.testing.assert_array_equal(evaluate(sg.einsum("ij->ji", a), {a: x}), x.T)


def test_integers_stay_exact():
    a = sg.symbol("a", (3, 4), "int32")
    x = np.arange(12, dtype="int32").reshape(3, 4)
    node = sg.einsum("ij,kj->ik", a, a)
    assert node.dtype == sg.einsum("ij->", a).dtype == "int32"
    np.testing.assert_array_equal(sg.function(a, node)(x), np.einsum("ij,kj->ik", x, x))


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 1)])
@pytest.mark.parametrize("spec", ["ij,jk->ki", "ij,ij->", "ij,kji->k"])
def test_a_batch_is_one_label_more(spec, mapped):
    _, arrays = operands(spec)
    batched = [np.stack([x, 2 * x, -x], at) if at is not None else x for x, at in zip(arrays, mapped, strict=True)]
    stacks = [sg.symbol(f"s{k}", x.shape, "float64") for k, x in enumerate(batched)]
    node = sg.vmap(lambda *xs: sg.einsum(spec, *xs), in_axes=mapped)(*stacks)
    factor = 1 if None in mapped else 2
    expected = np.stack([np.einsum(spec, *arrays) * scale**factor for scale in (1, 2, -1)])
    env = dict(zip(stacks, batched, strict=True))
    np.testing.assert_allclose(evaluate(node, env), expected, atol=1e-12)
    np.testing.assert_allclose(sg.function(stacks, node)(*batched), expected, atol=1e-12)


# -- nodes and text ------------------------------------------------------------------------------------------------


def test_equal_contractions_are_one_node_whatever_their_letters():
    A, B = sg.symbol("A", (2, 3)), sg.symbol("B", (3, 4))
    assert sg.einsum("ij,jk->ik", A, B) is sg.einsum("ba, ac -> bc", A, B)
    assert sg.einsum("ij,jk->ik", A, B) is not sg.einsum("ij,jk->ki", A, B)
    assert sg.einsum("ij", A) is A
    assert sg.einsum("ij,ij->ij", A, A) is A * A


def test_text_is_what_was_written():
    A, B = sg.symbol("A", (2, 3)), sg.symbol("B", (3, 4))
    assert str(sg.einsum("ij,jk->ik", A, B)) == "einsum('ij,jk->ik', A, B)"
    assert str(sg.einsum("ab,bc->ca", A, B)) == "einsum('ij,jk->ki', A, B)"
    g = sg.symbol("g", (2, 4))
    assert str(sg.grad(sg.sum(g * sg.einsum("ij,jk->ik", A, B)), B)) == "A.T @ g"


def test_gradients_of_contractions_are_contractions():
    A, B = sg.symbol("A", (2, 3)), sg.symbol("B", (3, 4))
    first = sg.grad(sg.sum(sg.square(sg.einsum("ij,jk->ik", A, B))), A)
    second = sg.grad(sg.sum(sg.square(first)), B)
    assert not {node.op for node in topological([second])} & {"contract", "reshape"}, "of matrices they are products"
    stack = sg.symbol("S", (2, 3, 5))
    third = sg.grad(sg.sum(sg.square(sg.einsum("ij,ijk->jk", A, stack))), A)
    used = {node.op for node in topological([third])}
    assert "contract" in used
    assert not used & {"matmul", "transpose", "reshape"}


# -- the order of several ------------------------------------------------------------------------------------------


def products(node):
    return [x for x in topological([node]) if x.op == "contract"]


def test_a_chain_ends_with_the_vector_first():
    W, V, x = sg.symbol("W", (50, 60)), sg.symbol("V", (60, 70)), sg.symbol("x", (70,))
    assert [p.shape for p in products(sg.einsum("ij,jk,k->i", W, V, x))] == [(60,), (50,)]
    assert [p.shape for p in products(sg.einsum("i,ij,jk->k", sg.symbol("y", (50,)), W, V))] == [(60,), (70,)]


def test_costs_are_compared_by_degree_first():
    X, W, V = sg.symbol("X", (N, 3)), sg.symbol("W", (3, 5000)), sg.symbol("V", (5000, N))
    (first, *_) = products(sg.einsum("ij,jk,kl->il", X, W, V))
    assert first.shape == (3, N), "3 * 5000 * N + 3 * N**2 is less than 15000 * N + 5000 * N**2"
    assert cost_key(10**9) < cost_key(N) < cost_key(2 * N) < cost_key(N * M) < cost_key(N * M + N)


def brute_force(shapes, out):
    """Give the least number of multiplications over all orders, by trying them."""

    def least(parts):
        if len(parts) == 1:
            return 0
        best = None
        for a, b in itertools.combinations(range(len(parts)), 2):
            rest = [p for k, p in enumerate(parts) if k not in (a, b)]
            both = parts[a] | parts[b]
            cost = int(np.prod([SIZES[x] for x in both]))
            needed = set(out).union(*rest)
            cost += least([*rest, both & needed])
            best = cost if best is None else min(best, cost)
        return best

    return least([frozenset(s) for s in shapes])


@pytest.mark.parametrize("spec", ["ij,jk,kl,lm->im", "ij,jk,kl,li->", "ijk,kl,lm,mj->i", "bi,bj,ij,jk,kl->bl"])
def test_the_order_found_is_the_cheapest(spec):
    left, _, out = spec.partition("->")
    nodes, _ = operands(spec)
    whole = sg.einsum(spec, *nodes)
    total = 0
    for node in topological([whole]):
        if node.op == "contract":
            sizes = {}
            for labels, arg in zip((node.attrs["left"], node.attrs["right"]), node.args, strict=True):
                sizes.update(zip(labels, arg.shape, strict=True))
            total += int(np.prod(list(sizes.values())))
        elif node.op == "multiply":
            total += int(np.prod(node.shape))
    assert total == brute_force(left.split(","), out)


@pytest.mark.parametrize("count", [5, 9, 20])
def test_long_chains_never_multiply_what_is_large_first(count):
    """A vector at the end of a chain of matrices, given first: each product is one of a matrix and a vector."""
    letters = "abcdefghijklmnopqrstuvw"
    pairs = [letters[k : k + 2] for k in range(count)]
    nodes = [sg.symbol(f"A{k}", (30 + k, 31 + k)) for k in range(count)]
    vector = sg.symbol("v", (30 + count,))
    whole = sg.einsum(",".join([letters[count], *pairs]) + "->a", vector, *nodes)
    assert all(p.ndim == 1 for p in products(whole))
    assert len(products(whole)) == count


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("ij,jk->ik", ShapeError, r"sizes of 'j' differ; A is \(2, 3\), B is \(4, 5\); 3 != 4"),
        ("ij->ij", ValueError, "names 1 operands, 2 are given"),
        ("ij,kl->im", ValueError, "'m' of the result is in no operand"),
        ("ij,kl->ii", ValueError, "has a label twice"),
        ("i,kl->ik", ShapeError, "'i' does not label the axes"),
        ("ij,klm->ik", ShapeError, "'klm' does not label the axes"),
        ("i1,kl->ik", ValueError, "'1' in 'i1,kl->ik' is no letter"),
        ("...j,kl->jkl", ValueError, "no place for the leading axes"),
    ],
)
def test_what_is_refused(spec, error, message):
    with pytest.raises(error, match=message):
        sg.einsum(spec, sg.symbol("A", (2, 3)), sg.symbol("B", (4, 5)))


def test_the_row_refuses_wrong_labels():
    A, B = sg.symbol("A", (2, 3)), sg.symbol("B", (3, 4))
    with pytest.raises(ShapeError, match="one label for each axis"):
        ROWS["contract"](A, B, left=(0,), right=(2, 1), out=(0, 1))
    with pytest.raises(ShapeError, match="kept, or shared"):
        ROWS["contract"](A, B, left=(0, 2), right=(2, 1), out=(0,))
    with pytest.raises(ShapeError, match="sizes of label 2 differ"):
        ROWS["contract"](A, A, left=(0, 2), right=(2, 1), out=(0, 1))
    with pytest.raises(TypeError, match="a string like"):
        sg.einsum(A, B)
