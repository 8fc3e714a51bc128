"""Small networks of every semantic architecture, and cards for them."""

from __future__ import annotations

from typing import Any

from torch import nn

from geoseg.core.card import ModelCard
from geoseg.models import architectures, create_model
from tests.toy import toy_card

NAMES = sorted(name for name, found in architectures().items() if found.kind == "semantic")
BANDS = ("coastal", "blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "nir09", "cirrus",
         "swir16", "swir22")  # fmt: skip

_ENCODERS = {"dpt": "tu-vit_tiny_patch16_224", "hrnet": "tu-hrnet_w18_small", "segformer": "mit_b0"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "attention-unet": {"decoder_channels": [32, 16, 16, 8, 8]},
    "deeplabv3": {"decoder_channels": 16},
    "deeplabv3plus": {"decoder_channels": 16},
    "dpt": {"decoder_intermediate_channels": [16, 16, 16, 16], "decoder_fusion_channels": 16},
    "fpn": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "manet": {"decoder_channels": [32, 16, 16, 8, 8]},
    "multiscale": {"base_options": {"decoder_channels": [32, 16, 16, 8, 8]}},
    "pan": {"decoder_channels": 8},
    "pspnet": {"psp_out_channels": 16},
    "segformer": {"decoder_segmentation_channels": 16},
    "unet": {"decoder_channels": [32, 16, 16, 8, 8]},
    "unetplusplus": {"decoder_channels": [32, 16, 16, 8, 8]},
    "upernet": {"decoder_channels": 16},
}


def small_arguments(architecture: str) -> dict[str, Any]:
    """What makes the architecture small, as a card's arguments."""
    options = _OPTIONS.get(architecture, {})
    if not architectures()[architecture].takes_encoder:
        return options
    return {"encoder": _ENCODERS.get(architecture, "tu-mobilenetv3_small_050"), **options}


def small(architecture: str, bands: int = 3, classes: int = 3) -> nn.Module:
    """A small network of the architecture."""
    return create_model(architecture, in_channels=bands, classes=classes, **small_arguments(architecture))


def small_card(architecture: str, bands: int = 3, **changes: Any) -> ModelCard:
    """Its card; values of bytes reach the network as 0..1."""
    values = {
        "name": architecture,
        "architecture": architecture,
        "arguments": small_arguments(architecture),
        "bands": ("red", "green", "blue") if bands == 3 else BANDS[:bands],
        "std": (1.0,) * bands,
        "classes": 3,
        "activation": "softmax",
        "tile_size": 128,
        "overlap": 32,
        "divisor": 32,
    }
    return toy_card(**{**values, **changes})
