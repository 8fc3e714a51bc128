"""Windows for validation: side by side over the blocks that were kept from training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.training.batch import Batch
from geoseg.training.data.cutting import Frame, Sheets, cut
from geoseg.training.data.places import Rectangle
from geoseg.training.data.plot import Plot

SHARED = 0.75  # of a pixel: a part that is so much too wide for its window still counts as one


@dataclass(frozen=True, slots=True)
class Window:
    """One place to validate: the number of its plot, the part that is known, and where the window lies around it."""

    plot: int
    part: Rectangle
    frame: Frame


@dataclass(frozen=True, slots=True)
class Regular:
    """How validation looks: windows of `size` pixels at `resolution` metres, `batch_size` at a time.

    Of more than `most` windows, so many are taken, evenly.
    """

    resolution: float
    size: int
    batch_size: int
    most: int | None = None


def validation_windows(plots: Sequence[Plot], regular: Regular) -> Iterator[Batch]:
    """Batches that cover all blocks once, each pixel of a block in one window; the last one may be smaller.

    A window's part of a block lies in its middle, but at the scene's edges; what is around it is shown, and unknown.
    Windows without any known pixel are left out.
    """
    places = list(_thinned(list(_places(plots, regular)), regular.most))
    for start in range(0, len(places), regular.batch_size):
        some = places[start : start + regular.batch_size]
        sheets = Sheets.empty(len(some), len(plots[some[0].plot].ground.images), regular.size)
        for slot, window in enumerate(some):
            plot = plots[window.plot]
            sheets.resolution[slot] = window.frame.scale * plot.ground.resolution
            sheets.scene[slot] = plot.index
            cut(plot.ground, None, window.frame, sheets, slot)
            _forget_outside(window, sheets, slot)
        yield sheets.batch()


def _thinned(places: list[Window], most: int | None) -> list[Window]:
    if most is None or len(places) <= most:
        return places
    return [places[i] for i in np.linspace(0, len(places) - 1, most).round().astype(int)]


def _places(plots: Sequence[Plot], regular: Regular) -> Iterator[Window]:
    for number, plot in enumerate(plots):
        scale = regular.resolution / plot.ground.resolution
        extent = scale * regular.size
        for block in plot.blocks:
            for y, x in product(*(_parts(span, extent) for span in block)):
                if (plot.ground.classes_at(y, x) != NODATA).any():
                    top, left = (_start(s, extent, n) for s, n in zip((y, x), plot.ground.shape, strict=True))
                    yield Window(number, (y, x), Frame(top, left, scale))


def _parts(span: Span, extent: float) -> list[Span]:
    """A block's rows or columns in as few equal parts as windows can hold."""
    count = max(1, math.ceil((span.size - SHARED) / extent))
    edges = np.linspace(span.start, span.stop, count + 1).round().astype(int).tolist()
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _start(part: Span, extent: float, length: int) -> float:
    """Where a window begins that has a part in its middle, moved inside the scene where that is large enough."""
    start = (part.start + part.stop - extent) / 2
    return start if extent >= length else float(np.clip(start, 0, length - extent))


def _forget_outside(window: Window, sheets: Sheets, slot: int) -> None:
    """Make unknown what lies outside of the window's part of its block."""
    size = sheets.valid.shape[-1]
    for axis, (span, start) in enumerate(zip(window.part, (window.frame.top, window.frame.left), strict=True)):
        at = np.floor(start + (np.arange(size) + 0.5) * window.frame.scale)
        outside = (at < span.start) | (at >= span.stop)
        np.moveaxis(sheets.classes[slot], axis, 0)[outside] = NODATA
        np.moveaxis(sheets.objects[slot], axis, 0)[outside] = 0
