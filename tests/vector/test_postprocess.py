from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geoseg.vector.ground import Ground
from geoseg.vector.postprocess import TidySettings, tidy
from tests.vector.rasters import class_rasters, trace, unhurried, wkbs

METRE = Ground(Affine.identity(), None, 1.0)


def tidied(batch, ground, settings):
    return tidy(batch, ground, settings).polygons()


def ring_of(holes: np.ndarray, width: int = 1) -> np.ndarray:
    return np.pad(holes, width, constant_values=1)


def blob(seed: int, size: int = 60) -> np.ndarray:
    noise = np.random.default_rng(seed).random((size // 6, size // 6)) < 0.55
    return np.kron(noise, np.ones((6, 6))).astype(np.uint8)


def test_nothing_is_changed_when_nothing_is_asked():
    batch = trace(np.random.default_rng(0).integers(0, 3, (30, 30), dtype=np.uint8))
    assert wkbs(tidied(batch, Ground(Affine.identity()), TidySettings())) == wkbs(batch.polygons())


def test_objects_smaller_than_the_least_area_go_and_the_rest_keeps_its_order():
    raster = np.zeros((9, 9), np.uint8)
    raster[0, 0] = 1  # 1 pixel
    raster[0, 3:5] = 1  # 2
    raster[4:6, 4:8] = 2  # 8
    raster[8, 0:3] = 1  # 3
    polygons = tidied(trace(raster), METRE, TidySettings(min_area_m2=2))
    assert polygons.pixels.tolist() == [2, 8, 3]
    assert polygons.class_id.tolist() == [1, 2, 1]
    assert [polygon.area for polygon in polygons.geometry] == [2, 8, 3]


def test_the_least_area_is_measured_where_the_object_stands():
    raster = np.zeros((60_001, 3), np.uint8)
    raster[0, 1] = raster[-1, 1] = 1
    ground = Ground.of(Affine(0.001, 0, 20, 0, -0.001, 60), "EPSG:4326")  # from 60 degrees north to the equator
    polygons = tidied(trace(raster), ground, TidySettings(min_area_m2=10_000))
    assert [polygon.bounds[1] for polygon in polygons.geometry] == [60_000]


def test_small_holes_are_filled_and_large_ones_stay():
    raster = ring_of(np.concatenate([ring_of(np.zeros((1, 2), np.uint8)), ring_of(np.zeros((1, 2), np.uint8))], axis=1))
    raster[2, 6:8] = 0
    raster[3, 7] = 0
    (polygon,) = tidied(trace(raster), METRE, TidySettings(fill_holes_m2=2)).geometry
    assert [shapely.Polygon(hole).area for hole in polygon.interiors] == [3]


def test_pixels_and_scores_stay_those_of_the_component():
    raster = ring_of(np.zeros((1, 1), np.uint8))
    scores = np.full(raster.shape, 100, np.uint8)
    polygons = tidied(trace(raster, scores=scores), METRE, TidySettings(fill_holes_m2=1))
    assert polygons.geometry[0].area == 9
    assert polygons.pixels.tolist() == [8]
    assert polygons.score_sum.tolist() == [800]


@pytest.mark.parametrize(("least", "kept", "holes"), [(0, 2, 1), (4, 2, 1), (5, 1, 0)])
def test_a_hole_is_not_filled_over_an_object_that_is_kept(least, kept, holes):
    raster = ring_of(np.pad(np.ones((2, 2), np.uint8), 1), 3)
    polygons = tidied(trace(raster), METRE, TidySettings(min_area_m2=least, fill_holes_m2=100))
    assert len(polygons) == kept
    assert len(polygons.geometry[-1].interiors) == holes


@unhurried
@given(class_rasters(), st.integers(0, 20), st.integers(0, 60))
def test_filled_polygons_do_not_overlap(raster, least, most):
    polygons = tidied(trace(raster), METRE, TidySettings(min_area_m2=least, fill_holes_m2=most))
    assert shapely.is_valid(polygons.geometry).all()
    assert shapely.union_all(polygons.geometry).area == pytest.approx(shapely.area(polygons.geometry).sum())


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 9), tuple(range(60))])
def test_batches_change_nothing(cuts):
    raster = blob(3)
    settings = TidySettings(min_area_m2=40, fill_holes_m2=80)
    assert wkbs(tidied(trace(raster, cuts), METRE, settings)) == wkbs(tidied(trace(raster), METRE, settings))


def test_objects_outside_what_the_crs_can_measure_are_kept_exact():
    raster = np.tril(np.ones((9, 9), np.uint8))
    ground = Ground.of(Affine(1, 0, 1e12, 0, -1, 1e12), "EPSG:32633")
    settings = TidySettings(min_area_m2=10, fill_holes_m2=10)
    assert wkbs(tidied(trace(raster), ground, settings)) == wkbs(trace(raster).polygons())


def test_a_group_that_is_one_object_is_measured_as_a_whole():
    raster = np.zeros((5, 9), np.uint8)
    raster[0, 0] = raster[1, 1] = raster[2, 2] = 1  # three pixels, joined at corners
    raster[0, 8] = 1
    batch = trace(raster, grouping="diagonal")
    whole = tidied(batch, METRE, TidySettings(min_area_m2=3, whole_groups=True))
    assert whole.pixels.tolist() == [1, 1, 1]
    assert len(tidied(batch, METRE, TidySettings(min_area_m2=3))) == 0
    (joined,) = whole.objects().geometry
    assert joined.geom_type == "MultiPolygon"
    assert joined.area == 3
