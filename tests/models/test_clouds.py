"""The cloud models that ukis-csmask brings."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage

import geoseg
from geoseg.errors import InputError, MissingExtraError, ModelError, UnknownNameError, WriteError
from geoseg.models import clouds, read_card, resolve
from tests.conftest import missing, needed
from tests.factory import make_raster

TRANSFORM = Affine(30, 0, 500_000, 0, -30, 5_000_000)


@pytest.fixture(scope="module")
def package():
    """The folder of the installed package."""
    needed("onnxruntime")
    found = importlib.util.find_spec("ukis_csmask")
    if found is None:
        missing("the package ukis_csmask is not installed")
    return Path(found.submodule_search_locations[0])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("GEOSEG_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def reflectance():
    """A tile of ground, water, clouds and shadows in six bands (band, y, x), in whole ten-thousandths of 0..1."""
    rng = np.random.default_rng(3)
    fields = [ndimage.gaussian_filter(rng.normal(size=(256, 256)), 12) for _ in range(3)]
    water, cloud, soil = (field / field.std() for field in fields)
    ground = np.array([0.08, 0.1, 0.12, 0.3, 0.25, 0.15])[:, None, None] * (1 + 0.2 * soil)
    ground = np.where(water > 1, np.array([0.06, 0.05, 0.04, 0.02, 0.01, 0.01])[:, None, None], ground)
    cover = np.clip(cloud - 0.5, 0, 1)
    shaded = ground * (1 - 0.7 * np.roll(cover, (10, -8), (0, 1)))
    mixed = shaded * (1 - cover) + 0.7 * cover
    return np.round(mixed * 10000).clip(0, 10000) / 10000


def told_by_the_package(package, name, reflectance):
    """The labels (y, x) of one tile as the package computes them."""
    import onnxruntime

    stem = clouds._VARIANTS[name].stem
    told = json.loads((package / f"{stem}.json").read_text())["data"]["dataset_statistics"]
    mean, std = (np.array(values, np.float32)[:, None, None] for values in told["img"])
    chip = (reflectance[: len(mean)].astype(np.float32) - mean) / std
    session = onnxruntime.InferenceSession(package / f"{stem}.onnx")
    return session.run(None, {session.get_inputs()[0].name: chip[None]})[0][0].argmax(0)


@pytest.mark.parametrize("name", ["clouds", "clouds-l2a", "clouds-6band-l2a"])
def test_each_model_labels_a_tile_as_the_package_does(name, package, cache, reflectance, tmp_path):
    card = clouds.card(name)
    pixels = (reflectance[: len(card.bands)] * 10000).round().astype(np.uint16)
    scene = make_raster(tmp_path / "scene.tif", data=pixels, descriptions=card.bands, transform=TRANSFORM)
    found = labels(scene, name, tmp_path)
    expected = told_by_the_package(package, name, reflectance)
    assert np.mean(found == expected) > 0.9995
    assert set(np.unique(expected)) >= {0, 1}


def labels(scene, model, folder, **options):
    path = folder / "labels.tif"
    geoseg.predict(scene, model, output={"raster": str(path)}, options={"inference": {"batch_size": 1}, **options})
    with rasterio.open(path) as file:
        return file.read(1)


def test_reflectance_is_read_with_its_limits_and_refused_without(package, cache, reflectance, tmp_path):
    card = clouds.card("clouds")
    scene = make_raster(
        tmp_path / "scene.tif",
        data=reflectance[:4].astype(np.float32),
        descriptions=card.bands,
        transform=TRANSFORM,
    )
    with pytest.raises(InputError, match=r"found values from 0\.\d+ to .*clouds expects .* 0 to 10000.*--limits"):
        labels(scene, "clouds", tmp_path)
    stretch = {"mode": "limits", "low": (0.0,), "high": (1.0,)}
    found = labels(scene, "clouds", tmp_path, stretch=stretch)
    assert np.mean(found == told_by_the_package(package, "clouds", reflectance)) > 0.9995


def test_the_file_is_made_once_and_carries_its_card(package, cache):
    path = clouds.installed("clouds")
    made = path.stat().st_mtime_ns
    assert resolve("clouds") == clouds.installed("clouds") == path
    assert (path.stat().st_mtime_ns, cache in path.parents) == (made, True)
    assert read_card(path) == clouds.card("clouds")
    assert [p.name for p in path.parent.iterdir()] == ["clouds.onnx"]


def test_a_package_with_other_models_is_refused(package, tmp_path, monkeypatch):
    other = tmp_path / "ukis_csmask"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('imported')")
    for ending in ("onnx", "json"):
        shutil.copy(package / f"model_4b_l1c.{ending}", other)
    monkeypatch.syspath_prepend(tmp_path)
    told = json.loads((other / "model_4b_l1c.json").read_text())
    told["data"]["dataset_statistics"]["img"][0][0] = 0.5
    (other / "model_4b_l1c.json").write_text(json.dumps(told))
    with pytest.raises(ModelError, match=r"found other bands, statistics or classes.*ukis-csmask==1\.0\.0"):
        clouds.installed("clouds")
    with pytest.raises(ModelError, match=r"model_4b_l2a\.onnx: found no such file.*pip install"):
        clouds.installed("clouds-l2a")


def test_a_cache_that_cannot_be_written_is_told(package, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEOSEG_CACHE", str(tmp_path / "file"))
    with pytest.raises(WriteError, match="GEOSEG_CACHE"):
        clouds.installed("clouds")


def test_without_the_package_cards_are_known_and_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(clouds.importlib.util, "find_spec", lambda name: None)
    assert clouds.card("clouds-6band").bands == ("blue", "green", "red", "nir", "swir16", "swir22")
    with pytest.raises(MissingExtraError, match=r"pip install 'geoseg\[clouds\]'"):
        clouds.installed("clouds")


def test_an_unknown_cloud_model_is_told_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="did you mean clouds"):
        clouds.card("cloud")
