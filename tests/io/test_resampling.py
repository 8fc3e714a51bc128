from __future__ import annotations

import threading
import warnings
from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from geoseg.core.tiling import Span
from geoseg.io import cells, patches
from geoseg.io.grid import model_grid, resized
from geoseg.io.scene import open_scene
from tests.factory import ROTATED, make_raster, pixel_values
from tests.io.reading import read_all

SMOOTH = np.add.outer(np.arange(120) * 0.7, np.arange(160) * 0.9)[None] + [[[10]], [[20]], [[30]]]


def halves(pixels):
    band, height, width = pixels.shape
    return pixels.reshape(band, height // 2, 2, width // 2, 2).astype(float)


def test_going_down_averages(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", shape=(120, 160)))
    pixels, valid = read_all(scene, grid=resized(scene.grid, (60, 80)))
    assert np.abs(pixels - halves(pixel_values(3, (120, 160))).mean((2, 4))).max() <= 0.5
    assert valid.all()


def test_averages_are_of_valid_pixels_only(tmp_path):
    data = pixel_values(2, (40, 40), "float32")
    data[:, 4:6, 8:10] = -9999
    data[:, 20, 20] = -9999
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, nodata=-9999))
    pixels, valid = read_all(scene, grid=resized(scene.grid, (20, 20)))
    held = np.ma.masked_equal(halves(data)[1], -9999).mean(axis=(1, 3))
    expected = held.filled(0)
    assert (valid == ~np.ma.getmaskarray(held)).all()
    assert pixels[1][valid] == pytest.approx(expected[valid], rel=1e-6)


@pytest.mark.parametrize("how", ["mask", "alpha"])
def test_masked_pixels_do_not_bleed(tmp_path, how):
    data = np.full((3, 40, 40), 100, "uint8")
    there = np.ones((40, 40), bool)
    there[:, :11] = False
    data[:, ~there] = 255
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, **{how: there * np.uint8(255)}))
    pixels, valid = read_all(scene, grid=resized(scene.grid, (20, 20)))
    assert (valid == (np.arange(20) >= 5)).all()
    assert (pixels[:, valid] == 100).all()


def test_going_up_is_bilinear(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", data=SMOOTH.astype("float32")))
    pixels, valid = read_all(scene, grid=resized(scene.grid, (240, 320)))
    y, x = (np.arange(240) + 0.5) / 2 - 0.5, (np.arange(320) + 0.5) / 2 - 0.5
    expected = np.add.outer(y * 0.7, x * 0.9) + 10
    assert pixels[0, 2:-2, 2:-2] == pytest.approx(expected[2:-2, 2:-2], abs=1e-3)
    assert valid.all()


@pytest.mark.parametrize("transform", [Affine(1, 0, 5e5, 0, 1, 5e6), ROTATED, Affine(-1, 0, 5e5, 0, -1, 5e6)])
@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_direction_and_crs_do_not_matter(tmp_path, transform, crs):
    plain = open_scene(make_raster(tmp_path / "a.tif", shape=(60, 70)))
    other = open_scene(make_raster(tmp_path / "b.tif", shape=(60, 70), transform=transform, crs=crs))
    for shape in ((26, 31), (77, 90)):
        expected = read_all(plain, grid=resized(plain.grid, shape))[0]
        assert (read_all(other, grid=resized(other.grid, shape))[0] == expected).all()


def test_degrees_are_resampled_like_metres(tmp_path):
    plain = open_scene(make_raster(tmp_path / "a.tif", shape=(60, 70)))
    place = Affine(1e-5, 0, 179.9997, 0, -1e-5, 60)
    other = open_scene(make_raster(tmp_path / "b.tif", shape=(60, 70), crs="EPSG:4326", transform=place))
    expected = read_all(plain, grid=resized(plain.grid, (26, 31)))[0]
    assert (read_all(other, grid=resized(other.grid, (26, 31)))[0] == expected).all()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    rng = np.random.default_rng(5)
    data = rng.normal(100, 40, (2, 211, 307)).astype("float32")
    data[:, 50:70, 30:90] = np.nan
    return open_scene(make_raster(folder / "a.tif", data=data, tiled=True, blockxsize=64, blockysize=64))


@pytest.mark.parametrize("factor", [0.41, 0.83, 1.7])
def test_no_pixel_depends_on_how_rows_are_cut(scene, factor, monkeypatch):
    monkeypatch.setattr(cells, "ROWS", 64)
    monkeypatch.setattr(cells, "COLUMNS", 80)
    grid = resized(scene.grid, (round(211 * factor), round(307 * factor)))
    whole, valid = read_all(scene, grid=grid, threads=1)

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(step=st.integers(5, 200), left=st.integers(0, 100), threads=st.integers(1, 3))
    def check(step, left, threads):
        height, width = grid.shape
        spans = [Span(y, min(y + step, height)) for y in range(0, height, step)]
        for rows in scene.reader((1, 2), grid, threads=threads).rows(spans, Span(left, width)):
            expected = whole[:, rows.y.start : rows.y.stop, left:]
            assert np.array_equal(rows.pixels, expected, equal_nan=True)
            here = valid[rows.y.start : rows.y.stop, left:]
            assert here.all() if rows.valid is None else (rows.valid == here).all()

    check()


@pytest.mark.parametrize("factor", [0.41, 0.83, 1.7])
def test_cells_themselves_leave_no_trace(scene, factor, monkeypatch):
    grid = resized(scene.grid, (round(211 * factor), round(307 * factor)))
    whole, valid = read_all(scene, grid=grid)
    monkeypatch.setattr(cells, "ROWS", 31)
    monkeypatch.setattr(cells, "COLUMNS", 45)
    again, same = read_all(scene, grid=grid)
    assert (valid == same).all()
    assert again[:, valid] == pytest.approx(whole[:, valid], rel=1e-5)


def test_only_the_chosen_bands_decide(tmp_path):
    data = np.stack([np.full((40, 40), value, "int16") for value in (10, 20, 30, 40)])
    data[2, :20] = -1
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, nodata=-1))
    grid = resized(scene.grid, (20, 20))
    pixels, valid = read_all(scene, (4, 1), grid)
    assert (pixels == np.array([40, 10])[:, None, None]).all()
    assert valid.all()
    assert (read_all(scene, (3, 1), grid)[1] == (np.arange(20) >= 10)[:, None]).all()


