"""Scenes that are not like others: a correct result or one clear error, never a silent wrong answer."""

import numpy as np
import pytest
import rasterio
import rasterio.features
from affine import Affine
from rasterio.control import GroundControlPoint

import geoseg
from geoseg.errors import BandError, GeosegError, ReadError, ResolutionError, SceneError
from tests.factory import ROTATED, make_raster
from tests.jobs.test_predict import blobs, scene_of
from tests.toy import write_toy_bundle

MASK = blobs((90, 110), 7)
AT_60_NORTH = 8_399_737.89  # y of 60 degrees north in EPSG:3857


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("models") / "threshold.safetensors", kind="threshold")


@pytest.fixture(scope="module")
def pan_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write_toy_bundle(folder / "pan.safetensors", kind="threshold", bands=("pan",))


PLACES = {
    "plain": ("EPSG:32633", Affine(1, 0, 5e5, 0, -1, 5e6), 1.0),
    "south-up": ("EPSG:32633", Affine(1, 0, 5e5, 0, 1, 5e6), 1.0),
    "mirrored": ("EPSG:32633", Affine(-1, 0, 5e5, 0, -1, 5e6), 1.0),
    "rotated": ("EPSG:32633", ROTATED, 1.0),
    "degrees": ("EPSG:4326", Affine(1.268e-5, 0, 15.0, 0, -0.9e-5, 45.0), 1.268e-5 * 0.9e-5 * 111_131.7 * 78_846.8),
    "dateline": ("EPSG:32660", Affine(1, 0, 833_900, 0, -1, 1_000), 1 / 1.00097**2),
    "web mercator": ("EPSG:3857", Affine(2, 0, 0, 0, -2, AT_60_NORTH), 1.0),
    "not square": ("EPSG:32633", Affine(1.05, 0, 5e5, 0, -0.96, 5e6), 1.05 * 0.96),
}


@pytest.mark.parametrize("place", PLACES)
def test_polygons_lie_where_the_pixels_do_and_have_their_size_on_the_ground(tmp_path, model, place):
    crs, transform, pixel_m2 = PLACES[place]
    scene = scene_of(tmp_path / "scene.tif", MASK, crs=crs, transform=transform)
    with geoseg.predict(scene, model, options={"inference": {"any_resolution": True}}) as result:
        found = result.polygons()
    burnt = rasterio.features.rasterize(found.geometry, MASK.shape, transform=transform)
    np.testing.assert_array_equal(burnt, MASK)
    assert found.crs == crs
    assert found.is_valid.all()
    assert found.area_m2.sum() == pytest.approx(MASK.sum() * pixel_m2, rel=5e-3)


def test_geojson_across_the_dateline_stays_on_the_map(tmp_path, model):
    import json

    mask = np.zeros((40, 2000), bool)
    mask[10:20, 100:1900] = True
    scene = scene_of(tmp_path / "scene.tif", mask, crs="EPSG:32660", transform=Affine(1, 0, 833_000, 0, -1, 1_000))
    path = tmp_path / "out.geojson"
    geoseg.predict(scene, model, output={"vector": str(path)})
    (feature,) = json.loads(path.read_text())["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    longitudes = [x for part in feature["geometry"]["coordinates"] for ring in part for x, _ in ring]
    assert min(longitudes) < -179.9
    assert max(longitudes) > 179.9
    assert all(abs(x) > 179 for x in longitudes)


@pytest.mark.parametrize("bands", range(1, 14))
def test_bands_are_matched_or_asked_for_never_guessed(tmp_path, model, bands):
    band = np.where(MASK, 200, 50).astype(np.uint8)
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([band] * bands), photometric="minisblack")
    if bands == 3:
        with geoseg.predict(scene, model) as result:
            assert len(result.polygons()) > 0
        return
    with pytest.raises(BandError, match=f"found (bands 1=|{bands} band)"):
        geoseg.predict(scene, model)
    if bands > 3:
        with geoseg.predict(scene, model, options={"scene": {"bidx": (bands, 1, 2)}}) as result:
            assert len(result.polygons()) > 0


def test_missing_values_of_any_kind_are_nodata(tmp_path, pan_model):
    values = np.where(MASK, 200.0, 50.0).astype(np.float32)
    values[0:5, 0:5], values[10:15, 0:5], values[20:25, 0:5] = np.nan, np.inf, -np.inf
    values[30:35, 0:5] = -9999
    scene = make_raster(tmp_path / "scene.tif", data=values[None], nodata=-9999, descriptions=("pan",))
    raster = tmp_path / "classes.tif"
    stretch = {"mode": "limits", "low": [0], "high": [255]}
    geoseg.predict(scene, pan_model, output={"raster": str(raster)}, options={"stretch": stretch})
    expected = MASK.astype(np.uint8)
    for start in (0, 10, 20, 30):
        expected[start : start + 5, 0:5] = 255
    with rasterio.open(raster) as source:
        np.testing.assert_array_equal(source.read(1), expected)


