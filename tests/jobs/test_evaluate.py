"""Evaluation as a job: models, polygons and rasters against labels, told as figures and as a page."""

import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio

import geoseg
from geoseg.errors import InputError, LabelError, SpecError
from geoseg.jobs.evaluating import plan_evaluate
from geoseg.jobs.spec import job_from
from geoseg.models import load_model, save_bundle
from tests.jobs.towns import make_town
from tests.toy import toy_classes, write_toy_bundle


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towns")
    return [make_town(folder, "near"), make_town(folder, "far", side=120, away=5000, seed=4)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("model") / "toy.safetensors", kind="threshold", task="any")


def test_a_model_that_is_right_is_told_so(towns, model):
    found = geoseg.evaluate(*towns[0], model)
    (roof,) = (one for one in found.total.classes if one.id == 1)
    assert roof.pixels["iou"].value == pytest.approx(1)
    assert roof.objects["f1"].value == pytest.approx(1)
    assert found.total.pixel_accuracy.value == pytest.approx(1)
    assert found.subject == str(model)
    assert found.card.name == "toy-threshold"


def test_scenes_are_told_one_by_one_and_together(towns, model):
    images, labels = zip(*towns, strict=True)
    found = geoseg.evaluate(images, labels, model)
    assert [scene.scores.name for scene in found.scenes] == ["near.tif", "far.tif"]
    each = [np.array(scene.scores.confusion) for scene in found.scenes]
    assert np.array_equal(sum(each), np.array(found.total.confusion))
    assert [confusion.sum() for confusion in each] == [160 * 160, 120 * 120]


