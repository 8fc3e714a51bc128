"""The parts of job descriptions: what goes in, how to compute, what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=0.1, le=8)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """What parts of jobs have in common: frozen, and nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class SceneSpec(Part):
    """What goes in: one file, several files as one mosaic (the first lies on top), or one file a band.

    `bidx` counts from 1, in the model's order. `resolution` states the ground resolution in metres per pixel of a
    scene that does not say it (no CRS). `sensor` gives numbered bands their names.
    """

    paths: tuple[str, ...] = ()
    bands: dict[str, str] = Field(default_factory=dict)
    bidx: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    band_names: tuple[str, ...] | None = None
    sensor: str | None = None
    nodata: float | None = None
    resolution: Positive | None = None

    @model_validator(mode="after")
    def _one_form(self) -> SceneSpec:
        if bool(self.paths) == bool(self.bands):
            raise ValueError("give either scene files or --band NAME=FILE, and not both")
        if self.bidx is not None and self.band_names is not None:
            raise ValueError("give bands by index or by name, and not both")
        return self


class RegionSpec(Part):
    """Where to look: a vector file of polygons, or bounds (left, bottom, right, top) in `bounds_crs` (the scene's)."""

    aoi: str | None = None
    bounds: tuple[Finite, Finite, Finite, Finite] | None = None
    bounds_crs: str | None = None
    clip: bool = False

    @model_validator(mode="after")
    def _one_form(self) -> RegionSpec:
        if self.aoi is not None and self.bounds is not None:
            raise ValueError("give --aoi or --bounds, and not both")
        if self.bounds and not (self.bounds[0] < self.bounds[2] and self.bounds[1] < self.bounds[3]):
            raise ValueError(f"bounds {self.bounds} are empty; expected left bottom right top")
        if self.clip and self.aoi is None and self.bounds is None:
            raise ValueError("--clip needs --aoi or --bounds")
        return self


class InferenceSpec(Part):
    """How to compute: None leaves a value to the model's card or to the machine."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    backend: Literal["auto", "torch", "compile", "onnx", "openvino"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    threads: Annotated[int, Field(ge=1)] | None = None
    tile_size: Annotated[int, Field(ge=1)] | None = None
    overlap: Annotated[int, Field(ge=0)] | None = None
    tta: Literal["none", "flips", "d4"] = "none"
    scales: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=8)] = (1.0,)
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    resolution: Positive | None = None
    any_resolution: bool = False


class StretchSpec(Part):
    """How values outside the model's range are brought into it: by percentiles, by given limits, or not at all."""

    mode: Literal["auto", "none", "percentile", "limits"] = "auto"
    percentiles: tuple[float, float] = (2.0, 98.0)
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _complete(self) -> StretchSpec:
        given = self.low is not None and self.high is not None
        if (self.mode == "limits") != given:
            raise ValueError('stretch limits need mode "limits" with both low and high')
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles {self.percentiles} are not between 0 and 100 in rising order")
        return self


class PostprocessSpec(Part):
    """From class ids to the product, in ground metres; None leaves a value to the preset, 0 switches it off.

    `preset` names the task whose values are taken, "none" leaves polygons exact; without it the job's own task counts.
    `geoseg.tasks.Postprocess` says what each value does.
    """

    preset: str | None = None
    shape: Literal["polygons", "lines"] | None = None
    small: Literal["drop", "merge"] | None = None
    outline: Literal["exact", "simplify", "smooth", "square", "subpixel"] | None = None
    connectivity: Literal[4, 8] | None = None
    min_area_m2: NotNegative | None = None
    fill_holes_m2: NotNegative | None = None
    simplify_m: NotNegative | None = None
    max_width_m: Positive | None = None
    spur_m: NotNegative | None = None
    gap_m: NotNegative | None = None
    min_length_m: NotNegative | None = None


class OutputSpec(Part):
    """What comes out; a job that runs has at least one. `creation_options` go to the class and score rasters."""

    vector: str | None = None
    raster: str | None = None
    scores: str | None = None
    preview: str | None = None
    dst_crs: str | None = None
    native_grid: bool = False
    creation_options: dict[str, str] = Field(default_factory=dict)
    overwrite: bool = False

    @model_validator(mode="after")
    def _something(self) -> OutputSpec:
        paths = [p for p in (self.vector, self.raster, self.scores, self.preview) if p]
        if len({Path(p).absolute() for p in paths}) < len(paths):
            raise ValueError("two outputs have the same path")
        if self.native_grid and not (self.raster or self.scores):
            raise ValueError("--native-grid needs --raster or --scores")
        return self


class MaskSpec(Part):
    """A raster of classes, or of the scores of one class, made anywhere; `bidx` counts bands from 1.

    With `threshold` the raster holds scores, and pixels from it on are objects; values are multiplied by `scale` (the
    file's own, else 1) to lie between 0 and 1. `scores` names a raster of scores on the same grid that goes with
    classes. `background` is the value that becomes no polygon, None where all do. With `instances` every value is one
    object. `names` are those of the classes. `resolution` states the metres per pixel of a raster that has no CRS.
    """

    path: str
    bidx: Annotated[int, Field(ge=1)] = 1
    scores: str | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    scale: Positive | None = None
    background: int | None = 0
    nodata: float | None = None
    instances: bool = False
    names: dict[int, str] = Field(default_factory=dict)
    resolution: Positive | None = None

    @model_validator(mode="after")
    def _one_form(self) -> MaskSpec:
        if self.threshold is not None and (self.scores is not None or self.instances):
            raise ValueError("with threshold the raster holds scores itself; give neither scores nor instances")
        if self.scale is not None and self.threshold is None and self.scores is None:
            raise ValueError("scale belongs to scores; give threshold or scores")
        return self


class VectorOutputSpec(Part):
    """Where the polygons or lines go."""

    vector: str
    dst_crs: str | None = None
    overwrite: bool = False


class LabelSpec(Part):
    """What is known of a scene: a vector file, or a raster of classes.

    `geoseg.io.labels.source.LabelSource` says what each field is.
    """

    path: str
    layer: str | None = None
    column: str | None = None
    values: dict[str, str] = Field(default_factory=dict)
    buffer_m: Positive | None = None
    aoi: str | None = None
    ignore: str | None = None
    bidx: Annotated[int, Field(ge=1)] = 1
    blank: tuple[Literal["white", "black"], ...] = ()


class LabelledSpec(Part):
    """A scene with its labels. `use` says what training does with it: learn, check itself, or some of both.

    `weight` is how often windows of it are drawn, beside its labelled area and other scenes' weights.
    """

    scene: SceneSpec
    labels: LabelSpec
    use: Literal["split", "train", "validation"] = "split"
    weight: Positive = 1.0


class TrainOutputSpec(Part):
    """Where the model goes, and the folder of the run: checkpoints, log and pictures (beside the model, without it)."""

    model: str
    run: str | None = None
    report: str | None = None
    resume: bool = False
    overwrite: bool = False


class ReportSpec(Part):
    """Where the figures go: a page of HTML, and JSON."""

    report: str | None = None
    figures: str | None = None
    overwrite: bool = False
