"""A run of training, for people: what it will do, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from geoseg_cli.show_evaluation import show_scores
from geoseg_cli.show_plan import Rows, scene_rows
from geoseg_cli.tables import facts, show
from geoseg_cli.words import duration, number_of, phrase


def show_training(summary: Mapping[str, Any]) -> None:
    """Print how good the model is on the ground that was kept back, where it is, and how to use it."""
    evaluation = summary.get("evaluation")
    facts([("trained", _trained(summary)), ("started", f"from {summary['start']}")])
    if evaluation is not None:
        facts([("checked", "on ground that was kept from training")])
        show_scores(evaluation["total"], evaluation["classes"])
    show("")
    rows = [(kind, str(path)) for kind, path in summary["outputs"].items()]
    rows += [("run", f"{summary['run']}: log, pictures, report")]
    rows += [("threshold", f"{summary['threshold']:.2f}")] if summary.get("threshold") is not None else []
    model = shlex.quote(str(summary["outputs"]["model"]))
    facts([*rows, ("use", f"geoseg predict scene.tif --model {model} -o objects.gpkg")])


def show_training_plan(plan: Mapping[str, Any]) -> None:
    """Print what will be trained, on what, and for how long."""
    model, windows = plan["model"], plan["windows"]
    low, high = windows["resolutions_m"]
    length = f"{plan['minutes']:g} minutes" if plan["steps"] is None else number_of(plan["steps"], "step")
    rows = [
        ("model", f"{model['name']}, {model['kind']}, {model['architecture']} {phrase(model['arguments'])}"),
        ("start", model["base"] or "new, from what the encoder knows"),
        ("bands", ", ".join(model["bands"])),
        ("classes", ", ".join(model["classes"])),
        ("resolution", "-" if model["resolution_m"] is None else f"{model['resolution_m']:.4g} m per pixel"),
        *scene_rows(plan["scenes"]),
        ("windows", f"{windows['size']} pixels, drawn at {low:.4g} to {high:.4g} m per pixel"),
        ("length", f"{length} of {number_of(windows['batch_size'], 'window')}"),
        ("run", plan["run"]),
    ]
    facts([*rows, *_outputs(plan)])


def show_comparison_plan(plan: Mapping[str, Any]) -> None:
    """Print what will be compared with what."""
    model = plan["model"]
    subject = [] if model is None else [("model", f"{model['name']} {model['version']}")]
    facts([*subject, ("classes", ", ".join(plan["classes"])), *scene_rows(plan["scenes"]), *_outputs(plan)])


def _outputs(plan: Mapping[str, Any]) -> Rows:
    return [("writes", str(path)) for path in plan["outputs"].values()]


def _trained(summary: Mapping[str, Any]) -> str:
    best = summary.get("best", {}).get("step")
    kept = "" if best is None else f", the best of them step {best:,}"
    return (
        f"{number_of(summary['steps'], 'step')} in {duration(summary['seconds'])}{kept}; "
        f"{summary['waited']:.1%} of the time went into waiting for windows"
    )
