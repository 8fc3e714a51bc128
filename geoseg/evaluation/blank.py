"""Pure white or black pixels: the least and the largest value that a file can hold, in every band that is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pure_pixels(pixels: NDArray[Any], colours: Sequence[str]) -> NDArray[np.bool_]:
    """Where pixels (band, y, x) are of one of the colours in every band: (y, x).

    "black" is the least value of the dtype and "white" the largest, 0 and 1 where it is no integer.
    """
    pure = np.zeros(pixels.shape[1:], np.bool_)
    for colour in colours:
        value = _extreme(pixels.dtype, colour)
        pure |= np.logical_and.reduce([plane == value for plane in pixels])
    return pure


def _extreme(dtype: np.dtype[Any], colour: str) -> float:
    if dtype.kind == "f":
        return 1.0 if colour == "white" else 0.0
    limits = np.iinfo(dtype)
    return limits.max if colour == "white" else limits.min
