"""Boxes of masks."""

from __future__ import annotations

from torch import Tensor, stack


def boxes_of(masks: Tensor) -> Tensor:
    """The boxes (object, 4) int64 of `masks` (object, y, x) bool: left, top, right, bottom, the last two exclusive.

    Every mask must hold a pixel.
    """
    left, right = _extent(masks.any(1))
    top, bottom = _extent(masks.any(2))
    return stack([left, top, right, bottom], dim=1)


def crops(masks: Tensor, boxes: Tensor) -> list[Tensor]:
    """The pixels of each mask inside its box, in memory of their own."""
    corners = boxes.tolist()
    return [masks[i, top:bottom, left:right].clone() for i, (left, top, right, bottom) in enumerate(corners)]


def _extent(held: Tensor) -> tuple[Tensor, Tensor]:
    """First and last + 1 of the true entries of each row of `held` (object, place) bool."""
    marks = held.byte()
    return marks.argmax(1), held.shape[1] - marks.flip(1).argmax(1)
