"""What a network said of a batch, beside what it should have said: what every term of the loss is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = 255


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The known pixels of a batch in a row.

    `logits` (channel, pixel) float32; `target` (pixel,) int64 holds channels, and in a sigmoid model the number of
    channels for the background. `edges` (pixel,) float32 are metres to the nearest edge, None where no term asks.
    `counted` are the channels whose regions count: all but the background's.
    """

    logits: Tensor
    target: Tensor
    edges: Tensor | None
    counted: Sequence[int]
    exclusive: bool
    class_weights: Tensor | None
    smoothing: float

    def log_probabilities(self) -> Tensor:
        """Logarithms of the scores, (channel, pixel)."""
        return self.logits.log_softmax(0) if self.exclusive else functional.logsigmoid(self.logits)

    def probabilities(self) -> Tensor:
        """The scores, (channel, pixel): they sum to one over the channels where these exclude each other."""
        return self.logits.softmax(0) if self.exclusive else self.logits.sigmoid()

    def edge_weights(self, edge: float, edge_m: float) -> Tensor | None:
        """How much each pixel counts (pixel,): 1 + `edge` at an edge, falling evenly to 1 at `edge_m` metres."""
        if not edge or self.edges is None:
            return None
        return 1 + edge * (1 - self.edges / edge_m).clamp_min(0)


def known_pixels(logits: Tensor, target: Tensor, edges: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits (channel, pixel), target (pixel,) and edges (pixel,) of the pixels that somebody knows."""
    known = (target != UNKNOWN).flatten()
    flat = logits.float().transpose(0, 1).flatten(1)
    if bool(known.all()):
        return flat, target.flatten(), None if edges is None else edges.flatten()
    places = torch.nonzero(known)[:, 0]
    return flat[:, places], target.flatten()[places], None if edges is None else edges.flatten()[places]
