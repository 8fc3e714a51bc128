"""A model's file, complete or absent: written into a folder beside its place, checked, and moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, WriteError
from geoseg.models.bundle import save_bundle
from geoseg.models.importing.facts import Found
from geoseg.models.importing.tensors import infos
from geoseg.models.network import check_fit, network_of, skeleton_of
from geoseg.models.placing import scratch
from geoseg.models.verification import verify

_REMEDY = "name the architecture of the weights (--architecture, --argument), or leave both out to have it told"
BUNDLES = (".safetensors",)  # the ending of what holds tensors and a card alone


def write_model(path: Path, found: Found, card: ModelCard, destination: Path) -> None:
    """Write what was found with its card to `destination`, after every check of `geoseg models verify`.

    Raises ModelError when the weights do not fit (tensor by tensor) or a check fails, WriteError when the file cannot
    be written.
    """
    if found.attach is not None and destination.suffix.lower() in BUNDLES:
        raise ModelError(
            f"{destination}: found a network that geoseg cannot build anew ({path.name}); it is kept as the file that "
            f"it is, which is no safetensors: give the output the ending {path.suffix or '.onnx'}"
        )
    try:
        with scratch(destination) as folder:
            made = folder / destination.name
            if found.attach is not None:
                found.attach(card, made)
            else:
                _write_bundle(path, found.weights or {}, card, made)
            _check(path, made)
            made.replace(destination)
    except OSError as error:
        raise WriteError(f"{destination}: the model cannot be written ({error.strerror or error})") from error


def _write_bundle(path: Path, weights: Mapping[str, Tensor], card: ModelCard, made: Path) -> None:
    check_fit(path, skeleton_of(card), infos(weights), _REMEDY)
    with torch.random.fork_rng(devices=[]):
        module = network_of(card)
    module.load_state_dict(dict(weights), strict=True)
    save_bundle(made, module, card, half=False)


def _check(path: Path, made: Path) -> None:
    for check in verify(made).checks:
        if not check.passed:
            detail = check.detail.replace(str(made), "it")
            raise ModelError(f"{path}: what was made of it fails the check {check.name!r}: {detail}")
