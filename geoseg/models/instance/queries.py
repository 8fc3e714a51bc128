"""From queries, each with a class and a mask over the whole chip, to objects and scores; and back, to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.models.answers import Objects, Target
from geoseg.models.instance.masks import boxes_of, crops

LEAST_SCORE = 0.05  # of a query's class, to be looked at: as in Mask R-CNN
IGNORED = 255  # in a target's stuff


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """What a network of queries says of a batch.

    `classes` (batch, query, class + 1) are logits: stuff first, then things, "nothing" last. `masks` (batch, query, y,
    x) are logits at any scale.
    """

    classes: Tensor
    masks: Tensor


@dataclass(frozen=True, slots=True)
class Extent:
    """How the masks of queries lie on chips: `padded` (height, width) is what they cover, `size` the chip itself."""

    padded: tuple[int, int]
    size: tuple[int, int]

    def probabilities(self, masks: Tensor) -> Tensor:
        """Probabilities (query, y, x) float32 on the chip, of `masks` (query, y, x), logits at another scale."""
        whole = functional.interpolate(masks[:, None].float(), self.padded, mode="bilinear", align_corners=False)[:, 0]
        return whole[:, : self.size[0], : self.size[1]].sigmoid()


def likely(classes: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The queries among `classes` (query, class + 1) and `masks` (query, y, x) that may become objects."""
    chosen = classes[:, :-1].amax(1) >= LEAST_SCORE
    return classes[chosen], masks[chosen]


def query_objects(classes: Tensor, masks: Tensor, stuff: int) -> Objects:
    """The objects of one chip, best first: queries whose best class is a thing.

    `classes` (query, class + 1) and `masks` (query, y, x) are probabilities. An object's score is the probability of
    its class times the mean probability of its pixels, those above one half. Cheng et al. 2022, arXiv:2112.01527.
    """
    best, labels = classes[:, :-1].max(1)
    chosen = torch.nonzero((labels >= stuff) & (best >= LEAST_SCORE))[:, 0]
    held = masks[chosen] > 0.5
    pixels = held.flatten(1).sum(1)
    sure = (masks[chosen] * held).flatten(1).sum(1) / pixels.clamp(min=1)
    scores = best[chosen] * sure
    order = scores.argsort(descending=True, stable=True)
    order = order[pixels[order] > 0]
    held = held[order]
    boxes = boxes_of(held)
    return Objects(boxes, labels[chosen[order]] - stuff, scores[order].clamp(0, 1), crops(held, boxes))


def query_scores(classes: Tensor, masks: Tensor, stuff: int) -> Tensor:
    """The scores (channel, y, x) of the stuff of one chip: over all queries, class times mask probability, at most 1.

    The papers' semantic inference: Cheng et al. 2021, arXiv:2107.06278.
    """
    return torch.einsum("qc,qyx->cyx", classes[:, :stuff], masks).clamp(0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """What a network of queries learns from, chip by chip: `masks` (segment, y, x) float32, `labels` (segment,)."""

    masks: list[Tensor]
    labels: list[Tensor]


def segments(targets: Sequence[Target], stuff: int, like: Tensor) -> Segments:
    """Each object, and each kind of stuff that a chip shows, as one segment on the device of the chips `like`.

    `like` (batch, band, y, x) may be larger than the targets: the rest is in no segment. Objects without a pixel are
    left out.
    """
    masks, labels = [], []
    for target in targets:
        own, kinds = _segments(target, stuff, like.device)
        height, width = own.shape[1:]
        masks.append(functional.pad(own.float(), (0, like.shape[3] - width, 0, like.shape[2] - height)))
        labels.append(kinds)
    return Segments(masks, labels)


def _segments(target: Target, stuff: int, device: torch.device) -> tuple[Tensor, Tensor]:
    masks, labels = target.masks.to(device), target.labels.to(device)
    held = masks.flatten(1).any(1)
    masks, labels = masks[held], labels[held] + stuff
    if not stuff or target.stuff is None:
        return masks, labels
    ground = target.stuff.to(device)
    kinds = torch.unique(ground)
    kinds = kinds[kinds != IGNORED]
    return torch.cat([ground == kinds[:, None, None], masks]), torch.cat([kinds, labels])
