from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

from geoseg.errors import ResourceError, SceneError
from geoseg.io import raster
from geoseg.io.raster import describe, mask_kind, open_raster
from tests.factory import make_raster


def test_describe_tells_what_the_file_is(tmp_path):
    path = make_raster(
        tmp_path / "a.tif", bands=4, dtype="uint16", nodata=0, shape=(70, 90), compress="deflate",
        tiled=True, blockxsize=32, blockysize=16, overviews=[2, 4], descriptions=["B02", None, None, "nir"],
    )  # fmt: skip
    file = describe(str(path))
    assert (file.shape, file.block_shape, file.count) == ((70, 90), (16, 32), 4)
    assert file.dtype == np.uint16
    assert file.nodata == (0, 0, 0, 0)
    assert file.overviews == (2, 4)
    assert file.descriptions == ("B02", None, None, "nir")
    assert (file.driver, file.compression, file.name) == ("GTiff", "DEFLATE", "a.tif")
    assert mask_kind(file) == "nodata"


def test_alpha_and_masks_are_told_apart(tmp_path):
    half = np.arange(64 * 64).reshape(64, 64) % 2 * 255
    alpha = describe(str(make_raster(tmp_path / "a.tif", alpha=half)))
    assert (alpha.count, alpha.alpha, alpha.masked) == (3, 4, False)
    inside = describe(str(make_raster(tmp_path / "b.tif", mask=half > 0)))
    assert (inside.count, inside.alpha, inside.masked) == (3, None, True)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        beside = describe(str(make_raster(tmp_path / "c.tif", mask=half > 0)))
    assert (tmp_path / "c.tif.msk").exists()
    assert beside.masked
    assert [mask_kind(f) for f in (alpha, inside, beside)] == ["alpha", "mask", "mask"]


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"), [("uint8", 0, 0), ("int16", -9999, -9999), ("float32", 0.5, 0.5)]
)
def test_nodata_that_the_dtype_can_hold_counts(tmp_path, dtype, nodata, expected):
    assert describe(str(make_raster(tmp_path / "a.tif", dtype=dtype, nodata=nodata))).band_nodata(1) == expected


@pytest.mark.parametrize("nodata", [-9999, 256, 0.5, float("nan")])
def test_nodata_that_bytes_cannot_hold_does_not(tmp_path, nodata):
    assert describe(str(make_raster(tmp_path / "a.tif")), nodata).band_nodata(1) is None


def refusal(path) -> str:
    with pytest.raises(SceneError) as caught:
        describe(str(path))
    message = str(caught.value)
    assert str(path) in message
    return message


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.tif")
    (tmp_path / "empty.tif").touch()
    assert "empty" in refusal(tmp_path / "empty.tif")
    (tmp_path / "text.tif").write_text("not a raster")
    assert "cannot be opened as a raster" in refusal(tmp_path / "text.tif")
    assert "cannot be opened as a raster" in refusal(tmp_path)


def test_a_cut_off_header_is_refused(tmp_path):
    path = make_raster(tmp_path / "a.tif", shape=(256, 256), driver="COG")
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:60])
    refusal(tmp_path / "cut.tif")


def test_complex_pixels_are_refused(tmp_path):
    assert "complex64" in refusal(make_raster(tmp_path / "a.tif", dtype="complex64"))


def test_places_by_control_points_are_refused(tmp_path):
    points = [GroundControlPoint(y, x, 15 + x / 1e4, 60 - y / 1e4) for y, x in ((0, 0), (0, 64), (64, 0), (64, 64))]
    assert "gdalwarp" in refusal(make_raster(tmp_path / "a.tif", crs="EPSG:4326", gcps=points))


def test_places_by_rpcs_are_refused(tmp_path):
    path = make_raster(tmp_path / "a.tif", crs=None, transform=Affine.identity())
    with rasterio.open(path, "r+") as dataset:
        line = "1 " + "0 " * 19
        dataset.update_tags(
            ns="RPC", LINE_OFF=32, SAMP_OFF=32, LAT_OFF=60, LONG_OFF=15, HEIGHT_OFF=0, LINE_SCALE=32, SAMP_SCALE=32,
            LAT_SCALE=1, LONG_SCALE=1, HEIGHT_SCALE=1, LINE_NUM_COEFF=line, LINE_DEN_COEFF=line, SAMP_NUM_COEFF=line,
            SAMP_DEN_COEFF=line,
        )  # fmt: skip
    assert "RPCs" in refusal(path)


def test_a_transform_without_area_is_refused(tmp_path):
    path = make_raster(tmp_path / "a.tif", transform=Affine(1, 0, 5e5, 1, 0, 5e6))
    assert "degenerate" in refusal(path)


def test_blocks_beyond_memory_are_refused(tmp_path, monkeypatch):
    path = make_raster(tmp_path / "a.tif", shape=(256, 256), blockysize=256, compress="deflate")

    class Little:
        available = 2**17

    monkeypatch.setattr(raster.psutil, "virtual_memory", lambda: Little)
    with pytest.raises(ResourceError, match="TILED=YES"):
        describe(str(path))


def test_huge_declared_sizes_are_fine_to_open(tmp_path):
    with rasterio.open(
        tmp_path / "huge.tif", "w", driver="GTiff", width=400_000, height=400_000, count=3, dtype="uint8", tiled=True,
        blockxsize=512, blockysize=512, sparse_ok=True, bigtiff=True, crs="EPSG:32633",
        transform=Affine(1, 0, 5e5, 0, -1, 5e6),
    ):  # fmt: skip
        pass
    assert describe(str(tmp_path / "huge.tif")).shape == (400_000, 400_000)


def test_rasters_without_a_place_are_opened_and_written_in_silence_by_many_threads(tmp_path, recwarn):
    before = list(warnings.filters)

    def write_and_read(number):
        path = tmp_path / f"{number}.tif"
        for _ in range(20):
            with open_raster(path, "w", driver="GTiff", width=2, height=2, count=1, dtype="uint8") as dataset:
                dataset.write(np.full((1, 2, 2), number, "uint8"))
            with open_raster(path) as dataset:
                assert (dataset.read() == number).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_read, range(4)))
    assert warnings.filters == before
    assert not [w for w in recwarn if issubclass(w.category, NotGeoreferencedWarning)]
