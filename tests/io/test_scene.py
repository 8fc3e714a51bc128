from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import rasterio
from affine import Affine

from geoseg.errors import BandError, SceneError, UnknownNameError
from geoseg.io.grid import resized
from geoseg.io.scene import SceneSource, open_scene
from tests.factory import ROTATED, make_raster, pixel_values
from tests.io.reading import read_all


@pytest.mark.parametrize("bands", range(1, 14))
def test_every_number_of_bands_is_read_in_order(tmp_path, bands):
    scene = open_scene(make_raster(tmp_path / "a.tif", bands=bands))
    pixels, valid = read_all(scene)
    assert len(scene.bands) == bands
    assert (pixels == pixel_values(bands, (64, 64))).all()
    assert valid.all()


def test_bands_come_in_the_order_asked_for(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", bands=5))
    pixels, _ = read_all(scene, (4, 1, 4))
    assert (pixels == pixel_values(5, (64, 64))[[3, 0, 3]]).all()


def test_names_come_from_descriptions_then_colours(tmp_path):
    path = make_raster(
        tmp_path / "a.tif", bands=4, dtype="uint16", descriptions=["Near Infrared", None, "evi", None],
        colorinterp=["gray", "red", "undefined", "blue"],
    )  # fmt: skip
    scene = open_scene(path)
    assert scene.bands == ("nir", "red", None, "blue")
    assert scene.bidx_for(["red", "nir"]) == (2, 1)


def test_a_grey_band_is_not_taken_for_panchromatic(tmp_path):
    assert open_scene(make_raster(tmp_path / "a.tif", bands=1)).bands == (None,)


def test_three_unnamed_bytes_are_rgb_and_other_unnamed_bands_are_asked_for(tmp_path):
    grey = ["gray", "undefined", "undefined"]
    assert open_scene(make_raster(tmp_path / "a.tif", colorinterp=grey)).bidx_for(["green"]) == (2,)
    for extra in ({"dtype": "uint16"}, {"descriptions": ["slope", None, None]}):
        scene = open_scene(make_raster(tmp_path / "b.tif", colorinterp=grey, **extra))
        with pytest.raises(BandError, match="--bidx 1,2,3"):
            scene.bidx_for(["red", "green", "blue"])


def test_an_alpha_band_is_no_band(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", alpha=np.full((64, 64), 255)))
    assert scene.bands == ("red", "green", "blue")
    with pytest.raises(BandError, match="no band 4"):
        scene.reader((1, 2, 4))


def test_a_band_marked_as_alpha_is_data_when_the_user_says_so(tmp_path):
    path = str(make_raster(tmp_path / "a.tif", bands=4, colorinterp=["red", "green", "blue", "alpha"]))
    pixels = pixel_values(4, (64, 64))
    pixels[3, :32] = 0
    with rasterio.open(path, "r+") as raster:
        raster.write(pixels)
    assert open_scene(path).bands == ("red", "green", "blue")
    for asked in ({"bidx": (4, 1)}, {"band_names": ("r", "g", "b", "nir")}):
        scene = open_scene(SceneSource((path,), **asked))
        bidx = scene.bidx_for(("nir", "red"))
        found, valid = read_all(scene, bidx)
        assert (found == pixels[[3, 0]]).all()
        assert valid.all()
        half, valid = read_all(scene, bidx, resized(scene.grid, (32, 32)))
        assert half[1].astype(int) == pytest.approx(pixels[0].reshape(32, 2, 32, 2).mean((1, 3)), abs=0.5)
        assert valid.all()


def test_names_given_by_the_user_win(tmp_path):
    path = str(make_raster(tmp_path / "a.tif"))
    scene = open_scene(SceneSource((path,), band_names=("NIR", "r", "dem")))
    assert scene.bands == ("nir", "red", "dem")
    with pytest.raises(BandError, match="found 3 bands"):
        open_scene(SceneSource((path,), band_names=("red", "green")))


def test_a_sensor_names_numbered_bands(tmp_path):
    path = str(make_raster(tmp_path / "a.tif", dtype="uint16", descriptions=["B08", "B8A", "B04"]))
    assert open_scene(path).bands == (None, None, None)
    assert open_scene(SceneSource((path,), sensor="sentinel-2")).bands == ("nir", "nir08", "red")
    naip = str(make_raster(tmp_path / "b.tif", bands=4, dtype="uint16"))
    assert open_scene(SceneSource((naip,), sensor="naip")).bands == ("red", "green", "blue", "nir")
    with pytest.raises(UnknownNameError, match="sentinel-2"):
        open_scene(SceneSource((path,), sensor="sentinel2"))


def test_explicit_indices_must_fit_the_model(tmp_path):
    path = str(make_raster(tmp_path / "a.tif", bands=4))
    assert open_scene(SceneSource((path,), bidx=(4, 2))).bidx_for(["nir", "red"]) == (4, 2)
    with pytest.raises(BandError, match="the model eats 3"):
        open_scene(SceneSource((path,), bidx=(1, 2))).bidx_for(["red", "green", "blue"])
    with pytest.raises(BandError, match="no band 5"):
        open_scene(SceneSource((path,), bidx=(1, 5))).bidx_for(["red", "green"])


def test_a_stated_resolution_serves_scenes_without_crs(tmp_path):
    path = str(make_raster(tmp_path / "a.tif", crs=None, transform=Affine(2, 0, 0, 0, -1, 0)))
    assert open_scene(path).resolution is None
    stated = open_scene(SceneSource((path,), resolution=0.5))
    assert stated.resolution == pytest.approx(0.5)
    assert stated.pixel_size[1] == pytest.approx(2 * stated.pixel_size[0])


@pytest.mark.parametrize("transform", [Affine(1, 0, 5e5, 0, 1, 5e6), ROTATED, Affine(1, 0, 5e5, 0, -3, 5e6)])
def test_the_grid_is_the_files_own(tmp_path, transform):
    path = make_raster(tmp_path / "a.tif", transform=transform, shape=(40, 50))
    scene = open_scene(path)
    with rasterio.open(path) as raster:
        assert scene.grid.affine * (7, 9) == pytest.approx(raster.xy(8.5, 6.5))
    assert scene.grid.shape == (40, 50)
    assert scene.grid.crs.epsg == 32633


def test_a_scene_can_be_sent_elsewhere(tmp_path):
    scene = open_scene([make_raster(tmp_path / "a.tif"), make_raster(tmp_path / "b.tif")])
    again = pickle.loads(pickle.dumps(scene))
    assert again == scene
    assert (read_all(again)[0] == read_all(scene)[0]).all()


def test_info_is_json(tmp_path):
    path = make_raster(tmp_path / "a.tif", nodata=0, overviews=[2], compress="lzw")
    told = json.loads(json.dumps(open_scene(path).info()))
    assert told["crs"] == "EPSG:32633"
    assert told["bounds"] == [500_000, 4_999_936, 500_064, 5_000_000]
    assert (told["mask"], told["overviews"], told["compression"]) == ("nodata", [2], "LZW")
    assert told["resolution"] == pytest.approx(1.0004, rel=1e-4)


def test_overview_holds_the_whole_scene(tmp_path):
    data = np.repeat(np.repeat(pixel_values(3, (50, 80)), 4, axis=1), 4, axis=2)
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data, overviews=[2, 4]))
    small = scene.overview((1, 2, 3), 80)
    assert small.pixels.shape == (3, 50, 80)
    assert (small.pixels == pixel_values(3, (50, 80))).all()
    assert scene.overview_grid(80).affine * (80, 50) == pytest.approx(scene.grid.affine * (320, 200))


def test_overview_of_a_small_scene_is_the_scene(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif"))
    assert (scene.overview((1, 2, 3)).pixels == pixel_values(3, (64, 64))).all()


def test_nothing_given_is_refused():
    for nothing in ([], {}, "", SceneSource()):
        with pytest.raises(SceneError):
            open_scene(nothing)
