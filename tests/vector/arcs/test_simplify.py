from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from geoseg.vector.arcs.corners import CornerMap
from geoseg.vector.arcs.simplify import LONGEST, simplify
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import join
from geoseg.vector.tracing.polygonize import Polygonizer
from tests.vector.rasters import BACKGROUND, class_rasters, trace, unhurried

METRES = Ground(Affine.identity(), None, 1.0)  # a metre a pixel
TOLERANCES = st.sampled_from([0.3, 0.5, 0.75, 1.0, 1.5, 3.0, 20.0])
BACKGROUNDS = st.sampled_from([BACKGROUND, None])


def corners_of(raster, background, origin=(0, 0)):
    corners = CornerMap(raster.shape[1], raster.shape[0], background=background, origin=origin)
    corners.feed(raster)
    corners.finish()
    return corners


def simplified(raster, tolerance, *, background=BACKGROUND, ground=METRES):
    batch = trace(raster, background=background)
    return batch, simplify(batch, corners_of(raster, background), ground, tolerance)


def check_same_areas(before, after):
    """Nothing vanished, tore, crossed or turned inside out."""
    assert shapely.is_valid(after).all()
    assert shapely.coverage_is_valid(after)
    assert (shapely.area(after) > 0).all()
    assert np.array_equal(shapely.get_num_interior_rings(after), shapely.get_num_interior_rings(before))
    exteriors = shapely.get_exterior_ring(after)
    assert np.array_equal(shapely.is_ccw(exteriors), shapely.is_ccw(shapely.get_exterior_ring(before)))


def distances(before, after):
    """How far each exact vertex is from the simplified outline of its polygon."""
    points, polygon = shapely.get_coordinates(before, return_index=True)
    return shapely.distance(shapely.points(points), shapely.boundary(after)[polygon])


def land_cover(shape, classes, seed, smoothness=14):
    """Patches of classes: where smoothed noise of each is the largest."""
    noise = np.random.default_rng(seed).standard_normal((classes, *shape))
    for axis in (1, 2):
        for _ in range(3):
            noise = sum(np.roll(noise, step, axis) for step in range(-smoothness // 2, smoothness // 2 + 1))
    return noise.argmax(axis=0).astype(np.uint8)


@unhurried
@given(class_rasters(), TOLERANCES, BACKGROUNDS)
def test_neighbours_stay_neighbours_within_the_tolerance(raster, tolerance, background):
    batch, simple = simplified(raster, tolerance, background=background)
    before, after = batch.polygons().geometry, simple.polygons().geometry
    check_same_areas(before, after)
    if len(batch):
        assert distances(before, after).max() <= tolerance * (1 + 1e-9)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("background", [0, None])
@pytest.mark.parametrize("clouds", [False, True])
def test_land_cover_is_a_coverage_before_and_after(tolerance, background, clouds):
    raster = land_cover((150, 170), 10, 1)
    if clouds:
        raster[land_cover(raster.shape, 4, 2) == 0] = 255
    batch, simple = simplified(raster, tolerance, background=background)
    before, after = batch.polygons().geometry, simple.polygons().geometry
    assert shapely.coverage_is_valid(before)
    check_same_areas(before, after)
    assert shapely.area(after).sum() == pytest.approx(shapely.area(before).sum(), rel=0.05)
    assert len(simple.points) < (0.9 if tolerance < 1 else 0.5) * len(batch.points)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0, 50.0])
@pytest.mark.parametrize("values", [(0, 1), (1, 2, 3), (0, 1, 2, 255)])
def test_noise_is_a_coverage_before_and_after(values, tolerance):
    raster = np.random.default_rng(3).choice(values, (90, 80)).astype(np.uint8)
    batch, simple = simplified(raster, tolerance)
    check_same_areas(batch.polygons().geometry, simple.polygons().geometry)


@unhurried
@given(class_rasters(), TOLERANCES, BACKGROUNDS)
def test_a_polygon_alone_becomes_what_it_becomes_among_others(raster, tolerance, background):
    batch, simple = simplified(raster, tolerance, background=background)
    corners = corners_of(raster, background)
    for number in range(len(batch)):
        alone = simplify(batch.take(np.arange(len(batch)) == number), corners, METRES, tolerance)
        among = simple.take(np.arange(len(batch)) == number)
        for name in ("points", "node", "beside", "ring_offsets", "polygon_offsets", "enclosed"):
            assert np.array_equal(getattr(alone, name), getattr(among, name)), name


