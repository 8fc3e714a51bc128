"""The job description: what the command line builds, what `geoseg run` runs, what a cluster carries."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from geoseg.errors import SpecError
from geoseg.jobs.parts import (
    InferenceSpec,
    LabelledSpec,
    MaskSpec,
    NotNegative,
    OutputSpec,
    Part,
    PostprocessSpec,
    RegionSpec,
    ReportSpec,
    SceneSpec,
    StretchSpec,
    TrainOutputSpec,
    VectorOutputSpec,
)
from geoseg.training.options import Training


class _Job(Part):
    """What every job has: `command` is what somebody typed for it, for the record."""

    command: str | None = None


class PredictJob(_Job):
    """Predict one scene. `model` is a packaged name, a file or a hub's reference; without it the task's own is taken.

    `command` is what was typed for it, for the record.
    """

    kind: Literal["predict"] = "predict"
    scene: SceneSpec
    task: str | None = None
    model: str | None = None
    region: RegionSpec = RegionSpec()
    inference: InferenceSpec = InferenceSpec()
    stretch: StretchSpec = StretchSpec()
    postprocess: PostprocessSpec = PostprocessSpec()
    output: OutputSpec = OutputSpec()
    on_bad_block: Literal["error", "nodata"] = "error"

    @model_validator(mode="after")
    def _model_known(self) -> PredictJob:
        if self.task is None and self.model is None:
            raise ValueError("give --task or --model")
        return self


class VectorizeJob(_Job):
    """Turn a raster of classes or scores into polygons or lines. `command` is what was typed for it, for the record."""

    kind: Literal["vectorize"] = "vectorize"
    mask: MaskSpec
    region: RegionSpec = RegionSpec()
    postprocess: PostprocessSpec = PostprocessSpec()
    output: VectorOutputSpec
    threads: Annotated[int, Field(ge=1)] | None = None


class TrainJob(_Job, Training):
    """Train a model on labelled scenes. `command` is what was typed for it, for the record."""

    kind: Literal["train"] = "train"
    scenes: Annotated[tuple[LabelledSpec, ...], Field(min_length=1)]
    output: TrainOutputSpec


class EvaluateJob(_Job):
    """Compare a model, or `predictions` made anywhere (polygons or a class raster, one a scene), with labels.

    `min_area_m2` leaves smaller objects out of truth and map. Intervals come from `resamples` draws of the squares that
    a scene is cut into. `command` is what was typed for it, for the record.
    """

    kind: Literal["evaluate"] = "evaluate"
    scenes: Annotated[tuple[LabelledSpec, ...], Field(min_length=1)]
    task: str | None = None
    model: str | None = None
    predictions: tuple[str, ...] = ()
    region: RegionSpec = RegionSpec()
    inference: InferenceSpec = InferenceSpec()
    stretch: StretchSpec = StretchSpec()
    postprocess: PostprocessSpec = PostprocessSpec()
    min_area_m2: NotNegative = 0.0
    resamples: Annotated[int, Field(ge=0, le=100_000)] = 1000
    output: ReportSpec = ReportSpec()

    @model_validator(mode="after")
    def _one_subject(self) -> EvaluateJob:
        if self.predictions and (self.model or self.task):
            raise ValueError("give --predictions, or --model or --task, and not both")
        if not (self.predictions or self.model or self.task):
            raise ValueError("give --model, --task or --predictions")
        if self.predictions and len(self.predictions) != len(self.scenes):
            raise ValueError(
                f"found {len(self.predictions)} predictions for {len(self.scenes)} scenes; expected one for each"
            )
        return self


JobSpec = Annotated[PredictJob | VectorizeJob | TrainJob | EvaluateJob, Field(discriminator="kind")]
Job = TypeVar("Job", PredictJob, VectorizeJob, TrainJob, EvaluateJob)
KINDS = ("predict", "vectorize", "train", "evaluate")
_ADAPTER: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


def job_from(values: Any, source: str = "job") -> JobSpec:
    """The job that `values` (parsed JSON) describe, a predict job where they name no kind.

    Raises SpecError naming `source` and every field that is wrong.
    """
    if isinstance(values, Mapping) and "kind" not in values:
        values = {"kind": "predict", **values}
    with _explained(source):
        return _ADAPTER.validate_python(values)


def job_of(kind: type[Job], values: Mapping[str, Any], source: str = "job") -> Job:
    """The job of one kind that `values` describe. Raises SpecError."""
    with _explained(source):
        return kind.model_validate(values)


@contextlib.contextmanager
def _explained(source: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise SpecError(f"{source}: {explain(error)}") from None


def job_from_json(text: str, source: str = "job") -> JobSpec:
    """The job that a JSON text describes. Raises SpecError."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"{source}: not JSON ({error}); `geoseg schema` prints what a job looks like") from None
    return job_from(values, source)


def explain(error: ValidationError) -> str:
    """One line from pydantic's report: each wrong field with what was expected."""
    parts = []
    for item in error.errors():
        place = ".".join(str(p) for p in item["loc"] if p not in KINDS)
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)


def schema() -> dict[str, Any]:
    """The JSON Schema of every job that geoseg runs."""
    return _ADAPTER.json_schema()
