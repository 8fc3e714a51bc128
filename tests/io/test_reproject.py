from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.io.reproject import plan_reprojection, rounded

ACROSS = (637_000, 7_000_000, 667_000, 7_030_000)  # in UTM zone 60, where 180 degrees lies near x = 652,000


def geojson(polygon, crs):
    return plan_reprojection("a.geojson", crs).apply(np.array([polygon]))[0]


def area_on_ground(geometry):
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(geometry)[0])


def assert_cut(found, area):
    parts = shapely.get_parts(found)
    assert found.geom_type == "MultiPolygon"
    assert found.is_valid
    west, _, east, _ = shapely.bounds(parts).T
    assert (west >= -180).all()
    assert (east <= 180).all()
    assert (east - west < 2).all()
    assert sorted({*west[west == -180], *east[east == 180]}) == [-180, 180]
    assert np.isclose(sum(map(area_on_ground, parts)), area, rtol=2e-3)


def test_a_projected_polygon_across_the_dateline_is_cut():
    square = shapely.box(*ACROSS)
    assert_cut(geojson(square, "EPSG:32660"), 30_000**2)


def test_a_hole_across_the_dateline_is_cut_with_it():
    square = shapely.box(627_000, 7_000_000, 677_000, 7_050_000)
    holed = square - shapely.box(642_000, 7_010_000, 662_000, 7_030_000)
    found = geojson(holed, "EPSG:32660")
    assert_cut(found, 50_000**2 - 20_000**2)


def test_a_polygon_in_degrees_that_runs_beyond_180_is_cut_on_either_side():
    for west in (179.5, -180.5):
        square = shapely.box(west, 10, west + 1, 11)
        assert_cut(geojson(square, "EPSG:4326"), area_on_ground(square))


def test_multipolygons_are_cut_part_by_part():
    both = shapely.MultiPolygon([shapely.box(179.5, 10, 180.5, 11), shapely.box(179.2, 20, 179.4, 21)])
    found = geojson(both, "EPSG:4326")
    assert len(found.geoms) == 3


def test_other_formats_are_cut_only_when_going_to_degrees():
    square = np.array([shapely.box(*ACROSS)])
    assert shapely.equals(plan_reprojection("a.gpkg", "EPSG:32660").apply(square), square).all()
    assert len(plan_reprojection("a.gpkg", "EPSG:32660", "EPSG:4326").apply(square)[0].geoms) == 2
    degrees = np.array([shapely.box(179.5, 10, 180.5, 11)])
    assert shapely.equals(plan_reprojection("a.gpkg", "EPSG:4326").apply(degrees), degrees).all()


WORLD_MAPS = {"EPSG:3857": 20_037_508.34, "EPSG:6933": 17_367_530.45, "ESRI:54009": None}


@pytest.mark.parametrize("target", WORLD_MAPS)
@pytest.mark.parametrize("source", ["EPSG:32660", "EPSG:4326"])
def test_polygons_across_the_end_of_a_world_map_are_cut_there(target, source):
    across, beside = shapely.box(*ACROSS), shapely.box(500_000, 7_000_000, 520_000, 7_020_000)
    holed = shapely.box(627_000, 7_000_000, 677_000, 7_050_000) - shapely.box(642_000, 7_010_000, 662_000, 7_030_000)
    polygons = np.array([across, beside, holed])
    if source == "EPSG:4326":  # as a scene in degrees has them: beyond 180
        east = pyproj.Transformer.from_crs("EPSG:32660", source, always_xy=True)
        polygons = shapely.transform(polygons, lambda p: np.column_stack(east.transform(*p.T)) % [360, 90])
    found = plan_reprojection("a.gpkg", source, target).apply(polygons)
    back = pyproj.Transformer.from_crs(target, "EPSG:4326", always_xy=True)
    for polygon, side in zip(found, (30_000**2, 20_000**2, 50_000**2 - 20_000**2), strict=True):
        parts = shapely.get_parts(polygon)
        assert polygon.is_valid
        assert (shapely.bounds(parts)[:, 2] - shapely.bounds(parts)[:, 0] < 150_000).all()
        degrees = shapely.transform(parts, lambda p: np.column_stack(back.transform(*p.T)))
        assert np.isclose(sum(map(area_on_ground, degrees)), side, rtol=3e-3)
    assert [len(shapely.get_parts(polygon)) for polygon in found] == [2, 1, 2]
    if WORLD_MAPS[target]:
        assert np.allclose(np.abs(shapely.bounds(found[0])[::2]), WORLD_MAPS[target], atol=0.01)


