"""What a network said of a batch, beside what it should have said: what every term of the loss is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

UNKNOWN = 255


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The pixels of a batch in a row.

    `logits` (channel, pixel) float32; `target` (pixel,) int64 holds channels, in a sigmoid model the number of channels
    for the background, and 255 where `known` (pixel,) float32 is 0 (None: all are known; to weigh unknown pixels with 0
    is much faster than to leave them out). `edges` (pixel,) float32 are metres to the nearest edge, None where no term
    asks. `counted` are the channels whose regions count: all but the background's.
    """

    logits: Tensor
    target: Tensor
    known: Tensor | None
    edges: Tensor | None
    counted: Sequence[int]
    exclusive: bool
    class_weights: Tensor | None
    smoothing: float

    def probabilities(self) -> Tensor:
        """The scores, (channel, pixel): they sum to one over the channels where these exclude each other."""
        return self.logits.softmax(0) if self.exclusive else self.logits.sigmoid()

    def one_hot(self) -> Tensor:
        """The truth as scores (channel, pixel) float32; background and unknown pixels are 0 in a sigmoid model."""
        channels = torch.arange(len(self.logits), device=self.target.device)
        return (self.target[None] == channels[:, None]).float()

    def weights(self, edge: float, edge_m: float) -> Tensor | None:
        """How much each pixel counts (pixel,), 0 where it is unknown; None where all count 1.

        1 + `edge` at an edge, falling evenly to 1 at `edge_m` metres.
        """
        if not edge or self.edges is None:
            return self.known
        near = 1 + edge * (1 - self.edges / edge_m).clamp_min(0)
        return near if self.known is None else near * self.known
