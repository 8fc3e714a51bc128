"""Training as a job: from scenes and labels to a bundle that predicts, and a report."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import geoseg
from geoseg.errors import LabelError, OutputError, ResourceError, SpecError, TrainingError, UnknownNameError
from geoseg.jobs.spec import job_from
from geoseg.jobs.training import plan_train, run_train
from geoseg.models import load_model
from tests.jobs.towns import make_town

MODEL = {"architecture": "pixel-linear", "mean": [0.4] * 3, "std": [0.3] * 3}
CLASSES = [
    {"id": 0, "name": "ground", "colour": "#000000"},
    {"id": 1, "name": "roof", "colour": "#ff0000", "kind": "thing"},
]
PLAIN = {"colour": 0, "haze": [0, 0], "noise": [0, 0], "blur": [0, 0], "jpeg": [0, 50]}


def options(**loop):
    return {
        "model": {**MODEL, "classes": CLASSES},
        "data": {"crop_size": 32, "resolutions": [1, 1], "block_m": 32},
        "augmentation": PLAIN,
        "loop": {"steps": 40, "batch_size": 2, "learning_rate": 0.1, "validate_every": 20, "precision": "fp32", **loop},
    }


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return make_town(tmp_path_factory.mktemp("town"), "town")


@pytest.fixture(scope="module")
def trained(town, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return geoseg.train(*town, folder / "roofs.safetensors", options={**options(), "command": "geoseg train ..."})


def test_the_bundle_finds_what_it_was_shown(trained, town, tmp_path):
    other, _ = make_town(tmp_path, "other", away=1000, seed=1)
    geoseg.predict(other, trained.outputs["model"], output={"raster": str(tmp_path / "classes.tif")})
    with rasterio.open(tmp_path / "classes.tif") as found, rasterio.open(other) as scene:
        roofs = scene.read(1) > 120
        assert np.mean((found.read(1) == 1) == roofs) > 0.999


def test_the_card_says_what_is_known(trained, town):
    card = load_model(trained.outputs["model"]).card
    assert card.name == "roofs"
    assert [c.name for c in card.classes.classes] == ["ground", "roof"]
    assert card.resolution == pytest.approx(1, rel=0.01)
    assert any("town.tif" in text and "town.geojson" in text for text in card.training_data)
    measured = {metric.name: metric.value for metric in card.metrics}
    assert measured["roof: pixel iou"] > 0.95
    assert measured["roof: object f1"] > 0.9
    assert "town.tif" in card.metrics[0].data
    assert 0.05 <= card.threshold <= 0.95
    assert "geoseg train ..." in card.source
    assert "40 steps of 2 windows of 32 pixels" in card.source


def test_the_run_leaves_its_log_pictures_and_report_and_no_arrays(trained):
    run = Path(trained.summary["run"])
    assert run.name == "roofs.run"
    assert {path.name for path in run.iterdir()} >= {"log.csv", "report.html", "pictures", "checkpoint.pt"}
    assert not (run / "ground").exists()
    assert "roof" in (run / "report.html").read_text()


def test_figures_are_those_of_the_threshold_that_is_shipped(trained):
    card = load_model(trained.outputs["model"]).card
    assert trained.summary["evaluation"]["calibration"]["used"] == pytest.approx(card.threshold)
    assert not any("flatter" in text for text in trained.summary["evaluation"]["warnings"])


def test_values_of_other_units_are_learnt_as_they_will_be_predicted(tmp_path):
    image, labels = make_town(tmp_path, "town")
    with rasterio.open(image) as scene:
        profile, pixels, tags = scene.profile, scene.read().astype("uint16") * 40, scene.colorinterp
    profile.update(dtype="uint16", photometric="rgb")
    with rasterio.open(tmp_path / "deep.tif", "w", **profile) as deep:
        deep.write(pixels)
        deep.colorinterp = tags
    base = geoseg.train(image, labels, tmp_path / "base.safetensors", options=options())
    result = geoseg.train(
        tmp_path / "deep.tif",
        labels,
        tmp_path / "deep.safetensors",
        base=base.outputs["model"],
        options={**options(steps=5, learning_rate=1e-6), "model": {}},
    )
    assert result.summary["evaluation"]["total"]["mean"]["iou"]["value"] > 0.95
    assert result.summary["best"]["iou"] > 0.95


def test_what_is_validated_was_not_trained_on(trained):
    (facts,) = trained.summary["split"]
    assert 0.05 < facts["validation_share"] < 0.3
    known = sum(np.sum(scene["scores"]["confusion"]) for scene in trained.summary["evaluation"]["scenes"])
    blocks = sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in facts["blocks"])
    assert known == pytest.approx(blocks, rel=0.02)


def test_a_second_scene_can_be_the_validation(town, tmp_path):
    image, labels = make_town(tmp_path, "val", side=96, away=2000, seed=2)
    scenes = [
        {"scene": {"paths": [str(town[0])]}, "labels": {"path": str(town[1])}, "use": "train"},
        {"scene": {"paths": [str(image)]}, "labels": {"path": str(labels)}, "use": "validation"},
    ]
    job = {"kind": "train", "scenes": scenes, "output": {"model": str(tmp_path / "m.safetensors")}, **options(steps=2)}
    result = run_train(plan_train(job_from(job)))
    assert [scene["scores"]["name"] for scene in result.summary["evaluation"]["scenes"]] == ["val.tif"]
    assert sum(np.ravel(result.summary["evaluation"]["total"]["confusion"])) == 96 * 96
    assert load_model(tmp_path / "m.safetensors").card.training_data == ("town.tif, labels town.geojson",)


def test_an_interrupted_run_goes_on_to_the_same_weights(town, tmp_path):
    class Interrupting:
        def __init__(self):
            self.steps = 0

        def advance(self, tiles, pixels):
            self.steps += tiles
            if self.steps >= 7:
                raise KeyboardInterrupt

        def plan(self, plan): ...
        def stage(self, name): ...
        def warn(self, message): ...
        def note(self, values): ...

    def job(name, **output):
        return {**options(steps=15, checkpoint_every=5), "output": {"run": str(tmp_path / name), **output}}

    geoseg.train(*town, tmp_path / "a.safetensors", options=job("a"))
    with pytest.raises(KeyboardInterrupt):
        geoseg.train(*town, tmp_path / "b.safetensors", options=job("b"), progress=Interrupting())
    assert not (tmp_path / "b.safetensors").exists()
    with pytest.raises(OutputError, match="resume"):
        geoseg.train(*town, tmp_path / "b.safetensors", options=job("b"))
    geoseg.train(*town, tmp_path / "b.safetensors", options=job("b", resume=True))
    one, other = (load_model(tmp_path / f"{name}.safetensors").module.state_dict() for name in "ab")
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_recipe_does_not_go_on_with_a_run(town, tmp_path):
    out = tmp_path / "a.safetensors"
    geoseg.train(*town, out, options=options(steps=2))
    out.unlink()
    changed = {**options(steps=2), "output": {"resume": True}, "loss": {"label_smoothing": 0.1}}
    with pytest.raises(TrainingError, match="label_smoothing"):
        geoseg.train(*town, out, options=changed)


def test_fine_tuning_starts_from_the_base(trained, town, tmp_path):
    result = geoseg.train(
        *town,
        tmp_path / "again.safetensors",
        base=trained.outputs["model"],
        options={**options(steps=1, learning_rate=1e-9), "model": {}},
    )
    one, other = (load_model(r.outputs["model"]) for r in (trained, result))
    assert all(
        torch.allclose(a, b, atol=1e-3)
        for a, b in zip(one.module.state_dict().values(), other.module.state_dict().values(), strict=True)
    )
    assert other.card.classes == one.card.classes
    assert "roofs 0.1.0" in other.card.source


def test_without_validation_the_model_comes_with_a_warning(town, tmp_path):
    asked = options(steps=1)
    result = geoseg.train(
        *town, tmp_path / "m.safetensors", options={**asked, "data": {**asked["data"], "validation": 0}}
    )
    assert any("how good the model is, nobody knows" in text for text in result.summary["warnings"])
    assert load_model(tmp_path / "m.safetensors").card.metrics == ()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"model": {**MODEL, "architecture": "unet", "base": "buildings"}}, None, None),
        ({"model": {"base": "buildings", "architecture": "segformer"}}, SpecError, "beside the base buildings"),
        ({"output": {"run": "FILE"}}, OutputError, "found a file"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(town, tmp_path, change, error, says):
    (tmp_path / "FILE").write_text("")
    job = {**options(), **change}
    output = {"model": str(tmp_path / "m.safetensors"), **change.get("output", {})}
    if "run" in output:
        output["run"] = str(tmp_path / output["run"])
    scenes = [{"scene": {"paths": [str(town[0])]}, "labels": {"path": str(town[1])}}]
    asked = job_from({"kind": "train", **job, "scenes": scenes, "output": output})
    if error is None:
        assert plan_train(asked).card.bands == ("red", "green", "blue")
        return
    with pytest.raises(error, match=says):
        plan_train(asked)


def test_a_folder_that_is_no_run_is_left_alone(town, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.csv").write_text("mine")
    with pytest.raises(OutputError, match="not a run's"):
        geoseg.train(*town, tmp_path / "m.safetensors", options={**options(), "output": {"run": str(run)}})
    more = {"run": str(run), "overwrite": True, "resume": True}
    with pytest.raises(OutputError, match="not a run's"):
        geoseg.train(*town, tmp_path / "m.safetensors", options={**options(), "output": more})
    assert (run / "log.csv").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("change", [{"weight": 5.0}, {"use": "train"}])
def test_a_run_does_not_go_on_with_other_data(town, tmp_path, change):
    job = {
        "kind": "train",
        **options(steps=2),
        "scenes": [{"scene": {"paths": [str(town[0])]}, "labels": {"path": str(town[1])}}],
        "output": {"model": str(tmp_path / "m.safetensors")},
    }
    run_train(plan_train(job_from(job)))
    (tmp_path / "m.safetensors").unlink()
    job["scenes"][0] |= change
    job["output"] |= {"resume": True}
    with pytest.raises(TrainingError, match="town"):
        run_train(plan_train(job_from(job)))


def test_a_report_that_nothing_can_be_said_in_is_refused_before_training(town, tmp_path):
    asked = options()
    asked["data"] = {**asked["data"], "validation": 0}
    asked["output"] = {"report": str(tmp_path / "r.html")}
    with pytest.raises(SpecError, match="kept for validation"):
        geoseg.train(*town, tmp_path / "m.safetensors", options=asked)
    assert not (tmp_path / "m.run" / "log.csv").exists()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"loss": {"class_weights": {"rof": 2.0}}}, UnknownNameError, "roof"),
        ({"model": {**MODEL, "architecture": "unet", "encoder": "resnet81"}}, UnknownNameError, "resnet"),
        ({"model": {**MODEL, "classes": []}}, SpecError, "at least"),
        ({"model": {**MODEL, "classes": [CLASSES[0], CLASSES[0]]}}, SpecError, "share"),
        ({"model": {"base": "buildings", "encoder": "resnet18"}}, SpecError, "beside the base"),
        ({"model": {"base": "buildings", "encoder_weights": "imagenet"}}, SpecError, "beside the base"),
        ({"loop": {"precision": "fp16", "device": "cpu"}}, ResourceError, "fp16"),
    ],
)
def test_what_training_would_refuse_is_refused_before_a_scene_is_decoded(town, tmp_path, change, error, says):
    with pytest.raises(error, match=says):
        geoseg.train(*town, tmp_path / "m.safetensors", options={**options(), **change})
    assert list(tmp_path.iterdir()) == []


def test_labels_that_miss_the_scene_say_where_both_are(town, tmp_path):
    _, far = make_town(tmp_path, "far", away=500_000)
    with pytest.raises(LabelError, match=r"town\.tif"):
        geoseg.train(town[0], far, tmp_path / "m.safetensors", options=options())
    assert list(tmp_path.glob("*.run")) == []


def test_the_plan_can_be_printed(town, tmp_path):
    job = job_from(
        {
            "kind": "train",
            **options(),
            "scenes": [{"scene": {"paths": [str(town[0])]}, "labels": {"path": str(town[1])}}],
            "output": {"model": str(tmp_path / "m.safetensors")},
        }
    )
    told = json.loads(json.dumps(plan_train(job).describe()))
    assert told["steps"] == 40
    assert told["scenes"][0]["labels"]["polygons"] == 36
    assert list(tmp_path.iterdir()) == []
