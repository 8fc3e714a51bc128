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
from geoseg.core.classes import ClassSet
from geoseg.core.protocols import Progress, Silent
from geoseg.core.values import Stretch
from geoseg.errors import OutputError, SpecError
from geoseg.io.labels import Labels
from geoseg.io.outputs import Staging, check_outputs, writing
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.io.sources import source_files
from geoseg.jobs.finishing import Trained, written
from geoseg.jobs.labelled import read_all, read_files
from geoseg.jobs.parts import StretchSpec, TrainOutputSpec
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.result import Result
from geoseg.jobs.spec import TrainJob
from geoseg.jobs.told import Told
from geoseg.jobs.values import stretch_for
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
    from geoseg.models import LoadedModel
    from geoseg.training.fitting import Fitted

RUN = ".run"  # the folder of a run is called like its model, with this ending
GROUND = "ground"  # in it: scenes and labels as arrays
RECORD = "job.json"  # in it: the job, by which a folder is known to be a run's
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
    _check_run(folder, output)
    scenes = [open_scene(SceneSource(**dict(one.scene))) for one in job.scenes]
    base = _base(job)
    known = base.card.classes if base and job.model.classes is None else _given(job)
    labels, classes = read_all(job.scenes, scenes, known)
    options = Training(**{name: getattr(job, name) for name in Training.model_fields})
    card = draft(options, base.card if base else None, classes, scenes, Path(output.model).stem)
    others = [open_scene(path) for path in adaptation]
    for scene in (*scenes, *others):
        scene.bidx_for(card.bands)
    plan = TrainPlan(job, options, tuple(scenes), tuple(labels), tuple(others), card, base, outputs, folder)
    _check_early(plan)
    return plan


def run_train(plan: TrainPlan, progress: Progress | None = None) -> Result:
    """Carry out a plan: train, validate, write the bundle. Raises what reading, training and writing raise.

    What an interruption leaves is the run's folder, from which the same job with `resume` goes on.
    """
    told = Told(progress or Silent())
    started = time.monotonic()
    told.progress.plan(plan.describe())
    told.stage("preparing")
    _begin(plan)
    parts = _split(plan, told)
    if "report" in plan.outputs and not parts.validation:
        raise SpecError(
            f"{plan.outputs['report']}: found no ground that is kept for validation; a report needs some: leave the "
            "report out, or raise data.validation"
        )
    fitted, origin = _fit(plan, parts, told)
    with Staging(plan.outputs.values(), plan.job.output.overwrite) as staging:
        card, evaluation = written(plan, parts, Trained(fitted, origin), staging, told)
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


def _check_run(folder: Path, output: TrainOutputSpec) -> None:
    """Raise OutputError for a folder that is something else, and for a run that nobody asked to go on with."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder}: found a file; expected a folder for the run of {output.model}; name another (--run)"
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / RECORD).exists():
        raise OutputError(
            f"{folder}: found files that are not a run's; expected an empty folder, or one to be made; "
            "name another (--run)"
        )
    if not (output.resume or output.overwrite):
        raise OutputError(
            f"{folder}: holds a run already; expected an empty folder: pass --resume to go on with it, --overwrite to "
            "start anew, or name another folder with --run"
        )


def _begin(plan: TrainPlan) -> None:
    """Make the run's folder and say in it whose it is."""
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.folder}: cannot be made ({error.strerror}); choose another folder (--run)") from error
    with writing(plan.folder / RECORD):
        text = without_secrets(plan.job.model_dump_json(indent=1, exclude_defaults=True))
        (plan.folder / RECORD).write_text(text, encoding="utf-8")


def _check_early(plan: TrainPlan) -> None:
    """Raise now what training would raise once all scenes are decoded."""
    from geoseg.inference.device import choose
    from geoseg.models.network import skeleton_of
    from geoseg.training.losses import class_weights, make_loss

    options, card = plan.options, plan.card
    choose(options.loop.device, options.loop.precision)
    skeleton_of(card)
    if card.finds_objects:
        for labels in plan.labels:
            labels.check_objects()
    if card.kind == "semantic":
        weights = class_weights(options.loss, card.classes, card.channel_ids, {})
        make_loss(options.loss, card.classes, weights, card.activation)


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
    card = base.card
    own = {
        "architecture": card.architecture,
        "encoder": card.arguments.get("encoder"),
        "encoder_weights": None,
    }
    for name, value in own.items():
        asked = getattr(job.model, name)
        if asked is not None and asked != value:
            raise SpecError(
                f"model.{name}: found {asked!r} beside the base {card.name}, whose {name} is {value or 'its own'}; "
                "leave one of them out"
            )
    return base


def _given(job: TrainJob) -> ClassSet | None:
    if job.model.classes is None:
        return None
    try:
        return ClassSet(classes=job.model.classes, background=job.model.classes[0].id)
    except ValueError as error:
        raise SpecError(f"model.classes: {' '.join(str(error).split())}") from error


def _split(plan: TrainPlan, told: Told) -> Split:
    """Scenes and labels as arrays, and what training may see of them."""
    data = plan.options.data
    asked = Asked(plan.card, plan.resolutions, data.crop_size, plan.folder / GROUND)
    grounds: list[Ground] = []
    for scene, labels, one in zip(plan.scenes, plan.labels, plan.job.scenes, strict=True):
        grounds.append(
            prepare(scene, labels, asked, Role(one.use, one.weight, one.labels.blank), _stretch(plan, scene))
        )
    grounds += [prepare(scene, None, asked, None, _stretch(plan, scene)) for scene in plan.unlabelled]
    parts = split(grounds, data, data.crop_size * plan.card.resolution, plan.options.loop.seed)
    for message in parts.warnings:
        told.warn(message)
    return parts


def _stretch(plan: TrainPlan, scene: Scene) -> Stretch | None:
    """How the scene's values are brought to the model's, as `predict` does it."""
    return stretch_for(scene, scene.bidx_for(plan.card.bands), plan.card, StretchSpec())


def _fit(plan: TrainPlan, parts: Split, told: Told) -> tuple[Fitted, str]:
    from geoseg.models import load_model
    from geoseg.training.fitting import Course, fit
    from geoseg.training.starting import start

    options, output = plan.options, plan.job.output
    loop, data = options.loop, options.data
    teacher = load_model(options.distillation.teacher) if options.distillation else None
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
        teacher=teacher,
        class_pixels=class_frequencies(parts.training, plan.card),
        data=_identity(parts, teacher),
        existing="resume" if output.resume else "replace" if output.overwrite else "refuse",
    )
    return fit(course, told), origin


def _identity(parts: Split, teacher: LoadedModel | None) -> dict[str, str]:
    """What the run learns from, by name: a checkpoint is gone on with only where all of it is the same."""
    found = {
        f"{plot.index}: {plot.ground.name}": f"{plot.ground.folder.name} {plot.ground.role} {plot.blocks}"
        for plot in parts.plots
    }
    return found if teacher is None else {**found, "teacher": teacher.sha256}
