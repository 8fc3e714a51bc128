"""Encoder, decoder and head from segmentation-models-pytorch.

Encoders are its own or, with `tu-` before the name, those of timm.
Every builder takes `encoder`, `in_channels` and `classes` and gives a network with random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from geoseg.models.registry import register

CHANNELS = (256, 128, 64, 32, 16)
SMP = "MIT AND BSD-3-Clause"  # smp's own code and torchvision's ResNets, which its default encoders are
_MIT_ENCODERS = "MIT AND LicenseRef-NVIDIA-Source-Code-License"  # smp's mit_* encoders are NVIDIA's: no commercial use


def _assemble(kind: str, encoder: str, in_channels: int, classes: int, options: dict[str, Any]) -> nn.Module:
    import segmentation_models_pytorch as smp

    network: nn.Module = getattr(smp, kind)(
        encoder_name=encoder, encoder_weights=None, in_channels=in_channels, classes=classes, **options
    )
    return network


def _depth(channels: Sequence[int]) -> dict[str, Any]:
    return {"encoder_depth": len(channels), "decoder_channels": tuple(channels)}


@register("unet", kind="semantic", paper="Ronneberger et al. 2015, arXiv:1505.04597", encoder="resnet34", licence=SMP)
def unet(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_channels: Sequence[int] = CHANNELS,
    decoder_attention_type: str | None = None,
) -> nn.Module:
    """U-Net: a decoder of upsampling steps, each joined with the encoder's features of that scale.

    Ronneberger, Fischer and Brox 2015, arXiv:1505.04597. `decoder_attention_type` "scse" adds squeeze and excitation.
    """
    options = {**_depth(decoder_channels), "decoder_attention_type": decoder_attention_type}
    return _assemble("Unet", encoder, in_channels, classes, options)


@register("unetplusplus", kind="semantic", paper="Zhou et al. 2018, arXiv:1807.10165", encoder="resnet34", licence=SMP)
def unetplusplus(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_channels: Sequence[int] = CHANNELS,
    decoder_attention_type: str | None = None,
) -> nn.Module:
    """U-Net++: a U-Net whose skips are nested and dense.

    Zhou et al. 2018, arXiv:1807.10165.
    """
    options = {**_depth(decoder_channels), "decoder_attention_type": decoder_attention_type}
    return _assemble("UnetPlusPlus", encoder, in_channels, classes, options)


@register(
    "manet", kind="semantic", paper="Fan et al. 2020, doi:10.1109/ACCESS.2020.3025372", encoder="resnet34", licence=SMP
)
def manet(*, encoder: str, in_channels: int, classes: int, decoder_channels: Sequence[int] = CHANNELS) -> nn.Module:
    """MA-Net: a U-Net with attention over positions and over scales.

    Fan et al. 2020, doi:10.1109/ACCESS.2020.3025372.
    """
    return _assemble("MAnet", encoder, in_channels, classes, _depth(decoder_channels))


@register(
    "linknet",
    kind="semantic",
    paper="Chaurasia and Culurciello 2017, arXiv:1707.03718",
    encoder="resnet34",
    licence=SMP,
)
def linknet(*, encoder: str, in_channels: int, classes: int) -> nn.Module:
    """LinkNet: a U-Net that adds the encoder's features instead of stacking them.

    Chaurasia and Culurciello 2017, arXiv:1707.03718.
    """
    return _assemble("Linknet", encoder, in_channels, classes, {})


@register("fpn", kind="semantic", paper="Kirillov et al. 2019, arXiv:1901.02446", encoder="resnet34", licence=SMP)
def fpn(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_pyramid_channels: int = 256,
    decoder_segmentation_channels: int = 128,
) -> nn.Module:
    """FPN: a feature pyramid whose levels are brought to one scale and summed.

    Lin et al. 2017, arXiv:1612.03144; as a segmenter Kirillov et al. 2019, arXiv:1901.02446.
    """
    options = {
        "decoder_pyramid_channels": decoder_pyramid_channels,
        "decoder_segmentation_channels": decoder_segmentation_channels,
    }
    return _assemble("FPN", encoder, in_channels, classes, options)


@register("pspnet", kind="semantic", paper="Zhao et al. 2017, arXiv:1612.01105", encoder="resnet34", licence=SMP)
def pspnet(
    *, encoder: str, in_channels: int, classes: int, psp_out_channels: int = 512, dilated: bool = False
) -> nn.Module:
    """PSPNet: features at an eighth of the size, pooled over four grids of regions.

    Zhao et al. 2017, arXiv:1612.01105. The features are those that an encoder has at an eighth of the size: quick.
    With `dilated` they are its last ones, as the paper has it.
    """
    depth = {"encoder_depth": 5, "output_stride": 8} if dilated else {}
    return _assemble("PSPNet", encoder, in_channels, classes, {"psp_out_channels": psp_out_channels, **depth})


@register("pan", kind="semantic", paper="Li et al. 2018, arXiv:1805.10180", encoder="resnet34", licence=SMP)
def pan(*, encoder: str, in_channels: int, classes: int, decoder_channels: int = 32) -> nn.Module:
    """PAN: a feature pyramid with global attention steps on the way up.

    Li et al. 2018, arXiv:1805.10180.
    """
    return _assemble("PAN", encoder, in_channels, classes, {"decoder_channels": decoder_channels})


@register("deeplabv3", kind="semantic", paper="Chen et al. 2017, arXiv:1706.05587", encoder="resnet34", licence=SMP)
def deeplabv3(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_channels: int = 256,
    decoder_atrous_rates: Sequence[int] = (12, 24, 36),
) -> nn.Module:
    """DeepLabv3: dilated features at an eighth of the size, read by convolutions of several rates.

    Chen et al. 2017, arXiv:1706.05587.
    """
    options = {"decoder_channels": decoder_channels, "decoder_atrous_rates": tuple(decoder_atrous_rates)}
    return _assemble("DeepLabV3", encoder, in_channels, classes, options)


@register("deeplabv3plus", kind="semantic", paper="Chen et al. 2018, arXiv:1802.02611", encoder="resnet34", licence=SMP)
def deeplabv3plus(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_channels: int = 256,
    decoder_atrous_rates: Sequence[int] = (12, 24, 36),
    encoder_output_stride: int = 16,
) -> nn.Module:
    """DeepLabv3+: DeepLabv3 at a sixteenth of the size, with a small decoder that adds fine features.

    Chen et al. 2018, arXiv:1802.02611. `encoder_output_stride` 8 reads features at an eighth of the size.
    """
    options = {
        "decoder_channels": decoder_channels,
        "decoder_atrous_rates": tuple(decoder_atrous_rates),
        "encoder_output_stride": encoder_output_stride,
    }
    return _assemble("DeepLabV3Plus", encoder, in_channels, classes, options)


@register("upernet", kind="semantic", paper="Xiao et al. 2018, arXiv:1807.10221", encoder="resnet34", licence=SMP)
def upernet(*, encoder: str, in_channels: int, classes: int, decoder_channels: int = 256) -> nn.Module:
    """UPerNet: a feature pyramid on top of pyramid pooling, all levels stacked.

    Xiao et al. 2018, arXiv:1807.10221.
    """
    return _assemble("UPerNet", encoder, in_channels, classes, {"decoder_channels": decoder_channels})


@register(
    "segformer", kind="semantic", paper="Xie et al. 2021, arXiv:2105.15203", encoder="mit_b0", licence=_MIT_ENCODERS
)
def segformer(*, encoder: str, in_channels: int, classes: int, decoder_segmentation_channels: int = 256) -> nn.Module:
    """SegFormer: a hierarchical transformer whose four scales are mixed by linear layers.

    Xie et al. 2021, arXiv:2105.15203.
    """
    options = {"decoder_segmentation_channels": decoder_segmentation_channels}
    return _assemble("Segformer", encoder, in_channels, classes, options)


@register(
    "dpt",
    kind="semantic",
    paper="Ranftl et al. 2021, arXiv:2103.13413",
    encoder="tu-vit_base_patch16_224",
    licence="MIT AND Apache-2.0",
)
def dpt(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    decoder_intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
    decoder_fusion_channels: int = 256,
) -> nn.Module:
    """DPT: a plain vision transformer whose tokens of four depths become features of four scales.

    Ranftl, Bochkovskiy and Koltun 2021, arXiv:2103.13413. The encoder is one of timm's vision transformers; chips are
    multiples of its patches, of any size.
    """
    options = {
        "decoder_intermediate_channels": tuple(decoder_intermediate_channels),
        "decoder_fusion_channels": decoder_fusion_channels,
        "dynamic_img_size": True,
    }
    return _assemble("DPT", encoder, in_channels, classes, options)
