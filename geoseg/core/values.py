"""From the values in a file to the values that a network was trained on, and from its scores to classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.card import ModelCard
from geoseg.errors import SpecError

OBJECT_SCORE = 0.5  # from which an object counts, where nothing else is said
SCORE_UNIT = 254  # scores are stored as round(254 * score); 255 is nodata


@dataclass(frozen=True, slots=True)
class Stretch:
    """A linear stretch of each band: `low` becomes the bottom of the model's value range, `high` its top.

    Values outside are clipped. One entry a band. `origin` says where the numbers come from.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    origin: str

    def __post_init__(self) -> None:
        """Refuse empty ranges."""
        for low, high in zip(self.low, self.high, strict=True):
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise SpecError(f"a stretch from {low} to {high} is empty; expected low < high for each band")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What happens to raw values, band by band: clip to [low, high], then multiply by `scale` and add `offset`.

    Missing pixels become 0 afterwards: the mean of the training data. Arrays have shape (bands,), float32.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]


def normalisation(card: ModelCard, stretch: Stretch | None) -> Normalisation:
    """The arithmetic from the file's values to the network's, for one job: stretch (if any), then the card's own."""
    count = len(card.bands)
    bottom, top = card.value_range
    low = np.array(stretch.low if stretch else [bottom] * count, dtype=np.float64)
    high = np.array(stretch.high if stretch else [top] * count, dtype=np.float64)
    mean, std = np.array(card.mean), np.array(card.std)
    scale = 1 / ((high - low) * std)
    offset = -low * scale - mean / std
    limit = np.array([np.inf] * count)
    return Normalisation(
        low=(low if stretch else -limit).astype(np.float32),
        high=(high if stretch else limit).astype(np.float32),
        scale=scale.astype(np.float32),
        offset=offset.astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """How scores become classes: `ids` gives each channel's class; ties go to the first channel.

    Without `threshold` the best channel wins. With one, the best foreground channel wins where its score reaches it,
    and `background` is taken elsewhere. Objects of models that find objects count from `object_threshold` on.
    """

    ids: tuple[int, ...]
    background: int | None
    threshold: float | None
    object_threshold: float = OBJECT_SCORE

    def __post_init__(self) -> None:
        """Refuse a threshold that nothing can fall back from."""
        if self.threshold is not None and self.background is None:
            raise SpecError("a threshold needs a model with a background class; leave --threshold out")

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices of the channels that are not background."""
        return tuple(i for i, class_id in enumerate(self.ids) if class_id != self.background)

    @property
    def binary(self) -> bool:
        """Whether there is one foreground class only: the score raster then holds its score everywhere."""
        return self.background is not None and len(self.foreground) == 1

    @classmethod
    def of(cls, card: ModelCard, threshold: float | None = None) -> Decision:
        """The card's decision, with the user's threshold where one is given; 0.5 for a sigmoid model without one."""
        ids = card.channel_ids
        chosen = threshold if threshold is not None else card.threshold
        if card.kind != "semantic":
            return cls(ids, card.classes.background, None, OBJECT_SCORE if chosen is None else chosen)
        if chosen is None and card.activation == "sigmoid":
            chosen = 0.5
        return cls(ids, card.classes.background, chosen)
