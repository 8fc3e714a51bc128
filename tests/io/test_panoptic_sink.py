"""Rasters of classes and objects: two bands of one COG."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from geoseg.core.protocols import Sink, Strip
from geoseg.core.tiling import Span
from geoseg.errors import WriteError
from geoseg.io.raster_sink import PanopticRasterSink, RasterOptions
from tests.io.support import CLASSES, NORTH_UP, full_disk, grid, names


def scene(shape, seed=0):
    """Classes and objects: numbers beyond 16 bits, nodata, and stuff without a number."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    instances = np.where(((y // 5 + x // 7) % 3 == 0), 70_000 + (y // 5) * 100 + x // 7, 0).astype(np.int32)
    classes = np.where(instances > 0, 2, (x // 9) % 2).astype(np.uint8)
    missing = np.random.default_rng(seed).random(shape) < 0.05
    classes[missing] = 255
    instances[missing] = 0
    return classes, instances


def write(path, classes, instances, heights=(100,), options=None, **where):
    sink = PanopticRasterSink(path, grid(classes.shape, **where), CLASSES, options or RasterOptions())
    start, turn = 0, 0
    try:
        while start < len(classes):
            y = Span(start, min(len(classes), start + heights[turn % len(heights)]))
            sink.write(Strip(y, classes[y.start : y.stop], None, instances[y.start : y.stop]))
            start, turn = y.stop, turn + 1
        sink.commit()
    finally:
        sink.abort()


def both(classes, instances):
    return np.where(classes == 255, -1, np.stack([classes, instances]).astype(np.int32))


def test_it_is_a_valid_cog_that_says_what_it_holds(tmp_path):
    path, (classes, instances) = tmp_path / "a.tif", scene((1300, 700))
    write(path, classes, instances, options=RasterOptions({"GEOSEG_MODEL": "cars 1.0"}))
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(), both(classes, instances))
        assert raster.descriptions == ("class", "instance")
        assert raster.dtypes == ("int32", "int32")
        assert raster.nodatavals == (-1, -1)
        assert raster.transform == NORTH_UP
        assert [raster.overviews(band) for band in (1, 2)] == [[2, 4], [2, 4]]
        assert raster.tags()["GEOSEG_MODEL"] == "cars 1.0"
        assert [c["name"] for c in json.loads(raster.tags()["GEOSEG_CLASSES"])] == ["background", "building", "Straße"]
    with rasterio.open(path, overview_level=1) as raster:
        assert set(np.unique(raster.read(2))) <= {-1, *np.unique(instances)}
    assert isinstance(PanopticRasterSink(tmp_path / "b.tif", grid((4, 4)), CLASSES, RasterOptions()), Sink)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 200), st.integers(1, 90), st.lists(st.integers(1, 130), min_size=1, max_size=4))
def test_strips_of_any_height_give_the_same_raster(tmp_path_factory, height, width, heights):
    path, (classes, instances) = tmp_path_factory.mktemp("strips") / "a.tif", scene((height, width), height)
    write(path, classes, instances, heights)
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(), both(classes, instances))


@pytest.mark.parametrize("turn", [0, 20], ids=["by index", "warped"])
def test_another_grid_takes_the_nearest_pixel_of_both_bands(tmp_path, turn):
    classes, instances = scene((300, 210))
    affine = NORTH_UP * Affine.rotation(turn)
    target = grid((300, 210), affine).zoom_to((431, 173))
    write(tmp_path / "a.tif", classes, instances, options=RasterOptions(target=target), affine=affine)
    rows = ((np.arange(431) + 0.5) * 300 / 431).astype(int)
    columns = ((np.arange(173) + 0.5) * 210 / 173).astype(int)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(), both(classes, instances)[:, rows][:, :, columns])
        assert raster.descriptions == ("class", "instance")


def test_pixels_beyond_the_source_are_nodata_in_both_bands(tmp_path):
    classes, instances = scene((60, 50))
    wider = grid((80, 70))
    write(tmp_path / "a.tif", classes, instances, options=RasterOptions(target=wider))
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read()[:, :60, :50], both(classes, instances))
        assert (raster.read()[:, 60:] == -1).all()
        assert (raster.read()[:, :, 50:] == -1).all()


def test_two_bands_take_little_more_than_what_is_in_them(tmp_path):
    classes, instances = scene((2048, 2048))
    write(tmp_path / "a.tif", np.where(classes == 255, 0, classes).astype(np.uint8), instances)
    assert (tmp_path / "a.tif").stat().st_size < 2048 * 2048 * 8 / 10


def test_a_full_disk_leaves_nothing(tmp_path):
    classes, instances = scene((600, 600))
    for limit in (100, 20_000):
        with full_disk(limit), pytest.raises(WriteError, match=r"a\.tif: could not be written"):
            write(tmp_path / "a.tif", classes, instances)
        assert names(tmp_path) == []


def test_strips_without_objects_are_told(tmp_path):
    sink = PanopticRasterSink(tmp_path / "a.tif", grid((4, 4)), CLASSES, RasterOptions())
    with pytest.raises(WriteError, match="carry no objects"):
        sink.write(Strip(Span(0, 4), np.zeros((4, 4), np.uint8), None))
    sink.abort()
