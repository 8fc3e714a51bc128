"""A model trained on labelled scenes: the plan and the run, from files to a bundle that predicts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.protocols import Progress, Silent
from geoseg.errors import OutputError, SpecError
from geoseg.io.labels import Labels
from geoseg.io.outputs import Staging, check_outputs
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.sources import source_files
from geoseg.jobs.labelled import read_all, read_files
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.result import Result
from geoseg.jobs.spec import TrainJob
from geoseg.jobs.told import Told
from geoseg.training.batch import Batch
from geoseg.training.data import (
    Asked,
    Feeder,
    Ground,
    Plot,
    Regular,
    Role,
    Sampler,
    Split,
    class_frequencies,
    prepare,
    resolutions_for,
    split,
    validation_windows,
)
from geoseg.training.drafting import draft
from geoseg.training.options import Training

if TYPE_CHECKING:
    from geoseg.evaluation.figures import Evaluation
    from geoseg.models import LoadedModel
    from geoseg.training.fitting import Fitted

RUN = ".run"  # the folder of a run is called like its model, with this ending
GROUND = "ground"  # in it: scenes and labels as arrays
REPORT = "report.html"
LOOKED_AT = 96  # windows of a validation, at most


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """A run that can begin: scenes and labels are open, and `card` says what will be trained.

    `options` are the recipe's with what was left open filled in. `folder` is the run's.
    """

    job: TrainJob
    options: Training
    scenes: tuple[Scene, ...]
    labels: tuple[Labels, ...]
    unlabelled: tuple[Scene, ...]
    card: ModelCard
    base: LoadedModel | None
    outputs: dict[str, Path]
    folder: Path

    @property
    def resolutions(self) -> tuple[float, float]:
        """Metres per pixel between which windows are drawn."""
        return resolutions_for(self.options.data, self.card)

    def describe(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        loop, data = self.options.loop, self.options.data
        return {
            "geoseg": geoseg.__version__,
            "kind": self.job.kind,
            "model": {
                "name": self.card.name,
                "kind": self.card.kind,
                "architecture": self.card.architecture,
                "arguments": self.card.arguments,
                "base": None if self.base is None else f"{self.base.card.name} {self.base.card.version}",
                "bands": list(self.card.bands),
                "classes": [c.name for c in self.card.classes.classes],
                "resolution_m": self.card.resolution,
            },
            "scenes": [
                {
                    "name": scene.name,
                    "shape": list(scene.grid.shape),
                    "resolution_m": scene.resolution,
                    "use": one.use,
                    "labels": dict(known.facts),
                }
                for scene, known, one in zip(self.scenes, self.labels, self.job.scenes, strict=True)
            ],
            "windows": {"size": data.crop_size, "resolutions_m": list(self.resolutions), "batch_size": loop.batch_size},
            "steps": None if loop.minutes else loop.steps,
            "minutes": loop.minutes,
            "tiles": {"planned": loop.steps},
            "run": str(self.folder),
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }


def plan_train(job: TrainJob) -> TrainPlan:
    """The job's plan. Raises InputError of every kind: SceneError, LabelError, BandError, ModelError, OutputError."""
    output = job.output
    read = [path for one in job.scenes for path in read_files(one)]
    adaptation = job.adaptation.images if job.adaptation else ()
    outputs = check_outputs(
        {"model": output.model, "report": output.report},
        output.overwrite,
        [*read, *source_files(adaptation), *([job.model.base] if job.model.base else [])],
    )
    folder = Path(output.run) if output.run else Path(output.model).with_suffix(RUN)
    _check_run(folder, outputs["model"])
    scenes = [open_scene(SceneSource(**dict(one.scene))) for one in job.scenes]
    base = _base(job)
    known = base.card.classes if base and job.model.classes is None else _given(job)
    labels, classes = read_all(job.scenes, scenes, known)
    options = Training(**{name: getattr(job, name) for name in Training.model_fields})
    card = draft(options, base.card if base else None, classes, scenes, Path(output.model).stem)
    others = [open_scene(path) for path in adaptation]
    for scene in (*scenes, *others):
        scene.bidx_for(card.bands)
    return TrainPlan(job, options, tuple(scenes), tuple(labels), tuple(others), card, base, outputs, folder)


