"""Trained weights judged, and written with their card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geoseg
from geoseg.core.card import ModelCard
from geoseg.io.outputs import Staging
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.told import Told

if TYPE_CHECKING:
    from geoseg.evaluation.figures import Evaluation
    from geoseg.jobs.training import TrainPlan
    from geoseg.training.data import Split
    from geoseg.training.fitting import Fitted

REPORT = "report.html"  # in the run's folder


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What training came to, and a sentence that says what it started from."""

    fitted: Fitted
    origin: str


def written(
    plan: TrainPlan, parts: Split, trained: Trained, staging: Staging, told: Told
) -> tuple[ModelCard, Evaluation | None]:
    """The card as it was written with the weights, and what validation found, None where no ground was kept.

    Figures are those of the bundle as it is written: where validation finds a better threshold, it is looked at again
    with that.
    """
    from geoseg.evaluation.report import write_report
    from geoseg.jobs.validating import validate
    from geoseg.models import network_of, save_bundle

    network = network_of(plan.card)
    network.load_state_dict(dict(trained.fitted.weights))
    card = plan.card.model_copy(update=_record(plan, trained))
    place = staging.path(plan.outputs["model"])
    save_bundle(place, network, card)
    if not parts.validation:
        told.warn("nothing was kept for validation: how good the model is, nobody knows; see data.validation")
        return card, None
    judged = validate(plan, parts, place, told)
    if judged.threshold():
        card = card.model_copy(update=judged.threshold())
        save_bundle(place, network, card)
        judged = validate(plan, parts, place, told)
    card = card.model_copy(update={"metrics": judged.metrics(plan.options.loop.keep)})
    save_bundle(place, network, card)
    evaluation = judged.evaluation.model_copy(update={"card": card})
    for path in _reports(plan, staging):
        write_report(path, evaluation, judged.exhibits, trained.fitted.history)
    return card, evaluation


def _reports(plan: TrainPlan, staging: Staging) -> list[Path]:
    asked = [staging.path(plan.outputs["report"])] if "report" in plan.outputs else []
    return [plan.folder / REPORT, *asked]


def _record(plan: TrainPlan, trained: Trained) -> dict[str, Any]:
    """What the card says of the run: data and source."""
    base, loop = plan.base, plan.options.loop
    own = tuple(
        f"{scene.name}, labels {Path(one.labels.path).name}"
        for scene, one in zip(plan.scenes, plan.job.scenes, strict=True)
        if one.use != "validation"
    )
    data = plan.options.about.training_data or (*(base.card.training_data if base else ()), *own)
    source = (
        f"geoseg {geoseg.__version__}, {trained.fitted.step} steps of {loop.batch_size * loop.accumulate} windows of "
        f"{plan.options.data.crop_size} pixels; from {trained.origin}"
    )
    command = f"; {without_secrets(plan.job.command)}" if plan.job.command else ""
    kept = base.card.threshold if base is not None and plan.card.kind != "semantic" else None
    return {"training_data": data, "source": source + command, "metrics": (), "threshold": kept}
