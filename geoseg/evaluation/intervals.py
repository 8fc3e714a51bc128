"""How sure ratios are: bootstrap intervals over squares of the scenes (Efron, 1979).

Neighbouring pixels and objects are alike, so that whole squares are drawn, and not pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.figures import Figure

FEWEST = 5  # cells: fewer say nothing about how much they differ
PERCENTILES = (2.5, 97.5)
CHUNK = 64  # draws that are summed at a time


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Cells drawn with replacement, as many as there are: `times` uint16 (draw, cell) is how often each was drawn."""

    times: NDArray[np.uint16]

    @classmethod
    def of(cls, cells: NDArray[np.bool_], resamples: int, seed: int) -> Draws:
        """Draws of those cells that a mask (cell,) selects; none where they are fewer than FEWEST."""
        held = np.flatnonzero(cells)
        times = np.zeros((resamples if len(held) >= FEWEST else 0, len(cells)), np.uint16)
        rng = np.random.default_rng(seed)
        for row in times:
            row[held] = np.bincount(rng.integers(0, len(held), len(held)), minlength=len(held))
        return cls(times)

    def __len__(self) -> int:
        """Number of draws."""
        return len(self.times)

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sums (draw, ...) of the cells' values (cell, ...)."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        out = np.empty((len(self), flat.shape[1]))
        for start in range(0, len(self), CHUNK):
            out[start : start + CHUNK] = self.times[start : start + CHUNK].astype(np.float64) @ flat
        return out.reshape(len(self), *values.shape[1:])

    def weights(self, most: int) -> NDArray[np.float64]:
        """How often each cell was drawn, in the first `most` draws, float64 (draw, cell)."""
        return self.times[: max(0, most)].astype(np.float64)


def figure(value: float, drawn: NDArray[np.float64]) -> Figure:
    """A ratio with the interval of its draws (draw,); NaN is unknown, and an interval takes half of the draws known."""
    if not np.isfinite(value):
        return Figure(value=None)
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0 or 2 * len(known) < len(drawn):
        return Figure(value=float(value))
    low, high = np.percentile(known, PERCENTILES)
    return Figure(value=float(value), low=float(low), high=float(high))
