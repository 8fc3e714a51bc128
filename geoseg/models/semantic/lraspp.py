"""LR-ASPP: torchvision's small and fast segmenter, for any bands."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from geoseg.models.registry import register


class LRASPP(nn.Module):
    """torchvision's parts, under the names that its checkpoints use, with scores of the input's size as the answer."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module) -> None:
        """Take a backbone that gives features by name, and the head that reads them."""
        super().__init__()
        self.backbone, self.classifier = backbone, classifier

    def forward(self, pixels: Tensor) -> Tensor:
        """The scores (batch, channel, y, x) of `pixels` (batch, band, y, x)."""
        scores = self.classifier(self.backbone(pixels))
        return functional.interpolate(scores, pixels.shape[2:], mode="bilinear")


@register("lraspp", kind="semantic", paper="Howard et al. 2019, arXiv:1905.02244", licence="BSD-3-Clause")
def lraspp(*, in_channels: int, classes: int) -> nn.Module:
    """LR-ASPP: MobileNetV3-Large, gated by the mean of its features, with one finer skip; small and fast.

    Howard et al. 2019, arXiv:1905.02244. torchvision's `lraspp_mobilenet_v3_large`: its state dicts fit.
    """
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
    if in_channels != 3:
        network.backbone["0"][0] = _first(in_channels)
    return LRASPP(network.backbone, network.classifier)


def _first(in_channels: int) -> nn.Conv2d:
    """MobileNetV3's first convolution for other bands than three, with torchvision's initial weights."""
    layer = nn.Conv2d(in_channels, 16, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return layer
