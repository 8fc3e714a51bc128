"""Objects of a part of a scene: those of the whole scene, or known to be uncertain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Strip
from geoseg.core.tiling import Span, Tiling
from geoseg.inference.separation import separate as watershed
from geoseg.inference.separation.rim import KnownRim
from geoseg.inference.separation.separate import separate
from tests.inference.separation.test_separate import CLASSES, drawn, naive, random_scene


class Mask:
    """A region that is a raster of the scene."""

    def __init__(self, inside):
        self._padded = np.pad(inside, 1)

    def mask(self, y, x):
        return self._padded[y.start + 1 : y.stop + 1, x.start + 1 : x.stop + 1]


def part_of(ids, scores, inside, y, x, heights):
    """The strips of a block (rows y, columns x), of which `inside` (y, x) is computed, as whole rasters and tables."""
    block = Tiling.over(ids.shape, max(ids.shape), 0).block(Span(*y), Span(*x))
    rim = KnownRim(ids.shape, block, Mask(inside))
    seen = np.where(inside, ids, NODATA)

    def strips():
        start, turn = y[0], 0
        while start < y[1]:
            stop = min(y[1], start + heights[turn % len(heights)])
            yield Strip(Span(start, stop), seen[start:stop, x[0] : x[1]], scores[start:stop, x[0] : x[1]])
            start, turn = stop, turn + 1

    out = list(separate(strips(), CLASSES, x[1] - x[0], Span(*y), rim))
    classes, instances = np.full(ids.shape, NODATA), np.zeros(ids.shape, int)
    for strip in out:
        place = np.s_[strip.y.start : strip.y.stop, x[0] : x[1]]
        classes[place], instances[place] = strip.class_ids, strip.instance_ids
    table = [row for strip in out for row in zip(*columns(strip.objects), strict=True)]
    return classes, instances, table


def columns(table):
    return [values.tolist() for values in (table.instance_id, table.class_id, table.score, table.last_row, table.cut)]


def random_part(random, shape):
    """A block, and a region in it: a rectangle, or noise at its rim."""
    y, x = np.sort(random.integers(0, shape[0] + 1, 2)), np.sort(random.integers(0, shape[1] + 1, 2))
    y[1], x[1] = max(y[1], y[0] + 1), max(x[1], x[0] + 1)
    y, x = (
        (int(min(y[0], shape[0] - 1)), int(min(y[1], shape[0]))),
        (
            int(min(x[0], shape[1] - 1)),
            int(min(x[1], shape[1])),
        ),
    )
    inside = np.zeros(shape, bool)
    inside[y[0] : y[1], x[0] : x[1]] = True
    if random.random() < 0.5:
        v, u = np.mgrid[: shape[0], : shape[1]]
        inside &= np.hypot(v - random.uniform(0, shape[0]), u - random.uniform(0, shape[1])) < random.uniform(2, 20)
    return y, x, inside


@settings(max_examples=250, derandomize=True, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(2, 26), st.integers(2, 22)),
    st.sampled_from([0, 1, 3, 8]),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([1, 60, 1 << 20]),
)
def test_what_is_not_cut_is_that_of_the_whole_scene(seed, shape, thick, heights, chunk):
    random, ids = np.random.default_rng(seed), random_scene(seed, shape, thick)
    if seed % 3 == 0:
        ids[random.random(shape) < random.random()] = 2
    scores = random.integers(0, 255, shape).astype(np.uint8)
    y, x, inside = random_part(random, shape)
    before, watershed.CHUNK_PIXELS = watershed.CHUNK_PIXELS, chunk
    try:
        classes, instances, table = part_of(ids, scores, inside, y, x, heights)
    finally:
        watershed.CHUNK_PIXELS = before
    expected, _, whole, listed = naive(ids, scores)
    assert [row[0] for row in table] == list(range(1, instances.max(initial=0) + 1))
    certain = inside & (instances >= 0)
    for number, class_id, score, last_row, cut in table:
        own = instances == number
        assert own.any()
        if cut:
            certain &= ~own
            continue
        (other,) = np.unique(whole[own])
        assert np.array_equal(whole == other, own)
        assert (class_id, last_row) == (listed[other - 1][0], listed[other - 1][2])
        assert score * 254 == pytest.approx(listed[other - 1][1], abs=1e-3)
    assert np.array_equal(classes[certain], expected[certain])
    assert np.array_equal(instances[certain] > 0, whole[certain] > 0)
    assert not (instances[~inside] > 0).any()
    assert (ids[instances == -1] == 2).all(), "only a separator's pixels may be nobody's"
    same = part_of(ids, scores, inside, y, x, (1000,))
    assert np.array_equal(instances == -1, same[1] == -1)
    assert np.array_equal(instances, same[1])
    missed = {row[0] for row in same[2] if row[4]} - {row[0] for row in table if row[4]}
    assert not missed


def test_only_what_is_as_near_to_the_unknown_is_nobodys():
    ids = drawn("""
        #.#.....#
        +.+++..++
        +.+++..++
        ......#++
    """)
    inside = np.ones(ids.shape, bool)
    inside[:, 8] = False
    _, instances, table = part_of(ids, ids, inside, (0, 4), (0, 8), (2,))
    assert instances.tolist() == [
        [1, 0, 2, 0, 0, 0, 0, 0, 0],
        [1, 0, 2, 2, 2, 0, 0, -1, 0],
        [1, 0, 2, 2, 2, 0, 0, -1, 0],
        [0, 0, 0, 0, 0, 0, 3, -1, 0],
    ]
    assert [row[4] for row in table] == [False, False, True]


def test_where_the_scene_ends_nothing_is_unknown():
    ids = drawn("#+ ++ ##")
    _, instances, table = part_of(ids, ids, np.ones(ids.shape, bool), (0, 3), (0, 2), (1,))
    assert (instances > 0).all()
    assert not any(row[4] for row in table)


def test_a_marker_at_the_rim_and_what_ties_with_it_are_cut():
    ids = drawn("""
        .......
        .#+#...
        .......
        .#+#..#
    """)
    inside = np.ones(ids.shape, bool)
    inside[1, 4:] = inside[3, 5:] = False
    for heights in ((4,), (1,)):
        _, instances, table = part_of(ids, ids, inside, (0, 4), (0, 7), heights)
        assert instances[1].tolist() == [0, 1, 1, 2, 0, 0, 0]
        assert [row[4] for row in table] == [True, True, False, False], "the other may begin further up"
