"""A model, or a map made anywhere, compared with labels: the plan and the run."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassSet
from geoseg.core.protocols import Progress, Silent
from geoseg.core.values import Decision
from geoseg.errors import LabelError, RegionError
from geoseg.evaluation.compare import Comparison, Found, compare_scene
from geoseg.evaluation.counts import SceneCounts
from geoseg.evaluation.figures import Evaluation, SceneFigures
from geoseg.evaluation.mapped import with_strange
from geoseg.evaluation.rasters import on_grid_of
from geoseg.evaluation.report import Exhibit, exhibits, write_report
from geoseg.evaluation.summary import figures
from geoseg.io.labels import Labels, is_vector
from geoseg.io.outputs import Staging, check_outputs, writing
from geoseg.io.region import RegionMask, read_region
from geoseg.io.scene import Scene, SceneSource, open_scene
from geoseg.jobs.fitting import grid_for
from geoseg.jobs.labelled import read_all, read_files
from geoseg.jobs.parts import LabelledSpec, RegionSpec
from geoseg.jobs.redact import without_secrets
from geoseg.jobs.result import Result
from geoseg.jobs.spec import EvaluateJob, PredictJob, job_of
from geoseg.tasks import get_task

if TYPE_CHECKING:
    from geoseg.models import LoadedModel

EXHIBITS = 8  # best and worst places, of all scenes together, and two of each scene at least
PICTURED = 20  # scenes that are shown, at most


@dataclass(frozen=True, slots=True)
class Subject:
    """A labelled scene that can be compared: with what a model makes of it, or with `prediction`.

    `aoi` is a vector file of the part that is looked at, in place of the job's region.
    """

    scene: Scene
    labels: Labels
    prediction: str | None
    aoi: str | None = None


@dataclass(frozen=True, slots=True)
class EvaluatePlan:
    """An evaluation that can run: scenes and labels are open, and the model fits them. `card` is the model's."""

    job: EvaluateJob
    subjects: tuple[Subject, ...]
    classes: ClassSet
    card: ModelCard | None
    reference: str | None
    outputs: dict[str, Path]
    model: LoadedModel | None = None

    def describe(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        return {
            "geoseg": geoseg.__version__,
            "kind": self.job.kind,
            "model": None if self.card is None else {"name": self.card.name, "version": self.card.version},
            "scenes": [{**_facts(subject), "prediction": subject.prediction} for subject in self.subjects],
            "classes": [c.name for c in self.classes.without_separator().foreground],
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
            "tiles": {"planned": len(self.subjects)},
        }


def plan_evaluate(job: EvaluateJob, model: LoadedModel | None = None) -> EvaluatePlan:
    """The job's plan. `model` is used instead of the one that the job names, when it is loaded already.

    Raises InputError of every kind: SceneError, LabelError, BandError, ResolutionError, ModelError, OutputError.
    """
    card, reference = _model(job, model)
    read = [path for one in job.scenes for path in read_files(one)]
    asked = {"report": job.output.report, "figures": job.output.figures}
    outputs = check_outputs(asked, job.output.overwrite, [*read, *job.predictions])
    scenes = [open_scene(SceneSource(**dict(one.scene))) for one in job.scenes]
    if card is not None:
        for scene in scenes:
            scene.bidx_for(card.bands)
            grid_for(scene, card, _predict_job(job, job.scenes[0], reference or "", {}))
    labels, classes = read_all(job.scenes, scenes, card.classes if card else None)
    for path, scene in zip(job.predictions, scenes, strict=False):
        classes = with_strange(_there(path), scene, classes) if is_vector(_there(path)) else classes
    predictions: Sequence[str | None] = job.predictions or [None] * len(scenes)
    subjects = tuple(
        Subject(scene, _inside(job, one, scene), prediction)
        for scene, one, prediction in zip(scenes, labels, predictions, strict=True)
    )
    return EvaluatePlan(job, subjects, classes, card, reference, outputs, model)


def run_evaluate(plan: EvaluatePlan, progress: Progress | None = None) -> Result:
    """Carry out a plan. Raises ReadError, WriteError, ModelError; then, and on Ctrl-C, no output is left."""
    told = progress or Silent()
    told.plan(plan.describe())
    started = time.monotonic()
    with Staging(plan.outputs.values(), plan.job.output.overwrite) as staging, _scratch() as folder:
        evaluation, exhibits = compared(plan, folder, told)
        told.stage("writing")
        for kind, path in plan.outputs.items():
            if kind == "figures":
                with writing(path):
                    staging.path(path).write_text(evaluation.model_dump_json(indent=1), encoding="utf-8")
            else:
                write_report(staging.path(path), evaluation, exhibits, named=path)
        staging.commit()
    summary = {
        "outputs": {kind: str(path) for kind, path in plan.outputs.items()},
        "evaluation": evaluation.model_dump(mode="json"),
        "seconds": round(time.monotonic() - started, 2),
        "warnings": list(evaluation.warnings),
    }
    return Result(dict(plan.outputs), summary, classes=plan.classes)


def compared(plan: EvaluatePlan, folder: Path, told: Progress) -> tuple[Evaluation, list[Exhibit]]:
    """The evaluation of all subjects, and pictures of them; maps that have to be made first go to `folder`."""
    counted: list[SceneCounts] = []
    found: list[Found] = []
    for number, subject in enumerate(plan.subjects):
        found.append(_found(plan, number, folder / str(number), told))
        told.stage(f"comparing {subject.scene.name}")
        counted.append(compare_scene(subject.scene, subject.labels, found[-1], _comparison(plan, number)))
        told.advance(1, subject.scene.grid.shape[0] * subject.scene.grid.shape[1])
    evaluation = _evaluation(plan, counted)
    told.stage("drawing")
    return evaluation, list(_exhibits(plan, evaluation.scenes, found))


def _evaluation(plan: EvaluatePlan, counted: Sequence[SceneCounts]) -> Evaluation:
    classes = plan.classes.without_separator()
    total, scenes, calibration = figures(counted, classes, _used_threshold(plan), plan.job.resamples)
    return Evaluation(
        geoseg=geoseg.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=without_secrets(plan.job.command) if plan.job.command else None,
        subject=without_secrets(plan.reference or ", ".join(plan.job.predictions)),
        card=plan.card,
        classes=classes,
        total=total,
        scenes=tuple(scene.model_copy(update={"facts": _public(scene.facts)}) for scene in scenes),
        calibration=calibration,
        settings=_settings(plan),
        warnings=tuple(_warnings(plan)),
    )


def _model(job: EvaluateJob, model: LoadedModel | None) -> tuple[ModelCard | None, str | None]:
    if job.predictions:
        return None, None
    from geoseg.models import read_card, resolve

    reference = job.model or get_task(job.task or "").default_model()
    return (model.card if model else read_card(resolve(reference))), reference


def _there(path: str) -> Path:
    """The path of a map. Raises LabelError where there is none."""
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise LabelError(f"{path}: there is no such file; expected a map: polygons, or a raster of classes")
    return Path(path)


def _inside(job: EvaluateJob, labels: Labels, scene: Scene) -> Labels:
    """The labels, known only where the job looks."""
    asked = job.region
    if asked.aoi is None and asked.bounds is None:
        return labels
    region = read_region(asked.aoi, asked.bounds, asked.bounds_crs, scene)
    return replace(labels, area=region if labels.area is None else both(labels.area, region))


def both(first: RegionMask, second: RegionMask) -> RegionMask:
    """The ground that lies in both regions."""
    shared = shapely.intersection(shapely.union_all(first.polygons), shapely.union_all(second.polygons))
    parts = shapely.get_parts(shapely.get_parts(shared))
    ground = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    if not len(ground):
        raise RegionError("the region and the labelled area have no ground in common; choose another region")
    return RegionMask(ground)


def _found(plan: EvaluatePlan, index: int, folder: Path, told: Progress) -> Found:
    """What there is to be compared with a subject's labels, made in `folder` where it has to be."""
    subject = plan.subjects[index]
    classes = plan.classes.without_separator()
    folder.mkdir()
    if subject.prediction is None:
        return _predicted(plan, index, folder, told)
    path = Path(subject.prediction)
    if is_vector(path):
        return Found(raster=None, scores=None, vector=path, classes=classes)
    return _of_raster(subject, path, folder, classes)


def _predicted(plan: EvaluatePlan, index: int, folder: Path, told: Progress) -> Found:
    """The model's class raster and polygons of a scene, and its scores where it tells one class from the background."""
    from geoseg.jobs.plan import plan as plan_predict
    from geoseg.jobs.run import run as run_predict
    from geoseg.models import load_model

    model = plan.model or load_model(plan.reference or "")
    told.stage(f"predicting {plan.subjects[index].scene.name}")
    output: dict[str, Any] = {"raster": str(folder / "classes.tif"), "native_grid": True}
    card = model.card
    if any(c.kind == "thing" for c in card.classes.foreground):
        output["vector"] = str(folder / "polygons.gpkg")
    binary = card.kind == "semantic" and len(card.classes.classes) == 2 and card.classes.background is not None
    if binary:
        output["scores"] = str(folder / "scores.tif")
    job = _predict_job(plan.job, plan.job.scenes[index], plan.reference or "", output)
    if plan.subjects[index].aoi is not None:
        job = job.model_copy(update={"region": RegionSpec(aoi=plan.subjects[index].aoi)})
    result = run_predict(plan_predict(job, model), Silent())
    for message in result.summary["warnings"]:
        told.warn(message)
    kept = {kind: Path(path) if path else None for kind, path in output.items() if kind != "native_grid"}
    return Found(
        raster=kept["raster"],
        scores=kept.get("scores"),
        vector=kept.get("vector"),
        classes=card.classes.without_separator(),
    )


def _predict_job(job: EvaluateJob, one: LabelledSpec, reference: str, output: dict[str, Any]) -> PredictJob:
    return job_of(
        PredictJob,
        {
            "scene": one.scene,
            "task": job.task,
            "model": reference,
            "inference": job.inference,
            "stretch": job.stretch,
            "postprocess": job.postprocess,
            "region": job.region.model_copy(update={"clip": False}),
            "output": output,
        },
    )


def _of_raster(subject: Subject, path: Path, folder: Path, classes: ClassSet) -> Found:
    """A class raster brought onto the scene's grid, and the polygons of its things."""
    raster = folder / "classes.tif"
    on_grid_of(path, subject.scene, classes, raster)
    if not any(c.kind == "thing" for c in classes.foreground):
        return Found(raster=raster, scores=None, vector=None, classes=classes)
    vector = folder / "polygons.gpkg"
    names = {c.id: c.name for c in classes.classes}
    geoseg.vectorize(raster, vector, options={"mask": {"names": names}})
    return Found(raster=raster, scores=None, vector=vector, classes=classes)


def _comparison(plan: EvaluatePlan, number: int) -> Comparison:
    return Comparison(
        min_area_m2=plan.job.min_area_m2,
        blank=plan.job.scenes[number].labels.blank,
        bidx=None if plan.card is None else plan.subjects[number].scene.bidx_for(plan.card.bands),
    )


def _used_threshold(plan: EvaluatePlan) -> float:
    if plan.card is None:
        return 0.5
    return Decision.of(plan.card, plan.job.inference.threshold).threshold or 0.5


def _settings(plan: EvaluatePlan) -> dict[str, Any]:
    told = plan.job.model_dump(
        mode="json", exclude_defaults=True, include={"inference", "stretch", "postprocess", "region", "min_area_m2"}
    )
    return {**told, "resamples": plan.job.resamples}


def _warnings(plan: EvaluatePlan) -> Iterator[str]:
    """What a reader of the figures should know before believing them."""
    if plan.card is None:
        return
    for subject in plan.subjects:
        name = subject.scene.name
        if subject.aoi is not None:  # ground that was kept from training
            continue
        for text in plan.card.training_data:
            if text == name or text.startswith(f"{name},"):
                yield f"{name} is among what the model was trained on ({text}): its figures flatter"


def _public(facts: Any) -> Any:
    """Facts without what must not leave the machine in URLs."""
    if isinstance(facts, str):
        return without_secrets(facts)
    if isinstance(facts, Mapping):
        return {name: _public(value) for name, value in facts.items()}
    return [_public(value) for value in facts] if isinstance(facts, list | tuple) else facts


def _facts(subject: Subject) -> dict[str, Any]:
    scene = subject.scene
    return {
        "name": scene.name,
        "shape": list(scene.grid.shape),
        "crs": str(scene.grid.crs) if scene.grid.crs else None,
        "resolution_m": scene.resolution,
        "labels": _public(subject.labels.facts),
    }


def _exhibits(plan: EvaluatePlan, scenes: Sequence[SceneFigures], found: Sequence[Found]) -> Iterator[Exhibit]:
    """Pictures of the scenes with the lowest accuracy, and of each its worst and best places."""
    order = sorted(range(len(scenes)), key=lambda i: scenes[i].scores.pixel_accuracy.value or 0.0)
    shown = set(order[:PICTURED])
    each = max(2, EXHIBITS // len(shown))
    for number in sorted(shown):
        subject = plan.subjects[number]
        yield from exhibits(subject.scene, subject.labels, found[number], scenes[number], each)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="geoseg-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
