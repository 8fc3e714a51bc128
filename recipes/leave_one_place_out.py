r"""How a recipe carries over: for each place, train without it, and measure on it.

    python recipes/leave_one_place_out.py recipes/buildings.toml --set DATA=DATA --work WORK \\
        --place Nepal='banepa_*' --place Zanzibar='zanzibar_*' [--minutes 45] [--only Nepal] [--json figures.json]

A place is a name, and a pattern of the names of its scenes' files. Each place is trained for the same time. The same
command goes on where it was interrupted, and places that are done are not trained again. Prints pixel IoU and the F1 of
objects on each place's scenes, and writes them as a model's card has them.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from pathlib import Path
from typing import Any

from geoseg.evaluation.figures import Evaluation
from geoseg.jobs.evaluating import plan_evaluate, run_evaluate
from geoseg.jobs.recipe import read_recipe
from geoseg.jobs.spec import EvaluateJob, TrainJob, job_of
from geoseg.jobs.training import plan_train, run_train
from geoseg.jobs.validating import metrics_of


def split_scenes(scenes: list[dict[str, Any]], pattern: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The scenes that are trained on and those of the place that is left out."""
    out = [scene for scene in scenes if fnmatch.fnmatch(Path(scene["scene"]["paths"][0]).name, pattern)]
    if not out or len(out) == len(scenes):
        raise SystemExit(f"{pattern}: leaves {len(out)} of {len(scenes)} scenes out; expected some, and not all")
    return [scene for scene in scenes if scene not in out], out


def trained(values: dict[str, Any], kept: list[dict[str, Any]], model: Path, minutes: float) -> Path:
    """The model that was trained on the scenes kept, now or before."""
    loop = {**values.get("loop", {}), "minutes": minutes}
    output = {"model": str(model), "resume": model.with_suffix(".run").exists()}
    job = job_of(TrainJob, {**values, "scenes": kept, "loop": loop, "output": output})
    made = model.with_suffix(".json")  # what the model was made by: a changed recipe makes another one
    if model.exists() and made.exists() and made.read_text() == job.model_dump_json(exclude={"output": {"resume"}}):
        return model
    model.unlink(missing_ok=True)
    run_train(plan_train(job))
    made.write_text(job.model_dump_json(exclude={"output": {"resume"}}))
    return model


def measured(model: Path, scenes: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    """Figures of a model on scenes, one by one, as a card has them."""
    job = job_of(EvaluateJob, {"scenes": scenes, "model": str(model), "resamples": 0})
    evaluation = Evaluation.model_validate(run_evaluate(plan_evaluate(job)).summary["evaluation"])
    return [
        {**metric.model_dump(), "name": f"{metric.name}, {place} left out of training"}
        for scene in evaluation.scenes
        for metric in metrics_of(scene.scores, evaluation.classes.background, scene.scores.name, ("iou", "f1"))
    ]


def main() -> None:
    """Parse the command line, train and measure place by place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", dest="variables", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--place", dest="places", action="append", required=True, metavar="NAME=PATTERN")
    parser.add_argument("--only", action="append", help="do these places alone")
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    values = read_recipe(asked.recipe, dict(text.split("=", 1) for text in asked.variables))
    asked.work.mkdir(parents=True, exist_ok=True)
    figures = []
    for place, pattern in (text.split("=", 1) for text in asked.places):
        if asked.only and place not in asked.only:
            continue
        kept, out = split_scenes(values["scenes"], pattern)
        model = trained(values, kept, asked.work / f"without-{place.lower()}.safetensors", asked.minutes)
        found = measured(model, out, place)
        figures += found
        for entry in found:
            print(f"{entry['data']:28} {entry['name']:60} {entry['value']:.4f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
