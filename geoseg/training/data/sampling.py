"""Windows for training: random places, balanced by class, at random resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.card import ModelCard
from geoseg.errors import SpecError
from geoseg.training.batch import Batch
from geoseg.training.data.cutting import Frame, Sheets, cut
from geoseg.training.data.ground import range_on, resolutions_for
from geoseg.training.data.plot import Plot
from geoseg.training.options import DataOptions

DRAWS = 7  # random numbers of one window


@dataclass(frozen=True, slots=True, eq=False)
class _Odds:
    """How likely each plot is: cumulated shares (plot,), for pixels of one class, or of any."""

    plots: NDArray[np.int64]
    reached: NDArray[np.float64]

    @classmethod
    def of(cls, weights: NDArray[np.float64]) -> _Odds:
        plots = np.flatnonzero(weights > 0)
        reached = np.cumsum(weights[plots])
        return cls(plots, reached / reached[-1])

    def pick(self, share: float) -> int:
        return int(self.plots[min(int(np.searchsorted(self.reached, share, side="right")), len(self.plots) - 1)])


class Sampler:
    """Draws batches: each follows from the seed and its step alone, whoever draws it, and in whatever order.

    A share `balance` of the windows lies around a random pixel of a class, each class as likely as another; the others
    around any pixel that training sees and knows. A scene's pixels count by their area and the scene's weight. Windows
    lie inside their scene where it is large enough. The resolution is drawn evenly by its logarithm.
    """

    def __init__(
        self, plots: Sequence[Plot], card: ModelCard, options: DataOptions, batch_size: int, seed: int
    ) -> None:
        """Draw from plots, of which at least one has something to see. Raises SpecError."""
        self._plots = [plot for plot in plots if plot.known_pixels]
        if not self._plots:
            names = ", ".join(plot.ground.name for plot in plots) or "no scene"
            raise SpecError(f"{names}: found nothing to train on that is not kept for validation; add scenes")
        self._size, self._count, self._seed = options.crop_size, batch_size, seed
        self._balance = options.balance
        self._ranges = [range_on(plot.ground, resolutions_for(options, card)) for plot in self._plots]
        self._ids = sorted({class_id for plot in self._plots for class_id in plot.ids})
        self._odds = {class_id: _Odds.of(self._weights((class_id,))) for class_id in self._ids}
        self._any = _Odds.of(self._weights(self._ids))

    def _weights(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """Weighted square metres of some classes in each plot."""
        areas = [
            sum(plot.counts.get(i, 0) for i in ids) * plot.ground.resolution**2 * plot.ground.role.weight
            for plot in self._plots
        ]
        return np.array(areas, np.float64)

    def draw(self, step: int) -> Batch:
        """The batch of one step."""
        numbers = np.random.default_rng([self._seed, step]).random((self._count, DRAWS))
        bands = len(self._plots[0].ground.images)
        sheets = Sheets.empty(self._count, bands, self._size)
        for slot, shares in enumerate(numbers):
            self._window(shares.tolist(), sheets, slot)
        return sheets.batch()

    def _window(self, shares: Sequence[float], sheets: Sheets, slot: int) -> None:
        number, place = self._pixel(shares)
        plot = self._plots[number]
        low, high = self._ranges[number]
        resolution = low * (high / low) ** shares[4]
        scale = resolution / plot.ground.resolution
        top, left = (
            _start(pixel, share, scale * self._size, length)
            for pixel, share, length in zip(place, shares[5:7], plot.ground.shape, strict=True)
        )
        sheets.resolution[slot], sheets.scene[slot] = resolution, plot.index
        cut(plot.ground, plot.seen, Frame(top, left, scale), sheets, slot)

    def _pixel(self, shares: Sequence[float]) -> tuple[int, tuple[int, int]]:
        """A plot by its place in the list, and a pixel of it."""
        balanced, of_class, of_plot, of_pixel = shares[:4]
        if balanced < self._balance:
            class_id = self._ids[int(of_class * len(self._ids))]
            number = self._odds[class_id].pick(of_plot)
            return number, self._plots[number].pixel(class_id, of_pixel)
        number = self._any.pick(of_plot)
        plot = self._plots[number]
        ends = np.cumsum([total[-1] for total in plot.totals])
        at = of_pixel * float(ends[-1])
        which = min(int(np.searchsorted(ends, at, side="right")), len(ends) - 1)
        before = float(ends[which - 1]) if which else 0.0
        return number, plot.pixel(plot.ids[which], (at - before) / float(ends[which] - before))


def _start(pixel: int, share: float, extent: float, length: int) -> float:
    """Where a window begins that holds a pixel at that share of its extent, moved inside a large enough scene.

    Windows that are wider than the scene lie at random around it.
    """
    if extent >= length:
        return float(share * (length - extent))
    return float(np.clip(pixel + 0.5 - share * extent, 0, length - extent))


def class_frequencies(plots: Sequence[Plot], card: ModelCard) -> dict[int, int]:
    """Pixels of each class of the card that training sees, by id, at the model's resolution, scenes by their weight."""
    found = {c.id: 0.0 for c in card.classes.classes}
    for plot in plots:
        scale = (plot.ground.resolution / card.resolution) ** 2 * plot.ground.role.weight
        for class_id, count in plot.counts.items():
            found[class_id] = found.get(class_id, 0.0) + count * scale
    return {class_id: round(count) for class_id, count in found.items()}
