from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground, apply, to_world

MIDDLE = np.array([[0.0, 0.0]])
WGS84 = Geod(ellps="WGS84")


def test_utm_pixels_on_the_central_meridian_are_scaled_by_0_9996():
    ground = Ground.of(Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), "EPSG:32633")
    assert ground.pixel_sizes(MIDDLE) == pytest.approx(np.array([[0.5, 0.5]]) / 0.9996, rel=1e-7)


def test_mercator_pixels_shrink_with_the_cosine_of_the_latitude():
    y = 8_399_737.89  # 60 degrees north
    ground = Ground.of(Affine(1, 0, 0, 0, -1, y), "EPSG:3857")
    across, along = ground.pixel_sizes(MIDDLE)[0]
    eccentricity2 = 0.0066943799901413
    sine2 = np.sin(np.radians(60)) ** 2
    assert across == pytest.approx(0.5 / np.sqrt(1 - eccentricity2 * sine2), rel=1e-6)
    assert along == pytest.approx(0.5 * (1 - eccentricity2) / (1 - eccentricity2 * sine2) ** 1.5, rel=1e-6)


def test_pixels_in_degrees_are_narrower_than_high_and_differ_along_the_scene():
    ground = Ground.of(Affine(0.001, 0, 20, 0, -0.001, 60), "EPSG:4326")
    sizes = ground.pixel_sizes(np.array([[0.0, 0.0], [0.0, 60_000.0]]))
    assert sizes[:, 0] == pytest.approx([55.8, 111.3195], rel=1e-3)
    assert sizes[:, 1] == pytest.approx([111.41, 110.574], rel=1e-3)


def test_feet_are_not_metres():
    ground = Ground.of(Affine(1, 0, 2_000_000, 0, -1, 600_000), "EPSG:2263")  # New York Long Island, US survey feet
    assert ground.pixel_sizes(MIDDLE) == pytest.approx(np.array([[0.3048, 0.3048]]), rel=1e-3)


def test_area_of_skewed_pixels_is_that_of_the_parallelogram():
    skewed = Affine(1, 0.5, 500_000, 0, -1, 4_000_000)
    ground = Ground.of(skewed, "EPSG:32633")
    assert ground.pixel_areas(MIDDLE) == pytest.approx([1 / 0.9996**2], rel=1e-6)


def test_without_a_crs_the_resolution_decides():
    assert Ground(Affine.identity(), None, 0.3).pixel_areas(MIDDLE) == pytest.approx([0.09])
    unknown = Ground(Affine.identity())
    assert not unknown.measurable
    assert np.isnan(unknown.pixel_areas(MIDDLE)).all()
    with pytest.raises(ValueError, match="no way leads"):
        unknown.lonlat(MIDDLE)


def test_a_local_crs_counts_as_none():
    local = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    ground = Ground.of(Affine.identity(), local, 2.0)
    assert ground.geod is None
    assert ground.pixel_areas(MIDDLE) == pytest.approx([4.0])


def test_rotated_pixels_keep_their_size_and_place():
    transform = Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(2, -2)
    ground = Ground.of(transform, "EPSG:32633")
    assert ground.pixel_sizes(MIDDLE) == pytest.approx(np.array([[2, 2]]) / 0.9996, rel=1e-6)
    assert apply(transform, np.array([[3.0, 4.0]]))[0] == pytest.approx(transform * (3, 4))


@pytest.mark.parametrize("up", [-1, 1])
def test_exteriors_in_the_world_are_counterclockwise(up):
    outline = [(0, 0), (0, 3), (3, 3), (3, 0), (0, 0)]  # counterclockwise on the screen
    hole = [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]
    pixels = np.array([shapely.Polygon(outline, [hole])])
    (world,) = to_world(pixels, Affine(2, 0, 100, 0, 2 * up, 50))
    assert shapely.is_ccw(world.exterior)
    assert not shapely.is_ccw(world.interiors[0])
    assert world.bounds == ((100, 44, 106, 50) if up < 0 else (100, 50, 106, 56))
    assert world.area == 32


def test_metres_that_nobody_knows_are_asked_for():
    nowhere = Ground(Affine.identity())
    nowhere.check({"min_area_m2": 0.0})
    Ground(Affine.identity(), None, 0.5).check({"min_area_m2": 8.0})
    with pytest.raises(ResolutionError, match=r"--min-area 8, --simplify 1 .*metres per pixel"):
        nowhere.check({"--min-area": 8.0, "--fill-holes": 0.0, "--simplify": 1.0})
