"""HRNet: fine features all the way, with the head of HRNetV2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.models.registry import register

_WIDTHS = ("18_small", "18_small_v2", "18", "30", "32", "40", "44", "48", "64")


class HRNetV2(nn.Module):
    """The four branches of an HRNet, brought to the finest one's size, stacked and read by one hidden layer.

    Wang et al. 2019, arXiv:1908.07919, figure 3b.
    """

    def __init__(self, encoder: nn.Module, channels: int, classes: int) -> None:
        """Take an encoder that returns the branches, which have `channels` in all."""
        super().__init__()
        self.encoder = encoder
        self.mix = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Conv2d(channels, classes, 1)

    def stacked(self, pixels: Tensor) -> Tensor:
        """The branches' features (batch, channel, y, x), all at a quarter of the size."""
        branches = self.encoder(pixels)
        size = branches[0].shape[2:]
        finer = [functional.interpolate(branch, size, mode="bilinear") for branch in branches[1:]]
        return torch.cat([branches[0], *finer], dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        scores = self.head(self.mix(self.stacked(pixels)))
        return functional.interpolate(scores, pixels.shape[2:], mode="bilinear")


@register(
    "hrnet",
    kind="semantic",
    paper="Wang et al. 2019, arXiv:1908.07919",
    encoder="tu-hrnet_w18",
    encoders=tuple(f"tu-hrnet_w{width}" for width in _WIDTHS),
    licence="Apache-2.0",
)
def hrnet(*, encoder: str, in_channels: int, classes: int) -> nn.Module:
    """HRNetV2: branches of four scales side by side that keep exchanging features, all of them read.

    Wang et al. 2019, arXiv:1908.07919. The encoders are timm's.
    """
    import timm

    # Without a feature location timm gives the branches themselves; else they would pass its classifier's layers.
    branches: Any = timm.create_model(
        encoder.removeprefix("tu-"),
        pretrained=False,
        in_chans=in_channels,
        features_only=True,
        feature_location="",
        out_indices=(1, 2, 3, 4),
    )
    return HRNetV2(branches, sum(branches.feature_info.channels()), classes)
