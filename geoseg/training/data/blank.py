"""Pure white or black pixels: where a scene without nodata shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import max_pool2d

PATCH = 5  # pixels a side of the smallest square that counts as a hole in the imagery


def blank_pixels(
    pixels: NDArray[Any], valid: NDArray[np.bool_], colours: Sequence[str], *, widen: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pixels of (band, y, x) are pure, and which of them lie in a hole of the imagery; both (y, x).

    Pure pixels have the least ("black") or largest ("white") value of the dtype in every band (0 and 1 where it is no
    integer). A hole is what pure or invalid squares of PATCH pixels cover; a bright roof or a deep shadow has pure
    pixels too, which a network has to see as they are. With `widen` the neighbours of pure pixels are pure: resampling
    mixes them.
    """
    pure = np.zeros(valid.shape, np.bool_)
    for colour in colours:
        value = _extreme(pixels.dtype, colour)
        pure |= np.logical_and.reduce([plane == value for plane in pixels])
    if not pure.any():
        return pure, pure
    rim = _grown(_opened(pure | ~valid), 3) if widen else _opened(pure | ~valid)
    return (_grown(pure, 3) if widen else pure), rim


def _extreme(dtype: np.dtype[Any], colour: str) -> float:
    if dtype.kind == "f":
        return 1.0 if colour == "white" else 0.0
    limits = np.iinfo(dtype)
    return limits.max if colour == "white" else limits.min


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of a mask that squares of PATCH pixels cover; what lies beyond the array counts as covered."""
    return _grown(~_grown(~mask, PATCH), PATCH) & mask


def _grown(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    plane = torch.from_numpy(mask.astype(np.float32))[None, None]
    return np.asarray(max_pool2d(plane, side, stride=1, padding=side // 2)[0, 0].numpy() > 0)
