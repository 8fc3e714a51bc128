"""What a job refuses, survives and keeps to itself."""

import json

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import torch

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import InputError, ResolutionError, ResourceError, SpecError
from geoseg.inference import passes, semantic
from geoseg.inference.network import DeviceFeeder
from geoseg.inference.stitch import KernelStitcher, TensorStitcher
from geoseg.jobs import cost
from geoseg.jobs.plan import plan
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.run import run
from geoseg.jobs.spec import job_from
from tests.factory import make_raster
from tests.jobs.test_predict import blobs, scene_of
from tests.toy import toy_card, write_toy_bundle


@pytest.fixture(scope="module")
def threshold(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("models") / "threshold.safetensors", kind="threshold")


@pytest.fixture
def scene(tmp_path):
    return scene_of(tmp_path / "scene.tif", blobs((200, 200)))


def job(scene, model, **values):
    return job_from({"scene": {"paths": [str(scene)]}, "model": str(model), **values})


def test_a_resolution_that_the_model_never_saw_is_refused_however_it_is_asked_for(tmp_path, scene):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold", resolution_range=(0.5, 1.5))
    with pytest.raises(ResolutionError, match=r"--resolution: found 50 m .* expects 0\.5 to 1\.5 m"):
        geoseg.predict(scene, model, options={"inference": {"resolution": 50}})


class TestCalibratedValues:
    """A model that was trained on reflectances from 0 to 1, as float32."""

    @pytest.fixture
    def model(self, tmp_path):
        options = {"dtype": "float32", "value_range": (0.0, 1.0), "mean": (0.0,), "std": (1 / 255,), "bands": ("pan",)}
        return write_toy_bundle(tmp_path / "m.safetensors", kind="threshold", **options)

    def scene(self, tmp_path, low, high, dtype):
        values = np.where(blobs((80, 80)), high, low).astype(dtype)
        return make_raster(tmp_path / "scene.tif", data=values[None], descriptions=("pan",))

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_its_own_units_are_taken_as_they_are(self, tmp_path, model, dtype):
        scene = self.scene(tmp_path, 0.1, 0.9, dtype)
        planned = plan(job(scene, model, output={"raster": str(tmp_path / "o.tif")}))
        assert planned.stretch is None
        run(planned)
        with rasterio.open(tmp_path / "o.tif") as raster:
            np.testing.assert_array_equal(raster.read(1), blobs((80, 80)))

    @pytest.mark.parametrize(("low", "high"), [(300, 9000), (0.00001, 0.0001), (-40, -3)])
    def test_other_units_are_refused_with_both_ranges(self, tmp_path, model, low, high):
        scene = self.scene(tmp_path, low, high, "float32")
        with pytest.raises(InputError, match=r"found values from .* expects calibrated values from 0 to 1.*--limits"):
            geoseg.predict(scene, model)
        asked = {"mode": "limits", "low": [low], "high": [high]}
        with geoseg.predict(scene, model, options={"stretch": asked}) as result:
            assert len(result.polygons()) > 0


def test_pictures_are_no_reflectance(tmp_path):
    model = write_toy_bundle(
        tmp_path / "m.safetensors", kind="threshold", bands=("pan",), dtype="uint16", value_range=(0, 10000)
    )
    picture = make_raster(tmp_path / "a.tif", data=np.full((1, 80, 80), 255, np.uint8), descriptions=("pan",))
    with pytest.raises(InputError, match=r"found values from .* \(uint8; .* expects calibrated values from 0 to 10000"):
        geoseg.predict(picture, model)
    fractions = make_raster(tmp_path / "b.tif", data=np.full((1, 80, 80), 0.3, np.float32), descriptions=("pan",))
    with pytest.raises(InputError, match=r"give --limits 0,1 where they are reflectance"):
        geoseg.predict(fractions, model)


def test_a_region_does_not_change_the_stretch(tmp_path, threshold):
    ramp = np.tile(np.linspace(100, 4000, 200), (200, 1)).astype(np.uint16)
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([ramp] * 3), colorinterp=("red", "green", "blue"))
    bounds = {"bounds": (500_010, 4_999_850, 500_060, 4_999_900)}
    stretches = {
        plan(job(scene, threshold, region=region)).stretch for region in ({}, bounds, {**bounds, "clip": True})
    }
    assert len(stretches) == 1


def test_a_job_that_writes_nothing_is_refused(scene, threshold):
    with pytest.raises(SpecError, match="writes nothing"):
        run(plan(job(scene, threshold)))


def test_a_copy_of_the_result_says_how_it_was_made(tmp_path, scene, threshold):
    with geoseg.predict(scene, threshold) as result:
        copy = result.write(tmp_path / "copy.gpkg")
    told = pyogrio.read_info(copy)["layer_metadata"]
    assert told["GEOSEG_MODEL"] == "toy-threshold 1.0.0"


