"""Runtimes other than torch behind the face of a torch module."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.settings import Settings


@dataclass(frozen=True, slots=True)
class InputForm:
    """How a runtime wants its chips: the sizes that are fixed (None where any will do), the order of axes, the dtype.

    `batch`, `height` and `width` are in chips and pixels; `bands_last` says (batch, y, x, band).
    """

    batch: int | None
    height: int | None
    width: int | None
    bands_last: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, path: Path, card: ModelCard, shape: Sequence[int | None], dtype: Any) -> InputForm:
        """The form for a graph whose only input has that shape. Raises ModelError where it does not fit the card."""
        bands = len(card.bands)
        if len(shape) != 4 or not (shape[1] in (None, bands) or shape[3] == bands):
            raise ModelError(
                f"{path}: found an input of shape {_said(shape)}; expected four axes, (batch, band, y, x), and the "
                f"card's {bands} band(s): choose the card for this model"
            )
        bands_last = shape[3] == bands and shape[1] != bands
        batch, height, width = (shape[i] for i in ((0, 1, 2) if bands_last else (0, 2, 3)))
        for size in (height, width):
            if size not in (None, card.tile_size):
                raise ModelError(
                    f"{path}: found chips of {height} x {width} pixels fixed in the file; expected the card's "
                    f"tile_size {card.tile_size}: give the card tile_size {size}, or export the model with free sizes"
                )
        return cls(batch, height, width, bands_last, np.dtype(dtype))

    def fit(self, chips: Tensor, path: Path) -> NDArray[Any]:
        """The chips (batch, band, y, x) as the runtime wants them. Raises ModelError for another fixed size."""
        for fixed, size in zip((self.height, self.width), chips.shape[2:], strict=True):
            if fixed not in (None, size):
                raise ModelError(
                    f"{path}: found chips of {chips.shape[2]} x {chips.shape[3]} pixels; this file takes "
                    f"{self.height} x {self.width} only: use --tile-size {fixed} and no --scales"
                )
        values = chips.detach().to("cpu", torch.float32)
        values = values.permute(0, 2, 3, 1) if self.bands_last else values
        return np.ascontiguousarray(values.contiguous().numpy(), self.dtype)


class Session(nn.Module):
    """A network that another runtime runs: (batch, band, y, x) float32 to logits of the card's channels, float32."""

    def __init__(self, path: Path, card: ModelCard, settings: Settings) -> None:
        """Keep what is run and on what; runtimes begin in their own `__init__`."""
        super().__init__()
        self.path, self.card, self.settings = path, card, settings
        self.form = InputForm(None, None, None, False, np.dtype(np.float32))

    @abstractmethod
    def settled(self, settings: Settings) -> Session:
        """The same network with other settings; itself where they change nothing."""

    @abstractmethod
    def run(self, chips: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """All outputs for a batch in the runtime's own form. Raises ModelError where the runtime fails."""

    def forward(self, chips: Tensor) -> Tensor:
        """Logits (batch, channel, y, x) float32 on the chips' device; any number of chips, whatever the file fixes."""
        values, size = self.form.fit(chips, self.path), self.form.batch
        parts = [values] if size is None else [values[i : i + size] for i in range(0, len(values), size)]
        answers = [self._logits(self.run(_padded(part, size)))[: len(part)] for part in parts]
        answer = answers[0] if len(answers) == 1 else torch.cat(answers)
        return answer.to(chips.device)

    def _logits(self, outputs: Sequence[NDArray[Any]]) -> Tensor:
        count = len(self.card.channel_ids)
        for output in outputs:
            for axis in (3, 1) if self.form.bands_last else (1, 3):
                if output.ndim == 4 and output.shape[axis] == count:
                    ordered = output if axis == 1 else output.transpose(0, 3, 1, 2)
                    return torch.from_numpy(np.array(ordered, np.float32, order="C", copy=None))
        raise ModelError(
            f"{self.path}: found answers of shapes {', '.join(_said(o.shape) for o in outputs)}; expected one with "
            f"four axes and {count} channel(s), as card {self.card.name} says: choose the card for this model"
        )


def _padded(values: NDArray[Any], size: int | None) -> NDArray[Any]:
    if size is None or len(values) == size:
        return values
    return np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])


def _said(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
