from __future__ import annotations

import json
import sqlite3
import struct
import threading
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from geoseg.core.features import PolygonBatch
from geoseg.errors import OutputError, WriteError
from geoseg.io import vector_sink
from geoseg.io.vector_sink import VectorOptions, VectorSink, vector_driver
from tests.io.support import CLASSES, batch, bends, circles, full_disk, lines, names

ENDINGS = [".gpkg", ".geojson", ".shp", ".fgb", ".parquet"]
FIELDS = ["class", "class_id", "instance_id", "confidence", "area_m2", "perimeter_m", "touches_edge", "source"]
SHORT = {"inst_id": "instance_id", "perim_m": "perimeter_m", "touch_edge": "touches_edge"}
MULTI = VectorOptions(multi=True)
HOLED = shapely.Polygon(
    [(500_000, 4_990_000), (500_100, 4_990_000), (500_100, 4_990_100), (500_000, 4_990_100)],
    [[(500_010, 4_990_010), (500_020, 4_990_010), (500_020, 4_990_020), (500_010, 4_990_020)]],
)


def write(path, *batches: PolygonBatch, crs="EPSG:32633", dst_crs=None, options=None):
    sink = VectorSink(path, crs, dst_crs, options)
    try:
        for one in batches:
            sink.write(one)
        sink.commit()
    finally:
        sink.abort()
    return path


def read(path) -> gpd.GeoDataFrame:
    frame = gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)
    return frame.rename(columns=SHORT)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(tmp_path, ending):
    first, second = batch(circles(40), 1, 0.25), batch([*circles(3, seed=1), HOLED], 2, 1.0)
    frame = read(write(tmp_path / f"a{ending}", first, second, options=VectorOptions(source="Stadt München.tif")))
    assert [name for name in frame.columns if name not in ("geometry", "bbox")] == FIELDS
    expected = gpd.GeoSeries([*first.geometry, *second.geometry], crs="EPSG:32633")
    found = frame.geometry.to_crs("EPSG:32633")
    order = np.arange(44)
    if ending == ".fgb":  # in the order of a Hilbert curve
        order = [int(np.argmin(expected.centroid.distance(p.centroid))) for p in found]
        assert sorted(order) == list(range(44))
    assert (shapely.hausdorff_distance(found.values, expected.values[order]) < 0.02).all()
    assert list(shapely.get_num_interior_rings(found)) == [(1 if i == 43 else 0) for i in order]
    assert list(frame["class"]) == [("building" if i < 40 else "Straße") for i in order]
    assert list(frame["class_id"]) == [(1 if i < 40 else 2) for i in order]
    assert np.allclose(frame["area_m2"], expected.area.iloc[order])
    assert np.allclose(frame["confidence"], [(0.25 if i < 40 else 1.0) for i in order])
    assert list(frame["touches_edge"]) == [(i if i < 40 else i - 40) % 2 == 1 for i in order]
    assert frame["touches_edge"].dtype == bool
    assert list(frame["instance_id"]) == [i + 1 for i in order]
    assert frame["instance_id"].dtype.kind == "i"
    assert set(frame["source"]) == {"Stadt München.tif"}
    assert frame.crs == ("EPSG:4326" if ending == ".geojson" else "EPSG:32633")
    assert frame.geometry.is_valid.all()


@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".fgb", ".parquet"])
def test_an_empty_result_keeps_schema_and_crs(tmp_path, ending):
    empty, full = write(tmp_path / f"a{ending}"), write(tmp_path / f"b{ending}", batch(circles(2)))
    frame = read(empty)
    assert len(frame) == 0
    assert list(frame.columns) == list(read(full).columns)
    assert frame.crs == "EPSG:32633"
    if ending != ".parquet":
        fields = [dict(zip(i["fields"], i["dtypes"], strict=True)) for i in map(pyogrio.read_info, (empty, full))]
        assert fields[0] == fields[1]
        assert pyogrio.read_info(empty)["geometry_type"] == "Polygon"


