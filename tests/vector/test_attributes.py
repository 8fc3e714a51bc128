from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod

from geoseg.vector.attributes import Named, confidence, measure, measure_lines
from geoseg.vector.ground import Ground
from geoseg.vector.lines.centerlines import LineSettings, LineTracer
from tests.vector.rasters import trace

UTM = Ground.of(Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), "EPSG:32633")


def named(drawn) -> Named:
    names = np.array([f"class {i}" for i in drawn.class_id], dtype=object)
    return Named(names, drawn.class_id)


def measured(polygons, ground):
    return measure(polygons, ground, named(polygons))


def square(size: int, class_id: int = 1) -> np.ndarray:
    return np.pad(np.full((size, size), class_id, np.uint8), 1)


def test_every_column_has_its_value():
    raster = np.zeros((6, 9), np.uint8)
    raster[1:3, 1:4] = 1
    raster[4:, 5:] = 2
    scores = np.where(raster == 1, 200, 254).astype(np.uint8)
    batch = measured(trace(raster, scores=scores).polygons(), UTM)
    assert len(batch) == 2
    assert batch.class_name.tolist() == ["class 1", "class 2"]
    assert batch.class_id.tolist() == [1, 2]
    assert batch.confidence.tolist() == [0.7874, 1.0]
    assert batch.touches_edge.tolist() == [False, True]
    assert batch.area_m2 == pytest.approx(np.array([6, 8]) * 0.25 / 0.9996**2, rel=1e-6)
    assert batch.perimeter_m == pytest.approx(np.array([10, 12]) * 0.5 / 0.9996, rel=1e-6)
    assert batch.geometry[0].bounds == (500_000.5, 3_999_998.5, 500_002, 3_999_999.5)


def test_areas_in_mercator_are_those_on_the_ground():
    ground = Ground.of(Affine(1, 0, 0, 0, -1, 8_399_737.89), "EPSG:3857")  # at 60 degrees north, where 1 is 0.5 m
    batch = measured(trace(square(20)).polygons(), ground)
    assert batch.geometry[0].area == 400
    assert batch.area_m2[0] == pytest.approx(100, rel=0.01)
    assert batch.perimeter_m[0] == pytest.approx(40, rel=0.01)


def test_a_degree_at_the_equator_has_its_published_area():
    ground = Ground.of(Affine(0.1, 0, 10, 0, -0.1, 1), "EPSG:4326")
    batch = measured(trace(np.ones((10, 10), np.uint8)).polygons(), ground)
    along_parallels = shapely.segmentize(shapely.box(10, 0, 11, 1), 0.01)
    area, perimeter = Geod(ellps="WGS84").geometry_area_perimeter(along_parallels)
    assert batch.area_m2[0] == pytest.approx(area, rel=1e-6) == pytest.approx(12_308.8e6, rel=1e-4)
    assert batch.perimeter_m[0] == pytest.approx(perimeter, rel=1e-6)


def test_a_polygon_across_the_dateline_is_small():
    ground = Ground.of(Affine(0.001, 0, 179.995, 0, -0.001, 0), "EPSG:4326")
    batch = measured(trace(np.ones((10, 10), np.uint8)).polygons(), ground)
    assert batch.area_m2[0] == pytest.approx(1113.2 * 1105.7, rel=1e-3)


def test_holes_take_from_the_area_and_add_to_the_perimeter():
    raster = square(5)
    raster[3, 3] = 0
    batch = measured(trace(raster).polygons(), UTM)
    assert batch.area_m2[0] == pytest.approx(24 * 0.25 / 0.9996**2, rel=1e-6)
    assert batch.perimeter_m[0] == pytest.approx((20 + 4) * 0.5 / 0.9996, rel=1e-6)


def test_a_south_up_raster_has_the_same_measures():
    upside = Ground.of(Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000), "EPSG:32633")
    batch = measured(trace(square(4)).polygons(), upside)
    assert shapely.is_ccw(batch.geometry[0].exterior)
    assert batch.area_m2[0] == pytest.approx(4 / 0.9996**2, rel=1e-6)


def test_without_a_crs_measures_are_planar_and_unknown_without_a_resolution():
    polygons = trace(square(4)).polygons()
    known = measured(polygons, Ground(Affine.identity(), None, 2.0))
    assert (known.area_m2[0], known.perimeter_m[0]) == (64, 32)
    unknown = measured(polygons, Ground(Affine.identity()))
    assert np.isnan(unknown.area_m2).all()
    assert np.isnan(unknown.perimeter_m).all()


def test_confidence_is_unknown_without_scores():
    assert np.isnan(confidence(trace(square(3)).polygons())).all()


def test_a_class_without_a_name_is_numbered():
    assert measured(trace(square(3, 7)).polygons(), UTM).class_name.tolist() == ["class 7"]


def test_no_polygons_give_empty_columns():
    batch = measured(trace(np.zeros((3, 3), np.uint8)).polygons(), UTM)
    assert len(batch) == 0
    assert batch.area_m2.shape == batch.confidence.shape == batch.class_name.shape == (0,)


def test_polygons_of_several_parts_are_measured_as_one():
    raster = np.pad(np.eye(3, dtype=np.uint8), 1)
    scores = np.where(raster, 254, 0).astype(np.uint8)
    objects = trace(raster, scores=scores, grouping="diagonal").polygons().objects()
    batch = measured(objects, UTM)
    assert len(batch) == 1
    assert batch.area_m2 == pytest.approx(np.array([3]) * 0.25 / 0.9996**2, rel=1e-5)
    assert batch.perimeter_m == pytest.approx(np.array([12]) * 0.5 / 0.9996, rel=1e-6)
    assert batch.confidence.tolist() == [1.0]


def test_lines_have_their_length_and_width_on_the_ellipsoid():
    raster = np.zeros((40, 300), np.uint8)
    raster[14:26] = 1
    tracer = LineTracer(300, 40, ground=UTM, settings=LineSettings(max_width_m=20))
    tracer.feed(raster, np.full(raster.shape, 127, np.uint8))
    lines = tracer.finish()
    batch = measure_lines(lines, UTM, named(lines))
    assert batch.length_m == pytest.approx([300 * 0.5 / 0.9996], rel=1e-4)
    assert batch.width_m == pytest.approx([6], abs=0.1)
    assert batch.confidence.tolist() == [0.5]
    assert batch.touches_edge.tolist() == [True]
    assert batch.geometry[0].geom_type == "LineString"
