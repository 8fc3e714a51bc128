"""Which architecture a set of tensors belongs to, told by names and shapes: candidates are built without memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError
from geoseg.models.header import TensorInfo
from geoseg.models.importing.cards import class_set
from geoseg.models.network import skeleton_of
from geoseg.models.registry import Architecture, architectures

Infos = Mapping[str, TensorInfo]
Shapes = Mapping[str, tuple[int, ...]]

_TOLD_BY = {
    "decoder_pyramid_channels": "decoder.p5.weight",
    "decoder_segmentation_channels": "decoder.fuse_stage.0.weight",
}
_FROZEN = "backbone.body.bn1.num_batches_tracked"  # normalisation that does not learn has no such count
_FIRST_VERSION = "roi_heads.box_head.fc6.weight"  # two plain layers: torchvision's version 1


@dataclass(frozen=True, slots=True)
class Recognised:
    """An architecture whose tensors are those that were found; `channels` of scores, or kinds of things."""

    architecture: str
    arguments: Mapping[str, Any]
    in_channels: int = 3
    channels: int = 2
    kind: str = "semantic"


def recognise(infos: Infos, known: Mapping[str, Any] | None = None) -> Recognised | None:
    """The architecture whose tensors have these names and shapes, or None; `known` are arguments that are given."""
    shapes = {name: info.shape for name, info in infos.items()}
    given = dict(known or {})
    candidates = _assembled if {"encoder", "decoder", "segmentation_head"} <= _parts(shapes) else _others
    return next((found for guess in candidates(shapes, given) if (found := counted(guess, shapes))), None)


def counted(guess: Recognised, shapes: Shapes) -> Recognised | None:
    """The guess with the bands and channels that the tensors tell, or None when they are those of another network."""
    usual = _shapes(guess)
    if usual is None or usual.keys() != shapes.keys():
        return None
    bands = _differing(usual, _shapes(replace(guess, in_channels=guess.in_channels + 1)), shapes)
    channels = _differing(usual, _shapes(replace(guess, channels=guess.channels + 1)), shapes)
    step = {"in_channels": bands, "channels": channels}
    found = replace(guess, **{k: getattr(guess, k) + v for k, v in step.items() if v is not None})
    return found if _shapes(found) == dict(shapes) else None


def probe(found: Recognised) -> ModelCard:
    """A card that describes the network and nothing else."""
    objects = found.kind == "instance"
    names = [f"class-{i}" for i in range(found.channels)]
    return ModelCard.model_validate(
        {
            **{"name": "probe", "version": "0", "task": "probe", "description": "", "license": "", "kind": found.kind},
            **{"resolution": 1, "resolution_range": (1, 1), "mean": (0,) * found.in_channels},
            "std": (1,) * found.in_channels,
            "architecture": found.architecture,
            "arguments": dict(found.arguments),
            "bands": tuple(f"band-{i}" for i in range(found.in_channels)),
            "classes": class_set(names, kind=found.kind, background=objects),
        }
    )


def _shapes(found: Recognised) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of the network's tensors; None when it cannot be built."""
    arguments = json.dumps(dict(found.arguments), sort_keys=True, default=str)
    return _built(found.architecture, arguments, found.in_channels, found.channels, found.kind)


@lru_cache(maxsize=256)
def _built(
    architecture: str, arguments: str, in_channels: int, channels: int, kind: str
) -> dict[str, tuple[int, ...]] | None:
    found = Recognised(architecture, json.loads(arguments), in_channels, channels, kind)
    try:
        skeleton = skeleton_of(probe(found))
    except (GeosegError, ValueError):
        return None
    return {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}


def _differing(usual: Shapes, more: Shapes | None, found: Shapes) -> int | None:
    """How many more bands or channels the tensors have, where one more changes some size by one; None if none does."""
    for name, shape in usual.items():
        grown = () if more is None else more.get(name, ())
        if len(grown) == len(shape) == len(found[name]):
            for before, after, there in zip(shape, grown, found[name], strict=True):
                if after == before + 1:
                    return there - before
    return None


