"""The tracer's memory: made before the first row, longer when a row finds no room."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from geoseg.vector.tracing.trace import (
    COMPONENT_FIELDS,
    LABELS,
    NONE,
    PAD,
    USED,
    VERTEX_FIELDS,
    VERTICES_A_CORNER,
    Columns,
    Store,
)

_PLACES_A_CORNER = 2 * VERTICES_A_CORNER


def new_columns(width: int, outside: int, dtype: DTypeLike) -> Columns:
    """Columns before the first row of a raster `width` pixels wide; `outside` is the value around it."""
    lines = np.full((2, PAD * (width // PAD + 3)), outside, dtype)
    return Columns(
        lines=lines,
        words=lines.view(np.uint64),
        labels=np.zeros(width + 2, np.int64),
        down=np.full(width + 1, NONE, np.int64),
        up=np.full(width + 1, NONE, np.int64),
        passed=np.zeros(width + 1, np.int64),
    )


def new_store(width: int) -> Store:
    """An empty store with room for the row above a part, and one row more."""
    vertices = np.empty((_PLACES_A_CORNER * (width + 1), VERTEX_FIELDS), np.int32)
    return Store(
        vertices=vertices,
        sums=vertices.view(np.int64),
        components=np.empty((2 * (width + 1), COMPONENT_FIELDS), np.int64),
        counts=np.zeros(3, np.int64),
    )


def make_room(store: Store) -> Store:
    """The store with room for another row at least; arrays that are half full are doubled."""
    vertices, components = store.vertices, store.components
    if 2 * int(store.counts[USED]) >= len(vertices):
        vertices = _doubled(vertices)
    if 2 * int(store.counts[LABELS]) >= len(components):
        components = _doubled(components)
    return store._replace(vertices=vertices, sums=vertices.view(np.int64), components=components)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
