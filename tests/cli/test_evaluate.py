from __future__ import annotations

import json
import shlex

import pytest

from geoseg.jobs.spec import EvaluateJob, job_from_json, job_of
from geoseg_cli.evaluate import evaluate
from geoseg_cli.show_evaluation import show_evaluation
from tests.cli.test_predict import NOT_OF_THE_JOB, fields_of

SCENE = ("--image", "other.tif", "--labels", "other.shp")


def job_text(geoseg, *words) -> dict:
    answer = geoseg("evaluate", *words, "--print-job")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_the_readme_s_two_commands(geoseg):
    scene = {"scene": {"paths": ["other.tif"]}, "labels": {"path": "other.shp"}}
    assert job_text(geoseg, "--model", "town.safetensors", *SCENE, "--report", "report.html") == {
        "kind": "evaluate",
        "scenes": [scene],
        "model": "town.safetensors",
        "output": {"report": "report.html"},
    }
    assert job_text(geoseg, "--predictions", "buildings.gpkg", *SCENE) == {
        "kind": "evaluate",
        "scenes": [scene],
        "predictions": ["buildings.gpkg"],
    }


def test_flags_fill_fields_that_there_are():
    flags = {p.name for p in evaluate.params} - NOT_OF_THE_JOB - {"images", "stretch__limits"}
    assert {f for f in flags if f.partition("__")[0] not in ("labels", "scene")} <= fields_of(EvaluateJob)


def test_all_flags_reach_their_fields(geoseg):
    words = shlex.split(
        "--task buildings --threshold 0.4 --tta flips --device cpu --limits 0,10 --min-area 5 --min-object 8 "
        "--resamples 50 --figures f.json --overwrite --class-value 1=house --aoi a.gpkg --bidx 3,2,1"
    )
    job = job_of(EvaluateJob, job_text(geoseg, *SCENE, *words))
    assert (job.task, job.inference.threshold, job.inference.tta, job.inference.device) == (
        "buildings",
        0.4,
        "flips",
        "cpu",
    )
    assert (job.stretch.mode, job.postprocess.min_area_m2, job.min_area_m2, job.resamples) == ("limits", 5, 8, 50)
    assert (job.output.figures, job.output.overwrite) == ("f.json", True)
    assert (job.scenes[0].labels.aoi, job.scenes[0].scene.bidx) == ("a.gpkg", (3, 2, 1))


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (["all.gpkg"], ["all.gpkg", "all.gpkg"]),
        (["out/{stem}.gpkg"], ["out/a.gpkg", "out/b.gpkg"]),
        (["x.gpkg", "y.tif"], ["x.gpkg", "y.tif"]),
    ],
)
def test_predictions_go_with_the_images(geoseg, predictions, expected):
    words = [word for name in predictions for word in ("--predictions", name)]
    assert job_text(geoseg, "-i", "a.tif", "-i", "b.tif", "-l", "l.shp", *words)["predictions"] == expected


def test_a_printed_job_is_the_job(geoseg):
    answer = geoseg("evaluate", *SCENE, "-m", "m.safetensors", "--print-job")
    scene = {"scene": {"paths": ("other.tif",)}, "labels": {"path": "other.shp"}}
    assert job_from_json(answer.out) == EvaluateJob(scenes=(scene,), model="m.safetensors")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--model m", "give --image FILE --labels FILE"),
        ("-i a -l b", "give --model, --task or --predictions"),
        ("-i a -l b -m m -p p.gpkg", "give --predictions, or --model or --task, and not both"),
        ("-i a -i b -i c -l b -p p -p q", "found 2 predictions for 3 scenes"),
        ("-i a -l b -m m --threshold 2", "--threshold: Input should be"),
        ("-i a -l b -m m --on-bad-block nodata", "No such option"),
    ],
)
def test_what_is_wrong_is_one_line(geoseg, words, told):
    answer = geoseg("evaluate", *words.split())
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert told in answer.err


def figure(value: float | None, spread: float | None = None) -> dict:
    known = value is not None and spread is not None
    return {"value": value, "low": value - spread if known else None, "high": value + spread if known else None}


def scores(name: str, objects: bool = True) -> dict:
    pixels = {key: figure(0.7, 0.02) for key in ("iou", "dice", "precision", "recall", "boundary_iou")}
    things = {key: figure(0.5, 0.1) for key in ("f1", "precision", "recall", "ap", "ap50", "pq")} if objects else None
    counts = {"truth_objects": 1200, "found_objects": 1100, "matched_objects": 900}
    house = {"id": 1, "name": "building", "colour": "#ff0000", "pixels": pixels, "objects": things, "counts": counts}
    ground = {**house, "id": 0, "name": "background", "objects": None}
    mean = {"iou": figure(0.7, 0.02), **({"f1": figure(0.5, 0.1)} if objects else {})}
    return {"name": name, "pixel_accuracy": figure(0.93, 0.01), "mean": mean, "classes": [ground, house]}


def summary(scenes: int = 1, objects: bool = True, **changes) -> dict:
    evaluation = {
        "subject": "buildings",
        "classes": {"background": 0, "separator": None},
        "total": scores("all", objects),
        "scenes": [{"scores": scores(f"scene-{i}", objects)} for i in range(scenes)],
        "calibration": None,
    }
    return {"evaluation": {**evaluation, **changes}, "outputs": {"report": "r.html"}, "seconds": 3.0}


def test_figures_are_a_compact_table_with_intervals(capsys):
    show_evaluation(summary())
    out = capsys.readouterr().out
    assert "buildings, on 1 scene" in out
    assert "0.930 (0.920 to 0.940)" in out
    pixels, things = [line for line in out.splitlines() if line.startswith("building ")]
    assert pixels.split()[1:5] == ["0.700", "(0.680", "to", "0.720)"]
    assert things.split()[-3:] == ["1,200", "1,100", "900"]
    assert "background" not in out
    assert "scene-0" not in out
    assert "r.html" in out


def test_several_scenes_are_listed_and_figures_that_are_not_known_are_a_dash(capsys):
    told = summary(scenes=2, objects=False)
    told["evaluation"]["total"]["classes"][1]["pixels"]["boundary_iou"] = figure(None)
    show_evaluation(told)
    out = capsys.readouterr().out
    assert "scene-1" in out
    assert "F1" not in out
    assert next(line for line in out.splitlines() if line.startswith("building ")).endswith("-")


def test_a_better_threshold_is_told(capsys):
    calibration = {"ece": 0.031, "threshold": 0.4, "f1": 0.83, "used": 0.5, "f1_used": 0.82}
    show_evaluation(summary(calibration=calibration))
    out = capsys.readouterr().out
    assert "F1 of pixels is 0.820 at the threshold 0.50, and would be 0.830 at 0.40" in out
    assert "off by 0.031" in out
