"""The whole way from a scene to its outputs, with models whose answer is known to the pixel."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from scipy import ndimage

import geoseg
from geoseg.core.protocols import Silent
from geoseg.errors import (
    DeviceMemoryError,
    InputError,
    ModelError,
    OutputError,
    ReadError,
    RegionError,
    ResolutionError,
    ResourceError,
    SpecError,
)
from geoseg.inference.network import Network
from geoseg.jobs import cost
from geoseg.jobs.plan import plan
from geoseg.jobs.run import run
from geoseg.jobs.spec import job_from
from tests.factory import make_raster
from tests.toy import write_toy_bundle

COLUMNS = ["class", "class_id", "instance_id", "confidence", "area_m2", "perimeter_m", "touches_edge", "source"]


def blobs(shape, seed=0, share=0.35):
    """A mask of smooth blobs."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 3)
    return noise > np.quantile(noise, 1 - share)


def scene_of(path, objects, **options):
    """A scene whose first band says what the threshold model will answer."""
    band = np.where(objects, 200, 50).astype(np.uint8)
    return make_raster(path, data=np.stack([band, band, band]), **options)


@pytest.fixture(scope="module")
def threshold(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("models") / "threshold.safetensors", kind="threshold")


def test_polygons_are_those_of_the_whole_scene(tmp_path, threshold):
    mask = blobs((300, 260))
    scene = scene_of(tmp_path / "scene.tif", mask)
    with rasterio.open(scene) as source:
        shapes = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, transform=source.transform)
        expected = shapely.normalize(np.array([shapely.geometry.shape(g) for g, _ in shapes]))
    with geoseg.predict(scene, threshold) as result:
        found = result.polygons()
    assert list(found.columns) == [*COLUMNS, "geometry"]
    assert found.crs == "EPSG:32633"
    geometry = shapely.normalize(found.geometry.to_numpy())
    order = [np.argsort(shapely.to_wkb(shapely.normalize(shapely.simplify(g, 0)))) for g in (geometry, expected)]
    plain = [shapely.normalize(shapely.simplify(g, 0))[o] for g, o in zip((geometry, expected), order, strict=True)]
    assert shapely.equals(plain[0], plain[1]).all()
    assert found.area_m2.sum() == pytest.approx(mask.sum(), rel=2e-3), "metres on the ellipsoid, not on the map"
    assert (found.confidence == 1).all()
    assert result.summary["polygons"] == {"class-1": len(expected)}
    assert not Path(result.outputs["vector"]).exists(), "the result owned its folder"


@pytest.mark.parametrize(
    "inference", [{"tile_size": 32, "overlap": 16}, {"tile_size": 96, "overlap": 0}, {"batch_size": 3}]
)
def test_the_cut_changes_nothing(tmp_path, threshold, inference):
    scene = scene_of(tmp_path / "scene.tif", blobs((211, 190), 1))
    outputs = []
    for name, options in (("whole", {"tile_size": 256, "overlap": 0}), ("cut", inference)):
        output = {kind: str(tmp_path / f"{name}{end}") for kind, end in (("vector", ".gpkg"), ("raster", ".tif"))}
        geoseg.predict(scene, threshold, output=output, options={"inference": options})
        with rasterio.open(output["raster"]) as raster:
            outputs.append((raster.read(1), shapely.to_wkb(gpd.read_file(output["vector"]).geometry.to_numpy())))
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])
    assert list(outputs[0][1]) == list(outputs[1][1]), "equal, and in the same order"


