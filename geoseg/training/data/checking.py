"""Windows for validation: side by side over the blocks that were kept from training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geoseg.core.classes import NODATA
from geoseg.training.batch import Batch
from geoseg.training.data.cutting import Frame, Sheets, cut
from geoseg.training.data.ground import Ground
from geoseg.training.data.places import Rectangle
from geoseg.training.data.plot import Plot

SHARED = 0.25  # of a pixel: so much do windows of a block that is a little too wide for them give way


@dataclass(frozen=True, slots=True)
class Window:
    """One place to validate: the number of its plot, the block that is known, and where the window lies."""

    plot: int
    block: Rectangle
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

    What lies outside of a window's block is shown, and unknown. Windows without any known pixel are left out.
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
        for block in plot.blocks:
            tops, lefts = (_starts(span.start, span.size, scale * regular.size) for span in block)
            for top in tops:
                for left in lefts:
                    window = Window(number, block, Frame(top, left, scale))
                    if _anything(plot.ground, window, scale * regular.size):
                        yield window


def _starts(start: int, size: int, extent: float) -> list[float]:
    """Where windows begin that cover a block side by side, as few as can be, with the block in their middle."""
    count = max(1, math.ceil((size - SHARED) / extent))
    first = start + (size - count * extent) / 2
    return [first + i * extent for i in range(count)]


def _anything(ground: Ground, window: Window, extent: float) -> bool:
    y, x = (
        slice(max(span.start, math.floor(start)), max(span.start, min(span.stop, math.ceil(start + extent))))
        for span, start in zip(window.block, (window.frame.top, window.frame.left), strict=True)
    )
    return bool((ground.classes[y, x] != NODATA).any())


def _forget_outside(window: Window, sheets: Sheets, slot: int) -> None:
    """Make unknown what lies outside of the window's block."""
    size = sheets.valid.shape[-1]
    for axis, (span, start) in enumerate(zip(window.block, (window.frame.top, window.frame.left), strict=True)):
        at = np.floor(start + (np.arange(size) + 0.5) * window.frame.scale)
        outside = (at < span.start) | (at >= span.stop)
        np.moveaxis(sheets.classes[slot], axis, 0)[outside] = NODATA
        np.moveaxis(sheets.objects[slot], axis, 0)[outside] = 0
