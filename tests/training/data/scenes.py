"""Small scenes with labels that are known to the pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.classes import ClassSet
from geoseg.core.tiling import Span
from geoseg.core.values import Stretch
from geoseg.io.region import RegionMask
from geoseg.io.scene import SceneSource, open_scene
from geoseg.training.data import Asked, Ground, Role, prepare
from tests.factory import ORIGIN, make_raster
from tests.toy import toy_card, toy_classes


class Window(NamedTuple):
    class_ids: np.ndarray
    object_ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Painted:
    """Labels that are given pixel by pixel on a grid; elsewhere they are unknown."""

    grid: GeoBox
    class_map: np.ndarray
    object_map: np.ndarray
    classes: ClassSet
    area: RegionMask | None = None
    ignored: RegionMask | None = None
    raster: None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def polygons(self) -> np.ndarray:
        count = int(self.object_map.max(initial=0))
        return np.array([shapely.box(i, 0, i + 1, 1) for i in range(count)], dtype=object)

    @property
    def class_ids(self) -> np.ndarray:
        return self.class_map

    @property
    def object_count(self) -> int:
        return int(self.object_map.max(initial=0))

    @property
    def is_raster(self) -> bool:
        return True

    def window(self, grid: GeoBox, y: Span, x: Span) -> Window:
        rows, columns = np.mgrid[y.start : y.stop, x.start : x.stop] + 0.5
        across, down = ~self.grid.affine * (grid.affine * (columns, rows))
        at = np.floor(down).astype(int), np.floor(across).astype(int)
        height, width = self.class_map.shape
        inside = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
        classes = np.where(inside, self.class_map[at[0].clip(0, height - 1), at[1].clip(0, width - 1)], 255)
        objects = np.where(inside, self.object_map[at[0].clip(0, height - 1), at[1].clip(0, width - 1)], 0)
        return Window(classes.astype(np.uint8), objects.astype(np.int32))


def squares(shape: tuple[int, int], every: int = 32, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A class map with squares of class 1 on background, and their numbers."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = (y % every < side) & (x % every < side)
    numbers = (y // every) * -(-shape[1] // every) + x // every + 1
    return inside.astype(np.uint8), np.where(inside, numbers, 0).astype(np.int32)


def asked_for(folder: Path, **changes: Any) -> Asked:
    """A run that draws windows of 32 pixels at 0.7 to 1.4 m."""
    classes = changes.pop("classes", 3)
    values = {"card": toy_card(classes=classes), "resolutions": (0.7, 1.4), "crop_size": 32, "folder": folder / "run"}
    return Asked(**{**values, **changes})


def make_ground(
    folder: Path,
    name: str = "scene",
    *,
    shape: tuple[int, int] = (256, 256),
    at: tuple[float, float] = ORIGIN,
    pixel: float = 1.0,
    classes: np.ndarray | None = None,
    role: Role | None = None,
    labelled: bool = True,
    asked: Asked | None = None,
    stretch: Stretch | None = None,
    crs: Any = "EPSG:32633",
    **raster: Any,
) -> Ground:
    """A prepared scene of `pixel` wide pixels whose upper left corner is `at`, with squares as things."""
    transform = raster.pop("transform", Affine(pixel, 0, at[0], 0, -pixel, at[1]))
    path = folder / f"{name}.tif"
    if not path.exists():  # a file that is written again is another one
        make_raster(path, shape=shape, transform=transform, crs=crs, **raster)
    scene = open_scene(SceneSource(paths=(str(path),), resolution=None if crs else 1.0))
    found, objects = squares(shape) if classes is None else (classes, np.zeros(shape, np.int32))
    labels = Painted(scene.grid, found, objects, toy_classes(3)) if labelled else None
    return prepare(scene, labels, asked or asked_for(folder), role, stretch)
