from __future__ import annotations

import io
import json
import shlex
import sys
import types
from pathlib import Path

import click
import pytest

from geoseg.jobs import kinds
from geoseg.jobs.recipe import recipe_values
from geoseg.jobs.spec import TrainJob, job_from_json, job_of
from geoseg_cli.recipes import assignments
from geoseg_cli.show_training import show_training_plan
from geoseg_cli.train import train
from tests.cli.test_predict import NOT_OF_THE_JOB, alternatives, fields_of

SCENE = ("--image", "town.tif", "--labels", "buildings.shp")


def job_text(geoseg, *words) -> dict:
    answer = geoseg("train", *words, "--print-job")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_the_readme_s_command(geoseg):
    assert job_text(geoseg, *SCENE, "--from", "buildings", "-o", "town.safetensors") == {
        "kind": "train",
        "scenes": [{"scene": {"paths": ["town.tif"]}, "labels": {"path": "buildings.shp"}}],
        "model": {"base": "buildings"},
        "output": {"model": "town.safetensors"},
    }


def test_flags_of_parts_fill_fields_that_there_are():
    own = {
        "labels",
        "validation",
        "scene",
        "distillation",
        "adaptation",
    }  # of scenes, or not always there
    flags = {p.name for p in train.params if "__" in p.name and p.name.partition("__")[0] not in own}
    assert flags - fields_of(TrainJob) == set()
    labelled = fields_of(TrainJob.model_fields["scenes"].annotation.__args__[0])
    assert {p.name for p in train.params if p.name.partition("__")[0] in ("labels", "scene")} <= labelled
    assert NOT_OF_THE_JOB | {"recipe", "assigned", "images", "print_recipe"} >= {
        p.name for p in train.params if "__" not in p.name
    }


def test_choices_are_those_of_the_job():
    offered = {p.name: set(p.type.choices) for p in train.params if isinstance(p.type, click.Choice)}
    loop = TrainJob.model_fields["loop"].annotation.model_fields
    assert offered["loop__precision"] == alternatives(loop["precision"].annotation)
    loggers = loop["logger"].annotation.__args__[0]
    assert offered["loop__logger"] == alternatives(loggers)


def test_all_flags_reach_their_fields(geoseg):
    words = shlex.split(
        "--architecture unet --encoder resnet18 --encoder-weights none --accept-license --separator contact:0.8 "
        "--resolution 0.3 -o o.safetensors --run run --report r.html --resume --overwrite --crop-size 128 "
        "--resolutions 0.2,0.4 --validation 0.1 --readers 3 "
        "--steps 7 --minutes 2 --batch-size 4 --lr 0.01 --freeze 0.2 "
        "--patience 3 --seed 5 --device cuda:1 --devices 2 --precision bf16 --logger csv --logger tensorboard "
        "--teacher big.safetensors --unlabelled c.tif --name town --license MIT --attribution us "
        "--layer l --class-column kind --class-value 1=house --class-value 2=shed --buffer 1.5 --aoi aoi.gpkg "
        "--ignore i.gpkg --labels-bidx 2 --blank white --bidx 3,2,1 --sensor naip --nodata 0 --scene-resolution 0.3"
    )
    job = job_of(TrainJob, job_text(geoseg, *SCENE, *words))
    assert (job.model.architecture, job.model.encoder, job.model.encoder_weights) == ("unet", "resnet18", "none")
    assert (job.model.accept_license, job.model.resolution) == (True, 0.3)
    assert (job.model.separator.kind, job.model.separator.width_m) == ("contact", 0.8)
    assert (job.output.run, job.output.report, job.output.resume, job.output.overwrite) == ("run", "r.html", True, True)
    assert (job.data.crop_size, job.data.resolutions, job.data.validation, job.data.readers) == (
        128,
        (0.2, 0.4),
        0.1,
        3,
    )
    loop = job.loop
    assert (loop.steps, loop.minutes, loop.batch_size, loop.learning_rate, loop.frozen) == (7, 2, 4, 0.01, 0.2)
    assert (loop.patience, loop.seed, loop.device, loop.devices, loop.precision) == (3, 5, "cuda:1", 2, "bf16")
    assert loop.logger == ("csv", "tensorboard")
    assert (job.distillation.teacher, job.adaptation.images) == ("big.safetensors", ("c.tif",))
    assert (job.about.name, job.about.license, job.about.attribution) == ("town", "MIT", "us")
    labels, scene = job.scenes[0].labels, job.scenes[0].scene
    assert (labels.layer, labels.column, labels.values) == ("l", "kind", {"1": "house", "2": "shed"})
    assert (labels.buffer_m, labels.aoi, labels.ignore, labels.bidx) == (1.5, "aoi.gpkg", "i.gpkg", 2)
    assert labels.blank == ("white",)
    assert (scene.bidx, scene.sensor, scene.nodata, scene.resolution) == ((3, 2, 1), "naip", 0, 0.3)


