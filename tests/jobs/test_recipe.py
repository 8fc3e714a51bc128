from __future__ import annotations

import os
from pathlib import Path

import pytest

from geoseg.errors import SpecError
from geoseg.jobs.recipe import merged, read_recipe, recipe_text, recipe_values
from geoseg.jobs.spec import EvaluateJob, TrainJob, job_from, job_of

FULL = """
output = "out/town.safetensors"

[model]
base = "buildings"
encoder_weights = "weights/lite0.pth"
separator = {kind = "boundary", width_m = 0.5}

[loss]
terms = [{name = "cross-entropy", edge = 2.0}, {name = "dice", weight = 0.5}]

[loop]
steps = 10
learning_rate = "find"

[[scenes]]
scene = "town.tif"
labels = "town.shp"
weight = 2

[[scenes]]
scene = {bands = {red = "r.tif", green = "/abs/g.tif"}, sensor = "naip"}
labels = {path = "https://host/b.geojson", aoi = "aoi.gpkg", buffer_m = 2}
use = "validation"
"""


def values_of(text: str, folder: str = "recipes", **variables: str) -> dict:
    return recipe_values(text, "r.toml", Path(folder), variables)


def test_a_recipe_is_the_job_with_its_paths_from_its_own_folder():
    job = job_of(TrainJob, values_of(FULL), "r.toml")
    assert job.output.model == os.path.normpath("recipes/out/town.safetensors")
    assert job.scenes[0].scene.paths == (os.path.normpath("recipes/town.tif"),)
    assert job.scenes[0].labels.path == os.path.normpath("recipes/town.shp")
    assert job.scenes[0].weight == 2
    assert job.scenes[1].scene.bands == {"red": os.path.normpath("recipes/r.tif"), "green": "/abs/g.tif"}
    assert job.scenes[1].labels.path == "https://host/b.geojson"
    assert job.scenes[1].labels.aoi == os.path.normpath("recipes/aoi.gpkg")
    assert job.model.base == "buildings"
    assert job.model.encoder_weights == os.path.normpath("recipes/weights/lite0.pth")
    assert (job.loop.learning_rate, job.loss.terms[0].edge) == ("find", 2.0)


@pytest.mark.parametrize("name", ["imagenet", "none", "torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO"])
def test_names_of_weights_are_no_paths(name):
    values = values_of(f'[model]\nencoder_weights = "{name}"\nbase = "hf:owner/repository:model.safetensors"')
    assert values["model"]["encoder_weights"] == name
    assert values["model"]["base"] == "hf:owner/repository:model.safetensors"


def test_places_come_from_what_is_set_then_the_environment_then_the_recipe(monkeypatch):
    monkeypatch.setenv("GEOSEG_TEST_DATA", "/from/environment")
    text = '[[scenes]]\nscene = "${GEOSEG_TEST_DATA}/a.tif"\nlabels = "${OTHER_PLACE:-/here}/a.shp"'
    scene = values_of(text)["scenes"][0]
    assert scene == {"scene": {"paths": ["/from/environment/a.tif"]}, "labels": {"path": "/here/a.shp"}}
    scene = values_of(text, GEOSEG_TEST_DATA="/set", OTHER_PLACE="b")["scenes"][0]
    assert scene["scene"]["paths"] == ["/set/a.tif"]
    assert scene["labels"]["path"] == os.path.normpath("recipes/b/a.shp")


def test_a_place_that_nobody_named_is_an_error_with_key_and_remedy():
    with pytest.raises(
        SpecError, match=r"r\.toml: scenes\.0\.labels\.path: \$\{NOWHERE_AT_ALL\}.*--set NOWHERE_AT_ALL="
    ):
        values_of('[[scenes]]\nscene = "a.tif"\nlabels = "${NOWHERE_AT_ALL}/a.shp"')


def test_a_name_that_stands_in_no_path_is_an_error_with_its_remedy():
    text = '[[scenes]]\nscene = "${DATA}/a.tif"\nlabels = "a.shp"'
    with pytest.raises(SpecError, match=r"r\.toml: found no path with \$\{steps\}.*--set loop\.steps=100"):
        values_of(text, DATA="x", steps="100")


@pytest.mark.parametrize("name", ["t.safetensors", "t.onnx", "t.xml", "t.pt2", "item.json", "old/town"])
def test_every_kind_of_model_is_a_path_from_the_recipe_s_folder(name):
    text = f'[model]\nbase = "{name}"\n[distillation]\nteacher = "{name}"\n'
    values = values_of(text)
    assert values["model"]["base"] == os.path.normpath(f"recipes/{name}")
    assert values["distillation"]["teacher"] == os.path.normpath(f"recipes/{name}")
    assert values_of(f'kind = "evaluate"\nmodel = "{name}"')["model"] == os.path.normpath(f"recipes/{name}")


