"""The network of the benchmarks: U-Net with a resnet34, two classes."""

from __future__ import annotations

from pathlib import Path

import torch
from synthetic import OVERLAP, RESOLUTION, TILE

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.models import LoadedModel, create_model, load_model, save_bundle


def unet_card() -> ModelCard:
    """Its card."""
    names = (("background", "#000000", "stuff"), ("building", "#e41a1c", "thing"))
    return ModelCard(
        name="unet-resnet34",
        version="1",
        task="any",
        description="For benchmarks.",
        architecture="unet",
        arguments={"encoder": "resnet34"},
        bands=("red", "green", "blue"),
        resolution=RESOLUTION,
        resolution_range=(RESOLUTION / 2, RESOLUTION * 2),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classes=ClassSet(classes=tuple(ClassInfo(id=i, name=n, colour=c, kind=k) for i, (n, c, k) in enumerate(names))),
        tile_size=TILE,
        overlap=OVERLAP,
        license="MIT",
    )


def unet_model(bundle: Path | None, into: Path) -> LoadedModel:
    """The U-Net of `bundle`, or one with random weights (always the same), written to `into`."""
    if bundle is not None:
        return load_model(bundle)
    torch.manual_seed(0)
    module = create_model("unet", encoder="resnet34", in_channels=3, classes=2).eval()
    save_bundle(into, module, unet_card(), half=False)
    return load_model(into)
