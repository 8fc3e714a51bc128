"""Streaming into a valid cloud-optimised GeoTIFF: rows go to a temporary file, which becomes the COG at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.errors import OutputError, WriteError
from geoseg.io.outputs import Staging, write_error, writing
from geoseg.io.raster import open_raster, session

ROWS = 64  # rows of one block of the temporary file
COMMIT_CACHE = 16 << 20  # bytes: GDAL would keep 5 % of the machine's memory while it writes
_WARPED_ROWS = 128  # rows of one block of a WarpedVRT
_LOSSLESS = ("NONE", "LZW", "DEFLATE", "ZSTD", "LZMA")
_CHOICES: Mapping[str, tuple[str, ...] | None] = {  # creation options that keep grid and values; None: any text
    "BIGTIFF": ("YES", "NO", "IF_NEEDED", "IF_SAFER"),
    "BLOCKSIZE": None,
    "COMPRESS": _LOSSLESS,
    "GEOTIFF_VERSION": ("AUTO", "1.0", "1.1"),
    "LEVEL": None,
    "NUM_THREADS": None,
    "OVERVIEWS": ("AUTO", "IGNORE_EXISTING", "NONE"),
    "OVERVIEW_COMPRESS": ("AUTO", *_LOSSLESS),
    "OVERVIEW_COUNT": None,
    "OVERVIEW_RESAMPLING": ("NEAREST", "MODE", "AVERAGE", "BILINEAR"),
    "PREDICTOR": ("YES", "NO", "STANDARD"),
    "SPARSE_OK": ("YES", "NO", "TRUE", "FALSE"),
    "STATISTICS": ("AUTO", "YES", "NO"),
}


@dataclass(frozen=True, slots=True)
class RasterOptions:
    """How rasters are written: `metadata` becomes tags, `creation_options` are those of GDAL's COG driver.

    With `target` the result lies on that grid (of the same CRS) instead of the grid that the strips come on. `named` is
    the final name, where the sink's path is a temporary one: messages tell it. Raises OutputError for a creation option
    that is unknown or that would change values or grid.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    creation_options: Mapping[str, str] = field(default_factory=dict)
    target: GeoBox | None = None
    threads: int = 2
    named: Path | None = None

    def __post_init__(self) -> None:
        """Check the creation options."""
        for name, value in self.creation_options.items():
            _check_option(name.upper(), str(value).upper())


def _check_option(name: str, value: str) -> None:
    if name not in _CHOICES:
        raise OutputError(f"creation option {name}: not known; expected one of {', '.join(_CHOICES)}")
    choices = _CHOICES[name]
    if choices is not None and value not in choices:
        raise OutputError(f"creation option {name}={value}: expected one of {', '.join(choices)} (values must be kept)")
    if name == "BLOCKSIZE" and not (value.isdecimal() and int(value) >= 128 and int(value) % 16 == 0):
        raise OutputError(f"creation option BLOCKSIZE={value}: expected a multiple of 16 from 128 on")


@dataclass(frozen=True, slots=True)
class Look:
    """What the bands say of themselves, one name each, and how they are stored.

    `scale` leads from stored to real values, `colours` are by value, `resampling` is that of overviews.
    """

    names: tuple[str, ...]
    resampling: str
    scale: float = 1.0
    colours: Mapping[int, tuple[int, int, int]] | None = None
    dtype: str = "uint8"
    nodata: int = NODATA

    @property
    def warping(self) -> Resampling:
        """How pixels go to another grid."""
        return Resampling.nearest if self.resampling == "NEAREST" else Resampling.bilinear


