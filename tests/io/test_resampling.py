from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoseg.core.tiling import Span
from geoseg.io import cells
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
