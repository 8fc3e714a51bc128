"""Mask R-CNN for any number of bands. He et al. 2017, arXiv:1703.06870."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from geoseg.models.answers import Answer, Objects, Target
from geoseg.models.instance.pyramid import DIVISOR, ENCODERS, PyramidOptions, resnet_pyramid
from geoseg.models.instance.regions import (
    ANCHOR_RATIOS,
    ANCHOR_SIZES,
    RegionOptions,
    region_objects,
    region_parts,
    region_targets,
)
from geoseg.models.registry import register

Features = Mapping[str, Tensor]
Size = tuple[int, int]


class MaskRCNN(nn.Module):
    """Mask R-CNN: regions of a feature pyramid, each with a class, a box and a mask.

    Chips are taken as they are, neither resized nor normalised. Tensors have the names that torchvision gives them, so
    that its state dicts load strictly.
    """

    def __init__(self, backbone: nn.Module, things: int, options: RegionOptions) -> None:
        """Take the feature pyramid, the number of kinds of things, and how regions are found."""
        super().__init__()
        self.backbone = backbone
        self.rpn, self.roi_heads = region_parts(backbone, things, options)

    @property
    def encoder(self) -> nn.Module:
        """The part that pretrained weights are for; its first layer is `conv1`."""
        body: nn.Module = self.backbone.get_submodule("body")
        return body

    def forward(self, chips: Tensor) -> Answer:
        """The objects of each chip, best first; `chips` (batch, band, y, x) float32."""
        return Answer(self._objects(self._features(chips), chips))

    def losses(self, chips: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """The losses of proposals (objectness, rpn_box_reg) and of regions (classifier, box_reg, mask)."""
        return self._region_losses(self._features(chips), chips, targets)

    def _features(self, chips: Tensor) -> Features:
        """The levels of the pyramid, float32: under autocast too, since boxes are reckoned in their type."""
        levels: Features = self.backbone(padded(chips))
        return {name: level.float() for name, level in levels.items()}

    def _objects(self, features: Features, chips: Tensor) -> list[Objects]:
        images, sizes = self._images(chips)
        proposals, _ = self.rpn(images, features, None)
        found, _ = self.roi_heads(features, proposals, sizes, None)
        return [region_objects(one, size) for one, size in zip(found, sizes, strict=True)]

    def _region_losses(self, features: Features, chips: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        images, sizes = self._images(chips)
        learnt = region_targets(targets, chips.device)
        proposals, first = self.rpn(images, features, learnt)
        _, second = self.roi_heads(features, proposals, sizes, learnt)
        return {name.removeprefix("loss_"): loss for name, loss in {**first, **second}.items()}

    def _images(self, chips: Tensor) -> tuple[object, list[Size]]:
        """The chips as torchvision's proposal network takes them: it asks for sizes only."""
        from torchvision.models.detection.image_list import ImageList

        sizes = [(chips.shape[2], chips.shape[3])] * len(chips)
        return ImageList(padded(chips), sizes), sizes


def padded(chips: Tensor) -> Tensor:
    """`chips` (batch, band, y, x), with zeros to the right and below up to a multiple of the encoder's divisor."""
    height, width = chips.shape[2:]
    down, right = -height % DIVISOR, -width % DIVISOR
    return functional.pad(chips, (0, right, 0, down)) if down or right else chips


@register(
    "mask-rcnn",
    kind="instance",
    paper="He et al. 2017, arXiv:1703.06870",
    encoder="resnet50",
    encoders=ENCODERS,
    licence="BSD-3-Clause",
)
def mask_rcnn(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    version: int = 2,
    anchor_sizes: Sequence[float] = ANCHOR_SIZES,
    anchor_ratios: Sequence[float] = ANCHOR_RATIOS,
    detections: int = 300,
    nms: float = 0.5,
    proposals: int = 1000,
    norm: str = "batch",
    epsilon: float = 1e-5,
) -> nn.Module:
    """Mask R-CNN: boxes proposed over a feature pyramid, each given a class and a mask.

    He et al. 2017, arXiv:1703.06870; version 2 after Li et al. 2021, arXiv:2111.11429. `anchor_sizes` and
    `anchor_ratios` (heights over widths) are best fitted to the objects: geoseg.models.instance.fit_anchors. Weights
    of torchvision's version 1 for COCO, and those trained from them, want `norm` "frozen" and `epsilon` 0.
    """
    options = RegionOptions(version, anchor_sizes, anchor_ratios, detections, nms, proposals)
    pyramid = resnet_pyramid(encoder, in_channels, PyramidOptions(norm, epsilon, pyramid_norm=version == 2))
    return MaskRCNN(pyramid, classes, options)
