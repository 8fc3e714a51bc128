"""Geometry of any CRS brought into a scene's, also over the date line, and measured in metres where the scene lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geoseg.core.tiling import Span
from geoseg.errors import InputError
from geoseg.io.reproject import LONGEST_DEGREES, LONGEST_METRES
from geoseg.io.scene import Scene

PIECES = 64  # of a geometry's extent: long sides are cut so before they are reprojected, where straight lines bend
Origins = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Transfer:
    """How geometry gets into the CRS of `scene`; `move` leads there, None where both have the same CRS or none."""

    scene: Scene
    move: Transformer | None

    @property
    def crs(self) -> CRS | None:
        """The geometry's own CRS."""
        if self.move is not None:
            return self.move.source_crs
        return self.scene.grid.crs.proj if self.scene.grid.crs else None

    def boxes(self, share: float, margin_m: float = 0) -> NDArray[Any] | None:
        """Boxes (box,) in the geometry's own CRS around the scene, grown by `share` of its size and by `margin_m`.

        There are several where degrees may count on beyond the date line, and None where that CRS fails at the scene.
        """
        around = extent(self.scene)
        if margin_m > 0:
            around = grown(np.array([around]), self.scene, margin_m)[0]
        outline = shapely.segmentize(around, around.length / (4 * PIECES))
        x, y = shapely.get_coordinates(outline).T
        if self.move is not None:
            back = Transformer.from_crs(self.move.target_crs, self.move.source_crs, always_xy=True)
            x, y = back.transform(x, y)
        degrees = bool(self.crs and self.crs.is_geographic)
        if degrees and np.ptp(x) > 180:
            x = np.where(x < 0, x + 360, x)  # the scene lies on the date line
        if not (np.isfinite(x).all() and np.isfinite(y).all()) or (degrees and np.ptp(x) > 180):
            return None
        margin = share * max(np.ptp(x), np.ptp(y))
        box = np.array([shapely.box(x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)])
        turns = (-360, 0, 360) if degrees else (0,)
        return np.concatenate([mapped(box, Affine.translation(turn, 0)) for turn in turns])

    def apply(self, geometry: NDArray[Any]) -> tuple[NDArray[Any], Origins]:
        """Valid geometry (part,) in the scene's CRS, and which of `geometry`, valid too, each part is of.

        What is reprojected is cut to the scene's wider surroundings first, because far away a CRS may fail; what fails
        all the same is left out. In degrees, what meets the scene after a whole turn comes once more, turned.
        """
        parts, origins = geometry, np.arange(len(geometry))
        if self.move is not None:
            parts, origins = self._near(geometry)
            if not len(parts):
                parts, origins = geometry, np.arange(len(geometry))
            parts = moved(parts, self.move)
            finite = np.isfinite(shapely.bounds(parts)).all(axis=1)
            parts, origins = sound(parts[finite], origins[finite])
        return self._turned(parts, origins)

    def _near(self, geometry: NDArray[Any]) -> tuple[NDArray[Any], Origins]:
        """The parts that lie in a wide box around the scene, or everything where there is no such box."""
        boxes = self.boxes(1.0)
        if boxes is None:
            return geometry, np.arange(len(geometry))
        around = shapely.union_all(boxes)
        shapely.prepare(around)
        inside = shapely.contains_properly(around, geometry)
        across = np.flatnonzero(~inside & shapely.intersects(around, geometry))
        cut, origins = pieces(shapely.intersection(geometry[across], around), across)
        kept = shapely.get_dimensions(cut) == shapely.get_dimensions(geometry[origins])
        whole = np.flatnonzero(inside)
        order = np.argsort(np.concatenate([whole, origins[kept]]), kind="stable")
        return np.concatenate([geometry[whole], cut[kept]])[order], np.concatenate([whole, origins[kept]])[order]

    def _turned(self, parts: NDArray[Any], origins: Origins) -> tuple[NDArray[Any], Origins]:
        """The parts, and those that meet the scene after a whole turn: its degrees may count on beyond 180."""
        if self.scene.grid.crs is None or not self.scene.grid.crs.geographic:
            return parts, origins
        both = np.concatenate([mapped(parts, Affine.translation(turn, 0)) for turn in (-360, 360)])
        again = shapely.intersects(extent(self.scene), both)
        return np.concatenate([parts, both[again]]), np.concatenate([origins, np.tile(origins, 2)[again]])


