"""Models that eat several dates, from the command to the classes."""

import json

import numpy as np
import pytest
import rasterio

from geoseg.core.bands import dated
from tests.factory import make_raster
from tests.toy import write_toy_bundle

ONE = ("red", "green", "blue", "nir")
NAMES = dated(ONE + ONE)
ORDER = ("nir@2", *(name for name in NAMES if name != "nir@2"))  # the model answers by its first band


@pytest.fixture
def model(tmp_path):
    return write_toy_bundle(tmp_path / "dates.safetensors", classes=3, bands=ORDER)


@pytest.fixture
def pixels():
    """Eight bands (band, y, x) that all say something else."""
    return np.random.default_rng(0).integers(0, 3, (8, 64, 64)).astype(np.uint8)


def classes(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_a_file_for_each_band_of_each_date(geoseg, model, pixels, tmp_path):
    words = []
    for name, band in zip(NAMES, pixels, strict=True):
        words += ["--band", f"{name}={make_raster(tmp_path / f'{name}.tif', data=band[None])}"]
    answer = geoseg("predict", *words, "-m", model, "--raster", tmp_path / "out.tif")
    assert answer.code == 0, answer.err
    assert np.array_equal(classes(tmp_path / "out.tif"), pixels[7])


def test_one_file_whose_bands_are_told_with_their_dates(geoseg, model, pixels, tmp_path):
    scene = make_raster(
        tmp_path / "scene.tif", data=pixels, descriptions=[f"B{i}@{d}" for d in (1, 2) for i in (4, 3, 2, 8)]
    )
    answer = geoseg("predict", scene, "--sensor", "sentinel-2", "-m", model, "--raster", tmp_path / "out.tif")
    assert answer.code == 0, answer.err
    assert np.array_equal(classes(tmp_path / "out.tif"), pixels[7])


def test_names_given_with_the_scene(geoseg, model, pixels, tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=pixels)
    named = ("--band-names", ",".join(NAMES))
    answer = geoseg("predict", scene, *named, "-m", model, "--raster", tmp_path / "out.tif")
    assert answer.code == 0, answer.err
    assert np.array_equal(classes(tmp_path / "out.tif"), pixels[7])
    told = json.loads(geoseg("info", scene, *named, "--json").out)
    assert told["scene"]["bands"] == list(NAMES)


def test_bands_without_dates_are_asked_for(geoseg, model, pixels, tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=pixels, descriptions=ONE + ONE)
    answer = geoseg("predict", scene, "-m", model, "--raster", tmp_path / "out.tif")
    assert answer.code == 2
    assert "the number of their date (nir@2)" in answer.err
    assert not (tmp_path / "out.tif").exists()


def test_one_date_alone_is_told_what_is_missing(geoseg, model, pixels, tmp_path):
    scene = make_raster(tmp_path / "scene.tif", data=pixels[:4], descriptions=ONE)
    answer = geoseg("predict", scene, "-m", model, "--raster", tmp_path / "out.tif")
    assert answer.code == 2
    assert "found 4 band(s)" in answer.err
    assert "the model eats 8: nir@2, red@1" in answer.err
