"""Rows, their order, and places in them: properties of random graphs, and small graphs whose drawing is known."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.drawing.coordinates import Spacing, positions, title_ends
from symgrad.drawing.layering import LOOSE, assign_levels, layered
from symgrad.drawing.ordering import crossings, order_rows


@st.composite
def graphs(draw, frames=0):
    """Draw a number of nodes, edges from lower to higher numbers, and a group for each node."""
    count = draw(st.integers(1, 24))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = draw(st.lists(pairs, max_size=3 * count))
    edges = list(dict.fromkeys((min(e), max(e)) for e in edges if e[0] != e[1]))
    groups = draw(st.lists(st.integers(LOOSE, frames - 1), min_size=count, max_size=count))
    return count, edges, groups


def laid_out(graph):
    count, edges, groups = graph
    levels, groups = assign_levels(count, edges, groups)
    layers = layered(levels, edges, groups)
    order_rows(layers)
    return layers


# -- levels -----------------------------------------------------------------------------------------------------------


@given(graphs(frames=3))
@settings(max_examples=80, deadline=None)
def test_edges_go_down_and_frames_have_rows_of_their_own(graph):
    count, edges, groups = graph
    levels, kept = assign_levels(count, edges, groups)
    assert all(levels[u] < levels[v] for u, v in edges)
    assert all(new in (old, LOOSE) for old, new in zip(groups, kept, strict=True))
    for u, v in edges:
        for g in {kept[u], kept[v]} - {LOOSE}:
            inside = [levels[n] for n in range(count) if kept[n] == g]
            if kept[u] != g:
                assert levels[u] < min(inside) - (kept[u] != LOOSE)
            if kept[v] != g:
                assert levels[v] > max(inside) + (kept[v] != LOOSE)


def test_a_group_in_a_circle_is_given_up():
    edges = [(0, 1), (1, 2)]
    assert assign_levels(3, edges, [0, LOOSE, 0])[1] == [LOOSE] * 3
    assert assign_levels(3, edges, [0, 0, 1])[1] == [0, 0, 1]
    two = [(0, 1), (2, 3)]
    assert assign_levels(4, two, [0, 1, 1, 0])[1] == [LOOSE] * 4


def test_what_hangs_loose_stands_by_its_user():
    # 0 -> 1 -> 2 -> 5, and 3 -> 4 -> 5 with nothing to hold it up
    levels, _ = assign_levels(6, [(0, 1), (1, 2), (2, 5), (3, 4), (4, 5)], [LOOSE] * 6)
    assert levels == [0, 1, 2, 1, 2, 3]
    # 4 reads 0 and 1, which are used elsewhere too: drawing out two lines saves none
    levels, _ = assign_levels(6, [(0, 1), (1, 2), (2, 3), (0, 4), (1, 4), (4, 5), (3, 5)], [LOOSE] * 6)
    assert levels == [0, 1, 2, 3, 2, 4]


# -- rows and their order ---------------------------------------------------------------------------------------------


@given(graphs(frames=2))
@settings(max_examples=80, deadline=None)
def test_links_join_successive_rows_and_every_item_stands_once(graph):
    layers = laid_out(graph)
    items = [item for row in layers.rows for item in row]
    assert sorted(items) == list(range(len(layers.level)))
    assert all(layers.level[item] == at for at, row in enumerate(layers.rows) for item in row)
    for (u, v), bends in layers.bends.items():
        line = [u, *bends, v]
        assert all(low in layers.below[up] and layers.level[low] == layers.level[up] + 1 for up, low in pairwise(line))
    assert set(layers.bends) == set(graph[1])


@given(graphs(frames=3))
@settings(max_examples=80, deadline=None)
def test_frames_are_in_one_piece_in_one_order(graph):
    layers = laid_out(graph)
    orders = []
    for row in layers.rows:
        place = {item: i for i, item in enumerate(row)}
        spans = {}
        for g, (left, right) in layers.borders.items():
            ends = [place[item] for side in (left, right) for item in side if item in place]
            if ends:
                low, high = ends
                spans[g] = ends
                assert [i for i, item in enumerate(row) if layers.group[item] == g] == list(range(low, high + 1))
        orders.append(sorted(spans, key=lambda g: spans[g]))
    for a in layers.borders:
        for b in layers.borders:
            shared = {order.index(a) < order.index(b) for order in orders if a in order and b in order and a != b}
            assert len(shared) < 2


def test_bends_are_shared_by_the_lines_of_one_source():
    layers = layered([0, 1, 2, 3, 3], [(0, 1), (1, 2), (2, 3), (0, 3), (0, 4)], [LOOSE] * 5)
    assert layers.bends[0, 3] == layers.bends[0, 4]
    assert len(layers.level) == 5 + 2


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_crossings_are_counted_as_they_are(graph):
    layers = laid_out(graph)
    total = 0
    for upper, lower in pairwise(layers.rows):
        ports = [(upper.index(up), port) for port, up in enumerate(up for item in lower for up in layers.above[item])]
        total += sum(a < c and b > d for a, b in ports for c, d in ports)
    assert crossings(layers) == total


def test_a_crossing_that_need_not_be_is_undone():
    # a ladder, declared crosswise
    layers = layered([0, 0, 1, 1, 2, 2], [(0, 3), (1, 2), (2, 5), (3, 4)], [LOOSE] * 6)
    order_rows(layers)
    assert crossings(layers) == 0


def test_operands_stand_from_left_to_right():
    layers = layered([0, 0, 0, 1], [(2, 3), (0, 3), (1, 3)], [LOOSE] * 4)
    order_rows(layers)
    assert layers.rows[0] == [2, 0, 1]


# -- places -----------------------------------------------------------------------------------------------------------


@given(graphs(frames=3), st.data())
@settings(max_examples=80, deadline=None)
def test_neighbours_keep_their_distance_and_frames_are_rectangles(graph, data):
    layers = laid_out(graph)
    sizes = st.tuples(st.floats(5, 80), st.floats(5, 80))
    halves = data.draw(st.lists(sizes, min_size=layers.nodes, max_size=layers.nodes))
    least = dict.fromkeys(layers.borders, 120.0)
    x = positions(layers, halves, least, Spacing(node=20, bend=10, border=24))
    margin = [12 if i in layers.side else 10 if i < layers.nodes else 5 for i in range(len(x))]
    for row in layers.rows:
        for a, b in pairwise(row):
            right = halves[a][1] if a < layers.nodes else 0
            left = halves[b][0] if b < layers.nodes else 0
            assert x[b] - left - x[a] - right >= margin[a] + margin[b] - 1e-6
    for g, sides in layers.borders.items():
        for side in sides:
            assert max(x[i] for i in side) - min(x[i] for i in side) < 1e-6
        before, right = title_ends(layers, g)
        assert x[right] - x[before] >= 120.0 - 1e-6


def straight(layers, x, line):
    return all(abs(x[a] - x[b]) < 1e-6 for a, b in pairwise(line))


def test_a_chain_is_straight_whatever_hangs_on_it():
    # 0 -> 1 -> 2 -> 3 -> 4, a light node on each of 1 .. 4, and a skip from 0 to 4
    chain, light = [0, 1, 2, 3, 4], [5, 6, 7, 8]
    edges = [*pairwise(chain), *zip(light, chain[1:], strict=True), (0, 4)]
    levels, groups = assign_levels(9, edges, [LOOSE] * 9)
    layers = layered(levels, edges, groups, [4] * 5 + [1] * 4)
    order_rows(layers)
    x = positions(layers, [(20.0, 60.0)] * 9)
    assert straight(layers, x, chain)
    assert straight(layers, x, layers.bends[0, 4])


def test_the_longest_way_is_straight():
    # 1 has three users; the one that leads furthest stands below it
    edges = [(0, 1), (1, 2), (1, 3), (1, 4), (3, 5), (5, 6)]
    levels, groups = assign_levels(7, edges, [LOOSE] * 7)
    layers = layered(levels, edges, groups)
    order_rows(layers)
    assert straight(layers, positions(layers, [(15.0, 15.0)] * 7), [0, 1, 3, 5, 6])


def test_a_node_stands_in_the_middle_of_two_equal_operands():
    layers = layered([0, 0, 1, 2], [(0, 2), (1, 2), (2, 3)], [LOOSE] * 4)
    order_rows(layers)
    x = positions(layers, [(20.0, 20.0)] * 4)
    assert x[2] == pytest.approx((x[0] + x[1]) / 2)
    assert x[3] == x[2]


def test_deep_and_wide_graphs_need_no_recursion():
    depth = 20_000
    layers = layered(range(depth), list(pairwise(range(depth))), [LOOSE] * depth)
    order_rows(layers)
    assert len(set(positions(layers, [(10.0, 10.0)] * depth))) == 1
    wide = layered([0] * 3_000 + [1], [(i, 3_000) for i in range(3_000)], [LOOSE] * 3_001)
    order_rows(wide)
    assert crossings(wide) == 0
