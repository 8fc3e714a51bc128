"""What a scene is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geoseg.errors import DeviceMemoryError, InputError, SpecError
from geoseg.io.scene import SceneSource, open_scene
from geoseg.jobs.parts import SceneSpec
from geoseg.jobs.plan import plan as plan_job
from geoseg.jobs.plan import seconds
from geoseg.jobs.spec import PredictJob, explain
from geoseg.models import remedy_for
from geoseg.tasks import TASKS


def scene_info(source: str | Path | Mapping[str, Any] | SceneSpec) -> dict[str, Any]:
    """What the scene is and which tasks fit it, JSON-able: `scene` and `tasks`.

    `source` is a path, or the fields of a SceneSpec. A task that fits comes with what a run would cost: the plan's
    grid, tiles, memory in bytes, and seconds, from one batch that is measured; one that does not with the reason, and
    so does one whose model would have to be fetched first.
    Raises SceneError and SpecError.
    """
    spec = _spec(source)
    scene = open_scene(SceneSource(**dict(spec)))
    tasks = [_fit(spec, name, task.model) for name, task in TASKS.items() if task.model]
    return {"name": scene.name, "scene": scene.info(), "tasks": tasks}


def _spec(source: str | Path | Mapping[str, Any] | SceneSpec) -> SceneSpec:
    if isinstance(source, SceneSpec):
        return source
    try:
        return SceneSpec.model_validate(source if isinstance(source, Mapping) else {"paths": (str(source),)})
    except ValidationError as error:
        raise SpecError(f"scene: {explain(error)}") from None


def _fit(spec: SceneSpec, task: str, model: str) -> dict[str, Any]:
    """Whether a task fits, and what it would cost: the network is run once or twice to know, none is fetched."""
    found: dict[str, Any] = {"task": task, "model": model}
    remedy = remedy_for(model)
    if remedy is not None:
        return {**found, "fits": False, "reason": f"its model is not on this machine; get it with  {remedy}"}
    try:
        plan = plan_job(PredictJob(scene=spec, task=task))
        needed = seconds(plan)
    except (InputError, DeviceMemoryError) as error:
        return {**found, "fits": False, "reason": str(error)}
    described = plan.describe()
    cost = {key: described[key] for key in ("grid", "tiles", "memory_bytes", "device", "precision")}
    return {**found, "fits": True, **cost, "seconds": round(needed, 3)}
