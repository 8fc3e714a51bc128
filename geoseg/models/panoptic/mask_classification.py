"""MaskFormer and Mask2Former that find objects and the stuff around them."""

from __future__ import annotations

from torch import nn

from geoseg.models.instance.mask2former import LICENCE
from geoseg.models.instance.mask2former import PAPER as MASK2FORMER
from geoseg.models.instance.mask_classification import (
    ENCODERS,
    MaskClassifier,
    MaskFormer,
    QueryOptions,
    mask2former_network,
    maskformer_network,
)
from geoseg.models.registry import register

MASKFORMER = "Cheng et al. 2021, arXiv:2107.06278"


@register(
    "maskformer",
    kind="panoptic",
    paper=MASKFORMER,
    encoder="resnet50",
    encoders=ENCODERS,
    licence=LICENCE,
    extra="transformers",
)
def maskformer(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    things: int,
    queries: int = 100,
    hidden_size: int = 256,
    heads: int = 8,
    decoder_layers: int = 6,
    feedforward: int = 2048,
) -> nn.Module:
    """MaskFormer: queries that each stand for one object or one kind of stuff, with a class and a mask.

    Cheng et al. 2021, arXiv:2107.06278.
    """
    options = QueryOptions(queries, hidden_size, heads, decoder_layers, feedforward)
    return MaskFormer(maskformer_network(encoder, in_channels, classes + things, options), stuff=classes)


@register(
    "mask2former",
    kind="panoptic",
    paper=MASK2FORMER,
    encoder="resnet50",
    encoders=ENCODERS,
    licence=LICENCE,
    extra="transformers",
)
def mask2former(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    things: int,
    queries: int = 100,
    hidden_size: int = 256,
    heads: int = 8,
    encoder_layers: int = 6,
    decoder_layers: int = 9,
    feedforward: int = 2048,
    points: int = 12544,
) -> nn.Module:
    """Mask2Former: MaskFormer whose queries look at the pixels of their own mask only, at several scales.

    Cheng et al. 2022, arXiv:2112.01527.
    """
    options = QueryOptions(queries, hidden_size, heads, decoder_layers, feedforward, encoder_layers, points)
    return MaskClassifier(mask2former_network(encoder, in_channels, classes + things, options), stuff=classes)
