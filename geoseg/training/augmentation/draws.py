"""Chance, from one generator."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Random numbers from a generator; they come on the host, fields of them on the device that they are for."""

    def __init__(self, generator: torch.Generator) -> None:
        """Take the generator that everything follows from."""
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, device=self.generator.device))

    def uniforms(self, low: float, high: float, count: int) -> Tensor:
        """`count` numbers between `low` and `high`, float32 on the host."""
        drawn = torch.rand(count, generator=self.generator, device=self.generator.device).cpu()
        return low + (high - low) * drawn

    def happens(self, probability: float) -> bool:
        """Whether something of that probability happens; nothing is drawn for what never does."""
        return probability > 0 and self.uniform(0, 1) < probability

    def integer(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return min(int(self.uniform(0, count)), count - 1)

    def normals(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, type and device of `like`."""
        generator = self.generator
        if generator.device != like.device:  # a field of them is made where it is needed
            seed = int(torch.randint(1 << 62, (), generator=generator, device=generator.device))
            generator = torch.Generator(like.device).manual_seed(seed)
        return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
