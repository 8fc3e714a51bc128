"""Odd files, real and made: each is read right or refused clearly."""

from __future__ import annotations

import logging
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from geoseg.core.tiling import Span
from geoseg.errors import ReadError, SceneError
from geoseg.io.grid import model_grid
from geoseg.io.scene import open_scene
from geoseg.io.stretch import measure_stretch
from tests.factory import make_raster, pixel_values
from tests.io.reading import read_all

# name: (bands, ground resolution in metres, share of valid pixels)
REAL = {
    "RGB.byte.tif": (3, 300.0, 0.675),
    "RGBA.uint16.tif": (3, 1.38, 0.489),
    "clp.tif": (1, 66.95, 0.655),
    "cog_dateline.tif": (1, 100.01, 1.0),
    "cog_nodata_nan.tif": (1, 200.07, 0.489),
    "cog_rgb_mask.tif": (3, 0.150, 0.969),
    "cogeo.tif": (3, 0.472, 1.0),
    "drone_australia_0018m.tif": (3, 0.018, 1.0),
    "float_raster_with_nodata.tif": (1, 500.0, 0.628),
    "hls_10band_float32_nodata.tif": (10, 30.01, 1.0),
    "landsat_float64_equalearth_nan.tif": (1, 120.4, 0.527),
    "landsat_int16_customproj.tif": (3, 30.0, 1.0),
    "mosaic_cog3.tif": (3, 844.2, 0.657),
    "rgb.tif": (3, 900.3, 0.698),
    "rgbn_5m_4band.tif": (4, 5.0, 1.0),
    "rotated.tif": (1, None, 1.0),
    "s2_8band_uint16_utm33.tif": (8, 10.0, 1.0),
    "sn3_vegas_pan_uint16.tif": (1, 0.270, 1.0),
    "sn6_rotterdam_pan_uint16.tif": (1, 0.5, 1.0),
    "sn6_sar_float32_nan.tif": (4, 4.5, 0.608),
}


def independent_mask(path) -> np.ndarray:
    """The valid pixels as rasterio's own mask and NumPy tell them."""
    with rasterio.open(path) as raster:
        pixels = raster.read()
        masks = raster.read_masks() > 0
        count = raster.count - (raster.colorinterp[-1].name == "alpha")
    together = masks[:count].any(axis=0) if pixels.dtype == np.uint8 else masks[:count].all(axis=0)
    finite = np.isfinite(pixels[:count]).all(axis=0) if pixels.dtype.kind == "f" else True
    return together & finite


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(REAL))
def test_odd_real_files_are_read_right(data_dir, name):
    path = data_dir / "robustness" / name
    bands, resolution, share = REAL[name]
    scene = open_scene(path)
    assert len(scene.bands) == bands
    assert scene.resolution == (None if resolution is None else pytest.approx(resolution, rel=0.01))
    pixels, valid = read_all(scene, step=100)
    with rasterio.open(path) as raster:
        assert np.array_equal(pixels, raster.read(range(1, bands + 1)), equal_nan=True)
    assert (valid == independent_mask(path)).all()
    assert valid.mean() == pytest.approx(share, abs=0.02)
    measure_stretch(scene, range(1, bands + 1), (2, 98))
    if resolution is None:
        return
    smaller, held = read_all(scene, grid=model_grid(scene, 2 * resolution))
    assert np.isfinite(smaller[:, held]).all()
    for band, there in zip(smaller, pixels, strict=True):
        assert band[held].mean() == pytest.approx(there[valid].mean(), rel=0.1)


@pytest.mark.data
def test_the_corrupt_file_is_told_of_and_can_be_read_around(data_dir):
    scene = open_scene(data_dir / "robustness" / "corrupt.tif")
    with pytest.raises(ReadError, match=r"corrupt\.tif: rows 512 to 1023, columns 512 to 1023"):
        read_all(scene)
    reader = scene.reader((1, 2, 3), on_bad_block="nodata")
    (rows,) = reader.rows([Span(0, 1024)], Span(0, 1024))
    expected = np.ones((1024, 1024), bool)
    expected[512:, 512:] = False
    assert (rows.valid == expected).all()
    assert [(bad.y, bad.x) for bad in reader.bad_blocks] == [(Span(512, 1024), Span(512, 1024))]
    smaller = scene.reader((1, 2, 3), model_grid(scene, 1.7 * scene.resolution), on_bad_block="nodata")
    list(smaller.rows([Span(0, smaller.shape[0])], Span(0, smaller.shape[1])))
    assert smaller.bad_blocks == reader.bad_blocks


