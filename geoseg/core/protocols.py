"""The seams between packages: what inference asks of io, what sinks take, how progress is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoseg.core.tiling import Span


@dataclass(frozen=True, slots=True)
class Rows:
    """Pixels of a run of rows, in the file's own dtype: `pixels` (band, y, x).

    `valid` (y, x) is True where every band holds data; None says that all of them are.
    """

    y: Span
    pixels: NDArray[Any]
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class BadBlock:
    """A window that could not be read and was left as nodata."""

    path: str
    y: Span
    x: Span
    reason: str


class RowReader(Protocol):
    """Rows of a scene on one grid, read ahead by threads and handed out in order."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        ...

    @property
    def count(self) -> int:
        """Number of bands."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what comes back."""
        ...

    def rows(self, spans: Sequence[Span], x: Span) -> Iterator[Rows]:
        """The rows of each span, columns `x` only, in the order given; spans do not overlap. Raises ReadError."""
        ...


class Within(Protocol):
    """A region on a grid of pixels."""

    def mask(self, y: Span, x: Span) -> NDArray[np.bool_]:
        """True (y, x) for the pixels of a window that lie in the region; the window may reach beyond the grid."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """Objects that were told from one another; all arrays have shape (object,), rising `instance_id`.

    `instance_id` int32 counts from 1 over what is computed, `class_id` is uint8, `score` float32 from 0 to 1.
    `last_row` int64 is the last row of the scene's grid with a pixel of the object. `cut` bool marks objects whose
    pixels might be others if more of the scene had been looked at; None where that is true of none.
    """

    instance_id: NDArray[np.int32]
    class_id: NDArray[np.uint8]
    score: NDArray[np.float32]
    last_row: NDArray[np.int64]
    cut: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.instance_id)


@dataclass(frozen=True, slots=True)
class Strip:
    """A run of finished rows `y` of the scene's grid: `class_ids` (y, x) uint8 with 255 for nodata, `scores` likewise.

    A raster of numbered objects has int32 ids. Scores are round(254 * score): the foreground's for a binary model, the
    winner's otherwise; 255 is nodata. Where objects are told apart, `instance_ids` (y, x) int32 holds their numbers, 0
    where there is none, and `objects` lists those whose first pixel lies in this strip; scores there are the object's.
    Numbers are -1 where nothing is shown, but an object might be if more of the scene had been looked at.
    """

    y: Span
    class_ids: NDArray[Any]
    scores: NDArray[np.uint8] | None
    instance_ids: NDArray[np.int32] | None = None
    objects: ObjectTable | None = None


@runtime_checkable
class Sink(Protocol):
    """Takes strips in order from the first row to the last. Nothing stands under a final name before `commit`."""

    def write(self, strip: Strip) -> None:
        """Take the next strip."""
        ...

    def commit(self) -> None:
        """Finish, and move the result to its final name."""
        ...

    def abort(self) -> None:
        """Remove everything written so far. Safe to call at any time."""
        ...


class Progress(Protocol):
    """Where a job tells what it does."""

    def plan(self, plan: dict[str, Any]) -> None:
        """The job's plan, before the first pixel, and again whenever the job starts anew with another one."""
        ...

    def advance(self, tiles: int, pixels: int) -> None:
        """So many more tiles are done or skipped, and so many more pixels of the scene are final."""
        ...

    def stage(self, name: str) -> None:
        """A step other than prediction begins: "planning", "writing"."""
        ...

    def warn(self, message: str) -> None:
        """Something that the user should know and that does not end the job."""
        ...

    def note(self, values: Mapping[str, Any]) -> None:
        """Figures of a job that goes on, by name: loss, iou, learning_rate, seconds_left."""
        ...


class Silent:
    """Progress that tells nothing."""

    def plan(self, plan: dict[str, Any]) -> None:
        """Ignore."""

    def advance(self, tiles: int, pixels: int) -> None:
        """Ignore."""

    def stage(self, name: str) -> None:
        """Ignore."""

    def warn(self, message: str) -> None:
        """Ignore."""

    def note(self, values: Mapping[str, Any]) -> None:
        """Ignore."""
