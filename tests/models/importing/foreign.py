"""Foreign model files, made as their own programs make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.models import load_model
from geoseg.models.importing import Hints

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIDE = 64


def facts(**changes: Any) -> Hints:
    """Everything that a file of weights does not say."""
    usual: dict[str, Any] = {
        "task": "buildings",
        "bands": ("red", "green", "blue"),
        "resolution": 0.3,
        "classes": ("background", "building"),
        "value_range": (0.0, 255.0),
        **IMAGENET,
        "tile_size": SIDE,
        "overlap": 16,
        "license": "MIT",
    }
    return Hints(**{**usual, **changes})


def noise(bands: int = 3, side: int = SIDE) -> Tensor:
    """One chip of noise, the same every time."""
    return torch.randn(1, bands, side, side, generator=torch.Generator().manual_seed(1))


def answer(path: Path, chips: Tensor) -> Tensor:
    """What the model at `path` says."""
    with torch.inference_mode():
        return load_model(path).module(chips)


def said(network: Any, chips: Tensor) -> Tensor:
    """What the foreign network says."""
    with torch.inference_mode():
        return network(chips)


def unet(**options: Any) -> nn.Module:
    """smp's U-Net with random weights."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    return smp.Unet("resnet18", encoder_weights=None, **{"classes": 2, **options}).eval()


class Plain(nn.Module):
    """A network that no registry knows."""

    def __init__(self, channels: int = 2, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, channels, 1)
        self.last = last if last is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()))


def save_onnx(network: nn.Module, path: Path, metadata: dict[str, Any] | None = None) -> Path:
    """The network as ONNX, for chips of SIDE pixels, with metadata as Deepness writes it."""
    import onnx

    torch.onnx.export(network, (noise(),), str(path), dynamo=False, opset_version=17, input_names=["input"])
    model = onnx.load(str(path))
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    onnx.save(model, str(path))
    return path
