"""Graphs that torch itself runs, with one tensor of logits as their answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError


class Answering(nn.Module):
    """A network from a file: (batch, band, y, x) float32 to logits (batch, channel, y, x)."""

    def __init__(self, path: Path, card: ModelCard, graph: nn.Module) -> None:
        """Wrap the file's own module."""
        super().__init__()
        self.path, self.card, self.graph = path, card, graph
        self.training = False

    def train(self, mode: bool = True) -> Answering:
        """Itself, unchanged: such graphs were exported for prediction, and some of them refuse to be asked."""
        return self

    def forward(self, chips: Tensor) -> Tensor:
        """Logits of the card's channels. Raises ModelError when the answer holds none such."""
        try:
            answer = logits_of(self.graph(chips))
        except AssertionError as error:  # a guard on sizes, in files of torch.export
            raise ModelError(
                f"{self.path}: the file takes no chips of {chips.shape[2]} x {chips.shape[3]} pixels ({error}); use "
                f"--tile-size {self.card.tile_size} and no --scales"
            ) from error
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
                raise
            said = str(error).strip().rpartition("\n")[2]
            raise ModelError(
                f"{self.path}: the network in the file fails on chips of {chips.shape[1]} band(s), {chips.shape[2]} x "
                f"{chips.shape[3]} pixels ({said[:300]}); choose the card for this model"
            ) from error
        count = len(self.card.channel_ids)
        if answer is None or answer.ndim != 4 or answer.shape[1] != count:
            found = type(answer).__name__ if answer is None else list(answer.shape)
            raise ModelError(
                f"{self.path}: found an answer of shape {found}; expected {count} channel(s), as card "
                f"{self.card.name} says: choose the card for this model"
            )
        return answer


def logits_of(answer: Any) -> Tensor | None:
    """The tensor of logits in a network's answer: itself, the one called "out", or the first; None without one."""
    if isinstance(answer, dict):
        answer = answer.get("out", next(iter(answer.values()), None))
    if isinstance(answer, (tuple, list)):
        answer = answer[0] if answer else None
    return answer if isinstance(answer, Tensor) else None
