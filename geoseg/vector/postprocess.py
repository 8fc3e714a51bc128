"""From exact components to the task's product: small ones dropped, holes filled, outlines simplified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch

_QUADRANGLE = 5  # vertices of the smallest ring worth keeping, the first one twice
_EVEN = 1e-3  # pixels whose sides differ by a smaller share are taken for squares


@dataclass(frozen=True, slots=True)
class PostprocessSettings:
    """What to do with polygons, in metres on the ground; 0 switches a step off.

    `adjoining` says that polygons may share walls, as those of several classes do. Their outlines are left exact:
    simplified one by one, neighbours would come apart or overlap.
    """

    min_area_m2: float = 0.0
    fill_holes_m2: float = 0.0
    simplify_m: float = 0.0
    adjoining: bool = False

    @property
    def needs_metres(self) -> bool:
        """Whether any step is switched on."""
        return max(self.min_area_m2, self.fill_holes_m2, self.simplify_m) > 0


def postprocess(batch: RingBatch, ground: Ground, settings: PostprocessSettings) -> RawPolygons:
    """The components that are large enough, as valid polygons in pixel coordinates, in the order given.

    A component's result depends on nothing but itself, and its size is that of its pixels. Raises ResolutionError where
    metres are not known.
    """
    if not settings.needs_metres or not len(batch):
        return batch.polygons()
    if not ground.measurable:
        raise ResolutionError(
            f"the scene has no usable CRS and no ground resolution, so that min_area_m2={settings.min_area_m2:g}, "
            f"fill_holes_m2={settings.fill_holes_m2:g} and simplify_m={settings.simplify_m:g} have no meaning: state "
            "the scene's metres per pixel, or set all three to 0"
        )
    batch = _drop_small(batch, ground, settings.min_area_m2)
    batch = _fill_holes(batch, ground, settings)
    polygons = batch.polygons()
    if settings.simplify_m > 0 and not settings.adjoining and len(polygons):
        sizes = ground.pixel_sizes(_centres(batch))
        polygons = replace(polygons, geometry=_simplify(polygons.geometry, sizes, settings.simplify_m))
    return polygons


def _centres(batch: RingBatch) -> NDArray[np.float64]:
    """The middle of each component's extent, shape (component, 2); a batch is not empty."""
    starts = batch.ring_offsets[batch.polygon_offsets[:-1]]
    return (np.minimum.reduceat(batch.points, starts) + np.maximum.reduceat(batch.points, starts)) / 2


def _drop_small(batch: RingBatch, ground: Ground, least: float) -> RingBatch:
    if least <= 0:
        return batch
    small = batch.pixels * ground.pixel_areas(_centres(batch)) < least  # false where the place has no measure
    return batch.take(~small)


def _fill_holes(batch: RingBatch, ground: Ground, settings: PostprocessSettings) -> RingBatch:
    """The batch without small holes, but for those that may hold an object which is kept.

    What is not background in a hole is smaller than the minimum area, then so is each object in it: none is kept.
    """
    if settings.fill_holes_m2 <= 0 or not len(batch):
        return batch
    pixel = np.repeat(ground.pixel_areas(_centres(batch)), np.diff(batch.polygon_offsets))
    small = batch.ring_areas() * pixel <= settings.fill_holes_m2
    vacant = (batch.enclosed == 0) | (batch.enclosed * pixel < settings.min_area_m2)
    hole = np.ones(len(small), np.bool_)
    hole[batch.polygon_offsets[:-1]] = False
    return batch.without_rings(hole & small & vacant)


def _simplify(geometry: NDArray[Any], sizes: NDArray[np.float64], tolerance: float) -> NDArray[Any]:
    """Polygons with fewer of the same vertices, by Douglas and Peucker in metres; exact where it would not be valid.

    `sizes` (polygon, 2) are metres per pixel. Vertices are pixel corners, so that rounding takes them back exactly. A
    lone ring of four corners has none to lose.
    """
    corners = shapely.get_num_coordinates(geometry)
    worth = np.isfinite(sizes).all(axis=1) & (corners > _QUADRANGLE)
    even = np.abs(sizes[:, 0] - sizes[:, 1]) <= _EVEN * sizes[:, 1]
    square, oblong = worth & even, worth & ~even
    simple = geometry.copy()
    simple[square] = shapely.simplify(geometry[square], tolerance / sizes[square].mean(axis=1))
    in_metres = shapely.simplify(_scaled(geometry[oblong], sizes[oblong]), tolerance)
    simple[oblong] = shapely.transform(_scaled(in_metres, 1 / sizes[oblong]), np.rint)
    changed = np.flatnonzero(shapely.get_num_coordinates(simple) != corners)
    broken = changed[~shapely.is_valid(simple[changed]) | shapely.is_empty(simple[changed])]
    simple[broken] = geometry[broken]
    return simple


def _scaled(geometry: NDArray[Any], factors: NDArray[np.float64]) -> NDArray[Any]:
    """Polygons with x and y multiplied by their row of `factors` (polygon, 2)."""
    points, polygon = shapely.get_coordinates(geometry, return_index=True)
    scaled: NDArray[Any] = shapely.set_coordinates(geometry.copy(), points * factors[polygon])
    return scaled
