"""What the network learns from at one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of scenes with their labels; the first axis of all tensors counts the windows.

    `images` (window, band, y, x) float32 lie between 0 and 1 (the card's value range; a little beyond is allowed), 0
    where `valid` (window, y, x) bool is False. `classes` (window, y, x) int64 are class ids of the labels, 255 where
    nobody knows. `objects` (window, y, x) int32 number the objects of things, 0 where there is none; numbers mean
    nothing beyond the window. `resolution` (window,) float32 is in metres per pixel; `scene` (window,) int64 counts the
    run's scenes.
    """

    images: Tensor
    valid: Tensor
    classes: Tensor
    objects: Tensor
    resolution: Tensor
    scene: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(
            *(
                getattr(self, name).to(device, non_blocking=True)
                for name in ("images", "valid", "classes", "objects", "resolution", "scene")
            )
        )

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.images)
