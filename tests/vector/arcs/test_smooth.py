from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geoseg.vector.arcs.simplify import simplify
from geoseg.vector.arcs.smooth import smooth
from geoseg.vector.ground import Ground
from tests.vector.arcs.test_simplify import BACKGROUNDS, METRES, check_same_areas, corners_of, distances, land_cover
from tests.vector.rasters import NODATA, class_rasters, trace, unhurried, wkbs

TOLERANCES = st.sampled_from([0.0, 0.75, 1.5, 5.0])
REACHES = st.sampled_from([0.25, 1.0, 3.0, 100.0])


def smoothed(raster, tolerance, reach, *, background=0, ground=METRES):
    exact, corners = trace(raster, background=background), corners_of(raster, background)
    batch = simplify(exact, corners, ground, tolerance)
    return batch, smooth(batch, exact, corners, ground, reach)


@unhurried
@given(class_rasters(), TOLERANCES, REACHES, BACKGROUNDS)
def test_neighbours_stay_neighbours(raster, tolerance, reach, background):
    batch, polygons = smoothed(raster, tolerance, reach, background=background)
    before, after = batch.polygons().geometry, polygons.geometry
    check_same_areas(before, after)
    if len(batch):
        assert distances(before, after).max() <= reach + 1 / 4
        assert distances(after, before).max() <= reach * (1 + 1e-9)


@pytest.mark.parametrize("reach", [0.5, 2.0, 50.0])
@pytest.mark.parametrize("background", [0, None])
def test_land_cover_is_a_coverage_of_the_same_points(reach, background):
    raster = land_cover((150, 170), 10, 1)
    raster[land_cover(raster.shape, 4, 2, 30) == 0] = NODATA
    batch, polygons = smoothed(raster, 1.0, reach, background=background)
    check_same_areas(batch.polygons().geometry, polygons.geometry)
    lines = shapely.get_coordinates(shapely.coverage_simplify(polygons.geometry, 0.0))
    points = shapely.get_coordinates(polygons.geometry)
    assert len(points) > 1.3 * len(batch.points)
    assert {tuple(point) for point in lines} <= {tuple(point) for point in points}


@unhurried
@given(class_rasters(), TOLERANCES, REACHES)
def test_a_polygon_alone_becomes_what_it_becomes_among_others(raster, tolerance, reach):
    batch, polygons = smoothed(raster, tolerance, reach)
    exact, corners = trace(raster), corners_of(raster, 0)
    for number in range(len(batch)):
        which = np.arange(len(batch)) == number
        alone = smooth(batch.take(which), exact.take(which), corners, METRES, reach)
        assert wkbs(alone) == wkbs(polygons.take(which))


@unhurried
@given(class_rasters(), REACHES)
def test_nodes_stay_where_they_are(raster, reach):
    batch, polygons = smoothed(raster, 1.0, reach)
    for number in range(len(batch)):
        alone = batch.take(np.arange(len(batch)) == number)
        points = set(map(tuple, shapely.get_coordinates(polygons.geometry[number]).tolist()))
        assert points.issuperset(map(tuple, alone.points[alone.node].tolist()))


def test_points_are_exact_fractions():
    _, polygons = smoothed(land_cover((60, 60), 5, 3), 1.0, 1.0)
    points = shapely.get_coordinates(polygons.geometry) * 8192
    assert np.array_equal(points, np.round(points))


def test_an_octagon_becomes_rounder():
    y, x = np.mgrid[:80, :80] - 39.5
    raster = (x**2 + y**2 < 35**2).astype(np.uint8)
    batch, polygons = smoothed(raster, 2.0, 2.0)
    (coarse,), (fine,) = batch.polygons().geometry, polygons.geometry
    assert largest_turn(fine) < 0.5 * largest_turn(coarse)


def largest_turn(polygon):
    """The sharpest change of direction along an exterior, in radians."""
    sides = np.diff(np.array(polygon.exterior.coords), axis=0) @ [1, 1j]
    return np.abs(np.angle(np.append(sides[1:], sides[0]) / sides)).max()


def test_a_right_angle_is_cut_no_further_than_asked():
    raster = np.zeros((100, 100), np.uint8)
    raster[20:80, 20:80] = 1
    batch, polygons = smoothed(raster, 1.0, 3.0)
    (square,), (rounded,) = batch.polygons().geometry, polygons.geometry
    assert 2.5 < distances(np.array([square]), np.array([rounded])).max() <= 3.0
    assert square.contains(rounded)
    assert rounded.touches(shapely.Point(50, 20))


def test_corners_of_the_raster_and_of_nodata_stay():
    raster = np.ones((40, 40), np.uint8)
    raster[10:20, 10:20] = NODATA
    batch, polygons = smoothed(raster, 1.0, 5.0)
    assert wkbs(batch.polygons()) == wkbs(polygons)


def test_a_corner_with_another_object_in_it_stays_sharp_there():
    raster = np.zeros((60, 60), np.uint8)
    raster[10:50, 10:50] = 1
    raster[46:49, 46:49] = 2
    _, polygons = smoothed(raster, 0.0, 20.0)
    large = polygons.geometry[polygons.class_id == 1][0]
    small = polygons.geometry[polygons.class_id == 2][0]
    assert large.contains(shapely.Point(48.4, 48.4).buffer(0.1)) != small.contains(shapely.Point(48.4, 48.4))
    assert not large.exterior.intersects(small)
    assert large.exterior.distance(shapely.Point(10, 10)) > 2 * large.exterior.distance(shapely.Point(50, 50))


def test_nothing_happens_without_metres():
    batch, polygons = smoothed(land_cover((50, 50), 4, 8), 1.0, 1.0, ground=Ground(Affine.identity()))
    assert wkbs(batch.polygons()) == wkbs(polygons)


def test_an_empty_batch_stays_empty():
    assert len(smoothed(np.zeros((5, 5), np.uint8), 1.0, 1.0)[1]) == 0


def test_a_batch_that_comes_from_elsewhere_is_refused():
    raster = land_cover((50, 50), 4, 8)
    batch, corners = trace(raster), corners_of(raster, 0)
    last = np.arange(len(batch)) == len(batch) - 1
    for other in (batch.take(~last), batch.take(np.roll(last, 1)), simplify(batch, corners, METRES, 2.0)):
        with pytest.raises(ValueError, match="not simplified ones of the exact batch"):
            smooth(batch.take(last) if len(other) == 1 else batch, other, corners, METRES, 1.0)
