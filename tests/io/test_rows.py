from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.core.protocols import BadBlock, RowReader
from geoseg.core.tiling import Span
from geoseg.errors import ReadError
from geoseg.io import patches
from geoseg.io.assembly import Selection, assemble
from geoseg.io.cells import cells_for
from geoseg.io.grid import resized
from geoseg.io.patches import joined
from geoseg.io.scene import SceneSource, open_scene
from tests.factory import make_raster, pixel_values
from tests.io.reading import read_all

SHAPE = (150, 170)
LAYOUTS = {
    "tiles": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
    "strips": {"blockysize": 7, "compress": "lzw"},
    "one strip": {"blockysize": 150, "compress": "deflate"},
    "bands apart": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"},
    "png": {"driver": "PNG"},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    return {name: open_scene(make_raster(folder / f"{name}.tif", shape=SHAPE, **how)) for name, how in LAYOUTS.items()}


@st.composite
def runs(draw, size):
    """Rising spans with gaps, as blocks of a distributed job ask for them."""
    edges = sorted(draw(st.sets(st.integers(0, size), min_size=2, max_size=9)))
    spans = [Span(a, b) for a, b in itertools.pairwise(edges)]
    return [span for span in spans if draw(st.booleans())] or spans[:1]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), layout=st.sampled_from(sorted(LAYOUTS)), threads=st.integers(1, 3))
def test_rows_are_the_files_pixels_however_they_are_cut(scenes, data, layout, threads):
    x = data.draw(st.tuples(st.integers(0, 169), st.integers(1, 170)).map(lambda p: Span(p[0], min(170, p[0] + p[1]))))
    spans = data.draw(runs(SHAPE[0]))
    reader = scenes[layout].reader((3, 1), threads=threads)
    found = list(reader.rows(spans, x))
    assert [rows.y for rows in found] == spans
    for rows in found:
        expected = pixel_values(3, SHAPE)[[2, 0], rows.y.start : rows.y.stop, x.start : x.stop]
        assert rows.pixels.dtype == np.uint8
        assert (rows.pixels == expected).all()
        assert rows.valid is None


def test_the_reader_keeps_the_protocol(scenes):
    reader: RowReader = scenes["tiles"].reader((2, 1))
    assert (reader.shape, reader.count, reader.dtype) == (SHAPE, 2, np.dtype("uint8"))
    assert list(reader.rows([], Span(0, 170))) == []


