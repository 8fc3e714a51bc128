"""Clouds and their shadows: the networks that the package ukis-csmask brings, as models of geoseg.

Wieland, Li and Martinis 2019, doi:10.1016/j.rse.2019.05.022; the weights are those of ukis-csmask 1.0 (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import MissingExtraError, ModelError, UnknownNameError

_PACKAGE = "ukis_csmask"
_VERSION = "1.0.0"
_TILE = 256  # fixed in the files
_CLASSES = ClassSet(
    classes=(
        ClassInfo(id=0, name="background", colour="#000000"),
        ClassInfo(id=1, name="cloud", colour="#e8f1ff"),
        ClassInfo(id=2, name="cloud-shadow", colour="#5b3f8c"),
    )
)
_LIMITS = (
    "Reads reflectance times 10,000, as Sentinel-2 stores it. Other units are told by their values for reflectance 0 "
    "and 1: --limits 0,1 for reflectance itself, 1000,11000 for Sentinel-2 from processing baseline 04.00 on, "
    "7273,43636 for Landsat Collection 2 surface reflectance. Trained near 30 m; snow and bright roofs may be taken "
    "for cloud."
)


@dataclass(frozen=True, slots=True)
class _Variant:
    """One file of the package, and the mean and standard deviation of reflectance (0..1) in its training data."""

    stem: str
    level: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


_BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
_L1C = (
    (0.27552253007888794, 0.2556644380092621, 0.269801527261734, 0.33431220054626465, 0.20851291716098785,
     0.15826508402824402),
    (0.24488002061843872, 0.22757470607757568, 0.2537152171134949, 0.23213787376880646, 0.148738831281662,
     0.12604215741157532),
)  # fmt: skip
_L2A = (
    (0.26681777834892273, 0.27799084782600403, 0.28811994194984436, 0.36494743824005127, 0.2225709855556488,
     0.17859040200710297),
    (0.33637598156929016, 0.3125455975532532, 0.311148464679718, 0.27260705828666687, 0.16653667390346527,
     0.14328984916210175),
)  # fmt: skip
_TOP = "top-of-atmosphere reflectance (Level-1C)"
_SURFACE = "surface reflectance (Level-2A)"
_VARIANTS = MappingProxyType(
    {
        "clouds": _Variant("model_4b_l1c", _TOP, _BANDS[:4], _L1C[0][:4], _L1C[1][:4]),
        "clouds-l2a": _Variant("model_4b_l2a", _SURFACE, _BANDS[:4], _L2A[0][:4], _L2A[1][:4]),
        "clouds-6band": _Variant("model_6b_l1c", _TOP, _BANDS, *_L1C),
        "clouds-6band-l2a": _Variant("model_6b_l2a", _SURFACE, _BANDS, *_L2A),
    }
)
NAMES = tuple(_VARIANTS)


def card(name: str) -> ModelCard:
    """The card of one of NAMES, whether the package is installed or not. Raises UnknownNameError."""
    if name not in _VARIANTS:
        raise UnknownNameError("cloud model", name, NAMES)
    variant = _VARIANTS[name]
    return ModelCard(
        name=name,
        version=_VERSION,
        task="clouds",
        description=f"Clouds and cloud shadows in Sentinel-2 and Landsat imagery, from {variant.level}.",
        architecture="unet",
        arguments={"encoder": "efficientnet-b4"},
        bands=variant.bands,
        resolution=30.0,
        resolution_range=(10.0, 60.0),
        dtype="uint16",
        value_range=(0.0, 10000.0),
        mean=variant.mean,
        std=variant.std,
        classes=_CLASSES,
        activation="softmax",
        tile_size=_TILE,
        overlap=_TILE // 4,
        license="Apache-2.0",
        attribution=(
            "ukis-csmask, German Aerospace Center (DLR); Wieland, Li and Martinis 2019, "
            "doi:10.1016/j.rse.2019.05.022; Wieland, Fichtner and Martinis 2022, "
            "doi:10.5194/isprs-archives-XLIII-B3-2022-217-2022"
        ),
        training_data=("SPARCS", "CloudSEN12+", "samples of DLR"),
        limits=_LIMITS,
        source="https://github.com/dlr-eoc/ukis-csmask",
    )


def available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def installed(name: str) -> Path:
    """The ONNX file of one of NAMES with its card inside, made in the cache folder when it is first asked for.

    Raises UnknownNameError, MissingExtraError when the package is not installed, ModelError when it is of a version
    with other models, WriteError when the cache cannot be written.
    """
    from geoseg.models.containers import write_card
    from geoseg.models.hub import cache
    from geoseg.models.hub.fetching import locked

    described = card(name)
    source = _source(name)
    _check_facts(source, _VARIANTS[name])
    place = cache.folder() / "clouds" / _key(source, described) / f"{name}.onnx"
    if place.is_file():
        return place
    with locked("clouds", str(place)):
        if not place.is_file():
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cache.unwritable(place.parent, error) from error
            write_card(source, described, place)
    return place


def _source(name: str) -> Path:
    """The package's own file; the package is found, not imported."""
    found = importlib.util.find_spec(_PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise MissingExtraError("clouds", "ukis-csmask", f"the model {name!r}")
    path = Path(folders[0]) / f"{_VARIANTS[name].stem}.onnx"
    if not path.is_file():
        raise _other_version(path, "no such file")
    return path


def _check_facts(source: Path, variant: _Variant) -> None:
    """Raise ModelError unless the package says of its file what the card says."""
    told = source.with_suffix(".json")
    try:
        data = json.loads(told.read_text(encoding="utf-8"))["data"]
        statistics = data["dataset_statistics"]
        found = (*map(tuple, (statistics["band_names"], *statistics["img"], data["target_size"])), data["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _other_version(told, f"nothing that can be read ({error})") from error
    if found != (variant.bands, variant.mean, variant.std, (_TILE, _TILE), len(_CLASSES.classes)):
        raise _other_version(told, "other bands, statistics or classes")


def _other_version(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path}: found {what}; expected the models of ukis-csmask {_VERSION}: install it with  "
        f"pip install 'ukis-csmask=={_VERSION}'"
    )


def _key(source: Path, described: ModelCard) -> str:
    """What the file is made of, in a few digits: another package or card makes another file."""
    state = source.stat()
    text = f"{source}\n{state.st_size}\n{state.st_mtime_ns}\n{described.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
