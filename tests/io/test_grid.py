from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geoseg.core.tiling import Span
from geoseg.errors import ResolutionError, SceneError
from geoseg.io.grid import crop, ground_pixel, model_grid, place, union
from geoseg.io.scene import open_scene
from tests.factory import ROTATED, make_raster


def box(crs, transform, shape=(64, 64)):
    return GeoBox(shape, transform, crs)


def test_web_mercator_metres_shrink_with_the_cosine_of_latitude():
    grid = box("EPSG:3857", Affine(1, 0, 1_000_000, 0, -1, 8_399_737.9))  # latitude 60
    down, across = ground_pixel(grid)
    assert across == pytest.approx(0.5, rel=0.005)
    assert down == pytest.approx(0.5, rel=0.005)


def test_degrees_are_measured_on_the_ellipsoid():
    grid = box("EPSG:4326", Affine(1e-4, 0, 15, 0, -1e-4, 60 + 32e-4))
    down, across = ground_pixel(grid)
    assert down == pytest.approx(11.1412, rel=1e-4)  # a degree of latitude at 60 degrees is 111.412 km
    assert across == pytest.approx(5.5800, rel=1e-4)  # a degree of longitude there is 55.800 km


def test_utm_pixel_on_the_central_meridian_is_larger_than_it_says():
    assert ground_pixel(box("EPSG:32633", Affine(2, 0, 500_000, 0, -2, 5e6)))[1] == pytest.approx(2 / 0.9996, rel=1e-5)


def test_rotation_and_direction_do_not_change_the_ground_size():
    plain = ground_pixel(box("EPSG:32633", Affine(1, 0, 500_000, 0, -1, 5e6)))
    for transform in (ROTATED, Affine(1, 0, 500_000, 0, 1, 5e6)):
        assert ground_pixel(box("EPSG:32633", transform)) == pytest.approx(plain, rel=1e-5)


def test_feet_become_metres():
    down, across = ground_pixel(box("EPSG:2263", Affine(1, 0, 984_250, 0, -1, 200_000)))
    assert (down, across) == pytest.approx((0.3048, 0.3048), rel=1e-3)


def test_no_crs_means_unknown():
    assert ground_pixel(box(None, Affine(1, 0, 0, 0, -1, 0))) is None


def test_places_outside_the_crs_are_refused():
    with pytest.raises(SceneError, match="outside what its CRS"):
        ground_pixel(box("EPSG:4326", Affine(1, 0, 500_000, 0, -1, 5_000_000)))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    resolution=st.floats(0.3, 20),
    transform=st.sampled_from([Affine(1, 0, 5e5, 0, -1, 5e6), Affine(2, 0, 5e5, 0, 0.5, 5e6), ROTATED]),
)
def test_model_grid_ends_at_the_same_corners(shape, resolution, transform):
    class Fake:
        name, grid = "fake", box("EPSG:32633", transform, shape)
        pixel_size = ground_pixel(grid)

    found = model_grid(Fake(), resolution)
    for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
        here = Fake.grid.affine * (corner[0] * shape[1], corner[1] * shape[0])
        there = found.affine * (corner[0] * found.shape[1], corner[1] * found.shape[0])
        assert there == pytest.approx(here, abs=1e-6)
    assert found.shape == tuple(max(1, round(n * s / resolution)) for n, s in zip(shape, Fake.pixel_size, strict=True))


def test_model_grid_makes_oblong_pixels_square(tmp_path):
    path = make_raster(
        tmp_path / "a.tif", crs="EPSG:4326", transform=Affine(1e-5, 0, 15, 0, -1e-5, 60), shape=(100, 100)
    )
    scene = open_scene(path)
    grid = model_grid(scene, 1.0)
    assert grid.shape == (111, 56)


def test_model_grid_needs_a_known_resolution(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", crs=None))
    with pytest.raises(ResolutionError, match="--scene-resolution"):
        model_grid(scene, 1.0)


def test_place_tells_whole_offsets_from_resampling():
    grid = box("EPSG:32633", Affine(1, 0, 100, 0, -1, 200), (50, 60))
    same = place((50, 60), Affine(1, 0, 100, 0, -1, 200), grid)
    assert same.offset == (0, 0)
    assert (same.y, same.x) == (Span(0, 50), Span(0, 60))
    moved = place((50, 60), Affine(1, 0, 90, 0, -1, 195), grid)
    assert moved.offset == (-5, 10)
    assert (moved.y, moved.x) == (Span(5, 50), Span(0, 50))
    assert place((50, 60), Affine(1, 0, 100.5, 0, -1, 200), grid).offset is None
    assert place((50, 60), Affine(1, 0, 100, 0, 1, 150), grid).offset is None
    assert place((5000, 6000), Affine(1.00001, 0, 100, 0, -1, 200), box(None, grid.affine, (5000, 6000))).offset is None
    assert place((25, 30), Affine(2, 0, 100, 0, -2, 200), grid).scale == (0.5, 0.5)


def test_a_part_elsewhere_reaches_nothing():
    grid = box("EPSG:32633", Affine(1, 0, 100, 0, -1, 200), (50, 60))
    far = place((10, 10), Affine(1, 0, 900, 0, -1, 200), grid)
    assert far.x.size == 0


def test_union_covers_all_on_the_finest_grid():
    coarse = box("EPSG:32633", Affine(2, 0, 0, 0, -2, 100), (10, 10))
    fine = box("EPSG:32633", Affine(0.5, 0, 10, 0, -0.5, 90), (10, 10))
    found = union([coarse, fine])
    assert (found.affine.a, found.affine.e) == (0.5, -0.5)
    assert found.affine * (0, 0) == (0, 100)
    assert found.shape == (40, 40)


def test_crop_keeps_the_pixels_where_they_are():
    grid = box("EPSG:32633", ROTATED)
    part = crop(grid, Span(3, 9), Span(5, 20))
    assert part.shape == (6, 15)
    assert part.affine * (1, 2) == pytest.approx(grid.affine * (6, 5))
    assert np.allclose(part.affine.determinant, grid.affine.determinant)


def test_model_grid_keeps_pixels_square_in_the_crs_where_the_ground_is_nearly_so(tmp_path):
    """One degree of EPSG:3857 differs by 0.7 % between its axes on the ground: no reason for oblong pixels."""
    path = make_raster(tmp_path / "a.tif", crs="EPSG:3857", transform=Affine(0.1, 0, 0, 0, -0.1, 0), shape=(3000, 3000))
    grid = model_grid(open_scene(path), 0.3)
    assert abs(grid.affine.a) == pytest.approx(abs(grid.affine.e), rel=1e-6)
