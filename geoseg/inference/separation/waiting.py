"""Rows that wait for the objects in them, and the objects that are settled but not given yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import ObjectTable
from geoseg.core.values import SCORE_UNIT
from geoseg.inference.separation import kernels
from geoseg.inference.separation.kernels import Held


class Waiting:
    """Rows from `first` on, `width` pixels wide; room for them grows by doubling."""

    def __init__(self, width: int, first: int) -> None:
        """Hold no row."""
        self.width, self.first, self._count = width, first, 0
        none = np.empty((0, width), np.uint8)
        self._room = Held(none, none, np.empty((0, width), np.int32))

    @property
    def held(self) -> Held:
        """The rows; what is written into them stays."""
        class_ids, scores, settled = self._room
        return Held(class_ids[: self._count], scores[: self._count], settled[: self._count])

    def append(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None) -> None:
        """Hold further rows, of which nothing is settled."""
        start, stop = self._count, self._count + len(class_ids)
        if stop > len(self._room.class_ids):
            rows = max(stop, 2 * self._count)
            scored = rows if scores is not None else 0
            self._room = Held(
                _longer(self._room.class_ids, rows, start),
                _longer(self._room.scores, scored, min(start, scored)),
                _longer(self._room.settled, rows, start),
            )
        self._room.class_ids[start:stop] = class_ids
        self._room.settled[start:stop] = 0
        if scores is not None:
            self._room.scores[start:stop] = scores
        self._count = stop

    def drop(self, count: int) -> None:
        """Hold the first rows no longer; room that is far too large is given back."""
        left = self._count - count
        keep = len(self._room.class_ids) if 4 * left > len(self._room.class_ids) else left
        self._room = Held(*(_moved(array, count, left, min(keep, len(array))) for array in self._room))
        self._count, self.first = left, self.first + count


def _longer(array: NDArray[Any], rows: int, used: int) -> NDArray[Any]:
    larger = np.empty((rows, array.shape[1]), array.dtype)
    larger[:used] = array[:used]
    return larger


def _moved(array: NDArray[Any], start: int, count: int, rows: int) -> NDArray[Any]:
    """An array of `rows` rows that begins with `count` of this one's, from `start` on."""
    target = array if rows == len(array) else np.empty((rows, array.shape[1]), array.dtype)
    target[: min(count, rows)] = array[start : start + min(count, rows)]
    return target


class Settled:
    """Objects all of whose pixels are known, by their places: 0 is none."""

    def __init__(self) -> None:
        """Know none."""
        self._class = np.zeros(1, np.uint8)
        self._mean = np.zeros(1)  # of the scores, 0 to 254
        self._last_row = np.full(1, -1, np.int64)
        self._number = np.zeros(1, np.int32)  # 0 where no pixel was given yet
        self._given = 0

    def add(self, found: NDArray[np.int64], settled: NDArray[np.bool_], first: int, scored: bool) -> NDArray[np.int32]:
        """The places (marker,) of the markers that are settled, 0 for the others; rows count from `first`."""
        which = np.flatnonzero(settled[1:]) + 1
        places = np.zeros(len(found), np.int32)
        places[which] = len(self._class) + np.arange(len(which))
        new = found[which]
        mean = new[:, kernels.SCORES] / new[:, kernels.PIXELS] if scored else np.full(len(new), np.nan)
        self._class = np.append(self._class, new[:, kernels.CLASS].astype(np.uint8))
        self._mean = np.append(self._mean, mean)
        self._last_row = np.append(self._last_row, new[:, kernels.LAST_ROW] + first)
        self._number = np.append(self._number, np.zeros(len(new), np.int32))
        return places

    def numbered(self, held: Held) -> tuple[NDArray[np.int32], ObjectTable]:
        """The numbers of objects (y, x) in rows that follow those before, and the objects that begin in them.

        The rows' scores become the objects'.
        """
        scores = np.rint(np.nan_to_num(self._mean)).astype(np.uint8)
        before = self._given
        instances, self._given = kernels.give(held, scores, self._number, before)
        new = np.flatnonzero(self._number > before)
        new = new[np.argsort(self._number[new])]
        score = (self._mean[new] / SCORE_UNIT).astype(np.float32)
        table = ObjectTable(self._number[new], self._class[new], score, self._last_row[new])
        return instances, table

    def compact(self, first: int, settled: NDArray[np.int32]) -> None:
        """Forget objects that end before row `first`; `settled` (y, x) are the places of those in rows that wait."""
        keep = self._last_row >= first
        keep[0] = True
        if keep.all():
            return
        moved = (np.cumsum(keep) - 1).astype(np.int32)
        settled[:] = moved[settled]
        for name in ("_class", "_mean", "_last_row", "_number"):
            setattr(self, name, getattr(self, name)[keep])