LINE_FIELDS = ["class", "class_id", "instance_id", "confidence", "length_m", "width_m", "touches_edge", "source"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_lines_are_written_with_their_length_and_width(tmp_path, ending):
    many = lines(bends(30), [1, 2] * 15)
    frame = read(write(tmp_path / f"a{ending}", many, options=VectorOptions(kind="lines", source="town.tif")))
    assert [name for name in frame.columns if name not in ("geometry", "bbox")] == LINE_FIELDS
    frame = frame.sort_values("instance_id")
    assert list(frame["instance_id"]) == list(range(1, 31))
    assert set(frame.geom_type) == {"LineString"}
    assert np.allclose(frame["length_m"], shapely.length(many.geometry))
    assert (frame["width_m"] == 3.5).all()
    assert list(frame["class"]) == ["building", "Straße"] * 15
    found = frame.geometry.to_crs("EPSG:32633").to_numpy()
    assert (shapely.hausdorff_distance(found, many.geometry) < 0.02).all()


@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".fgb", ".parquet"])
@pytest.mark.parametrize(("kind", "single"), [("polygons", "Polygon"), ("lines", "LineString")])
@pytest.mark.parametrize("multi", [False, True])
def test_the_kind_of_a_layer_is_known_before_its_first_feature(tmp_path, ending, kind, single, multi):
    path = write(tmp_path / f"a{ending}", options=VectorOptions(kind=kind, multi=multi))
    if ending == ".parquet":
        geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
        assert geo["columns"]["geometry"]["geometry_types"] == [single]
        assert "bbox" not in geo["columns"]["geometry"]
        return
    expected = f"Multi{single}" if multi and ending != ".shp" else single
    assert pyogrio.read_info(path)["geometry_type"] == expected