def run_train(plan: TrainPlan, progress: Progress | None = None) -> Result:
    """Carry out a plan: train, validate, write the bundle. Raises what reading, training and writing raise.

    What an interruption leaves is the run's folder, from which the same job with `resume` goes on.
    """
    told = Told(progress or Silent())
    started = time.monotonic()
    told.progress.plan(plan.describe())
    told.stage("preparing")
    parts = _split(plan, told)
    fitted, origin = _fit(plan, parts, told)
    with Staging(plan.outputs.values(), plan.job.output.overwrite) as staging:
        card, evaluation = _written(plan, parts, fitted, origin, staging, told)
        staging.commit()
    shutil.rmtree(plan.folder / GROUND, ignore_errors=True)
    summary = {
        "outputs": {kind: str(path) for kind, path in plan.outputs.items()},
        "run": str(plan.folder),
        "start": origin,
        "steps": fitted.step,
        "best": dict(fitted.best),
        "waited": fitted.waited,
        "threshold": card.threshold,
        "split": list(parts.facts),
        "metrics": [metric.model_dump() for metric in card.metrics],
        "evaluation": None if evaluation is None else evaluation.model_dump(mode="json"),
        "seconds": round(time.monotonic() - started, 2),
        "warnings": told.warnings,
    }
    return Result(dict(plan.outputs), summary, classes=card.classes)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Batches of a sampler, drawn ahead by threads."""

    sampler: Sampler
    readers: int

    def __call__(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of these numbers, in order."""
        return Feeder(self.sampler.draw, first, last, self.readers)


@dataclass(frozen=True, slots=True)
class Kept:
    """The windows that are kept for validation."""

    plots: tuple[Plot, ...]
    regular: Regular

    def __call__(self) -> Iterator[Batch]:
        """All of them, the same ones each time."""
        return validation_windows(self.plots, self.regular)


