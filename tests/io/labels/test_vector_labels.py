from __future__ import annotations

import json
import pickle
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from numpy.testing import assert_array_equal

from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import LabelError, RegionError
from geoseg.io.grid import model_grid
from geoseg.io.labels import is_vector
from geoseg.io.region import RegionMask
from geoseg.io.scene import open_scene
from tests.factory import ROTATED, SOUTH_UP
from tests.io.labels.support import HOUSES, LAND, labels_of, on_grid, scene_of, whole, write


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.geojson", "a.fgb", "A.PARQUET", "a.geoparquet", "a.gml"])
def test_any_format_in_degrees_lies_where_it_should(tmp_path, name):
    scene = scene_of(tmp_path)
    shapes = gpd.GeoSeries([on_grid(scene, 10, 20, 30, 40), on_grid(scene, 50, 50, 60, 60)], crs=32633).to_crs(4326)
    if name == "A.PARQUET":
        gpd.GeoDataFrame(geometry=shapes).to_parquet(tmp_path / name, write_covering_bbox=True)
        path = str(tmp_path / name)
    else:
        path = write(tmp_path, shapes, 4326, name)
    labels = labels_of(scene, path)
    truth = whole(labels, scene)
    expected = np.zeros((64, 64), int)
    expected[20:40, 10:30], expected[50:60, 50:60] = 1, 2
    found = truth.object_ids if truth.object_ids[20, 10] == 1 else np.array([0, 2, 1])[truth.object_ids]
    assert_array_equal(found, expected)  # FlatGeobuf has an order of its own
    assert_array_equal(truth.class_ids, expected > 0)
    assert truth.class_ids.dtype == np.uint8
    assert truth.object_ids.dtype == np.int32
    assert [c.name for c in labels.classes.classes] == ["background", "object"]
    assert labels.classes.classes[1].kind == "thing"
    assert json.loads(json.dumps(labels.facts))["polygons"] == 2
    assert not labels.is_raster


@pytest.mark.parametrize(
    "options",
    [
        {"transform": SOUTH_UP}, {"transform": ROTATED}, {"transform": Affine(3, 0, 5e5, 0, -1, 5e6)},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 15, 0, -1e-5, 60)},
        {"crs": "EPSG:3857", "transform": Affine(2, 0, 1.7e6, 0, -2, 6.2e6)},
    ],
)  # fmt: skip
def test_any_grid_and_any_window_of_the_scene(tmp_path, options):
    scene = scene_of(tmp_path, **options)
    shapes = [on_grid(scene, 10, 20, 30, 40), on_grid(scene, 50, 2, 60, 12)]
    labels = labels_of(scene, write(tmp_path, shapes, scene.grid.crs.proj))
    everything = whole(labels, scene).object_ids
    assert [int((everything == i).sum()) for i in (1, 2)] == [400, 100]
    part = labels.window(scene.grid, Span(-5, 31), Span(25, 90))
    assert_array_equal(part.object_ids[5:, :39], everything[:31, 25:])
    assert (part.class_ids[:5] == NODATA).all()
    assert (part.class_ids[:, 39:] == NODATA).all()
    assert not part.object_ids[:5].any()
    fine = model_grid(scene, scene.resolution / 2)
    rows, columns = fine.shape
    coarse = labels.window(fine, Span(0, rows), Span(0, columns)).object_ids
    assert rows * columns >= 4 * 64 * 64 * 0.9
    assert np.isclose((coarse == 1).mean(), 400 / 64**2, atol=0.01)