def test_a_scene_without_valid_pixels_is_read_as_such(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", data=np.zeros((3, 20, 20), "uint8"), nodata=0))
    assert not read_all(scene)[1].any()
    assert not read_all(scene, grid=model_grid(scene, 2.3))[1].any()


def test_one_pixel_is_a_scene(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", shape=(1, 1), bands=1))
    assert read_all(scene)[0].tolist() == [[[1]]]
    assert read_all(scene, grid=model_grid(scene, 0.5))[0].tolist() == [[[1, 1], [1, 1]]]
    assert model_grid(scene, 50).shape == (1, 1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_every_number_format_keeps_its_values(tmp_path, dtype):
    data = pixel_values(2, (30, 40), "float64") - (100 if dtype[0] != "u" else 0)
    data = np.clip(data, np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype[0] != "f" else data / 7
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data.astype(dtype)))
    pixels, valid = read_all(scene, step=7)
    assert pixels.dtype == dtype
    assert (pixels == data.astype(dtype)).all()
    assert valid.all()


def test_a_sparse_giant_is_read_where_asked(tmp_path):
    place = {"crs": "EPSG:32633", "transform": Affine(1, 0, 5e5, 0, -1, 5e6), "sparse_ok": True, "bigtiff": True}
    layout = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "dtype": "uint8", "count": 1}
    with rasterio.open(tmp_path / "giant.tif", "w", width=300_000, height=300_000, **layout, **place):
        pass
    scene = open_scene(tmp_path / "giant.tif")
    (rows,) = scene.reader((1,)).rows([Span(200_000, 200_100)], Span(250_000, 250_300))
    assert rows.pixels.shape == (1, 100, 300)
    assert not rows.pixels.any()


def test_a_vrt_and_a_path_inside_an_archive_are_scenes(tmp_path):
    path = make_raster(tmp_path / "a.tif")
    vrt = tmp_path / "b.vrt"
    with rasterio.open(path) as raster:
        rasterio.shutil.copy(raster, vrt, driver="VRT")
    assert (read_all(open_scene(vrt))[0] == pixel_values(3, (64, 64))).all()
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(path, "a.tif")
    assert (read_all(open_scene(f"/vsizip/{tmp_path}/c.zip/a.tif"))[0] == pixel_values(3, (64, 64))).all()


CUT = {
    "raw.tif": {},
    "deflate.tif": {"compress": "deflate"},
    "jpeg.tif": {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 128, "blockysize": 128},
    "a.jpg": {"driver": "JPEG"},
    "a.png": {"driver": "PNG"},
}


@pytest.mark.parametrize("name", CUT)
def test_half_a_file_is_told_of_and_can_be_read_around(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (3, 256, 256), "uint8")
    path = make_raster(tmp_path / name, data=noise, **CUT[name])
    whole = read_all(open_scene(path))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError, match="cannot be read"):
        read_all(open_scene(path))
    pixels, valid = read_all(open_scene(path), step=60, on_bad_block="nodata")
    assert 0 < valid.mean() < 0.6
    assert (pixels[:, valid] == whole[:, valid]).all()


def broken_jpeg(folder):
    """A TIFF of 2 x 2 JPEG tiles, of which the upper right one has broken data that GDAL decodes to grey."""
    noise = np.random.default_rng(0).integers(0, 255, (3, 256, 256), "uint8")
    path = make_raster(folder / "jpeg.tif", data=noise, **CUT["jpeg.tif"])
    with rasterio.open(path) as raster:
        offset = int(raster.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset + 3000 : offset + 3200] = b"\xff" * 200
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("resampled", [False, True])
def test_a_jpeg_tile_with_broken_data_is_not_taken_for_grey(tmp_path, resampled):
    scene = open_scene(broken_jpeg(tmp_path))
    grid = model_grid(scene, 2.0008) if resampled else None
    with pytest.raises(ReadError, match="JPEG"):
        read_all(scene, grid=grid)
    valid = read_all(scene, grid=grid, on_bad_block="nodata")[1]
    half = valid.shape[0] // 2
    assert not valid[: half - 1, half + 1 :].any()
    assert valid[half:].all()
    assert valid[:, :half].all()


def silence_all(monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    logging.root.manager._clear_cache()


def silence_rasterio(monkeypatch):
    monkeypatch.setattr(logging.getLogger("rasterio"), "level", logging.CRITICAL)
    logging.getLogger("rasterio").manager._clear_cache()


def switch_off(monkeypatch):  # what logging.config does to loggers that it is not told of
    for name in ("rasterio._err", "rasterio._env"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)


@pytest.mark.parametrize("silence", [silence_all, silence_rasterio, switch_off])
def test_what_the_application_logs_decides_nothing(tmp_path, monkeypatch, caplog, silence):
    scene = open_scene(broken_jpeg(tmp_path))
    with monkeypatch.context() as patched:
        silence(patched)
        with pytest.raises(ReadError, match="JPEG"):
            read_all(scene)
        assert not read_all(scene, on_bad_block="nodata")[1].all()
        assert not caplog.records
    logging.root.manager._clear_cache()
    read_all(scene, on_bad_block="nodata")
    assert caplog.records


def test_threads_of_gdal_hide_no_damage(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAL_NUM_THREADS", "4")
    with pytest.raises(ReadError, match="JPEG"):
        read_all(open_scene(broken_jpeg(tmp_path)))


@pytest.fixture
def address(tmp_path):
    script = Path(__file__).with_name("range_server.py")
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True) as server:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


def test_a_scene_is_read_over_http_in_parts(tmp_path, address):
    noise = np.random.default_rng(0).integers(1, 255, (3, 1024, 1024), "uint8")
    path = make_raster(tmp_path / "a.tif", data=noise, tiled=True, blockxsize=128, blockysize=128, compress="deflate")
    scene = open_scene(f"{address}/a.tif")
    (rows,) = scene.reader((1, 2, 3)).rows([Span(900, 1000)], Span(700, 900))
    assert (rows.pixels == noise[:, 900:1000, 700:900]).all()
    with urllib.request.urlopen(f"{address}/sent") as answer:
        assert int(answer.read()) < path.stat().st_size / 3
    assert scene.name == "a.tif"


def test_a_scene_is_read_from_an_object_store(tmp_path, address, monkeypatch):
    store = {"AWS_S3_ENDPOINT": address.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    for name, value in {**store, "AWS_NO_SIGN_REQUEST": "YES"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bucket").mkdir()
    make_raster(tmp_path / "bucket" / "a.tif", tiled=True, blockxsize=32, blockysize=32)
    pixels, _ = read_all(open_scene("s3://bucket/a.tif"))
    np.testing.assert_array_equal(pixels, pixel_values(3, (64, 64)))


def test_missing_addresses_are_refused(address):
    with pytest.raises(SceneError, match="cannot be opened"):
        open_scene(f"{address}/none.tif")