@unhurried
@given(class_rasters(), st.lists(st.integers(0, 40), max_size=5), TOLERANCES, BACKGROUNDS)
def test_polygons_can_be_simplified_as_soon_as_they_end(raster, cuts, tolerance, background):
    height, width = raster.shape
    _, simple = simplified(raster, tolerance, background=background)
    polygonizer = Polygonizer(width, height, background=background)
    corners = CornerMap(width, height, background=background)
    corners.bits[:] = np.uint64(0xFFFFFFFFFFFFFFFF)  # what is not known yet is anything
    done = []
    for start, stop in pairwise(sorted({0, height, *(cut % height for cut in cuts)})):
        corners.feed(raster[start:stop])
        done += [simplify(batch, corners, METRES, tolerance) for batch in polygonizer.feed(raster[start:stop])]
    corners.finish()
    done += [simplify(batch, corners, METRES, tolerance) for batch in polygonizer.finish()]
    if done:
        streamed = join(done)
        for name in ("points", "node", "beside", "ring_offsets", "class_id"):
            assert np.array_equal(getattr(streamed, name), getattr(simple, name)), name


@pytest.mark.parametrize("tolerance", [0.75, 1.5, 3.0])
def test_nothing_below_a_polygon_counts(tolerance):
    raster = np.random.default_rng(0).integers(1, 4, (40, 40), dtype=np.uint8)
    batch = trace(raster, background=None)
    for number in range(len(batch)):
        alone = batch.take(np.arange(len(batch)) == number)
        seen = []
        for unknown in (0, 0xFFFFFFFFFFFFFFFF):
            corners = corners_of(raster, None)
            corners.bits[alone.points[:, 1].max() + 1 :] = unknown
            seen.append(simplify(alone, corners, METRES, tolerance).points)
        assert np.array_equal(*seen)


@unhurried
@given(class_rasters(), TOLERANCES)
def test_rings_keep_their_nodes_what_is_beside_them_and_four_points(raster, tolerance):
    batch, simple = simplified(raster, tolerance)
    assert simple.points.dtype == np.int32
    for ring, (start, stop) in enumerate(pairwise(simple.ring_offsets)):
        points, node = simple.points[start : stop - 1], simple.node[start : stop - 1]
        assert np.array_equal(simple.points[start], simple.points[stop - 1])
        assert simple.node[start] == simple.node[stop - 1]
        assert simple.beside[start] == simple.beside[stop - 1]
        assert np.lexsort((points[:, 0], points[:, 1]))[0] == 0
        assert len(points) >= (4 if node.sum() < 2 else 3)
        span = slice(batch.ring_offsets[ring], batch.ring_offsets[ring + 1] - 1)
        exact = {
            tuple(p): (n, v)
            for p, n, v in zip(batch.points[span].tolist(), batch.node[span], batch.beside[span], strict=True)
        }
        left = zip(points.tolist(), node, simple.beside[start : stop - 1], strict=True)
        assert all(exact[tuple(p)] == (n, v) for p, n, v in left)
        assert node.sum() == batch.node[span].sum()


def test_all_else_is_handed_on():
    batch, simple = simplified(land_cover((60, 60), 4, 1), 2.0)
    for name in ("polygon_offsets", "enclosed", "class_id", "pixels", "score_sum", "touches_edge", "group"):
        assert np.array_equal(getattr(batch, name), getattr(simple, name)), name


def test_outlines_do_not_depend_on_the_origin():
    raster = land_cover((70, 60), 5, 4)
    here = simplify(trace(raster), corners_of(raster, 0), METRES, 1.0)
    moved = trace(raster, origin=(1000, 300))
    there = simplify(moved, corners_of(raster, 0, (1000, 300)), METRES, 1.0)
    assert np.array_equal(here.points + np.array([1000, 300]), there.points)


@pytest.mark.parametrize("tolerance", [0.75, 1.0])
def test_a_staircase_becomes_a_straight_line(tolerance):
    raster = np.tril(np.ones((500, 500), np.uint8))
    _, simple = simplified(raster, tolerance)
    assert len(simple.points) <= 8


def test_a_staircase_of_longer_steps_becomes_a_straight_line_too():
    raster = (np.arange(100)[:, None] > np.arange(700) / 7).astype(np.uint8)
    _, simple = simplified(raster, 1.0)
    assert len(simple.points) <= 8


def test_a_very_long_staircase_becomes_a_few_long_sides():
    raster = np.tril(np.ones((7000, 7000), np.uint8))
    batch, simple = simplified(raster, 1.0)
    assert len(batch.points) > 14_000
    assert len(simple.points) <= 3 * len(batch.points) / LONGEST + 8


def test_what_is_closer_than_the_tolerance_stays_apart():
    raster = np.zeros((30, 55), np.uint8)
    raster[5:8] = 1
    raster[8:20, np.arange(55) % 10 < 5] = 1  # a comb
    raster[23:26] = 2
    raster[11:23, np.isin(np.arange(55) % 10, [6, 7, 8])] = 2  # and one whose teeth stand between the first one's
    _, simple = simplified(raster, 100.0)
    one, two = simple.polygons().geometry
    assert shapely.disjoint(one, two)
    _, alone = simplified(np.where(raster == 1, raster, 0).astype(np.uint8), 100.0)
    assert len(alone.points) == 5


