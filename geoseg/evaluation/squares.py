"""The squares that a scene is cut into: what intervals are drawn from, and the map of errors shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.tiling import Span

WANTED = 48  # of a scene
MOST = 64
LEAST_PIXELS = 64  # of a side


@dataclass(frozen=True, slots=True)
class Squares:
    """Squares of a window, by rows: `rows` and `columns` are their edges, rising."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def over(cls, y: Span, x: Span) -> Squares:
        """About WANTED squares of the window, MOST at most, none with sides below LEAST_PIXELS where it is larger."""
        side = max(LEAST_PIXELS, np.sqrt(y.size * x.size / WANTED))
        down = min(MOST, max(1, int(y.size / side)))
        across = min(MOST // down, max(1, int(x.size / side)))
        down = min(MOST // across, down)
        return cls(_edges(y, down), _edges(x, across))

    def __len__(self) -> int:
        """Number of squares."""
        return (len(self.rows) - 1) * (len(self.columns) - 1)

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        """The rows and columns of each."""
        for top, bottom in zip(self.rows, self.rows[1:], strict=False):
            for left, right in zip(self.columns, self.columns[1:], strict=False):
                yield Span(top, bottom), Span(left, right)

    def meeting(self, rows: Span) -> Iterator[tuple[int, tuple[Span, Span]]]:
        """The number of each square that has some of the rows, and its part of them."""
        for place, (y, x) in enumerate(self):
            part = y.clip(rows)
            if part.size:
                yield place, (part, x)

    def of(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """The number of the square that holds each point (x, y), the nearest one for those outside."""
        columns, rows = (
            np.clip(np.searchsorted(edges, points[:, axis], side="right") - 1, 0, len(edges) - 2)
            for axis, edges in enumerate((self.columns, self.rows))
        )
        return (rows * (len(self.columns) - 1) + columns).astype(np.int32)


def _edges(span: Span, parts: int) -> tuple[int, ...]:
    return tuple(int(edge) for edge in np.linspace(span.start, span.stop, parts + 1).round())
