"""Any raster's values as class ids: 256 kinds of pixels are what polygons are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.errors import SceneError

_LIMIT = 1 << 31  # files hold classes as 32 bits
_EXACT = 2.0**53  # whole numbers from here on are not told apart by floats
_LUT = 1 << 17  # values between which a table is worth it


class Codes:
    """Gives each value of a raster a class id from 0 to 254 when it is first met, its own where that is free."""

    def __init__(self, name: str) -> None:
        """Messages call the raster `name`."""
        self._name = name
        self._of: dict[int, int] = {}

    @property
    def values(self) -> dict[int, int]:
        """The value of each class id that was given."""
        return {code: value for value, code in self._of.items()}

    def code(self, value: int) -> int:
        """The class id of a value. Raises SceneError when there are more values than ids."""
        if not -_LIMIT <= value < _LIMIT:
            raise SceneError(
                f"{self._name}: found the value {value}; expected classes from {-_LIMIT} to {_LIMIT - 1}; give them "
                "smaller numbers"
            )
        if value not in self._of:
            taken = set(self._of.values())
            if 0 <= value < NODATA and value not in taken:
                self._of[value] = value
            else:
                self._of[value] = next((code for code in range(NODATA - 1, -1, -1) if code not in taken), NODATA)
            if self._of[value] == NODATA:
                raise SceneError(
                    f"{self._name}: found more than {NODATA} different values; expected classes; give --instances "
                    "where each value is one object, or --threshold where they are scores"
                )
        return self._of[value]

    def encode(self, pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
        """Class ids (y, x) of values (y, x), NODATA where they are not valid. Raises SceneError for fractions."""
        whole = integers(pixels, valid, self._name)
        known = whole if valid is None else whole[valid]
        if known.size == 0:
            return np.full(whole.shape, NODATA, np.uint8)
        low, high = (0, 255) if whole.dtype == np.uint8 else (int(known.min()), int(known.max()))
        if high - low < _LUT:
            ids = self._looked_up(whole, known, low, high)
        else:
            met, place = np.unique(known, return_inverse=True)
            ids = np.empty(whole.shape, np.uint8)
            ids[... if valid is None else valid] = self._table(met, known)[place].reshape(known.shape)
        if valid is not None:
            ids[~valid] = NODATA
        return ids

    def _looked_up(self, whole: NDArray[Any], known: NDArray[Any], low: int, high: int) -> NDArray[np.uint8]:
        """Class ids by a table of the values from `low` to `high`; anything for values outside."""
        if low:
            known, whole = known.astype(np.int64) - low, np.clip(whole, low, high).astype(np.int64) - low
        met = np.flatnonzero(np.bincount(known.ravel()))
        table = np.zeros(high - low + 1, np.uint8)
        table[met] = self._table(met + low, known + low)
        return np.asarray(table[np.clip(whole, 0, high - low) if not low else whole])

    def _table(self, values: NDArray[Any], known: NDArray[Any]) -> NDArray[np.uint8]:
        """The class ids of values; new ones are met in the order of `known`, so that strips change nothing."""
        flat = known.ravel()
        new = [int(value) for value in values if int(value) not in self._of]
        for value in sorted(new, key=lambda value: int(np.argmax(flat == value))):
            self.code(value)
        return np.array([self.code(int(value)) for value in values], np.uint8)


def integers(pixels: NDArray[Any], valid: NDArray[np.bool_] | None, name: str) -> NDArray[Any]:
    """The values as whole numbers, anything where they are not valid. Raises SceneError for fractions."""
    if pixels.dtype.kind in "iu":
        return pixels
    known = pixels if valid is None else np.where(valid, pixels, 0)
    rounded = np.rint(known)
    odd = (rounded != known) | (np.abs(known) >= _EXACT)
    if odd.any():
        found = known[odd].flat[0]
        raise SceneError(
            f"{name}: found values such as {found:.6g}; expected whole numbers, one a class; where they are scores, "
            "give --threshold, for instance 0.5"
        )
    return np.asarray(rounded, dtype=np.int64)
