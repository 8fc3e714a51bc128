"""Two-stage detection over a feature pyramid: proposals, then class, box and mask of each (torchvision's parts)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.models.answers import Objects, Target
from geoseg.models.instance.masks import boxes_of
from geoseg.models.instance.pasting import paste
from geoseg.models.instance.pyramid import CHANNELS, LEVELS

ANCHOR_SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
ANCHOR_RATIOS = (0.5, 1.0, 2.0)
VERSIONS = (1, 2)
_ALL_LEVELS = len(LEVELS) + 1


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """How regions are proposed and kept.

    `version` is torchvision's: 1 as in the paper, 2 with deeper heads that normalise. `anchor_sizes` are in pixels, as
    many a level of the pyramid, finest level first; `anchor_ratios` are heights over widths, the same for all levels.
    The best `proposals` of a chip are looked at (twice as many while training), and at most `detections` objects come
    out. Of two of a class that overlap by more than `nms` (intersection over union of their boxes) the better stays.
    """

    version: int = 2
    anchor_sizes: Sequence[float] = ANCHOR_SIZES
    anchor_ratios: Sequence[float] = ANCHOR_RATIOS
    detections: int = 300
    nms: float = 0.5
    proposals: int = 1000

    def __post_init__(self) -> None:
        """Refuse what no network can be built with."""
        if self.version not in VERSIONS:
            raise ModelError(f"found version={self.version!r}; expected 1 or 2")
        if not self.anchor_sizes or len(self.anchor_sizes) % _ALL_LEVELS or min(self.anchor_sizes) <= 0:
            raise ModelError(
                f"found anchor_sizes={tuple(self.anchor_sizes)}; expected positive sizes, as many for each of the "
                f"{_ALL_LEVELS} levels: {_ALL_LEVELS} or {2 * _ALL_LEVELS} or {3 * _ALL_LEVELS} in all"
            )
        if not self.anchor_ratios or min(self.anchor_ratios) <= 0:
            raise ModelError(f"found anchor_ratios={tuple(self.anchor_ratios)}; expected positive ratios")
        if self.detections < 1 or self.proposals < 1 or not 0 < self.nms <= 1:
            raise ModelError(
                f"found detections={self.detections}, proposals={self.proposals}, nms={self.nms}; expected at least "
                "one detection and one proposal, and nms above 0, at most 1"
            )

    @property
    def sizes_by_level(self) -> tuple[tuple[float, ...], ...]:
        """The anchor sizes of each level."""
        each = len(self.anchor_sizes) // _ALL_LEVELS
        return tuple(tuple(self.anchor_sizes[i : i + each]) for i in range(0, len(self.anchor_sizes), each))


def region_parts(backbone: nn.Module, things: int, options: RegionOptions) -> tuple[nn.Module, nn.Module]:
    """The proposal network and the heads for `things` kinds of objects, tensors named as torchvision names them.

    Their answers are float32 under autocast too: half precision would move boxes by whole pixels.
    """
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    sizes = options.sizes_by_level
    whole = MaskRCNN(
        backbone,
        num_classes=things + 1,  # the first is the background
        rpn_anchor_generator=AnchorGenerator(sizes, (tuple(options.anchor_ratios),) * len(sizes)),
        box_detections_per_img=options.detections,
        box_nms_thresh=options.nms,
        **{f"rpn_{when}_nms_top_n_test": options.proposals for when in ("pre", "post")},
        **{f"rpn_{when}_nms_top_n_train": 2 * options.proposals for when in ("pre", "post")},
        **(_deep_heads(len(sizes[0]) * len(options.anchor_ratios)) if options.version == 2 else {}),
    )
    for part in (whole.rpn.head, whole.roi_heads.box_predictor, whole.roi_heads.mask_predictor):
        part.register_forward_hook(_in_full)
    return whole.rpn, whole.roi_heads


def _deep_heads(anchors: int) -> dict[str, Any]:
    """The heads of torchvision's second version. Li et al. 2021, arXiv:2111.11429."""
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
    from torchvision.models.detection.rpn import RPNHead

    layers = [256] * 4
    return {
        "rpn_head": RPNHead(CHANNELS, anchors, conv_depth=2),
        "box_head": FastRCNNConvFCHead((CHANNELS, 7, 7), layers, [1024], norm_layer=nn.BatchNorm2d),
        "mask_head": MaskRCNNHeads(CHANNELS, layers, 1, norm_layer=nn.BatchNorm2d),
    }


def _in_full(module: nn.Module, inputs: Any, answer: Any) -> Any:
    """A forward hook: the same answer in float32."""
    if isinstance(answer, Tensor):
        return answer.float()
    return type(answer)(_in_full(module, inputs, part) for part in answer)


def region_targets(targets: Sequence[Target], device: torch.device) -> list[dict[str, Tensor]]:
    """What torchvision's heads learn from; objects without a pixel are left out, labels count from 1."""
    learnt = []
    for target in targets:
        masks = target.masks.to(device)
        held = masks.flatten(1).any(1)
        masks = masks[held]
        labels = target.labels.to(device)[held] + 1
        learnt.append({"boxes": boxes_of(masks).float(), "labels": labels, "masks": masks.to(torch.uint8)})
    return learnt


def region_objects(found: dict[str, Tensor], size: tuple[int, int]) -> Objects:
    """The objects in what torchvision's heads found in one chip of `size` (height, width)."""
    pasted = paste(found["masks"][:, 0], found["boxes"], size)
    return Objects(
        boxes=pasted.boxes,
        labels=found["labels"][pasted.kept] - 1,
        scores=found["scores"][pasted.kept].float().clamp(0, 1),
        masks=pasted.masks,
    )
