"""Courses that a loop runs in a moment: a network of a few weights, and squares to be found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.training.batch import Batch
from geoseg.training.fitting import Course
from geoseg.training.options import AugmentationOptions, DataOptions, LoopOptions, Training
from tests.toy import toy_card

SIDE = 32
PLAIN = AugmentationOptions(colour=0, haze=(0, 0), noise=(0, 0), blur=(0, 0), jpeg=(0, 50))


class Small(nn.Module):
    """An encoder and a head with everything that a resumed run must bring back: statistics and dropout."""

    def __init__(self, bands: int = 3, channels: int = 2) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(bands, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.drop = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, chips: Tensor) -> Tensor:
        return self.head(self.drop(self.encoder(chips)))


def small(channels: int = 2, bands: int = 3, seed: int = 0) -> Small:
    """The network, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Small(bands, channels)


def card(classes: int = 2, **changes: Any) -> ModelCard:
    """The card of such a network."""
    return toy_card(classes=classes, **{"activation": "softmax", "mean": (0.5,) * 3, "std": (0.25,) * 3, **changes})


def squares(number: int, windows: int = 4, side: int = SIDE) -> Batch:
    """A batch that follows from its number: bright squares, objects of class 1, on dark ground."""
    draws = np.random.default_rng([number % (1 << 32), number >> 32])
    images = draws.normal(0.3, 0.05, (windows, 3, side, side)).astype(np.float32)
    objects = np.zeros((windows, side, side), np.int32)
    for window in range(windows):
        for name in range(1, 4):
            y, x = draws.integers(0, side - 10, 2)
            objects[window, y : y + 8, x : x + 8] = name
    images[(objects > 0)[:, None].repeat(3, 1)] += 0.4
    classes = (objects > 0).astype(np.int64)
    classes[:, :2] = 255
    return Batch(
        torch.from_numpy(images.clip(0, 1)),
        torch.ones(windows, side, side, dtype=torch.bool),
        torch.from_numpy(classes),
        torch.from_numpy(objects),
        torch.full((windows,), 1.0),
        torch.zeros(windows, dtype=torch.int64),
    )


@dataclass
class Source:
    """Batches by number; `stop` raises at that number, `windows` and `asked` are for looking."""

    stop: dict[int, BaseException] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    closed: int = 0

    def __call__(self, first: int, last: int) -> Iterator[Batch]:
        try:
            for number in range(first, last):
                self.asked.append(number)
                if number in self.stop:
                    raise self.stop.pop(number)
                yield squares(number)
        finally:
            self.closed += 1


def validation() -> Iterator[Batch]:
    """Windows that are none of the training's."""
    for number in range(2):
        yield squares((1 << 33) + number)


def options(augmentation: AugmentationOptions = PLAIN, **loop: Any) -> Training:
    """A recipe of a few steps."""
    own = {"steps": 24, "validate_every": 8, "checkpoint_every": 4, "device": "cpu", "precision": "fp32"}
    own |= {"learning_rate": 0.02, "ema": 0.8, "pictures_every": 0}
    return Training(data=DataOptions(crop_size=SIDE), augmentation=augmentation, loop=LoopOptions(**{**own, **loop}))


def course(folder: Path, recipe: Training | None = None, **changes: Any) -> Course:
    """A course over squares."""
    own = {"card": card(), "network": small(), "batches": Source(), "validation": validation}
    return Course(folder=folder, options=recipe or options(), **{**own, **changes})