def _check_run(folder: Path, model: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: found a file; expected a folder for the run of {model}; name another (--run)")


def _base(job: TrainJob) -> LoadedModel | None:
    """The model that training starts from. Raises SpecError where it is another architecture than the recipe's."""
    if job.model.base is None:
        return None
    from geoseg.models import load_model

    base = load_model(job.model.base)
    if base.backend != "torch":
        raise SpecError(
            f"{job.model.base}: found a model in the format {base.backend}, which cannot be trained; expected a bundle "
            "(.safetensors): import it with `geoseg models import`, or start from an architecture"
        )
    asked = job.model.architecture
    if asked is not None and asked != base.card.architecture:
        raise SpecError(
            f"model.architecture: found {asked!r} beside the base {base.card.name}, which is {base.card.architecture}; "
            "leave one of them out"
        )
    return base


def _given(job: TrainJob) -> Any:
    if job.model.classes is None:
        return None
    from geoseg.core.classes import ClassSet

    first = job.model.classes[0].id
    return ClassSet(classes=job.model.classes, background=first)


def _split(plan: TrainPlan, told: Told) -> Split:
    """Scenes and labels as arrays, and what training may see of them."""
    data = plan.options.data
    asked = Asked(plan.card, plan.resolutions, data.crop_size, plan.folder / GROUND)
    plan.folder.mkdir(parents=True, exist_ok=True)
    grounds: list[Ground] = []
    for scene, labels, one in zip(plan.scenes, plan.labels, plan.job.scenes, strict=True):
        grounds.append(prepare(scene, labels, asked, Role(one.use, one.weight, one.labels.blank)))
    grounds += [prepare(scene, None, asked) for scene in plan.unlabelled]
    parts = split(grounds, data, data.crop_size * plan.card.resolution, plan.options.loop.seed)
    for message in parts.warnings:
        told.warn(message)
    return parts


def _fit(plan: TrainPlan, parts: Split, told: Told) -> tuple[Fitted, str]:
    from geoseg.models import load_model
    from geoseg.training.fitting import Course, fit
    from geoseg.training.starting import start

    options, output = plan.options, plan.job.output
    loop, data = options.loop, options.data
    network, origin = start(plan.card, options.model, plan.base, loop.seed)
    told.note({"start": origin})

    def sampled(plots: Sequence[Plot], seed: int) -> Drawn:
        return Drawn(Sampler(plots, plan.card, data, loop.batch_size, seed), data.readers)

    regular = Regular(plan.card.resolution, data.crop_size, loop.batch_size, LOOKED_AT)
    course = Course(
        card=plan.card,
        network=network,
        options=options,
        folder=plan.folder,
        batches=sampled(parts.training, loop.seed),
        validation=Kept(parts.plots, regular) if parts.validation else None,
        unlabelled=sampled(parts.unlabelled, loop.seed + 1) if parts.unlabelled else None,
        teacher=load_model(options.distillation.teacher) if options.distillation else None,
        class_pixels=class_frequencies(parts.training, plan.card),
        data={plot.ground.name: plot.ground.folder.name for plot in parts.plots},
        existing="resume" if output.resume else "replace" if output.overwrite else "refuse",
    )
    return fit(course, told), origin


def _written(
    plan: TrainPlan, parts: Split, fitted: Fitted, origin: str, staging: Staging, told: Told
) -> tuple[ModelCard, Evaluation | None]:
    """The card as it was written with the weights, and what validation found."""
    from geoseg.evaluation.report import write_report
    from geoseg.jobs.validating import validate
    from geoseg.models import network_of, save_bundle

    network = network_of(plan.card)
    network.load_state_dict(dict(fitted.weights))
    card = plan.card.model_copy(update=_record(plan, fitted, origin))
    place = staging.path(plan.outputs["model"])
    save_bundle(place, network, card)
    if not parts.validation:
        told.warn("nothing was kept for validation: how good the model is, nobody knows; see data.validation")
        _no_report(plan)
        return card, None
    judged = validate(plan, parts, place, told)
    card = card.model_copy(update={"metrics": judged.metrics(), **judged.threshold()})
    save_bundle(place, network, card)
    reports = [plan.folder / REPORT]
    if "report" in plan.outputs:
        reports.append(staging.path(plan.outputs["report"]))
    for path in reports:
        write_report(path, judged.evaluation.model_copy(update={"card": card}), judged.exhibits, fitted.history)
    return card, judged.evaluation


def _no_report(plan: TrainPlan) -> None:
    if "report" in plan.outputs:
        raise SpecError(
            f"{plan.outputs['report']}: found no ground that is kept for validation; a report needs some: leave the "
            "report out, or raise data.validation"
        )


def _record(plan: TrainPlan, fitted: Fitted, origin: str) -> dict[str, Any]:
    """What the card says of the run: data, credit and source."""
    about, base = plan.options.about, plan.base
    own = tuple(
        f"{scene.name}, labels {Path(one.labels.path).name}"
        for scene, one in zip(plan.scenes, plan.job.scenes, strict=True)
        if one.use != "validation"
    )
    data = about.training_data or (*(base.card.training_data if base else ()), *own)
    loop = plan.options.loop
    source = (
        f"geoseg {geoseg.__version__}, {fitted.step} steps of {loop.batch_size * loop.accumulate} windows of "
        f"{plan.options.data.crop_size} pixels; from {origin}"
    )
    command = f"; {without_secrets(plan.job.command)}" if plan.job.command else ""
    return {"training_data": data, "source": source + command, "metrics": (), "threshold": _kept_threshold(plan)}


def _kept_threshold(plan: TrainPlan) -> float | None:
    return plan.base.card.threshold if plan.base is not None and plan.card.kind != "semantic" else None
