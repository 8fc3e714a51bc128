from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from rasterio.features import rasterize

from geoseg.core.tiling import Span
from geoseg.io.labels.kernels import touching
from geoseg.io.labels.painting import Paint, covered, paint

WIDE = Span(0, 40), Span(0, 30)


def painted(polygons, numbers, window=WIDE):
    canvas = Paint(*(np.zeros((window[0].size, window[1].size), dtype) for dtype in (np.uint8, np.int32)))
    brush = Paint(np.arange(1, len(polygons) + 1, dtype=np.uint8), np.asarray(numbers, np.int32))
    paint(np.array(polygons, object), brush, Affine.identity(), window, canvas)
    return canvas


@st.composite
def polygons(draw):
    numbers = st.floats(-10, 50, allow_nan=False, width=32)
    points = draw(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9, unique=True))
    made = shapely.make_valid(shapely.Polygon(points))
    parts = [p for p in shapely.get_parts(made).tolist() if p.geom_type == "Polygon" and p.area > 0]
    return parts or [shapely.box(1, 1, 5, 5)]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(polygons(), st.integers(0, 39), st.integers(0, 29))
def test_pixels_whose_centre_lies_inside_are_filled_in_any_window(shapes, top, left):
    canvas = painted(shapes, [0] * len(shapes))
    y, x = np.mgrid[:40, :30] + 0.5
    for number, shape in enumerate(shapes, 1):
        edge = shapely.distance(shape.boundary, shapely.points(x, y)) < 1e-6
        inside = shapely.contains_xy(shape, x, y)
        later = np.isin(canvas.class_ids, range(number + 1, len(shapes) + 1))
        assert ((canvas.class_ids == number) == inside)[~edge & ~later].all()
    part = painted(shapes, [0] * len(shapes), (Span(top, 40), Span(left, 30)))
    assert_array_equal(part.class_ids, canvas.class_ids[top:, left:])


def test_gdal_fills_the_same_pixels():
    rng = np.random.default_rng(0)
    stars = [
        shapely.Polygon(np.column_stack([20 + r * np.cos(a), 20 + r * np.sin(a)])).buffer(0)
        for a in [np.linspace(0, 2 * np.pi, 30)[:-1]]
        for r in rng.uniform(3, 25, (20, 29))
    ]
    for star in stars:
        mine = covered(star, Affine.identity(), (Span(0, 40), Span(0, 40)))
        assert_array_equal(mine, rasterize([star], (40, 40), transform=Affine.identity()) != 0)


def test_neighbours_share_all_pixels_out_between_them():
    points = np.random.default_rng(1).uniform(0, 40, (60, 2))
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points)))
    counts = sum(covered(cell, Affine.identity(), (Span(0, 40), Span(0, 40))).astype(int) for cell in cells)
    assert (counts == 1).all()
    together = covered(cells, Affine.identity(), (Span(0, 40), Span(0, 40)))
    assert together.all()
    squares = [shapely.box(0.5, 0.5, 2.5, 2.5), shapely.box(2.5, 0.5, 4.5, 2.5)]  # edges through pixels' centres
    assert [int(covered(s, Affine.identity(), WIDE).sum()) for s in squares] == [4, 4]


def test_holes_stay_open():
    ring = shapely.box(0, 0, 10, 10).difference(shapely.box(3, 3, 6, 6))
    filled = covered(ring, Affine.identity(), WIDE)
    assert filled.sum() == 91
    assert not filled[3:6, 3:6].any()


def test_what_comes_later_lies_on_top():
    canvas = painted([shapely.box(0, 0, 10, 10), shapely.box(5, 5, 15, 15)], [7, 8])
    assert (canvas.class_ids[5:10, 5:10] == 2).all()
    assert (canvas.numbers == 7).sum() == 75
    assert (canvas.numbers == 8).sum() == 100


@pytest.mark.parametrize("window", [WIDE, (Span(12, 13), Span(8, 9)), (Span(10, 20), Span(0, 30))])
def test_an_object_between_centres_gets_its_nearest_pixel(window):
    canvas = painted([shapely.box(8.6, 12.1, 8.9, 12.4), shapely.box(1.6, 1.6, 1.9, 1.9)], [5, 0], window)
    expected = np.zeros((40, 30), int)
    expected[12, 8] = 5
    assert_array_equal(canvas.numbers, expected[window[0].start : window[0].stop, window[1].start : window[1].stop])
    assert not (canvas.class_ids == 2).any()  # it is no object


def test_an_object_that_only_reaches_into_a_window_gets_no_pixel_there():
    long = shapely.box(0, 3, 35, 5)  # beyond the right end; its centres lie in rows 3 and 4
    assert not painted([shapely.box(0, 4.7, 3, 5.2), long], [1, 0], (Span(6, 9), Span(0, 30))).numbers.any()
    outside = shapely.box(-5, 10, 0.3, 12)  # holds centres left of the grid
    assert not painted([outside], [1]).numbers.any()


def test_a_mapping_leads_to_the_pixels():
    to_pixels = ~(Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(2, -2))
    corners = [~to_pixels * corner for corner in [(3, 4), (9, 4), (9, 8), (3, 8)]]
    expected = np.zeros((40, 30), bool)
    expected[4:8, 3:9] = True
    assert_array_equal(covered(shapely.Polygon(corners), to_pixels, WIDE), expected)


def test_touching_pixels_of_one_class_are_one_object():
    classes = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [2, 1, 1, 1], [2, 0, 3, 3]], np.uint8)
    things = np.isin(np.arange(256), [1, 2])
    assert touching(classes, things).tolist() == [[1, 1, 0, 1], [0, 1, 0, 1], [2, 1, 1, 1], [2, 0, 0, 0]]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40))
def test_objects_in_noise_are_those_that_a_search_finds(seed, height, width):
    classes = np.random.default_rng(seed).integers(0, 3, (height, width), dtype=np.uint8)
    found = touching(classes, np.arange(256) > 0)
    seen = np.zeros((height, width), int)
    count = 0
    for start in zip(*np.nonzero(classes), strict=True):
        if seen[start]:
            continue
        count += 1
        stack = [start]
        while stack:
            y, x = stack.pop()
            if 0 <= y < height and 0 <= x < width and not seen[y, x] and classes[y, x] == classes[start]:
                seen[y, x] = count
                stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    assert_array_equal(found, seen)


def test_more_objects_than_room_is_made_for_at_first():
    board = (np.indices((80, 80)).sum(axis=0) % 2).astype(np.uint8)
    assert touching(board, np.arange(256) > 0).max() == 3200
