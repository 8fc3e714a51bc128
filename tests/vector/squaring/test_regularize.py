from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RingBatch, join
from geoseg.vector.squaring.foreground import ForegroundMap
from geoseg.vector.squaring.regularize import SquareSettings, square
from geoseg.vector.tracing.polygonize import Polygonizer
from tests.vector.rasters import class_rasters, unhurried, wkbs

METRE = Ground(Affine.identity(), None, 1.0)
PIXEL = SquareSettings(tolerance_m=1.0)


def blocks(raster: NDArray[Any], origin: tuple[int, int] = (0, 0)) -> RingBatch:
    """The blocks of adjoining components of a raster."""
    height, width = raster.shape
    polygonizer = Polygonizer(width, height, background=0, origin=origin, grouping="adjoining")
    return join([*polygonizer.feed(raster), *polygonizer.finish()])


def drawn(*shapes: shapely.Polygon, size: int = 100) -> NDArray[np.uint8]:
    """A raster in which shapes are numbered from 1 on."""
    numbered = [(shape, number) for number, shape in enumerate(shapes, 1)]
    return rasterio.features.rasterize(numbered, out_shape=(size, size), dtype="uint8")


def turned(shape: Any, degrees: float) -> Any:
    return shapely.affinity.rotate(shape, degrees, origin=(50, 50))


def corners(polygon: shapely.Polygon) -> NDArray[np.float64]:
    """How much the exterior turns at each vertex, in degrees, without regard to the direction."""
    sides = np.diff(shapely.get_coordinates(polygon.exterior), axis=0)
    angles = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
    return np.abs((angles - np.roll(angles, 1) + 180) % 360 - 180)


def iou(a: Any, b: Any) -> float:
    return float(shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b)))


def squared(raster: NDArray[Any], settings: SquareSettings = PIXEL) -> NDArray[Any]:
    return square(blocks(raster), METRE, settings).geometry


@pytest.mark.parametrize("degrees", [0, 3, 17, 30, 45, 62, 88])
def test_a_rectangle_at_any_angle_has_four_right_corners(degrees):
    rectangle = turned(shapely.box(30.2, 38.7, 71.1, 60.4), degrees)
    (polygon,) = squared(drawn(rectangle), SquareSettings(2.0))
    assert corners(polygon) == pytest.approx(np.full(4, 90), abs=0.05)
    assert iou(polygon, rectangle) > (0.96 if degrees in (0, 45) else 0.975)  # there all that is known is to a pixel


@pytest.mark.parametrize("degrees", [0, 12, 40, 71])
def test_an_l_keeps_its_six_right_corners(degrees):
    shape = turned(shapely.box(25, 30, 75, 50).union(shapely.box(25, 30, 45, 75)), degrees)
    (polygon,) = squared(drawn(shape))
    assert corners(polygon) == pytest.approx(np.full(6, 90), abs=0.05)
    assert iou(polygon, shape) > 0.97


@pytest.mark.parametrize("degrees", [0, 8, 33, 45, 80])
def test_a_terrace_stays_a_terrace(degrees):
    houses = [turned(shapely.box(10 + 16 * n, 35, 26 + 16 * n, 62), degrees) for n in range(5)]
    polygons = squared(drawn(*houses))
    assert shapely.coverage_is_valid(polygons)
    assert all(iou(polygon, house) > 0.93 for polygon, house in zip(sorted_by(polygons, houses), houses, strict=True))
    shared = shapely.intersection(polygons[:, None], polygons[None, :])[np.triu_indices(5, 1)]
    walls = shapely.length(shared)
    assert np.sort(walls)[-4:] == pytest.approx(27, abs=1.5)
    assert shapely.area(shared).sum() == 0
    assert shapely.get_num_coordinates(shapely.union_all(polygons).simplify(0.3)) == 5


def sorted_by(polygons: NDArray[Any], shapes: list[Any]) -> list[Any]:
    """The polygon that overlaps each shape most."""
    return [max(polygons, key=lambda polygon: polygon.intersection(shape).area) for shape in shapes]


@pytest.mark.parametrize("radius", [11, 15, 30])
def test_a_circle_becomes_neither_a_box_nor_a_staircase(radius):
    circle = shapely.Point(50.3, 49.6).buffer(radius, quad_segs=64)
    (polygon,) = squared(drawn(circle))
    assert iou(polygon, circle) > 0.95
    assert len(corners(polygon)) >= 7
    assert corners(polygon).max() < 75


def test_a_diagonal_wing_stays_diagonal():
    wing = turned(shapely.box(50, 41, 90, 59), 45)
    house = shapely.box(20, 30, 56, 68).union(wing)
    (polygon,) = squared(drawn(house))
    assert iou(polygon, house) > 0.97
    sides = np.diff(shapely.get_coordinates(polygon.exterior), axis=0)
    diagonal = np.abs(np.degrees(np.arctan2(sides[:, 1], sides[:, 0])) % 90 - 45) < 2
    assert np.hypot(*sides[diagonal].T).sum() > 50