def test_rasters_say_what_they_hold(tmp_path, threshold):
    mask = blobs((100, 120), 2)
    valid = np.ones(mask.shape, bool)
    valid[:, 100:] = False
    scene = scene_of(tmp_path / "scene.tif", mask, mask=valid)
    output = {"raster": str(tmp_path / "classes.tif"), "scores": str(tmp_path / "scores.tif")}
    geoseg.predict(scene, threshold, output=output)
    with (
        rasterio.open(output["raster"]) as raster,
        rasterio.open(output["scores"]) as scores,
        rasterio.open(scene) as source,
    ):
        np.testing.assert_array_equal(raster.read(1), np.where(valid, mask, 255))
        np.testing.assert_array_equal(scores.read(1), np.where(valid, mask * 254, 255))
        assert raster.transform == source.transform
        assert raster.crs == source.crs
        assert raster.nodata == 255
        tags = raster.tags()
    assert tags["GEOSEG_MODEL"] == "toy-threshold 1.0.0"
    assert json.loads(tags["GEOSEG_COMPUTE"])["batch_size"] >= 1
    assert json.loads(tags["GEOSEG_JOB"])["scene"]["paths"] == [str(scene)]


def test_a_finer_scene_is_predicted_at_the_models_resolution(tmp_path):
    model = write_toy_bundle(tmp_path / "coarse.safetensors", kind="threshold", resolution=2.0)
    mask = np.kron(blobs((60, 50), 3), np.ones((4, 4))).astype(bool)
    scene = scene_of(tmp_path / "scene.tif", mask, transform=Affine(0.5, 0, 5e5, 0, -0.5, 5e6))
    coarse, native = tmp_path / "coarse.tif", tmp_path / "native.tif"
    geoseg.predict(scene, model, output={"raster": str(coarse)})
    geoseg.predict(scene, model, output={"raster": str(native), "native_grid": True})
    with rasterio.open(coarse) as raster:
        np.testing.assert_array_equal(raster.read(1), mask[::4, ::4])
        assert raster.res == (2, 2)
        assert raster.bounds == rasterio.open(scene).bounds
    with rasterio.open(native) as raster:
        np.testing.assert_array_equal(raster.read(1), mask)


