"""Jobs: what is asked for, the plan, the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import InputError
from geoseg.jobs.spec import PredictJob, job_from

if TYPE_CHECKING:
    from geoseg.core.protocols import Progress
    from geoseg.jobs.result import Result
    from geoseg.models import LoadedModel

__all__ = ["PredictJob", "predict"]

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
    values = {"scene": scene_values, "task": task, "model": named, "output": dict(output or {}), **more}
    loaded = None if model is None or isinstance(model, str | Path) else model
    if any(values["output"].get(kind) for kind in OUTPUTS):
        return run(plan(job_from(values), loaded), progress)
    folder = Path(tempfile.mkdtemp(prefix="geoseg-"))
    try:
        values["output"] = {**values["output"], "vector": str(folder / "polygons.gpkg")}
        result = run(plan(job_from(values), loaded), progress)
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
