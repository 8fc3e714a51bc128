"""Windows of raster files in their own pixels, with what their masks say; bad blocks are found and told of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geoseg.core.protocols import BadBlock
from geoseg.core.tiling import Span
from geoseg.io.damage import damage_is_an_error
from geoseg.io.raster import RasterFile, open_raster, reason

Valid = NDArray[np.bool_] | None
HANDLES = 32  # files that one thread keeps open


@dataclass(frozen=True, slots=True)
class Part:
    """A file (or one of its overviews, counted from 0) on a sheet that has the same pixels.

    `y` and `x` are the sheet's pixels that it holds.
    """

    file: RasterFile
    y: Span
    x: Span
    overview: int | None = None


class BadBlockSink(Protocol):
    """Decides what a window that cannot be read means: raises ReadError, or takes note."""

    def __call__(self, bad: BadBlock) -> None:
        """Raise, or take note."""
        ...


class Patches:
    """Reads windows of parts; each thread has its own, because GDAL's datasets are not shared between threads."""

    def __init__(self, on_bad_block: BadBlockSink) -> None:
        """`on_bad_block` is told of every block that cannot be read."""
        self._on_bad_block = on_bad_block
        self._open: OrderedDict[tuple[str, int | None], Any] = OrderedDict()

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    def read(self, part: Part, bands: tuple[int, ...], y: Span, x: Span, out: NDArray[Any]) -> Valid:
        """Where a window of the part's sheet is there: (y, x), None for everywhere; its pixels are written to `out`.

        That is what alpha and masks say, and which blocks can be read. `out` has shape (band, y, x), and the window
        lies inside the part.
        """
        try:
            return self._window(part, bands, y, x, out)
        except RasterioError:
            return self._piecewise(part, bands, (y, x), out)

    def _window(self, part: Part, bands: tuple[int, ...], y: Span, x: Span, out: NDArray[Any]) -> Valid:
        window = Window(x.start - part.x.start, y.start - part.y.start, x.size, y.size)
        try:
            dataset = self._dataset(part)
            with damage_is_an_error():
                dataset.read(list(bands), window=window, out=out)
                there = _there(dataset, part.file, bands, window)
        except RasterioError:
            self._forget(part)
            raise
        return None if there is None or there.all() else there

    def _piecewise(self, part: Part, bands: tuple[int, ...], at: tuple[Span, Span], out: NDArray[Any]) -> Valid:
        """The same, block by block: what cannot be read is set to 0, is not there, and is told of."""
        there = np.ones(out.shape[1:], dtype=bool)
        for y, x in _blocks(part, *at):
            inside = (
                slice(y.start - at[0].start, y.stop - at[0].start),
                slice(x.start - at[1].start, x.stop - at[1].start),
            )
            try:
                held = self._window(part, bands, y, x, out[:, *inside])
                there[inside] = True if held is None else held
            except RasterioError as error:
                self._on_bad_block(BadBlock(part.file.path, *_behind(part, y, x), reason(error)))
                out[:, *inside] = 0
                there[inside] = False
        return None if there.all() else there

    def _dataset(self, part: Part) -> Any:
        key = part.file.path, part.overview
        if key not in self._open:
            level = {} if part.overview is None else {"overview_level": part.overview}
            self._open[key] = open_raster(part.file.path, **level)
            if len(self._open) > HANDLES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def _forget(self, part: Part) -> None:
        """Close a file that failed: GDAL may keep what is left of a failed read."""
        dataset = self._open.pop((part.file.path, part.overview), None)
        if dataset is not None:
            dataset.close()


def _there(dataset: Any, file: RasterFile, bands: tuple[int, ...], window: Window) -> Valid:
    """Where alpha band and masks have data: (y, x), or None where there are none."""
    masks = [dataset.read(file.alpha, window=window)] if file.alpha is not None else []
    masked = [band for band in bands if band in file.own_masks] or ([bands[0]] if file.masked else [])
    masks.extend(dataset.read_masks(masked, window=window) if masked else [])
    return np.logical_and.reduce([mask != 0 for mask in masks]) if masks else None


def _blocks(part: Part, y: Span, x: Span) -> Iterator[tuple[Span, Span]]:
    """Windows of the sheet that cover (y, x) and lie in one block of the file each."""
    down, across = part.file.block_shape
    for top in range(y.start - (y.start - part.y.start) % down, y.stop, down):
        for left in range(x.start - (x.start - part.x.start) % across, x.stop, across):
            yield Span(top, top + down).clip(y), Span(left, left + across).clip(x)


def _behind(part: Part, y: Span, x: Span) -> tuple[Span, Span]:
    """The blocks of the file behind a window of the sheet, in the file's own pixels."""
    factor = 1 if part.overview is None else part.file.overviews[part.overview]
    spans = []
    for here, own, step, size in ((y, part.y, part.file.block_shape[0], 0), (x, part.x, part.file.block_shape[1], 1)):
        first, last = (here.start - own.start) // step, -(-(here.stop - own.start) // step)
        spans.append(Span(first * step * factor, last * step * factor).clip(Span(0, part.file.shape[size])))
    return spans[0], spans[1]


def joined(bad: Sequence[BadBlock]) -> list[BadBlock]:
    """The windows in order of file, row and column; those that make one rectangle are one, for its first's reason."""
    rows = _runs(sorted(bad, key=lambda b: (b.path, b.y.start, b.y.stop, b.x.start)), _beside)
    blocks = _runs(sorted(rows, key=lambda b: (b.path, b.x.start, b.x.stop, b.y.start)), _below)
    return sorted(blocks, key=lambda b: (b.path, b.y.start, b.x.start))


def _runs(bad: Sequence[BadBlock], follows: Callable[[BadBlock, BadBlock], bool]) -> list[BadBlock]:
    runs: list[BadBlock] = []
    for each in bad:
        if runs and runs[-1].path == each.path and follows(runs[-1], each):
            last = runs.pop()
            each = replace(last, y=Span(last.y.start, each.y.stop), x=Span(last.x.start, each.x.stop))
        runs.append(each)
    return runs


def _beside(left: BadBlock, right: BadBlock) -> bool:
    return left.y == right.y and left.x.stop == right.x.start


def _below(upper: BadBlock, lower: BadBlock) -> bool:
    return upper.x == lower.x and upper.y.stop == lower.y.start
