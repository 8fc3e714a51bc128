"""FCN: fully convolutional networks, with the paper's skips."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.models.registry import register
from geoseg.models.semantic.assembled import SMP

_STAGES = {32: (5,), 16: (5, 4), 8: (5, 4, 3)}  # indices of the encoder's features that are scored, coarsest first


class FCN(nn.Module):
    """Scores at a 32nd of the size, refined by scores of finer features, then brought to full size.

    Long, Shelhamer and Darrell 2015, arXiv:1411.4038, section 4: "deep jet". Upsampling by two is learned and begins
    as bilinear; the last one is bilinear and fixed.
    """

    def __init__(self, encoder: nn.Module, channels: tuple[int, ...], classes: int, dense: int) -> None:
        """Score `channels`, those of the encoder's features from the coarsest on; `dense` channels lie between."""
        super().__init__()
        self.encoder = encoder
        self.dense = _dense(channels[0], dense) if dense else nn.Identity()
        self.scores = nn.ModuleList(nn.Conv2d(n, classes, 1) for n in (dense or channels[0], *channels[1:]))
        self.doublings = nn.ModuleList(_doubling(classes) for _ in channels[1:])

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        features = self.encoder(pixels)
        scores: Tensor = self.scores[0](self.dense(features[5]))
        for stage, score, doubled in zip((4, 3), list(self.scores)[1:], self.doublings, strict=False):
            scores = doubled(scores) + score(features[stage])
        return functional.interpolate(scores, pixels.shape[2:], mode="bilinear")


def _dense(channels: int, width: int) -> nn.Module:
    """VGG's two fully connected layers as convolutions: fc6 sees 7 x 7 places, fc7 one."""
    layers = (nn.Conv2d(channels, width, 7, padding=3), nn.Conv2d(width, width, 1))
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU(inplace=True), nn.Dropout2d(0.5))))


def _doubling(channels: int) -> nn.ConvTranspose2d:
    """Upsampling by two, each channel for itself, that begins as bilinear interpolation."""
    layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, groups=channels, bias=False)
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_((line[:, None] * line).expand_as(layer.weight))
    return layer


@register("fcn", kind="semantic", paper="Long et al. 2015, arXiv:1411.4038", encoder="resnet34", licence=SMP)
def fcn(*, encoder: str, in_channels: int, classes: int, skips: int = 8, dense: int = 0) -> nn.Module:
    """FCN: the encoder's features scored one by one, coarse scores refined by finer ones.

    Long, Shelhamer and Darrell 2015, arXiv:1411.4038. `skips` 32, 16 or 8 gives FCN-32s, FCN-16s or FCN-8s. `dense`
    4096 (with encoder "vgg16") adds the two layers that the paper turns into convolutions; 0 leaves them out.
    """
    from segmentation_models_pytorch.encoders import get_encoder

    if skips not in _STAGES:
        raise ModelError(f"fcn: found skips={skips!r}; expected one of {', '.join(map(str, _STAGES))}")
    features = get_encoder(encoder, in_channels=in_channels, weights=None, depth=5)
    channels = tuple(features.out_channels[stage] for stage in _STAGES[skips])
    return FCN(features, channels, classes, dense)
