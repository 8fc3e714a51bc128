"""Flips and quarter turns."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from geoseg.training.augmentation.draws import Draws
from geoseg.training.batch import Batch
from geoseg.training.options import AugmentationOptions

_FIELDS = ("images", "valid", "classes", "objects")


def turned(batch: Batch, options: AugmentationOptions, draws: Draws) -> Batch:
    """The batch with each window in one of the eight (or four) ways to lie, all equally likely; always new tensors.

    Windows that are not square make half turns only.
    """
    fields = {name: getattr(batch, name).clone() for name in _FIELDS}
    square = batch.valid.shape[-1] == batch.valid.shape[-2]
    for index in range(len(batch)):
        turns = draws.integer(4) if options.quarter_turns else 0
        turns = turns if square else turns // 2 * 2
        flips = [axis for axis in (-2, -1) if options.flips and draws.happens(0.5)]
        for name, field in fields.items():
            field[index] = _lying(getattr(batch, name)[index], turns, flips)
    return replace(batch, **fields)


def _lying(values: Tensor, turns: int, flips: list[int]) -> Tensor:
    return torch.rot90(torch.flip(values, flips) if flips else values, turns, (-2, -1))
