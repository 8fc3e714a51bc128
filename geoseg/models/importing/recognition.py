"""Which architecture a set of tensors belongs to, told by names and shapes: candidates are built without memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.errors import GeosegError
from geoseg.models.header import TensorInfo
from geoseg.models.importing.cards import class_set
from geoseg.models.network import skeleton_of
from geoseg.models.registry import architectures

Infos = Mapping[str, TensorInfo]


@dataclass(frozen=True, slots=True)
class Recognised:
    """An architecture whose tensors are those that were found."""

    architecture: str
    arguments: Mapping[str, Any]
    in_channels: int
    channels: int


def recognise(infos: Infos, known: Mapping[str, Any] | None = None) -> Recognised | None:
    """The architecture whose tensors have these names and shapes, or None; `known` are arguments that are given."""
    given = dict(known or {})
    if "encoder" in _parts(infos) and "segmentation_head" in _parts(infos):
        candidates = _assembled(infos, given)
    else:
        candidates = _others(infos, given)
    return next((found for found in candidates if fits(found, infos)), None)


def fits(found: Recognised, infos: Infos) -> bool:
    """Whether the tensors are exactly those of that network, by name and shape."""
    shapes = _shapes(found)
    return shapes is not None and shapes == {name: info.shape for name, info in infos.items()}


def channels_of(infos: Infos) -> tuple[int, int] | None:
    """Bands and channels of scores by the first and the last kernel, or None where they do not tell."""
    kernels = [info.shape for info in infos.values() if len(info.shape) == 4]
    return (kernels[0][1], kernels[-1][0]) if kernels else None


def probe(found: Recognised) -> ModelCard:
    """A card that describes the network and nothing else."""
    return ModelCard(
        name="probe",
        version="0",
        task="probe",
        description="",
        architecture=found.architecture,
        arguments=dict(found.arguments),
        bands=tuple(f"band-{i}" for i in range(found.in_channels)),
        resolution=1,
        resolution_range=(1, 1),
        mean=(0,) * found.in_channels,
        std=(1,) * found.in_channels,
        classes=class_set([f"class-{i}" for i in range(found.channels)]),
        license="",
    )


def _shapes(found: Recognised) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of the network's tensors; None when it cannot be built."""
    try:
        skeleton = skeleton_of(probe(found))
    except (GeosegError, ValueError):
        return None
    return {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}


def _parts(infos: Infos, prefix: str = "") -> frozenset[str]:
    """First words of the names under `prefix`."""
    return frozenset(name[len(prefix) :].partition(".")[0] for name in infos if name.startswith(prefix))


def _assembled(infos: Infos, given: dict[str, Any]) -> Iterator[Recognised]:
    """Networks of an encoder and a decoder that may have these tensors, likely ones first."""
    counted = channels_of(infos)
    head = infos.get("segmentation_head.0.weight")
    if counted is None or head is None:
        return
    found = [given["encoder"]] if "encoder" in given else list(_encoders(infos, counted[0]))
    decoder = _parts(infos, "decoder.")
    for name, architecture in architectures().items():
        if architecture.kind == "semantic" and architecture.encoder is not None and decoder:
            for encoder in found:
                arguments = {**_options(infos, architecture.options), **given, "encoder": encoder}
                yield Recognised(name, arguments, counted[0], head.shape[0])


def _encoders(infos: Infos, in_channels: int) -> Iterator[str]:
    """Encoders of segmentation-models-pytorch whose tensors are those under `encoder.`."""
    wanted = {name: info.shape for name, info in infos.items() if name.startswith("encoder.")}
    parts = _parts(infos, "encoder.")
    for family in _families():
        first = _encoder_shapes(family[0], in_channels)
        if _parts({k: TensorInfo("F32", v) for k, v in first.items()}, "encoder.") == parts:
            yield from (name for name in family if _encoder_shapes(name, in_channels) == wanted)


def _encoder_shapes(encoder: str, in_channels: int) -> dict[str, tuple[int, ...]]:
    shapes = _shapes(Recognised("fpn", {"encoder": encoder}, in_channels, 1)) or {}
    return {name: shape for name, shape in shapes.items() if name.startswith("encoder.")}


@cache
def _families() -> tuple[tuple[str, ...], ...]:
    """Names of encoders that share a class."""
    from segmentation_models_pytorch.encoders import encoders

    families: dict[Any, list[str]] = {}
    for name, entry in encoders.items():
        families.setdefault(entry["encoder"], []).append(name)
    return tuple(tuple(names) for names in families.values())


def _options(infos: Infos, known: tuple[str, ...]) -> dict[str, Any]:
    """Options of a decoder that the shapes of its tensors tell."""
    options: dict[str, Any] = {}
    blocks = [infos.get(f"decoder.blocks.{i}.conv2.0.weight") for i in range(5)]
    if "decoder_attention_type" in known and any(".attention1.attention.cSE" in name for name in infos):
        options["decoder_attention_type"] = "scse"
    if "decoder_channels" in known and blocks[0] is not None:
        options["decoder_channels"] = tuple(block.shape[0] for block in blocks if block is not None)
    for option, tensor in _TOLD_BY.items():
        if option in known and tensor in infos:
            options[option] = infos[tensor].shape[0]
    return options


_TOLD_BY = {
    "decoder_pyramid_channels": "decoder.p5.weight",
    "decoder_segmentation_channels": "decoder.fuse_stage.0.weight",
}


def _others(infos: Infos, given: dict[str, Any]) -> Iterator[Recognised]:
    """Registered networks without an encoder of that kind, whose first and last kernels are those found."""
    counted = channels_of(infos)
    if counted is None:
        return
    for name, architecture in architectures().items():
        if architecture.kind == "semantic" and given.keys() <= {*architecture.options, "encoder"}:
            yield Recognised(name, given, *counted)
