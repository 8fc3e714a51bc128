"""Georeferenced grids: where a raster's pixels lie, how large they are on the ground, and how two grids relate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from pyproj.exceptions import CRSError, ProjError

from geoseg.core.tiling import Span
from geoseg.errors import ResolutionError, SceneError

if TYPE_CHECKING:
    from geoseg.io.raster import RasterFile

NOISE = 1e-4  # pixels: so much may absolute coordinates blur the place of a grid that shares a raster's corners
NEARLY_SQUARE = 0.1  # sides that differ by less are not worth pixels of other proportions than the scene's
ALIGNED = 0.05  # pixels: two grids that differ by less than this anywhere are taken as the same


class Gridded(Protocol):
    """What has a grid and knows its pixels' size on the ground."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def grid(self) -> GeoBox:
        """The grid."""
        ...

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Metres on the ground down and across; None when unknown."""
        ...


def grid_of(file: RasterFile) -> GeoBox:
    """The file's own grid. Raises SceneError when its CRS cannot be understood."""
    try:
        return GeoBox(file.shape, file.transform, crs_of(file.crs) if file.crs else None)
    except (CRSError, ValueError) as error:
        raise SceneError(
            f"{file.path}: its CRS cannot be understood ({error}); set it: gdal_edit.py -a_srs EPSG:..."
        ) from error


def crs_of(text: str) -> CRS:
    """The CRS that a text describes, under its EPSG code where it has one. Raises pyproj's CRSError."""
    crs = CRS(text)
    known = CRS(f"EPSG:{crs.epsg}") if crs.epsg else None
    return known if known is not None and known.proj.equals(crs.proj, ignore_axis_order=True) else crs


def ground_pixel(grid: GeoBox) -> tuple[float, float] | None:
    """Metres on the ground that the grid's central pixel measures down and across; None without a CRS.

    Measured on the ellipsoid between the ends of the pixel's two middle lines, so that degrees and EPSG:3857 come out
    right. Raises SceneError when the coordinates lie outside what the CRS can describe.
    """
    if grid.crs is None or grid.crs.proj.is_engineering:
        return None
    height, width = grid.shape
    y, x = height / 2, width / 2
    ends = [(x, y - 0.5), (x, y + 0.5), (x - 0.5, y), (x + 0.5, y)]
    crs = grid.crs.proj
    try:
        place = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
        east, north = np.array([grid.affine * end for end in ends]).T
        lon, lat = place.transform(east, north)
        geod = crs.get_geod() or Geod(ellps="WGS84")
        _, _, metres = geod.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    except ProjError as error:
        raise SceneError(f"the CRS {crs.name} has no relation to the ground ({error})") from error
    if not (np.isfinite(metres).all() and np.abs(lat).max() <= 90 and min(metres) > 0):
        raise SceneError(
            f"the scene's centre {tuple(grid.affine * (x, y))} lies outside what its CRS {crs.name} can describe; "
            "expected coordinates on the Earth; correct the CRS or the geotransform: gdal_edit.py -a_srs or -a_ullr"
        )
    return float(metres[0]), float(metres[1])


def model_grid(scene: Gridded, resolution: float) -> GeoBox:
    """The grid over the scene's extent, in its CRS, whose pixels measure `resolution` metres on the ground.

    Pixels keep the scene's proportions where those are square on the ground within NEARLY_SQUARE, and become square
    where they are not. The shape is rounded to whole pixels, and their size scaled so that both grids end at the same
    edges.
    Raises ResolutionError when the scene's own resolution is unknown.
    """
    if scene.pixel_size is None:
        raise ResolutionError(
            f"{scene.name}: its ground resolution is unknown (it has no CRS); expected a georeferenced scene; state "
            "its resolution in metres per pixel with --scene-resolution"
        )
    down, across = scene.pixel_size
    if abs(down / across - 1) < NEARLY_SQUARE:
        down = across = float(np.sqrt(down * across))
    shape = tuple(
        max(1, round(n * size / resolution)) for n, size in zip(scene.grid.shape, (down, across), strict=True)
    )
    return resized(scene.grid, (shape[0], shape[1]))