def test_model_grid_of_oblong_pixels_is_read_square(tmp_path):
    data = np.repeat(pixel_values(3, (30, 40)), 2, axis=1)  # pixels half as tall as they are wide
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, transform=Affine(2, 0, 5e5, 0, -1, 5e6)))
    grid = model_grid(scene, 2.0008)
    assert grid.shape == (30, 40)
    assert (read_all(scene, grid=grid)[0] == pixel_values(3, (30, 40))).all()


def vrt(folder, bands):
    """A VRT of 64 x 64 pixels with the given contents of its bands."""
    head = '<VRTDataset rasterXSize="64" rasterYSize="64"><GeoTransform>500000,1,0,5000000,0,-1</GeoTransform>'
    path = folder / "bands.vrt"
    path.write_text(f"{head}<SRS>EPSG:32633</SRS>{''.join(bands)}</VRTDataset>")
    return path


def source(path, band):
    names = f"<SourceFilename>{path}</SourceFilename><SourceBand>{band}</SourceBand>"
    return f"<SimpleSource>{names}</SimpleSource>"


@pytest.mark.parametrize("bidx", [(1, 2), (2, 1), (2,)])
def test_each_band_has_its_own_nodata(tmp_path, bidx):
    data = np.full((2, 64, 64), 100, "float32")
    data[1, ::3] = -9999
    path = make_raster(tmp_path / "a.tif", data=data)
    scene = open_scene(vrt(tmp_path, [
        f'<VRTRasterBand dataType="Float32" band="1">{source(path, 1)}</VRTRasterBand>',
        f'<VRTRasterBand dataType="Float32" band="2"><NoDataValue>-9999</NoDataValue>{source(path, 2)}</VRTRasterBand>',
    ]))  # fmt: skip
    pixels, valid = read_all(scene, bidx, resized(scene.grid, (32, 32)))
    assert valid.all()
    assert (pixels == 100).all()
    _, valid = read_all(scene, bidx, resized(scene.grid, (64, 32)))
    assert (valid == (np.arange(64) % 3 != 0)[:, None]).all()


def test_each_band_may_have_a_mask_of_its_own(tmp_path):
    path = make_raster(tmp_path / "a.tif", data=np.full((2, 64, 64), 200, "uint8"))
    masks = np.full((2, 64, 64), 255, "uint8")
    masks[0, :, 32:] = masks[1, 32:] = 0
    mask = make_raster(tmp_path / "mask.tif", data=masks)
    scene = open_scene(vrt(tmp_path, [
        f'<VRTRasterBand dataType="Byte" band="{band}">{source(path, band)}<MaskBand><VRTRasterBand dataType="Byte">'
        f"{source(mask, band)}</VRTRasterBand></MaskBand></VRTRasterBand>"
        for band in (1, 2)
    ]))  # fmt: skip
    expected = masks != 0
    assert scene.info()["mask"] == "mask"
    assert (read_all(scene)[1] == expected.all(axis=0)).all()
    assert (read_all(scene, (2,))[1] == expected[1]).all()
    assert (read_all(scene, None, resized(scene.grid, (32, 32)))[1] == expected.all(axis=0)[::2, ::2]).all()


