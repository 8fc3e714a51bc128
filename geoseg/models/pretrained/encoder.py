"""The encoder inside a network, and its first convolution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from geoseg.errors import ModelError

_NAMES = ("encoder", "body", "backbone")  # as smp and transformers, torchvision's detectors, and timm's wrappers say


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """An encoder: `module`, and the name in it of the first convolution, which eats `in_channels` bands."""

    module: nn.Module
    first: str
    in_channels: int


def encoder_of(network: nn.Module) -> Encoder:
    """The encoder of a network: the part of that name that lies nearest to the surface.

    Raises ModelError where there is none, or its first layer is no convolution of all bands.
    """
    module = _part(network)
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            if layer.groups != 1:
                raise ModelError(
                    f"{type(module).__name__}: the first convolution has {layer.groups} groups; expected one: "
                    "weights cannot be adapted to other bands; choose another encoder"
                )
            return Encoder(module, f"{name}.weight", layer.in_channels)
    raise ModelError(f"{type(module).__name__}: found no convolution; pretrained weights need an encoder that has one")


def _part(network: nn.Module) -> nn.Module:
    own = getattr(network, "encoder", None)
    if isinstance(own, nn.Module):
        return own
    for wanted in _NAMES:
        places = [name for name, _ in network.named_modules() if name.rpartition(".")[2] == wanted]
        if places:
            return network.get_submodule(min(places, key=lambda name: name.count(".")))
    raise ModelError(
        f"{type(network).__name__}: found no encoder (a part named {', '.join(_NAMES)}); pretrained weights are for "
        "architectures with an encoder to choose"
    )