def resized(grid: GeoBox, shape: tuple[int, int]) -> GeoBox:
    """The grid over the same extent with another (height, width)."""
    scale = Affine.scale(grid.shape[1] / shape[1], grid.shape[0] / shape[0])
    return GeoBox(shape, grid.affine * scale, grid.crs)


def crop(grid: GeoBox, y: Span, x: Span) -> GeoBox:
    """The part of a grid that holds rows `y` and columns `x`, which may lie outside it."""
    return GeoBox((y.size, x.size), grid.affine * Affine.translation(x.start, y.start), grid.crs)


@dataclass(frozen=True, slots=True)
class Placement:
    """How a raster lies on a grid.

    `affine` maps the grid's pixels (x, y) to the raster's. `offset` is the (y, x) of the raster's pixel under the
    grid's first one where both share their pixels, and None where it takes resampling. `y` and `x` are the grid's
    pixels that the raster reaches.
    """

    affine: Affine
    offset: tuple[int, int] | None
    y: Span
    x: Span

    @property
    def scale(self) -> tuple[float, float]:
        """The raster's pixels per pixel of the grid, down and across."""
        return float(np.hypot(self.affine.b, self.affine.e)), float(np.hypot(self.affine.a, self.affine.d))


def place(shape: tuple[int, int], transform: Affine, grid: GeoBox) -> Placement:
    """How a raster of `shape` (height, width) with that transform lies on `grid`; both are in one CRS."""
    rows, columns = grid.shape
    affine = ~transform * grid.affine
    for plain in (
        Affine.scale(shape[1] / columns, shape[0] / rows),
        Affine.translation(round(affine.c), round(affine.f)),
    ):
        if _gap(affine, plain, (rows, columns)) < NOISE:
            affine = plain
    y, x = _reach(affine, shape, (rows, columns))
    offset = round(affine.f), round(affine.c)
    aligned = _gap(affine, Affine.translation(offset[1], offset[0]), (rows, columns)) < ALIGNED
    return Placement(affine, offset if aligned else None, y, x)


def _gap(first: Affine, second: Affine, shape: tuple[int, int]) -> float:
    """The largest distance along an axis between where two affines put the corners of a grid."""
    ends = [(0, 0), (shape[1], 0), (0, shape[0]), (shape[1], shape[0])]
    return max(abs(v - w) for end in ends for v, w in zip(first * end, second * end, strict=True))


def _reach(affine: Affine, shape: tuple[int, int], grid: tuple[int, int]) -> tuple[Span, Span]:
    back = ~affine
    corners = [back * corner for corner in [(0, 0), (shape[1], 0), (0, shape[0]), (shape[1], shape[0])]]
    spans = []
    for axis, size in ((1, grid[0]), (0, grid[1])):
        values = [corner[axis] for corner in corners]
        low, high = int(np.floor(min(values) + ALIGNED)), int(np.ceil(max(values) - ALIGNED))
        spans.append(Span(low, max(low, high)).clip(Span(0, size)))
    return spans[0], spans[1]


def union(grids: Sequence[GeoBox]) -> GeoBox:
    """The grid of the finest of several grids in one CRS (the first of equals), extended to cover all of them."""
    return extended(min(grids, key=lambda g: abs(g.affine.determinant)), grids)


def extended(grid: GeoBox, others: Sequence[GeoBox]) -> GeoBox:
    """The pixels of `grid`, as many as it takes to cover all of `others`, which are in the same CRS."""
    corners = np.array(
        [
            ~grid.affine * (other.affine * corner)
            for other in others
            for corner in ((0, 0), (other.shape[1], 0), (0, other.shape[0]), other.shape[::-1])
        ]
    )
    left, top = np.floor(corners.min(axis=0) + ALIGNED).astype(int)
    right, bottom = np.ceil(corners.max(axis=0) - ALIGNED).astype(int)
    return crop(grid, Span(int(top), int(bottom)), Span(int(left), int(right)))
