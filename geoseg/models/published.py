"""Figures that papers state of their networks, and how the same networks are built here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Size = tuple[int, int]
_GIBI = 2**30 / 1e9  # some papers count multiply-adds in units of 2^30


@dataclass(frozen=True, slots=True)
class Channels:
    """What a network tells apart: `classes` channels of scores (or kinds of objects), `things` if it is panoptic."""

    classes: int
    things: int = 0


@dataclass(frozen=True, slots=True)
class Stated:
    """What was stated where: millions of parameters, and 1e9 multiply-adds for a chip of `size` (y, x)."""

    source: str
    parameters: float
    multiply_adds: float | None = None
    size: Size = (512, 512)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A network of a paper: its name there, the architecture and arguments that build it here, and what was stated."""

    name: str
    architecture: str
    channels: Channels
    stated: Stated
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _segformer(size: int, parameters: float, multiply_adds: float) -> Published:
    side = 640 if size == 5 else 512
    arguments = {"encoder": f"mit_b{size}", "decoder_segmentation_channels": 256 if size < 2 else 768}
    stated = Stated("Xie et al. 2021, table 1", parameters, multiply_adds, (side, side))
    return Published(f"SegFormer-B{size}", "segformer", Channels(150), stated, arguments)


_SEGFORMERS = ((0, 3.8, 8.4), (1, 13.7, 15.9), (2, 27.5, 62.4), (3, 47.3, 79.0), (4, 64.1, 95.7), (5, 84.7, 183.3))
_WANG = "Wang et al. 2019, table 3"
_STREET = (1024, 2048)
_ADE = Channels(50, 100)
_UNITS = "stated in units of 2^30"

PUBLISHED = (
    Published(
        "FCN with VGG16",
        "fcn",
        Channels(21),
        Stated("Long et al. 2015, table 1", 134),
        {"encoder": "vgg16", "dense": 4096},
    ),
    *(_segformer(*figures) for figures in _SEGFORMERS),
    Published(
        "HRNetV2-W48",
        "hrnet",
        Channels(19),
        Stated(_WANG, 65.9, 696.2 * _GIBI, _STREET, _UNITS),
        {"encoder": "tu-hrnet_w48"},
    ),
    Published(
        "DeepLabv3, dilated ResNet-101",
        "deeplabv3",
        Channels(19),
        Stated(_WANG, 58.0, 1778.7 * _GIBI, _STREET, _UNITS),
        {"encoder": "resnet101"},
    ),
    Published(
        "DeepLabv3+, dilated Xception-71",
        "deeplabv3plus",
        Channels(19),
        Stated(_WANG, 43.5, 1444.6 * _GIBI, _STREET, _UNITS),
        {"encoder": "tu-xception71", "encoder_output_stride": 8},
    ),
    Published(
        "UNet++ with ResNet-101",
        "unetplusplus",
        Channels(19),
        Stated(_WANG, 59.5, 748.5 * _GIBI, _STREET, f"{_UNITS}; counted by another implementation"),
        {"encoder": "resnet101"},
    ),
    Published(
        "PSPNet, dilated ResNet-101",
        "pspnet",
        Channels(19),
        Stated(
            _WANG, 65.9, 2017.6 * _GIBI, _STREET, f"{_UNITS}; smp's head is narrower: 1 x 1, not 3 x 3, after pooling"
        ),
        {"encoder": "resnet101", "dilated": True},
    ),
    Published(
        "UPerNet with ConvNeXt-T",
        "upernet",
        Channels(150),
        Stated(
            "Liu et al. 2022, arXiv:2201.03545, table 5", 60, 939, (512, 2048), "with an auxiliary head for training"
        ),
        {"encoder": "tu-convnext_tiny", "decoder_channels": 512},
    ),
    Published(
        "DPT-Base",
        "dpt",
        Channels(1),
        Stated("Ranftl et al. 2021, table 5", 112, size=(384, 384), note="estimates depth"),
        {"encoder": "tu-vit_base_patch16_384", "decoder_intermediate_channels": (96, 192, 384, 768)},
    ),
    Published(
        "DPT-Large",
        "dpt",
        Channels(1),
        Stated("Ranftl et al. 2021, table 5", 343, size=(384, 384), note="estimates depth"),
        {"encoder": "tu-vit_large_patch16_384"},
    ),
    Published(
        "LinkNet with ResNet-18",
        "linknet",
        Channels(20),
        Stated("Chaurasia and Culurciello 2017, abstract", 11.5),
        {"encoder": "resnet18"},
    ),
    Published(
        "LR-ASPP with MobileNetV3-Large",
        "lraspp",
        Channels(21),
        Stated("torchvision's own figures", 3.221538, 2.086, (520, 520)),
    ),
    Published(
        "Mask R-CNN R50-FPN, version 1",
        "mask-rcnn",
        Channels(90),
        Stated("torchvision's own figures", 44.401393),
        {"version": 1},
    ),
    Published(
        "Mask R-CNN R50-FPN, version 2",
        "mask-rcnn",
        Channels(90),
        Stated("torchvision's own figures", 46.359409),
        {"version": 2},
    ),
    Published("MaskFormer R50", "maskformer", _ADE, Stated("Cheng et al. 2021, arXiv:2107.06278, table 1", 41, 53)),
    Published("Mask2Former R50", "mask2former", _ADE, Stated("Cheng et al. 2022, arXiv:2112.01527, ADE20K", 44, 71)),
    Published(
        "Mask2Former R50, instances",
        "mask2former-instance",
        Channels(80),
        Stated("Cheng et al. 2022, arXiv:2112.01527", 44),
    ),
)

UNSTATED: Mapping[str, str] = MappingProxyType(
    {
        "unet": "its paper states no figures",
        "attention-unet": "its paper's figures are those of networks for volumes",
        "manet": "no figures known to us for a network that can be built here",
        "fpn": "its paper states no figures of the segmenter alone",
        "pan": "its paper states no figures",
        "multiscale": "its paper states no figures",
        "pixel-linear": "no paper",
        "transformers-semantic": "stands for many networks",
        "panoptic-fpn": "its paper states no figures of the whole network",
    }
)
