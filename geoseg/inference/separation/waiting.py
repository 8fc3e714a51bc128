"""Rows that wait for the objects in them, and the objects that are settled but not given yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import ObjectTable
from geoseg.core.values import SCORE_UNIT
from geoseg.errors import ResourceError
from geoseg.inference.separation import giving, kernels
from geoseg.inference.separation.kernels import Held

MOST_BYTES = 1 << 30  # of rows that wait; what is worked out of them takes about as much again


class Waiting:
    """Rows from `first` on, `width` pixels wide; room for them grows by doubling."""

    def __init__(self, width: int, first: int) -> None:
        """Hold no row."""
        self.width, self.first, self._count = width, first, 0
        none = np.empty((0, width), np.uint8)
        self._room = Held(none, none, np.empty((0, width), np.int32), none, np.zeros(width, np.int32))

    @property
    def held(self) -> Held:
        """The rows; what is written into them stays."""
        class_ids, scores, settled, rim, above = self._room
        count = self._count
        return Held(class_ids[:count], scores[:count], settled[:count], rim[:count], above)

    def append(
        self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None, rim: NDArray[np.uint8] | None
    ) -> None:
        """Hold further rows, of which nothing is settled. Raises ResourceError where there are too many."""
        start, stop = self._count, self._count + len(class_ids)
        room = self._room
        if stop > len(room.class_ids):
            rows = max(stop, 2 * self._count)
            _check(stop, self.width * (room.settled.itemsize + 1 + (scores is not None) + (rim is not None)))
            self._room = room = Held(
                _longer(room.class_ids, rows, start),
                room.scores if scores is None else _longer(room.scores, rows, start),
                _longer(room.settled, rows, start),
                room.rim if rim is None else _longer(room.rim, rows, start),
                room.above,
            )
        room.class_ids[start:stop] = class_ids
        room.settled[start:stop] = 0
        if scores is not None:
            room.scores[start:stop] = scores
        if rim is not None:
            room.rim[start:stop] = rim
        self._count = stop

    def drop(self, count: int) -> None:
        """Hold the first rows no longer; room that is far too large is given back."""
        if not count:
            return
        above = self._room.settled[count - 1].copy()
        left = self._count - count
        keep = len(self._room.class_ids) if 4 * left > len(self._room.class_ids) else left
        class_ids, scores, settled, rim = (
            _moved(array, count, left, min(keep, len(array))) for array in self._room[:-1]
        )
        self._room = Held(class_ids, scores, settled, rim, above)
        self._count, self.first = left, self.first + count


def _check(rows: int, row_bytes: int) -> None:
    if rows * row_bytes > MOST_BYTES:
        raise ResourceError(
            f"{rows} rows wait for an object that reaches through all of them: found {rows * row_bytes >> 20} MB, "
            f"expected {MOST_BYTES >> 20} MB at most; compute the scene in pieces (--bounds)"
        )


def _longer(array: NDArray[Any], rows: int, used: int) -> NDArray[Any]:
    larger = np.empty((rows, array.shape[1]), array.dtype)
    larger[:used] = array[:used]
    return larger


def _moved(array: NDArray[Any], start: int, count: int, rows: int) -> NDArray[Any]:
    """An array of `rows` rows that begins with `count` of this one's, from `start` on."""
    target = array if rows == len(array) else np.empty((rows, array.shape[1]), array.dtype)
    target[: min(count, rows)] = array[start : start + min(count, rows)]
    return target


_OBJECT = np.dtype(
    [
        ("class_id", np.uint8),
        ("mean", np.float64),  # of the scores, 0 to 254
        ("last_row", np.int64),
        ("number", np.int32),  # 0 where no pixel was given yet
        ("cut", np.bool_),
    ]
)


class Settled:
    """Objects all of whose pixels are known, by their places: 0 is none."""

    def __init__(self) -> None:
        """Know none."""
        self._objects = np.zeros(1, _OBJECT)
        self._objects["last_row"] = -1
        self._given = 0

    def add(self, found: NDArray[np.int64], ends: kernels.Ends, first: int, scored: bool) -> NDArray[np.int32]:
        """The places (marker,) of the markers that are settled, 0 for the others; rows count from `first`."""
        which = np.flatnonzero(~ends.open[1:]) + 1
        places = np.zeros(len(found), np.int32)
        places[which] = len(self._objects) + np.arange(len(which))
        known, new = found[which], np.zeros(len(which), _OBJECT)
        new["class_id"] = known[:, kernels.CLASS]
        new["mean"] = known[:, kernels.SCORES] / known[:, kernels.PIXELS] if scored else np.nan
        new["last_row"] = known[:, kernels.LAST_ROW] + first
        new["cut"] = ends.cut[which]
        self._objects = np.concatenate([self._objects, new])
        return places

    def numbered(self, held: Held) -> tuple[NDArray[np.int32], ObjectTable]:
        """The numbers of objects (y, x) in rows that follow those before, and the objects that begin in them.

        The rows' scores become the objects'.
        """
        scores = np.rint(np.nan_to_num(self._objects["mean"])).astype(np.uint8)
        before, numbers = self._given, self._objects["number"].copy()
        instances, self._given = giving.give(held, scores, numbers, before)
        self._objects["number"] = numbers
        new = np.flatnonzero(numbers > before)
        begun = self._objects[new[np.argsort(numbers[new])]]
        number, class_id, last_row = (begun[name].copy() for name in ("number", "class_id", "last_row"))
        score = (begun["mean"] / SCORE_UNIT).astype(np.float32)
        return instances, ObjectTable(number, class_id, score, last_row, begun["cut"].copy() if len(held.rim) else None)

    def compact(self, first: int, settled: NDArray[np.int32]) -> None:
        """Forget objects that end before row `first`; `settled` (y, x) are the places of those in rows that wait."""
        keep = self._objects["last_row"] >= first
        keep[0] = True
        if keep.all():
            return
        moved = (np.cumsum(keep) - 1).astype(np.int32)
        settled[:] = np.where(settled > 0, moved[settled], settled)
        self._objects = self._objects[keep]
