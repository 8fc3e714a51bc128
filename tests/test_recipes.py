"""The recipes of the packaged models, and the scripts that measure and package them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

import geoseg
from geoseg.jobs.recipe import read_recipe
from geoseg.jobs.spec import TrainJob, job_of
from geoseg.models import read_card
from tests.jobs.towns import make_town

RECIPES = Path(__file__).parents[1] / "recipes"
SMALL = """
[model]
architecture = "pixel-linear"
classes = [
  { id = 0, name = "ground", colour = "#000000" },
  { id = 1, name = "roof", colour = "#ff0000", kind = "thing" },
]
bands = ["red", "green", "blue"]
resolution = 1.0
resolution_range = [0.5, 2.0]
tile_size = 64
overlap = 16

[about]
name = "roofs"
version = "3.1.0"
license = "CC0-1.0"
attribution = "Nobody"
limits = "Towns that were made up."
training_data = ["a town", "another town"]

[data]
crop_size = 64

[loop]
batch_size = 2
validate_every = 5

[[scenes]]
scene = "${TOWNS}/*.tif"
labels = "${TOWNS}/{stem}.geojson"
"""


@pytest.fixture
def recipe(tmp_path):
    make_town(tmp_path, "north_a")
    make_town(tmp_path, "south_a", away=1000, seed=1)
    path = tmp_path / "roofs.toml"
    path.write_text(SMALL)
    return path


def run_script(monkeypatch, name, *words):
    """The names of a script that was run as `python recipes/NAME WORDS`."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    return runpy.run_path(str(RECIPES / name), run_name="__main__")


@pytest.mark.data
@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_hold_jobs_and_keep_what_is_for_evaluation_out(path, data_dir):
    job = job_of(TrainJob, read_recipe(path, {"DATA": str(data_dir), "ENCODER": "encoder.pth"}))
    scenes = [Path(scene.scene.paths[0]).name for scene in job.scenes]
    assert scenes
    assert not [name for name in scenes if name.startswith(("banepa_north", "kampala"))]
    about = job.about
    assert about.name == path.stem
    assert all((about.license, about.attribution, about.limits, about.training_data, about.description))


def test_each_place_is_measured_by_a_model_that_never_saw_it(recipe, tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    places = ["--place", "North=north_*", "--place", "South=south_*"]
    work = ["--set", f"TOWNS={tmp_path}", "--work", tmp_path / "work", "--minutes", "0.02", "--json", figures]
    run_script(monkeypatch, "leave_one_place_out.py", recipe, *work, *places)
    found = json.loads(figures.read_text())
    assert {(one["name"].rpartition(", ")[2], one["data"]) for one in found} == {
        ("North left out of training", "north_a.tif"),
        ("South left out of training", "south_a.tif"),
    }
    assert "scene north_a.tif" not in " ".join(read_card(tmp_path / "work" / "without-north.safetensors").training_data)
    models = sorted((tmp_path / "work").glob("*.safetensors"))
    before = [model.stat().st_mtime_ns for model in models]
    capsys.readouterr()
    run_script(monkeypatch, "leave_one_place_out.py", recipe, *work, *places)  # nothing is trained again
    assert [model.stat().st_mtime_ns for model in models] == before


def test_a_trained_model_is_packaged_with_the_words_of_its_recipe_and_what_was_measured(
    recipe, tmp_path, monkeypatch, capsys
):
    towns = [tmp_path / "north_a.tif", tmp_path / "south_a.tif"]
    labels = [town.with_suffix(".geojson") for town in towns]
    options = {"data": {"crop_size": 64}, "loop": {"steps": 5, "batch_size": 2, "validate_every": 5}}
    model = {**read_recipe(recipe, {"TOWNS": str(tmp_path)})["model"]}
    geoseg.train(towns, labels, tmp_path / "trained.safetensors", options={**options, "model": model})
    figures = tmp_path / "other.json"
    output = {"figures": str(figures)}
    geoseg.evaluate(towns[1], labels[1], tmp_path / "trained.safetensors", options={"output": output, "resamples": 0})
    names = runpy.run_path(str(RECIPES / "package.py"))
    known = names["main"].__globals__
    monkeypatch.setitem(known, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(known, "RUNS", tmp_path / "runs")
    monkeypatch.setitem(known, "ROOT", tmp_path)
    (tmp_path / "weights").mkdir()
    measured = ["--measured", f"the south={figures}", "--log", str(tmp_path / "trained.run" / "log.csv")]
    monkeypatch.setattr(sys, "argv", ["package.py", str(tmp_path / "trained.safetensors"), str(recipe), *measured])
    names["main"]()
    card = read_card(tmp_path / "weights" / "roofs.safetensors")
    assert (card.version, card.limits, card.training_data) == (
        "3.1.0",
        "Towns that were made up.",
        ("a town", "another town"),
    )
    of_the_south = {one.name: one.value for one in card.metrics if one.data == "the south"}
    assert {"roof: pixel iou", "roof: pixel precision", "roof: object f1"} <= set(of_the_south)
    assert of_the_south["roof: pixel iou"] == pytest.approx(_iou(figures), abs=1e-4)
    assert any("kept from training" in one.data for one in card.metrics)
    assert (tmp_path / "runs" / "roofs.csv").read_text().startswith("step,")


def _iou(figures: Path) -> float:
    classes = json.loads(figures.read_text())["total"]["classes"]
    return next(one["pixels"]["iou"]["value"] for one in classes if one["name"] == "roof")