class CogWriter:
    """Bands of whole numbers, written row by row; under their final name only after `commit`."""

    def __init__(self, path: str | Path, grid: GeoBox, look: Look, options: RasterOptions) -> None:
        """Open the temporary file. Raises OutputError where the folder cannot be written to."""
        self._path, self._look, self._options = Path(path), look, options
        self._named = options.named or self._path
        self._staging = Staging([self._path], overwrite=True, named=self._named)
        try:
            self._rows = self._open("rows.tif", grid)
        except BaseException:
            self._staging.abort()
            raise

    def _open(self, name: str, grid: GeoBox) -> RowFile:
        return RowFile(self._staging.scratch(self._path, name), self._named, grid, self._look)

    def write(self, y: Span, values: NDArray[Any]) -> None:
        """Take the next rows, (band, y, x) of the look's dtype. Raises WriteError."""
        self._rows.write(y, values)

    def commit(self) -> None:
        """Write the COG and move it to its final name. Raises WriteError, and then nothing is left."""
        try:
            with session(COMMIT_CACHE), _gdal(self._named):
                rows = self._rows
                rows.finish(self._options)
                if self._options.target is not None:
                    rows = self._warped(rows, self._options.target)
                self._translate(rows.path)
            self._staging.commit()
        except BaseException:
            self.abort()
            raise

    def _warped(self, rows: RowFile, target: GeoBox) -> RowFile:
        """The rows on another grid, bounded in memory."""
        warped = self._open("warped.tif", target)
        try:
            for y, values in warped_rows(rows.path, target, self._look.warping):
                warped.write(y, values)
            warped.finish(self._options)
        except BaseException:
            warped.close()
            raise
        rows.path.unlink()
        return warped

    def _translate(self, source: Path) -> None:
        staged = self._staging.path(self._path)
        chosen = {name.upper(): str(value).upper() for name, value in self._options.creation_options.items()}
        defaults = {
            "COMPRESS": "DEFLATE",
            "BIGTIFF": "IF_SAFER",
            "NUM_THREADS": str(self._options.threads),
            "OVERVIEW_RESAMPLING": self._look.resampling,
        }
        rasterio.shutil.copy(source, staged, driver="COG", **{**defaults, **chosen})
        require_complete(staged, self._named, sparse=chosen.get("SPARSE_OK") in ("YES", "TRUE"))

    def abort(self) -> None:
        """Remove everything written so far; safe to call at any time."""
        self._rows.close()
        self._staging.abort()


class RowFile:
    """A temporary GeoTIFF that takes rows of any height, in order, and compresses each block once."""

    def __init__(self, path: Path, final: Path, grid: GeoBox, look: Look) -> None:
        """Create the file; `final` is the name that errors tell."""
        self.path, self._final, self._look = path, final, look
        self._height, self._width = grid.shape
        self._next = 0
        count = len(look.names)
        self._partial = np.empty((count, ROWS, self._width), look.dtype)
        place = grid_profile(grid)
        # zstd's fastest level costs less than the bytes that it saves
        with _gdal(final):
            self._file = open_raster(
                path, "w", driver="GTiff", count=count, dtype=look.dtype, nodata=look.nodata, blockysize=ROWS,
                bigtiff="IF_SAFER", compress="zstd", zstd_level=1, sparse_ok=False, **place,
            )  # fmt: skip

    def write(self, y: Span, values: NDArray[Any]) -> None:
        """Take rows `y`, values (band, y, x). Raises WriteError, also for rows out of order or of another shape."""
        expected = (len(self._look.names), y.size, self._width)
        if y.start != self._next or y.stop > self._height or values.shape != expected:
            raise WriteError(
                f"{self._final}: found rows {y.start} to {y.stop} of shape {values.shape}; expected rows from "
                f"{self._next} on, {self._width} wide, up to {self._height}; please report this fault"
            )
        with _gdal(self._final):
            while self._next < y.stop:
                self._take(values[:, self._next - y.start :])

    def _take(self, values: NDArray[Any]) -> None:
        """The part of `values`, which begin at the next row, that lies in the next row's block."""
        begin = self._next // ROWS * ROWS
        end = min(begin + ROWS, self._height)
        part = values[:, : end - self._next]
        after = self._next + part.shape[1]
        if part.shape[1] < end - begin:
            self._partial[:, self._next - begin : after - begin] = part
            part = self._partial[:, : end - begin]
        if after == end:
            self._file.write(part, window=Window(0, begin, self._width, end - begin))
        self._next = after

    def finish(self, options: RasterOptions) -> None:
        """Add what the bands say of themselves, close the file, and make sure that every block is on the disk."""
        if self._next < self._height:
            raise WriteError(
                f"{self._final}: only {self._next} of {self._height} rows were written; the job is incomplete"
            )
        look = self._look
        self._file.descriptions = look.names
        self._file.update_tags(**{key: str(value) for key, value in options.metadata.items()})
        if look.scale != 1:
            self._file.scales = (look.scale,) * len(look.names)
        if look.colours is not None:
            self._file.write_colormap(1, dict(look.colours))
        self.close()
        require_complete(self.path, self._final)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        try:
            with rasterio.Env():
                self._file.close()
        except (RasterioError, CPLE_BaseError):  # a failed flush: `require_complete` and `commit` report it
            logging.getLogger(__name__).debug("closing %s failed", self.path, exc_info=True)


def grid_profile(grid: GeoBox) -> dict[str, Any]:
    """Width, height, CRS and transform of a grid, as rasterio takes them; without a place for an unplaced grid."""
    profile: dict[str, Any] = {"height": grid.shape[0], "width": grid.shape[1]}
    if grid.crs is not None:
        profile["crs"] = rasterio.CRS.from_wkt(grid.crs.to_wkt())
    if grid.crs is not None or not grid.affine.is_identity:
        profile["transform"] = grid.affine
    return profile