def test_scenes_and_labels_go_together_in_their_order(geoseg):
    words = "-i a.tif -l a.shp -i b.tif -l b.shp --ignore x.shp --ignore y.shp --aoi all.gpkg --from buildings"
    scenes = job_text(geoseg, *words.split())["scenes"]
    assert [(s["scene"]["paths"], s["labels"]) for s in scenes] == [
        (["a.tif"], {"path": "a.shp", "aoi": "all.gpkg", "ignore": "x.shp"}),
        (["b.tif"], {"path": "b.shp", "aoi": "all.gpkg", "ignore": "y.shp"}),
    ]


def test_one_file_of_labels_may_cover_all_scenes_and_those_to_check_on(geoseg):
    job = job_text(
        geoseg, *["-i", "a.tif", "-i", "b.tif", "-l", "all.gpkg", "--val-image", "c.tif", "--from", "buildings"]
    )
    assert [(s["labels"]["path"], s["use"]) for s in job["scenes"]] == [
        ("all.gpkg", "train"),
        ("all.gpkg", "train"),
        ("all.gpkg", "validation"),
    ]


def test_a_scene_to_check_on_has_its_own_labels_and_area(geoseg):
    words = "-i a.tif -l a.shp --aoi a.gpkg --val-image c.tif --val-labels c.shp --val-aoi c.gpkg --buffer 2"
    labels = [s["labels"] for s in job_text(geoseg, *words.split())["scenes"]]
    assert labels == [
        {"path": "a.shp", "aoi": "a.gpkg", "buffer_m": 2.0},
        {"path": "c.shp", "aoi": "c.gpkg", "buffer_m": 2.0},
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "give --image FILE --labels FILE, or a recipe"),
        ("--image a.tif", "--image needs --labels"),
        ("--labels a.shp", "belong to --image"),
        ("r.toml --class-column x", "belong to --image"),
        ("-i a -i b -i c -l a -l b", "found 2 --labels for 3 images; expected one, or one each"),
        ("-i a -l a -l b --val-image c", "--val-image needs --val-labels"),
        ("-i a -i b -l a -l b --val-image c", "--val-image needs --val-labels"),
        ("-i a -l a --val-labels c", "--val-labels needs --val-image"),
        ("-i a -l a --separator wall", "--separator: Input should be 'none', 'boundary', 'contact' or 'both'"),
        ("-i a -l a --separator boundary:wide", "not of the form KIND:METRES"),
        ("-i a -l a --lr quick", "'quick' is neither a number above 0 nor find"),
        ("-i a -l a --lr -1", "neither a number above 0 nor find"),
        ("-i a -l a --resolutions 0.4,0.2", "not in rising order"),
        ("-i a -l a --set loop", "'loop' is not of the form NAME=VALUE"),
        ("-i a -l a --set loop.stepz=3", "loop.stepz: Extra inputs"),
        ("-i a -l a --set steps=3", "--set steps=... belongs to a recipe's paths; give a recipe"),
        ("missing.toml", "missing.toml: cannot be read as a recipe"),
    ],
)
def test_what_is_wrong_is_one_line(geoseg, words, told):
    answer = geoseg("train", *shlex.split(words), "--print-job")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert told in answer.err


