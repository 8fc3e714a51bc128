"""Class rasters that the vector benchmarks make for themselves; equal on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

NODATA = 255
BUILT_SHARE = 0.15  # of a building mask's pixels
_BLOB = 8.0  # standard deviation of the smoothing in pixels: 8192 x 8192 pixels hold some 20,000 blobs
_NOISE_STEPS = (49, 208)  # of 256: background on 19 % of the pixels, class 1 on 62 %, class 2 on 19 %
_PERIOD = 1024  # rows after which streamed blobs repeat, and noise is drawn anew

Classes = NDArray[np.uint8]


def smoothed(shape: tuple[int, ...], blob: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """White noise (y, x), smoothed by a Gaussian of `blob` pixels; its edges meet when it is repeated."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(gaussian_filter(noise, blob, mode="wrap"))


def building_mask(shape: tuple[int, int], seed: int = 1) -> Classes:
    """Blobs of 1 on 0, shape (y, x)."""
    field = smoothed(shape, _BLOB, np.random.default_rng(seed))
    return (field > np.quantile(field, 1 - BUILT_SHARE)).astype(np.uint8)


def land_cover(size: int, classes: int = 10, blob: float = 12.0, seed: int = 10) -> Classes:
    """Patches of classes 0, 1, ... that fill the raster (size, size)."""
    rng = np.random.default_rng(seed)
    best = np.full((size, size), -np.inf, np.float32)
    raster = np.zeros((size, size), np.uint8)
    for number in range(classes):
        field = smoothed((size, size), blob, rng)
        raster[field > best] = number
        np.maximum(best, field, out=best)
    return raster


def with_holes(raster: Classes, share: float = 0.02, seed: int = 11) -> Classes:
    """The same raster without data in some places."""
    field = smoothed(raster.shape, 24.0, np.random.default_rng(seed))
    return np.where(field > np.quantile(field, 1 - share), np.uint8(NODATA), raster)


def random_mask(number: int, size: int = 64) -> Classes:
    """One of a series of small rasters: noise of 2 to 10 classes, blobs of as many, thin noise; half with nodata."""
    rng = np.random.default_rng(number)
    shape = (size - number % 7, size - number % 5)
    classes = 2 + number % 9
    match number % 3:
        case 0:
            raster = rng.integers(0, classes, shape, dtype=np.uint8)
        case 1:
            fields = [smoothed(shape, 1 + number % 4, rng) for _ in range(classes)]
            raster = np.argmax(fields, axis=0).astype(np.uint8)
        case _:
            raster = (rng.random(shape) < rng.uniform(0.02, 0.98)).astype(np.uint8) * np.uint8(classes)
    if number % 2:
        raster[rng.random(shape) < 0.03] = NODATA
        raster[smoothed(shape, 4, rng) > 0.15] = NODATA
    return raster


@dataclass(frozen=True, slots=True)
class Stream:
    """A raster that is made strip by strip, background 0; every call of `strips` makes the same one.

    `noise` is three classes in no order, of which class 1 percolates: a single polygon holds half of all vertices.
    `blobs` is a building mask that repeats downwards.
    """

    kind: Literal["noise", "blobs"]
    width: int
    rows: int

    def strips(self, height: int = 256) -> Iterator[Classes]:
        """The strips (y, x), from top to bottom, `height` rows each but for the last of a period."""
        pattern = building_mask((_PERIOD, self.width)) if self.kind == "blobs" else None
        for start in range(0, self.rows, _PERIOD):
            for first in range(start, min(start + _PERIOD, self.rows), height):
                last = min(first + height, start + _PERIOD, self.rows)
                yield self._noise(first, last) if pattern is None else pattern[first - start : last - start]

    def _noise(self, first: int, last: int) -> Classes:
        drawn = np.random.default_rng(first).integers(0, 256, (last - first, self.width), dtype=np.uint8)
        classes = (drawn >= _NOISE_STEPS[0]).view(np.uint8)
        classes += drawn >= _NOISE_STEPS[1]
        return classes