def test_scenes_at_the_date_line(tmp_path):
    scene = scene_of(tmp_path, crs="EPSG:4326", transform=Affine(1e-3, 0, 180 - 0.032, 0, -1e-3, 10))
    shapes = [shapely.box(179.98, 9.97, 180, 9.99), shapely.box(-180, 9.97, -179.99, 9.99)]
    ids = whole(labels_of(scene, write(tmp_path, shapes, 4326)), scene).object_ids
    assert (ids[10:30, 12:32] == 1).all()
    assert (ids[10:30, 32:42] == 2).all()
    assert (ids > 0).sum() == 600
    sides = [shapely.box(179.98, 8, 180, 9.1), shapely.box(-180, 8, -179.98, 9.1)]
    east = scene_of(tmp_path, "e.tif", crs="EPSG:3832", transform=Affine(100, 0, 3_339_584.7 - 3200, 0, -100, 1e6))
    found = labels_of(east, write(tmp_path, sides, 4326, "b.gpkg"))
    known = np.abs(np.arange(64) - 31.5) < 22.26
    assert_array_equal(whole(found, east).class_ids.any(axis=0), known)
    assert set(np.unique(whole(found, east).object_ids)) == {0, 1, 2}


def test_a_country_of_which_the_scene_is_a_part(tmp_path):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, write(tmp_path, [shapely.box(-170, -89.9, 170, 89.9)], 4326))
    assert (whole(labels, scene).object_ids == 1).all()
    objects = labels.objects()
    assert np.isclose(shapely.area(objects.polygons).sum(), 64 * 64)


def test_the_smaller_lies_on_top_whatever_its_class(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, 20, 20, 25, 25), on_grid(scene, 10, 10, 40, 40), on_grid(scene, 22, 0, 24, 64)]
    path = write(tmp_path, shapes, kind=["building", "road", "ROAD"])
    truth = whole(labels_of(scene, path, LAND, column="kind"), scene)
    assert (truth.class_ids[20:25, 20:25] == 1).all()
    assert (truth.class_ids[0:10, 22:24] == 2).all()
    assert (truth.object_ids > 0).sum() == 25  # roads are stuff
    assert set(np.unique(truth.object_ids)) == {0, 1}


def test_columns_of_text_and_of_numbers(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, 0, 0, 8, 8), on_grid(scene, 20, 20, 28, 28), on_grid(scene, 40, 40, 48, 48)]
    path = write(tmp_path, shapes, kind=["hut", "road ", "1"], code=[1.0, 2.0, np.nan], number=[1, 2, 9])

    def ids(**how):
        return labels_of(scene, path, LAND, **how).class_ids.tolist()

    assert ids(column="kind", values={"hut": "building"}) == [1, 2, 1]
    assert ids(column="KIND", values={"hut": "unknown", "1": "background"}) == [NODATA, 2, 0]
    assert ids(column="number", values={"9": "road"}) == [1, 2, 2]
    assert ids(column="code", values={"": "road"}) == [1, 2, 2]
    with pytest.raises(LabelError, match=r"no class: 'hut'; found the classes 0=background, 1=Building, 2=road"):
        ids(column="kind")
    with pytest.raises(LabelError, match="no class: '9'"):
        ids(column="number")
    with pytest.raises(LabelError, match="said to be of the class house"):
        ids(column="kind", values={"hut": "house"})
    with pytest.raises(LabelError, match="its columns are kind, code, number"):
        ids(column="class")
    with pytest.raises(LabelError, match="--class-column"):
        ids()


def test_unknown_polygons_make_unknown_ground(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, 0, 0, 20, 20), on_grid(scene, 10, 10, 40, 40)]
    path = write(tmp_path, shapes, kind=["building", "cloud"])
    truth = whole(labels_of(scene, path, LAND, column="kind", values={"cloud": "unknown"}), scene)
    assert (truth.class_ids == NODATA).sum() == 800
    assert (truth.object_ids == 1).sum() == 400


