"""Lines as they leave the tracer: shapely LineStrings with what was measured on them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.vector.ground import Ground
from geoseg.vector.lines.graph import NONE, union
from geoseg.vector.lines.net import mean_width
from geoseg.vector.lines.pieces import PIXELS, SCORE
from geoseg.vector.lines.shape import Lines

UNSCORED = -1


@dataclass(frozen=True, slots=True)
class RawLines:
    """Shapely LineStrings in pixel coordinates (x to the right, y down, a pixel's centre at + 0.5); arrays (line,).

    Lines that meet end there, in a point that they have in common to the bit. `width_m` is the mean width, `length_m`
    the geometry's length on the ground. `pixels` counts the pixels of the line's skeleton and `score_sum` adds up
    their uint8 scores (-1 where none are known). `touches_edge` tells lines that the raster's edge, or nodata, cuts.
    """

    geometry: NDArray[Any]
    class_id: NDArray[np.int32]
    width_m: NDArray[np.float64]
    length_m: NDArray[np.float64]
    score_sum: NDArray[np.int64]
    pixels: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of lines."""
        return len(self.geometry)

    def take(self, which: NDArray[Any]) -> RawLines:
        """The lines that a mask or an index array selects."""
        return RawLines(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Measured:
    """Lines of one class in no order; `place` (line, 2) is the last row and the first pixel, `nodes` (line, 2) ends."""

    lines: RawLines
    place: NDArray[np.int64]
    nodes: NDArray[np.int64]

    def long_enough(self, least: float) -> Measured:
        """The lines that are `least` metres long, together with all that they are connected to."""
        root = union(_touching(self.nodes))
        total = np.bincount(root, self.lines.length_m, len(root))[root] if len(root) else np.empty(0)
        long = total >= least
        return Measured(self.lines.take(long), self.place[long], self.nodes[long])


def measured(lines: Lines, class_id: int, ground: Ground, origin: tuple[int, int], scored: bool) -> Measured:
    """The lines of a class with their measures; `origin` (x, y) is added to their places."""
    count = len(lines.ends)
    points = lines.points + np.array(origin, np.float64)
    raw = RawLines(
        geometry=shapely.from_ragged_array(shapely.GeometryType.LINESTRING, points, (lines.offsets,)),
        class_id=np.full(count, class_id, np.int32),
        width_m=mean_width(lines.sums),
        length_m=_lengths(points, lines.offsets, ground),
        score_sum=lines.sums[:, SCORE].copy() if scored else np.full(count, UNSCORED, np.int64),
        pixels=lines.sums[:, PIXELS].copy(),
        touches_edge=lines.cut,
    )
    return Measured(raw, np.column_stack([lines.last_row, lines.first]), lines.nodes)


def in_order(parts: list[Measured]) -> RawLines:
    """The lines of all classes, by their last row, then their first pixel."""
    raw = RawLines(*(np.concatenate([getattr(p.lines, f.name) for p in parts]) for f in fields(RawLines)))
    place = np.concatenate([part.place for part in parts])
    return raw.take(np.lexsort((place[:, 1], place[:, 0])))


def _lengths(points: NDArray[np.float64], offsets: NDArray[np.int64], ground: Ground) -> NDArray[np.float64]:
    """Metres along each line, on the ellipsoid where there is one, shape (line,)."""
    if len(offsets) < 2:
        return np.empty(0)
    geod = ground.geod
    if geod is None:
        steps = np.hypot(*np.diff(points, axis=0).T) * (np.nan if ground.resolution is None else ground.resolution)
    else:
        longitude, latitude = ground.lonlat(points)
        steps = geod.inv(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])[2]
    steps[offsets[1:-1] - 1] = 0  # from one line to the next
    lengths: NDArray[np.float64] = np.add.reduceat(np.append(steps, 0.0), offsets[:-1])
    return lengths


def _touching(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """For both ends of each line another line that ends at the same node, NONE where there is none, shape (line, 2)."""
    flat = nodes.ravel()
    order = np.argsort(flat, kind="stable")
    touching = np.full(len(flat), NONE, np.int64)
    same = (flat[order[:-1]] == flat[order[1:]]) & (flat[order[:-1]] != NONE)
    touching[order[:-1][same]] = order[1:][same] // 2
    return touching.reshape(nodes.shape)
