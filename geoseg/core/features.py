"""Polygons and lines on their way to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PolygonBatch:
    """Polygons in the scene's CRS with their attributes; all arrays have shape (polygon,).

    `geometry` holds shapely polygons or multipolygons, `confidence` the mean score inside (0 to 1, NaN where no score
    is known), `area_m2` and `perimeter_m` are measured on the ellipsoid, `touches_edge` marks objects that the scene's
    edge cuts. Without `instance_id` objects are numbered as they are written.
    """

    geometry: NDArray[Any]
    class_name: NDArray[Any]
    class_id: NDArray[np.int32]
    confidence: NDArray[np.float64]
    area_m2: NDArray[np.float64]
    perimeter_m: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]
    instance_id: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of polygons."""
        return len(self.geometry)


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines in the scene's CRS with their attributes; all arrays have shape (line,).

    `geometry` holds shapely line strings, `confidence` the mean score of what the line stands for (0 to 1, NaN where no
    score is known), `length_m` is measured on the ellipsoid and `width_m` across the object, `touches_edge` marks lines
    that the scene's edge cuts. Without `instance_id` objects are numbered as they are written.
    """

    geometry: NDArray[Any]
    class_name: NDArray[Any]
    class_id: NDArray[np.int32]
    confidence: NDArray[np.float64]
    length_m: NDArray[np.float64]
    width_m: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]
    instance_id: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.geometry)