def test_classes_made_of_a_column(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, i * 10, 0, i * 10 + 8, 8) for i in range(4)]
    path = write(tmp_path, shapes, kind=["tree", "Hut", "hut", "background"])
    labels = labels_of(scene, path, column="kind")
    assert [(c.id, c.name, c.kind) for c in labels.classes.foreground] == [(1, "Hut", "thing"), (2, "tree", "thing")]
    assert labels.class_ids.tolist() == [2, 1, 1, 0]
    some = write(tmp_path, shapes[:3], name="d.gpkg", kind=["Unknown", "hut", "hut"])
    assert [c.name for c in labels_of(scene, some, column="kind").classes.foreground] == ["hut"]
    assert labels_of(scene, some, column="kind").class_ids.tolist() == [NODATA, 1, 1]
    assert len({c.colour for c in labels.classes.classes}) == 3
    assert labels.facts["classes"]["Hut"] == {"polygons": 2, "area_m2": pytest.approx(128, rel=1e-3)}
    with pytest.raises(LabelError, match="nothing in the column"):
        labels_of(scene, write(tmp_path, shapes[:2], name="b.gpkg", kind=["a", None]), column="kind")
    many = write(tmp_path, [shapes[0]] * 300, name="c.gpkg", kind=range(300))
    with pytest.raises(LabelError, match="300 different values"):
        labels_of(scene, many, column="kind")


def test_a_separator_is_no_class_of_labels(tmp_path):
    scene = scene_of(tmp_path)
    path = write(tmp_path, [on_grid(scene, 0, 0, 8, 8)], kind=["edge"])
    assert labels_of(scene, path, HOUSES).class_ids.tolist() == [1]
    with pytest.raises(LabelError, match="no class: 'edge'"):
        labels_of(scene, path, HOUSES, column="kind")


def test_lines_and_points_reach_so_many_metres(tmp_path):
    scene = scene_of(tmp_path, crs="EPSG:4326", transform=Affine(1e-5, 0, 15, 0, -1e-5, 60))  # 0.56 m by 1.11 m
    line = shapely.LineString([scene.grid.affine * (-500, 32), scene.grid.affine * (64, 32)])
    point = shapely.Point(scene.grid.affine * (32, 10))
    path = write(tmp_path, [line, point], 4326)
    with pytest.raises(LabelError, match=r"1 lines and 1 points.*--buffer"):
        labels_of(scene, path)
    labels = labels_of(scene, path, buffer_m=5.0)
    ids = whole(labels, scene).object_ids
    assert set(np.flatnonzero((ids == 1).any(axis=1))) == set(range(28, 36))  # 5 m are 4.5 rows
    assert set(np.flatnonzero((ids == 2).any(axis=0))) == set(range(23, 41))  # 5 m are 9 columns
    facts = labels.facts["buffered"]
    assert (facts["lines"], facts["points"], facts["metres_to_each_side"]) == (1, 1, 5.0)
    assert facts["length_m"] == pytest.approx(64 * scene.pixel_size[1] + 5, rel=0.02)  # what lies near the scene
    outside = shapely.LineString([scene.grid.affine * (0, -3), scene.grid.affine * (64, -3)])
    near = labels_of(scene, write(tmp_path, [outside], 4326, "near.gpkg"), buffer_m=5.0)
    assert (whole(near, scene).class_ids == 1).any(axis=1).sum() == 1
    assert near.classes.classes[1].kind == "stuff"


def test_metres_need_a_resolution(tmp_path):
    scene = scene_of(tmp_path, crs=None)
    path = write(tmp_path, [shapely.Point(scene.grid.affine * (5, 5))], None)
    with pytest.raises(LabelError, match="--scene-resolution"):
        labels_of(scene, path, buffer_m=2.0)


def test_geometry_of_all_kinds(tmp_path):
    scene = scene_of(tmp_path)
    bow = shapely.Polygon([scene.grid.affine * p for p in [(0, 0), (10, 10), (10, 0), (0, 10)]])
    many = shapely.MultiPolygon([on_grid(scene, 20, 0, 24, 4), on_grid(scene, 30, 0, 34, 4)])
    raised = shapely.force_3d(on_grid(scene, 40, 0, 44, 4), 12.0)
    both = shapely.GeometryCollection([on_grid(scene, 50, 0, 54, 4)])
    flat = shapely.Polygon([scene.grid.affine * p for p in [(0, 30), (10, 30), (5, 30)]])
    shapes = [bow, many, raised, both, flat, shapely.Polygon(), None, on_grid(scene, 500, 0, 510, 4)]
    labels = labels_of(scene, write(tmp_path, shapes))
    assert shapely.is_valid(labels.polygons).all()
    assert not shapely.has_z(labels.polygons).any()
    assert len(labels.polygons) == 6
    assert labels.facts["repaired"] == 1
    assert labels.facts["outside"] == 3  # what is empty or missing lies nowhere
    assert labels.facts["dropped"] == {"degenerate": 1}
    assert (whole(labels, scene).object_ids[:4, 40:44] == 5).all()


