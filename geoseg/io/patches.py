"""Windows of one raster on the scene's grid, as they are or resampled, with their valid mask; bad blocks are found."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geoseg.core.protocols import BadBlock
from geoseg.core.tiling import Span
from geoseg.io.damage import damage_is_an_error
from geoseg.io.grid import ALIGNED, Placement
from geoseg.io.raster import RasterFile, open_raster, reason, validity
from geoseg.io.subset import needs_subset, subset

Valid = NDArray[np.bool_] | None
HANDLES = 32  # files that one thread keeps open
LEAF = 16  # pixels: the smallest window that is tried on its own when resampling meets a bad block


@dataclass(frozen=True, slots=True)
class Part:
    """A file (or one of its overviews, counted from 0) and how it lies on the grid that is read."""

    file: RasterFile
    placement: Placement
    overview: int | None = None


class BadBlockSink(Protocol):
    """Decides what a window that cannot be read means: raises ReadError, or takes note."""

    def __call__(self, bad: BadBlock) -> None:
        """Raise, or take note."""
        ...


class Patches:
    """Reads windows of parts; each thread has its own, because GDAL's datasets are not shared between threads."""

    def __init__(self, on_bad_block: BadBlockSink) -> None:
        """`on_bad_block` is told of every window that cannot be read."""
        self._on_bad_block = on_bad_block
        self._open: OrderedDict[tuple[Part, tuple[int, ...]], _Handle] = OrderedDict()

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    def read(self, part: Part, bands: tuple[int, ...], y: Span, x: Span, out: NDArray[Any]) -> Valid:
        """The valid mask (y, x) of a window of the grid, None when all is valid; its pixels are written to `out`.

        `out` has shape (band, y, x), and the window lies inside what the part reaches.
        """
        try:
            return self._window(part, bands, y, x, out)
        except RasterioError:
            return self._piecewise(part, bands, (y, x), out)

    def _window(self, part: Part, bands: tuple[int, ...], y: Span, x: Span, out: NDArray[Any]) -> Valid:
        origin = part.placement.offset or (-part.placement.y.start, -part.placement.x.start)
        window = Window(x.start + origin[1], y.start + origin[0], x.size, y.size)
        try:
            handle = self._handle(part, bands)
            with damage_is_an_error():
                handle.dataset.read(list(handle.bands), window=window, out=out)
                valid = _both(validity(out, part.file, bands), handle.mask(window))
        except RasterioError:
            self._forget(part, bands)
            raise
        return None if valid is None or valid.all() else valid

    def _piecewise(self, part: Part, bands: tuple[int, ...], at: tuple[Span, Span], out: NDArray[Any]) -> Valid:
        """The same, piece by piece: what cannot be read is set to 0, made invalid and told of."""
        valid = np.ones(out.shape[1:], dtype=bool)
        pieces = deque(_blocks(part, *at) if part.placement.offset is not None else _quarters(part, *at))
        while pieces:
            piece, y, x = pieces.popleft()
            inside = (
                slice(y.start - at[0].start, y.stop - at[0].start),
                slice(x.start - at[1].start, x.stop - at[1].start),
            )
            try:
                ok = self._window(piece, bands, y, x, out[:, *inside])
                valid[inside] = True if ok is None else ok
            except RasterioError as error:
                if part.placement.offset is None and max(y.size, x.size) > LEAF:
                    pieces.extend(_quarters(part, y, x))
                    continue
                self._on_bad_block(BadBlock(part.file.path, *_behind(piece, y, x), reason(error)))
                out[:, *inside] = 0
                valid[inside] = False
        return None if valid.all() else valid

    def _handle(self, part: Part, bands: tuple[int, ...]) -> _Handle:
        key = part, bands
        if key not in self._open:
            self._open[key] = _straight(part, bands) if part.placement.offset is not None else _resampled(part, bands)
            if len(self._open) > HANDLES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def _forget(self, part: Part, bands: tuple[int, ...]) -> None:
        """Close a file that failed: GDAL may keep what is left of a failed read."""
        handle = self._open.pop((part, bands), None)
        if handle is not None:
            handle.close()


@dataclass(frozen=True, slots=True)
class _Handle:
    """An open dataset, what has to be closed after it, and where it has the chosen bands and the alpha band."""

    dataset: Any
    sources: tuple[Any, ...]
    bands: tuple[int, ...]
    alpha: int | None
    masked: bool

    def mask(self, window: Window) -> Valid:
        """Where the alpha band, or the mask, has data: (y, x), or None where there is neither."""
        if self.alpha is not None:
            return np.asarray(self.dataset.read(self.alpha, window=window) != 0)
        return np.asarray(self.dataset.read_masks(self.bands[0], window=window) != 0) if self.masked else None

    def close(self) -> None:
        for dataset in (self.dataset, *self.sources):
            dataset.close()


