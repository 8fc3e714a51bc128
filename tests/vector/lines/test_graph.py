from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.vector.lines.graph import NONE, Graph, Walk, assemble
from geoseg.vector.lines.net import Limits, Net, clean, join
from geoseg.vector.lines.pieces import PIXELS, SCORE, cut, joined
from geoseg.vector.lines.skeleton import Skeleton, taken
from geoseg.vector.lines.thinning import LINK_COUNT, REMOVABLE, thin
from tests.vector.lines.drawing import blobs
from tests.vector.rasters import unhurried

CUTS = st.lists(st.integers(1, 39), max_size=6).map(tuple)


def lines_of(seed: int, shape=(40, 41)):
    mask = np.pad(blobs(shape, seed, smooth=3), 1)
    thin(mask, 99, REMOVABLE)
    return mask[1:-1, 1:-1]


def picture(*rows: str):
    return np.array([[mark == "#" for mark in row] for row in rows], np.uint8)


def skeleton_of(lines) -> Skeleton:
    y, x = np.nonzero(lines)
    number = np.arange(len(y), dtype=np.int64)
    clear, edge = number % 3 > 0, number % 7 == 0
    return Skeleton(y.astype(np.int32), x.astype(np.int32), number % 50 + 400_000, number % 90 + 900_000, clear, edge)


def graph_of(lines, cuts=()) -> Graph:
    """The graph of a skeleton whose rows come in several parts."""
    skeleton, walk = skeleton_of(lines), Walk.of(lines.shape[1] + 1)
    parts = []
    for start, stop in pairwise(sorted({0, len(lines), *cuts})):
        shown = (skeleton.y >= start - 1) & (skeleton.y <= stop)
        scores = (np.flatnonzero(shown) % 255).astype(np.uint8)
        parts.append(cut(taken(skeleton, shown), scores, (start, stop), walk.columns))
    return assemble(*joined(parts[::-1]), walk)


def pixels_of(graph: Graph, edge: int, columns: int) -> list[tuple[int, int]]:
    """The places (y, x) of an edge's pixels, in order."""
    walk, key = Walk.of(columns + 1), int(graph.first[edge])
    keys = [key]
    for step in graph.steps[graph.offsets[edge] : graph.offsets[edge + 1]]:
        keys.append(keys[-1] + int(walk.neighbour[step]))
    assert keys[-1] == graph.last[edge]
    return [divmod(key, columns + 1) for key in keys]


@unhurried
@given(st.integers(0, 60), CUTS)
def test_a_graph_is_the_same_however_its_rows_were_cut(seed, cuts):
    lines = lines_of(seed)
    for whole, parts in zip(graph_of(lines), graph_of(lines, cuts), strict=True):
        assert np.array_equal(whole, parts)


@unhurried
@given(st.integers(0, 60))
def test_every_pixel_is_in_one_edge_or_one_node(seed):
    lines = lines_of(seed)
    graph = graph_of(lines, (7, 20))
    seen = np.zeros_like(lines)
    for edge in range(len(graph.first)):
        places = pixels_of(graph, edge, lines.shape[1])
        assert len(places) == graph.sums[edge, PIXELS]
        for one, other in pairwise(places):
            assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) == 1
        for place in places:
            seen[place] += 1
    assert seen.max() == 1
    assert not (seen & ~lines & 1).any()
    around = sum(
        np.roll(np.pad(lines, 1), (-dy, -dx), (0, 1)).astype(int)[1:-1, 1:-1] << bit for bit, (dy, dx) in ROUND
    )
    missing = (lines == 1) & (seen == 0)
    corner = missing & (LINK_COUNT[around] == 2)  # only as a corner of a full square
    assert corner.sum() <= 4 * (lines[1:, 1:] & lines[1:, :-1] & lines[:-1, 1:] & lines[:-1, :-1]).sum()


ROUND = list(enumerate([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]))


def test_a_crossing_is_one_node_that_four_edges_share():
    graph = graph_of(picture("..#..", "..#..", "#####", "..#..", "..#.."), (2,))
    assert graph.point.tolist() == [[2.5, 0.5], [0.5, 2.5], [2.5, 2.5], [4.5, 2.5], [2.5, 4.5]]
    assert graph.ends.tolist() == [[0, 2], [1, 2], [2, 3], [2, 4]]
    assert graph.sums[:, PIXELS].tolist() == [1, 1, 1, 1]


def test_edges_begin_at_the_end_that_comes_first():
    graph = graph_of(picture("...#", "..#.", ".#..", "#..."))
    assert graph.ends.tolist() == [[0, 1]]
    assert pixels_of(graph, 0, 4) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3), (1, 2, 3, 4)])