def test_what_a_repair_leaves_over_is_no_object(tmp_path):
    scene = scene_of(tmp_path)
    corners = [(5, 5), (45, 5), (45, 45), (5.5, 4.5)]
    crossed = shapely.Polygon([scene.grid.affine * p for p in corners])
    assert not crossed.is_valid
    labels = labels_of(scene, write(tmp_path, [crossed]))
    assert len(labels.polygons) == 1
    assert labels.facts["dropped"]["sliver of a repair"] == 1


def test_curves_become_polygons(tmp_path):
    scene = scene_of(tmp_path)
    x, y = scene.grid.affine * (32, 32)
    ring = f"CIRCULARSTRING ({x - 10} {y}, {x} {y + 10}, {x + 10} {y}, {x} {y - 10}, {x - 10} {y})"
    (tmp_path / "c.csv").write_text(f'WKT,a\n"CURVEPOLYGON ({ring})",1\n')
    (tmp_path / "c.vrt").write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="c"><SrcDataSource relativeToVRT="1">c.csv</SrcDataSource>'
        "<LayerSRS>EPSG:32633</LayerSRS></OGRVRTLayer></OGRVRTDataSource>"
    )
    labels = labels_of(scene, str(tmp_path / "c.vrt"))
    assert shapely.area(labels.polygons).sum() == pytest.approx(np.pi * 100, rel=0.01)


def test_what_is_there_twice_counts_once(tmp_path):
    scene = scene_of(tmp_path)
    box, other = on_grid(scene, 0, 0, 8, 8), on_grid(scene, 8, 8, 16, 16)
    turned = shapely.Polygon(np.roll(np.array(box.exterior.coords)[:-1], 1, axis=0)[::-1])
    path = write(tmp_path, [box, other, turned, box], kind=["building", "building", "building", "road"])
    labels = labels_of(scene, path, LAND, column="kind")
    assert labels.class_ids.tolist() == [1, 1, 2]
    assert labels.facts["dropped"] == {"there twice": 1}
    assert (whole(labels, scene).class_ids[:8, :8] == 2).all()  # the last of equals lies on top


@pytest.mark.parametrize("name", ["a.shp.zip", "a.geojsonl", "a.geoparquet", "a.gpkg"])
def test_vector_files_are_told_from_rasters_whatever_their_name(tmp_path, name):
    scene = scene_of(tmp_path)
    path = tmp_path / name
    frame = gpd.GeoDataFrame(geometry=[on_grid(scene, 0, 0, 8, 8)], crs=32633)
    if name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_file(path, driver={"a.geojsonl": "GeoJSONSeq", "a.gpkg": "GPKG"}.get(name, "ESRI Shapefile"))
    assert is_vector(path)
    assert len(labels_of(scene, str(path)).polygons) == 1
    assert not is_vector(scene.paths[0])
    assert not is_vector(tmp_path / "none.gpkg")
    assert labels_of(scene, str(path), aoi=str(path)).area is not None


def test_what_is_missing_in_a_column_of_whole_numbers_is_nothing(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, 0, 0, 8, 8), on_grid(scene, 20, 20, 28, 28)]
    for dtype in ("Int64", "category"):
        path = write(tmp_path, shapes, name="missing.parquet", code=pd.array([1, None], dtype=dtype))
        with pytest.raises(LabelError, match="nothing in the column"):
            labels_of(scene, path, column="code")
        found = labels_of(scene, path, LAND, column="code", values={"": "road"})
        assert found.class_ids.tolist() == [1, 2]


