"""What a map says of a place, read as labels are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow.parquet as pq
import pyogrio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA, ClassSet
from geoseg.core.tiling import Span
from geoseg.errors import LabelError
from geoseg.io.labels import LabelSource, read_labels
from geoseg.io.scene import Scene

_COLUMNS = ("class_id", "class")  # of the files that geoseg writes, the surer first


class Window(Protocol):
    """What is said of a window: `class_ids` (y, x) uint8 with 255 for unknown, `object_ids` (y, x) int32 or 0."""

    @property
    def class_ids(self) -> NDArray[np.uint8]:
        """The class of each pixel."""
        ...

    @property
    def object_ids(self) -> NDArray[np.int32]:
        """The object of each pixel."""
        ...


class Known(Protocol):
    """What is said of a scene: labels, or a map."""

    def window(self, grid: GeoBox, y: Span, x: Span) -> Window:
        """A window of any grid in the scene's CRS."""
        ...


class Found(Protocol):
    """The map: a raster of classes, or polygons (which are preferred where there are both)."""

    @property
    def raster(self) -> Path | None:
        """A raster of class ids."""
        ...

    @property
    def vector(self) -> Path | None:
        """A file of polygons."""
        ...

    @property
    def classes(self) -> ClassSet:
        """What the ids mean."""
        ...


class _Pixels(NamedTuple):
    class_ids: NDArray[np.uint8]
    object_ids: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A map on which nothing was found."""

    classes: ClassSet

    def window(self, grid: GeoBox, y: Span, x: Span) -> Window:
        """Background everywhere; unknown, where there is no such class."""
        shape, background = (y.size, x.size), self.classes.background
        class_ids = np.full(shape, NODATA if background is None else background, np.uint8)
        return _Pixels(class_ids, np.zeros(shape, np.int32))


def as_known(scene: Scene, found: Found) -> Known:
    """What the map says, on any grid of the scene's CRS. A map without anything on this scene says background."""
    try:
        if found.vector is not None:
            return read_labels(_polygons(found.vector), scene, found.classes)
        if found.raster is not None:
            return read_labels(LabelSource(str(found.raster)), scene, found.classes)
    except LabelError:  # a map was compared before it is shown: it can be read, so that this one holds nothing here
        return Nothing(found.classes)
    return Nothing(found.classes)


def _polygons(path: Path) -> LabelSource:
    """How to read a file of polygons: the first layer (styles are kept in others), the class where it is told."""
    if path.suffix.lower() == ".parquet":
        layer, names = None, pq.read_schema(path).names
    else:
        layer = str(pyogrio.list_layers(path)[0][0])
        names = list(pyogrio.read_info(path, layer=layer)["fields"])
    column = next((name for name in _COLUMNS if name in names), None)
    return LabelSource(str(path), layer=layer, column=column)
