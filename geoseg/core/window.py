"""Blend windows whose overlaps sum to one exactly, so that stitching needs no weight buffer and no division."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT = 1024  # weights are multiples of 1/UNIT: products of two are exact in float32, and so are their sums


def ramp(overlap: int) -> NDArray[np.float32]:
    """Rising weights over `overlap` pixels, shape (overlap,), multiples of 1/1024 between 0 and 1.

    The falling ramp of the tile before is its exact complement: `ramp(n) + ramp(n)[::-1] == 1`. The shape is a raised
    cosine (Hann), sampled at pixel centres.
    """
    centres = (np.arange(overlap) + 0.5) / max(overlap, 1)
    units = np.rint(UNIT * 0.5 * (1 - np.cos(np.pi * centres))).astype(np.int64)
    half = overlap // 2
    units[overlap - half :] = UNIT - units[:half][::-1]
    if overlap % 2:
        units[half] = UNIT // 2
    return (units / UNIT).astype(np.float32)


def window(tile: int, overlap: int, *, first: bool, last: bool) -> NDArray[np.float32]:
    """Weights of one tile along one axis, shape (tile,): one-sided at the scene's first and last tile."""
    weights = np.ones(tile, dtype=np.float32)
    if overlap and not first:
        weights[:overlap] = ramp(overlap)
    if overlap and not last:
        weights[tile - overlap :] = ramp(overlap)[::-1]
    return weights
