"""The tracer's memory: made before the first row, longer when a row finds no room."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.trace import (
    COMPONENT_FIELDS,
    FREED,
    LABELS,
    NONE,
    PAD,
    USED,
    VERTEX_FIELDS,
    VERTICES_A_CORNER,
    Columns,
    Store,
)


def new_columns(width: int, kinds: NDArray[np.uint8], outside: int) -> Columns:
    """Columns before the first row of a raster `width` pixels wide; `kinds` (256,) says what each value is."""
    lines = np.full((2, PAD * (width // PAD + 3)), outside, np.uint8)
    return Columns(
        kinds=kinds,
        lines=lines,
        words=lines.view(np.uint64),
        repeated=np.arange(256, dtype=np.uint64) * np.uint64(0x0101010101010101),
        labels=np.zeros(width + 2, np.int64),
        down=np.full(width + 1, NONE, np.int64),
        up=np.full(width + 1, NONE, np.int64),
        passed=np.zeros(width + 1, np.int64),
    )


def new_store(width: int) -> Store:
    """An empty store with room for a few rows."""
    places = 2 * VERTICES_A_CORNER * (width + 1)
    return Store(
        vertices=np.empty((places, VERTEX_FIELDS), np.int32),
        content=np.empty(places, np.int64),
        components=np.empty((2 * (width + 1), COMPONENT_FIELDS), np.int64),
        counts=np.array([NONE, 0, 0, 0, 0], np.int64),
    )


def make_room(store: Store) -> Store:
    """The store with room for another row at least; arrays that are more than half full are doubled."""
    vertices, content, components = store.vertices, store.content, store.components
    if 2 * int(store.counts[USED] - store.counts[FREED]) > len(vertices):
        vertices, content = _doubled(vertices), _doubled(content)
    if 2 * int(store.counts[LABELS]) > len(components):
        components = _doubled(components)
    return store._replace(vertices=vertices, content=content, components=components)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