@pytest.mark.parametrize("ending", ENDINGS)
def test_multipart_features_that_were_not_announced_are_refused(tmp_path, ending):
    sink = VectorSink(tmp_path / f"a{ending}", "EPSG:32633")
    if ending != ".geojson":  # which is cut at the dateline, and so may always hold them
        with pytest.raises(ValueError, match=r"multi=True"):
            sink.write(batch([shapely.MultiPolygon(list(circles(2)))]))
    sink.abort()
    assert names(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_line_across_the_dateline_stays_one_feature(tmp_path, ending):
    line = shapely.LineString([(632_000, 7_000_000), (670_000, 7_012_000)])
    options = VectorOptions(kind="lines")
    frame = read(write(tmp_path / f"a{ending}", lines([line]), crs="EPSG:32660", dst_crs="EPSG:4326", options=options))
    assert len(frame) == 1
    assert frame.geom_type[0] == "MultiLineString"
    assert len(frame.geometry[0].geoms) == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_many_features_keep_their_order_nulls_and_flags(tmp_path, ending):
    shapes = circles(3000)
    sure = np.where(np.arange(3000) % 3 == 0, np.nan, np.arange(3000) / 3000)
    frame = read(write(tmp_path / f"a{ending}", batch(shapes, 1, sure))).sort_values("instance_id")
    assert np.array_equal(frame["instance_id"], np.arange(1, 3001))
    assert np.array_equal(frame["touches_edge"], np.arange(3000) % 2 == 1)
    assert np.allclose(frame["confidence"], sure, equal_nan=True)
    if ending != ".geojson":
        assert shapely.equals(shapely.normalize(frame.geometry.to_numpy()), shapely.normalize(shapes)).all()


def test_an_empty_geojson_is_a_valid_collection(tmp_path):
    content = json.loads(write(tmp_path / "a.geojson").read_text())
    assert (content["type"], content["features"]) == ("FeatureCollection", [])


@pytest.mark.parametrize("ending", ENDINGS)
def test_multipolygons_come_out_whole_and_polygons_stay_what_they_are_where_the_format_can(tmp_path, ending):
    both = [circles(1)[0], shapely.MultiPolygon(list(circles(2, seed=1)))]
    frame = read(write(tmp_path / f"a{ending}", batch(both), options=MULTI))
    assert sorted(map(len, map(shapely.get_parts, frame.geometry))) == [1, 2]
    kinds = {".gpkg": {"MultiPolygon"}, ".fgb": {"MultiPolygon"}}.get(ending, {"Polygon", "MultiPolygon"})
    assert set(frame.geom_type) == kinds
    assert np.isclose(frame.geometry.to_crs("EPSG:32633").area.sum(), sum(p.area for p in both), rtol=1e-4)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_unknown_confidence_is_null(tmp_path, ending):
    path = write(tmp_path / f"a{ending}", batch(circles(2), confidence=[np.nan, 0.5]))
    values = read(path)["confidence"]
    assert sorted(values.isna()) == [False, True]
    if ending == ".geojson":
        assert (
            json.loads(path.read_text(), parse_constant=pytest.fail)["features"][0]["properties"]["confidence"] is None
        )


def test_geojson_follows_rfc_7946(tmp_path):
    content = json.loads(write(tmp_path / "a.geojson", batch([shapely.reverse(HOLED), HOLED])).read_text())
    assert "crs" not in content
    for feature in content["features"]:
        outer, inner = (np.array(ring) for ring in feature["geometry"]["coordinates"])
        assert shapely.is_ccw(shapely.LinearRing(outer))
        assert not shapely.is_ccw(shapely.LinearRing(inner))
        assert (outer[0] == outer[-1]).all()
        assert np.abs(outer - [15.0, 45.06]).max() < 0.1
        assert np.array_equal(outer, np.round(outer, 7))


def test_geojson_refuses_another_crs_and_takes_its_own(tmp_path):
    with pytest.raises(OutputError, match="WGS 84 longitude and latitude only"):
        VectorSink(tmp_path / "a.geojson", "EPSG:32633", "EPSG:3857")
    write(tmp_path / "a.geojson", batch([HOLED]), dst_crs="EPSG:4326")
    assert names(tmp_path) == ["a.geojson"]


def test_rings_of_a_shapefile_run_clockwise_and_its_table_says_utf8(tmp_path):
    path = write(tmp_path / "a.shp", batch([HOLED], 2))
    content = path.read_bytes()
    parts, points = struct.unpack("<ii", content[100 + 8 + 36 : 100 + 8 + 44])
    assert (parts, points) == (2, 10)
    flat = np.frombuffer(content[100 + 8 + 44 + 8 :], "<f8").reshape(10, 2)
    assert not shapely.is_ccw(shapely.LinearRing(flat[:5]))
    assert shapely.is_ccw(shapely.LinearRing(flat[5:]))
    assert (tmp_path / "a.cpg").read_text() == "UTF-8"
    assert "Straße".encode() in (tmp_path / "a.dbf").read_bytes()
    assert names(tmp_path) == ["a.cpg", "a.dbf", "a.prj", "a.shp", "a.shx"]


def test_a_shapefile_tells_its_short_names(tmp_path):
    said: list[str] = []
    path = write(tmp_path / "a.shp", batch(circles(1)), options=VectorOptions(warn=said.append))
    fields = list(pyogrio.read_info(path)["fields"])
    assert fields == ["class", "class_id", "inst_id", "confidence", "area_m2", "perim_m", "touch_edge", "source"]
    assert len(said) == 1
    assert "instance_id is inst_id, perimeter_m is perim_m, touches_edge is touch_edge" in said[0]


def test_a_shapefile_that_would_grow_too_large_is_refused_as_soon_as_that_is_known(tmp_path, monkeypatch):
    sink = VectorSink(tmp_path / "a.shp", "EPSG:32633")
    sink.write(batch(circles(100)))
    sink.commit()
    size = (tmp_path / "a.shp").stat().st_size
    monkeypatch.setattr(vector_sink, "SHAPEFILE_LIMIT", size)
    write(tmp_path / "b.shp", batch(circles(100)))  # fits to the byte
    monkeypatch.setattr(vector_sink, "SHAPEFILE_LIMIT", size - 1)
    sink = VectorSink(tmp_path / "c.shp", "EPSG:32633")
    with pytest.raises(WriteError, match=r"more than the .* that a Shapefile holds; write \.gpkg"):
        sink.write(batch(circles(100)))
    sink.abort()
    assert not (tmp_path / "c.shp").exists()


def test_a_geopackage_has_an_index_a_layer_name_and_metadata(tmp_path):
    options = VectorOptions({"GEOSEG_MODEL": "buildings 1.0"})
    info = pyogrio.read_info(write(tmp_path / "town_1.gpkg", batch(circles(3)), options=options))
    assert info["layer_name"] == "town_1"
    assert info["layer_metadata"]["GEOSEG_MODEL"] == "buildings 1.0"
    assert info["capabilities"]["fast_spatial_filter"]
    with sqlite3.connect(tmp_path / "town_1.gpkg") as database:
        assert database.execute("SELECT count(*) FROM rtree_town_1_geom_rowid").fetchone() == (3,)


ODD = [
    "gpkg_out",
    "GPKG",
    "sqlite_x",
    "rtree_a",
    "#1",
    "a;b",
    "a?b",
    "it's",
    'a"b',
    " x",
    "layer:x",
    "ü ö",
    "select",
    "%41",
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".fgb"])
def test_any_name_will_do(tmp_path, monkeypatch, name, ending):
    monkeypatch.chdir(tmp_path)
    write(Path(f"{name}{ending}"), batch(circles(3)))
    assert len(read(Path(f"{name}{ending}").rename(f"read{ending}") if ending != ".shp" else renamed(name))) == 3


