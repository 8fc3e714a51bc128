"""The classes that a model tells apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NODATA = 255  # the class raster's value where nothing was predicted


class ClassInfo(BaseModel):
    """One class: the value in the class raster, its name, its colour, and whether its objects are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[int, Field(ge=0, lt=NODATA)]
    name: Annotated[str, Field(min_length=1)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    kind: Literal["stuff", "thing"] = "stuff"

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three bytes."""
        value = int(self.colour[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


class Separated(BaseModel):
    """How a separator was drawn between the objects of the labels.

    "boundary" is the rim of objects, inside, `width_m` metres wide; "contact" the pixels within `width_m` of two
    different objects; "both" is either.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["boundary", "contact", "both"]
    width_m: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ClassSet(BaseModel):
    """Classes in the order of the model's output channels; `background` is the id that is never vectorised.

    `separator` is the id of a class that marks where objects end (their boundary, or where they touch): objects are
    told apart by it, and its pixels are shared out among them. It becomes no object itself. `separated` says how it was
    drawn for training, where that is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[tuple[ClassInfo, ...], Field(min_length=1)]
    background: int | None = 0
    separator: int | None = None
    separated: Separated | None = None
    ignore_index: int = NODATA

    @model_validator(mode="after")
    def _unique(self) -> ClassSet:
        for what in ("id", "name"):
            values = [getattr(c, what) for c in self.classes]
            if len(set(values)) < len(values):
                raise ValueError(f"classes share a {what}: {values}")
        ids = [c.id for c in self.classes]
        if self.background is not None and self.background not in ids:
            raise ValueError(f"background {self.background} is none of the classes {ids}; name its class, or say null")
        if self.separator is not None:
            if self.separator not in ids or self.separator == self.background:
                raise ValueError(f"separator {self.separator} is none of the foreground classes {ids}")
            if not any(c.kind == "thing" and c.id != self.separator for c in self.classes):
                raise ValueError("a separator needs things to separate; found no other class of the kind thing")
        return self

    @property
    def foreground(self) -> tuple[ClassInfo, ...]:
        """The classes that are not background."""
        return tuple(c for c in self.classes if c.id != self.background)

    def without_separator(self) -> ClassSet:
        """The classes that labels may name and that a map shows: all but the one that tells objects apart."""
        kept = tuple(c for c in self.classes if c.id != self.separator)
        return self.model_copy(update={"classes": kept, "separator": None, "separated": None})

    def by_id(self, class_id: int) -> ClassInfo:
        """The class with that id; raises KeyError."""
        for c in self.classes:
            if c.id == class_id:
                return c
        raise KeyError(class_id)
