from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from geoseg.errors import BandError, SceneError
from geoseg.io.scene import SceneSource, open_scene
from tests.factory import make_raster, pixel_values
from tests.io.reading import read_all


def at(x: float, y: float, size: float = 1) -> Affine:
    return Affine(size, 0, 500_000 + x, 0, -size, 5_000_000 - y)


def flat(value: int, shape=(20, 30), dtype="uint8"):
    return np.full((3, *shape), value, dtype)


def test_mosaic_puts_the_first_on_top_where_it_is_valid(tmp_path):
    top = flat(10)
    top[:, :5, :5] = 0
    scene = open_scene([
        make_raster(tmp_path / "a.tif", data=top, transform=at(0, 0), nodata=0),
        make_raster(tmp_path / "b.tif", data=flat(20), transform=at(20, 10)),
        make_raster(tmp_path / "c.tif", data=flat(30), transform=at(-10, -5)),
    ])  # fmt: skip
    assert scene.grid.shape == (35, 60)
    pixels, valid = read_all(scene, step=7)
    expected = np.zeros((35, 60), int)
    expected[0:20, 0:30] = 30
    expected[15:35, 30:60] = 20
    hole = expected[5:10, 10:15].copy()
    expected[5:25, 10:40] = 10
    expected[5:10, 10:15] = hole
    assert (pixels == expected).all()
    assert (valid == (expected > 0)).all()


def test_mosaic_of_neighbours_is_seamless(tmp_path):
    whole = pixel_values(3, (90, 100))
    paths = [
        make_raster(tmp_path / f"{y}{x}.tif", data=whole[:, y : y + 45, x : x + 50], transform=at(x, y), blockysize=16)
        for y in (0, 45) for x in (0, 50)
    ]  # fmt: skip
    for step in (90, 13):
        pixels, valid = read_all(open_scene(paths[::-1]), step=step, threads=3)
        assert (pixels == whole).all()
        assert valid.all()


def test_mosaic_of_two_resolutions_takes_the_finer_grid(tmp_path):
    scene = open_scene([
        make_raster(tmp_path / "a.tif", data=flat(10, (10, 10)), transform=at(0, 0, 2)),
        make_raster(tmp_path / "b.tif", data=flat(20, (20, 20)), transform=at(20, 0, 1)),
    ])  # fmt: skip
    assert scene.grid.shape == (20, 40)
    pixels, valid = read_all(scene)
    assert (pixels[:, :, :20] == 10).all()
    assert (pixels[:, :, 20:] == 20).all()
    assert valid.all()


def test_mosaic_part_between_pixels_is_resampled_in_place(tmp_path):
    ramp = np.broadcast_to(np.arange(100, 140, dtype="uint8") * 1, (3, 20, 40))
    scene = open_scene([
        make_raster(tmp_path / "a.tif", data=flat(10, (20, 10)), transform=at(-10, 0)),
        make_raster(tmp_path / "b.tif", data=ramp.copy(), transform=at(0.5, 0)),
    ])  # fmt: skip
    pixels, _ = read_all(scene)
    assert pixels[0, 5, 15] in (104, 105)  # pixel 5 of the ramp's side lies between its values 104 and 105


@pytest.mark.parametrize("middle", [180, -180])
def test_mosaic_across_the_date_line_is_small(tmp_path, middle):
    west = make_raster(tmp_path / "w.tif", crs="EPSG:4326", transform=Affine(1e-3, 0, 180 - 0.064, 0, -1e-3, 10))
    east = make_raster(tmp_path / "e.tif", crs="EPSG:4326", transform=Affine(1e-3, 0, -180, 0, -1e-3, 10))
    scene = open_scene([west, east] if middle > 0 else [east, west])
    assert scene.grid.shape == (64, 128)
    assert scene.grid.affine * (64, 0) == pytest.approx((middle, 10))
    pixels, valid = read_all(scene)
    assert (pixels == np.tile(pixel_values(3, (64, 64)), 2)).all()
    assert valid.all()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"crs": "EPSG:32634"}, "EPSG:32634"),
        ({"crs": None}, "none"),
        ({"bands": 4}, "4 bands"),
        ({"dtype": "uint16"}, "uint16"),
        ({"colorinterp": ["blue", "green", "red"]}, "blue"),
    ],
)
def test_files_that_make_no_mosaic_are_refused(tmp_path, other, told):
    paths = [make_raster(tmp_path / "a.tif"), make_raster(tmp_path / "b.tif", **other)]
    with pytest.raises(SceneError, match=told) as caught:
        open_scene(paths)
    assert str(paths[1]) in str(caught.value)


def test_files_without_any_place_make_no_mosaic(tmp_path):
    paths = [make_raster(tmp_path / f"{n}.tif", crs=None, transform=Affine.identity()) for n in "ab"]
    with pytest.raises(SceneError, match="where they lie"):
        open_scene(paths)


def test_stack_of_different_resolutions_is_on_the_finest_grid(tmp_path):
    fine = pixel_values(1, (40, 60), "uint16") * 40
    coarse = np.full((1, 20, 30), 1000, "uint16")
    scene = open_scene({
        "B11": make_raster(tmp_path / "B11.tif", data=coarse, transform=at(0, 0, 20)),
        "red": make_raster(tmp_path / "B04.tif", data=fine, transform=at(0, 0, 10)),
    })  # fmt: skip
    assert scene.bands == ("B11", "red")
    assert scene.grid.shape == (40, 60)
    assert scene.resolution == pytest.approx(10.004, rel=1e-4)
    pixels, valid = read_all(scene, (2, 1), step=9)
    assert (pixels[0] == fine[0]).all()
    assert (pixels[1] == 1000).all()
    assert valid.all()


def test_stack_is_valid_where_every_band_is(tmp_path):
    left, right = flat(5)[:1], flat(6)[:1].astype("float32")
    left[:, :, :10] = 0
    right[:, :8] = np.nan
    scene = open_scene({
        "red": make_raster(tmp_path / "a.tif", data=left, transform=at(0, 0), nodata=0),
        "nir": make_raster(tmp_path / "b.tif", data=right, transform=at(0, 0)),
        "green": make_raster(tmp_path / "c.tif", data=flat(7, (20, 25))[:1], transform=at(0, 0)),
    })  # fmt: skip
    assert scene.dtype == np.float32
    _, valid = read_all(scene)
    expected = np.zeros((20, 30), bool)
    expected[8:, 10:25] = True
    assert (valid == expected).all()
    assert (read_all(scene, (1,))[1] == (np.arange(30) >= 10)).all()


def test_stack_names_come_from_the_sensor(tmp_path):
    paths = {"B04": str(make_raster(tmp_path / "a.tif", bands=1)), "b8a": str(make_raster(tmp_path / "b.tif", bands=1))}
    assert open_scene(SceneSource(bands=paths, sensor="sentinel-2")).bidx_for(["nir08", "red"]) == (2, 1)


def test_wrong_stacks_are_refused(tmp_path):
    one = make_raster(tmp_path / "a.tif", bands=1)
    with pytest.raises(SceneError, match="found 3 bands"):
        open_scene({"red": make_raster(tmp_path / "b.tif")})
    with pytest.raises(SceneError, match="EPSG:32634"):
        open_scene({"red": one, "nir": make_raster(tmp_path / "c.tif", bands=1, crs="EPSG:32634")})
    with pytest.raises(BandError, match="same name"):
        open_scene({"red": one, "R": one})
