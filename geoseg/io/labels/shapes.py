"""From features to polygons in the scene's CRS: repaired, taken apart, brought over, buffered, without doubles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import LabelError
from geoseg.io.labels.features import Features
from geoseg.io.labels.source import LabelSource
from geoseg.io.transfer import Transfer, extent, ground_metres, grown, mapped, pieces

SLIVER = 0.01  # of a repaired feature's area: parts smaller than that are what the repair left over
_QUARTER = 8  # segments that a buffer has in a quarter of a circle


@dataclass(slots=True)
class Tally:
    """What happened to features on their way: how many were repaired, why parts were dropped, what was buffered.

    `outside` counts sound features without any part in the scene.
    """

    repaired: int = 0
    outside: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    buffered: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Polygons (polygon,) in the scene's CRS, the feature that each is of, and of what dimension that was: 0 to 2."""

    polygons: NDArray[Any]
    features: NDArray[np.int64]
    dimensions: NDArray[np.int64]

    def only(self, kept: NDArray[Any]) -> Shapes:
        """Some of them."""
        return Shapes(self.polygons[kept], self.features[kept], self.dimensions[kept])


def shapes_of(features: Features, source: LabelSource, transfer: Transfer) -> tuple[Shapes, Tally]:
    """The polygons that meet the scene, single and valid, in the order of the features; and what was done to them.

    Raises LabelError for lines or points without `buffer_m`, or where metres are unknown.
    """
    tally = Tally(dropped=Counter({"unreadable": features.unreadable} if features.unreadable else {}))
    parts, origins = _single(features.geometry, tally)
    parts, index = transfer.apply(parts)
    found = Shapes(parts, origins[index], shapely.get_dimensions(parts).astype(np.int64))
    thin = found.dimensions < 2
    if thin.any():
        found = _with_buffers(found, thin, source, transfer, tally)
    around = extent(transfer.scene)
    shapely.prepare(around)
    inside = shapely.contains_properly(around, found.polygons)
    across = np.flatnonzero(~inside & shapely.intersects(around, found.polygons))
    inside[across] = ~shapely.touches(found.polygons[across], around)
    tally.outside = len(np.unique(origins)) - len(np.unique(found.features[inside]))
    return found.only(inside), tally


def _single(geometry: NDArray[Any], tally: Tally) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Valid single parts and the feature that each is of."""
    there = np.flatnonzero(~shapely.is_missing(geometry) & ~shapely.is_empty(geometry))
    tally.dropped["empty"] += len(geometry) - len(there) - tally.dropped["unreadable"]
    finite = np.isfinite(shapely.bounds(geometry[there])).all(axis=1)
    tally.dropped["not finite"] += int((~finite).sum())
    there = there[finite]
    whole = geometry[there]
    parts, index = pieces(whole, np.arange(len(there)))
    broken = ~shapely.is_valid(parts)
    if broken.any():
        parts, index = _repaired(parts, index, broken, tally)
    return parts, there[index]


def _repaired(
    parts: NDArray[Any], origins: NDArray[np.int64], broken: NDArray[np.bool_], tally: Tally
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The parts with valid ones in place of the broken, slivers of the repair left out."""
    mended = shapely.make_valid(parts[broken], method="structure", keep_collapsed=False)
    fresh, index = pieces(mended, np.arange(len(mended)))
    same = shapely.get_dimensions(fresh) == shapely.get_dimensions(parts[broken])[index]
    sizes, whole = shapely.area(fresh), shapely.area(mended)[index]
    thin = (sizes < SLIVER * whole) & same
    kept = same & ~thin
    survivors = len(np.unique(index[kept]))
    tally.repaired += survivors
    tally.dropped["degenerate"] += int(broken.sum()) - survivors
    tally.dropped["sliver of a repair"] += int(thin.sum())
    all_origins = np.concatenate([origins[~broken], origins[broken][index[kept]]])
    order = np.argsort(all_origins, kind="stable")
    return np.concatenate([parts[~broken], fresh[kept]])[order], all_origins[order]


def _with_buffers(
    found: Shapes, thin: NDArray[np.bool_], source: LabelSource, transfer: Transfer, tally: Tally
) -> Shapes:
    """The shapes with areas in place of lines and points: what lies near the scene, with `buffer_m` to each side."""
    lines, points = int((found.dimensions == 1).sum()), int((found.dimensions == 0).sum())
    scene = transfer.scene
    if source.buffer_m is None:
        raise LabelError(
            f"{source.path}: found {lines} lines and {points} points; expected areas; say how many metres the labels "
            "reach to each side of them: --buffer"
        )
    if scene.pixel_size is None:
        raise LabelError(
            f"{source.path}: a buffer of {source.buffer_m:g} m has no meaning, because the ground resolution of the "
            f"scene {scene.name} is unknown; state it: --scene-resolution"
        )
    around = grown(np.array([extent(scene)]), scene, source.buffer_m)[0]
    near, index = pieces(shapely.intersection(found.polygons[thin], around), np.flatnonzero(thin))
    kept = shapely.get_dimensions(near) == found.dimensions[index]
    near, index = near[kept], index[kept]
    areas, parts = pieces(grown(near, scene, source.buffer_m, _QUARTER), np.arange(len(near)))
    metres = ground_metres(scene)
    tally.buffered = {
        "lines": lines,
        "points": points,
        "metres_to_each_side": source.buffer_m,
        "length_m": float(shapely.length(mapped(near, metres)).sum()),
        "area_m2": float(shapely.area(mapped(areas, metres)).sum()),
    }
    index = np.concatenate([np.flatnonzero(~thin), index[parts]])
    order = np.argsort(index, kind="stable")
    polygons = np.concatenate([found.polygons[~thin], areas])[order]
    return Shapes(polygons, found.features[index[order]], found.dimensions[index[order]])


def doubles(polygons: NDArray[Any], class_ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """True (polygon,) for what is there already: the same outline and the same class."""
    keys = np.column_stack([shapely.bounds(polygons), class_ids])
    _, group, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(size[group] > 1)
    seen: set[tuple[int, bytes]] = set()
    double = np.zeros(len(polygons), dtype=bool)
    for index, outline in zip(suspects, shapely.to_wkb(shapely.normalize(polygons[suspects])), strict=True):
        key = int(class_ids[index]), outline
        double[index] = key in seen
        seen.add(key)
    return double
