from __future__ import annotations

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely

from geoseg.io.vector_sink import VectorOptions, VectorSink
from geoseg.jobs.result import Result
from tests.io.support import CLASSES, batch, bends, circles, lines

ENDINGS = [".gpkg", ".geojson", ".shp", ".fgb", ".parquet"]


def made(path, *batches, **options) -> Result:
    sink = VectorSink(path, "EPSG:32633", None, VectorOptions(source="town.tif", **options))
    for one in batches:
        sink.write(one)
    sink.commit()
    return Result({"vector": path}, {}, {"GEOSEG_SOURCE": "town.tif", "GEOSEG_MODEL": "m 1"}, classes=CLASSES)


def read(path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path, layer=0)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["polygons", "lines"])
def test_a_copy_has_the_same_rows_in_the_order_they_were_found(tmp_path, ending, kind):
    many = batch(circles(40), [1, 2] * 20) if kind == "polygons" else lines(bends(40), [1, 2] * 20)
    result = made(tmp_path / f"a{ending}", many, kind=kind)
    found = read(result.write(tmp_path / "b.gpkg"))
    assert list(found["instance_id"]) == list(range(1, 41))
    assert list(found["class"]) == ["building", "Straße"] * 20
    assert set(found["source"]) == {"town.tif"}
    placed = found.geometry.to_crs("EPSG:32633").to_numpy()
    assert (shapely.hausdorff_distance(placed, many.geometry) < 0.02).all()
    assert ("length_m" in found) == (kind == "lines")
    assert pyogrio.list_layers(tmp_path / "b.gpkg")[:, 0].tolist() == ["b", "layer_styles"]
    assert pyogrio.read_info(tmp_path / "b.gpkg", layer=0)["layer_metadata"]["GEOSEG_MODEL"] == "m 1"


@pytest.mark.parametrize("ending", [".gpkg", ".fgb", ".parquet"])
def test_multipart_features_stay_so(tmp_path, ending):
    both = [circles(1)[0], shapely.MultiPolygon(list(circles(2, seed=1)))]
    result = made(tmp_path / "a.parquet", batch(both), multi=True)
    found = read(result.write(tmp_path / f"b{ending}"))
    assert [len(shapely.get_parts(shape)) for shape in found.sort_values("instance_id").geometry] == [1, 2]


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_can_be_copied_too(tmp_path, ending):
    result = made(tmp_path / f"a{ending}")
    found = read(result.write(tmp_path / "b.parquet"))
    assert len(found) == 0
    assert {"class", "area_m2", "source"} <= set(found.columns)


def test_reading_warns_of_nothing(tmp_path, recwarn):
    result = made(tmp_path / "a.gpkg", batch(circles(3)), classes=CLASSES)
    assert np.array_equal(result.polygons()["instance_id"], [1, 2, 3])
    assert not recwarn.list