def renamed(stem):
    """The Shapefile under a name that every reader takes."""
    for path in list(Path().iterdir()):
        path.rename(f"read{path.name.removeprefix(stem)}")
    return Path("read.shp")


@pytest.mark.parametrize("ending", ENDINGS)
def test_endings_in_capitals_are_written_and_read(tmp_path, ending):
    for name in (f"OUT{ending.upper()}", f"OUT{ending}"):
        path = write(tmp_path / name, batch(circles(3)))
        frame = gpd.read_parquet(path) if ending == ".parquet" else gpd.read_file(path)
        assert len(frame) == 3
        assert frame.crs is not None


def test_a_folder_of_any_name_will_do(tmp_path):
    for name in ("a;b", "#", "50% & more?"):
        (tmp_path / name).mkdir()
        for ending in ENDINGS:
            assert names(write(tmp_path / name / f"a{ending}", batch(circles(3))).parent)


def test_messages_and_layers_bear_the_final_name(tmp_path):
    said: list[str] = []
    options = VectorOptions(warn=said.append, named=Path("town.shp"))
    with full_disk(100), pytest.raises(WriteError, match=r"^town\.shp: could not be written"):
        write(tmp_path / "temporary.shp", batch(circles(3)), options=options)
    assert said[0].startswith("town.shp: a Shapefile's")
    path = write(tmp_path / "temporary.gpkg", batch(circles(3)), options=VectorOptions(named=Path("town.gpkg")))
    assert pyogrio.read_info(path)["layer_name"] == "town"
    path = write(tmp_path / "temporary.fgb", batch(circles(3)), options=VectorOptions(named=Path("picture.png")))
    assert len(read(path)) == 3


SAID = (
    "Polygons of building, Straße from town.tif made by geoseg 1.2 with the model buildings 1.0. "
    "Imagery: OpenAerialMap, CC BY 4.0"
)


@pytest.mark.parametrize("ending", [".gpkg", ".fgb", ".geojson", ".parquet"])
def test_a_file_says_how_it_was_made(tmp_path, ending):
    metadata = {
        "GEOSEG_VERSION": "1.2",
        "GEOSEG_MODEL": "buildings 1.0",
        "GEOSEG_ATTRIBUTION": "Imagery: OpenAerialMap, CC BY 4.0",
        "GEOSEG_COMMAND": "geoseg predict 'town hall.tif'",
    }
    options = VectorOptions(metadata, source="town.tif", classes=CLASSES)
    path = write(tmp_path / f"a{ending}", batch(circles(3)), options=options)
    if ending == ".parquet":
        found = {key.decode(): value.decode() for key, value in pq.read_metadata(path).metadata.items()}
        assert pq.read_schema(path).metadata[b"GEOSEG_MODEL"] == b"buildings 1.0"
    else:
        found = pyogrio.read_info(path, layer=0)["layer_metadata"]
        assert found["DESCRIPTION"] == SAID
    if ending != ".geojson":
        assert metadata.items() <= found.items()
    if ending == ".gpkg":
        with sqlite3.connect(path) as database:
            contents = database.execute("SELECT identifier, description FROM gpkg_contents WHERE table_name = 'a'")
            assert contents.fetchone() == ("Polygons from town.tif", SAID)


def test_what_is_not_known_is_not_told(tmp_path):
    info = pyogrio.read_info(write(tmp_path / "a.gpkg", batch(circles(3))))
    assert info["layer_metadata"] == {"DESCRIPTION": "Polygons.", "IDENTIFIER": "Polygons"}


