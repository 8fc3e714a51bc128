"""Mask2Former that finds objects. Cheng et al. 2022, arXiv:2112.01527."""

from __future__ import annotations

from torch import nn

from geoseg.models.instance.mask_classification import ENCODERS, MaskClassifier, QueryOptions, mask2former_network
from geoseg.models.registry import register

PAPER = "Cheng et al. 2022, arXiv:2112.01527"
LICENCE = "Apache-2.0"


@register(
    "mask2former-instance",
    kind="instance",
    paper=PAPER,
    encoder="resnet50",
    encoders=ENCODERS,
    licence=LICENCE,
    extra="transformers",
)
def mask2former_instance(
    *,
    encoder: str,
    in_channels: int,
    classes: int,
    queries: int = 100,
    hidden_size: int = 256,
    heads: int = 8,
    encoder_layers: int = 6,
    decoder_layers: int = 9,
    feedforward: int = 2048,
    points: int = 12544,
) -> nn.Module:
    """Mask2Former for objects: queries that look at the pixels of their own mask only, a class and a mask each.

    Cheng et al. 2022, arXiv:2112.01527. A chip has at most as many objects as there are `queries`.
    """
    options = QueryOptions(queries, hidden_size, heads, decoder_layers, feedforward, encoder_layers, points)
    return MaskClassifier(mask2former_network(encoder, in_channels, classes, options), stuff=0)