def test_a_courtyard_is_squared_too():
    house = turned(shapely.box(15, 25, 85, 75), 21).difference(turned(shapely.box(40, 40, 62, 61), 21))
    (polygon,) = squared(drawn(house))
    (court,) = polygon.interiors
    assert len(court.coords) == 5
    assert corners(shapely.Polygon(court)) == pytest.approx(np.full(4, 90), abs=0.05)
    assert iou(polygon, house) > 0.96


def test_a_house_in_a_courtyard_that_it_fills_stays_in_it():
    inner = turned(shapely.box(40, 40, 62, 61), 21)
    polygons = squared(drawn(turned(shapely.box(15, 25, 85, 75), 21), inner))
    assert shapely.coverage_is_valid(polygons)
    small, large = sorted(polygons, key=lambda polygon: polygon.area)
    (court,) = large.interiors
    assert shapely.Polygon(court).normalize() == small.normalize()
    assert len(court.coords) == 5


def test_right_angles_are_right_on_the_ground_where_pixels_are_not_square():
    metres_x, metres_y = 0.5, 1.1  # about what 1e-5 degrees are at 63 degrees north
    ground = Ground.of(Affine(1e-5, 0, 25, 0, -1e-5, 63), "EPSG:4326")
    assert ground.pixel_sizes(np.array([[50.0, 50.0]]))[0] == pytest.approx([metres_x, metres_y], rel=0.05)
    scale = ground.pixel_sizes(np.array([[50.0, 50.0]]))[0]
    house = shapely.affinity.rotate(shapely.box(0, 0, 34, 21), 28, origin="center")
    house = shapely.affinity.translate(shapely.affinity.scale(house, *(1 / scale), origin=(0, 0)), 20, 40)
    (polygon,) = square(blocks(drawn(house)), ground, SquareSettings(0.5)).geometry
    on_the_ground = shapely.affinity.scale(polygon, *scale, origin=(0, 0))
    assert corners(on_the_ground) == pytest.approx(np.full(4, 90), abs=0.1)
    assert np.abs(corners(polygon) - 90).max() > 10
    assert iou(polygon, house) > 0.95


@pytest.mark.parametrize(("depth", "tolerance", "expected"), [(1, 1.0, 4), (5, 1.0, 8), (5, 6.0, 4)])
def test_steps_of_the_tolerance_vanish_and_larger_ones_stay(depth, tolerance, expected):
    raster = np.zeros((60, 60), np.uint8)
    raster[20:40, 10:50] = 1
    raster[20 - depth : 20, 24:36] = 1
    (polygon,) = squared(raster, SquareSettings(tolerance))
    assert len(corners(polygon)) == expected


def test_order_attributes_and_number_are_kept():
    rng = np.random.default_rng(3)
    batch = blocks(np.kron(rng.integers(0, 4, (12, 12)), np.ones((7, 6))).astype(np.uint8))
    polygons = square(batch, METRE, PIXEL)
    exact = batch.polygons()
    for name in ("class_id", "pixels", "score_sum", "touches_edge", "group"):
        assert np.array_equal(getattr(polygons, name), getattr(exact, name))
    assert (shapely.area(shapely.intersection(polygons.geometry, exact.geometry)) > 0.5 * exact.pixels).all()


def test_a_block_depends_on_nothing_but_itself():
    batch = blocks(drawn(*(turned(shapely.box(4 + 19 * n, 20 + n, 19 + 19 * n, 40), 9) for n in range(5))))
    assert batch.group[-1] > 1
    whole = wkbs(square(batch, METRE, PIXEL))
    alone = [square(batch.take(batch.group == group), METRE, PIXEL) for group in np.unique(batch.group)]
    assert [wkb for part in alone for wkb in wkbs(part)] == whole


def test_where_a_block_stands_changes_nothing_but_its_place():
    raster = drawn(turned(shapely.box(30, 30, 50, 70), 13), turned(shapely.box(50, 30, 70, 70), 13))
    here = square(blocks(raster), METRE, PIXEL).geometry
    there = square(blocks(raster, origin=(4096, 70_000)), METRE, PIXEL).geometry
    moved = shapely.transform(here, lambda points: points + np.array([4096, 70_000]))
    assert list(shapely.to_wkb(moved)) == list(shapely.to_wkb(there))


def test_what_was_dropped_beside_a_house_leaves_no_corner():
    raster = drawn(turned(shapely.box(30, 30, 50, 70), 13), turned(shapely.box(50, 42, 56, 50), 13))
    batch = blocks(raster)
    (polygon,) = square(batch.take(batch.class_id == 1), METRE, PIXEL).geometry
    assert len(corners(polygon)) == 4


