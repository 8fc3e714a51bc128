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
_SIDE, _USUAL = 128, 512  # pixels of the chips that are tried; some networks take one size only


def read_torchscript(path: Path, hints: Hints) -> Found:
    """What a TorchScript file holds. Raises ModelError: it could do more than compute, or cannot be read."""
    scripted = script(path)
    weights = _weights(path, scripted)
    bands = _bands(weights) or (len(hints.bands) if hints.bands else None)
    chips, answer = _tried(scripted, bands, hints)
    channels = None if answer is None else answer.shape[1]
    told = _rebuilt(weights, hints, chips, answer)
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


def _tried(scripted: Any, bands: int | None, hints: Hints) -> tuple[Tensor, Tensor | None]:
    """Two chips of noise that is the same every time, and what the network says of them; None when it takes none."""
    chips = torch.empty(0)
    for side in (_SIDE, hints.tile_size or _USUAL):
        chips = torch.randn((2, bands or 0, side, side), generator=torch.Generator().manual_seed(0))
        answer = _answer(scripted, chips) if bands else None
        if answer is not None:
            return chips, answer
    return chips, None


def _answer(scripted: Any, chips: Tensor) -> Tensor | None:
    try:
        with torch.inference_mode():
            answer = logits_of(scripted(chips))
    except RuntimeError:
        return None
    return answer if answer is not None and answer.ndim == 4 else None


def _rebuilt(weights: Mapping[str, Tensor], hints: Hints, chips: Tensor, answer: Tensor | None) -> Recognised | None:
    """The architecture whose network with these weights gives the same answers as the script; None without one."""
    if answer is None or not weights:
        return None
    infos = tensors.infos(weights)
    if hints.architecture is not None:
        shapes = {name: info.shape for name, info in infos.items()}
        told = counted(Recognised(hints.architecture, dict(hints.arguments or {})), shapes)
    else:
        told = recognise(infos, hints.arguments)
    if told is None or (told.channels, told.in_channels) != (answer.shape[1], chips.shape[1]):
        return None
    with torch.random.fork_rng(devices=[]):
        network = network_of(probe(told)).eval()
    network.load_state_dict(dict(weights))
    with torch.inference_mode():
        again = network(chips)
    scale = max(1.0, float(answer.abs().max()))
    same = again.shape == answer.shape and float((again - answer).abs().max()) <= CLOSE * scale
    return told if same else None


def _activation(path: Path, hints: Hints, answer: Tensor | None) -> str | None:
    """None for logits, or "none" where the answers to noise are shares that sum to one.

    Raises ModelError for other answers from 0 to 1, which a sigmoid may give, unless the hints say what they are.
    """
    if answer is None or hints.activation is not None or float(answer.min()) < 0 or float(answer.max()) > 1:
        return None
    if answer.shape[1] > 1 and float((answer.sum(1) - 1).abs().max()) < CLOSE:
        return "none"
    channels, scores = (
        ("one channel", "") if answer.shape[1] == 1 else (f"{answer.shape[1]} channels", "none: scores; ")
    )
    raise ModelError(
        f"{path}: found {channels} of scores from 0 to 1 that do not sum to one, as a sigmoid gives them; expected "
        "logits: export it without its last activation, or say what they are with --activation "
        f"({scores}sigmoid, softmax: logits)"
    )
