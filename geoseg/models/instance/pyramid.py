"""A ResNet with a feature pyramid on it, for any number of bands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from geoseg.errors import ModelError

ENCODERS = ("resnet18", "resnet34", "resnet50", "resnet101")
CHANNELS = 256  # of every level
LEVELS = ("0", "1", "2", "3")  # a quarter of the size to a thirty-second; "pool" is half of the last
DIVISOR = 32


@dataclass(frozen=True, slots=True)
class PyramidOptions:
    """How a pyramid normalises: `norm` of the encoder ("batch" or "frozen") and `epsilon`, the number added there.

    Frozen statistics are those of the weights that were loaded: for training with very small batches, and for published
    weights that were trained so. `pyramid_norm` says whether the pyramid itself normalises.
    """

    norm: str = "batch"
    epsilon: float = 1e-5
    pyramid_norm: bool = False


def resnet_pyramid(encoder: str, in_channels: int, options: PyramidOptions) -> nn.Module:
    """A network that gives five levels (a dict of tensors (batch, 256, y, x)) for chips of `in_channels` bands.

    He et al. 2016, arXiv:1512.03385; Lin et al. 2017, arXiv:1612.03144. Tensors are named as torchvision names them.
    """
    from torchvision.models import resnet
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    body = getattr(resnet, encoder)(weights=None, norm_layer=_norm(options))
    if in_channels != 3:
        body.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    widths = [body.inplanes // 8 * 2**level for level in range(len(LEVELS))]
    pyramid: nn.Module = BackboneWithFPN(
        body,
        return_layers={f"layer{level + 1}": name for level, name in enumerate(LEVELS)},
        in_channels_list=widths,
        out_channels=CHANNELS,
        norm_layer=nn.BatchNorm2d if options.pyramid_norm else None,
    )
    return pyramid


def _norm(options: PyramidOptions) -> Any:
    from torchvision.ops import FrozenBatchNorm2d

    kinds = {"batch": nn.BatchNorm2d, "frozen": FrozenBatchNorm2d}
    if options.norm not in kinds:
        raise ModelError(f"found norm={options.norm!r}; expected one of {', '.join(kinds)}")
    return partial(kinds[options.norm], eps=options.epsilon)
