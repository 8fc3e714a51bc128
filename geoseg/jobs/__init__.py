"""Jobs: what is asked for, the plan, the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import InputError
from geoseg.jobs.spec import EvaluateJob, PredictJob, TrainJob, VectorizeJob, job_of

if TYPE_CHECKING:
    from geoseg.core.protocols import Progress
    from geoseg.evaluation.figures import Evaluation
    from geoseg.jobs.result import Result
    from geoseg.models import LoadedModel

__all__ = ["EvaluateJob", "PredictJob", "TrainJob", "VectorizeJob", "evaluate", "predict", "train", "vectorize"]

Files = str | Path | Sequence[str | Path]
OUTPUTS = ("vector", "raster", "scores", "preview")


def predict(
    scene: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    model: LoadedModel | str | Path | None = None,
    *,
    task: str | None = None,
    output: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Result:
    """The result of predicting a scene: a file, several files of one mosaic, or a mapping of band names to files.

    `model` is what `load_model` returned, a packaged model's name or a bundle's path; without it the `task`'s own model
    is taken. `output` has the fields of `OutputSpec` (vector, raster, scores, preview, ...); without any of these four
    the polygons go to a temporary folder that the result owns and removes. `options` are the other fields of
    `PredictJob`, each a mapping: scene (bidx, nodata, ...), region, inference, stretch, postprocess; and on_bad_block.
    Raises InputError for whatever is wrong with the job, ReadError and WriteError while it runs.
    """
    from geoseg.jobs.plan import plan
    from geoseg.jobs.run import run

    more = dict(options or {})
    named = None if model is None else _named(model)
    scene_values = {**more.pop("scene", {}), **_files(scene)}
    values: dict[str, Any] = {"scene": scene_values, "task": task, "model": named, "output": dict(output or {}), **more}
    loaded = None if model is None or isinstance(model, str | Path) else model

    def result_in(path: str | Path | None) -> Result:
        values["output"] = {**values["output"], "vector": str(path)} if path else values["output"]
        return run(plan(job_of(PredictJob, values), loaded), progress)

    asked = any(values["output"].get(kind) for kind in OUTPUTS)
    return result_in(None) if asked else _temporary(result_in)


def vectorize(
    raster: str | Path,
    output: str | Path | None = None,
    *,
    postprocess: str | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Result:
    """The polygons or lines of a raster of classes, or of scores, made anywhere.

    They go to the file `output`, without it to a temporary folder that the result owns and removes. `postprocess` is a
    task's name, "none" or None for exact polygons. `options` are the other fields of `VectorizeJob`, each a mapping:
    mask (bidx, background, threshold, scores, instances, ...), region, postprocess, output (dst_crs, overwrite); and
    threads. Raises InputError for whatever is wrong with the job, ReadError and WriteError while it runs.
    """
    from geoseg.jobs.vectorization import plan_vectorize, run_vectorize

    more = dict(options or {})
    values = {
        "mask": {"path": str(raster), **more.pop("mask", {})},
        "postprocess": {"preset": postprocess, **more.pop("postprocess", {})},
        **more,
    }

    def result_in(path: str | Path) -> Result:
        job = job_of(VectorizeJob, {**values, "output": {**values.get("output", {}), "vector": str(path)}})
        return run_vectorize(plan_vectorize(job), progress)

    return result_in(output) if output is not None else _temporary(result_in)


def train(
    images: Files,
    labels: Files,
    output: str | Path,
    *,
    base: LoadedModel | str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Result:
    """The result of training a model on scenes and their labels, one file of labels for each scene, in that order.

    The bundle goes to `output`, the run (checkpoint, log, pictures, report) to a folder beside it. `base` is the model
    to start from; without it an architecture is started (`options["model"]`). `options` are the other fields of
    `TrainJob`, each a mapping: model, about, data, augmentation, loss, loop, distillation, adaptation, output. Raises
    InputError for whatever is wrong with the job, TrainingError, ReadError and WriteError while it runs.
    """
    from geoseg.jobs.training import plan_train, run_train

    more = dict(options or {})
    model = {**more.pop("model", {}), **({} if base is None else {"base": _named(base)})}
    values = {
        "scenes": _labelled(images, labels),
        "model": model,
        "output": {**more.pop("output", {}), "model": str(output)},
        **more,
    }
    return run_train(plan_train(job_of(TrainJob, values)), progress)


def evaluate(
    images: Files,
    labels: Files,
    model: LoadedModel | str | Path | None = None,
    *,
    predictions: Files | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """What a model, or `predictions` (polygons or class rasters made anywhere), are worth on labelled scenes.

    One file of labels, and of predictions, for each scene, in that order. `options` are the other fields of
    `EvaluateJob`: region, inference, stretch, postprocess, output (report, figures, overwrite), each a mapping, task,
    min_area_m2 and resamples. Raises InputError for whatever is wrong with the job, ReadError and WriteError.
    """
    from geoseg.evaluation.figures import Evaluation
    from geoseg.jobs.evaluating import plan_evaluate, run_evaluate

    loaded = None if model is None or isinstance(model, str | Path) else model
    values = {
        "scenes": _labelled(images, labels),
        "model": None if model is None else _named(model),
        "predictions": [] if predictions is None else _listed(predictions),
        **dict(options or {}),
    }
    result = run_evaluate(plan_evaluate(job_of(EvaluateJob, values), loaded), progress)
    return Evaluation.model_validate(result.summary["evaluation"])


def _named(model: LoadedModel | str | Path) -> str:
    return str(model) if isinstance(model, str | Path) else str(model.path)


def _listed(files: Files) -> list[str]:
    return [str(file) for file in ([files] if isinstance(files, str | Path) else files)]


def _labelled(images: Files, labels: Files) -> list[dict[str, Any]]:
    scenes, known = _listed(images), _listed(labels)
    if len(scenes) != len(known):
        raise InputError(
            f"labels: found {len(known)} files for {len(scenes)} scenes; expected one for each, in the same order"
        )
    return [{"scene": {"paths": [scene]}, "labels": {"path": path}} for scene, path in zip(scenes, known, strict=True)]


def _temporary(result_in: Callable[[str | Path], Result]) -> Result:
    """The result of a job whose polygons go to a temporary folder that the result owns."""
    folder = Path(tempfile.mkdtemp(prefix="geoseg-"))
    try:
        result = result_in(folder / "polygons.gpkg")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    result.folder = folder
    return result


def _files(scene: Any) -> dict[str, Any]:
    if isinstance(scene, Mapping):
        return {"bands": {str(name): str(path) for name, path in scene.items()}}
    paths = [scene] if isinstance(scene, str | Path) else scene
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | Path) for path in paths):
        raise InputError(f"scene: found {scene!r}; expected a path, several paths, or a mapping of band names to paths")
    return {"paths": [str(path) for path in paths]}
