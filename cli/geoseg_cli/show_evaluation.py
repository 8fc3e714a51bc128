"""Figures of an evaluation, for people: the headline ones, with their intervals; --json and the report have all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geoseg_cli.tables import facts, listing, show
from geoseg_cli.words import duration, number_of

PIXELS = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall", "boundary_iou": "boundary IoU"}
OBJECTS = {"f1": "F1", "precision": "precision", "recall": "recall", "ap": "AP", "ap50": "AP50", "pq": "PQ"}
WITH_INTERVAL = ("iou", "f1", "ap", "pq")


def show_evaluation(summary: Mapping[str, Any]) -> None:
    """Print the figures over all scenes by class, those of each scene, and where the rest is."""
    evaluation = summary["evaluation"]
    total = evaluation["total"]
    facts([("compared", f"{evaluation['subject']}, on {number_of(len(evaluation['scenes']), 'scene')}")])
    facts([("pixel accuracy", _figure(total["pixel_accuracy"], True))])
    show_scores(total, evaluation["classes"])
    if len(evaluation["scenes"]) > 1:
        _show_scenes([scene["scores"] for scene in evaluation["scenes"]])
    show("")
    facts([*_threshold(evaluation.get("calibration")), *_outputs(summary)])


def show_scores(scores: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Print the figures of each class but background, pixels first; 95 % intervals stand beside some of them.

    `known` are the classes.
    """
    hidden = (known.get("background"), known.get("separator"))
    classes = [each for each in scores["classes"] if each["id"] not in hidden]
    show("")
    mean = [_row("mean", scores["mean"], PIXELS)] if len(classes) > 1 else []
    listing(("pixels", *PIXELS.values()), [*(_row(each["name"], each["pixels"], PIXELS) for each in classes), *mean])
    things = [each for each in classes if each["objects"] is not None]
    if not things:
        return
    show("")
    listing(
        ("objects", *OBJECTS.values(), "in truth", "found", "right"),
        [[*_row(each["name"], each["objects"], OBJECTS), *_counts(each["counts"])] for each in things],
        right=(7, 8, 9),
    )


def _row(name: str, figures: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    return [name, *(_figure(figures.get(key), key in WITH_INTERVAL) for key in columns)]


def _counts(counts: Mapping[str, int]) -> list[str]:
    return [f"{counts.get(key, 0):,}" for key in ("truth_objects", "found_objects", "matched_objects")]


def _figure(figure: Mapping[str, Any] | None, interval: bool = False) -> str:
    """A ratio, and its interval where there is one: 0.712 (0.690 to 0.731)."""
    if figure is None or figure["value"] is None:
        return "-"
    known = interval and figure.get("low") is not None and figure.get("high") is not None
    return f"{figure['value']:.3f}" + (f" ({figure['low']:.3f} to {figure['high']:.3f})" if known else "")


def _show_scenes(scenes: Sequence[Mapping[str, Any]]) -> None:
    show("")
    rows = [
        [each["name"], _figure(each["mean"].get("iou"), True), _figure(each["mean"].get("f1"), True)] for each in scenes
    ]
    objects = any(each["mean"].get("f1") for each in scenes)
    listing(("scene", "IoU", "F1")[: 3 if objects else 2], [row[: 3 if objects else 2] for row in rows])


def _threshold(calibration: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if calibration is None:
        return []
    best = f"F1 of pixels is {calibration['f1_used']:.3f} at the threshold {calibration['used']:.2f}"
    if calibration["f1"] > calibration["f1_used"] + 5e-4:
        best += f", and would be {calibration['f1']:.3f} at {calibration['threshold']:.2f}"
    return [("threshold", best), ("calibration", f"scores are off by {calibration['ece']:.3f} on average (ECE)")]


def _outputs(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(kind, str(path)) for kind, path in summary["outputs"].items()]
    return rows + ([("time", duration(summary["seconds"]))] if summary.get("seconds") is not None else [])
