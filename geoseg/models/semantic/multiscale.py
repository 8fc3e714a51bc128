"""Scores of several scales of the same chip, fused into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.registry import OWN, architectures, create_model, register
from geoseg.models.semantic.assembled import SMP

FUSIONS = ("attention", "mean", "max")
_SCALES = (0.5, 1.0, 1.5, 2.0)
_SMALLEST, _LARGEST = 0.25, 4.0
_DIVISOR = 32  # sizes of scaled chips are multiples of it, which suits every architecture
_FEATURES = 16  # channels beside the scores that the base gives the attention to read
_HIDDEN = 128
_COARSE = 4  # the attention is found at a quarter of the size, and varies slowly


class ScaleAttention(nn.Module):
    """How much each scale counts at each place: weights (batch, scale, y, x) that sum to one.

    Chen et al. 2016, arXiv:1511.03339, section 3.2: two convolutions over the features of all scales, then softmax.
    """

    def __init__(self, channels: int, scales: int) -> None:
        """Read `channels` features of each of the `scales`."""
        super().__init__()
        self.hidden = nn.Conv2d(channels * scales, _HIDDEN, 3, padding=1)
        self.weights = nn.Conv2d(_HIDDEN, scales, 1)

    def forward(self, answers: Sequence[Tensor], size: torch.Size) -> Tensor:
        """The weights on a grid of `size` (y, x), from one answer (batch, channel, y, x) a scale."""
        coarse = [max(1, n // _COARSE) for n in size]
        features = torch.cat([functional.interpolate(a, coarse, mode="bilinear") for a in answers], dim=1)
        weights = self.weights(torch.relu(self.hidden(features))).softmax(1)
        return functional.interpolate(weights, size, mode="bilinear")


class MultiScale(nn.Module):
    """One network run on several scales of a chip; its scores are brought to the chip's size and fused."""

    def __init__(self, base: nn.Module, classes: int, scales: Sequence[float], fusion: str) -> None:
        """Take a network whose first channels are `classes` scores, and the way to fuse (one of FUSIONS)."""
        super().__init__()
        self.base, self.classes, self.scales, self.fusion = base, classes, tuple(scales), fusion
        self.attention = ScaleAttention(classes + _FEATURES, len(scales)) if _attends(fusion, scales) else None

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        size = pixels.shape[2:]
        answers = [self.base(_scaled(pixels, scale)) for scale in self.scales]
        scores = torch.stack([_resized(answer[:, : self.classes], size) for answer in answers], dim=1)
        if self.attention is not None:
            weights: Tensor = self.attention(answers, size)
            return (scores * weights.unsqueeze(2)).sum(1)
        return scores.amax(1) if self.fusion == "max" else scores.mean(1)


def _attends(fusion: str, scales: Sequence[float]) -> bool:
    return fusion == "attention" and len(scales) > 1


def _scaled(pixels: Tensor, scale: float) -> Tensor:
    """The chip at another scale; halving is exact: each pixel is the mean of four."""
    size = [max(_DIVISOR, round(n * scale / _DIVISOR) * _DIVISOR) for n in pixels.shape[2:]]
    return pixels if scale == 1 else functional.interpolate(pixels, size, mode="bilinear")


def _resized(scores: Tensor, size: Sequence[int]) -> Tensor:
    return scores if scores.shape[2:] == size else functional.interpolate(scores, size, mode="bilinear")


@register("multiscale", kind="semantic", paper="Chen et al. 2016, arXiv:1511.03339", licence=SMP)
def multiscale(
    *,
    in_channels: int,
    classes: int,
    encoder: str | None = None,
    base: str = "unet",
    base_options: Mapping[str, Any] | None = None,
    scales: Sequence[float] = _SCALES,
    fusion: str = "attention",
) -> nn.Module:
    """Multi-scale fusion: another architecture at several scales, fused place by place by a learned attention.

    Chen et al. 2016, arXiv:1511.03339. `base` names any semantic architecture; `encoder` is its encoder and
    `base_options` are its options. `fusion` "mean" or "max" takes the average or the best of the scores. The attention
    reads features that the base gives beside its scores: so it fits every base.
    """
    _check(base, scales, fusion)
    channels = classes + (_FEATURES if _attends(fusion, scales) else 0)
    options = dict(base_options or {})
    if OWN & options.keys():
        raise ModelError(f"multiscale: found {', '.join(sorted(OWN & options.keys()))} in base_options; leave them out")
    network = create_model(base, encoder=encoder, in_channels=in_channels, classes=channels, **options)
    return MultiScale(network, classes, scales, fusion)


def _check(base: str, scales: Sequence[float], fusion: str) -> None:
    known = [name for name, found in architectures().items() if found.kind == "semantic" and name != "multiscale"]
    if base not in known:
        raise UnknownNameError("base of multiscale", str(base), known)
    if not scales or not all(_SMALLEST <= scale <= _LARGEST for scale in scales):
        raise ModelError(f"multiscale: found scales={scales!r}; expected numbers from {_SMALLEST} to {_LARGEST}")
    if fusion not in FUSIONS:
        raise ModelError(f"multiscale: found fusion={fusion!r}; expected one of {', '.join(FUSIONS)}")