def _parts(names: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    """First words of the names under `prefix`."""
    return frozenset(name[len(prefix) :].partition(".")[0] for name in names if name.startswith(prefix))


def _assembled(shapes: Shapes, given: dict[str, Any]) -> Iterator[Recognised]:
    """Networks of an encoder and a decoder that may have these tensors."""
    for encoder in [given["encoder"]] if "encoder" in given else _encoders(shapes):
        for name, architecture in architectures().items():
            if architecture.kind == "semantic" and architecture.takes_encoder:
                yield Recognised(name, {**_options(shapes, architecture.options), **given, "encoder": encoder})


def _encoders(shapes: Shapes) -> Iterator[str]:
    """Encoders of segmentation-models-pytorch whose tensors are those under `encoder.`."""
    wanted = {name: shape for name, shape in shapes.items() if name.startswith("encoder.")}
    parts = _parts(wanted, "encoder.")
    for family in _families():
        if _parts(_encoder_shapes(family[0], 3), "encoder.") == parts:
            yield from (name for name in family if _alike(name, wanted))


def _alike(encoder: str, wanted: Shapes) -> bool:
    """Whether an encoder has these tensors, whatever its bands."""
    usual, more = _encoder_shapes(encoder, 3), _encoder_shapes(encoder, 4)
    if usual.keys() != wanted.keys():
        return False
    return all(wanted[name] == shape for name, shape in usual.items() if more.get(name) == shape)


@cache
def _encoder_shapes(encoder: str, in_channels: int) -> dict[str, tuple[int, ...]]:
    shapes = _shapes(Recognised("fpn", {"encoder": encoder}, in_channels)) or {}
    return {name: shape for name, shape in shapes.items() if name.startswith("encoder.")}


@cache
def _families() -> tuple[tuple[str, ...], ...]:
    """Names of encoders that share a class."""
    from segmentation_models_pytorch.encoders import encoders

    families: dict[Any, list[str]] = {}
    for name, entry in encoders.items():
        families.setdefault(entry["encoder"], []).append(name)
    return tuple(tuple(names) for names in families.values())


def _options(shapes: Shapes, known: tuple[str, ...]) -> dict[str, Any]:
    """Options that the names and shapes of tensors tell."""
    options: dict[str, Any] = {}
    blocks = [shapes.get(f"decoder.blocks.{i}.conv2.0.weight") for i in range(5)]
    if "decoder_attention_type" in known and any(".attention1.attention.cSE" in name for name in shapes):
        options["decoder_attention_type"] = "scse"
    if "decoder_channels" in known and blocks[0] is not None:
        options["decoder_channels"] = tuple(block[0] for block in blocks if block is not None)
    for option, tensor in _TOLD_BY.items():
        if option in known and tensor in shapes:
            options[option] = shapes[tensor][0]
    if {"version", "norm"} <= set(known):  # Mask R-CNN
        options["version"] = 1 if _FIRST_VERSION in shapes else 2
        options["norm"] = "batch" if _FROZEN in shapes else "frozen"
    return options


def _others(shapes: Shapes, given: dict[str, Any]) -> Iterator[Recognised]:
    """Registered networks that are not put together so, with each encoder that they list; small ones come first."""
    kind = "instance" if "rpn" in _parts(shapes) else "semantic"
    for name, architecture in sorted(architectures().items(), key=lambda pair: pair[1].takes_encoder):
        if architecture.kind != kind or architecture.extra is not None:
            continue
        if not given.keys() <= {*architecture.options, "encoder"}:
            continue
        options = {**_options(shapes, architecture.options), **given}
        guesses = [Recognised(name, {**options, **e}, kind=kind) for e in _choices(architecture, given)]
        if _parts(_shapes(guesses[0]) or {}) == _parts(shapes):
            yield from guesses


def _choices(architecture: Architecture, given: Mapping[str, Any]) -> list[dict[str, str]]:
    """The arguments that choose an encoder, one for each that may be meant."""
    if "encoder" in given or not architecture.takes_encoder:
        return [{}]
    return [{"encoder": name} for name in architecture.encoders] or [{}]