@pytest.mark.parametrize(
    "rows",
    [
        ["1111", "1051", "1111"],  # a hole that is half background and half nodata: no arc lies between these
        ["111111", "100551", "100551", "111111"],
        ["11111", "15001", "15511", "15551", "11111"],
        ["1111", "1231", "1111"],
        ["11111", "12231", "12231", "11111"],
        ["1122", "1332", "1122"],  # two areas between the same two nodes
        ["12", "21"],
        ["1212", "2121", "1212"],
    ],
)
def test_areas_between_two_nodes_do_not_collapse(rows):
    raster = np.array([[255 if value == "5" else int(value) for value in row] for row in rows], np.uint8)
    for turned in (raster, raster.T, raster[::-1], raster[:, ::-1], np.rot90(raster), np.kron(raster, np.eye(3) < 2)):
        for tolerance in (1.0, 2.0, 3.0, 100.0):
            batch, simple = simplified(np.ascontiguousarray(turned.astype(np.uint8)), tolerance)
            check_same_areas(batch.polygons().geometry, simple.polygons().geometry)


def test_degrees_are_measured_in_metres():
    raster = land_cover((200, 200), 3, 6)
    ground = Ground.of(Affine(1e-5, 0, 10, 0, -1e-5, 65), "EPSG:4326")
    geod = Geod(ellps="WGS84")
    east, north = geod.inv(10, 65, 10 + 1e-5, 65)[2], geod.inv(10, 65, 10, 65 - 1e-5)[2]
    assert north > 2 * east
    batch, simple = simplified(raster, 1.5, ground=ground)
    scaled = [shapely.transform(b.polygons().geometry, lambda p: p * [east, north]) for b in (batch, simple)]
    check_same_areas(*scaled)
    assert 1.2 < distances(*scaled).max() <= 1.5 * (1 + 1e-3)  # where the cell's middle stands for all of it


def test_pixels_need_not_be_square():
    raster = (np.random.default_rng(0).random((40, 1)) < 0.5).astype(np.uint8)
    raster = np.cumsum(raster, axis=0) > np.arange(30)  # a border that wanders
    ground = Ground.of(Affine(3, 0, 500_000, 0, -1, 5_000_000), "EPSG:32633")
    batch, simple = simplified(raster.astype(np.uint8), 1.2, ground=ground)
    scaled = [shapely.transform(b.polygons().geometry, lambda p: p * [3, 1]) for b in (batch, simple)]
    assert distances(*scaled).max() <= 1.2 * (1 + 1e-3)
    assert len(simple.points) < len(simplified(raster.astype(np.uint8), 0.4)[1].points) + len(batch.points) // 2


def test_nothing_happens_without_metres_or_tolerance():
    raster = land_cover((50, 50), 4, 8)
    batch, simple = simplified(raster, 2.0, ground=Ground(Affine.identity()))
    assert np.array_equal(batch.points, simple.points)
    assert simplify(batch, corners_of(raster, 0), METRES, 0.0) is batch


def test_corners_of_another_raster_are_refused():
    raster = land_cover((50, 50), 4, 8)
    with pytest.raises(ValueError, match="no corners of this raster"):
        simplify(trace(raster), corners_of(raster[::-1], 0), METRES, 1.0)


def shift(before, after):
    """The area between exact and simplified outlines for each unit of length: their mean distance."""
    return shapely.area(shapely.symmetric_difference(before, after)).sum() / shapely.length(before).sum()


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("path", "background"),
    [
        ("dubai_landcover/tile1_001_mask.png", None),
        ("massachusetts_roads/10078660_15_mask.tif", 0),
        ("kitsap_buildings/kitsap11_mask.tif", 0),
    ],
)
def test_real_outlines_keep_fewer_vertices_than_others_leave(data_dir: Path, path, background):
    with rasterio.open(data_dir / path) as source:
        raster = np.minimum(source.read(1)[:1500, :1500], 254).astype(np.uint8)
    batch, simple = simplified(raster, 1.5, background=background)
    before, after = batch.polygons().geometry, simple.polygons().geometry
    check_same_areas(before, after)
    assert distances(before, after).max() <= 1.5 * (1 + 1e-9)

    torn = shapely.simplify(before, 1.5)  # Douglas and Peucker, each polygon for itself
    assert len(simple.points) <= 1.02 * shapely.get_num_coordinates(torn).sum()

    for area in np.arange(2, 9, 0.25):  # the first that is as far from the exact outlines on the mean
        reference = shapely.coverage_simplify(before, area)
        if shift(before, reference) >= shift(before, after):
            break
    assert len(simple.points) <= shapely.get_num_coordinates(reference).sum()
    assert distances(before, reference).max() > 2 * 1.5
