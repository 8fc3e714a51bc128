"""Figures of an evaluation, as JSON-able values: what the report shows and a program reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassSet


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Figure(_Values):
    """A ratio with its 95 % bootstrap interval; None where it has no denominator, or no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class ClassFigures(_Values):
    """One class: ratios of `pixels` (iou, dice, precision, recall, boundary_iou) and of `objects` (see below).

    Objects have precision, recall, f1 (one to one at IoU 0.5), ap (COCO's mean over IoU 0.5 to 0.95), ap50, and pq, sq,
    rq (panoptic quality, its two factors); None for classes whose objects were not compared. `counts` holds the sums:
    truth_pixels, found_pixels, both_pixels, truth_objects, found_objects, matched_objects.
    """

    id: int
    name: str
    colour: str
    pixels: dict[str, Figure]
    objects: dict[str, Figure] | None
    counts: dict[str, int]


class CellFigures(_Values):
    """One square of a scene, for the map of errors: rows and columns, known pixels, wrong ones, foreground IoU."""

    y: tuple[int, int]
    x: tuple[int, int]
    known: int
    wrong: int
    iou: float | None
    objects: tuple[int, int, int]  # true positives, false positives, false negatives, over all classes


class Scores(_Values):
    """Figures over one scene or over all of them. `confusion` (truth, found) counts pixels in the classes' order.

    `mean` holds the means over the foreground classes (those that occur) of the ratios of pixels, and of objects where
    those were compared.
    """

    name: str
    pixel_accuracy: Figure
    mean: dict[str, Figure]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]


class SceneFigures(_Values):
    """One scene: its scores, its cells, and facts for the reader (files, size, resolution, labels and their faults)."""

    scores: Scores
    cells: tuple[CellFigures, ...]
    facts: dict[str, Any]


class Calibration(_Values):
    """How far scores are probabilities, for binary models.

    `ece` is the expected calibration error; `bins` are (mean score, share of foreground, pixels); `curve` is
    (threshold, precision, recall, f1). `threshold` maximises the F1 of pixels, which is `f1` there and `f1_used` at the
    threshold `used`.
    """

    ece: float
    bins: tuple[tuple[float, float, int], ...]
    curve: tuple[tuple[float, float, float, float], ...]
    threshold: float
    f1: float
    used: float
    f1_used: float


class Evaluation(_Values):
    """What an evaluation found; `geoseg evaluate --json` prints it, the report draws it."""

    geoseg: str
    created: str
    command: str | None
    subject: str
    card: ModelCard | None
    classes: ClassSet
    total: Scores
    scenes: tuple[SceneFigures, ...]
    calibration: Calibration | None
    settings: dict[str, Any] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
