"""Laws of the size and index algebra, over random sizes: exactness, canonical form, bounds, index maps."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from symgrad.shape import (
    bounds,
    dim,
    evaluate,
    from_data,
    product,
    simplify_with,
    sort_key,
    stable_bytes,
    substitute,
    to_data,
)

N, M, k = dim("N"), dim("M"), dim("k")
i, j, l = dim("i"), dim("j"), dim("l")
NAMES = {"N": N, "M": M, "k": k, "i": i, "j": j, "l": l}

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod}


def is_zero(size):
    return isinstance(size, int) and size == 0


def combine(op, left, right):
    """Apply an operator; a divisor that is constantly zero becomes 1."""
    return OPERATORS[op](left, 1 if op in ("//", "%") and is_zero(right) else right)


# A recipe is a tree of tuples, so that a test can build the size and, apart from it, the value.
leaves = st.one_of(st.sampled_from(sorted(NAMES)), st.integers(-30, 30))
recipes = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from(sorted(OPERATORS)), inner, inner), max_leaves=7)
environments = st.fixed_dictionaries({name: st.integers(0, 40) for name in NAMES})


def build(recipe):
    match recipe:
        case (op, left, right):
            return combine(op, build(left), build(right))
        case str(name):
            return NAMES[name]
    return recipe


class DivisionByZeroError(Exception):
    pass


def value(recipe, env):
    """Compute with Python's ints what `build` computes with sizes; a divisor that *is* 0 for these values raises."""
    match recipe:
        case (op, left, right):
            x, y = value(left, env), value(right, env)
            if op in ("//", "%") and y == 0:
                if not is_zero(build(right)):
                    raise DivisionByZeroError
                y = 1
            return OPERATORS[op](x, y)
        case str(name):
            return env[name]
    return recipe


@given(recipes, environments)
def test_evaluate_commutes_with_every_operator(recipe, env):
    try:
        expected = value(recipe, env)
    except DivisionByZeroError:
        return
    assert evaluate(build(recipe), env) == expected


@given(recipes, environments)
def test_bounds_are_sound(recipe, env):
    try:
        expected = value(recipe, env)
    except DivisionByZeroError:
        return
    ranges = {"i": (0, 40), "j": (env["j"] // 2, N + env["j"]), "N": (0, 40)}
    for low, high in (bounds(build(recipe)), bounds(build(recipe), ranges)):
        assert low is None or low <= expected
        assert high is None or expected <= high


@given(recipes)
def test_text_and_data_read_back_as_the_same_size(recipe):
    size = build(recipe)
    assert eval(str(size), dict(NAMES)) == size
    assert from_data(to_data(size)) == size
    assert pickle.loads(pickle.dumps(size)) == size
    assert copy.deepcopy(size) is size
    assert hash(from_data(to_data(size))) == hash(size)


@given(recipes, environments)
def test_substitute_commutes_with_evaluate(recipe, env):
    try:
        expected = value(recipe, env)
    except DivisionByZeroError:
        return
    half = {name: env[name] for name in ("N", "i")}
    size = build(recipe)
    assert evaluate(substitute(size, half), env) == expected
    assert substitute(size, env) == expected


def test_substitute_is_simultaneous():
    assert substitute(N * M + N, {"N": M, "M": N}) == N * M + M
    assert substitute((N + 1) // M, {"M": 2, "N": 2 * k}) == k


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.lists(st.sampled_from(sorted(NAMES)), max_size=3)), max_size=6), st.data()
)
def test_canonical_form_is_independent_of_construction_order(terms, data):
    def total(ordered, shuffle_factors):
        out = 0
        for number, factors in ordered:
            factors = data.draw(st.permutations(factors)) if shuffle_factors else factors
            out = out + number * product(NAMES[name] for name in factors)
        return out

    first = total(terms, False)
    second = total(data.draw(st.permutations(terms)), True)
    assert first == second
    assert hash(first) == hash(second)
    assert str(first) == str(second)
    assert stable_bytes(first) == stable_bytes(second)
    assert type(first) is type(second)
    assert first - second == 0


@given(recipes, recipes)
def test_order_and_bytes_tell_sizes_apart(a, b):
    x, y = build(a), build(b)
    assert (sort_key(x) == sort_key(y)) == (x == y) == (stable_bytes(x) == stable_bytes(y))
    assert x == y or (sort_key(x) < sort_key(y)) != (sort_key(y) < sort_key(x))


@st.composite
def ranged_recipes(draw):
    """A recipe, extents for its index names (ints or sizes over N and M), and values within them."""
    env = {"N": draw(st.integers(1, 6)), "M": draw(st.integers(1, 6)), "k": draw(st.integers(0, 40))}
    extents = {}
    for name in ("i", "j", "l"):
        choices = [N, M, N * M, N + 1, 4 * N, N // 2 + 1, draw(st.integers(1, 9))]
        extents[name] = draw(st.sampled_from(choices))
        env[name] = draw(st.integers(0, evaluate(extents[name], env) - 1))
    return draw(recipes), extents, env


@given(ranged_recipes())
def test_simplify_with_preserves_the_value(case):
    recipe, extents, env = case
    try:
        expected = value(recipe, env)
    except DivisionByZeroError:
        return
    assert evaluate(simplify_with(build(recipe), extents), env) == expected


sizes = st.sampled_from([1, 2, 3, 4, 5, 6, N, M])


@st.composite
def reshapes(draw):
    """Two shapes of the same number of elements: the same factors, in the same order, merged differently."""
    factors = draw(st.lists(sizes, min_size=1, max_size=6))

    def merged():
        shape = [factors[0]]
        for factor in factors[1:]:
            if draw(st.booleans()):
                shape[-1] = shape[-1] * factor
            else:
                shape.append(factor)
        return tuple(shape)

    return merged(), merged()


def flatten(indices, shape):
    """Return the row-major position."""
    position = 0
    for index, size in zip(indices, shape, strict=True):
        position = position * size + index
    return position


def unflatten(position, shape):
    """Return the row-major indices; the first is not reduced, for a position lies inside."""
    indices = []
    for axis in range(len(shape)):
        index = position // product(shape[axis + 1 :])
        indices.append(index % shape[axis] if axis else index)
    return indices


@given(reshapes(), st.integers(1, 4), st.integers(1, 4))
def test_reshape_is_an_index_map(shapes, n, m):
    source, target = shapes
    loop = [dim(f"i{axis}") for axis in range(len(target))]
    extents = {str(index): size for index, size in zip(loop, target, strict=True)}
    read = [simplify_with(index, extents) for index in unflatten(flatten(loop, target), source)]
    env = {"N": n, "M": m}
    target_sizes, source_sizes = ([evaluate(size, env) for size in shape] for shape in (target, source))
    for position, indices in enumerate(itertools.product(*map(range, target_sizes))):
        bound = env | {str(index): at for index, at in zip(loop, indices, strict=True)}
        assert tuple(evaluate(index, bound) for index in read) == np.unravel_index(position, source_sizes)


@given(st.lists(sizes, min_size=1, max_size=5))
def test_flatten_and_unflatten_cancel(shape):
    loop = [dim(f"i{axis}") for axis in range(len(shape))]
    extents = {str(index): size for index, size in zip(loop, shape, strict=True)}
    expected = [0 if size == 1 else index for index, size in zip(loop, shape, strict=True)]
    assert [simplify_with(index, extents) for index in unflatten(flatten(loop, shape), shape)][1:] == expected[1:]
    there_and_back = simplify_with(flatten(unflatten(k, shape), shape), {"k": product(shape)})
    assert there_and_back == (0 if product(shape) == 1 else k)
