"""The smallest network there is: each pixel for itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.models.registry import register

SHAPES = ("linear", "step", "tent")


class PixelLinear(nn.Module):
    """A 1 x 1 convolution, then a fixed shape: "linear" (none), "step" (clamped to 0..1) or "tent" (1 - |y|, from 0).

    With tents of unit slope at 0, 1, 2, ... the answer is the one-hot code of a whole number, and interpolates linearly
    between two of them.
    """

    def __init__(self, in_channels: int, classes: int, shape: str) -> None:
        """Take the number of bands, the number of output channels and the shape."""
        super().__init__()
        if shape not in SHAPES:
            raise ModelError(f"pixel-linear: found shape={shape!r}; expected one of {', '.join(SHAPES)}")
        self.shape = shape
        self.head = nn.Conv2d(in_channels, classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        scores: Tensor = self.head(pixels)
        if self.shape == "step":
            return scores.clamp_(0, 1)
        if self.shape == "tent":
            return scores.abs_().neg_().add_(1).clamp_(min=0)
        return scores


@register("pixel-linear", kind="semantic", paper="")
def pixel_linear(*, in_channels: int, classes: int, shape: Any = "linear") -> nn.Module:
    """A linear classifier of single pixels, for spectral indices, thresholds and tests."""
    return PixelLinear(in_channels, classes, shape)