@pytest.mark.parametrize(
    "path",
    [
        "https://host/${GEOSEG_TEST_SECRET}.tif",
        "zip+https://host/${GEOSEG_TEST_SECRET}.tif",
        "/vsicurl/https://host/${GEOSEG_TEST_SECRET}.tif",
        "${NOT_THERE:-https://host}/${GEOSEG_TEST_SECRET}.tif",
        "../https://host/${GEOSEG_TEST_SECRET}.tif",
        "<VRTDataset>https://host/${GEOSEG_TEST_SECRET}</VRTDataset>",
    ],
)
def test_no_server_is_told_what_stands_in_the_environment(monkeypatch, path):
    monkeypatch.setenv("GEOSEG_TEST_SECRET", "hidden")
    text = f'[[scenes]]\nscene = "{path}"\nlabels = "a.shp"'
    with pytest.raises(SpecError, match=r"scenes\.0\.scene.*GEOSEG_TEST_SECRET.*--set GEOSEG_TEST_SECRET=") as error:
        values_of(text)
    assert "hidden" not in str(error.value)
    assert "meant" in values_of(text, GEOSEG_TEST_SECRET="meant")["scenes"][0]["scene"]["paths"][0]


def test_no_hub_is_told_what_stands_in_the_environment(monkeypatch):
    monkeypatch.setenv("GEOSEG_TEST_SECRET", "hidden")
    with pytest.raises(SpecError, match=r"model\.base.*in an address"):
        values_of('[model]\nbase = "hf:owner/${GEOSEG_TEST_SECRET}"')


def test_only_paths_are_filled_from_the_environment(monkeypatch):
    monkeypatch.setenv("GEOSEG_TEST_SECRET", "hidden")
    assert (
        values_of('[about]\ndescription = "${GEOSEG_TEST_SECRET}"')["about"]["description"] == "${GEOSEG_TEST_SECRET}"
    )


def test_a_recipe_of_another_kind(tmp_path):
    (tmp_path / "e.toml").write_text(
        'kind = "evaluate"\npredictions = ["a.gpkg"]\n[output]\nreport = "r.html"\n'
        '[[scenes]]\nscene = "a.tif"\nlabels = "a.shp"\n'
    )
    job = job_from(read_recipe(tmp_path / "e.toml"))
    assert isinstance(job, EvaluateJob)
    assert job.predictions == (str(tmp_path / "a.gpkg"),)
    assert job.output.report == str(tmp_path / "r.html")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[loop", r"r\.toml: not TOML"),
        ("[loop]\nstepz = 3", r"r\.toml: .*loop\.stepz: Extra inputs are not permitted"),
        ("[loop]\nsteps = 'many'", r"r\.toml: .*loop\.steps: Input should be a valid integer"),
        ("[[scenes]]\nscene = 3\nlabels = 'a.shp'", r"r\.toml: scenes\.0\.scene: "),
        ("scenes = 'a.tif'", r"r\.toml: scenes: "),
        ("scenes = ['a.tif']", r"r\.toml: scenes\.0: "),
        ("model = 'buildings'", r"r\.toml: .*model: "),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(text, told):
    with pytest.raises(SpecError, match=told):
        job_of(TrainJob, values_of(text), "r.toml")


def test_a_file_that_is_no_recipe(tmp_path):
    with pytest.raises(SpecError, match="cannot be read as a recipe"):
        read_recipe(tmp_path / "missing.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="cannot be read as a recipe"):
        read_recipe(tmp_path / "a.toml")


def test_a_written_recipe_is_the_job():
    job = job_of(TrainJob, values_of(FULL, "."), "r.toml")
    text = recipe_text(job)
    assert job_of(TrainJob, values_of(text, "."), "r.toml") == job
    assert 'scene = "town.tif"' in text
    assert "kind" not in text.split("[model]")[0]


def test_tables_are_merged_and_lists_replaced():
    first = {"loop": {"steps": 1, "seed": 2}, "scenes": [1, 2], "x": 1}
    over = {"loop": {"steps": 3}, "scenes": [3], "y": {"z": 1}}
    assert merged(first, over) == {"loop": {"steps": 3, "seed": 2}, "scenes": [3], "x": 1, "y": {"z": 1}}
    assert first["loop"] == {"steps": 1, "seed": 2}
