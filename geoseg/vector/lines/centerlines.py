"""Lines for roads and rivers from the strips of a class raster: the same lines for strips of any height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.lines.mask import IN, NONE, OUT
from geoseg.vector.lines.net import Limits
from geoseg.vector.lines.network import Network
from geoseg.vector.lines.rawlines import RawLines, in_order, measured
from geoseg.vector.lines.shape import Frame
from geoseg.vector.lines.skeleton import Reach, Skeleton, skeleton

__all__ = ["LineSettings", "LineTracer", "RawLines"]

_LEAST_ROWS = 256  # rows of which the skeleton is made at a time, at least
_COLUMNS = 4096  # columns of which the skeleton is made at a time


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What becomes a line, in metres on the ground.

    Areas wider than `max_width_m` are no lines, and a line ends where it meets one. Free ends shorter than `spur_m`,
    or than the line that they leave is wide, are pruned; those no further than `gap_m` apart that point at each other
    are joined. Lines that are connected go when all of them together are shorter than `min_length_m`. `simplify_m` is
    how far a line may be from its points before they were thinned out. Holes no larger than a square of `hole_m` are
    filled.
    """

    max_width_m: float = 30.0
    spur_m: float = 12.0
    gap_m: float = 20.0
    min_length_m: float = 30.0
    simplify_m: float = 0.75
    hole_m: float = 5.0