def test_each_block_is_decoded_once(scenes, monkeypatch):
    """Units lie on the file's blocks, and each file block is asked for by one thread only, in one unit."""
    scene = scenes["tiles"]
    reader = scene.reader((1, 2, 3), threads=2)
    touched: dict[tuple[int, int], set[tuple[int, int]]] = {}
    cells = cells_for(assemble(Selection(scene.layers, (1, 2, 3), scene.dtype), scene.grid), SHAPE, 3)
    original = patches.Patches._window

    def watch(self, part, bands, y, x, out):
        unit = next((a, b) for a, b in itertools.pairwise(cells.rows) if a <= y.start < b)
        for row in range(y.start // 16, (y.stop + 15) // 16):
            touched.setdefault((row, x.start // 32), set()).add(unit)
        return original(self, part, bands, y, x, out)

    monkeypatch.setattr(patches.Patches, "_window", watch)
    list(reader.rows([Span(y, min(y + 13, 150)) for y in range(0, 150, 13)], Span(0, 170)))
    assert all(len(units) == 1 for units in touched.values())
    assert all(edge % 16 == 0 for edge in cells.rows[:-1])


def test_reading_ahead_is_bounded(scenes):
    scene = scenes["strips"]
    reader = scene.reader((1, 2, 3), threads=2)
    started = []
    original = reader._target
    reader._target = lambda span, x: started.append(span) or original(span, x)
    reader._cells = type(reader._cells)(tuple(range(0, 151, 10)), (0, 170))
    rows = reader.rows([Span(y, y + 10) for y in range(0, 150, 10)], Span(0, 170))
    next(rows)
    assert len(started) <= 4
    rows.close()


def test_threads_end_when_reading_stops_early(scenes):
    rows = scenes["tiles"].reader((1,)).rows([Span(0, 50), Span(50, 150)], Span(0, 170))
    next(rows)
    rows.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("geoseg-read")]


def test_nodata_of_bytes_takes_all_bands_and_of_other_numbers_one(tmp_path):
    data = pixel_values(3, (20, 20))
    data[0, 3, 4] = data[:, 5, 6] = 0
    for dtype, single in (("uint8", True), ("uint16", False), ("float32", False)):
        scene = open_scene(make_raster(tmp_path / "a.tif", data=data.astype(dtype), nodata=0))
        valid = read_all(scene, step=7)[1]
        assert not valid[5, 6]
        assert valid[3, 4] == single
        assert valid.sum() == 400 - 1 - (not single)
        assert read_all(scene, (2, 3))[1][3, 4]


def test_nan_and_infinities_are_never_valid(tmp_path):
    data = pixel_values(2, (20, 20), "float32")
    data[0, 1, 1], data[1, 2, 2], data[0, 3, 3], data[1, 4, 4] = np.nan, np.inf, -np.inf, -9999
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, nodata=-9999))
    expected = np.ones((20, 20), bool)
    expected[[1, 2, 3, 4], [1, 2, 3, 4]] = False
    assert (read_all(scene)[1] == expected).all()
    without = open_scene(make_raster(tmp_path / "b.tif", data=data))
    expected[4, 4] = True
    assert (read_all(without)[1] == expected).all()


def test_stated_nodata_replaces_the_files_own(tmp_path):
    path = str(make_raster(tmp_path / "a.tif", bands=1, nodata=0))
    scene = open_scene(SceneSource((path,), nodata=pixel_values(1, (64, 64))[0, 9, 9]))
    assert (read_all(scene)[1] == (pixel_values(1, (64, 64))[0] != scene.nodata)).all()


@pytest.mark.parametrize("inside", [True, False])
def test_masks_inside_and_beside_the_file(tmp_path, inside):
    mask = np.add.outer(np.arange(64), np.arange(64)) % 3 > 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        scene = open_scene(make_raster(tmp_path / "a.tif", mask=mask))
    pixels, valid = read_all(scene, step=11)
    assert (valid == mask).all()
    assert (pixels[:, mask] == pixel_values(3, (64, 64))[:, mask]).all()


def test_alpha_of_any_weight_is_valid(tmp_path):
    alpha = np.arange(64 * 64).reshape(64, 64) % 256
    valid = read_all(open_scene(make_raster(tmp_path / "a.tif", alpha=alpha)), step=11)[1]
    assert (valid == (alpha > 0)).all()