def test_polygons_made_anywhere_are_judged_alike(towns, model, tmp_path):
    image, labels = towns[0]
    truth = geopandas.read_file(labels)
    half = truth.iloc[: len(truth) // 2].to_crs(3857)
    half.to_file(tmp_path / "half.shp")
    found = geoseg.evaluate(image, labels, predictions=tmp_path / "half.shp")
    (roof,) = found.total.classes[1:]
    assert roof.counts["matched_objects"] == len(half)
    assert roof.objects["precision"].value == pytest.approx(1)
    assert roof.objects["recall"].value == pytest.approx(len(half) / len(truth))
    assert roof.pixels["precision"].value > 0.97


def test_a_class_raster_on_another_grid_is_judged_on_the_scenes(towns, tmp_path):
    image, labels = towns[0]
    with rasterio.open(image) as scene:
        mask = (scene.read(1) > 120).astype("uint8").repeat(2, 0).repeat(2, 1)
        profile = {**scene.profile, "count": 1, "width": 320, "height": 320, "nodata": None, "photometric": None}
        profile |= {"transform": scene.transform * scene.transform.scale(0.5), "driver": "GTiff"}
    with rasterio.open(tmp_path / "fine.tif", "w", **{k: v for k, v in profile.items() if v is not None}) as fine:
        fine.write(mask, 1)
    found = geoseg.evaluate(image, labels, predictions=tmp_path / "fine.tif")
    (roof,) = found.total.classes[1:]
    assert roof.pixels["iou"].value == pytest.approx(1)
    assert roof.objects["f1"].value == pytest.approx(1)


def test_the_polygons_that_geoseg_made_are_as_good_as_the_model(towns, model, tmp_path):
    image, labels = towns[0]
    geoseg.predict(image, model, output={"vector": str(tmp_path / "p.gpkg")})
    by_model = geoseg.evaluate(image, labels, model)
    by_polygons = geoseg.evaluate(image, labels, predictions=tmp_path / "p.gpkg")
    assert by_polygons.total.classes[1].objects == by_model.total.classes[1].objects


def test_a_model_that_tells_objects_apart_is_judged_by_its_classes_and_objects(towns, tmp_path):
    classes = toy_classes(3).model_copy(update={"separator": 2})
    model = write_toy_bundle(tmp_path / "m.safetensors", classes=3, task="any").rename(tmp_path / "plain.safetensors")
    loaded = load_model(model)
    save_bundle(tmp_path / "apart.safetensors", loaded.module, loaded.card.model_copy(update={"classes": classes}))
    image, labels = towns[0]
    with rasterio.open(image) as scene:
        profile, roofs = scene.profile, scene.read(1) > 120
    inner = roofs & np.roll(roofs, 1, 0) & np.roll(roofs, -1, 0) & np.roll(roofs, 1, 1) & np.roll(roofs, -1, 1)
    with rasterio.open(tmp_path / "told.tif", "w", **profile) as told:
        told.write(np.repeat((roofs * 2 - inner).astype("uint8")[None], 3, 0))
    found = geoseg.evaluate(tmp_path / "told.tif", labels, tmp_path / "apart.safetensors")
    (roof,) = found.total.classes[1:]
    assert roof.pixels["iou"].value == pytest.approx(1)
    assert roof.objects["f1"].value == pytest.approx(1)
    assert roof.counts["found_objects"] == 36


def test_what_only_the_map_knows_is_wrong_and_not_refused(towns, tmp_path):
    image, labels = towns[0]
    truth = geopandas.read_file(labels)
    truth["class"] = ["object"] * (len(truth) - 6) + ["shed"] * 6
    truth.to_file(tmp_path / "map.gpkg")
    found = geoseg.evaluate(image, labels, predictions=tmp_path / "map.gpkg")
    by_name = {one.name: one for one in found.total.classes}
    assert by_name["object"].counts["matched_objects"] == len(truth) - 6
    assert by_name["shed"].counts["truth_objects"] == 0
    assert by_name["shed"].counts["found_objects"] == 6


def test_a_region_is_all_that_counts(towns, model):
    image, labels = towns[0]
    with rasterio.open(image) as scene:
        left, _bottom, _right, top = scene.bounds
    bounds = (left, top - 40, left + 60, top)
    found = geoseg.evaluate(image, labels, model, options={"region": {"bounds": bounds}})
    assert np.sum(found.total.confusion) == 40 * 60
    assert found.total.classes[1].pixels["iou"].value == pytest.approx(1)


def test_report_and_figures_are_written_complete_or_not_at_all(towns, model, tmp_path):
    output = {"report": str(tmp_path / "r.html"), "figures": str(tmp_path / "f.json")}
    found = geoseg.evaluate(*towns[0], model, options={"output": output})
    assert json.loads((tmp_path / "f.json").read_text()) == found.model_dump(mode="json")
    page = (tmp_path / "r.html").read_text()
    assert "near.tif" in page
    assert "class-1" in page
    with pytest.raises(InputError, match=r"r\.html"):
        geoseg.evaluate(*towns[0], model, options={"output": output})
    broken = tmp_path / "broken.gpkg"
    truth = geopandas.read_file(towns[0][1])
    truth.set_geometry(truth.boundary).to_file(broken)
    fresh = {"report": str(tmp_path / "new.html")}
    with pytest.raises(LabelError):
        geoseg.evaluate(*towns[0], predictions=broken, options={"output": fresh})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.gpkg", "f.json", "r.html"]


def test_secrets_of_urls_stay_on_the_machine(towns, model):
    plan = plan_evaluate(
        job_from(
            {
                "kind": "evaluate",
                "scenes": [{"scene": {"paths": [str(towns[0][0])]}, "labels": {"path": str(towns[0][1])}}],
                "model": str(model),
            }
        )
    )
    (subject,) = plan.subjects
    secret = replace(subject.labels, facts={**subject.labels.facts, "path": "https://me:pass@host/a.gpkg?sig=1"})
    told = json.dumps(replace(plan, subjects=(replace(subject, labels=secret),)).describe())
    assert "https://host/a.gpkg" in told
    assert "pass" not in told
    assert "sig" not in told


def test_what_cannot_be_evaluated_is_refused(towns, model, tmp_path):
    with pytest.raises(InputError, match="2 files for 1 scenes"):
        geoseg.evaluate(towns[0][0], [towns[0][1]] * 2, model)
    with pytest.raises(SpecError, match="not both"):
        geoseg.evaluate(*towns[0], model, predictions="p.gpkg")
    with pytest.raises(LabelError, match="no such file"):
        geoseg.evaluate(*towns[0], predictions=tmp_path / "nothing.gpkg")
    with pytest.raises(SpecError, match="--predictions"):
        geoseg.evaluate(*towns[0])
    with pytest.raises(LabelError, match=r"far\.geojson"):
        geoseg.evaluate(towns[0][0], towns[1][1], model)


def test_a_scene_of_the_training_data_is_warned_of(towns, tmp_path):
    model = write_toy_bundle(tmp_path / "m.safetensors", kind="threshold", training_data=("near.tif, labels x",))
    found = geoseg.evaluate(*towns[0], model)
    assert any("near.tif" in text and "flatter" in text for text in found.warnings)
    other = write_toy_bundle(tmp_path / "o.safetensors", kind="threshold", training_data=("very-near.tif, labels x",))
    assert geoseg.evaluate(*towns[0], other).warnings == ()