def test_ground_is_labelled_where_the_area_holds_a_pixels_centre(tmp_path):
    scene = scene_of(tmp_path)
    frayed = write(tmp_path, [on_grid(scene, 4.6, 4.6, 32.4, 32.4), on_grid(scene, 50.4, 0, 60, 9.6)])
    truth = whole(labels_of(scene, frayed, aoi=frayed), scene).class_ids
    assert (truth == 1).sum() == 27 * 27 + 10 * 10
    assert (truth != 0).all()  # all of the area is labelled: no background along its rim
    assert (truth[5:32, 5:32] == 1).all()
    everywhere = write(tmp_path, [on_grid(scene, 0, 0, 64, 64)], name="all.gpkg")
    ignored = whole(labels_of(scene, everywhere, ignore=frayed), scene).class_ids
    assert (ignored == NODATA).sum() == 29 * 29 + 10 * 10  # whatever it touches


def test_an_area_of_what_was_labelled_and_ignored_ground(tmp_path):
    scene = scene_of(tmp_path)
    path = write(tmp_path, [on_grid(scene, 10, 10, 20, 20), on_grid(scene, 40, 40, 50, 50)])
    aoi = write(tmp_path, [on_grid(scene, 4, 4, 32, 32)], name="aoi.gpkg")
    ignore = write(tmp_path, [on_grid(scene, 10, 10, 15, 40), on_grid(scene, 900, 0, 910, 9)], name="ignore.gpkg")
    far = write(tmp_path, [on_grid(scene, 900, 0, 910, 9)], name="far.gpkg")
    truth = whole(labels_of(scene, path, aoi=aoi, ignore=ignore), scene)
    known = np.zeros((64, 64), bool)
    known[4:32, 4:32] = True
    known[10:40, 10:15] = False
    assert_array_equal(truth.class_ids != NODATA, known)
    assert (truth.object_ids > 0).sum() == 50
    assert labels_of(scene, path, ignore=far).ignored is None
    with pytest.raises(RegionError, match="misses the scene"):
        labels_of(scene, path, aoi=far)


def test_an_empty_file_needs_an_area_that_was_looked_at(tmp_path):
    scene = scene_of(tmp_path)
    path = tmp_path / "none.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    aoi = write(tmp_path, [on_grid(scene, 4, 4, 32, 32)], name="aoi.gpkg")
    with pytest.raises(LabelError, match=r"no features.*--aoi"):
        labels_of(scene, str(path))
    truth = whole(labels_of(scene, str(path), HOUSES, aoi=aoi), scene)
    assert (truth.class_ids == 0).sum() == 28 * 28
    assert (truth.class_ids == NODATA).sum() == 64 * 64 - 28 * 28


def test_where_an_area_was_looked_at_there_may_be_nothing(tmp_path):
    scene = scene_of(tmp_path)
    aoi = write(tmp_path, [on_grid(scene, 4, 4, 32, 32)], name="aoi.gpkg")
    near = write(tmp_path, [on_grid(scene, 40, 40, 50, 50)], name="near.gpkg", kind=["building"])
    other = write(tmp_path, [on_grid(scene, 400, 40, 450, 50)], name="other.parquet", kind=["building"])
    for path, count in ((near, 1), (other, 0)):  # labels of several scenes in one file
        labels = labels_of(scene, path, LAND, column="kind", aoi=aoi)
        assert (whole(labels, scene).class_ids == 0).sum() == 28 * 28
        assert (labels.facts["polygons"], labels.facts["in_area"]) == (count, 0)
    assert labels_of(scene, near, aoi=write(tmp_path, [on_grid(scene, 0, 0, 64, 64)])).facts["in_area"] == 1
    swapped = write(tmp_path, [shapely.box(45.1, 14.9, 45.2, 15.1)], 4326, "swapped.gpkg")
    with pytest.raises(LabelError, match="changed places"):
        labels_of(scene, swapped, aoi=aoi)
    with pytest.raises(LabelError, match=r"none of its 1.*without finding any: --aoi"):
        labels_of(scene, other)


