from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.vector.attributes import confidence, measure
from geoseg.vector.ground import Ground
from tests.vector.rasters import trace

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="ground", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#ff0000"),
        ClassInfo(id=2, name="road", colour="#00ff00"),
    )
)
UTM = Ground.of(Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), "EPSG:32633")


def square(size: int, class_id: int = 1) -> np.ndarray:
    return np.pad(np.full((size, size), class_id, np.uint8), 1)


def test_every_column_has_its_value():
    raster = np.zeros((6, 9), np.uint8)
    raster[1:3, 1:4] = 1
    raster[4:, 5:] = 2
    scores = np.where(raster == 1, 200, 254).astype(np.uint8)
    batch = measure(trace(raster, scores=scores).polygons(), UTM, CLASSES)
    assert len(batch) == 2
    assert batch.class_name.tolist() == ["building", "road"]
    assert batch.class_id.tolist() == [1, 2]
    assert batch.confidence.tolist() == [0.7874, 1.0]
    assert batch.touches_edge.tolist() == [False, True]
    assert batch.area_m2 == pytest.approx(np.array([6, 8]) * 0.25 / 0.9996**2, rel=1e-6)
    assert batch.perimeter_m == pytest.approx(np.array([10, 12]) * 0.5 / 0.9996, rel=1e-6)
    assert batch.geometry[0].bounds == (500_000.5, 3_999_998.5, 500_002, 3_999_999.5)


def test_areas_in_mercator_are_those_on_the_ground():
    ground = Ground.of(Affine(1, 0, 0, 0, -1, 8_399_737.89), "EPSG:3857")  # at 60 degrees north, where 1 is 0.5 m
    batch = measure(trace(square(20)).polygons(), ground, CLASSES)
    assert batch.geometry[0].area == 400
    assert batch.area_m2[0] == pytest.approx(100, rel=0.01)
    assert batch.perimeter_m[0] == pytest.approx(40, rel=0.01)


def test_a_degree_at_the_equator_has_its_published_area():
    ground = Ground.of(Affine(0.1, 0, 10, 0, -0.1, 1), "EPSG:4326")
    batch = measure(trace(np.ones((10, 10), np.uint8)).polygons(), ground, CLASSES)
    area, perimeter = Geod(ellps="WGS84").geometry_area_perimeter(shapely.box(10, 0, 11, 1))
    assert batch.area_m2[0] == pytest.approx(area, rel=1e-9) == pytest.approx(12_308.8e6, rel=1e-4)
    assert batch.perimeter_m[0] == pytest.approx(perimeter, rel=1e-9)


def test_a_polygon_across_the_dateline_is_small():
    ground = Ground.of(Affine(0.001, 0, 179.995, 0, -0.001, 0), "EPSG:4326")
    batch = measure(trace(np.ones((10, 10), np.uint8)).polygons(), ground, CLASSES)
    assert batch.area_m2[0] == pytest.approx(1113.2 * 1105.7, rel=1e-3)


def test_holes_take_from_the_area_and_add_to_the_perimeter():
    raster = square(5)
    raster[3, 3] = 0
    batch = measure(trace(raster).polygons(), UTM, CLASSES)
    assert batch.area_m2[0] == pytest.approx(24 * 0.25 / 0.9996**2, rel=1e-6)
    assert batch.perimeter_m[0] == pytest.approx((20 + 4) * 0.5 / 0.9996, rel=1e-6)


def test_a_south_up_raster_has_the_same_measures():
    upside = Ground.of(Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000), "EPSG:32633")
    batch = measure(trace(square(4)).polygons(), upside, CLASSES)
    assert shapely.is_ccw(batch.geometry[0].exterior)
    assert batch.area_m2[0] == pytest.approx(4 / 0.9996**2, rel=1e-6)


def test_without_a_crs_measures_are_planar_and_unknown_without_a_resolution():
    polygons = trace(square(4)).polygons()
    known = measure(polygons, Ground(Affine.identity(), None, 2.0), CLASSES)
    assert (known.area_m2[0], known.perimeter_m[0]) == (64, 32)
    unknown = measure(polygons, Ground(Affine.identity()), CLASSES)
    assert np.isnan(unknown.area_m2).all()
    assert np.isnan(unknown.perimeter_m).all()


def test_confidence_is_unknown_without_scores():
    assert np.isnan(confidence(trace(square(3)).polygons())).all()


def test_a_class_without_a_name_is_numbered():
    assert measure(trace(square(3, 7)).polygons(), UTM, CLASSES).class_name.tolist() == ["class 7"]


def test_no_polygons_give_empty_columns():
    batch = measure(trace(np.zeros((3, 3), np.uint8)).polygons(), UTM, CLASSES)
    assert len(batch) == 0
    assert batch.area_m2.shape == batch.confidence.shape == batch.class_name.shape == (0,)
