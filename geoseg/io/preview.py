"""A picture of the result: polygons or lines over the imagery, with legend and scale."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pyproj
import rasterio.features
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image, ImageDraw

from geoseg.core.classes import ClassSet
from geoseg.core.features import LineBatch, PolygonBatch
from geoseg.core.protocols import Rows
from geoseg.io.cartography import INK, PAPER, Furniture, LegendEntry, footer
from geoseg.io.grid import ground_pixel
from geoseg.io.outputs import Staging, writing
from geoseg.io.vector_formats import FAILURES, vector_driver

SMALLEST = 900  # pixels of the map's longer side: smaller pictures are enlarged
_NARROWEST = 400  # pixels of the page's width: less cannot hold a legend
_SHARPER = 2  # shapes are drawn that many times larger, then reduced
_LINE = 0.04  # width of an outline as a share of the polygons' median extent
_STROKE = 2.6  # width of a line in map pixels
_BORDER = 1.2  # width of the area's outline in map pixels
_SMALL = 4  # map pixels: polygons below are filled many at a time
_FILL = 0.28
_HALO = 0.42
_SATURATION = 0.72
_EMPTY = 236  # grey of the paper where there is no imagery
_CHUNK = 256  # rows blended at a time
_BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Picture:
    """What the map shows: imagery `pixels` (3, y, x) uint8 on `grid`, valid where `valid` (y, x) is (None: everywhere).

    `title` and `credit` are written under it; its longer side has `longest` pixels at most. `area` holds the polygons,
    in the grid's CRS, that the job was limited to (None: to nothing).
    """

    pixels: NDArray[np.uint8]
    grid: GeoBox
    valid: NDArray[np.bool_] | None = None
    title: str = ""
    credit: str = ""
    longest: int = 2000
    area: NDArray[Any] | None = None


def imagery(rows: Rows) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Pixels (3, y, x) uint8 for the eye, and their valid mask, from an overview with any bands and values.

    The first three bands are red, green and blue; of one or two bands the first is shown grey. Values other than uint8
    are stretched between their 2nd and 98th percentiles, band by band.
    """
    bands = rows.pixels[[0, 1, 2] if len(rows.pixels) >= 3 else [0, 0, 0]]
    if bands.dtype == np.uint8:
        return bands, rows.valid
    shown = np.stack([_stretched(band, rows.valid) for band in bands])
    return shown, rows.valid


def _stretched(band: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    values = band if valid is None else band[valid]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(values, (2, 98))
    scaled = (np.nan_to_num(band.astype(np.float32), nan=low) - low) / max(float(high - low), 1e-12)
    return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), dtype=np.uint8)


