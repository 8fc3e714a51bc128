"""What networks that find objects take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from geoseg.core.detections import Detections


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects of one chip: `boxes` (object, 4), `labels` (object,), `scores` (object,), and a mask each.

    `boxes` int64 are left, top, right, bottom in whole pixels, right and bottom exclusive, never empty and inside the
    chip; `masks` hold the pixels (y, x) bool inside each box. `labels` int64 count the model's things from 0. `scores`
    float32 lie between 0 and 1.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Sequence[Tensor]

    def detections(self, object_ids: Sequence[int]) -> Detections:
        """The same on the host; `object_ids` gives each label its class id."""
        flat = [mask.detach().to("cpu").numpy().reshape(-1) for mask in self.masks]
        labels = self.labels.detach().to("cpu").numpy()
        return Detections(
            boxes=self.boxes.detach().to("cpu").numpy().astype(np.int32).reshape(-1, 4),
            masks=np.concatenate(flat) if flat else np.zeros(0, np.bool_),
            offsets=np.cumsum([0, *(len(mask) for mask in flat)], dtype=np.int64),
            class_ids=np.asarray(object_ids, np.uint8)[labels],
            scores=self.scores.detach().to("cpu").float().numpy(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network says of a batch of chips: `objects` of each chip, and `scores` where it is panoptic.

    `scores` (batch, channel, y, x) float32 lie between 0 and 1, one channel for each class that is stuff.
    """

    objects: Sequence[Objects]
    scores: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What one chip shows, to learn from: `masks` (object, y, x) bool and `labels` (object,) int64 of its objects.

    `stuff` (y, x) int64 holds the channel of scores that is right at each pixel, 255 where none is (objects, and ground
    nobody labelled); None for an instance model.
    """

    masks: Tensor
    labels: Tensor
    stuff: Tensor | None = None


@runtime_checkable
class ObjectNetwork(Protocol):
    """A network that tells objects apart; its inputs are chips (batch, band, y, x) float32, normalised."""

    def __call__(self, chips: Tensor) -> Answer:
        """The objects of each chip."""
        ...

    def losses(self, chips: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The losses to be summed, each a scalar with a gradient; the network is in training mode."""
        ...
