"""Chips with bright squares on dark or middling ground, and what they show."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.models.answers import Target

SIDE = 64
SQUARES = ((6, 6, 26, 28), (36, 30, 58, 54))  # left, top, right, bottom


def drawn(*, bands: int = 3, side: int = SIDE, stuff: bool = False) -> tuple[Tensor, list[Target]]:
    """Two chips: one with two squares (labels 0 and 1), one without; the left half of the ground is dark (stuff 0)."""
    generator = torch.Generator().manual_seed(4)
    chips = 0.1 * torch.randn(2, bands, side, side, generator=generator)
    chips[:, :, :, : side // 2] -= 1
    masks = torch.zeros(len(SQUARES), side, side, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, SQUARES, strict=True):
        mask[top:bottom, left:right] = True
        chips[0, :, top:bottom, left:right] = 2
    ground = torch.zeros(side, side, dtype=torch.int64)
    ground[:, side // 2 :] = 1
    labels = torch.tensor([0, 1])
    shown = Target(masks, labels, ground.masked_fill(masks.any(0), 255) if stuff else None)
    return chips, [shown, empty_target(side, ground if stuff else None)]


def empty_target(side: int = SIDE, stuff: Tensor | None = None) -> Target:
    """A chip without objects."""
    return Target(torch.zeros(0, side, side, dtype=torch.bool), torch.zeros(0, dtype=torch.int64), stuff)