def test_a_scene_far_from_the_models_resolution_is_refused_with_the_way_out(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold", resolution=0.3, resolution_range=(0.1, 0.8))
    scene = scene_of(tmp_path / "scene.tif", blobs((40, 40)), transform=Affine(10, 0, 5e5, 0, -10, 5e6))
    with pytest.raises(ResolutionError, match=r"found 10 m per pixel.*expects 0\.1 to 0\.8 m.*--any-resolution"):
        geoseg.predict(scene, model)
    with geoseg.predict(scene, model, options={"inference": {"any_resolution": True}}) as result:
        assert len(result.polygons()) > 0
    assert "10 m per pixel are not the 0.1 to 0.8 m" in result.summary["warnings"][0]


def test_a_models_own_task_tidies_its_polygons(tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold", task="buildings")
    mask = np.zeros((100, 100), bool)
    mask[10:12, 10:13] = mask[50:60, 50:60] = True
    scene = scene_of(tmp_path / "scene.tif", mask)
    for asked in ({"task": "buildings"}, {}):
        with geoseg.predict(scene, model, **asked) as result:
            assert result.polygons().area.tolist() == [100], "six square metres are no building"
    with geoseg.predict(scene, model, options={"postprocess": {"min_area_m2": 0}}) as result:
        assert sorted(result.polygons().area) == [6, 100]


def test_no_polygon_is_smaller_than_asked_for_once_it_is_simplified(tmp_path, threshold):
    scene = scene_of(tmp_path / "scene.tif", blobs((300, 300), 5))
    asked = {"min_area_m2": 40, "simplify_m": 2}
    with geoseg.predict(scene, threshold, options={"postprocess": asked}) as result:
        found = result.polygons()
    assert len(found) > 5
    assert found.area_m2.min() >= 40


def test_without_a_crs_the_resolution_is_asked_for(tmp_path, threshold):
    scene = scene_of(tmp_path / "scene.tif", blobs((50, 50)), crs=None)
    with pytest.raises(ResolutionError, match="--scene-resolution"):
        geoseg.predict(scene, threshold)
    with geoseg.predict(scene, threshold, options={"scene": {"resolution": 1.0}}) as result:
        found = result.polygons()
    assert found.crs is None
    assert found.area_m2.sum() == pytest.approx(found.area.sum())


def test_values_of_another_kind_are_stretched_once_and_the_result_says_how(tmp_path, threshold):
    mask = blobs((80, 80), 4)
    band = np.where(mask, 9000, 1000).astype(np.uint16)
    scene = make_raster(tmp_path / "scene.tif", data=np.stack([band] * 3), colorinterp=("red", "green", "blue"))
    raster = tmp_path / "classes.tif"
    result = geoseg.predict(scene, threshold, output={"raster": str(raster)})
    with rasterio.open(raster) as source:
        np.testing.assert_array_equal(source.read(1), mask)
        assert json.loads(source.tags()["GEOSEG_STRETCH"])["low"] == [1000.0] * 3
    assert result.summary["stretch"]["high"] == [9000.0] * 3
    limits = {"mode": "limits", "low": [0], "high": [60000]}
    geoseg.predict(scene, threshold, output={"raster": str(raster), "overwrite": True}, options={"stretch": limits})
    with rasterio.open(raster) as source:
        assert not source.read(1).any(), "9000 of 60000 lies under the threshold"


class TestRegion:
    @pytest.fixture
    def long_object(self, tmp_path):
        """A scene with an object that begins in the region and ends far from it, one inside, and one elsewhere."""
        mask = np.zeros((400, 400), bool)
        mask[20:30, 20:390] = True
        mask[50:60, 25:35] = True
        mask[300:320, 300:320] = True
        return scene_of(tmp_path / "scene.tif", mask)

    def region(self, scene):
        left, top = rasterio.open(scene).transform * (10, 10)
        right, bottom = rasterio.open(scene).transform * (70, 70)
        return (left, bottom, right, top)

    def test_objects_that_meet_it_come_out_whole(self, tmp_path, threshold, long_object):
        bounds = self.region(long_object)
        with geoseg.predict(long_object, threshold, options={"region": {"bounds": bounds}}) as result:
            found = result.polygons()
        assert sorted(found.area.round()) == [100, 3700]
        assert not found.touches_edge.any()
        assert any("beyond" in warning for warning in result.summary["warnings"])

    def test_clip_cuts_them(self, threshold, long_object):
        bounds = self.region(long_object)
        with geoseg.predict(long_object, threshold, options={"region": {"bounds": bounds, "clip": True}}) as result:
            found = result.polygons()
        assert sorted(found.area.round()) == [100, 500]
        assert found.within(shapely.box(*bounds)).all()

    def test_an_area_in_another_crs_limits_the_work(self, tmp_path, threshold, long_object):
        aoi = tmp_path / "aoi.gpkg"
        box = gpd.GeoSeries([shapely.box(*self.region(long_object))], crs="EPSG:32633")
        box.to_crs(4326).to_file(aoi)
        values = {
            "scene": {"paths": [str(long_object)]},
            "model": str(threshold),
            "region": {"aoi": str(aoi), "clip": True},
        }
        tiles = plan(job_from(values)).describe()["tiles"]
        assert tiles["planned"] < tiles["scene"] == tiles["planned"] + tiles["skipped_by_region"]
        with geoseg.predict(long_object, threshold, options={"region": {"aoi": str(aoi)}}) as result:
            assert sorted(result.polygons().area.round()) == [100, 3700]

    def test_one_that_misses_the_scene_prints_both_extents(self, threshold, long_object):
        with pytest.raises(RegionError, match="misses the scene"):
            geoseg.predict(long_object, threshold, options={"region": {"bounds": (0, 0, 10, 10)}})


def test_objects_at_the_edge_are_marked(tmp_path, threshold):
    mask = np.zeros((100, 100), bool)
    mask[40:50, 40:50] = mask[0:5, 60:70] = mask[80:90, 95:100] = True
    with geoseg.predict(scene_of(tmp_path / "scene.tif", mask), threshold) as result:
        found = result.polygons()
    assert found[found.touches_edge].area.tolist() == [50, 50]
    assert found[~found.touches_edge].area.tolist() == [100]


def test_nothing_found_keeps_schema_and_crs(tmp_path, threshold):
    scene = scene_of(tmp_path / "scene.tif", np.zeros((60, 60), bool))
    with geoseg.predict(scene, threshold) as result:
        found = result.polygons()
        copy = result.write(tmp_path / "copy.fgb")
    assert len(found) == 0
    assert found.crs == "EPSG:32633"
    assert list(gpd.read_file(copy).columns) == [*COLUMNS, "geometry"]


def test_a_mosaic_and_a_stack_of_bands_are_scenes(tmp_path, threshold):
    mask = blobs((100, 160), 5)
    left = scene_of(tmp_path / "left.tif", mask[:, :80])
    right = scene_of(tmp_path / "right.tif", mask[:, 80:], transform=Affine(1, 0, 500_080, 0, -1, 5_000_000))
    raster = tmp_path / "classes.tif"
    geoseg.predict([left, right], threshold, output={"raster": str(raster)})
    np.testing.assert_array_equal(rasterio.open(raster).read(1), mask)
    bands = {}
    for name in ("blue", "red", "green"):
        value = np.where(mask, 200, 50) if name == "red" else np.full(mask.shape, 7)
        bands[name] = make_raster(tmp_path / f"{name}.tif", data=value[None].astype(np.uint8))
    geoseg.predict(bands, threshold, output={"raster": str(raster), "overwrite": True})
    np.testing.assert_array_equal(rasterio.open(raster).read(1), mask)


def test_a_block_that_cannot_be_read_ends_the_job_or_is_listed(tmp_path, threshold):
    scene = scene_of(
        tmp_path / "scene.tif", blobs((256, 256)), tiled=True, blockxsize=64, blockysize=64, compress="deflate"
    )
    content = bytearray(scene.read_bytes())
    middle = len(content) * 2 // 3
    content[middle : middle + 40] = b"\xff" * 40
    scene.write_bytes(content)
    raster = tmp_path / "classes.tif"
    with pytest.raises(ReadError, match=r"scene\.tif"):
        geoseg.predict(scene, threshold, output={"raster": str(raster)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.tif"], "nothing half-written stays"
    result = geoseg.predict(scene, threshold, output={"raster": str(raster)}, options={"on_bad_block": "nodata"})
    bad = result.summary["bad_blocks"]
    assert bad
    values = rasterio.open(raster).read(1)
    for block in bad:
        assert (values[slice(*block["rows"]), slice(*block["columns"])] == 255).all()
    assert (values != 255).sum() == 256 * 256 - sum(64 * 64 for _ in bad)


def test_running_out_of_memory_starts_again_with_smaller_batches(tmp_path, threshold, monkeypatch):
    mask = blobs((200, 200))
    scene = scene_of(tmp_path / "scene.tif", mask)
    forward, sizes = Network.__call__, []

    def limited(self, inputs):
        sizes.append(len(inputs))
        if len(inputs) > 2:
            raise DeviceMemoryError("full")
        return forward(self, inputs)

    values = {"scene": {"paths": [str(scene)]}, "model": str(threshold), "output": {"raster": str(tmp_path / "c.tif")}}
    job = plan(job_from({**values, "inference": {"batch_size": 8}}))
    monkeypatch.setattr(Network, "__call__", limited)
    result = run(job)
    assert sizes[0] == 8
    assert set(sizes[2:]) == {2}
    assert len(result.summary["warnings"]) == 2
    np.testing.assert_array_equal(rasterio.open(tmp_path / "c.tif").read(1), mask)


def test_progress_counts_every_tile_and_pixel_of_the_plan(tmp_path, threshold):
    class Count(Silent):
        tiles = pixels = 0
        plans = 0

        def plan(self, plan):
            Count.plans += 1
            self.planned = plan["tiles"]["planned"]

        def advance(self, tiles, pixels):
            Count.tiles += tiles
            Count.pixels += pixels

    progress = Count()
    scene = scene_of(tmp_path / "scene.tif", blobs((150, 170)))
    geoseg.predict(scene, threshold, progress=progress, output={"raster": str(tmp_path / "c.tif")})
    assert (Count.plans, Count.tiles, Count.pixels) == (1, progress.planned, 150 * 170)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": "buildigns"}, InputError, "did you mean buildings"),
        ({"task": "buildings"}, ModelError, "is for the task 'toy'"),
        ({"output": {"vector": "x.docx"}}, OutputError, ".gpkg"),
        ({"output": {"raster": "no/such/folder/x.tif"}}, OutputError, "does not exist"),
        ({"inference": {"tile_size": 0}}, SpecError, "tile_size"),
        ({"inference": {"overlap": 60}}, SpecError, "overlap 60"),
        ({"inference": {"device": "cuda:9"}}, ResourceError, "CUDA device"),
        ({"inference": {"threshold": 1.5}}, SpecError, "threshold"),
        ({"stretch": {"mode": "limits", "low": [0, 1], "high": [5, 6]}}, SpecError, "stretch limits for 2"),
        ({"region": {"clip": True}}, SpecError, "--clip needs"),
        ({"surprise": 1}, SpecError, "surprise"),
        ({"output": {"vector": "x.gpkg", "dst_crs": "EPSG:99999"}}, OutputError, "EPSG:99999"),
        ({"output": {"raster": "x.tif", "creation_options": {"QUALITY": "5"}}}, OutputError, "QUALITY"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(tmp_path, threshold, changes, error, message):
    scene = scene_of(tmp_path / "scene.tif", blobs((50, 50)))
    known = {name: changes.pop(name) for name in ("task", "output") if name in changes}
    with pytest.raises(error, match=message):
        geoseg.predict(scene, threshold, **known, options=changes)
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_a_declared_size_beyond_memory_is_refused_before_anything_is_allocated(tmp_path, threshold):
    scene = tmp_path / "huge.vrt"
    scene.write_text(
        '<VRTDataset rasterXSize="40000000" rasterYSize="40000000"><SRS>EPSG:3857</SRS>'
        "<GeoTransform>-20000000,1,0,20000000,0,-1</GeoTransform>"
        + "".join(f'<VRTRasterBand dataType="Byte" band="{i}"/>' for i in (1, 2, 3))
        + "</VRTDataset>"
    )
    with pytest.raises(ResourceError, match=r"needs about .* GB of memory, found"):
        geoseg.predict(scene, threshold, output={"raster": str(tmp_path / "c.tif")})


def test_rasters_beyond_the_disk_are_refused(tmp_path, threshold, monkeypatch):
    scene = scene_of(tmp_path / "scene.tif", blobs((400, 400)))
    usage = cost.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cost.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(ResourceError, match="of disk, found"):
        geoseg.predict(scene, threshold, output={"scores": str(tmp_path / "s.tif")})


SLOW_JOB = """
import sys, time, torch
from geoseg.inference.network import Network
forward = Network.__call__
def slow(self, inputs):
    print("predicting", flush=True)
    time.sleep(0.3)
    return forward(self, inputs)
Network.__call__ = slow
import geoseg
output = {"vector": "out.gpkg", "raster": "out.tif", "scores": "scores.tif", "preview": "out.png"}
inference = {"tile_size": 32, "overlap": 0, "batch_size": 1}
geoseg.predict("scene.tif", sys.argv[1], output=output, options={"inference": inference})
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_job_leaves_no_file_under_a_final_name(tmp_path, threshold, how):
    scene_of(tmp_path / "scene.tif", blobs((200, 200)))
    repository = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_JOB, str(threshold)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(6):
        assert process.stdout.readline() == "predicting\n", process.stderr.read()
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    left = sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".geoseg-"))
    assert left == ["scene.tif"]
    if how == signal.SIGINT:
        assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_threads_end_with_the_job(tmp_path, threshold):
    import threading

    scene = scene_of(tmp_path / "scene.tif", blobs((200, 200)))
    before = set(threading.enumerate())
    geoseg.predict(scene, threshold, output={"raster": str(tmp_path / "c.tif")})
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [t.name for t in set(threading.enumerate()) - before if t.name.startswith("geoseg")]