def test_without_an_output_the_model_is_named_after_the_first_scene_or_the_recipe(geoseg, tmp_path):
    assert job_text(geoseg, *["-i", "in/town.cog.tif", "-l", "a.shp"])["output"] == {"model": "town.cog.safetensors"}
    recipe = tmp_path / "roofs.toml"
    recipe.write_text('[[scenes]]\nscene = "a.tif"\nlabels = "a.shp"\n')
    assert job_text(geoseg, recipe)["output"] == {"model": "roofs.safetensors"}


def test_a_recipe_without_a_name_has_to_say_where_the_model_goes(geoseg, monkeypatch):
    text = '[[scenes]]\nscene = "a.tif"\nlabels = "a.shp"\n'
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    answer = geoseg("train", "-", "--print-job")
    assert (answer.code, answer.out) == (2, "")
    assert "give -o FILE" in answer.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert job_text(geoseg, "-", "-o", "a.safetensors")["output"] == {"model": "a.safetensors"}


RECIPE = """
output = "from_recipe.safetensors"
[loop]
steps = 100
seed = 3
[data]
crop_size = 128
[[scenes]]
scene = "${PLACE}/a.tif"
labels = "a.shp"
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    return path


def test_flags_count_before_what_is_set_and_that_before_the_recipe(geoseg, recipe):
    job = job_text(geoseg, recipe, "--steps", 7, "--set", "loop.steps=9", "--set", "loop.ema=0.5", "--set", "PLACE=/p")
    assert job["loop"] == {"steps": 7, "seed": 3, "ema": 0.5}
    assert job["data"] == {"crop_size": 128}
    assert job["output"] == {"model": str(recipe.parent / "from_recipe.safetensors")}
    assert job["scenes"][0]["scene"]["paths"] == ["/p/a.tif"]


def test_what_is_set_and_fills_nothing_is_an_error(geoseg, recipe):
    answer = geoseg("train", recipe, "--set", "PLACE=x", "--set", "steps=7", "--dry-run")
    assert (answer.code, answer.out) == (2, "")
    assert "found no path with ${steps}" in answer.err
    assert "${seed}" in geoseg("run", recipe, "--set", "PLACE=x", "--set", "seed=1", "--dry-run").err


def test_scenes_of_flags_take_the_place_of_the_recipe_s(geoseg, recipe):
    job = job_text(geoseg, recipe, *SCENE, "--set", "PLACE=x", "-o", "mine.safetensors")
    assert [s["scene"]["paths"] for s in job["scenes"]] == [["town.tif"]]
    assert job["output"] == {"model": "mine.safetensors"}


def test_what_is_wrong_in_a_recipe_is_told_with_its_name(geoseg, recipe):
    recipe.write_text(RECIPE.replace("seed", "sead"))
    answer = geoseg("train", recipe, "--set", "PLACE=x", "--dry-run")
    assert (answer.code, answer.err) == (2, f"geoseg: error: {recipe}: loop.sead: Extra inputs are not permitted\n")


def test_a_recipe_for_another_command_is_refused(geoseg, recipe):
    recipe.write_text('kind = "evaluate"')
    assert "found a job of the kind 'evaluate'; expected 'train'" in geoseg("train", recipe, "--dry-run").err


def test_a_printed_recipe_is_the_job(geoseg, monkeypatch):
    words = (*SCENE, "--from", "buildings", "--separator", "boundary", "--lr", "find", "--resolutions", "0.2,0.4")
    text = geoseg("train", *words, "--print-recipe").out
    job = job_of(TrainJob, job_text(geoseg, *words))
    assert job_of(TrainJob, recipe_values(text, "r.toml", Path(), {})) == job
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert job_of(TrainJob, job_text(geoseg, "-")) == job


def test_a_printed_job_is_the_job(geoseg):
    answer = geoseg("train", *SCENE, "-o", "o.safetensors", "--print-job")
    assert job_from_json(answer.out) == TrainJob(
        scenes=({"scene": {"paths": ("town.tif",)}, "labels": {"path": "buildings.shp"}},),
        output={"model": "o.safetensors"},
    )


def test_names_and_fields_are_told_apart():
    variables, fields = assignments(["DATA=/a=b", "loop.ema=0.5", "loop.keep=last", "model.separator.kind='both'"])
    assert variables == {"DATA": "/a=b"}
    assert fields == {"loop": {"ema": 0.5, "keep": "last"}, "model": {"separator": {"kind": "both"}}}
    with pytest.raises(click.BadParameter, match="has a value already"):
        assignments(["loop.a=1", "loop.a.b=2"])


@pytest.fixture
def jobs(monkeypatch) -> list[TrainJob]:
    """The jobs that were prepared; each tells the plan of a run, and none is carried out."""
    seen: list[TrainJob] = []

    def prepare(job):
        seen.append(job)
        return types.SimpleNamespace(describe=lambda: PLAN, run=run)

    def run(progress):
        progress.plan({"steps": 100, "step": 20})
        progress.advance(40, 1000)
        progress.note({"loss": 0.25, "best_iou": 0.5, "seconds_left": 40})
        return types.SimpleNamespace(summary=SUMMARY)

    monkeypatch.setattr(kinds, "prepare", prepare)
    return seen


PLAN = {
    "kind": "train",
    "model": {
        "name": "town",
        "kind": "semantic",
        "architecture": "unet",
        "arguments": {"encoder": "resnet18"},
        "base": "buildings 0.1.0",
        "bands": ["red", "green", "blue"],
        "classes": ["background", "building"],
        "resolution_m": 0.3,
    },
    "scenes": [
        {
            "name": "town.tif",
            "shape": [400, 500],
            "resolution_m": 0.15,
            "use": "train",
            "labels": {"path": "buildings.shp", "features": 12, "repaired": 0},
        }
    ],
    "windows": {"size": 256, "resolutions_m": [0.21, 0.42], "batch_size": 8},
    "steps": 2000,
    "minutes": None,
    "run": "town.run",
    "outputs": {"model": "town.safetensors"},
}
SUMMARY = {
    "outputs": {"model": "my town.safetensors"},
    "run": "my town.run",
    "start": "buildings 0.1.0",
    "steps": 2000,
    "best": {"step": 1750, "iou": 0.7},
    "waited": 0.012,
    "threshold": 0.45,
    "evaluation": None,
    "seconds": 754.0,
    "warnings": [],
}


def test_a_run_ends_with_what_came_of_it(geoseg, jobs):
    out = geoseg("train", *SCENE, "--from", "buildings").out
    assert "2,000 steps in 12:34, the best of them step 1,750; 1.2% of the time went into waiting" in out
    assert "geoseg predict scene.tif --model 'my town.safetensors'" in out
    assert jobs[0].command == "geoseg train --image town.tif --labels buildings.shp --from buildings"


def test_a_plan_is_told_in_words(geoseg, jobs):
    out = geoseg("train", *SCENE, "--dry-run").out
    assert "2,000 steps of 8 windows" in out
    assert "town.tif: 500 × 400 pixels, 0.15 m per pixel, to learn from" in out
    assert "repaired" not in out


def test_a_plan_by_the_clock_is_told_in_minutes(capsys):
    show_training_plan({**PLAN, "steps": None, "minutes": 10.0})
    assert "10 minutes of 8 windows" in capsys.readouterr().out


def test_steps_and_figures_are_told_to_programs(geoseg, jobs):
    lines = [json.loads(line) for line in geoseg("train", *SCENE, "--progress", "jsonl").out.splitlines()]
    assert [line["type"] for line in lines] == ["progress", "plan", "progress", "note", "result"]
    assert (lines[2]["stage"], lines[2]["tiles"], lines[2]["tiles_total"]) == ("training", 60, 100)
    assert lines[3]["values"] == {"loss": 0.25, "best_iou": 0.5, "seconds_left": 40}


def test_steps_and_figures_are_drawn(geoseg, jobs):
    err = geoseg("train", *SCENE, "--progress", "bar").err
    assert "60/100 steps" in err
    assert "loss 0.250" in err


def test_geoseg_run_takes_recipes(geoseg, jobs, recipe):
    assert geoseg("run", recipe, "--set", "PLACE=/p", "--set", "loop.seed=4", "--overwrite", "--dry-run").code == 0
    job = jobs[0]
    assert (job.loop.seed, job.output.overwrite, job.scenes[0].scene.paths) == (4, True, ("/p/a.tif",))
    assert job.command.startswith("geoseg run ")
    assert "belongs to recipes" in geoseg("run", "job.json", "--set", "A=b").err