def warped_rows(source: Path, grid: GeoBox, resampling: Resampling) -> Iterator[tuple[Span, NDArray[Any]]]:
    """The raster's bands on another grid of the same CRS, some rows at a time, (band, y, x) of its dtype.

    Going to coarser pixels, `resampling` other than nearest becomes an average. The result does not depend on how the
    rows are cut.
    """
    with open_raster(source) as raster:
        relation = ~raster.transform * grid.affine
        turned = max(abs(relation.b) * grid.shape[0], abs(relation.d) * grid.shape[1]) > 1e-3
        if resampling == Resampling.nearest and not turned:
            yield from _nearest_rows(raster, grid, relation)
        else:
            yield from _gdal_rows(raster, grid, resampling)


def _nearest_rows(raster: Any, grid: GeoBox, relation: Affine) -> Iterator[tuple[Span, NDArray[Any]]]:
    """Nearest pixels where both grids have the same directions: by index, so that ties always go the same way."""
    rows, outside_rows = _nearest(grid.shape[0], relation.e, relation.f, raster.height)
    columns, outside_columns = _nearest(grid.shape[1], relation.a, relation.c, raster.width)
    for y in _spans(grid.shape[0]):
        wanted = rows[y.start : y.stop]
        first, last = int(wanted.min()), int(wanted.max())
        values = raster.read(window=Window(0, first, raster.width, last - first + 1))
        taken = values[:, wanted - first][:, :, columns]
        taken[:, outside_rows[y.start : y.stop]] = raster.nodata
        taken[:, :, outside_columns] = raster.nodata
        yield y, taken


def _nearest(count: int, scale: float, offset: float, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The pixel of an axis of `size` in which each of `count` pixel centres lies, and which of them lie outside it.

    Edges belong to the later pixel.
    """
    centres = (np.arange(count) + 0.5) * scale + offset
    pixels = np.floor(np.round(centres, 6)).astype(np.int64)
    return np.clip(pixels, 0, size - 1), (pixels < 0) | (pixels >= size)


def _gdal_rows(raster: Any, grid: GeoBox, resampling: Resampling) -> Iterator[tuple[Span, NDArray[Any]]]:
    """Rows out of a WarpedVRT; its scale is fixed, since GDAL otherwise guesses it from each piece."""
    height, width = grid.shape
    crs = raster.crs or rasterio.CRS.from_epsg(3857)  # any will do: both sides have the same
    ratios = [_length(raster.transform, axis) / _length(grid.affine, axis) for axis in (0, 1)]
    if resampling != Resampling.nearest and min(ratios) < 1:
        resampling = Resampling.average
    with WarpedVRT(
        raster, src_crs=crs, crs=crs, transform=grid.affine, width=width, height=height, resampling=resampling,
        src_nodata=raster.nodata, nodata=raster.nodata, XSCALE=repr(ratios[0]), YSCALE=repr(ratios[1]),
    ) as warped:  # fmt: skip
        for y in _spans(height):
            yield y, warped.read(window=Window(0, y.start, width, y.size))


def _spans(height: int) -> Iterator[Span]:
    return (Span(start, min(start + _WARPED_ROWS, height)) for start in range(0, height, _WARPED_ROWS))


def _length(affine: Affine, axis: int) -> float:
    """Ground units of one pixel's step along columns (0) or rows (1)."""
    return float(np.hypot(*((affine.a, affine.d) if axis == 0 else (affine.b, affine.e))))


def require_complete(path: Path, final: Path, sparse: bool = False) -> None:
    """Nothing when every block that the TIFF at `path` lists lies inside the file; raises WriteError naming `final`.

    GDAL reports no error when the last bytes of a file do not fit on the disk.
    """
    size = path.stat().st_size
    with open_raster(path) as raster:
        levels = [None, *range(len(raster.overviews(1)))]
        shapes = [(raster.shape, raster.block_shapes[0])]
    for level in levels[1:]:
        with open_raster(path, overview_level=level) as overview:
            shapes.append((overview.shape, overview.block_shapes[0]))
    with open_raster(path) as raster:
        for level, (shape, block) in zip(levels, shapes, strict=True):
            for row, column in np.ndindex(-(-shape[0] // block[0]), -(-shape[1] // block[1])):
                if not _inside(raster, f"{column}_{row}", level, size) and not sparse:
                    raise write_error(final, "the file is shorter than its contents")


def _inside(raster: Any, place: str, level: int | None, size: int) -> bool:
    begin, count = (raster.get_tag_item(f"BLOCK_{what}_{place}", "TIFF", 1, level) for what in ("OFFSET", "SIZE"))
    return begin is not None and count is not None and int(begin) + int(count) <= size


@contextmanager
def _gdal(final: Path) -> Iterator[None]:
    """GDAL's messages go to the log and its failures become a WriteError that names `final`."""
    with rasterio.Env(), writing(final, RasterioError, CPLE_BaseError):
        yield