def test_a_map_with_another_middle_is_cut_opposite_to_it():
    plan = plan_reprojection("a.gpkg", "EPSG:4326", "EPSG:3832")  # 150 degrees east
    polygons = np.array([shapely.box(-30.5, 10, -29.5, 11), shapely.box(179.5, 10, 180.5, 11)])
    found = plan.apply(polygons)
    assert [len(shapely.get_parts(polygon)) for polygon in found] == [2, 1]
    assert found[1].bounds[2] - found[1].bounds[0] < 120_000


def test_maps_that_do_not_end_at_a_meridian_are_not_cut():
    plan = plan_reprojection("a.gpkg", "EPSG:4326", "EPSG:3031")  # round the south pole
    found = plan.apply(np.array([shapely.box(179.5, -71, 180.5, -70)]))[0]
    assert (found.geom_type, found.is_valid) == ("Polygon", True)
    assert plan.seam is None


@pytest.mark.parametrize("target", ["EPSG:4326", *WORLD_MAPS])
def test_lines_across_the_end_of_a_map_are_cut_there_and_keep_their_length(target):
    wave = shapely.LineString([(632_000, 7_000_000), (648_000, 7_010_000), (655_000, 7_004_000), (670_000, 7_012_000)])
    back = shapely.LineString([(660_000, 7_000_000), (640_000, 7_010_000), (660_000, 7_020_000)])
    aside = shapely.LineString([(632_000, 7_000_000), (633_000, 7_010_000)])
    found = plan_reprojection("a.gpkg", "EPSG:32660", target).apply(np.array([wave, back, aside]))
    assert [line.geom_type for line in found] == ["MultiLineString", "MultiLineString", "LineString"]
    assert [len(shapely.get_parts(line)) for line in found] == [2, 3, 1]
    degrees = pyproj.Transformer.from_crs(target, "EPSG:4326", always_xy=True)
    geod, utm = pyproj.Geod(ellps="WGS84"), pyproj.Transformer.from_crs("EPSG:32660", "EPSG:4326", always_xy=True)
    for line, whole in zip(found, (wave, back, aside), strict=True):
        placed = [
            shapely.transform(p, lambda p: np.column_stack(degrees.transform(*p.T))) for p in shapely.get_parts(line)
        ]
        expected = geod.line_length(*utm.transform(*shapely.get_coordinates(whole).T))
        assert sum(geod.line_length(*p.xy) for p in placed) == pytest.approx(expected, rel=1e-4)
        assert all(np.ptp(p.xy[0]) < 1 for p in placed)


def test_a_line_along_the_dateline_comes_once():
    line = shapely.LineString([(179.5, 10), (180, 10.5), (180, 11), (180.5, 11.5)])
    found = geojson(line, "EPSG:4326")
    assert shapely.length(found) == pytest.approx(shapely.length(line))
    assert shapely.total_bounds(found)[[0, 2]].tolist() == [-180, 180]


def test_a_line_that_rounding_would_make_a_point_keeps_its_ends():
    line = np.array(
        [shapely.LineString([(15.00000001, 45), (15.00000002, 45)]), shapely.LineString([(0.06, 0), (1.04, 1)])]
    )
    kept, coarse = rounded(line, 1)
    assert kept.equals(line[0])
    assert shapely.get_coordinates(coarse).tolist() == [[0.1, 0], [1, 1]]


def test_a_polygon_round_the_world_does_not_cross_the_dateline():
    half = 20_037_508.342789244
    for crs, world in (("EPSG:3857", shapely.box(-half, 0, half, 1e6)), ("EPSG:4326", shapely.box(-180, 0, 180, 8))):
        found = geojson(world, crs)
        assert found.geom_type == "Polygon"
        assert np.allclose(found.bounds[::2], [-180, 180])


def test_polygons_away_from_the_dateline_are_not_touched():
    square = shapely.box(15, 45, 16, 46)
    assert geojson(square, "EPSG:4326").equals(square)


def test_exteriors_turn_counter_clockwise():
    clockwise = np.array([shapely.reverse(shapely.box(0, 0, 1, 1))])
    for crs in ("EPSG:32633", None):
        found = plan_reprojection("a.gpkg", crs).apply(clockwise)[0]
        assert shapely.is_ccw(found.exterior)
        assert found.equals(clockwise[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_rounding_keeps_polygons_valid_and_in_place(seed, decimals):
    rng = np.random.default_rng(seed)
    centre, angle = rng.random(2), np.sort(rng.random(12)) * 2 * np.pi
    radius = 3 * 10.0**-decimals * (0.02 + rng.random(12))
    star = shapely.Polygon(centre + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))
    if not star.is_valid:
        return
    found = rounded(np.array([star]), decimals)[0]
    assert found.is_valid
    assert not found.is_empty
    assert found.geom_type in ("Polygon", "MultiPolygon")
    assert shapely.hausdorff_distance(found, star) < 6 * 10.0**-decimals
