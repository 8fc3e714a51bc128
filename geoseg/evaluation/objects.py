"""Objects of the truth and of a map that may be compared, and how far they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.evaluation.counts import Pairs
from geoseg.evaluation.mapped import Mapped
from geoseg.evaluation.matching import MATCH, Objects, overlaps
from geoseg.evaluation.squares import Squares
from geoseg.io.labels.labels import Labels
from geoseg.io.scene import Scene
from geoseg.io.transfer import mapped as brought
from geoseg.vector.attributes import ground_areas
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons

MOSTLY = 0.5  # of an object's area


class Candidates(NamedTuple):
    """Objects, all arrays of shape (object,): polygons in the scene's pixels, and how many pixels nobody knows."""

    geometry: NDArray[Any]
    class_id: NDArray[np.uint8]
    hidden: NDArray[np.int64]

    def of(self, class_ids: Sequence[int]) -> Candidates:
        """Those of some classes."""
        which = np.isin(self.class_id, class_ids)
        return Candidates(self.geometry[which], self.class_id[which], self.hidden[which])


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Both sides of a comparison: the truth, the map with the hidden pixels of its parts, and the things' class ids."""

    truth: Candidates
    found: tuple[Mapped, NDArray[np.int64]]
    things: Sequence[int]


def truth_of(
    labels: Labels, traced: Sequence[RawPolygons], hidden: NDArray[np.int64], grid: tuple[GeoBox, tuple[int, ...]]
) -> Candidates:
    """The truth's objects: the labels' polygons cut to the scene, or what was traced in a raster.

    `hidden` counts hidden pixels of the labels' polygons; `grid` is the scene's, with the class ids whose places are
    traced.
    """
    if labels.is_raster:
        geometry = np.concatenate([np.empty(0, object), *(batch.geometry for batch in traced)])
        place = np.concatenate([np.empty(0, np.int64), *(batch.class_id for batch in traced)]).astype(np.int64)
        return Candidates(geometry, np.array(grid[1], np.uint8)[place], np.zeros(len(geometry), np.int64))
    objects = labels.objects()
    geometry = brought(objects.polygons, ~grid[0].affine)
    return Candidates(geometry, objects.class_ids, hidden[objects.numbers - 1])


def compared(sides: Sides, scene: Scene, squares: Squares, min_area_m2: float) -> tuple[Pairs, dict[str, int]]:
    """The objects that count, and how many were left out of truth and map.

    Objects that lie mostly (by more than half) where nobody knows the truth do not count, nor do those below
    `min_area_m2`. Such an object of the truth excuses those of the map that match it (IoU 0.5) and nothing that counts;
    one of the map that is too small counts all the same where it matches one that counts. Raises ResolutionError where
    the area has no meaning.
    """
    map_, hidden = sides.found
    parts = np.bincount(map_.origin, weights=hidden, minlength=len(map_)).astype(np.int64)
    shown = Candidates(map_.geometry(brought(map_.parts, ~scene.grid.affine)), map_.class_id, parts)
    truth, found = sides.truth.of(sides.things), shown.of(sides.things)
    score = map_.score[np.isin(map_.class_id, sides.things)]
    known = _known(truth, squares), _known(found, squares)
    large = _large(truth, scene, min_area_m2), _large(found, scene, min_area_m2)
    objects = (
        Objects(truth.geometry, truth.class_id, np.full(len(truth.class_id), np.nan, np.float32)),
        Objects(found.geometry, found.class_id, score),
    )
    pairs, iou = overlaps(*objects)
    counts = known[0] & large[0]
    good, excused = np.zeros(len(score), np.bool_), np.zeros(len(score), np.bool_)
    same = iou >= MATCH
    good[pairs[same & counts[pairs[:, 0]], 1]] = True
    excused[pairs[same & ~counts[pairs[:, 0]], 1]] = True
    kept = known[1] & (good | (large[1] & ~excused))
    told = {
        "truth": int(counts.sum()),
        "found": int(kept.sum()),
        "truth_on_unknown_ground": int((~known[0]).sum()),
        "found_on_unknown_ground": int((~known[1]).sum()),
        "truth_too_small": int((known[0] & ~large[0]).sum()),
        "found_left_out": int((known[1] & ~kept).sum()),
    }
    return _only(objects, (pairs, iou), (counts, kept), squares), told


def _known(side: Candidates, squares: Squares) -> NDArray[np.bool_]:
    """Which objects lie at least by half where the truth is known; it is unknown outside the squares."""
    window = squares.columns[0], squares.rows[0], squares.columns[-1], squares.rows[-1]
    area, outside = shapely.area(side.geometry), np.zeros(len(side.geometry))
    bounds = shapely.bounds(side.geometry).reshape(-1, 4)
    across = (bounds[:, :2] < window[:2]).any(axis=1) | (bounds[:, 2:] > window[2:]).any(axis=1)
    inside = shapely.area(shapely.intersection(side.geometry[across], shapely.box(*window)))
    outside[across] = area[across] - inside
    return np.asarray(side.hidden + outside <= MOSTLY * area)


def _large(side: Candidates, scene: Scene, min_area_m2: float) -> NDArray[np.bool_]:
    if min_area_m2 <= 0:
        return np.ones(len(side.geometry), np.bool_)
    ground = Ground.of(scene.grid.affine, scene.grid.crs and scene.grid.crs.proj, scene.resolution)
    ground.check({"min-area": min_area_m2})
    return np.asarray(ground_areas(side.geometry, ground) >= min_area_m2)


def _only(
    objects: tuple[Objects, Objects],
    overlap: tuple[NDArray[np.int32], NDArray[np.float64]],
    kept: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    squares: Squares,
) -> Pairs:
    """The pairs of the objects that are kept, numbered anew."""
    (truth, found), (pairs, iou) = (side.take(k) for side, k in zip(objects, kept, strict=True)), overlap
    both = kept[0][pairs[:, 0]] & kept[1][pairs[:, 1]]
    numbers = [np.cumsum(k, dtype=np.int32) - 1 for k in kept]
    cells = [squares.of(shapely.get_coordinates(shapely.centroid(side.geometry))) for side in (truth, found)]
    return Pairs(
        truth_class=truth.class_id,
        found_class=found.class_id,
        found_score=found.score,
        truth_cell=cells[0],
        found_cell=cells[1],
        pairs=np.column_stack([numbers[i][pairs[both, i]] for i in (0, 1)]).astype(np.int32),
        iou=iou[both],
    )
