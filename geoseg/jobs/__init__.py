"""Jobs: what is asked for, the plan, the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.jobs.spec import PredictJob, job_from

if TYPE_CHECKING:
    from geoseg.core.protocols import Progress
    from geoseg.jobs.result import Result
    from geoseg.models import LoadedModel

__all__ = ["PredictJob", "predict"]


def predict(
    scene: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    model: LoadedModel | str | Path | None = None,
    *,
    scene_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """The result of predicting a scene: a file, several files of one mosaic, or a mapping of band names to files.

    `model` is what `load_model` returned, a packaged model's name or a bundle's path. `scene_options` are the other
    fields of `SceneSpec` (bidx, band_names, sensor, nodata, resolution), `options` the other fields of `PredictJob`:
    task, region, inference, stretch, postprocess, output, on_bad_block. Without output the polygons go to a temporary
    folder that the result owns and removes.
    Raises InputError for whatever is wrong with the job, ReadError and WriteError while it runs.
    """
    from geoseg.jobs.plan import plan
    from geoseg.jobs.run import run

    named = None if model is None else str(model) if isinstance(model, str | Path) else str(model.path)
    output = dict(options.pop("output", {}))
    folder = None
    if not {"vector", "raster", "scores", "preview"} & set(output):
        folder = Path(tempfile.mkdtemp(prefix="geoseg-"))
        output["vector"] = str(folder / "polygons.gpkg")
    values = {"scene": _scene(scene, scene_options or {}), "model": named, "output": output, **options}
    loaded = None if model is None or isinstance(model, str | Path) else model
    try:
        result = run(plan(job_from(values), loaded), progress)
    except BaseException:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    result.folder = folder
    return result


def _scene(scene: str | Path | Sequence[str | Path] | Mapping[str, str | Path], more: Mapping[str, Any]) -> Any:
    if isinstance(scene, Mapping):
        return {**more, "bands": {name: str(path) for name, path in scene.items()}}
    paths = [scene] if isinstance(scene, str | Path) else scene
    return {**more, "paths": [str(path) for path in paths]}
