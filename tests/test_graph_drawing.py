"""Where `sg.graph` puts boxes, frames and lines."""

from itertools import combinations, pairwise

import pytest
from drawings import DRAWINGS, network, points_of, with_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad.drawing.measure import box_lines, frame_title, text_width

TOLERANCE = 0.15  # places are rounded to tenths


def inside(point, place, margin=0.0):
    x, y = point
    across = place.width / 2 - TOLERANCE + margin
    return abs(x - place.x) < across and abs(y - place.y) < place.height / 2 - TOLERANCE + margin


def overlap(a, b):
    across, down = (a.width + b.width) / 2, (a.height + b.height) / 2
    return abs(a.x - b.x) < across - TOLERANCE and abs(a.y - b.y) < down - TOLERANCE


def dense(points):
    """Add points to a line, so that no box is stepped over."""
    for a, b in pairwise(points):
        steps = max(1, int(max(abs(a[0] - b[0]), abs(a[1] - b[1])) / 4))
        for step in range(steps):
            yield a[0] + (b[0] - a[0]) * step / steps, a[1] + (b[1] - a[1]) * step / steps
    yield points[-1]


def check_places(graph):
    """Hold a drawing to what every drawing keeps."""
    drawing, boxes = graph.drawing, graph.nodes
    for a, b in combinations(drawing.places, 2):
        assert not overlap(a, b)
    for place in drawing.places:
        assert place.width / 2 <= place.x <= drawing.width - place.width / 2
        assert 0 <= place.top <= place.bottom <= drawing.height
    drawn = {(way.source, way.target) for way in drawing.ways}
    assert drawn == {(link.source, link.target) for link in graph.edges}
    for way in drawing.ways:
        source, target = drawing.places[way.source], drawing.places[way.target]
        if way.shared:
            assert not boxes[way.source].gradient
            assert boxes[way.target].gradient
            assert source.x + source.width / 2 < target.x - target.width / 2
        elif boxes[way.target].gradient and not all(box.gradient for box in boxes):
            assert source.top > target.bottom
        else:
            assert source.bottom < target.top
        check_way(way, drawing)


def check_way(way, drawing):
    source, target = drawing.places[way.source], drawing.places[way.target]
    points = points_of(way.path)
    assert inside(points[0], source, margin=0.5)
    assert inside(way.tip, target, margin=0.5)
    assert points[-1] == pytest.approx(way.tip, abs=TOLERANCE)
    near = [p for p in drawing.places if p is not source and p is not target]
    assert not any(inside(point, place) for point in dense(points) for place in near)


@pytest.fixture(scope="module", params=DRAWINGS)
def graph(request):
    return DRAWINGS[request.param]()


def test_nothing_overlaps_and_lines_go_their_way_around_boxes(graph):
    check_places(graph)


def test_text_fits_its_box_and_titles_their_frames(graph):
    for box, place in zip(graph.nodes, graph.drawing.places, strict=True):
        assert all(line.width <= place.width - 8 for line in box_lines(box))
        assert 15 * len(box_lines(box)) <= place.height
    for frame, place in zip(graph.groups, graph.drawing.frames, strict=True):
        assert place.title + text_width(frame_title(frame), 10.5) <= place.x + place.width / 2


def test_frames_hold_their_boxes_and_no_others(graph):
    frames = graph.drawing.frames
    for a, b in combinations(frames, 2):
        assert not overlap(a, b)
    for box, place in zip(graph.nodes, graph.drawing.places, strict=True):
        for number, frame in enumerate(frames):
            if box.frame == number:
                assert inside((place.x - place.width / 2, place.top), frame)
                assert inside((place.x + place.width / 2, place.bottom), frame)
            else:
                assert not overlap(place, frame)


def column(graph, *names):
    """Give where boxes of these names or texts stand."""
    return [
        next(p.x for b, p in zip(graph.nodes, graph.drawing.places, strict=True) if name in (b.name, b.text))
        for name in names
    ]


def test_the_reference_network_stands_in_a_line():
    graph = with_gradient(network())
    forward = column(graph, "X", "@", "Z1", "H", "Z2", "P", "log", "loss")
    assert max(forward) - min(forward) < TOLERANCE
    ascent = column(graph, "P − Y", "@ W2ᵀ", "× [Z1 > 0]")
    assert max(ascent) - min(ascent) < TOLERANCE
    for name, user in (("Z1", "× [Z1 > 0]"), ("H", "Hᵀ @ ·"), ("P", "P − Y")):
        level = [p.y for b, p in zip(graph.nodes, graph.drawing.places, strict=True) if {b.name, b.text} & {name, user}]
        assert len(set(level)) == 1


def test_a_deep_network_is_a_ladder():
    shallow, deep = (with_gradient(network([16] * n, "tanh", 8)) for n in (4, 12))
    assert deep.drawing.width < 1.2 * shallow.drawing.width
    straight = [w for w in deep.drawing.ways if not w.shared and "C" not in w.path]
    assert len(straight) > len(deep.edges) / 2


@st.composite
def problems(draw):
    """Draw a loss over a few matrices, some of them parameters."""
    x = sg.symbol("x", (3, 3))
    parameters = [sg.parameter(f"p{i}", (3, 3)) for i in range(3)]
    values = [x, *parameters]
    for _ in range(draw(st.integers(1, 14))):
        a, b = (values[draw(st.integers(0, len(values) - 1))] for _ in range(2))
        made = (a + b, a * b, a @ b, sg.tanh(a), a - b, sg.relu(a), a.T @ b, sg.softmax(a, axis=1), a / 2, 1 - b)
        values.append(draw(st.sampled_from(made)))
    loss = sum(value.sum() for value in values[-2:])
    reached = [p for p in parameters if any(p is s for s in loss.free_symbols)]
    return loss, reached


@given(problems())
@settings(max_examples=60, deadline=None)
def test_drawings_of_random_problems_keep_their_properties(problem):
    loss, parameters = problem
    check_places(sg.graph(loss, wrt=parameters) if parameters else sg.graph(loss))


def test_a_large_drawing_is_quick_enough_to_wait_for():
    h = sg.symbol("h", (4, 4))
    values = [h]
    for i in range(3_000):
        values.append(sg.tanh(values[-1]) + values[max(0, i - 40)])
    drawing = sg.graph(values[-1]).drawing
    assert len(drawing.places) == 6_001
    far = [way for way in drawing.ways if "Q" in way.path]  # led around
    assert far
    assert not any(overlap(a, b) for a, b in pairwise(sorted(drawing.places, key=lambda p: p.y)))
