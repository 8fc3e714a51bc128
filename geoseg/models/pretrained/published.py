"""The weights that an encoder's own publisher offers: those of smp and of timm."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.models.hub import fetch
from geoseg.models.hub.licences import licence_of
from geoseg.models.importing.tensors import read_tensors
from geoseg.models.network import _RatesOnCpu
from geoseg.models.pretrained.encoder import Encoder
from geoseg.models.pretrained.matching import canonical, common_prefix
from geoseg.models.pretrained.source import IMAGENET_MEAN, IMAGENET_STD, RGB, EncoderSource, Pretrained

REFERENCE = "imagenet"

_HUB = "https://huggingface.co"
_WEIGHTS = "model.safetensors"


def usual() -> EncoderSource:
    """What weights trained on ImageNet eat, where the encoder is not known yet."""
    return EncoderSource(REFERENCE, RGB, "uint8", (0.0, 255.0), IMAGENET_MEAN, IMAGENET_STD)


def published(encoder: Encoder) -> Pretrained:
    """The encoder's published weights: timm's of the tag in the encoder's name (else its default ones), or smp's.

    smp's settings are fetched. Raises ModelError where no weights are published, or the settings cannot be had.
    """
    config = timm_config(encoder.module)
    if config is not None:
        return _from_timm(config)
    known = _smp_encoder(encoder)
    settings = known["pretrained_settings"][REFERENCE]
    repository, revision = settings["repo_id"], settings["revision"]
    told = _settings(hub_file(repository, revision, "config.json"))
    url = hub_file(repository, revision, _WEIGHTS)
    return Pretrained(_described(repository, told), lambda: _as_smp_reads(repository, known, read_tensors(fetch(url))))


def hub_file(repository: str, revision: str, name: str) -> str:
    """The address of a file on the Hugging Face hub, or where HF_ENDPOINT says that it is."""
    return f"{os.environ.get('HF_ENDPOINT', _HUB).rstrip('/')}/{repository}/resolve/{revision}/{name}"


def timm_config(module: nn.Module) -> dict[str, Any] | None:
    """The settings of timm's weights, where the encoder is one of timm's networks."""
    for part in module.modules():
        config = getattr(part, "pretrained_cfg", None)
        if isinstance(config, dict) and config.get("architecture"):
            return config
    return None


def _settings(url: str) -> dict[str, Any]:
    try:
        told = json.loads(fetch(url).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{url}: found no JSON ({error}); expected the encoder's settings; fetch it again") from error
    return told if isinstance(told, dict) else {}


def _described(repository: str, told: Mapping[str, Any]) -> EncoderSource:
    top = float((told.get("input_range") or (0, 1))[1])  # what the largest value becomes before mean and std
    return EncoderSource(
        reference=REFERENCE,
        bands=RGB[::-1] if told.get("input_space") == "BGR" else RGB,
        dtype="uint8",
        value_range=(0.0, 255.0),
        mean=tuple(float(v) / top for v in told.get("mean") or IMAGENET_MEAN),
        std=tuple(float(v) / top for v in told.get("std") or IMAGENET_STD),
        licence=licence_of(told.get("license")).identifier,
        attribution=f"ImageNet weights {repository}",
        source=f"{_HUB}/{repository}",
    )


def _from_timm(config: Mapping[str, Any]) -> Pretrained:
    name = ".".join(filter(None, (config["architecture"], config.get("tag"))))
    repository = config.get("hf_hub_id")
    if not repository:
        raise ModelError(
            f"encoder tu-{name}: timm publishes no weights for it; name weights of torchgeo or a file, or leave "
            "encoder_weights out"
        )
    url = hub_file(repository, "main", config.get("hf_hub_filename") or _WEIGHTS)
    return Pretrained(_described(repository, config), lambda: _as_timm_reads(name, read_tensors(fetch(url))))


def _as_timm_reads(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors after timm's own conversion of older names and shapes, which needs the whole network."""
    import timm

    overlay = {"state_dict": tensors, "custom_load": False}
    with torch.random.fork_rng(devices=[]):
        try:
            whole = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ModelError(f"encoder tu-{name}: the published weights do not fit ({_brief(error)})") from error
    return dict(whole.state_dict())


def _as_smp_reads(repository: str, known: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors after smp's own renaming of older ones, which each of its encoders does for itself."""
    with torch.random.fork_rng(devices=[]):
        whole = known["encoder"](**known["params"])
    try:
        whole.load_state_dict(tensors)
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"{repository}: the published weights do not fit smp's encoder ({_brief(error)})") from error
    return dict(whole.state_dict())


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _smp_encoder(encoder: Encoder) -> Mapping[str, Any]:
    """The entry of an encoder in smp's list, where weights are published for it; it is known by its tensors.

    The ResNets of torchvision and transformers have the tensors of smp's.
    """
    shapes = _shapes(encoder.module, encoder.first)
    for known in _candidates(encoder.module):
        if REFERENCE in known["pretrained_settings"] and _skeleton_shapes(known) == shapes:
            return known
    raise ModelError(
        f"{type(encoder.module).__name__}: found no weights published as {REFERENCE!r} for this encoder; choose "
        "another encoder, weights of torchgeo, or a file"
    )


def _candidates(module: nn.Module) -> Iterator[Mapping[str, Any]]:
    from segmentation_models_pytorch.encoders import encoders

    own = any(known["encoder"] is type(module) for known in encoders.values())
    wanted = type(module) if own else encoders["resnet18"]["encoder"]
    return (known for known in encoders.values() if known["encoder"] is wanted)


def _shapes(module: nn.Module, first: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that are learned, by their usual names; the first convolution's without its bands."""
    learned = {name: tuple(t.shape) for name, t in module.state_dict().items() if t.is_floating_point()}
    prefix = common_prefix(list(learned))
    shapes = {canonical(name.removeprefix(prefix)): shape for name, shape in learned.items()}
    start = canonical(first.removeprefix(prefix))
    return {**shapes, start: shapes[start][:1] + shapes[start][2:]}


def _skeleton_shapes(known: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"), _RatesOnCpu():
        skeleton = known["encoder"](**known["params"])
    first = next(name for name, layer in skeleton.named_modules() if isinstance(layer, nn.Conv2d))
    return _shapes(skeleton, f"{first}.weight")
