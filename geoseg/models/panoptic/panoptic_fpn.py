"""Panoptic FPN: Mask R-CNN with a branch for stuff. Kirillov et al. 2019, arXiv:1901.02446."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.models.answers import Answer, Target
from geoseg.models.instance.mask_rcnn import Features, MaskRCNN
from geoseg.models.instance.pyramid import CHANNELS, ENCODERS, LEVELS, PyramidOptions, resnet_pyramid
from geoseg.models.instance.queries import IGNORED
from geoseg.models.instance.regions import ANCHOR_RATIOS, ANCHOR_SIZES, RegionOptions
from geoseg.models.registry import register

_SCALE = 4  # of the finest level
_GROUPS = 32


@dataclass(frozen=True, slots=True)
class BranchOptions:
    """The semantic branch: `width` features, a multiple of 32, and the `weight` of its loss."""

    width: int = 128
    weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a width that cannot be normalised in groups."""
        if self.width < _GROUPS or self.width % _GROUPS:
            raise ModelError(f"found semantic_width={self.width}; expected a multiple of {_GROUPS}")


class SemanticBranch(nn.Module):
    """The levels of a pyramid, each brought to a quarter of the chip's size, summed and classified."""

    def __init__(self, channels: int, width: int) -> None:
        """Give `channels` classes from `width` features."""
        super().__init__()
        self.levels = nn.ModuleList(_steps(level, width) for level in range(len(LEVELS)))
        self.head = nn.Conv2d(width, channels, 1)

    def forward(self, features: Features) -> Tensor:
        """The logits (batch, channel, y, x) at four times the scale of the finest level."""
        finest = features[LEVELS[0]].shape[2:]
        total: Tensor | None = None
        for name, steps in zip(LEVELS, self.levels, strict=True):
            level = _fit(steps(features[name]), finest)
            total = level if total is None else total + level
        return _larger(self.head(total), _SCALE)


def _steps(level: int, width: int) -> nn.Sequential:
    """For a level `level` steps below the finest: as many convolutions, each before doubling the size; at least one."""
    layers: list[nn.Module] = []
    for step in range(max(1, level)):
        layers += [nn.Conv2d(width if step else CHANNELS, width, 3, padding=1, bias=False)]
        layers += [nn.GroupNorm(_GROUPS, width), nn.ReLU(inplace=True)]
        if level:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


def _larger(values: Tensor, times: int) -> Tensor:
    return functional.interpolate(values, scale_factor=times, mode="bilinear", align_corners=False)


def _fit(values: Tensor, size: Sequence[int]) -> Tensor:
    return values[:, :, : size[0], : size[1]]


class PanopticFPN(MaskRCNN):
    """Mask R-CNN and a semantic branch on one pyramid.

    The branch knows the stuff and one class more, "other", which stands for all things.
    """

    def __init__(
        self, backbone: nn.Module, counts: tuple[int, int], options: RegionOptions, branch: BranchOptions
    ) -> None:
        """Take the pyramid, the numbers of stuff channels and of kinds of things, and the options of both parts."""
        super().__init__(backbone, counts[1], options)
        self.stuff = counts[0]
        self.semantic_weight = branch.weight
        self.semantic = SemanticBranch(self.stuff + 1, branch.width)

    def forward(self, chips: Tensor) -> Answer:
        """The objects of each chip, best first, and the scores of its stuff; `chips` (batch, band, y, x) float32."""
        features = self._features(chips)
        scores = self._logits(features, chips).softmax(1)[:, : self.stuff]
        return Answer(self._objects(features, chips), scores)

    def losses(self, chips: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Mask R-CNN's losses, and `semantic`, weighted. Raises ModelError for a target without stuff."""
        features = self._features(chips)
        learnt = torch.stack([self._channels(target, chips.device) for target in targets])
        sums = functional.cross_entropy(self._logits(features, chips), learnt, ignore_index=IGNORED, reduction="sum")
        semantic = sums / (learnt != IGNORED).sum().clamp(min=1)
        return {**self._region_losses(features, chips, targets), "semantic": self.semantic_weight * semantic}

    def _logits(self, features: Features, chips: Tensor) -> Tensor:
        return _fit(self.semantic(features), chips.shape[2:]).float()

    def _channels(self, target: Target, device: torch.device) -> Tensor:
        """The branch's right channel at each pixel: "other" where there is an object."""
        if target.stuff is None:
            raise ModelError(
                "panoptic-fpn: found a target without stuff; expected one made from labels with stuff classes"
            )
        return target.stuff.to(device).masked_fill(target.masks.to(device).any(0), self.stuff)


@register(
    "panoptic-fpn",
    kind="panoptic",
    paper="Kirillov et al. 2019, arXiv:1901.02446",
    encoder="resnet50",
    encoders=ENCODERS,
    licence="BSD-3-Clause",
)
def panoptic_fpn(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    things: int,
    version: int = 1,
    anchor_sizes: Sequence[float] = ANCHOR_SIZES,
    anchor_ratios: Sequence[float] = ANCHOR_RATIOS,
    detections: int = 300,
    nms: float = 0.5,
    proposals: int = 1000,
    norm: str = "batch",
    semantic_width: int = 128,
    semantic_weight: float = 0.5,
) -> nn.Module:
    """Panoptic FPN: Mask R-CNN for things and a light branch for stuff on one feature pyramid.

    Kirillov et al. 2019, arXiv:1901.02446. `semantic_weight` weighs the branch's loss; the other options are those of
    mask-rcnn.
    """
    options = RegionOptions(version, anchor_sizes, anchor_ratios, detections, nms, proposals)
    pyramid = resnet_pyramid(encoder, in_channels, PyramidOptions(norm, pyramid_norm=version == 2))
    return PanopticFPN(pyramid, (classes, things), options, BranchOptions(semantic_width, semantic_weight))
