"""Buildings squared: edges along main directions, and walls that neighbours share made once for both.

The outlines of a block of adjoining buildings are a planar graph of walls. Each building's main directions come from
the straight stretches of its outline; neighbours whose directions agree take one. The largest building of a block is
built first, then the others, against what stands already: a chain of walls is cut into the cheapest straight segments,
which lie along main directions, along a line that is there, or have directions of their own where the outline says so;
vertices are where their lines meet. So positions are finer than a pixel, and a wall has the same points for both its
polygons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.outlines import RawPolygons, RingBatch, offsets
from geoseg.vector.squaring.assembly import assemble
from geoseg.vector.squaring.chains import TOLERANCE, Places
from geoseg.vector.squaring.contact import Loops, merged, taken, tidy
from geoseg.vector.squaring.crowding import find_crowded
from geoseg.vector.squaring.directions import find_stretches, join_directions, main_directions
from geoseg.vector.squaring.foreground import ForegroundMap
from geoseg.vector.squaring.laying import build, freeze
from geoseg.vector.squaring.net import new_net
from geoseg.vector.squaring.room import find_room
from geoseg.vector.squaring.verdict import adjoining_pairs, find_spoilt, pairs_with_common_edges, walls_between
from geoseg.vector.squaring.walls import NOWHERE, Walls, find_walls

_ATTEMPTS = 8  # as asked; tighter; three with ever more walls that are left as they were; whole blocks as they were
_SAME_DIRECTION = np.radians(4.0)  # by which a building's own direction may differ from that of its neighbours
_TIGHTER = ((0.6, 6.0), (0.2, 6.0), (0.2, 15.0), (0.2, 40.0))  # room that is left, and how far around a crowded place
_LEAST_ROOM = 1.0  # pixels: less than the stairs of a slanting wall would leave nothing straight
_PLAIN = 0.75  # pixels by which walls that are left as they were may move: less than a step of their pixels' stairs


@dataclass(frozen=True, slots=True)
class SquareSettings:
    """How far an outline may depart from what was found, in metres; less than a pixel counts as a pixel.

    Steps and bulges of about that size vanish, larger ones stay.
    """

    tolerance_m: float = 0.5


def square(
    batch: RingBatch, ground: Ground, settings: SquareSettings, foreground: ForegroundMap | None = None
) -> RawPolygons:
    """The polygons with straight walls, mostly along main directions, in pixel coordinates; order and number are kept.

    `batch` holds whole groups of adjoining components; what a group becomes depends on nothing else. Every polygon is
    valid, and polygons of a group are a coverage: neighbours share their walls, without gaps or overlaps. Where that
    fails, the polygons concerned keep more of their outlines, in the end all of them.

    `foreground` is that of the raster, known as far below the batch as it says: polygons that come nearer to another
    block than to where they were keep more of their outlines, so that blocks do not run into each other. Without it
    one block in a hundred does where the tolerance is two or three pixels, and one in thousands where it is one.
    Raises ResolutionError where metres are not known.
    """
    exact = batch.polygons()
    if not len(batch):
        return exact
    if not ground.measurable:
        raise ResolutionError(
            f"the scene has no usable CRS and no ground resolution, so that tolerance_m={settings.tolerance_m:g} has "
            "no meaning: state the scene's metres per pixel, or do not square"
        )
    local = _locally(batch, ground, settings.tolerance_m)
    known = np.asarray(np.isfinite(local).all(axis=1))
    if not known.all():  # places that the CRS cannot measure
        return _with(exact, known, square(batch.take(known), ground, settings, foreground))
    room = np.full(len(batch.points), np.inf)
    if foreground is not None:
        room = find_room(batch, foreground, float(local[:, TOLERANCE].max()))
    return replace(exact, geometry=_Blocks.of(batch, exact.geometry, local, room).squared(foreground))


def _with(exact: RawPolygons, which: NDArray[np.bool_], squared: RawPolygons) -> RawPolygons:
    """The exact polygons, those of a mask replaced."""
    geometry = exact.geometry.copy()
    geometry[which] = squared.geometry
    return replace(exact, geometry=geometry)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks of a batch, and what is known of them before anything is built.

    `pairs` (pair, 2) are the polygons that share walls, `ring_polygon` (ring,) says which polygon a ring is of.
    """

    batch: RingBatch
    exact: NDArray[Any]
    walls: Walls
    places: Places
    pairs: NDArray[np.int64]
    ring_polygon: NDArray[np.int64]

    @classmethod
    def of(
        cls, batch: RingBatch, exact: NDArray[Any], local: NDArray[np.float64], room: NDArray[np.float64]
    ) -> _Blocks:
        """Find walls and main directions; `local` (polygon, 5) as `_locally` gives it, `room` (point,) around."""
        ring_polygon = np.repeat(np.arange(len(batch)), np.diff(batch.polygon_offsets))
        walls = find_walls(batch)
        stretches = find_stretches(batch.points, batch.ring_offsets, local[ring_polygon])
        angles, variances = main_directions(stretches, batch.polygon_offsets)
        pairs = adjoining_pairs(walls)
        join_directions(angles, variances, pairs, _SAME_DIRECTION)
        places = Places(
            batch.points,
            batch.ring_offsets,
            batch.polygon_offsets,
            local[ring_polygon],
            stretches.start,
            np.maximum(room, _LEAST_ROOM),
            angles,
        )
        return cls(batch, exact, walls, places, pairs, ring_polygon)

    def squared(self, foreground: ForegroundMap | None) -> NDArray[Any]:
        """The polygons squared; those with which that fails hold on to more and more of their outlines."""
        geometry = self.exact.copy()
        again = np.ones(len(self.batch), np.bool_)
        frozen = np.zeros(len(self.walls.beside), np.bool_)
        tolerance = self.places.ring[self.batch.polygon_offsets[:-1], TOLERANCE].copy()
        for attempt in range(_ATTEMPTS):
            loops = self._built(again, frozen, tolerance, thin=0.0 if attempt == _ATTEMPTS - 1 else _PLAIN)
            geometry[again] = _polygons(loops, self.batch.polygon_offsets)[again]
            spoilt = np.zeros(len(self.batch), np.bool_)
            spoilt[again] = find_spoilt(geometry[again], self.exact[again], self.batch.group[again], tolerance[again])
            opened = self._opened(loops, again & ~spoilt)
            crowded = np.zeros(len(self.batch), np.bool_)
            if foreground is not None and attempt < _ATTEMPTS - 1:
                places, polygon = find_crowded(geometry[again], self.exact[again], self.batch.take(again), foreground)
                polygon = np.flatnonzero(again)[polygon]
                if attempt < len(_TIGHTER):
                    crowded[polygon] = True
                    self._tighten(places, self.batch.group[polygon], *_TIGHTER[attempt])
                else:
                    spoilt[polygon] = True
            if not (spoilt.any() or opened.any() or crowded.any()):
                break
            frozen |= opened
            again = np.isin(self.batch.group, self.batch.group[self._beside(opened) | spoilt | crowded])
            if attempt == 0:
                tolerance[spoilt] = 1.0
            else:
                frozen |= self._walls_of(spoilt if attempt < _ATTEMPTS - 2 else again)
        return geometry

    def _tighten(self, places: NDArray[np.float64], group: NDArray[np.int64], room: float, around: float) -> None:
        """Leave outlines around places (place, 2) of their groups (place,) no more than `room` pixels."""
        left = self.places.room
        corners = np.asarray(shapely.points(self.batch.points))
        found, near = shapely.STRtree(corners).query(shapely.points(places), predicate="dwithin", distance=around)
        ring = np.searchsorted(self.batch.ring_offsets, near, side="right") - 1
        same = self.batch.group[self.ring_polygon[ring]] == group[found]
        left[near[same]] = np.minimum(left[near[same]], room)

    def _built(
        self, which: NDArray[np.bool_], frozen: NDArray[np.bool_], tolerance: NDArray[np.float64], thin: float
    ) -> Loops:
        """The rings of some polygons, whole blocks of them, with frozen walls as they are; the others are empty."""
        ring = self.places.ring.copy()
        ring[:, TOLERANCE] = tolerance[self.ring_polygon]
        places = self.places._replace(ring=ring)
        net = new_net(self.walls, len(self.batch.points))
        freeze(self.walls, places, net, frozen, thin)
        order = np.lexsort((-self.batch.pixels, self.batch.group))
        build(self.walls, places, net, order[which[order]])
        loops = taken(assemble(self.walls, net, ring, np.diff(self.batch.ring_offsets)), which[self.ring_polygon])
        group = self.batch.group[self.ring_polygon]
        several = (np.bincount(self.batch.group) > 1)[group]
        return merged(loops, tidy(taken(loops, several), group), several)

    def _opened(self, loops: Loops, sound: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The walls (wall,) between sound polygons that have no common edge any more."""
        pairs = self.pairs[sound[self.pairs].all(axis=1)]
        still = pairs_with_common_edges(loops, self.ring_polygon)
        many = len(self.batch)
        lost = ~np.isin(pairs[:, 0] * many + pairs[:, 1], still[:, 0] * many + still[:, 1])
        return walls_between(self.walls, pairs[lost])

    def _walls_of(self, polygons: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The walls (wall,) of the polygons of a mask."""
        beside = self.walls.beside
        whole: NDArray[np.bool_] = polygons[beside[:, 0]] | ((beside[:, 1] != NOWHERE) & polygons[beside[:, 1]])
        return whole

    def _beside(self, walls: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The polygons (polygon,) beside walls of a mask that have one on either side."""
        polygons = np.zeros(len(self.batch), np.bool_)
        polygons[self.walls.beside[walls].ravel()] = True
        return polygons


def _locally(batch: RingBatch, ground: Ground, tolerance_m: float) -> NDArray[np.float64]:
    """Where the polygons' blocks are (polygon, 5): x and y of a corner near, a pixel's length along x and y, tolerance.

    Lengths and the tolerance are in pixels of the same area that are square on the ground. Blocks whose place has no
    measure get NaN.
    """
    starts = batch.ring_offsets[batch.polygon_offsets[:-1]]
    blocks = np.flatnonzero(np.diff(batch.group, prepend=-1))
    low = np.minimum.reduceat(np.minimum.reduceat(batch.points, starts), blocks).astype(np.float64)
    high = np.maximum.reduceat(np.maximum.reduceat(batch.points, starts), blocks)
    sizes = ground.pixel_sizes((low + high) / 2)
    metres = np.sqrt(sizes.prod(axis=1, keepdims=True))
    local = np.hstack([low, sizes / metres, np.maximum(tolerance_m / metres, 1.0)])
    each: NDArray[np.float64] = local[np.cumsum(np.diff(batch.group, prepend=-1) != 0) - 1]
    return each


def _polygons(loops: Loops, polygon_offsets: NDArray[np.int64]) -> NDArray[Any]:
    """Polygons of rings; collapsed holes are left out, a polygon whose exterior collapsed is empty."""
    lengths = np.diff(loops.offsets)
    stands = np.repeat(lengths[polygon_offsets[:-1]] > 0, np.diff(polygon_offsets)) & (lengths > 0)
    rings = offsets(lengths[stands])
    points = loops.points[np.repeat(stands, lengths)]
    ragged = (rings, offsets(stands)[polygon_offsets])
    polygons: NDArray[Any] = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, ragged)
    return polygons
