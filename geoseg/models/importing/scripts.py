"""TorchScript: looked through before it is loaded, made into a bundle where the network is known, else run as it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models import containers
from geoseg.models.containers.graph import logits_of
from geoseg.models.containers.torchscript import script
from geoseg.models.importing import tensors
from geoseg.models.importing.detection import Form
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.importing.recognition import Recognised, counted, probe, recognise
from geoseg.models.network import network_of

CLOSE = 1e-4  # how far the answers of a rebuilt network may be from those of its script, relative to the largest one
_SIDE = 128


def read_torchscript(path: Path, hints: Hints) -> Found:
    """What a TorchScript file holds. Raises ModelError: it could do more than compute, or cannot be read."""
    scripted = script(path)
    weights = _weights(path, scripted)
    bands = _bands(weights) or (len(hints.bands) if hints.bands else None)
    answer = _answer(scripted, bands)
    channels = None if answer is None else answer.shape[1]
    told = _rebuilt(weights, hints, scripted, answer)
    if told is not None:
        facts = Hints(architecture=told.architecture, arguments=told.arguments)
        return Found(Form.TORCHSCRIPT, facts, weights=weights, in_channels=told.in_channels, channels=told.channels)
    attach = partial(containers.write_card, path)
    facts = Hints(activation=_activation(path, hints, answer))
    return Found(Form.TORCHSCRIPT, facts, attach=attach, in_channels=bands, channels=channels)


def _weights(path: Path, scripted: Any) -> Mapping[str, Tensor]:
    state = {name: tensor.detach().clone() for name, tensor in scripted.state_dict().items()}
    return tensors.unwrapped(path, state) if state else {}


def _bands(weights: Mapping[str, Tensor]) -> int | None:
    """The bands that the first kernel takes, in the order in which the network was written."""
    return next((tensor.shape[1] for tensor in weights.values() if tensor.ndim == 4), None)


def _chips(bands: int) -> Tensor:
    """Two chips of noise that is the same every time."""
    return torch.randn((2, bands, _SIDE, _SIDE), generator=torch.Generator().manual_seed(0))


def _answer(scripted: Any, bands: int | None) -> Tensor | None:
    """What the network says of noise, or None when it does not take it."""
    if bands is None:
        return None
    try:
        with torch.inference_mode():
            answer = logits_of(scripted(_chips(bands)))
    except RuntimeError:
        return None
    return answer if answer is not None and answer.ndim == 4 else None


def _rebuilt(weights: Mapping[str, Tensor], hints: Hints, scripted: Any, answer: Tensor | None) -> Recognised | None:
    """The architecture whose network with these weights gives the same answers as the script; None without one."""
    if answer is None or not weights:
        return None
    infos = tensors.infos(weights)
    if hints.architecture is not None:
        shapes = {name: info.shape for name, info in infos.items()}
        told = counted(Recognised(hints.architecture, dict(hints.arguments or {})), shapes)
    else:
        told = recognise(infos, hints.arguments)
    if told is None or told.channels != answer.shape[1]:
        return None
    with torch.random.fork_rng(devices=[]):
        network = network_of(probe(told)).eval()
    network.load_state_dict(dict(weights))
    with torch.inference_mode():
        again = network(_chips(told.in_channels))
    scale = max(1.0, float(answer.abs().max()))
    same = again.shape == answer.shape and float((again - answer).abs().max()) <= CLOSE * scale
    return told if same else None


def _activation(path: Path, hints: Hints, answer: Tensor | None) -> str | None:
    """None, or "none" where the answers to noise are shares that sum to one.

    Raises ModelError for one channel of final scores: a card has no word for them.
    """
    if answer is None or hints.activation is not None or float(answer.min()) < 0 or float(answer.max()) > 1:
        return None
    if answer.shape[1] == 1:
        raise ModelError(
            f"{path}: found one channel of scores from 0 to 1, as a sigmoid gives; expected logits: export it without "
            "its last activation, or say --activation sigmoid where these are logits"
        )
    return "none" if float((answer.sum(1) - 1).abs().max()) < CLOSE else None
