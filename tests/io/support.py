"""What the tests of outputs share: grids, classes, polygons, and a disk that fills up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.core.features import LineBatch, PolygonBatch
from geoseg.core.protocols import Sink, Strip
from geoseg.core.tiling import Span

CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="building", colour="#e4572e"),
        ClassInfo(id=2, name="Straße", colour="#3b82f6"),
    )
)
NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def grid(shape: tuple[int, int], affine: Affine = NORTH_UP, crs: str | None = "EPSG:32633") -> GeoBox:
    return GeoBox(shape, affine, crs)


def batch(geometry, class_id=1, confidence=0.5) -> PolygonBatch:
    polygons = np.array(list(geometry), dtype=object)
    count = len(polygons)
    ids = np.broadcast_to(np.asarray(class_id, dtype=np.int32), count).copy()
    return PolygonBatch(
        geometry=polygons,
        class_name=np.array([CLASSES.by_id(int(i)).name for i in ids], dtype=object),
        class_id=ids,
        confidence=np.broadcast_to(np.asarray(confidence, dtype=np.float64), count).copy(),
        area_m2=np.asarray(shapely.area(polygons), dtype=np.float64) if count else np.zeros(0),
        perimeter_m=np.asarray(shapely.length(polygons), dtype=np.float64) if count else np.zeros(0),
        touches_edge=np.arange(count) % 2 == 1,
    )


def lines(geometry, class_id=1, confidence=0.5) -> LineBatch:
    """Lines with a width of 3.5 m each."""
    many = batch(geometry, class_id, confidence)
    return LineBatch(
        geometry=many.geometry,
        class_name=many.class_name,
        class_id=many.class_id,
        confidence=many.confidence,
        length_m=many.perimeter_m,
        width_m=np.full(len(many), 3.5),
        touches_edge=many.touches_edge,
    )


def bends(count: int, seed: int = 0):
    """Lines of 12 vertices near the origin of NORTH_UP."""
    rng = np.random.default_rng(seed)
    start = rng.random((count, 1, 2)) * 5_000 + [500_000, 4_990_000]
    return shapely.linestrings(start + np.cumsum(rng.normal(3, 2, (count, 12, 2)), axis=1))


def circles(count: int, seed: int = 0):
    """Polygons of 20 corners near the origin of NORTH_UP."""
    centres = np.random.default_rng(seed).random((count, 1, 2)) * 5_000 + [500_000, 4_990_000]
    angle = np.arange(20) / 20 * 2 * np.pi
    return shapely.polygons(centres + 5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1))


def feed(sink: Sink, values: np.ndarray, heights: list[int], scores: np.ndarray | None = None) -> None:
    """Write the rows in strips of the given heights, repeated as often as needed."""
    start = turn = 0
    while start < len(values):
        stop = min(start + heights[turn % len(heights)], len(values))
        sink.write(Strip(Span(start, stop), values[start:stop], None if scores is None else scores[start:stop]))
        start, turn = stop, turn + 1


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes, as if the disk were full; reverts at the end."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