class Corner:
    """A region of a quarter of the scene, wherever the grid lies."""

    def spans(self, grid):
        return Span(0, grid.shape[0] // 2), Span(0, grid.shape[1] // 2)

    def mask(self, grid, y, x):
        rows, columns = np.arange(y.start, y.stop), np.arange(x.start, x.stop)
        return np.logical_and.outer(rows < grid.shape[0] // 2, columns < grid.shape[1] // 2)


def test_an_overview_of_a_region_is_its_window_and_invalid_outside_it(scenes):
    rows = scenes["tiles"].overview((1, 2, 3), 1000, Corner())
    assert rows.pixels.shape == (3, 75, 85)
    assert (rows.pixels == pixel_values(3, SHAPE)[:, :75, :85]).all()
    expected = np.zeros((75, 85), bool)
    expected[: 75 // 2, : 85 // 2] = True
    assert (rows.valid == expected).all()


def damaged(tmp_path, **profile):
    """A raster of 4 x 4 blocks whose block (2, 1) is garbage, and where that block lies."""
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "nodata": 0}
    path = make_raster(tmp_path / "bad.tif", shape=(128, 128), **layout, **profile)
    with rasterio.open(path) as raster:
        start = int(raster.get_tag_item("BLOCK_OFFSET_1_2", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(content)
    return path


def test_a_bad_block_ends_the_reading_with_file_and_window(tmp_path):
    path = damaged(tmp_path)
    with pytest.raises(ReadError, match=r"rows 64 to 95, columns 32 to 63") as caught:
        read_all(open_scene(path), step=50)
    assert str(path) in str(caught.value)
    assert "--on-bad-block nodata" in str(caught.value)


@pytest.mark.parametrize("step", [128, 50, 7])
def test_a_bad_block_can_be_left_as_nodata(tmp_path, step):
    scene = open_scene(damaged(tmp_path))
    reader = scene.reader((1, 2, 3), on_bad_block="nodata")
    spans = [Span(y, min(y + step, 128)) for y in range(0, 128, step)]
    found = list(reader.rows(spans, Span(0, 128)))
    valid = np.concatenate([np.ones(r.pixels.shape[1:], bool) if r.valid is None else r.valid for r in found])
    pixels = np.concatenate([r.pixels for r in found], axis=1)
    expected = np.ones((128, 128), bool)
    expected[64:96, 32:64] = False
    assert (valid == expected).all()
    assert (pixels[:, expected] == pixel_values(3, (128, 128))[:, expected]).all()
    assert [(bad.y, bad.x) for bad in reader.bad_blocks] == [(Span(64, 96), Span(32, 64))]


def test_a_bad_block_under_resampling_loses_only_its_place(tmp_path):
    scene = open_scene(damaged(tmp_path))
    grid = resized(scene.grid, (64, 64))
    with pytest.raises(ReadError, match="cannot be read"):
        read_all(scene, grid=grid)
    pixels, valid = read_all(scene, grid=grid, on_bad_block="nodata")
    expected = np.ones((64, 64), bool)
    expected[32:48, 16:32] = False
    assert (valid == expected).all()
    whole = read_all(open_scene(make_raster(tmp_path / "good.tif", shape=(128, 128))), grid=grid)[0]
    assert (pixels[:, valid] == whole[:, valid]).all()
    reader = scene.reader((1, 2, 3), grid, on_bad_block="nodata")
    list(reader.rows([Span(0, 20), Span(20, 64)], Span(0, 64)))
    assert [(bad.y, bad.x) for bad in reader.bad_blocks] == [(Span(64, 96), Span(32, 64))]


def test_bad_blocks_that_make_a_rectangle_are_told_of_as_one():
    def bad(path, y, x):
        return BadBlock(path, Span(y, y + 1), Span(x, x + 8), "reason")

    square = [bad("a", y, x) for y in (4, 5, 6) for x in (8, 16)]
    apart = [bad("a", 8, 8), bad("a", 8, 24), bad("b", 9, 8)]
    told = joined([*apart, *square[::-1]])
    assert [(b.path, b.y, b.x) for b in told] == [
        ("a", Span(4, 7), Span(8, 24)), ("a", Span(8, 9), Span(8, 16)), ("a", Span(8, 9), Span(24, 32)),
        ("b", Span(9, 10), Span(8, 16)),
    ]  # fmt: skip


def test_a_cut_off_file_is_told_of(tmp_path):
    path = make_raster(tmp_path / "a.tif", data=np.random.default_rng(0).integers(0, 255, (3, 256, 256), "uint8"))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ReadError, match=r"a\.tif: rows"):
        read_all(open_scene(path))
    reader = open_scene(path).reader((1, 2, 3), on_bad_block="nodata")
    (rows,) = reader.rows([Span(0, 256)], Span(0, 256))
    assert rows.valid[:100].all()
    assert not rows.valid[140:].any()
    assert reader.bad_blocks