def test_a_ring_begins_at_its_first_pixel_and_has_no_ends(cuts):
    graph = graph_of(picture("..##..", ".#..#.", ".#..#.", "..##.."), cuts)
    assert graph.ends.tolist() == [[NONE, NONE]]
    assert pixels_of(graph, 0, 6) == [(0, 2), (0, 3), (1, 4), (2, 4), (3, 3), (3, 2), (2, 1), (1, 1)]
    assert graph.sums[0, SCORE] == sum(range(8))


def test_the_right_side_does_not_touch_the_left_one():
    graph = graph_of(picture("...##", "##...", "...##"))
    assert len(graph.first) == 0
    assert len(graph.point) == 3


def cleaned(lines, spur=0.0, width=99.0, radius=0.4) -> tuple[Graph, Net]:
    graph = graph_of(lines)
    nodes = len(graph.radius)
    graph = graph._replace(radius=np.full(nodes, round(radius * 1e6)), at_edge=np.zeros(nodes, np.bool_))
    walk, sizes = Walk.of(lines.shape[1] + 1), np.ones((len(lines), 2))
    return graph, clean(graph, sizes, walk, Limits(spur, width))


def alive_pixels(graph: Graph, net: Net, columns: int) -> set[tuple[int, int]]:
    return {place for edge in np.flatnonzero(net.alive) for place in pixels_of(graph, edge, columns)}


def test_spurs_go_and_what_they_left_becomes_one_line():
    lines = np.zeros((12, 40), np.uint8)
    lines[8, 1:39] = lines[4:8, 10] = lines[2:8, 20] = lines[1:8, 30] = 1
    graph, net = cleaned(lines, spur=7.0)
    assert sorted(net.degree[net.node[net.alive.repeat(2) & (net.onward == NONE)]]) == [1, 1, 1, 3, 3, 3]
    left = alive_pixels(graph, net, 40)
    assert (5, 10) not in left
    assert (5, 20) not in left
    assert (5, 30) in left
    free = np.flatnonzero((net.onward == NONE) & net.alive.repeat(2) & (net.degree[net.node] == 1))
    assert sorted(net.length[free]) == [7, 8, 29]


def test_the_shortest_spur_goes_first():
    lines = np.zeros((12, 40), np.uint8)
    lines[8, 1:30] = lines[3:8, 6] = 1  # 5 to the left of the foot, and as many upwards, and 23 to the right
    lines[3, 6] = 0
    graph, net = cleaned(lines, spur=6.0)
    left = alive_pixels(graph, net, 40)
    assert (6, 6) not in left
    assert (8, 3) in left


def test_a_fork_at_a_blunt_end_goes_whole():
    lines = np.zeros((20, 40), np.uint8)
    lines[10, 5:39] = 1
    for step in range(1, 4):
        lines[10 - step, 5 - step] = lines[10 + step, 5 - step] = 1
    graph, net = cleaned(lines, radius=3.0)
    assert alive_pixels(graph, net, 40) == {(10, x) for x in range(6, 38)}
    assert net.degree.tolist() == [0, 1, 1, 0]


def test_spurs_that_the_edge_cuts_may_be_short():
    lines = np.zeros((9, 30), np.uint8)
    lines[5, 1:29] = lines[0:5, 15] = 1
    graph = graph_of(lines)
    at_edge = graph.point[:, 1] < 1
    assert at_edge.sum() == 1
    graph = graph._replace(radius=np.full(4, 1_000_000), at_edge=at_edge)
    sizes = np.ones((9, 2))
    kept = clean(graph, sizes, Walk.of(31), Limits(8.0, 99.0))
    gone = clean(graph._replace(at_edge=~at_edge & False), sizes, Walk.of(31), Limits(8.0, 99.0))
    assert kept.alive.all()
    assert gone.alive.sum() == 2


def test_edges_that_are_too_wide_are_none():
    lines = np.zeros((9, 30), np.uint8)
    lines[5, 1:29] = lines[0:5, 15] = 1
    _, net = cleaned(lines, width=0.5)
    assert not net.alive.any()


def test_joined_ends_make_one_line_or_a_ring():
    lines = np.zeros((9, 30), np.uint8)
    lines[2, 1:9] = lines[2, 14:28] = 1
    _, net = cleaned(lines)
    right_of_first, left_of_second = 1, 2
    join(net, right_of_first, left_of_second)
    assert net.mate.tolist()[0] == 3
    assert net.mate.tolist()[3] == 0
    assert net.length[0] == net.length[3] == 7 + 13
    join(net, 0, 3)
    assert (net.onward != NONE).all()
