"""Where the labels of a scene are, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class LabelSource:
    """A vector file (or one layer of it), or a raster of classes, and what it does not say itself.

    `column` names the attribute that holds the class; without it every feature is of the only foreground class.
    `values` gives values of the column, or of the raster, their class's name; those that are not there are matched with
    names and ids. `buffer_m` makes areas of lines and points, so many metres to each side. `aoi` is a vector file of
    what was labelled: ground outside is unknown, ground inside without a label is background. `ignore` is a vector file
    of ground where the truth is unknown. `bidx` is the raster's band, from 1.
    `blank` says that pixels with the least ("black") or the largest ("white") value of the dtype in every band hold no
    imagery: nothing is known there.
    """

    path: str
    layer: str | None = None
    column: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    buffer_m: float | None = None
    aoi: str | None = None
    ignore: str | None = None
    bidx: int = 1
    blank: tuple[Literal["white", "black"], ...] = ()
