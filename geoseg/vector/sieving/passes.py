"""One pass of a sieve: rows go in, and come out when what is small in them has its class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.vector.sieving import kernels
from geoseg.vector.sieving.kernels import Patches, Rule
from geoseg.vector.sieving.settle import settle
from geoseg.vector.sieving.shares import CELL, PixelShares

CHUNK_PIXELS = 1 << 18  # patches are settled after so many pixels, or as many as there are runs that wait
ROWS_AHEAD = 4  # rows for which there is room at first

Flagged = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # rows (y, x), and which of them (y,) may hold small patches


def rule(background: int | None, nodata: int, *, keep: bool, shift: int) -> Rule:
    """What the kernels are told of a pass over a raster whose first column is `shift` of the scene."""
    dropped = nodata if background is None else background
    return Rule(-1 if background is None else background, nodata, dropped, keep, shift % CELL)


class Pass:
    """Holds rows until the patches in them are decided."""

    def __init__(self, width: int, shares: PixelShares, told: Rule) -> None:
        """Expect rows of `width` pixels; no memory is taken before a row may hold a small patch."""
        self._shares, self._rule = shares, told
        self._held = _Held(width)
        self._patches: Patches | None = None
        self._before = np.full(width, told.nodata, np.uint8)
        self._fed = 0
        self._new = 0  # pixels since patches were settled

    def feed(self, rows: NDArray[np.uint8], unsettled: NDArray[np.bool_]) -> Flagged:
        """The rows that are final, and which of them may hold small patches still; both are fed likewise."""
        step = max(1, CHUNK_PIXELS // max(1, rows.shape[1]))
        parts = [self._take(rows[i : i + step], unsettled[i : i + step]) for i in range(0, max(1, len(rows)), step)]
        return _joined(parts)

    def finish(self, rows: NDArray[np.uint8], unsettled: NDArray[np.bool_]) -> Flagged:
        """What is left, after the last rows."""
        return _joined([self.feed(rows, unsettled), self._settle(last=True)])

    def _take(self, rows: NDArray[np.uint8], unsettled: NDArray[np.bool_]) -> Flagged:
        if not self._held.rows and not unsettled.any():
            return self._pass_over(rows)
        shares = self._shares.rows(self._fed, self._fed + len(rows))
        new = self._held.append(rows)
        patches = self._patches or new_patches(self._before, self._fed)
        done = 0
        while done < len(rows):
            done += kernels.sweep(patches, self._rule, new[done:], unsettled[done:], shares[done:])
            if done < len(rows):
                patches = make_room(patches)
        self._patches = patches
        self._fed += len(rows)
        self._new += rows.size
        waiting = int(patches.counts[kernels.RUNS])
        return (
            self._settle(last=False) if not waiting or self._new >= max(CHUNK_PIXELS, waiting) else self._held.give(0)
        )

    def _pass_over(self, rows: NDArray[np.uint8]) -> Flagged:
        """The same rows, in which nothing is small; none is held."""
        if len(rows):
            self._fed += len(rows)
            self._before = rows[-1].copy()
            self._patches = None
        return rows, np.zeros(len(rows), np.bool_)

    def _settle(self, *, last: bool) -> Flagged:
        if self._patches is None:
            return self._held.give(0)
        self._new = 0
        return self._held.give(settle(self._patches, self._rule, *self._held.arrays, last))


class _Held:
    """Rows that wait, and whether each holds small patches still; a row begins with a whole machine word."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._pixels = np.empty((0, -(-width // kernels.WORD) * kernels.WORD), np.uint8)
        self._unsettled = np.empty(0, np.bool_)
        self.rows = 0

    @property
    def arrays(self) -> Flagged:
        return self._pixels[: self.rows], self._unsettled[: self.rows]

    def append(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The place (y, x) of further rows, in whole words."""
        start, self.rows = self.rows, self.rows + len(rows)
        if self.rows > len(self._pixels):
            more = max(self.rows, 2 * len(self._pixels)) - len(self._pixels)
            self._pixels = np.pad(self._pixels, ((0, more), (0, 0)))
            self._unsettled = np.pad(self._unsettled, (0, more))
        self._pixels[start : self.rows, : self._width] = rows
        self._unsettled[start : self.rows] = False
        return self._pixels[start : self.rows]

    def give(self, count: int) -> Flagged:
        """Copies of the first rows, which are held no longer."""
        given = self._pixels[:count, : self._width].copy(), self._unsettled[:count].copy()
        for array in (self._pixels, self._unsettled):
            array[: self.rows - count] = array[count : self.rows]
        self.rows -= count
        return given


def new_patches(before: NDArray[np.uint8], rows: int) -> Patches:
    """No patches yet, after `rows` rows without small ones, the last of which was `before` (x,)."""
    width = len(before)
    fields = np.empty((kernels.LARGE + ROWS_AHEAD * width, kernels.PATCH_FIELDS), np.int64)
    fields[: kernels.LARGE] = 0
    fields[: kernels.LARGE, kernels.PARENT] = np.arange(kernels.LARGE)
    line = kernels.PASSED_OVER if rows else 0
    return Patches(
        fields=fields,
        sides=np.empty((ROWS_AHEAD * kernels.SIDES_A_PIXEL * width, 3), np.int32),
        runs=np.empty((ROWS_AHEAD * width, 4), np.int32),
        counts=np.array([kernels.LARGE, 0, 0, rows, line, 0], np.int64),
        starts=np.empty((2, width + 1), np.int32),
        values=np.empty((2, width), np.uint8),
        labels=np.empty((2, width), np.int32),
        last=before.copy(),
    )


def make_room(patches: Patches) -> Patches:
    """The same patches with room for another row at least; arrays that are more than half full are doubled."""
    used = patches.counts
    longer = {
        name: _doubled(array)
        for name, array, count in (
            ("fields", patches.fields, used[kernels.LABELS]),
            ("sides", patches.sides, used[kernels.SIDES]),
            ("runs", patches.runs, used[kernels.RUNS]),
        )
        if 2 * count > len(array)
    }
    return patches._replace(**longer)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _joined(parts: list[Flagged]) -> Flagged:
    parts = [part for part in parts if len(part[0])] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([unsettled for _, unsettled in parts])