def _straight(part: Part, bands: tuple[int, ...]) -> _Handle:
    return _Handle(_opened(part), (), bands, part.file.alpha, part.file.masked)


def _opened(part: Part) -> Any:
    level = {} if part.overview is None else {"overview_level": part.overview}
    return open_raster(part.file.path, **level)


def _both(first: Valid, second: Valid) -> Valid:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _resampled(part: Part, bands: tuple[int, ...]) -> _Handle:
    """The chosen bands on the grid's pixels, as far as the part reaches: averaged going down, bilinear otherwise.

    Both sides are given in pixels of the file under one arbitrary CRS, so that nothing is ever reprojected and scenes
    without a CRS are like all others. The scale is explicit: left to itself, GDAL guesses it anew for each window.
    """
    place, file = part.placement, part.file
    dataset, bands, alpha = _chosen(part, bands)
    down, across = place.scale
    nodata = _common_nodata(file)
    unified = {"UNIFIED_SRC_NODATA": "YES"} if file.dtype == np.uint8 else {}
    warped = WarpedVRT(
        dataset,
        src_crs="EPSG:3857",
        crs="EPSG:3857",
        src_transform=Affine.identity(),
        transform=place.affine * Affine.translation(place.x.start, place.y.start),
        height=place.y.size,
        width=place.x.size,
        resampling=Resampling.average if min(down, across) >= 1 else Resampling.bilinear,
        src_nodata=nodata,
        nodata=nodata,
        add_alpha=alpha is None and "alpha" not in [c.name for c in dataset.colorinterp],
        XSCALE=str(1 / across),
        YSCALE=str(1 / down),
        **unified,
    )
    added = warped.count if warped.count > dataset.count else None
    return _Handle(warped, (dataset,), bands, alpha or added, False)


def _chosen(part: Part, bands: tuple[int, ...]) -> tuple[Any, tuple[int, ...], int | None]:
    """An open dataset of the chosen bands only where that can be had, with their indices and the alpha band's.

    GDAL resamples all bands of a dataset, whichever are read.
    """
    file = part.file
    if part.overview is not None or not needs_subset(file, bands):
        return _opened(part), bands, file.alpha
    alpha = None if file.alpha is None else len(bands) + 1
    return open_raster(subset(file, bands)), tuple(range(1, len(bands) + 1)), alpha


def _common_nodata(file: RasterFile) -> float | None:
    value = file.band_nodata(1)
    return float("nan") if value is None and file.dtype.kind == "f" else value


def _blocks(part: Part, y: Span, x: Span) -> Iterator[tuple[Part, Span, Span]]:
    """Windows of the grid that cover (y, x) and lie in one block of the file each."""
    (down, across), (dy, dx) = part.file.block_shape, part.placement.offset or (0, 0)
    for top in range((y.start + dy) // down * down, y.stop + dy, down):
        for left in range((x.start + dx) // across * across, x.stop + dx, across):
            yield part, Span(top - dy, top + down - dy).clip(y), Span(left - dx, left + across - dx).clip(x)


def _quarters(part: Part, y: Span, x: Span) -> Iterator[tuple[Part, Span, Span]]:
    """The quarters of a window of what is resampled, each as a part of its own: one that fails spoils no other."""
    for rows in _halves(y):
        for columns in _halves(x):
            yield replace(part, placement=replace(part.placement, y=rows, x=columns)), rows, columns


def _halves(span: Span) -> tuple[Span, ...]:
    middle = span.start + LEAF * -(-span.size // (2 * LEAF))
    return (Span(span.start, middle), Span(middle, span.stop)) if middle < span.stop else (span,)


def _behind(part: Part, y: Span, x: Span) -> tuple[Span, Span]:
    """The window of the file's pixels behind a window of the grid; whole blocks where both share their pixels."""
    corners = [part.placement.affine * corner for corner in ((x.start, y.start), (x.stop, y.stop))]
    steps = part.file.block_shape if part.placement.offset is not None else (1, 1)
    spans = []
    for axis, step, size in zip((1, 0), steps, part.file.shape, strict=True):
        low, high = sorted(corner[axis] for corner in corners)
        first, last = int(np.floor(low + ALIGNED)) // step, -(-int(np.ceil(high - ALIGNED)) // step)
        spans.append(Span(first * step, last * step).clip(Span(0, size)))
    return spans[0], spans[1]