def transfer_to(scene: Scene, crs: Any, name: str, error: type[InputError], *, own: bool = False) -> Transfer:
    """How geometry in `crs` gets onto the scene; without one of its own it is in the scene's where `own` says so.

    Raises `error`, naming `name`, when one of both has no CRS, or the geometry's cannot be used.
    """
    there = scene.grid.crs.proj if scene.grid.crs else None
    if crs is None and (own or there is None):
        return Transfer(scene, None)
    if there is None:
        raise error(f"{name}: has a CRS, but the scene {scene.name} has none; give the scene one (gdal_edit.py -a_srs)")
    if crs is None:
        raise error(f"{name}: has no CRS; expected one, to place it on the scene; set it: ogr2ogr -a_srs EPSG:...")
    try:
        here = CRS.from_user_input(crs)
        return Transfer(scene, None if here == there else Transformer.from_crs(here, there, always_xy=True))
    except (CRSError, ProjError) as failure:
        raise error(f"{name}: its CRS cannot be used ({failure}); expected something like EPSG:4326") from failure


def moved(geometry: NDArray[Any], move: Transformer) -> NDArray[Any]:
    """The geometry in another CRS, its long sides cut before; coordinates are infinite where that CRS fails."""
    longest = LONGEST_DEGREES if move.source_crs and move.source_crs.is_geographic else LONGEST_METRES
    bounds = shapely.bounds(geometry)
    sides = np.fmax((bounds[:, 2:] - bounds[:, :2]).max(axis=1), np.finfo(float).tiny)
    fine = shapely.segmentize(geometry, np.fmax(np.nan_to_num(sides / PIECES, nan=1.0), longest))
    return np.asarray(shapely.transform(fine, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1]))))


def sound(geometry: NDArray[Any], origins: Origins) -> tuple[NDArray[Any], Origins]:
    """The geometry as valid single parts of its own dimension, in order, and the origin of each."""
    broken = np.flatnonzero(~shapely.is_valid(geometry))
    repaired = geometry.copy()
    repaired[broken] = shapely.make_valid(geometry[broken])
    parts, index = pieces(repaired, np.arange(len(geometry)))
    kept = shapely.get_dimensions(parts) == shapely.get_dimensions(geometry)[index]
    return parts[kept], origins[index[kept]]


def pieces(geometry: NDArray[Any], origins: Origins) -> tuple[NDArray[Any], Origins]:
    """The single parts of collections, also of those in collections, that are not empty, and the origin of each."""
    parts, outer = shapely.get_parts(geometry, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    there = ~shapely.is_empty(parts)
    return np.asarray(parts[there]), origins[outer[inner[there]]]


def grown(geometry: NDArray[Any], scene: Scene, margin_m: float, quad_segs: int = 4) -> NDArray[Any]:
    """The geometry, in the scene's CRS, with a margin in metres on the ground, as the scene's pixels measure it."""
    metres = ground_metres(scene)
    return mapped(shapely.buffer(mapped(geometry, metres), margin_m, quad_segs=quad_segs), ~metres)


def ground_metres(scene: Scene) -> Affine:
    """From the scene's CRS to metres on the ground (pixels where these are unknown), as true as at its centre."""
    down, across = scene.pixel_size or (1.0, 1.0)
    metres: Affine = Affine.scale(across, down) * ~scene.grid.affine
    return metres


def mapped(geometry: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """The geometry with all of its coordinates mapped."""
    matrix, shift = np.array([[affine.a, affine.d], [affine.b, affine.e]]), np.array([affine.c, affine.f])
    return np.asarray(shapely.transform(geometry, lambda xy: xy @ matrix + shift))


def outline(grid: GeoBox, y: Span, x: Span) -> shapely.Polygon:
    """The outline of a window of the grid, in its CRS."""
    corners = [(x.start, y.start), (x.stop, y.start), (x.stop, y.stop), (x.start, y.stop)]
    return shapely.Polygon([grid.affine * corner for corner in corners])


def extent(scene: Scene) -> shapely.Polygon:
    """The outline of the scene, in its CRS."""
    return outline(scene.grid, *scene.window())


def listed(bounds: Any) -> str:
    """Bounds for a message."""
    return ", ".join(f"{value:.10g}" for value in bounds)