def test_labels_that_miss_the_scene_say_where_both_lie(tmp_path):
    scene = scene_of(tmp_path)
    far = write(tmp_path, [shapely.box(510_000, 5_000_000, 510_100, 5_000_100)])
    with pytest.raises(LabelError, match=r"none of its 1.*510000, 5000000, 510100.*500000, 4999936, 500064, 5000000"):
        labels_of(scene, far)
    degrees = write(tmp_path, [shapely.box(16, 46, 16.1, 46.1)], 4326, "degrees.gpkg")
    with pytest.raises(
        LabelError, match=r"16, 46, 16\.1, 46\.1.*WGS 84.*the scene 15, 45\.15.*500000, 4999936"
    ) as raised:
        labels_of(scene, degrees)
    assert "577" in str(raised.value)  # the labels' extent in the scene's CRS
    wrong = write(tmp_path, [on_grid(scene, 0, 0, 9, 9)], 4326, "wrong.gpkg")
    with pytest.raises(LabelError, match="no degrees"):
        labels_of(scene, wrong)
    swapped = write(tmp_path, [shapely.box(45.1, 14.9, 45.2, 15.1)], 4326, "swapped.gpkg")
    with pytest.raises(LabelError, match="changed places"):
        labels_of(scene, swapped)
    beside = write(tmp_path, [on_grid(scene, 64, 0, 70, 9)], name="beside.gpkg")  # shares an edge
    with pytest.raises(LabelError, match="none of its 1"):
        labels_of(scene, beside)
    for covering in (False, True):
        frame = gpd.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(510_000, 5e6, 510_100, 5_000_100)], crs=32633)
        frame.to_parquet(tmp_path / "far.parquet", write_covering_bbox=covering)
        with pytest.raises(LabelError, match=r"none of its 1.*510000, 5000000, 510100"):
            labels_of(scene, str(tmp_path / "far.parquet"), column="kind")


def test_labels_that_cannot_be_used_are_refused(tmp_path):
    scene = scene_of(tmp_path)
    with pytest.raises(LabelError, match="no such file"):
        labels_of(scene, str(tmp_path / "none.gpkg"))
    (tmp_path / "text.geojson").write_text("nothing")
    with pytest.raises(LabelError, match=r"text\.geojson: can be read neither as a vector file"):
        labels_of(scene, str(tmp_path / "text.geojson"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(LabelError, match=r"broken\.parquet: cannot be read"):
        labels_of(scene, str(tmp_path / "broken.parquet"))
    bare = write(tmp_path, [on_grid(scene, 0, 0, 9, 9)], None, "bare.shp")
    with pytest.raises(LabelError, match="has no CRS"):
        labels_of(scene, bare)
    placed = write(tmp_path, [on_grid(scene, 0, 0, 9, 9)])
    with pytest.raises(LabelError, match=r"the scene bare\.tif has none"):
        labels_of(scene_of(tmp_path, "bare.tif", crs=None), placed)


def test_neither_has_a_crs(tmp_path):
    scene = scene_of(tmp_path, crs=None, transform=Affine.identity())
    labels = labels_of(scene, write(tmp_path, [shapely.box(10, 20, 30, 40)], None))
    assert (whole(labels, scene).object_ids[20:40, 10:30] == 1).all()
    assert labels.facts["crs"] is None
    assert labels.facts["classes"]["object"]["area_m2"] is None


def test_layers_are_named(tmp_path):
    scene = scene_of(tmp_path)
    path = tmp_path / "two.gpkg"
    for layer, left in (("a", 0), ("b", 10)):
        gpd.GeoDataFrame(geometry=[on_grid(scene, left, 1, left + 4, 4)], crs=32633).to_file(path, layer=layer)
    with pytest.raises(LabelError, match=r"layers a, b.*--layer"):
        labels_of(scene, str(path))
    with pytest.raises(LabelError, match="expected the layer 'c'"):
        labels_of(scene, str(path), layer="c")
    assert whole(labels_of(scene, str(path), layer="b"), scene).object_ids[2, 11] == 1


@pytest.mark.parametrize("name", ["many.gpkg", "many.parquet", "many.shp"])
def test_only_what_meets_the_scene_is_read(tmp_path, name):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, i * 10, 0, i * 10 + 8, 8) for i in range(-100, 100)]
    path = write(tmp_path, shapes, name=name)
    labels = labels_of(scene, path)
    assert labels.facts["features"] == 200
    assert labels.facts["read"] <= 9
    assert labels.facts["outside"] == 193
    assert len(labels.polygons) == 7


