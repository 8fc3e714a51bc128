"""Small networks of every architecture that finds objects, and cards for them."""

from __future__ import annotations

from typing import Any

from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.models import architectures, create_model
from tests.toy import toy_card

INSTANCE = sorted(name for name, found in architectures().items() if found.kind == "instance")
PANOPTIC = sorted(name for name, found in architectures().items() if found.kind == "panoptic")
NAMES = [*INSTANCE, *PANOPTIC]

REGIONS = {"version": 1, "proposals": 40, "detections": 12, "anchor_sizes": [16, 24, 32, 48, 64]}
QUERIES = {"queries": 8, "hidden_size": 32, "heads": 4, "decoder_layers": 2, "feedforward": 64}
POINTS = {"encoder_layers": 1, "points": 256}
OPTIONS: dict[str, dict[str, Any]] = {
    "mask-rcnn": REGIONS,
    "panoptic-fpn": {**REGIONS, "semantic_width": 32},
    "maskformer": QUERIES,
    "mask2former": {**QUERIES, **POINTS},
    "mask2former-instance": {**QUERIES, **POINTS},
}


def small(architecture: str, bands: int = 3, **changes: Any) -> nn.Module:
    """A small network with random weights: two kinds of things, and two of stuff where it is panoptic."""
    options = {"encoder": "resnet18", **OPTIONS[architecture], **changes}
    if architecture in PANOPTIC:
        options["things"] = 2
    return create_model(architecture, in_channels=bands, classes=2, **options)


def small_card(architecture: str, bands: int = 3) -> ModelCard:
    """The card of the same network."""
    stuff = [("ground", "stuff"), ("water", "stuff")] if architecture in PANOPTIC else [("background", "stuff")]
    listed = [*stuff, ("house", "thing"), ("car", "thing")]
    classes = tuple(
        ClassInfo(id=i, name=name, colour=f"#0000{50 * i:02x}", kind=kind)  # type: ignore[arg-type]
        for i, (name, kind) in enumerate(listed)
    )
    plain = toy_card(
        bands=tuple(f"b{i}" for i in range(bands)),
        architecture=architecture,
        arguments={"encoder": "resnet18", **OPTIONS[architecture]},
        activation="softmax",
        divisor=32,
    ).model_dump()
    kind = architectures()[architecture].kind
    background = None if kind == "panoptic" else 0
    return ModelCard(**{**plain, "kind": kind, "classes": ClassSet(classes=classes, background=background)})