def test_a_scene_without_one_valid_pixel(tmp_path, model, pan_model):
    zeros = np.zeros((3, 60, 60), np.uint8)
    with geoseg.predict(make_raster(tmp_path / "empty.tif", data=zeros, nodata=0), model) as result:
        assert len(result.polygons()) == 0
        assert "no pixel of it was valid" in result.summary["warnings"][0]
    empty = np.full((1, 60, 60), np.nan, np.float32)
    scene = make_raster(tmp_path / "nan.tif", data=empty, descriptions=("pan",))
    with pytest.raises(SceneError, match=r"nan\.tif: found no valid pixel"):
        geoseg.predict(scene, pan_model)


def test_what_is_no_georeferenced_image_is_refused(tmp_path, model):
    corners = [(0, 0), (0, 60), (60, 0), (60, 60)]
    gcps = [GroundControlPoint(row, column, 15 + column * 1e-5, 45 - row * 1e-5) for row, column in corners]
    with pytest.raises(SceneError, match=r"gcps\.tif.*ground control points"):
        geoseg.predict(make_raster(tmp_path / "gcps.tif", shape=(60, 60), crs="EPSG:4326", gcps=gcps), model)
    with pytest.raises(SceneError, match=r"complex\.tif.*complex"):
        geoseg.predict(make_raster(tmp_path / "complex.tif", dtype="complex64"), model)
    with pytest.raises(ResolutionError, match=r"nowhere\.tif.*--scene-resolution"):
        geoseg.predict(make_raster(tmp_path / "nowhere.tif", crs=None), model)
    (tmp_path / "text.tif").write_text("not an image")
    with pytest.raises(SceneError, match=r"text\.tif"):
        geoseg.predict(tmp_path / "text.tif", model)
    with pytest.raises(SceneError, match=r"missing\.tif"):
        geoseg.predict(tmp_path / "missing.tif", model)


def test_a_truncated_file_ends_the_job_with_file_and_window(tmp_path, model):
    scene = scene_of(
        tmp_path / "scene.tif", blobs((400, 400)), compress="deflate", tiled=True, blockxsize=64, blockysize=64
    )
    scene.write_bytes(scene.read_bytes()[:-3000])
    with pytest.raises(GeosegError, match=r"scene\.tif"):
        geoseg.predict(scene, model, output={"raster": str(tmp_path / "out.tif")})
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


OUTCOMES = {  # with a model of one band at the scene's own resolution: polygons found, or the error
    "RGB.byte.tif": 3847,
    "RGBA.uint16.tif": 0,
    "clp.tif": 17,
    "cog_dateline.tif": 1,
    "cog_nodata_nan.tif": 2660,
    "cog_rgb_mask.tif": 273,
    "cogeo.tif": 1789,
    "corrupt.tif": ReadError,
    "drone_australia_0018m.tif": 1745,
    "float_raster_with_nodata.tif": 3,
    "hls_10band_float32_nodata.tif": 522,
    "landsat_float64_equalearth_nan.tif": 257,
    "landsat_int16_customproj.tif": 1834,
    "mosaic_cog3.tif": 922,
    "rgb.tif": 1770,
    "rgbn_5m_4band.tif": 2466,
    "rotated.tif": ResolutionError,
    "s2_8band_uint16_utm33.tif": 632,
    "sn3_vegas_pan_uint16.tif": 6041,
    "sn6_rotterdam_pan_uint16.tif": 2883,
    "sn6_sar_float32_nan.tif": 927,
}


@pytest.mark.data
@pytest.mark.parametrize("name", OUTCOMES)
def test_odd_real_rasters_give_a_correct_result_or_one_clear_error(data_dir, tmp_path, pan_model, name):
    path, expected = data_dir / "robustness" / name, OUTCOMES[name]
    scene = geoseg.open_scene(path)
    output = {"vector": str(tmp_path / "out.gpkg"), "raster": str(tmp_path / "out.tif")}
    options = {"scene": {"bidx": (1,)}, "inference": {"resolution": scene.resolution}}
    if isinstance(expected, type):
        with pytest.raises(expected, match=name):
            geoseg.predict(path, pan_model, output=output, options=options)
        assert not list(tmp_path.iterdir())
        return
    result = geoseg.predict(path, pan_model, output=output, options=options)
    found = result.polygons()
    assert len(found) == expected
    with rasterio.open(output["raster"]) as raster, rasterio.open(path) as source:
        classes = raster.read(1)
        invalid = source.dataset_mask() == 0
        transform = raster.transform
    np.testing.assert_array_equal(
        rasterio.features.rasterize(found.geometry, classes.shape, transform=transform) if expected else classes * 0,
        classes == 1,
    )
    if source.count == 1 and classes.shape == invalid.shape:
        assert (classes[invalid] == 255).all()


@pytest.mark.data
def test_every_odd_raster_has_an_outcome(data_dir):
    assert {p.name for p in (data_dir / "robustness").glob("*.tif")} == set(OUTCOMES)