def test_labels_can_be_sent_to_other_processes(tmp_path):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, write(tmp_path, [on_grid(scene, 0, 0, 30, 30)]))
    sent = pickle.loads(pickle.dumps(labels))
    assert_array_equal(whole(sent, scene).object_ids, whole(labels, scene).object_ids)


def test_objects_are_things_cut_to_the_scene(tmp_path):
    scene = scene_of(tmp_path)
    shapes = [on_grid(scene, -5, -5, 5, 5), on_grid(scene, 10, 10, 20, 20), on_grid(scene, 30, 30, 40, 40)]
    labels = labels_of(scene, write(tmp_path, shapes, kind=["building", "road", "building"]), LAND, column="kind")
    found = labels.objects()
    assert found.numbers.tolist() == [1, 3]
    assert found.class_ids.tolist() == [1, 1]
    assert shapely.area(found.polygons).tolist() == [25, 100]
    assert shapely.area(labels.polygons).tolist() == [100, 100, 100]


def test_labels_may_be_known_on_less_ground(tmp_path):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, write(tmp_path, [on_grid(scene, 0, 0, 30, 30)]))
    truth = whole(replace(labels, area=RegionMask(np.array([on_grid(scene, 0, 10, 20, 64)]))), scene)
    assert (truth.class_ids != NODATA).sum() == 20 * 54
    assert (truth.object_ids == 1).sum() == 20 * 20


def test_another_crs_than_the_scenes_is_no_grid_for_a_window(tmp_path):
    scene = scene_of(tmp_path)
    labels = labels_of(scene, write(tmp_path, [on_grid(scene, 0, 0, 30, 30)]))
    other = scene_of(tmp_path, "other.tif", crs="EPSG:32634")
    with pytest.raises(ValueError, match="32634"):
        whole(labels, other)


def test_a_scene_of_stuff_has_no_ground_of_its_own(tmp_path):
    scene = scene_of(tmp_path)
    stuff = ClassSet(classes=(ClassInfo(id=1, name="water", colour="#0000ff"),), background=None)
    truth = whole(labels_of(scene, write(tmp_path, [on_grid(scene, 0, 0, 30, 30)]), stuff), scene)
    assert (truth.class_ids == NODATA).sum() == 64 * 64 - 900
    assert not truth.object_ids.any()


def test_real_footprints(data_dir):
    scene = open_scene(data_dir / "finetune_demo_kampala" / "train.tif")
    labels = labels_of(scene, str(data_dir / "finetune_demo_kampala" / "train_buildings.shp"), HOUSES)
    truth = whole(labels, scene)
    assert len(labels.polygons) == 107
    assert set(np.unique(truth.object_ids)) == set(range(108))
    inside = shapely.area(labels.objects().polygons).sum() / scene.resolution**2
    assert (truth.class_ids == 1).sum() == pytest.approx(inside, rel=0.01)


def test_real_roads(data_dir):
    scene_file = data_dir / "robustness" / "sn3_vegas_pan_uint16.tif"
    labels = labels_of(open_scene(scene_file), str(data_dir / "robustness" / "sn3_vegas_roads.geojson"), buffer_m=4.0)
    assert labels.facts["buffered"]["lines"] == 9
    assert labels.facts["buffered"]["area_m2"] == pytest.approx(8 * labels.facts["buffered"]["length_m"], rel=0.15)
