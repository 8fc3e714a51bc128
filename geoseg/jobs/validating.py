"""A trained model on the ground that was kept from its training."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np

from geoseg.core.card import Metric
from geoseg.evaluation.figures import Evaluation, Scores
from geoseg.evaluation.report import Exhibit
from geoseg.io.region import RegionMask
from geoseg.jobs.evaluating import EvaluatePlan, Subject, both, compared
from geoseg.jobs.spec import EvaluateJob, job_of
from geoseg.jobs.told import Told
from geoseg.models import load_model
from geoseg.training.data import Plot, Split
from geoseg.training.data.places import rectangle

if TYPE_CHECKING:
    from geoseg.jobs.training import TrainPlan

MEASURED = ("iou", "boundary_iou", "f1")  # what the card keeps, of pixels and of objects
LEAST, MOST = 0.05, 0.95  # thresholds that a card may hold


def metrics_of(
    scores: Scores, background: int | None, data: str, wanted: Collection[str] = MEASURED
) -> tuple[Metric, ...]:
    """The wanted figures of each class but the background, as a card has them; `data` says what they were found on."""
    found = []
    for one in scores.classes:
        if one.id == background:
            continue
        for what, figures in (("pixel", one.pixels), ("object", one.objects or {})):
            for key in wanted:
                value = figures[key].value if key in figures else None
                if value is not None:
                    found.append(Metric(name=f"{one.name}: {what} {key}", value=round(value, 4), data=data))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Judged:
    """What validation found, with pictures of the best and worst places."""

    evaluation: Evaluation
    exhibits: tuple[Exhibit, ...]

    def metrics(self, keep: str = "best") -> tuple[Metric, ...]:
        """The figures that the card keeps, for each class; `keep` says which weights were kept."""
        chosen = ", which chose the weights" if keep == "best" else ""
        names = ", ".join(scene.scores.name for scene in self.evaluation.scenes)
        where = f"ground kept from training{chosen}: {names}"
        return metrics_of(self.evaluation.total, self.evaluation.classes.background, where)

    def threshold(self) -> dict[str, Any]:
        """The threshold with the best F1 of pixels, for models that tell one class from the background."""
        known = self.evaluation.calibration
        if known is None:
            return {}
        return {"threshold": round(min(max(known.threshold, LEAST), MOST), 3)}


def validate(plan: TrainPlan, parts: Split, bundle: Path, told: Told) -> Judged:
    """What the bundle makes of the blocks that training did not see, against their labels."""
    with tempfile.TemporaryDirectory(prefix="geoseg-") as folder:
        subjects = tuple(_subject(plan, plot, Path(folder)) for plot in parts.validation)
        job = job_of(
            EvaluateJob,
            {
                "scenes": [plan.job.scenes[plot.index] for plot in parts.validation],
                "model": str(bundle),
                "inference": {"device": plan.options.loop.device, "any_resolution": True},
                "command": plan.job.command,
            },
        )
        model = load_model(bundle)
        evaluation, exhibits = compared(
            EvaluatePlan(job, subjects, model.card.classes, model.card, plan.outputs["model"].name, {}, model),
            Path(folder),
            told,
        )
    return Judged(evaluation, tuple(exhibits))


def _subject(plan: TrainPlan, plot: Plot, folder: Path) -> Subject:
    """A scene of which only the blocks are looked at."""
    scene, labels = plan.scenes[plot.index], plan.labels[plot.index]
    blocks = np.array([rectangle(plot.ground, at) for at in plot.blocks])
    aoi = folder / f"blocks-{plot.index}.gpkg"
    crs = None if scene.grid.crs is None else scene.grid.crs.proj
    geopandas.GeoDataFrame(geometry=blocks, crs=crs).to_file(aoi)
    area = RegionMask(blocks)
    known = replace(labels, area=area if labels.area is None else both(labels.area, area))
    return Subject(scene, known, None, str(aoi))
