"""Small batches whose every pixel is known."""

from __future__ import annotations

import torch

from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.training.batch import Batch

OFF = {
    "flips": False,
    "quarter_turns": False,
    "colour": 0.0,
    "haze": (0.0, 0.0),
    "noise": (0.0, 0.0),
    "blur": (0.0, 0.0),
    "jpeg": (0.0, 50),
}


def building_classes(separator: bool = True) -> ClassSet:
    """Background 0, building 4 (a thing), rim 7 and water 9, so that ids are not channels."""
    classes = [
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=4, name="building", colour="#ff0000", kind="thing"),
        ClassInfo(id=7, name="rim", colour="#00ff00"),
        ClassInfo(id=9, name="water", colour="#0000ff"),
    ]
    return ClassSet(classes=tuple(classes), separator=7 if separator else None)


def make_batch(objects: torch.Tensor, *, resolution: float = 1.0, bands: int = 3, seed: int = 0) -> Batch:
    """Windows with those objects (window, y, x), all of class 4, on background; values between 0.2 and 0.8."""
    generator = torch.Generator().manual_seed(seed)
    count = len(objects)
    return Batch(
        images=0.2 + 0.6 * torch.rand(count, bands, *objects.shape[1:], generator=generator),
        valid=torch.ones(objects.shape, dtype=torch.bool),
        classes=torch.where(objects > 0, 4, 0),
        objects=objects.int(),
        resolution=torch.full((count,), resolution),
        scene=torch.arange(count),
    )


def houses(count: int = 3, side: int = 48, seed: int = 0) -> torch.Tensor:
    """Windows of rectangles with numbers that have gaps, (count, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    objects = torch.zeros(count, side, side, dtype=torch.int64)
    for window in objects:
        for number in range(5):
            y, x = torch.randint(-3, side - 4, (2,), generator=generator).tolist()
            height, width = torch.randint(3, 12, (2,), generator=generator).tolist()
            window[max(y, 0) : y + height, max(x, 0) : x + width] = 10 + 7 * number
    return objects
