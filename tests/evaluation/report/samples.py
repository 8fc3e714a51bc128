"""Evaluations for tests of the report, made of nothing but numbers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.evaluation.figures import (
    Calibration,
    CellFigures,
    ClassFigures,
    Evaluation,
    Figure,
    SceneFigures,
    Scores,
)
from geoseg.evaluation.report import Exhibit

BUILDINGS = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#d95f02", kind="thing"),
    )
)
LAND = ClassSet(
    classes=tuple(
        ClassInfo(id=i, name=name, colour=colour)
        for i, (name, colour) in enumerate(
            [("other", "#444444"), ("water", "#2b6cb0"), ("road", "#b0a17a"), ("vegetation", "#3f8f3f")]
        )
    )
)


def card(**changes: Any) -> ModelCard:
    said: dict[str, Any] = {
        "name": "buildings",
        "version": "1.0.0",
        "task": "buildings",
        "description": "Roofs seen from above.",
        "architecture": "unet",
        "bands": ("red", "green", "blue"),
        "resolution": 0.4,
        "resolution_range": (0.2, 0.8),
        "mean": (0.4, 0.4, 0.4),
        "std": (0.2, 0.2, 0.2),
        "classes": BUILDINGS,
        "license": "CC-BY-4.0",
        "attribution": "Imagery by A, labels by B",
        "training_data": ("Banepa, Nepal", "Kitsap, USA"),
        "limits": "Not tried on snow, nor on roofs of thatch.",
    }
    return ModelCard(**(said | changes))


def figure(value: float | None, spread: float = 0.04) -> Figure:
    if value is None:
        return Figure(value=None)
    return Figure(value=value, low=max(0.0, value - spread), high=min(1.0, value + spread))


def scores(classes: ClassSet, name: str = "all scenes", *, objects: bool = True, worse: float = 0.0) -> Scores:
    """Scores that fall by `worse`; the confusion matrix is diagonal but for one pixel in ten."""
    size = len(classes.classes)
    confusion = np.full((size, size), 1_000, np.int64) + np.diag(np.full(size, 90_000))
    return Scores(
        name=name,
        pixel_accuracy=figure(0.93 - worse),
        mean={"iou": figure(0.71 - worse), "dice": figure(0.83 - worse), "boundary_iou": figure(0.52 - worse)},
        classes=tuple(
            ClassFigures(
                id=c.id,
                name=c.name,
                colour=c.colour,
                pixels={
                    name: figure(value - worse - 0.03 * i)
                    for name, value in (
                        ("iou", 0.71), ("dice", 0.83), ("precision", 0.86), ("recall", 0.8), ("boundary_iou", 0.52)
                    )
                },
                objects={
                    "precision": figure(0.62), "recall": figure(0.58), "f1": figure(0.6), "ap": figure(0.31),
                    "ap50": figure(0.55), "pq": figure(0.47), "sq": figure(0.78), "rq": Figure(value=0.6),
                } if objects and c.kind == "thing" else None,
                counts={
                    "truth_pixels": int(confusion[i].sum()), "found_pixels": int(confusion[:, i].sum()),
                    "both_pixels": int(confusion[i, i]), "truth_objects": 1234, "found_objects": 1150,
                    "matched_objects": 713,
                },
            )
            for i, c in enumerate(classes.classes)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )  # fmt: skip


def cells(rows: int = 4, columns: int = 5, size: int = 256) -> tuple[CellFigures, ...]:
    """Cells that are worse to the south-east; the first holds no known ground."""
    made = []
    for y, x in np.ndindex(rows, columns):
        share = 0.4 * (y / rows) * (x / columns)
        known = 0 if y == x == 0 else size * size
        wrong = round(known * share)
        box = ((y * size, (y + 1) * size), (x * size, (x + 1) * size))
        iou = None if not known else 1 - 1.5 * share
        made.append(
            CellFigures(
                y=box[0],
                x=box[1],
                known=known,
                wrong=wrong,
                iou=iou,
                objects=(12, y + x, 2 * y) if known else (0, 0, 0),
            )
        )
    return tuple(made)


FACTS = {
    "image": "banepa_north.tif",
    "resolution": 0.53,
    "labels": {
        "path": "buildings.shp",
        "features": 1234,
        "repaired": 7,
        "dropped": {"empty": 2, "outside the scene": 31},
        "crs": "EPSG:4326",
    },
}


def evaluation(classes: ClassSet = BUILDINGS, scenes: int = 2, **changes: Any) -> Evaluation:
    """An evaluation of some scenes; each falls behind the one before."""
    curve = tuple(
        (t, 0.6 + 0.38 * t, 1 - 0.8 * t**2, 0.8 - (t - 0.45) ** 2) for t in np.linspace(0.02, 0.98, 49).tolist()
    )
    bins = tuple((s, s**1.3, int(50_000 * (1 - s) ** 2) + 1500) for s in np.linspace(0.05, 0.95, 10).tolist())
    said: dict[str, Any] = {
        "geoseg": "0.1.0",
        "created": "2026-11-20T16:00:00+00:00",
        "command": "geoseg evaluate --task buildings --image banepa_north.tif --labels buildings.shp --report r.html",
        "subject": "buildings 1.0.0",
        "card": card(),
        "classes": classes,
        "total": scores(classes),
        "scenes": tuple(
            SceneFigures(scores=scores(classes, f"scene_{i}", worse=0.01 * i), cells=cells(), facts=FACTS)
            for i in range(scenes)
        ),
        "calibration": Calibration(ece=0.031, bins=bins, curve=curve, threshold=0.45, f1=0.8, used=0.6, f1_used=0.777),
        "settings": {"boundary_m": 1.0, "resamples": 1000, "seed": 0, "device": "cpu"},
        "warnings": ("7 geometries of buildings.shp were repaired",),
    }
    return Evaluation(**(said | changes))


def history(steps: int = 60) -> list[dict[str, Any]]:
    """Rows of a training's log; IoU is known at every tenth step."""
    return [
        {
            "step": 25 * i, "loss": 0.3 + 2 / (1 + i / 6), "dice_loss": 0.2 + 1 / (1 + i / 6),
            "learning_rate": 1e-3 * min(1, i / 4) * (1 - i / steps),
            "iou": 0.7 - 0.6 / (1 + i / 8) if i % 10 == 9 else "", "seconds": i * 9.1,
        }
        for i in range(steps)
    ]  # fmt: skip


def picture(size: tuple[int, int] = (96, 64), seed: int | None = None) -> bytes:
    """A PNG of that (width, height); of noise with a seed, so that it does not shrink."""
    if seed is None:
        image = Image.linear_gradient("L").resize(size)
    else:
        image = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8))
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def thumbnail(scene: str, **changes: Any) -> Exhibit:
    said: dict[str, Any] = {"image": picture((100, 80)), "kind": "thumbnail", "scene": scene, "shape": (1024, 1280)}
    return Exhibit(scene, "The scene.", **(said | changes))
