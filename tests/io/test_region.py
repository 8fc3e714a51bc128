from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine

from geoseg.core.tiling import Span
from geoseg.errors import RegionError
from geoseg.io.grid import resized
from geoseg.io.region import read_region
from geoseg.io.scene import open_scene
from tests.factory import ROTATED, SOUTH_UP, make_raster


def scene_of(folder, **options):
    return open_scene(make_raster(folder / "scene.tif", **options))


def on_grid(scene, left, top, right, bottom):
    """A rectangle of pixels of the scene's grid, in its CRS."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return shapely.Polygon([scene.grid.affine * corner for corner in corners])


def write(folder, shapes, crs="EPSG:32633", name="aoi.gpkg"):
    path = folder / name
    gpd.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path)
    return str(path)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"transform": SOUTH_UP}, {"transform": ROTATED}, {"transform": Affine(3, 0, 5e5, 0, -1, 5e6)},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 15, 0, -1e-5, 60)},
    ],
)  # fmt: skip
def test_polygons_lie_where_they_should(tmp_path, options):
    scene = scene_of(tmp_path, **options)
    aoi = write(tmp_path, [on_grid(scene, 10.5, 20.5, 29.5, 39.5)], scene.grid.crs.proj)
    region = read_region(aoi, None, None, scene)
    assert region.spans(scene.grid) == (Span(20, 40), Span(10, 30))
    expected = np.zeros((64, 64), bool)
    expected[20:40, 10:30] = True
    assert (region.mask(scene.grid, Span(0, 64), Span(0, 64)) == expected).all()
    assert (region.mask(scene.grid, Span(13, 31), Span(5, 25)) == expected[13:31, 5:25]).all()
    half = resized(scene.grid, (32, 32))
    assert (region.mask(half, Span(0, 32), Span(0, 32)) == expected[::2, ::2]).all()


def test_another_crs_is_brought_over(tmp_path):
    scene = scene_of(tmp_path)
    shape = gpd.GeoSeries([on_grid(scene, 10.5, 20.5, 29.5, 39.5)], crs=32633).to_crs(4326)
    for name in ("aoi.geojson", "aoi.shp", "aoi.fgb"):
        region = read_region(write(tmp_path, shape, 4326, name), None, None, scene)
        assert region.spans(scene.grid) == (Span(20, 40), Span(10, 30))
    shape.to_frame("geometry").to_parquet(tmp_path / "aoi.parquet")
    region = read_region(str(tmp_path / "aoi.parquet"), None, None, scene)
    assert region.spans(scene.grid) == (Span(20, 40), Span(10, 30))


def test_bounds_are_in_the_scenes_crs_unless_told(tmp_path):
    scene = scene_of(tmp_path)
    bounds = (500_010.5, 4_999_960.5, 500_029.5, 4_999_979.5)
    assert read_region(None, bounds, None, scene).spans(scene.grid) == (Span(20, 40), Span(10, 30))
    degrees = tuple(gpd.GeoSeries([shapely.box(*bounds)], crs=32633).to_crs(4326).total_bounds)
    assert read_region(None, degrees, "EPSG:4326", scene).spans(scene.grid) == (Span(20, 40), Span(10, 30))


def test_the_margin_is_in_metres_on_the_ground(tmp_path):
    scene = scene_of(tmp_path, crs="EPSG:4326", transform=Affine(1e-5, 0, 15, 0, -1e-5, 60))  # 0.56 m by 1.11 m
    aoi = write(tmp_path, [on_grid(scene, 30.2, 30.2, 30.8, 30.8)], 4326)
    y, x = read_region(aoi, None, None, scene, 5.0).spans(scene.grid)
    assert (y, x) == (Span(25, 36), Span(21, 40))


def test_parts_and_holes_are_kept(tmp_path):
    scene = scene_of(tmp_path)
    ring = on_grid(scene, 0, 0, 40, 40).difference(on_grid(scene, 10, 10, 30, 30))
    both = shapely.MultiPolygon([ring, on_grid(scene, 50, 50, 60, 60)])
    mask = read_region(write(tmp_path, [both]), None, None, scene).mask(scene.grid, Span(0, 64), Span(0, 64))
    assert mask[5, 5]
    assert mask[55, 55]
    assert not mask[20, 20]


def test_what_lies_elsewhere_does_not_widen_the_region(tmp_path):
    scene = scene_of(tmp_path)
    far = shapely.box(500_000, 4_900_000, 500_050, 4_900_050)
    region = read_region(write(tmp_path, [on_grid(scene, 1, 1, 4, 4), far]), None, None, scene, 3.0)
    assert len(region.polygons) == 1


def test_a_country_around_a_utm_scene_is_brought_over(tmp_path):
    scene = scene_of(tmp_path)
    aoi = write(tmp_path, [shapely.box(-170, -89.9, 170, 89.9)], 4326)
    assert read_region(aoi, None, None, scene).mask(scene.grid, Span(0, 64), Span(0, 64)).all()


@pytest.mark.parametrize("lon", [180.0, -180.0])
def test_degrees_may_count_on_beyond_the_date_line(tmp_path, lon):
    scene = scene_of(tmp_path, crs="EPSG:4326", transform=Affine(1e-3, 0, lon - 0.032, 0, -1e-3, 10))
    west, east = shapely.box(179.98, 9.97, 180, 9.99), shapely.box(-180, 9.97, -179.99, 9.99)
    region = read_region(write(tmp_path, [west, east], 4326), None, None, scene)
    assert region.spans(scene.grid) == (Span(10, 30), Span(12, 42))


def test_a_projected_scene_on_the_date_line(tmp_path):
    scene = scene_of(tmp_path, crs="EPSG:3832", transform=Affine(100, 0, 3_339_584.7 - 3200, 0, -100, 1_000_000))
    west, east = shapely.box(179.98, 8, 180, 9), shapely.box(-180, 8, -179.98, 9)
    mask = read_region(write(tmp_path, [west, east], 4326), None, None, scene).mask(
        scene.grid, Span(0, 64), Span(0, 64)
    )
    assert (mask.any(axis=0) == (np.abs(np.arange(64) - 31.5) < 23)).all()


def test_a_scene_without_crs_takes_regions_without_one(tmp_path):
    scene = scene_of(tmp_path, crs=None)
    assert read_region(None, (500_010.5, 4_999_960.5, 500_029.5, 4_999_979.5), None, scene)
    with pytest.raises(RegionError, match="has none"):
        read_region(None, (15, 45, 16, 46), "EPSG:4326", scene)


def test_regions_that_cannot_be_used_are_refused(tmp_path):
    scene = scene_of(tmp_path)
    with pytest.raises(RegionError, match="no such file"):
        read_region(str(tmp_path / "none.gpkg"), None, None, scene)
    (tmp_path / "text.geojson").write_text("nothing")
    with pytest.raises(RegionError, match="cannot be read"):
        read_region(str(tmp_path / "text.geojson"), None, None, scene)
    with pytest.raises(RegionError, match="found LineString"):
        read_region(write(tmp_path, [shapely.LineString([(0, 0), (1, 1)])]), None, None, scene)
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(RegionError, match="at least one polygon"):
        read_region(str(tmp_path / "empty.geojson"), None, None, scene)
    with pytest.raises(RegionError, match="has no CRS"):
        read_region(write(tmp_path, [on_grid(scene, 1, 1, 4, 4)], None, "bare.shp"), None, None, scene)
    with pytest.raises(RegionError, match="EPSG:4326"):
        read_region(None, (0, 0, 1, 1), "EPSG:nonsense", scene)
    with pytest.raises(RegionError, match="no region"):
        read_region(None, None, None, scene)


def test_a_region_beside_the_scene_is_refused_with_both_extents(tmp_path):
    scene = scene_of(tmp_path)
    with pytest.raises(RegionError, match=r"misses the scene.*510000, 5000000.*500000, 4999936, 500064, 5000000"):
        read_region(None, (510_000, 5_000_000, 510_100, 5_000_100), None, scene)


def test_layers_must_be_unambiguous(tmp_path):
    scene = scene_of(tmp_path)
    path = tmp_path / "two.gpkg"
    for layer in ("a", "b"):
        gpd.GeoDataFrame(geometry=[on_grid(scene, 1, 1, 4, 4)], crs=32633).to_file(path, layer=layer)
    with pytest.raises(RegionError, match="layers a, b"):
        read_region(str(path), None, None, scene)


def test_rings_that_are_no_rings_are_refused(tmp_path):
    scene = scene_of(tmp_path)
    path = tmp_path / "open.geojson"
    shape = '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}'
    path.write_text(f'{{"type": "Feature", "properties": {{}}, "geometry": {shape}}}')
    with pytest.raises(RegionError, match=r"open\.geojson: cannot be read"):
        read_region(str(path), None, None, scene)


def test_file_endings_may_be_capitals(tmp_path):
    scene = scene_of(tmp_path)
    path = tmp_path / "AOI.PARQUET"
    gpd.GeoDataFrame(geometry=[on_grid(scene, 10.5, 20.5, 29.5, 39.5)], crs=32633).to_parquet(path)
    assert read_region(str(path), None, None, scene).spans(scene.grid) == (Span(20, 40), Span(10, 30))
    (tmp_path / "BROKEN.PARQUET").write_bytes(b"")
    with pytest.raises(RegionError, match="cannot be read"):
        read_region(str(tmp_path / "BROKEN.PARQUET"), None, None, scene)