def test_single_pixels_stay_as_they_are():
    batch = blocks(np.pad(np.ones((1, 1), np.uint8), 1))
    assert square(batch, METRE, PIXEL).geometry[0].normalize() == shapely.box(1, 1, 2, 2).normalize()


def test_houses_that_touch_at_one_side_still_do():
    raster = np.zeros((40, 60), np.uint8)
    raster[5:20, 5:30] = 1
    raster[19:34, 30:55] = 2
    polygons = squared(raster)
    assert shapely.length(shapely.intersection(*polygons)) > 0


def test_an_empty_batch_stays_empty():
    assert len(square(blocks(np.zeros((3, 3), np.uint8)), METRE, PIXEL)) == 0


def test_metres_without_a_resolution_are_refused():
    with pytest.raises(ResolutionError, match=r"tolerance_m=1 .*metres per pixel"):
        square(blocks(np.ones((3, 3), np.uint8)), Ground(Affine.identity()), PIXEL)


def test_blocks_that_the_crs_cannot_measure_are_left_exact():
    batch = blocks(np.tril(np.ones((9, 9), np.uint8)))
    ground = Ground.of(Affine(1, 0, 1e12, 0, -1, 1e12), "EPSG:32633")
    assert wkbs(square(batch, ground, PIXEL)) == wkbs(batch.polygons())


@unhurried
@given(class_rasters((0, 1, 2, 3)), st.sampled_from([0.3, 1.0, 2.5]))
def test_any_raster_gives_valid_polygons_that_are_a_coverage(raster, tolerance):
    batch = blocks(raster)
    polygons = square(batch, METRE, SquareSettings(tolerance)).geometry
    assert len(polygons) == len(batch)
    assert shapely.is_valid(polygons).all()
    assert not shapely.is_empty(polygons).any()
    for group in np.unique(batch.group):
        assert shapely.coverage_is_valid(polygons[batch.group == group])


@unhurried
@given(class_rasters((0, 1, 2, 3)))
def test_neighbours_in_any_raster_stay_neighbours(raster):
    batch = blocks(raster)
    exact, polygons = batch.polygons().geometry, square(batch, METRE, PIXEL).geometry
    a, b = np.triu_indices(len(batch), 1)
    beside = shapely.length(shapely.intersection(exact[a], exact[b])) > 0
    assert (shapely.length(shapely.intersection(polygons[a], polygons[b]))[beside] > 0).all()


@pytest.mark.parametrize("degrees", [0, 20])
def test_a_batch_of_other_numbers_gives_the_same(degrees):
    batch = blocks(drawn(turned(shapely.box(30, 30, 50, 70), degrees), turned(shapely.box(50, 30, 70, 70), degrees)))
    renumbered = replace(batch, group=batch.group + 7)
    assert wkbs(square(batch, METRE, PIXEL)) == wkbs(square(renumbered, METRE, PIXEL))


def full_pixels(raster: NDArray[Any], ahead: int = 100) -> ForegroundMap:
    foreground = ForegroundMap(raster.shape, background=0, nodata=255, ahead=ahead)
    foreground.feed(raster)
    return foreground


def house_without_a_corner(degrees: float) -> NDArray[np.uint8]:
    """A house whose corner is missing, and a shed in its place, apart from it."""
    house = turned(shapely.box(20, 20, 70, 60), degrees)
    corner = turned(shapely.Point(70, 60), degrees)
    raster = drawn(house.difference(corner.buffer(4)))
    shed = drawn(corner.buffer(1.6))
    return raster + shed


def overlap_between_blocks(polygons: NDArray[Any], group: NDArray[np.int64]) -> float:
    a, b = np.triu_indices(len(polygons), 1)
    apart = group[a] != group[b]
    return float(shapely.area(shapely.intersection(polygons[a[apart]], polygons[b[apart]])).sum())


@pytest.mark.parametrize("degrees", [5, 20, 33, 70])
def test_blocks_are_kept_from_running_into_each_other(degrees):
    raster, settings = house_without_a_corner(degrees), SquareSettings(4.0)
    batch = blocks(raster)
    assert batch.group.tolist() == [0, 1]
    alone = square(batch, METRE, settings).geometry
    together = square(batch, METRE, settings, full_pixels(raster)).geometry
    assert overlap_between_blocks(alone, batch.group) > 0.5
    assert overlap_between_blocks(together, batch.group) == 0


def test_other_blocks_change_nothing_where_blocks_stand_apart():
    raster = drawn(turned(shapely.box(10, 10, 35, 40), 13), turned(shapely.box(60, 50, 80, 80), 31))
    batch = blocks(raster)
    assert wkbs(square(batch, METRE, PIXEL, full_pixels(raster))) == wkbs(square(batch, METRE, PIXEL))
