from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate

from geoseg.core.protocols import Sink, Strip
from geoseg.core.tiling import Span
from geoseg.errors import OutputError, WriteError
from geoseg.io.raster_sink import ClassRasterSink, RasterOptions, ScoreRasterSink
from tests.io.support import CLASSES, NORTH_UP, feed, full_disk, grid, names


def random_classes(shape, seed=0):
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), shape)


def blobs(shape):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y // 9 + x // 7) % 3).astype(np.uint8)


def write_classes(path, values, heights=(100,), options=None, **where):
    sink = ClassRasterSink(path, grid(values.shape, **where), CLASSES, options or RasterOptions())
    try:
        feed(sink, values, list(heights))
        sink.commit()
    finally:
        sink.abort()


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            return raster.read(1)


def test_sinks_keep_the_protocol(tmp_path):
    for sink in (
        ClassRasterSink(tmp_path / "a.tif", grid((4, 4)), CLASSES, RasterOptions()),
        ScoreRasterSink(tmp_path / "b.tif", grid((4, 4)), RasterOptions()),
    ):
        assert isinstance(sink, Sink)
        sink.abort()
    assert names(tmp_path) == []


def test_a_class_raster_is_a_valid_cog_that_says_what_it_holds(tmp_path):
    values = random_classes((1300, 700))
    write_classes(tmp_path / "a.tif", values, options=RasterOptions({"GEOSEG_MODEL": "buildings 1.0"}))
    valid, errors, notes = cog_validate(tmp_path / "a.tif", strict=True)
    assert (valid, errors, notes) == (True, [], [])
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(1), values)
        assert (raster.nodata, raster.dtypes, raster.crs.to_epsg()) == (255, ("uint8",), 32633)
        assert raster.transform == NORTH_UP
        assert raster.overviews(1) == [2, 4]
        assert raster.block_shapes == [(512, 512)]
        assert [raster.colormap(1)[i][:3] for i in (0, 1, 2)] == [(0, 0, 0), (0xE4, 0x57, 0x2E), (0x3B, 0x82, 0xF6)]
        assert raster.tags()["GEOSEG_MODEL"] == "buildings 1.0"
        assert [c["name"] for c in json.loads(raster.tags()["GEOSEG_CLASSES"])] == ["background", "building", "Straße"]
    assert names(tmp_path) == ["a.tif"]


def test_class_overviews_hold_classes_only(tmp_path):
    values = np.where(random_classes((1024, 1024)) > 0, 2, 0).astype(np.uint8)
    for name, options in (("nearest", {}), ("mode", {"overview_resampling": "mode"})):
        write_classes(tmp_path / f"{name}.tif", values, options=RasterOptions(creation_options=options))
        with rasterio.open(tmp_path / f"{name}.tif", overview_level=0) as raster:
            assert set(np.unique(raster.read(1))) == {0, 2}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 90), st.lists(st.integers(1, 130), min_size=1, max_size=4))
def test_strips_of_any_height_give_the_same_raster(tmp_path_factory, height, width, heights):
    folder = tmp_path_factory.mktemp("strips")
    values = random_classes((height, width), seed=height)
    write_classes(folder / "a.tif", values, heights)
    assert np.array_equal(read(folder / "a.tif"), values)


def test_scores_carry_their_scale(tmp_path):
    scores = np.arange(256, dtype=np.uint8).repeat(600).reshape(256, 600)
    sink = ScoreRasterSink(tmp_path / "a.tif", grid(scores.shape), RasterOptions())
    feed(sink, np.zeros_like(scores), [50], scores)
    sink.commit()
    assert cog_validate(tmp_path / "a.tif", strict=True)[0]
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(1), scores)
        assert raster.scales == (1 / 254,)
        assert raster.nodata == 255
        assert (raster.read(1, masked=True) * raster.scales[0]).max() == 1


def test_strips_without_scores_are_told(tmp_path):
    sink = ScoreRasterSink(tmp_path / "a.tif", grid((4, 4)), RasterOptions())
    with pytest.raises(WriteError, match="carry no scores"):
        sink.write(Strip(Span(0, 4), np.zeros((4, 4), np.uint8), None))
    sink.abort()


@pytest.mark.parametrize(
    "affine",
    [
        Affine(1, 0, 10, 0, 1, 20),
        Affine.translation(500_000, 5e6) * Affine.rotation(30) * Affine.scale(2, -2),
        Affine(0.3, 0, 500_000, 0, -0.7, 5e6),
    ],
    ids=["south-up", "rotated", "not square"],
)
def test_odd_grids_keep_their_place(tmp_path, affine):
    values = blobs((70, 50))
    write_classes(tmp_path / "a.tif", values, affine=affine)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(1), values)
        assert raster.transform.almost_equals(affine)


def test_a_grid_without_crs_is_written_without_one_and_without_a_warning(tmp_path, recwarn):
    values = blobs((70, 50))
    write_classes(tmp_path / "a.tif", values, affine=Affine.identity(), crs=None)
    assert not recwarn.list
    assert np.array_equal(read(tmp_path / "a.tif"), values)
    with pytest.warns(NotGeoreferencedWarning):
        raster = rasterio.open(tmp_path / "a.tif")
    assert raster.crs is None
    raster.close()


