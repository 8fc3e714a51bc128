"""Weights that torchgeo and torchvision name by enums: `Unet_Weights.SENTINEL2_3CLASS_FTW`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from functools import partial
from types import ModuleType
from typing import Any

from geoseg.errors import MissingExtraError, ModelError, UnknownNameError
from geoseg.models.digest import sha256_of
from geoseg.models.hub.facts import facts_of
from geoseg.models.hub.fetching import fetch, forget, sum_in_name
from geoseg.models.hub.licences import licence_of
from geoseg.models.hub.offers import Obtained, Offer, Report
from geoseg.models.hub.references import Reference
from geoseg.models.hub.transfer import shown

_SEGMENTERS = {
    "torchgeo": re.compile(r"Unet_Weights"),
    "torchvision": re.compile(r"(FCN|DeepLabV3|LRASPP|MaskRCNN)_\w+_Weights"),
}
_ENCODERS = "weights of an encoder, not a model: use them with  encoder_weights="


def offer(reference: Reference) -> Offer:
    """What the enum's member offers.

    Raises MissingExtraError without the package, UnknownNameError for a member that is none, ModelError for weights
    of encoders.
    """
    module = _package(reference.scheme)
    weight = _member(module, reference)
    segmenter = _SEGMENTERS[reference.scheme].fullmatch(type(weight).__name__)
    if segmenter is None:
        raise ModelError(f"{reference.text}: found {_ENCODERS}{reference.text!r}")
    url = str(weight.url)
    return Offer(
        reference=reference.text,
        name=weight.name.lower().replace("_", "-"),
        origin=_origin(url),
        licence=licence_of(weight.meta.get("license")),
        obtain=partial(_obtain, url, reference.sha256),
        facts=facts_of(type(weight).__name__, weight.name, weight.meta),
    )


def _obtain(url: str, sha256: str | None, report: Report | None) -> Obtained:
    named = sum_in_name(url)
    path = fetch(url, sha256=sha256, named=named, progress=report)
    found = sha256_of(path)
    if named is not None and not found.startswith(named):
        raise ModelError(f"{shown(url)}: found the checksum {found}, expected {named}, as the file's name says")
    return Obtained(path, path, found, drop=None if sha256 or named else partial(forget, url))


def _package(scheme: str) -> ModuleType:
    """The package's models. torchgeo is an extra; torchvision is always there."""
    try:
        return importlib.import_module(f"{scheme}.models")
    except ImportError as error:
        raise MissingExtraError("torchgeo", error.name or scheme, f"the list of {scheme}'s weights") from error


def _member(module: ModuleType, reference: Reference) -> Any:
    """The enum's member that the reference names, whatever enum it is in."""
    enum_name, _, member = reference.rest.partition(".")
    enums = dict(_enums(module))
    if enum_name not in enums or member not in enums[enum_name].__members__:
        chosen = {enum_name: enums[enum_name]} if enum_name in enums else enums
        pattern = _SEGMENTERS[reference.scheme]
        known = (f"{name}.{m}" for name, e in chosen.items() if pattern.fullmatch(name) for m in e.__members__)
        raise UnknownNameError(f"{reference.scheme} weight", reference.rest, known)
    return enums[enum_name][member]


def _enums(module: ModuleType) -> Iterable[tuple[str, Any]]:
    """Enums of weights in the module, and in the packages of models inside it (torchvision's segmentation, ...)."""
    from torchvision.models import WeightsEnum

    inside = [getattr(module, name, None) for name in ("segmentation", "detection")]
    for place in (module, *(m for m in inside if isinstance(m, ModuleType))):
        for name, value in vars(place).items():
            if isinstance(value, type) and issubclass(value, WeightsEnum) and value is not WeightsEnum:
                yield name, value


def _origin(url: str) -> str:
    """The page of the hub that tells of the file: its repository where the address is one of Hugging Face's."""
    return url.partition("/resolve/")[0]
