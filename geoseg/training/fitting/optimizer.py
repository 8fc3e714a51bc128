"""The network's weights in groups, as the optimiser treats them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from geoseg.errors import ModelError, SpecError
from geoseg.models.pretrained.encoder import encoder_of as pretrained_part
from geoseg.training.options import LoopOptions

FACTOR = "factor"  # of a group's learning rate


def encoder_of(network: nn.Module) -> nn.Module | None:
    """The part of a network that pretrained weights are for; None where it has none."""
    try:
        return pretrained_part(network).module
    except ModelError:
        return None


def optimizer_for(network: nn.Module, loop: LoopOptions) -> torch.optim.AdamW:
    """AdamW over the network's weights; Loshchilov and Hutter 2019, arXiv:1711.05101.

    Vectors (biases, normalisation) do not decay. A group's FACTOR, the encoder's or 1, is for `set_rate`. Raises
    SpecError where the loop treats the encoder in its own way and there is none.
    """
    encoder = encoder_of(network)
    if encoder is None and (loop.frozen or loop.encoder_factor != 1):
        raise SpecError(
            f"loop.frozen, loop.encoder_factor: found {loop.frozen:g} and {loop.encoder_factor:g}, and no encoder in "
            f"{type(network).__name__}; expected 0 and 1: leave them out, or choose an architecture with an encoder"
        )
    inner = {id(p) for p in encoder.parameters()} if encoder is not None else set()
    groups = []
    for own in (True, False):
        weights = [p for p in network.parameters() if p.requires_grad and (id(p) in inner) == own]
        for decay, chosen in (
            (loop.weight_decay, [p for p in weights if p.ndim > 1]),
            (0.0, [p for p in weights if p.ndim <= 1]),
        ):
            if chosen:
                factor = loop.encoder_factor if own else 1.0
                groups.append({"params": chosen, "weight_decay": decay, FACTOR: factor})
    return torch.optim.AdamW(groups, lr=0.0)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[FACTOR]


def set_modes(network: nn.Module, frozen: bool, freeze_norms: bool) -> None:
    """Put the network into training mode, but for what keeps still: the encoder, or the statistics of batch norms."""
    network.train()
    encoder = encoder_of(network)
    if frozen and encoder is not None:
        encoder.eval()
    if freeze_norms:
        for part in network.modules():
            if isinstance(part, _BatchNorm):
                part.eval()


def drop_gradients(weights: Iterable[nn.Parameter]) -> None:
    """Take gradients away: the optimiser leaves such weights as they are."""
    for weight in weights:
        weight.grad = None
