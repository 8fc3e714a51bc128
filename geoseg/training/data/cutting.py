"""Windows of a ground at any place and resolution, as a network is shown them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Span
from geoseg.training.batch import Batch
from geoseg.training.data.ground import Ground
from geoseg.training.data.kernels import pick, weigh

if TYPE_CHECKING:
    from geoseg.io.labels import Labels

MOSTLY = 0.5  # of a pixel has to be seen for it to be valid


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a window lies: `top` and `left` in the ground's pixels, and how many of them one of its own measures."""

    top: float
    left: float
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Sheets:
    """The arrays of a batch while it is filled; axes as in `Batch`."""

    images: NDArray[np.float32]
    valid: NDArray[np.bool_]
    classes: NDArray[np.int64]
    objects: NDArray[np.int32]
    resolution: NDArray[np.float32]
    scene: NDArray[np.int64]

    @classmethod
    def empty(cls, count: int, bands: int, size: int) -> Sheets:
        """Sheets for so many square windows of `size` pixels, where nothing is seen or known."""
        return cls(
            np.zeros((count, bands, size, size), np.float32),
            np.zeros((count, size, size), np.bool_),
            np.full((count, size, size), NODATA, np.int64),
            np.zeros((count, size, size), np.int32),
            np.zeros(count, np.float32),
            np.zeros(count, np.int64),
        )

    def batch(self) -> Batch:
        """The batch; it shares memory with the sheets."""
        arrays = (self.images, self.valid, self.classes, self.objects, self.resolution, self.scene)
        return Batch(*(torch.from_numpy(array) for array in arrays))


def cut(ground: Ground, seen: NDArray[np.bool_] | None, frame: Frame, sheets: Sheets, slot: int) -> None:
    """Write the window at `frame` to one slot of the sheets.

    Pixels are means over the area of each (or bilinear where they get smaller) of what is valid and `seen` (y, x; None:
    all), as `predict` resamples; classes and objects are those at each pixel's centre, of the outlines themselves where
    the window is finer than the ground. What lies beyond the ground, or is not seen, is invalid and unknown.
    """
    size = sheets.valid.shape[-1]
    y, x = (
        _reach(start, frame.scale * size, length) for start, length in zip(_starts(frame), ground.shape, strict=True)
    )
    if y.size == 0 or x.size == 0:
        return
    part = slice(y.start, y.stop), slice(x.start, x.stop)
    shown = np.array(ground.valid[part])
    if seen is not None:
        shown &= seen[part]
    cover = np.empty((size, size), np.float32)
    weigh(
        np.array(ground.images[:, *part]),
        shown.astype(np.float32),
        taps(frame.top - y.start, frame.scale, size, y.size),
        taps(frame.left - x.start, frame.scale, size, x.size),
        sheets.images[slot],
        cover,
    )
    valid = cover >= MOSTLY - 1e-5
    ground.values.apply(sheets.images[slot])
    sheets.images[slot] *= valid
    sheets.valid[slot] = valid
    middles = (np.arange(size) + 0.5) * frame.scale
    pick(
        (ground.classes[part], ground.objects[part], shown),
        np.floor(frame.top + middles).astype(np.int64) - y.start,
        np.floor(frame.left + middles).astype(np.int64) - x.start,
        sheets.classes[slot],
        sheets.objects[slot],
    )
    if ground.outlines is not None and frame.scale < 1:
        _draw(ground, ground.outlines, frame, sheets, slot)


def _draw(ground: Ground, outlines: Labels, frame: Frame, sheets: Sheets, slot: int) -> None:
    """Draw the known part of a window's labels again, as fine as its pixels: arrays would show edges in steps."""
    classes, objects = sheets.classes[slot], sheets.objects[slot]
    side = Span(0, classes.shape[0])
    affine = ground.grid.affine * Affine.translation(frame.left, frame.top) * Affine.scale(frame.scale)
    truth = outlines.window(GeoBox(classes.shape, affine, ground.grid.crs), side, side)
    known = classes != NODATA
    classes[known] = truth.class_ids[known]
    objects[known] = truth.object_ids[known]


def taps(start: float, scale: float, size: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The first pixel (place,) of `length` that counts for each of `size` places, and weights (place, tap) from it on.

    Place i covers the pixels from start + i * scale to start + (i + 1) * scale: each by its share of that, or, where
    scale is below 1, the two nearest to its middle by their distance. Weights sum to 1, less what lies beyond the ends.
    """
    low = start + np.arange(size) * scale
    if scale >= 1:
        first = np.floor(low)
        pixel = first[:, None] + np.arange(math.ceil(scale) + 1)
        share = np.minimum(low[:, None] + scale, pixel + 1) - np.maximum(low[:, None], pixel)
        weights = np.clip(share, 0, None) / scale
    else:
        middle = low + scale / 2
        first = np.floor(middle - 0.5)
        pixel = first[:, None] + np.arange(2)
        weights = 1 - np.abs(middle[:, None] - 0.5 - pixel)
        weights[(middle < 0) | (middle > length)] = 0
    weights[(pixel < 0) | (pixel >= length) | (weights < 1e-6)] = 0
    return first.astype(np.int64), np.ascontiguousarray(weights, np.float32)


def _starts(frame: Frame) -> tuple[float, float]:
    return frame.top, frame.left


def _reach(start: float, extent: float, length: int) -> Span:
    """The ground's pixels that a window of that extent needs."""
    return Span(math.floor(start) - 1, math.ceil(start + extent) + 1).clip(Span(0, length))