def test_flatgeobuf_has_an_index(tmp_path):
    info = pyogrio.read_info(write(tmp_path / "a.fgb", batch(circles(3))))
    assert info["capabilities"]["fast_spatial_filter"]


def test_geoparquet_describes_itself_and_can_be_filtered_by_place(tmp_path):
    polygons = circles(50)
    path = write(tmp_path / "a.parquet", batch(polygons), options=VectorOptions({"GEOSEG_MODEL": "m"}))
    metadata = pq.read_metadata(path).metadata
    geo = json.loads(metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32633}
    assert np.allclose(column["bbox"], shapely.total_bounds(polygons))
    assert metadata[b"GEOSEG_MODEL"] == b"m"
    box = shapely.bounds(polygons[7])
    found = gpd.read_parquet(path, bbox=tuple(box))
    assert 1 <= len(found) < 10
    assert found.geometry.geom_equals(polygons[7]).any()


@pytest.mark.parametrize("ending", ENDINGS)
def test_polygons_go_to_the_crs_asked_for(tmp_path, ending):
    dst = "EPSG:4326" if ending == ".geojson" else "EPSG:3035"
    frame = read(write(tmp_path / f"a{ending}", batch([HOLED]), dst_crs=dst))
    expected = gpd.GeoSeries([HOLED], crs="EPSG:32633").to_crs(dst)
    assert frame.crs == dst
    assert frame.geometry.iloc[0].normalize().equals_exact(expected.iloc[0].normalize(), 1e-6)


def test_coordinates_that_the_crs_cannot_hold_are_told(tmp_path):
    far = shapely.box(-1e9, -1e9, -0.9e9, -0.9e9)
    sink = VectorSink(tmp_path / "a.gpkg", "EPSG:32633", "EPSG:3035")
    with pytest.raises(WriteError, match="cannot hold some of these features"):
        sink.write(batch([far]))
    sink.abort()


@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".fgb", ".parquet"])
def test_a_scene_without_crs_gives_polygons_without_one_and_without_a_warning(tmp_path, ending, recwarn):
    path = write(tmp_path / f"a{ending}", batch(circles(2)), crs=None)
    assert not recwarn.list
    frame = read(path)
    assert frame.crs is None or frame.crs.is_engineering
    assert np.allclose(np.sort(frame.geometry.area), np.sort(shapely.area(circles(2))))