class LineTracer:
    """Takes the strips of a class raster from top to bottom and gives the lines of some classes at the end.

    Of pixels, only the rows are held whose skeleton is not known yet: three times `halo`, which depends on the settings
    alone. Of lines a byte a pixel of their length is held until the end, and about a hundred for each piece between
    two crossings: roads are few beside pixels.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        ground: Ground,
        classes: tuple[int, ...] | None = None,
        settings: LineSettings | None = None,
        background: int | None = 0,
        nodata: int = NODATA,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        """Expect `height` rows of `width` pixels, the first of which has its corner at `origin` (x, y).

        `classes` are the values that become lines, None all but `background` and `nodata`. Raises ResolutionError
        where metres are not known.
        """
        self._settings = settings or LineSettings()
        self._width, self._height, self._nodata = width, height, nodata
        self._classes, self._background = classes, background
        self._ground, self._origin = ground, origin
        self._sizes = _row_sizes(ground, (height, width), origin)
        self._reach = Reach.of(self._settings.max_width_m, self._settings.hole_m, self._sizes)
        self._step = _rows_at_a_time(self._reach)
        self._rows = self._done = 0  # rows fed so far; rows whose skeleton is known
        self._held = np.full((self._step + 2 * self._reach.halo, width), nodata, np.uint8)  # from row _done - halo on
        self._scores: NDArray[np.uint8] | None = None  # of the same rows
        self._frame = Frame(height, width, self._sizes, self._settings.simplify_m)
        self._networks: dict[int, Network] = {}  # of the classes that were met

    @property
    def halo(self) -> int:
        """How many pixels around a block must be fed with it for the same centre lines inside."""
        return self._reach.halo

    def feed(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None = None) -> None:
        """Take the next strip: `class_ids` (y, x), `scores` (y, x) or None.

        Raises ValueError where the strip does not fit the raster, or only some strips come with scores.
        """
        self._check(class_ids, scores)
        if scores is not None and self._scores is None:
            self._scores = np.zeros_like(self._held)
        start = 0
        while start < len(class_ids):
            filled = self._rows - self._done + self._reach.halo
            rows = min(len(class_ids) - start, len(self._held) - filled)
            self._held[filled : filled + rows] = class_ids[start : start + rows]
            if scores is not None and self._scores is not None:
                self._scores[filled : filled + rows] = scores[start : start + rows]
            start += rows
            self._rows += rows
            if filled + rows == len(self._held):
                self._advance()

    def finish(self) -> RawLines:
        """All lines, by their last row, then their first pixel. Raises ValueError where rows are missing."""
        if self._rows != self._height:
            raise ValueError(f"{self._rows} rows were fed; expected {self._height} before the end")
        while self._done < self._height:
            self._held[self._rows - self._done + self._reach.halo :] = self._nodata
            self._advance()
        limits = Limits(self._settings.spur_m, self._reach.width_m)
        parts = []
        for class_id, network in sorted((self._networks or {self._nodata: Network(self._frame)}).items()):
            lines = network.lines(limits, self._settings.gap_m)
            parts.append(measured(lines, class_id, self._ground, self._origin, self._scores is not None))
        return in_order([part.long_enough(self._settings.min_length_m) for part in parts])

    def _check(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None) -> None:
        rows = self._height - self._rows
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or class_ids.shape[0] > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        if scores is not None and scores.shape != class_ids.shape:
            raise ValueError(f"scores have shape {scores.shape}; expected that of the classes, {class_ids.shape}")
        if self._rows and (self._scores is None) != (scores is None):
            raise ValueError("either all strips come with scores, or none does")

    def _advance(self) -> None:
        """Make the skeleton of the next rows, and forget the rows that no later one depends on."""
        end = min(self._height, self._done + self._step)
        for class_id in self._met():
            self._networks.setdefault(class_id, Network(self._frame))
        for class_id, network in self._networks.items():
            parts = [self._skeleton(class_id, left) for left in range(0, self._width, _COLUMNS)]
            network.add([part for part in parts if part is not None], end)
        for rows in (self._held, self._scores):
            if rows is not None:
                rows[: -self._step] = rows[self._step :]
        self._done += self._step

    def _met(self) -> list[int]:
        """The classes in the rows at hand that become lines."""
        found = np.flatnonzero(np.bincount(self._held.ravel(), minlength=256)).tolist()
        if self._classes is not None:
            return [value for value in found if value in self._classes]
        return [value for value in found if value not in (self._background, self._nodata)]

    def _skeleton(self, class_id: int, left: int) -> tuple[Skeleton, NDArray[np.uint8]] | None:
        """The skeleton in the rows at hand, from a column on, with the scores of its pixels; None where none can be."""
        halo = self._reach.halo
        west, east = left - halo, min(self._width, left + _COLUMNS) + halo
        shown = slice(max(0, west), min(self._width, east))
        known = self._held[:, shown]
        if not (known == class_id).any():
            return None
        mask = np.full((len(self._held), east - west), NONE, np.uint8)
        place = slice(shown.start - west, shown.stop - west)
        mask[:, place] = np.where(known == class_id, IN, np.where(known == self._nodata, NONE, OUT))
        rows = np.clip(np.arange(len(mask)) + self._done - halo, 0, self._height - 1)
        found = skeleton(mask, (west, self._done - halo), self._sizes[rows], self._reach)
        if self._scores is None:
            return found, np.zeros(len(found.y), np.uint8)
        return found, self._scores[found.y - (self._done - halo), found.x]


def _rows_at_a_time(reach: Reach) -> int:
    """How many rows' skeleton is made at a time: enough to be worth the rows around them."""
    return max(_LEAST_ROWS, reach.halo)


def _row_sizes(ground: Ground, shape: tuple[int, int], origin: tuple[int, int]) -> NDArray[np.float64]:
    """Metres per pixel along x and y in the middle of each row of a raster (y, x), shape (y, 2).

    Raises ResolutionError where they are nowhere known.
    """
    rows = np.arange(shape[0])
    centres = np.column_stack([np.full(shape[0], origin[0] + shape[1] / 2), origin[1] + rows + 0.5])
    sizes = ground.pixel_sizes(centres)
    known = np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)
    if not known.any():
        raise ResolutionError(
            "the scene has no usable CRS and no ground resolution, so that the width of roads and rivers has no "
            "meaning: state the scene's metres per pixel"
        )
    return np.column_stack([np.interp(rows, rows[known], axis[known]) for axis in sizes.T])