def test_nan_beside_declared_nodata_spoils_no_neighbour(tmp_path):
    data = np.full((1, 40, 40), 7, "float32")
    data[0, 10, 10], data[0, 20, 20] = np.nan, -9999
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, nodata=-9999))
    pixels, valid = read_all(scene, None, resized(scene.grid, (20, 20)))
    assert valid.all()
    assert (pixels == 7).all()


@pytest.mark.parametrize("shape", [(400, 400), (260, 260), (65, 65)])
@pytest.mark.parametrize("order", [1, -1])
def test_a_mosaic_shows_no_seams_when_resampled(tmp_path, shape, order):
    whole = np.random.default_rng(0).integers(1, 255, (3, 200, 200), "uint8")
    cuts = {"a": (slice(0, 90), slice(0, 101)), "b": (slice(0, 90), slice(101, 200)), "c": (slice(90, 200), slice(200))}
    paths = [
        make_raster(
            tmp_path / f"{name}.tif", data=whole[:, y, x], nodata=0,
            transform=Affine(1, 0, 5e5 + (x.start or 0), 0, -1, 5e6 - y.start),
        ) for name, (y, x) in cuts.items()
    ]  # fmt: skip
    far = make_raster(tmp_path / "far.tif", transform=Affine(1, 0, 5e5 + 1000.3, 0, -1, 5e6))  # on pixels of its own
    single = open_scene(make_raster(tmp_path / "whole.tif", data=whole, nodata=0))
    grid = resized(single.grid, shape)
    expected, _ = read_all(single, None, grid)
    for mosaic in (paths[::order], [paths[0], far, *paths[1:]][::order]):
        found, valid = read_all(open_scene(mosaic), None, grid, step=50)
        assert valid.all()
        assert (found == expected).all()


@pytest.mark.parametrize("shape", [(40, 40), (20, 20)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_stack_and_the_same_picture_in_one_file_are_valid_alike(tmp_path, shape, dtype):
    data = np.full((3, 40, 40), 50, dtype)
    data[0, :10] = data[:, 20:30] = 0
    one = open_scene(make_raster(tmp_path / "one.tif", data=data, nodata=0))
    names = ("red", "green", "blue")
    files = {
        name: make_raster(tmp_path / f"{name}.tif", data=data[i : i + 1], nodata=0) for i, name in enumerate(names)
    }
    expected, there = read_all(one, None, resized(one.grid, shape))
    pixels, valid = read_all(open_scene(files), None, resized(one.grid, shape))
    assert (valid == there).all()
    assert valid.mean() == (0.75 if dtype == "uint8" else 0.5)
    assert (pixels[:, valid] == expected[:, valid]).all()


def test_black_in_a_coarser_band_of_bytes_is_still_a_picture(tmp_path):
    coarse = np.full((1, 20, 20), 50, "uint8")
    coarse[:, :5] = coarse[:, 10:15] = 0
    fine = np.full((1, 40, 40), 60, "uint8")
    fine[:, 20:40] = 0
    scene = open_scene({
        "red": make_raster(tmp_path / "a.tif", data=fine, nodata=0, transform=Affine(1, 0, 5e5, 0, -1, 5e6)),
        "nir": make_raster(tmp_path / "b.tif", data=coarse, nodata=0, transform=Affine(2, 0, 5e5, 0, -2, 5e6)),
    })  # fmt: skip
    pixels, valid = read_all(scene)
    row = np.arange(40)
    assert (valid == ((row < 20) | (row >= 30))[:, None]).all()
    assert (pixels[1, :9] == 0).all()
    assert (pixels[0, 31:] == 0).all()


def test_files_decoded_from_the_top_are_read_from_the_top(tmp_path, monkeypatch):
    """GDAL shows the one strip of a large TIFF as single rows; each step back decodes all that lies above again."""
    path = make_raster(
        tmp_path / "a.tif", data=np.ones((3, 2400, 2000), "uint8"), compress="deflate", interleave="pixel",
        blockysize=2400,
    )  # fmt: skip
    scene = open_scene(path)
    asked = []
    original = patches.Patches._window

    def watch(self, part, bands, y, x, out):
        asked.append((threading.get_ident(), y, x))
        return original(self, part, bands, y, x, out)

    monkeypatch.setattr(patches.Patches, "_window", watch)
    for factor in (1, 0.5, 1.3):
        asked.clear()
        read_all(scene, None, resized(scene.grid, (int(2400 * factor), int(2000 * factor))), step=100)
        assert len({thread for thread, _, _ in asked}) == 1
        assert all(x == Span(0, 2000) for _, _, x in asked)
        assert all(before.stop - 8 <= after.start <= before.stop for (_, before, _), (_, after, _) in pairwise(asked))


def test_resampling_leaves_the_filter_of_warnings_alone(scene, recwarn):
    before = list(warnings.filters)
    read_all(scene, None, resized(scene.grid, (90, 130)), step=10, threads=4)
    assert warnings.filters == before
    assert not [w for w in recwarn if issubclass(w.category, NotGeoreferencedWarning)]