@pytest.mark.parametrize(
    ("path", "crs", "dst_crs", "said"),
    [
        ("a.geojson", None, None, "no CRS and GeoJSON"),
        ("a.gpkg", None, "EPSG:4326", "no CRS and --dst-crs"),
        ("a.gpkg", "EPSG:32633", "EPSG:0", "not a CRS that PROJ knows"),
        ("a.gpkg", "EPSG:32633", "nonsense", "not a CRS that PROJ knows"),
        ("a.kml", "EPSG:32633", None, r"\.kml; expected one of \.gpkg"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, path, crs, dst_crs, said):
    with pytest.raises(OutputError, match=said):
        VectorSink(tmp_path / path, crs, dst_crs)
    assert names(tmp_path) == []


def test_the_driver_is_chosen_by_ending_in_any_case():
    assert [vector_driver(f"a{e}").driver for e in (".GPKG", ".json", ".parquet")] == ["GPKG", "GeoJSON", None]


def test_small_batches_are_stored_as_few_large_ones(tmp_path):
    polygons = circles(600)
    sink = VectorSink(tmp_path / "a.parquet", "EPSG:32633")
    for start in range(0, 600, 3):
        sink.write(batch(polygons[start : start + 3]))
    assert sink.count == 600
    sink.write(batch([]))
    sink.commit()
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 1
    assert shapely.equals(gpd.read_parquet(tmp_path / "a.parquet").geometry, polygons).all()


def test_large_results_are_stored_batch_by_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_sink, "_BATCH_ROWS", 100)
    polygons = circles(350)
    path = write(tmp_path / "a.parquet", *(batch(polygons[i : i + 50]) for i in range(0, 350, 50)))
    assert pq.read_metadata(path).num_row_groups == 4
    assert shapely.equals(gpd.read_parquet(path).geometry, polygons).all()


@pytest.mark.parametrize(("rows", "size"), [(100, 1 << 20), (10_000, 20_000)])
def test_a_file_is_the_same_however_its_features_came(tmp_path, monkeypatch, rows, size):
    monkeypatch.setattr(vector_sink, "_BATCH_ROWS", rows)
    monkeypatch.setattr(vector_sink, "_BATCH_BYTES", size)
    whole = batch(circles(350))
    files = []
    for step in (350, 1, 33, 100):
        parts = [fields_of(whole, slice(i, i + step)) for i in range(0, 350, step)]
        files.append(write(tmp_path / f"{step}.parquet", *parts).read_bytes())
        meta = pq.read_metadata(tmp_path / f"{step}.parquet")
        groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        assert groups == ([100, 100, 100, 50] if rows == 100 else [58] * 6 + [2])  # of 345 bytes each
    assert len(set(files)) == 1


def fields_of(whole: PolygonBatch, which: slice) -> PolygonBatch:
    taken = {name: getattr(whole, name) for name in PolygonBatch.__slots__}
    return PolygonBatch(**{name: None if values is None else values[which] for name, values in taken.items()})


def test_an_older_file_stands_until_commit_and_aborting_keeps_it(tmp_path):
    (tmp_path / "a.gpkg").write_text("old")
    sink = VectorSink(tmp_path / "a.gpkg", "EPSG:32633")
    sink.write(batch(circles(3)))
    assert (tmp_path / "a.gpkg").read_text() == "old"
    sink.abort()
    sink.abort()
    assert (tmp_path / "a.gpkg").read_text() == "old"
    assert names(tmp_path) == ["a.gpkg"]
    assert len(read(write(tmp_path / "a.gpkg", batch(circles(3))))) == 3


def test_interrupting_the_commit_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vector_sink, "write_layer", interrupt)
    sink = VectorSink(tmp_path / "a.gpkg", "EPSG:32633")
    sink.write(batch(circles(3)))
    with pytest.raises(KeyboardInterrupt):
        sink.commit()
    assert names(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_an_error_wherever_it_strikes_and_leaves_nothing(tmp_path, ending):
    polygons = batch(circles(800))
    write(tmp_path / f"a{ending}", polygons)
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    for path in tmp_path.iterdir():
        path.unlink()
    for limit in [100, size // 3, size * 2 // 3, size - 5000, size - 1000, size - 1]:
        with full_disk(limit), pytest.raises(WriteError, match="could not be written"):
            write(tmp_path / f"a{ending}", polygons)
        assert names(tmp_path) == [], f"with {limit} of {size} bytes"


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".shp", ".parquet"])  # FlatGeobuf has an unnamed file first
def test_a_file_grows_while_features_come_and_nothing_is_left_of_it_when_they_stop(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(vector_sink, "_BATCH_ROWS", 500)
    sink = VectorSink(tmp_path / f"a{ending}", "EPSG:32633")
    for seed in range(10):
        sink.write(batch(circles(500, seed)))
    assert names(tmp_path) != [f"a{ending}"]
    until = time.monotonic() + 20
    while not sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file()):
        assert time.monotonic() < until
        time.sleep(0.01)
    sink.abort()
    assert names(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "geoseg-features"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_fills_up_while_features_come_is_told(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(vector_sink, "_BATCH_ROWS", 500)
    sink = VectorSink(tmp_path / f"a{ending}", "EPSG:32633")

    def feed() -> None:
        for seed in range(12):
            sink.write(batch(circles(1000, seed)))
        sink.commit()

    with full_disk(100_000), pytest.raises(WriteError, match=rf"a\{ending}: could not be written"):
        feed()
    sink.abort()
    assert names(tmp_path) == []


def test_a_geopackage_is_of_a_version_that_older_programs_read(tmp_path):
    import sqlite3

    sink = VectorSink(tmp_path / "a.gpkg", "EPSG:32633")
    sink.commit()
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (10300,)


def test_a_feature_that_no_file_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_sink, "_FEATURE_BYTES", 16 * 20)
    with pytest.raises(WriteError, match=r"a.gpkg: .* feature with 33 points, expected 20 at most.*--small merge"):
        write(tmp_path / "a.gpkg", batch([shapely.Point(5e5, 5e6).buffer(9, quad_segs=8)]))
    assert names(tmp_path) == []