def test_a_shapefile_can_be_written_on_to_another_format(tmp_path, scene, threshold):
    result = geoseg.predict(scene, threshold, output={"vector": str(tmp_path / "a.shp")})
    other = gpd.read_file(result.write(tmp_path / "b.gpkg"))
    assert list(other.columns) == list(result.polygons().columns)
    assert "perimeter_m" in other.columns


@pytest.mark.parametrize("wrong", [5, [1, 2], None])
def test_what_is_no_scene_is_refused_and_leaves_nothing(tmp_path, threshold, monkeypatch, wrong):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError, match="expected a path"):
        geoseg.predict(wrong, threshold)
    assert not list(tmp_path.iterdir())


def test_secrets_stay_at_home():
    text = 'GET https://me:hunter2@example.org/a.tif?X-Amz-Signature=abc, "/vsicurl/https://b.org/c.tif?sig=1"'
    assert without_secrets(text) == 'GET https://example.org/a.tif "/vsicurl/https://b.org/c.tif"'


@pytest.mark.parametrize(
    ("where", "error"),
    [
        (KernelStitcher, torch.OutOfMemoryError("CUDA out of memory")),
        (KernelStitcher, MemoryError()),
        (KernelStitcher, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")),
    ],
)
def test_memory_that_runs_out_while_blending_starts_the_job_again(
    tmp_path, scene, threshold, monkeypatch, where, error
):
    planned = plan(job(scene, threshold, output={"raster": str(tmp_path / "c.tif")}, inference={"batch_size": 4}))
    add, left = where.add, [error]

    def fails_once(self, row, column, scores):
        if left:
            raise left.pop()
        add(self, row, column, scores)

    monkeypatch.setattr(where, "add", fails_once)
    result = run(planned)
    assert any("2 chips at a time" in warning for warning in result.summary["warnings"])
    with rasterio.open(tmp_path / "c.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), blobs((200, 200)))


def test_other_errors_of_the_network_are_not_taken_for_memory(tmp_path, scene, threshold, monkeypatch):
    def broken(self, row, column, scores):
        raise RuntimeError("shapes do not match")

    planned = plan(job(scene, threshold, output={"raster": str(tmp_path / "c.tif")}))
    monkeypatch.setattr(KernelStitcher, "add", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(planned)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_the_way_over_a_device_gives_the_same_result(tmp_path, threshold, monkeypatch):
    valid = blobs((200, 200), 9, 0.8)
    scene = scene_of(tmp_path / "scene.tif", blobs((200, 200)), mask=valid)
    outputs = []
    for name in ("host", "device"):
        output = {"raster": str(tmp_path / f"{name}.tif"), "scores": str(tmp_path / f"{name}-s.tif")}
        if name == "device":
            monkeypatch.setattr(
                passes, "feeder", lambda norm, shape, dtype, device: DeviceFeeder(norm, shape, dtype, device)
            )
            monkeypatch.setattr(semantic, "stitcher", TensorStitcher)
        run(plan(job(scene, threshold, output=output, inference={"batch_size": 3})))
        with rasterio.open(output["raster"]) as classes, rasterio.open(output["scores"]) as scores:
            outputs.append((classes.read(1), scores.read(1)))
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_the_estimate_grows_with_what_is_held(scene, threshold, tmp_path):
    def memory(**inference):
        return plan(job(scene, threshold, inference=inference)).cost.memory

    assert memory(batch_size=64) - memory(batch_size=1) >= 63 * 64 * 64 * 4 * (4 * 3 + 3 * 2)


def test_a_container_that_allows_less_than_the_machine_is_heard(tmp_path, monkeypatch):
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    used.write_text("700\n")
    monkeypatch.setattr(cost, "_CGROUPS", ((limit, used),))
    before = cost.available_memory()
    limit.write_text("1000\n")
    assert cost.available_memory() == 300
    limit.write_text("max\n")
    assert cost.available_memory() > before / 2


def test_batches_beyond_all_reason_are_refused(scene, threshold):
    with pytest.raises(SpecError, match="batch_size"):
        geoseg.predict(scene, threshold, options={"inference": {"batch_size": 10**7}})
    with pytest.raises(ResourceError, match="GB of memory"):
        geoseg.predict(scene, threshold, options={"inference": {"batch_size": 4096, "tile_size": 2048}})


def test_a_background_that_is_no_class_is_refused():
    roof = ClassInfo(id=3, name="roof", colour="#aa0000")
    with pytest.raises(ValueError, match="background 0 is none of the classes"):
        ClassSet(classes=(roof,))
    card = toy_card(kind="threshold")
    values = json.loads(card.model_dump_json()) | {"classes": {"classes": [roof.model_dump()], "background": 300}}
    with pytest.raises(ValueError, match="background 300"):
        ModelCard(**values)
