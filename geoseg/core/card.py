"""What a model says of itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geoseg.core.classes import ClassSet

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Metric(BaseModel):
    """One measured figure: what, how much, on which data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    data: str


class ModelCard(BaseModel):
    """Everything that is needed to run a model, and to know whether it should be run.

    Values are mapped from `value_range` to 0..1, then normalised by `mean` and `std` (one entry a band). `resolution`
    is in metres per pixel on the ground; scenes inside `resolution_range` are accepted, and resampled to `resolution`
    when they differ by more than 10 %. `tile_size` and `overlap` are in pixels; tiles are multiples of `divisor`.
    With `activation` "sigmoid" the channels are the foreground classes, with "softmax" all classes; "none" says that
    the network returns scores already. `threshold` is the score from which a foreground class is taken; None takes the
    best one.

    `kind` says what comes out: "semantic" a class for every pixel, "instance" objects of the classes that are things,
    "panoptic" those objects and a class of the stuff around them. Objects count from a score of `threshold` on, 0.5
    where it is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    card_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: str
    kind: Literal["semantic", "instance", "panoptic"] = "semantic"
    task: str
    description: str
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    bands: Annotated[tuple[str, ...], Field(min_length=1)]
    resolution: Positive
    resolution_range: tuple[Positive, Positive]
    dtype: Literal["uint8", "uint16", "int16", "float32"] = "uint8"
    value_range: tuple[Finite, Finite] = (0.0, 255.0)
    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]
    classes: ClassSet
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    tile_size: Annotated[int, Field(ge=1)] = 512
    overlap: Annotated[int, Field(ge=0)] = 128
    divisor: Annotated[int, Field(ge=1)] = 32
    license: str
    attribution: str = ""
    training_data: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    limits: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> ModelCard:
        for what in ("mean", "std"):
            if len(getattr(self, what)) != len(self.bands):
                raise ValueError(f"{what} has {len(getattr(self, what))} entries for {len(self.bands)} bands")
        low, high = self.resolution_range
        if not low <= self.resolution <= high:
            raise ValueError(f"resolution {self.resolution} lies outside resolution_range {self.resolution_range}")
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range {self.value_range} is empty")
        if self.tile_size % self.divisor:
            raise ValueError(f"tile_size {self.tile_size} is no multiple of {self.divisor}")
        if self.overlap > self.tile_size // 2:
            raise ValueError(f"overlap {self.overlap} is more than half of tile_size {self.tile_size}")
        if self.activation == "sigmoid" and self.classes.background is None:
            raise ValueError("a sigmoid model needs a background class")
        return self

    @model_validator(mode="after")
    def _of_its_kind(self) -> ModelCard:
        if self.kind != "semantic" and not self.object_ids:
            raise ValueError(f"{self.kind} models find things; found no class of the kind thing")
        if self.kind == "instance" and any(c.kind == "stuff" for c in self.classes.foreground):
            raise ValueError("an instance model finds things only; found a class of the kind stuff")
        if self.kind == "instance" and self.classes.background is None:
            raise ValueError("an instance model needs a background class: the ground between the objects")
        if self.kind == "panoptic" and not self.channel_ids:
            raise ValueError("a panoptic model needs a class of the kind stuff; found things only")
        return self

    @property
    def channel_ids(self) -> tuple[int, ...]:
        """The class id of each channel of scores.

        All classes, or the foreground ones for a sigmoid model; those of the stuff for a panoptic one; none for an
        instance model.
        """
        if self.kind == "instance":
            return ()
        if self.kind == "panoptic":
            return tuple(c.id for c in self.classes.classes if c.id not in self.object_ids)
        classes = self.classes.foreground if self.activation == "sigmoid" else self.classes.classes
        return tuple(c.id for c in classes)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The class id of each label that objects have: the things of an instance or panoptic model, else none."""
        if self.kind == "semantic":
            return ()
        return tuple(c.id for c in self.classes.foreground if c.kind == "thing")

    @property
    def finds_objects(self) -> bool:
        """Whether objects are told from one another: by the network, or by the separator between them."""
        return self.kind != "semantic" or self.classes.separator is not None