def test_creation_options_arrive(tmp_path):
    options = RasterOptions(creation_options={"compress": "zstd", "blocksize": "256"})
    write_classes(tmp_path / "a.tif", blobs((600, 600)), options=options)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.profile["compress"] == "zstd"
        assert raster.block_shapes == [(256, 256)]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"TILED": "YES"}, "TILED: not known; expected one of BIGTIFF"),
        ({"COMPRESS": "JPEG"}, "COMPRESS=JPEG: expected one of NONE, LZW"),
        ({"BLOCKSIZE": "100"}, "BLOCKSIZE=100: expected a multiple of 16"),
        ({"TILING_SCHEME": "GoogleMapsCompatible"}, "TILING_SCHEME: not known"),
    ],
)
def test_creation_options_that_would_change_values_or_mean_nothing_are_refused(option, said):
    with pytest.raises(OutputError, match=said):
        RasterOptions(creation_options=option)


def test_rows_out_of_order_and_rows_missing_are_told(tmp_path):
    sink = ClassRasterSink(tmp_path / "a.tif", grid((10, 4)), CLASSES, RasterOptions())
    sink.write(Strip(Span(0, 4), np.zeros((4, 4), np.uint8), None))
    with pytest.raises(WriteError, match="expected rows from 4 on"):
        sink.write(Strip(Span(5, 6), np.zeros((1, 4), np.uint8), None))
    with pytest.raises(WriteError, match="only 4 of 10 rows"):
        sink.commit()
    assert names(tmp_path) == []


def test_an_older_file_stands_until_commit(tmp_path):
    (tmp_path / "a.tif").write_text("old")
    (tmp_path / "a.tif.aux.xml").write_text("old")
    sink = ClassRasterSink(tmp_path / "a.tif", grid((10, 4)), CLASSES, RasterOptions())
    feed(sink, blobs((10, 4)), [3])
    assert (tmp_path / "a.tif").read_text() == "old"
    sink.commit()
    assert np.array_equal(read(tmp_path / "a.tif"), blobs((10, 4)))
    assert names(tmp_path) == ["a.tif"]


def test_a_full_disk_is_an_error_wherever_it_strikes_and_leaves_nothing(tmp_path):
    values = random_classes((900, 900))
    write_classes(tmp_path / "a.tif", values)
    size = (tmp_path / "a.tif").stat().st_size
    (tmp_path / "a.tif").unlink()
    for limit in [100, *(size * share // 10 for share in range(1, 10)), size - 5000, size - 100, size - 1]:
        with full_disk(limit), pytest.raises(WriteError, match=r"a\.tif: could not be written .* disk"):
            write_classes(tmp_path / "a.tif", values, [70])
        assert names(tmp_path) == [], f"with {limit} of {size} bytes"


def feed_and_commit(sink, values):
    feed(sink, values, [3], values)
    sink.commit()


def test_messages_bear_the_final_name(tmp_path):
    options = RasterOptions(named=Path("town.tif"))
    sinks = [ClassRasterSink(tmp_path / "a.tif", grid((9, 9)), CLASSES, options)]
    sinks.append(ScoreRasterSink(tmp_path / "b.tif", grid((9, 9)), options))
    for sink in sinks:
        with full_disk(100), pytest.raises(WriteError, match=r"^town\.tif: could not be written"):
            feed_and_commit(sink, blobs((9, 9)))
    assert names(tmp_path) == []


def scaled(shape, source):
    """The grid of `shape` over the extent of `source`'s."""
    return source.zoom_to(shape)


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_classes_on_another_grid_take_the_nearest_pixel(tmp_path, crs):
    values = random_classes((300, 210))
    affine = NORTH_UP * Affine.rotation(20)
    source = grid(values.shape, affine, crs)
    target = scaled((431, 173), source)
    options = RasterOptions({"GEOSEG_MODEL": "m"}, target=target)
    write_classes(tmp_path / "b.tif", values, affine=affine, crs=crs, options=options)
    rows = ((np.arange(431) + 0.5) * 300 / 431).astype(int)
    columns = ((np.arange(173) + 0.5) * 210 / 173).astype(int)
    assert np.array_equal(read(tmp_path / "b.tif"), values[np.ix_(rows, columns)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "b.tif") as raster:
            assert raster.tags()["GEOSEG_MODEL"] == "m"
            assert raster.colormap(1)[1][:3] == (0xE4, 0x57, 0x2E)
            assert raster.shape == (431, 173)
            assert raster.transform.almost_equals(target.affine)
            assert (raster.crs is None) == (crs is None)


def test_the_sink_can_write_to_the_other_grid_itself(tmp_path):
    values = random_classes((300, 210))
    target = scaled((900, 630), grid(values.shape))
    write_classes(tmp_path / "a.tif", values, options=RasterOptions(target=target))
    assert np.array_equal(read(tmp_path / "a.tif"), values.repeat(3, 0).repeat(3, 1))
    assert cog_validate(tmp_path / "a.tif", strict=True)[0]
    assert names(tmp_path) == ["a.tif"]


def test_scores_on_another_grid_are_interpolated_or_averaged(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 240, 241).astype(np.uint8), (200, 241))
    for name, shape in (("fine", (400, 482)), ("coarse", (50, 60))):
        options = RasterOptions(target=scaled(shape, grid(ramp.shape)))
        sink = ScoreRasterSink(tmp_path / f"{name}.tif", grid(ramp.shape), options)
        feed(sink, ramp, [64], ramp)
        sink.commit()
    fine = read(tmp_path / "fine.tif").astype(float)
    assert np.abs(fine[:, 1:-1] - ((np.arange(482) + 0.5) / 2 - 0.5)[1:-1]).max() <= 0.5
    coarse = read(tmp_path / "coarse.tif").astype(float)
    assert np.abs(coarse - ((np.arange(60) + 0.5) * 241 / 60 - 0.5)).max() <= 1
    assert rasterio.open(tmp_path / "coarse.tif").scales == (1 / 254,)
