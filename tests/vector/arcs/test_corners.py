from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.vector.arcs.corners import CornerMap, count_in_triangle, in_triangle
from geoseg.vector.spool import Spool
from tests.vector.rasters import NODATA, class_rasters, trace, unhurried

CUTS = st.lists(st.integers(0, 40), max_size=5).map(tuple)


def marks(raster, background, nodata=NODATA):
    """The definition, word by word."""
    framed = np.pad(raster.astype(np.int64), 1, constant_values=nodata)
    nw, ne, sw, se = framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]
    straight = ((nw == sw) & (ne == se)) | ((nw == ne) & (sw == se))
    void = [(value == background) | (value == nodata) for value in (nw, ne, sw, se)]
    return ~straight & ~np.logical_and.reduce(void)


def fed(raster, cuts=(), **how):
    height, width = raster.shape
    corners = CornerMap(width, height, **how)
    for start, stop in pairwise(sorted({0, height, *(cut % height for cut in cuts)})):
        corners.feed(raster[start:stop])
    corners.finish()
    return corners


@unhurried
@given(class_rasters(), CUTS, st.sampled_from([0, 1, None]), st.sampled_from([np.uint8, np.int32, np.int64]))
def test_a_corner_is_marked_where_an_outline_turns_or_ends(raster, cuts, background, dtype):
    corners = fed(raster.astype(dtype), cuts, background=background)
    assert np.array_equal(corners.marked(), marks(raster, background))


def test_rows_wider_than_a_word_and_ids_beyond_a_byte_are_marked_alike():
    noise = np.random.default_rng(0)
    raster = np.kron(noise.choice([0, 7, 70_000], (40, 30)), np.ones((3, 11), np.int64))
    corners = fed(raster, (5, 6, 50), background=0, nodata=-1)
    assert np.array_equal(corners.marked(), marks(raster, 0, -1))


def test_a_strip_of_wider_ids_may_follow_one_of_bytes():
    raster = np.array([[1, 2, 2], [1, 300, 2], [1, 1, 2]])
    corners = CornerMap(3, 3, background=0)
    corners.feed(raster[:1].astype(np.uint8))
    corners.feed(raster[1:])
    corners.finish()
    assert np.array_equal(corners.marked(), marks(raster, 0))


@unhurried
@given(class_rasters(), st.integers(1, 50))
def test_what_is_known_before_the_end_is_final(raster, rows):
    rows = min(rows, len(raster))
    corners = CornerMap(raster.shape[1], len(raster), background=0)
    corners.feed(raster[:rows])
    assert np.array_equal(corners.marked(), marks(raster, 0)[:rows])


def test_marks_may_lie_in_a_file(tmp_path):
    raster = np.random.default_rng(1).integers(0, 3, (50, 70), dtype=np.uint8)
    with Spool(tmp_path, budget=0) as spool:
        corners = fed(raster, (7,), background=0, spool=spool)
        assert spool.on_disk(corners.bits)
        assert np.array_equal(corners.marked(), marks(raster, 0))


@unhurried
@given(class_rasters(), st.sampled_from([0, None]))
def test_every_vertex_of_an_exact_outline_is_marked(raster, background):
    batch = trace(raster, background=background, origin=(30, 7))
    corners = fed(raster, background=background, origin=(30, 7))
    corners.check(batch.points)
    x, y = (batch.points - corners.origin).T
    assert corners.marked()[y, x].all()


@pytest.mark.parametrize(
    ("shape", "expected"), [((2, 4), "expected 5 columns"), ((4, 5), "at most 3 rows"), ((5,), "5")]
)
def test_a_strip_that_does_not_fit_is_refused(shape, expected):
    with pytest.raises(ValueError, match=expected):
        CornerMap(5, 3, background=0).feed(np.zeros(shape, np.uint8))


def test_missing_rows_are_noticed_at_the_end():
    corners = CornerMap(5, 3, background=0)
    corners.feed(np.zeros((2, 5), np.uint8))
    with pytest.raises(ValueError, match="2 rows were fed; expected 3"):
        corners.finish()


def test_points_of_another_raster_are_refused():
    raster = np.zeros((6, 6), np.uint8)
    raster[2:4, 2:4] = 1
    points = trace(raster).points
    fed(raster, background=0).check(points)
    with pytest.raises(ValueError, match="no corners of this raster"):
        fed(np.roll(raster, 1), background=0).check(points)
    with pytest.raises(ValueError, match="are known"):
        fed(raster, background=0).check(points + 3)
    early = CornerMap(6, 6, background=0)
    early.feed(raster[:4])
    with pytest.raises(ValueError, match="rows 0 to 3 are known"):
        early.check(points)


@unhurried
@given(st.tuples(*[st.integers(0, 80)] * 6), st.sampled_from([1, 4, 8]), st.integers(0, 99))
def test_triangles_count_the_marks_inside_and_on_their_sides(triangle, scale, seed):
    raster = np.zeros((12, 70), np.uint8)
    raster[:, 58:] = np.random.default_rng(seed).integers(0, 3, (12, 12))  # across the border of a word
    corners = fed(raster, background=None)
    triangle = tuple(value * scale // 8 + 58 * scale * (place % 2 == 0) for place, value in enumerate(triangle))
    y, x = np.nonzero(corners.marked())
    inside = [in_triangle(triangle, int(i) * scale, int(j) * scale) for i, j in zip(x, y, strict=True)]
    assert inside == [_holds(triangle, int(i) * scale, int(j) * scale) for i, j in zip(x, y, strict=True)]
    assert count_in_triangle(corners.bits, triangle, scale) == sum(inside)


def _holds(triangle, x, y):
    """Whether no side of a triangle, flat ones included, parts a point from it."""
    a, b, c = (complex(*triangle[i : i + 2]) for i in (0, 2, 4))
    point = complex(x, y)

    def turn(p, q, r):
        return ((q - p).conjugate() * (r - p)).imag

    turns = [turn(a, b, point), turn(b, c, point), turn(c, a, point)]
    if turn(a, b, c) == 0:
        ends = sorted([a, b, c], key=lambda p: (p.real, p.imag))
        first, last = ends[0], ends[-1]
        along = ((last - first).conjugate() * (point - first)).real
        return (
            turn(first, last, point) == 0
            and 0 <= along <= ((last - first).conjugate() * (last - first)).real
            and (first != last or point == a)
        )
    return min(turns) >= 0 or max(turns) <= 0
