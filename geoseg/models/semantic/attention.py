"""Attention U-Net: a U-Net that weighs what its skips carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.models.registry import register
from geoseg.models.semantic.assembled import CHANNELS, SMP, unet


class AttentionGate(nn.Module):
    """An additive attention gate: a skip's features, each place scaled by a coefficient from 0 to 1.

    The coefficients are found on the grid of the coarser features, `signal`, that the decoder has come up with, and
    brought to the skip's grid by bilinear interpolation. Oktay et al. 2018, arXiv:1804.03999, section 2.
    """

    def __init__(self, skip_channels: int, signal_channels: int) -> None:
        """Compare both in half as many channels as the skip has."""
        super().__init__()
        between = max(1, skip_channels // 2)
        self.skip = nn.Conv2d(skip_channels, between, 2, stride=2, bias=False)
        self.signal = nn.Conv2d(signal_channels, between, 1)
        self.coefficient = nn.Conv2d(between, 1, 1)

    def coefficients(self, skip: Tensor, signal: Tensor) -> Tensor:
        """The weight (batch, 1, y, x) of each place of `skip`, on its grid."""
        compared = torch.relu(self.skip(skip) + self.signal(signal))
        weights = torch.sigmoid(self.coefficient(compared))
        return functional.interpolate(weights, skip.shape[2:], mode="bilinear")

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """The features of `skip` (batch, channel, y, x), scaled; `signal` has half its height and width."""
        return skip * self.coefficients(skip, signal)


class GatedBlock(nn.Module):
    """A step of smp's U-Net decoder whose skip passes a gate first."""

    def __init__(self, block: nn.Module, gate: AttentionGate) -> None:
        """Take the step and the gate."""
        super().__init__()
        self.block, self.gate = block, gate

    def forward(self, features: Tensor, height: int, width: int, skip_connection: Tensor) -> Tensor:
        """The features (batch, channel, height, width) of the finer scale."""
        answer: Tensor = self.block(features, height, width, skip_connection=self.gate(skip_connection, features))
        return answer


@register(
    "attention-unet", kind="semantic", paper="Oktay et al. 2018, arXiv:1804.03999", encoder="resnet34", licence=SMP
)
def attention_unet(
    *, encoder: str, in_channels: int, classes: int, decoder_channels: Sequence[int] = CHANNELS
) -> nn.Module:
    """Attention U-Net: a U-Net whose skips pass additive attention gates, steered by the coarser scale.

    Oktay et al. 2018, arXiv:1804.03999.
    """
    network: Any = unet(encoder=encoder, in_channels=in_channels, classes=classes, decoder_channels=decoder_channels)
    *skips, signal = network.encoder.out_channels[1 : len(decoder_channels) + 1]
    steps = zip((*reversed(skips), 0), (signal, *decoder_channels[:-1]), strict=True)
    for index, (skip, above) in enumerate(steps):
        if skip:  # the finest step has no skip, and some encoders have no features at half the size
            network.decoder.blocks[index] = GatedBlock(network.decoder.blocks[index], AttentionGate(skip, above))
    gated: nn.Module = network
    return gated
