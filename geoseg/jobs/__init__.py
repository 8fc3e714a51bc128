"""Jobs: what is asked for, the plan, the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import InputError
from geoseg.jobs.spec import PredictJob, VectorizeJob, job_of

if TYPE_CHECKING:
    from geoseg.core.protocols import Progress
    from geoseg.jobs.result import Result
    from geoseg.models import LoadedModel

__all__ = ["PredictJob", "VectorizeJob", "predict", "vectorize"]

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
    named = None if model is None else str(model) if isinstance(model, str | Path) else str(model.path)
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