def write_preview(
    path: str | Path,
    picture: Picture,
    features: str | Path | Iterable[PolygonBatch | LineBatch],
    classes: ClassSet,
    named: Path | None = None,
) -> None:
    """Write a PNG of the polygons or lines over the imagery.

    `features` is a vector file that geoseg wrote (in any CRS), or batches in the picture's CRS. An older file is
    replaced. `named` is the final name, where `path` is a temporary one: messages tell it. Raises WriteError.
    """
    final = Path(path)
    named = named or final
    base = _base(picture)
    shapes = _Shapes((base.height, base.width), classes)
    to_map = _map_transform(picture.grid, (base.height, base.width))
    for geometry, ids in _batches(features, picture.grid, named):
        shapes.add(shapely.transform(geometry, to_map), ids)
    if picture.area is not None:
        shapes.surround(shapely.transform(picture.area, to_map))
    drawn = shapes.over(np.asarray(base))
    strip = footer(max(base.width, _NARROWEST), _furniture(picture, base, shapes, classes))
    page = Image.new("RGB", (strip.width, base.height + strip.height), PAPER)
    page.paste(Image.fromarray(drawn), ((page.width - base.width) // 2, 0))
    page.paste(strip, (0, base.height))
    with Staging([final], overwrite=True, named=named) as staging, writing(named):
        page.save(staging.path(final), format="PNG", compress_level=3)
        staging.commit()


def _base(picture: Picture) -> Image.Image:
    """The imagery at the map's size, paper where there is none."""
    pixels = np.moveaxis(picture.pixels, 0, -1).copy()
    if picture.valid is not None:
        pixels[~picture.valid] = _EMPTY
    height, width = pixels.shape[:2]
    longer, longest = max(height, width), picture.longest
    scale = min(longest, max(longer, min(SMALLEST, longest))) / longer
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = _muted(pixels)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _muted(pixels: NDArray[np.uint8]) -> Image.Image:
    """The imagery (y, x, 3) a little paler in colour, so that the classes' colours stand out."""
    image = Image.fromarray(pixels)
    return Image.blend(image.convert("L").convert("RGB"), image, _SATURATION)


def _map_transform(grid: GeoBox, shape: tuple[int, int]) -> Any:
    """A function from points (point, 2) in the grid's CRS to pixels (x right, y down) of a map of `shape`."""
    inverse = ~grid.affine
    scale = np.array([shape[1] / grid.shape[1], shape[0] / grid.shape[0]])
    matrix = np.array([[inverse.a, inverse.d], [inverse.b, inverse.e]])
    return lambda points: (points @ matrix + [inverse.c, inverse.f]) * scale


class _Shapes:
    """Fills, outlines and lines on canvases larger than the map; one byte a pixel holds the class."""

    def __init__(self, shape: tuple[int, int], classes: ClassSet) -> None:
        self.shape = shape
        large = (shape[0] * _SHARPER, shape[1] * _SHARPER)
        self.number = {c.id: index for index, c in enumerate(classes.classes, 1)}
        self.counts = dict.fromkeys(self.number, 0)
        self.colours = np.array([INK, *(c.rgb for c in classes.classes)], dtype=np.float32)
        self.fill = np.zeros(large, np.uint8)
        self._line = Image.new("L", large[::-1])
        self._halo = Image.new("L", large[::-1])
        self._border = Image.new("L", large[::-1])
        self._pens = ImageDraw.Draw(self._line), ImageDraw.Draw(self._halo)
        self._width: float | None = None  # of an outline, in the map's pixels: known once polygons are

    def add(self, geometry: NDArray[Any], ids: NDArray[Any]) -> None:
        """Draw polygons or lines given in the map's pixels; those of unknown classes are left out."""
        known = np.isin(ids, list(self.number)) & ~shapely.is_empty(geometry)
        geometry, ids = shapely.transform(geometry[known], lambda points: points * _SHARPER), ids[known]
        if len(geometry) == 0:
            return
        numbers = np.array([self.number[int(i)] for i in ids], np.uint8)
        for class_id, count in zip(*np.unique(ids, return_counts=True), strict=True):
            self.counts[int(class_id)] += int(count)
        solid = shapely.get_dimensions(geometry) == 2
        self._fill(geometry[solid], numbers[solid])
        for line, number in zip(geometry[~solid], numbers[~solid], strict=True):
            self._draw(_chains(line), int(number), _STROKE)

    def _fill(self, geometry: NDArray[Any], numbers: NDArray[np.uint8]) -> None:
        """Fill polygons, and outline those that are not too small for that."""
        if len(geometry) == 0:
            return
        west, south, east, north = shapely.bounds(geometry).T
        extent = np.maximum(east - west, north - south) / _SHARPER
        small = extent < _SMALL
        if not small.all():
            rasterio.features.rasterize(zip(geometry[~small], numbers[~small], strict=True), out=self.fill)
        _fill_small(self.fill, geometry[small], numbers[small])
        if self._width is None:
            self._width = min(max(_LINE * float(np.median(extent)), 0.9), 2.2)
        broad = extent >= 4 * self._width
        for polygon, number in zip(geometry[broad], numbers[broad], strict=True):
            self._draw(_chains(polygon), int(number), self._width)

    def _draw(self, chains: Iterable[list[tuple[int, int]]], number: int, width: float) -> None:
        line, halo = self._pens
        for points in chains:
            halo.line(points, fill=255, width=round(1.8 * width * _SHARPER), joint="curve")
            line.line(points, fill=number, width=round(width * _SHARPER), joint="curve")

    def surround(self, area: NDArray[Any]) -> None:
        """Draw the outline of an area, polygons given in the map's pixels."""
        pen, halo = ImageDraw.Draw(self._border), self._pens[1]
        for polygon in shapely.transform(area, lambda points: points * _SHARPER):
            for points in _chains(polygon):
                halo.line(points, fill=255, width=round(2.5 * _BORDER * _SHARPER), joint="curve")
                pen.line(points, fill=255, width=round(_BORDER * _SHARPER), joint="curve")

    def over(self, base: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The imagery (y, x, 3) uint8 with the shapes blended over it."""
        halo, line, border = np.asarray(self._halo), np.asarray(self._line), np.asarray(self._border)
        drawn = base.copy()
        for top in range(0, self.shape[0], _CHUNK):
            part = slice(top, top + _CHUNK)
            large = slice(top * _SHARPER, (top + _CHUNK) * _SHARPER)
            pixels = drawn[part].astype(np.float32)
            _blend_classes(pixels, self.fill[large], self.colours, _FILL)
            _blend(pixels, _reduced(halo[large] > 0) * _HALO, self.colours[0])
            _blend_classes(pixels, line[large], self.colours, 1.0)
            _blend(pixels, _reduced(border[large] > 0), np.array(PAPER, dtype=np.float32))
            drawn[part] = np.rint(pixels)
        return drawn


def _chains(feature: Any) -> Iterator[list[tuple[int, int]]]:
    """The rings of a polygon, or the parts of a line, as pixels of a canvas; rings overlap by one edge."""
    parts = shapely.get_parts(feature)
    solid = shapely.get_dimensions(feature) == 2
    points, index = shapely.get_coordinates(shapely.get_rings(parts) if solid else parts, return_index=True)
    for chain in np.split(points, np.flatnonzero(np.diff(index)) + 1):
        corners = np.floor(np.round(chain, 3))  # Pillow counts pixels by their corners
        yield [(int(x), int(y)) for x, y in (*corners, corners[1] if solid else corners[-1])]


def _fill_small(canvas: NDArray[np.uint8], geometry: NDArray[Any], numbers: NDArray[np.uint8]) -> None:
    """Give the pixels whose centres lie in polygons smaller than _SMALL map pixels their numbers, all at once.

    It is what rasterising does, one polygon after the other: those far below a pixel mostly meet no centre.
    """
    shapely.prepare(geometry)
    bounds = shapely.bounds(geometry)
    first = np.maximum(np.ceil(bounds[:, :2] - 0.5), 0)
    last = np.minimum(np.floor(bounds[:, 2:] - 0.5), [canvas.shape[1] - 1, canvas.shape[0] - 1])
    for step in np.ndindex(_SMALL * _SHARPER + 1, _SMALL * _SHARPER + 1):
        pixel = first + step
        met = np.flatnonzero((pixel <= last).all(axis=1))
        met = met[shapely.contains_xy(geometry[met], pixel[met] + 0.5)]
        columns, rows = pixel[met].astype(np.int64).T
        canvas[rows, columns] = numbers[met]


def _reduced(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The share of each map pixel that the mask covers."""
    parts = [mask[y::_SHARPER, x::_SHARPER].view(np.uint8) for y in range(_SHARPER) for x in range(_SHARPER)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.uint8) / _SHARPER**2, dtype=np.float32)


def _blend(pixels: NDArray[np.float32], alpha: NDArray[np.float32], colour: NDArray[np.float32]) -> None:
    """Lay a colour over `pixels` (y, x, 3), in place; `alpha` (y, x) is its opacity."""
    where = alpha > 0
    share = alpha[where][:, None]
    pixels[where] = pixels[where] * (1 - share) + colour * share


def _blend_classes(
    pixels: NDArray[np.float32], canvas: NDArray[np.uint8], colours: NDArray[np.float32], opacity: float
) -> None:
    """Lay each class's colour over `pixels`, in place, where the canvas holds the class's number."""
    for number in range(1, len(colours)):
        mask = canvas == number
        if mask.any():
            _blend(pixels, _reduced(mask) * opacity, colours[number])


def _batches(features: Any, grid: GeoBox, named: Path) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Geometry in the grid's CRS and class ids, some features at a time."""
    if not isinstance(features, str | Path):
        for batch in features:
            yield batch.geometry, batch.class_id
        return
    path = Path(features)
    with writing(named, *FAILURES):
        yield from _file_batches(path, grid)


def _file_batches(path: Path, grid: GeoBox) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    if vector_driver(path).driver is None:
        yield from _parquet_batches(path, grid)
        return
    layer = pyogrio.list_layers(path)[0][0]  # a GeoPackage holds its styles in another one
    options = {"layer": layer, "columns": ["class_id"], "batch_size": _BATCH, "use_pyarrow": True}
    with pyogrio.open_arrow(path, **options) as (meta, reader):
        column = meta["geometry_name"] or "wkb_geometry"
        move = _mover(meta["crs"], grid)
        for batch in reader:
            geometry = shapely.from_wkb(batch.column(column).to_numpy(zero_copy_only=False))
            yield move(geometry), batch.column("class_id").to_numpy(zero_copy_only=False)


def _parquet_batches(path: Path, grid: GeoBox) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    file = pq.ParquetFile(path)
    described = json.loads(file.metadata.metadata[b"geo"])["columns"]["geometry"]
    move = _mover(described["crs"], grid)
    for batch in file.iter_batches(_BATCH, columns=["geometry", "class_id"]):
        geometry = shapely.from_wkb(batch.column("geometry").to_numpy(zero_copy_only=False))
        yield move(geometry), batch.column("class_id").to_numpy(zero_copy_only=False)


def _mover(crs: Any, grid: GeoBox) -> Any:
    """A function that brings geometry from a CRS into the grid's."""
    if crs is None or grid.crs is None or pyproj.CRS.from_user_input(crs).equals(grid.crs.proj, ignore_axis_order=True):
        return lambda geometry: geometry
    transformer = pyproj.Transformer.from_crs(crs, grid.crs.proj, always_xy=True)
    return lambda geometry: shapely.transform(
        geometry, lambda points: np.column_stack(transformer.transform(points[:, 0], points[:, 1]))
    )


def _furniture(picture: Picture, base: Image.Image, shapes: _Shapes, classes: ClassSet) -> Furniture:
    entries = tuple(LegendEntry(c.name, c.rgb, shapes.counts[c.id]) for c in classes.without_separator().foreground)
    size = ground_pixel(picture.grid)
    across = None if size is None else size[1] * picture.grid.shape[1] / base.width
    return Furniture(picture.title, picture.credit, entries, across, north_of(picture.grid))


def north_of(grid: GeoBox) -> float | None:
    """Where north lies at the grid's centre, in degrees clockwise from up; None without a CRS."""
    if grid.crs is None or grid.crs.proj.is_engineering:
        return None
    crs = grid.crs.proj
    place = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    x, y = grid.affine * (grid.shape[1] / 2, grid.shape[0] / 2)
    lon, lat = place.transform(x, y)
    step = 1e-4 if lat < 89.9 else -1e-4
    east, north = place.transform(lon, lat + step, direction="INVERSE")
    column, row = ~grid.affine * (east, north)
    right, up = column - grid.shape[1] / 2, grid.shape[0] / 2 - row
    return math.degrees(math.atan2(right, up)) + (0 if step > 0 else 180)
