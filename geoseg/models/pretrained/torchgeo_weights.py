"""Weights of torchgeo's enums: what they eat, and the tensors that fit our encoders."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from geoseg.core.bands import common_name, dated
from geoseg.errors import MissingExtraError, UnknownNameError
from geoseg.models.hub.fetching import fetch, sum_in_name
from geoseg.models.hub.licences import licence_of
from geoseg.models.importing.tensors import read_tensors
from geoseg.models.pretrained.source import RGB, UNKNOWN, Dtype, EncoderSource, Pretrained
from geoseg.models.pretrained.swin import from_torchvision

PREFIX = "torchgeo:"
FAMILIES = (
    "ResNet18_Weights", "ResNet50_Weights", "ResNet152_Weights", "Swin_V2_T_Weights", "Swin_V2_B_Weights",
    "ViTSmall16_Weights", "ViTBase16_Weights", "ViTLarge16_Weights", "ViTHuge14_Weights", "ViTSmall14_DINOv2_Weights",
    "ViTBase14_DINOv2_Weights", "Unet_Weights",
)  # fmt: skip

_SENSORS = (
    ("SENTINEL2", "sentinel-2"),
    ("LANDSAT_TM", "landsat-5"),
    ("LANDSAT_ETM", "landsat-7"),
    ("LANDSAT", "landsat-8"),
)
_LICENCES = {  # by publication, as torchgeo's documentation lists them; meta says it for its newest weights only
    "2211.07044": "CC-BY-4.0", "2103.16607": "Apache-2.0", "2309.05300": "Apache-2.0", "2405.20462": "CC-BY-4.0",
    "2504.18256": "MIT", "2211.15660": "ODC-By-1.0", "2310.18653": "CC-BY-4.0", "2507.10403": "OpenRAIL",
    "2306.09424": "CC0-1.0",
}  # fmt: skip
_BYTES: tuple[Dtype, tuple[float, float]] = ("uint8", (0.0, 255.0))
_DECIBELS = "Backscatter in decibels."
_TRUE_COLOUR = "Red, green and blue are those of the 8-bit true-colour image (TCI), the other bands digital numbers."


def names() -> tuple[str, ...]:
    """The weights that our encoders can take, as `Family.MEMBER`. Raises MissingExtraError without torchgeo."""
    return tuple(_members())


def member(name: str) -> Pretrained:
    """The weights of torchgeo of that name (`ResNet50_Weights.SENTINEL2_ALL_MOCO`); nothing is fetched yet.

    Raises UnknownNameError with the near names, and MissingExtraError.
    """
    weights = _weights(name)
    return Pretrained(_described(name, weights), lambda: _tensors(name, str(weights.url)))


def _described(name: str, weights: Any) -> EncoderSource:
    meta, member = weights.meta, name.partition(".")[2]
    bands = _bands(member, meta)
    low, high = affine(weights.transforms, len(bands))
    dtype, value_range = _values(member, str(meta.get("dataset")), len(bands))
    bottom, span = value_range[0], value_range[1] - value_range[0]
    return EncoderSource(
        reference=PREFIX + name,
        bands=bands,
        dtype=dtype,
        value_range=value_range,
        mean=tuple((x - bottom) / span for x in low),
        std=tuple((y - x) / span for x, y in zip(low, high, strict=True)),
        licence=_licence(meta),
        attribution=f"{meta.get('dataset')}, {meta.get('publication')} ({meta.get('repo')})",
        source=str(weights.url),
        limits=_DECIBELS if dtype == "float32" else _TRUE_COLOUR if value_range[1] == 8160 else "",
    )


def _tensors(name: str, url: str) -> dict[str, Tensor]:
    """The tensors named as timm and smp name them; fetched into the cache, checked by the checksum."""
    found = read_tensors(fetch(url, named=sum_in_name(url)))
    return from_torchvision(found) if name.startswith("Swin") else found


def affine(transforms: nn.Module, count: int) -> tuple[list[float], list[float]]:
    """The values of each band that `transforms` turn into 0 and into 1: all that their Normalize steps do together."""
    zero, scale = [0.0] * count, [1.0] * count
    for step in transforms.modules():
        if type(step).__name__ == "Normalize":
            mean, std = _each(step.mean, count), _each(step.std, count)
            zero = [z + m * s for z, m, s in zip(zero, mean, scale, strict=True)]
            scale = [s * d for s, d in zip(scale, std, strict=True)]
    return zero, [z + s for z, s in zip(zero, scale, strict=True)]


def _each(values: Any, count: int) -> list[float]:
    listed = [float(v) for v in values]
    return listed * count if len(listed) == 1 else listed


def _members() -> dict[str, Any]:
    if importlib.util.find_spec("torchgeo") is None:
        raise MissingExtraError("torchgeo", "torchgeo", "encoder weights named torchgeo:...")
    import torchgeo.models

    families = ((name, getattr(torchgeo.models, name, None)) for name in FAMILIES)
    return {f"{name}.{member}": weights for name, family in families for member, weights in _listed(family)}


def _listed(family: Any) -> Iterator[tuple[str, Any]]:
    yield from () if family is None else family.__members__.items()


def _weights(name: str) -> Any:
    known = _members()
    if name not in known:
        raise UnknownNameError("torchgeo weights", name, known)
    return known[name]


def _bands(member: str, meta: Mapping[str, Any]) -> tuple[str | None, ...]:
    listed: Sequence[str] = meta.get("bands") or (RGB if meta["in_chans"] == 3 else ())
    sensor = next((sensor for start, sensor in _SENSORS if member.startswith(start)), None)
    named = [common_name(text, sensor) for text in listed]
    if len(named) != meta["in_chans"] or None in named:
        return (*named, *[None] * (meta["in_chans"] - len(named)))
    return dated([name for name in named if name])


def _values(member: str, dataset: str, count: int) -> tuple[Dtype, tuple[float, float]]:
    """The dtype and the range that values usually have: mean and std are told relative to it, so any range is exact."""
    if "NDVI" in member:
        return "float32", (0.0, 10000.0)
    satlas = dataset == "SatlasPretrain"
    if member.startswith("SENTINEL1"):
        return _BYTES if satlas else ("float32", (-50.0, 20.0))
    if member.startswith("SENTINEL2") and dataset != "SeCo Dataset":
        if not satlas:
            return "uint16", (0.0, 10000.0)
        return ("uint16", (0.0, 8160.0)) if count > 3 else _BYTES
    if member.startswith("LANDSAT") and satlas:
        return "uint16", (0.0, 65535.0)
    return _BYTES


def _licence(meta: Mapping[str, Any]) -> str:
    said = meta.get("license") or _LICENCES.get(str(meta.get("publication")).rpartition("/")[2], UNKNOWN)
    return licence_of(str(said)).identifier
