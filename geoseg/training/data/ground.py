"""A scene's pixels and labels on the disk, ready for windows to be cut out of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.core.values import Stretch
from geoseg.training.options import DataOptions

if TYPE_CHECKING:
    from geoseg.io.labels import Labels

UPSAMPLED = 2.0  # pixels are drawn at most so much finer than the scene has them
OWN_RANGE = (0.7, 1.4)  # times the model's resolution, where nothing else is asked for


@dataclass(frozen=True, slots=True)
class Role:
    """What training does with a scene: learn, check itself, or some of both.

    `weight` is how often its ground is drawn, beside that of others. `blank` says which pure pixels hold no imagery.
    """

    use: Literal["split", "train", "validation"] = "split"
    weight: float = 1.0
    blank: tuple[Literal["white", "black"], ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """How values of a file become those between 0 and 1: `low` becomes 0 and `high` 1, each (band,) float32."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    clip: bool

    @classmethod
    def of(cls, card: ModelCard, stretch: Stretch | None) -> Values:
        """The stretch, which clips, or the card's value range, which does not."""
        bottom, top = card.value_range
        low = stretch.low if stretch else (bottom,) * len(card.bands)
        high = stretch.high if stretch else (top,) * len(card.bands)
        return cls(np.array(low, np.float32), np.array(high, np.float32), stretch is not None)

    def apply(self, pixels: NDArray[np.float32]) -> None:
        """Bring pixels (band, y, x) between 0 and 1, in place."""
        low, high = self.low[:, None, None], self.high[:, None, None]
        if self.clip:
            np.clip(pixels, low, high, out=pixels)
        pixels -= low
        pixels /= high - low


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a scene: the rows `y` and columns `x` that hold all of it, and how many pixels and objects.

    `counts` has the pixels of each class that occurs, by id.
    """

    y: Span
    x: Span
    counts: dict[int, int]
    objects: int

    @property
    def pixels(self) -> int:
        """Number of pixels with a class."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A scene with its labels, as arrays that are mapped from files and read only where they are used.

    `images` (band, y, x) has the file's dtype, 0 where `valid` (y, x) bool is False. `classes` (y, x) uint8 are class
    ids, 255 where nobody knows; `objects` (y, x) int32 number the things of the scene, 0 where there is none. `grid` is
    theirs, in the scene's CRS, and `resolution` its metres per pixel. `placed` is False for files without any place
    in the world, `folder` holds the arrays. `labelled` is False for scenes without labels. `outlines` are labels that
    can be drawn finer than the arrays hold them; None for rasters.
    """

    name: str
    paths: tuple[str, ...]
    folder: Path
    grid: GeoBox
    resolution: float
    placed: bool
    labelled: bool
    role: Role
    values: Values
    known: Known
    images: NDArray[Any]
    valid: NDArray[np.bool_]
    classes: NDArray[np.uint8]
    objects: NDArray[np.int32]
    outlines: Labels | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.grid.shape[0]), int(self.grid.shape[1])

    @property
    def known_m2(self) -> float:
        """Square metres of ground with a class."""
        return self.known.pixels * self.resolution**2

    def classes_at(self, y: Span, x: Span) -> NDArray[np.uint8]:
        """The classes of a window that lies inside."""
        return self.classes[y.start : y.stop, x.start : x.stop]


def resolutions_for(options: DataOptions, card: ModelCard) -> tuple[float, float]:
    """Metres per pixel between which windows are drawn."""
    low, high = OWN_RANGE
    return options.resolutions or (card.resolution * low, card.resolution * high)


def range_on(ground: Ground, resolutions: tuple[float, float]) -> tuple[float, float]:
    """The part of a range of resolutions that the ground's pixels are good for: at most UPSAMPLED times finer."""
    low, high = resolutions
    return min(max(low, ground.resolution / UPSAMPLED), high), high


def known_part(counts: NDArray[np.int64], rows: NDArray[np.bool_], columns: NDArray[np.bool_], objects: int) -> Known:
    """What is known, from `counts` (256,) of pixels and which rows and columns have any."""
    present = {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != NODATA}
    return Known(_hull(rows), _hull(columns), present, objects)


def _hull(used: NDArray[np.bool_]) -> Span:
    places = np.flatnonzero(used)
    return Span(int(places[0]), int(places[-1]) + 1) if len(places) else Span(0, 0)
