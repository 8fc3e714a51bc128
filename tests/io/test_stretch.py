from __future__ import annotations

import itertools

import numpy as np
import pytest
from affine import Affine

from geoseg.errors import SceneError
from geoseg.io import stretch
from geoseg.io.rows import SceneRows
from geoseg.io.scene import open_scene
from geoseg.io.stretch import measure_stretch
from tests.factory import make_raster


def ramp(dtype="uint16"):
    values = np.arange(100 * 100).reshape(100, 100)
    return np.stack([values, values[::-1] * 2 + 500]).astype(dtype)


def test_percentiles_of_each_band(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", data=ramp()))
    found = measure_stretch(scene, (2, 1), (2, 98))
    assert found.low == pytest.approx(tuple(np.percentile(ramp()[[1, 0]].reshape(2, -1), 2, axis=1)))
    assert found.high == pytest.approx(tuple(np.percentile(ramp()[[1, 0]].reshape(2, -1), 98, axis=1)))
    assert "percentiles 2 and 98 of 10000 valid pixels" in found.origin


def test_pixels_without_data_do_not_count(tmp_path):
    data = ramp("float32")
    data[:, :50] = -9999
    data[0, 60] = np.inf
    found = measure_stretch(open_scene(make_raster(tmp_path / "a.tif", data=data, nodata=-9999)), (1, 2), (0, 100))
    assert found.low == (5000, 500)
    assert found.high == (9999, 2 * 4999 + 500)


def test_a_constant_band_gets_a_range(tmp_path):
    data = ramp()
    data[1] = 7
    found = measure_stretch(open_scene(make_raster(tmp_path / "a.tif", data=data)), (1, 2), (2, 98))
    assert (found.low[1], found.high[1]) == (7, 8)


def test_a_nearly_constant_band_is_stretched_over_all_its_values(tmp_path):
    data = np.zeros((1, 100, 100), "uint16")
    data[0, 3, 4] = 1000
    found = measure_stretch(open_scene(make_raster(tmp_path / "a.tif", data=data)), (1,), (2, 98))
    assert (found.low, found.high) == ((0,), (1000,))


def test_no_valid_pixel_is_an_error(tmp_path):
    scene = open_scene(make_raster(tmp_path / "a.tif", data=np.zeros((1, 40, 40), "uint16"), nodata=0))
    with pytest.raises(SceneError, match="--nodata"):
        measure_stretch(scene, (1,), (2, 98))


def test_large_scenes_are_sampled(tmp_path, monkeypatch):
    monkeypatch.setattr(stretch, "WHOLE", 1000)
    monkeypatch.setattr(stretch, "SAMPLE_ROWS", 2)
    data = np.tile(np.arange(100, dtype="uint16") * 10, (1, 400, 1))
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data))
    found = measure_stretch(scene, (1,), (0, 100))
    assert (found.low, found.high) == ((0,), (990,))
    assert "16 samples of 2 rows" in found.origin


def test_overviews_are_used(tmp_path):
    data = np.zeros((1, 4200, 64), "uint16")
    data[0, :, :32] = 800
    path = make_raster(tmp_path / "a.tif", data=data, overviews=[2, 4], transform=Affine(1, 0, 5e5, 0, -1, 5e6))
    found = measure_stretch(open_scene(path), (1,), (2, 98))
    assert (found.low, found.high) == ((0,), (800,))
    assert "2048" in found.origin


@pytest.mark.parametrize("height", [1, 50, 64, 700, 1024, 1500])
def test_samples_lie_in_the_scene_and_apart(tmp_path, monkeypatch, height):
    monkeypatch.setattr(stretch, "WHOLE", 100)
    data = np.repeat(np.arange(height, dtype="uint16")[None, :, None], 200, axis=2) + 1
    scene = open_scene(make_raster(tmp_path / "a.tif", data=data))
    spans = []
    original = SceneRows.rows
    monkeypatch.setattr(SceneRows, "rows", lambda self, asked, x: spans.extend(asked) or original(self, asked, x))
    found = measure_stretch(scene, (1,), (0, 100))
    assert spans[0].start == 0
    assert spans[-1].stop == height
    assert all(a.stop <= b.start and b.size <= 64 for a, b in itertools.pairwise(spans))
    assert (found.low, found.high) == ((1,), (height,) if height > 1 else (2,))
