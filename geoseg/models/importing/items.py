"""STAC items with the Machine Learning Model extension (MLM): the card's facts, and the weights that they name.

https://github.com/stac-extensions/mlm, versions 1.0 to 1.5.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geoseg.core.bands import common_name
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import ModelError
from geoseg.models.importing.cards import class_set, hints_of, slug
from geoseg.models.importing.detection import read_object
from geoseg.models.importing.facts import Hints

ROLE = "mlm:model"
_RANGES = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0), "int16": (-32768.0, 32767.0)}
_HASHES = {"1220": "sha256", "1340": "sha512"}  # multihash: the function, then the length of the digest
_CARD = "geoseg:card"


def read_item(path: Path, hints: Hints) -> tuple[Path, Hints]:
    """The file of weights that an item names, its checksum verified, and what the item says for the card.

    Raises ModelError: not one model among the assets, an address on the web, a missing file, another checksum.
    """
    item = read_object(path)
    properties, asset = item["properties"], model_asset(path, item)
    weights = _file(path, str(asset["href"]))
    _check(path, weights, asset.get("file:checksum"))
    if isinstance(properties.get(_CARD), Mapping):
        return weights, hints_of(properties[_CARD], str(path))
    given, answer = (_only(path, properties.get(f"mlm:{what}"), what) for what in ("input", "output"))
    described = _described(item, asset)
    facts = Hints(
        name=slug(str(properties.get("mlm:name") or item.get("id") or path.stem)),
        description=properties.get("description") or properties.get("title"),
        bands=_bands(given, described),
        resolution=_resolution(properties, described),
        classes=_classes(path, answer),
        activation=_activation(answer),
        tile_size=_tile(given),
        license=properties.get("license"),
        source=next((k["href"] for k in item.get("links") or () if k.get("rel") in ("self", "cite-as", "about")), None),
    )
    return weights, facts.over(_values(given, described, hints))


def model_asset(path: Path, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The asset with the weights: the one whose roles name the model. Raises ModelError unless there is one."""
    assets = item.get("assets")
    listed = dict(assets) if isinstance(assets, Mapping) else {}
    models = [a for a in listed.values() if isinstance(a, Mapping) and ROLE in (a.get("roles") or ()) and "href" in a]
    if len(models) != 1:
        raise ModelError(
            f"{path}: found {len(models)} assets with the role {ROLE!r} ({', '.join(listed) or 'none'}); expected one"
        )
    found: Mapping[str, Any] = models[0]
    return found


def _file(path: Path, href: str) -> Path:
    scheme = urllib.parse.urlsplit(href).scheme
    if scheme in ("http", "https", "s3", "gs", "ftp"):
        raise ModelError(f"{path}: found the address {href} as its model; fetch it with  geoseg models pull mlm:{path}")
    local = urllib.parse.unquote(urllib.parse.urlsplit(href).path) if scheme == "file" else href
    file = path.absolute().parent / local
    if not file.exists():
        raise ModelError(f"{path}: found {href} as its model, which is no file; expected it there; fetch it too")
    return file


def _check(path: Path, weights: Path, recorded: Any) -> None:
    """Raise ModelError when a checksum is recorded and the file has another."""
    if recorded is None:
        return
    text = str(recorded).lower()
    function = _HASHES.get(text[:4])
    if function is None:
        raise ModelError(
            f"{path}: found the checksum {text[:16]}...; expected a multihash of SHA-256 or SHA-512 (1220, 1340)"
        )
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, function).hexdigest()
    if found != text[4:]:
        raise ModelError(
            f"{weights}: found the checksum {found}, expected {text[4:]}, as {path.name} says; fetch the file again"
        )


def _only(path: Path, listed: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(listed, Sequence) or len(listed) != 1 or not isinstance(listed[0], Mapping):
        count = len(listed) if isinstance(listed, Sequence) else 0
        raise ModelError(f"{path}: found {count} descriptions under mlm:{what}; expected one: such models are run")
    found: Mapping[str, Any] = listed[0]
    return found


def _described(item: Mapping[str, Any], asset: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Descriptions of bands by name, of the item and the asset, in the words of STAC 1.1 and of older extensions."""
    found: dict[str, dict[str, Any]] = {}
    for holder in (item["properties"], asset):
        for key in ("bands", "eo:bands", "raster:bands"):
            for band in holder.get(key) or ():
                if isinstance(band, Mapping) and "name" in band:
                    found.setdefault(str(band["name"]), {}).update(band)
    return dict(found)


def _names(given: Mapping[str, Any]) -> list[str]:
    return [str(band.get("name")) if isinstance(band, Mapping) else str(band) for band in given.get("bands") or ()]


def _bands(given: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...] | None:
    """Common names where bands have one, else their own."""
    names = []
    for name in _names(given):
        about = described.get(name, {})
        said = about.get("eo:common_name") or about.get("common_name")
        names.append(common_name(said) or common_name(name) or name)
    return tuple(names) or None


def _resolution(properties: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Metres a pixel: that of the item, or the one that all bands share."""
    said = {b.get("gsd", b.get("spatial_resolution", b.get("raster:spatial_resolution"))) for b in described.values()}
    found = properties.get("gsd") or (said.pop() if len(said) == 1 else None)
    return float(found) if found else None


def _values(given: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]], hints: Hints) -> Hints:
    """Value range, mean and standard deviation, where the scaling is linear and the range is known."""
    names = _names(given)
    scaling = _scaling(given, len(names))
    types = {str(described.get(name, {}).get("data_type")) for name in names}
    dtype = types.pop() if len(types) == 1 else None
    limits = hints.value_range or _RANGES.get(dtype or "")
    if scaling is None or limits is None:
        return Hints(value_range=limits)
    low, high = limits
    return Hints(
        dtype=dtype if dtype in _RANGES else None,
        value_range=limits,
        mean=tuple((mean - low) / (high - low) for mean, _ in scaling),
        std=tuple(std / (high - low) for _, std in scaling),
    )


def _scaling(given: Mapping[str, Any], count: int) -> list[tuple[float, float]] | None:
    """What is taken off and what is divided by, for each band; None where that is not all that happens."""
    told = given.get("value_scaling")
    if told is None and given.get("norm_type"):  # before version 1.3
        told = [{**s, "type": given["norm_type"]} for s in given.get("statistics") or ()]
    if told is None:
        return None if given.get("pre_processing_function") else [(0.0, 1.0)] * count
    listed = [told] if isinstance(told, Mapping) else list(told)
    linear = [_linear(entry) for entry in (listed * count if len(listed) == 1 else listed)]
    known = [entry for entry in linear if entry is not None]
    return known if len(known) == count and not given.get("pre_processing_function") else None


def _linear(entry: Any) -> tuple[float, float] | None:
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    try:
        if kind is None:
            return 0.0, 1.0
        if kind == "z-score":
            return float(entry["mean"]), float(entry["stddev"])
        if kind == "min-max":
            return float(entry["minimum"]), float(entry["maximum"]) - float(entry["minimum"])
        if kind in ("offset", "scale"):
            value = float(entry["value"])
            return (value, 1.0) if kind == "offset" else (0.0, value)
    except (KeyError, TypeError, ValueError):
        return None
    return None


def _classes(path: Path, answer: Mapping[str, Any]) -> ClassSet | None:
    told = answer.get("classification:classes")
    if not isinstance(told, Sequence) or not told:
        return None
    try:
        names = [str(c.get("title") or c.get("name") or c["value"]) for c in told]
        usual = class_set(names)
        infos = tuple(
            ClassInfo(id=int(c["value"]), name=name, colour=_colour(c, info.colour), kind=info.kind)
            for c, name, info in zip(told, names, usual.classes, strict=True)
        )
        ground = next((info.id for info in infos if info.name.lower() == "background"), None)
        return ClassSet(classes=infos, background=ground)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: found classification:classes that cannot be read ({error}); fetch the item again"
        ) from (error)


def _colour(told: Mapping[str, Any], usual: str) -> str:
    hint = str(told.get("color_hint") or told.get("color-hint") or "")
    return f"#{hint.lower()}" if len(hint) == 6 else usual


def _activation(answer: Mapping[str, Any]) -> str | None:
    """What is still to be done with the scores, by the function that the item names."""
    function = answer.get("post_processing_function")
    text = str(function.get("expression") if isinstance(function, Mapping) else function or "").lower()
    return next((name for name in ("softmax", "sigmoid") if name in text), None)


def _tile(given: Mapping[str, Any]) -> int | None:
    structure = given.get("input")
    if not isinstance(structure, Mapping):
        return None
    sizes = dict(zip(structure.get("dim_order") or (), structure.get("shape") or (), strict=False))
    height, width = sizes.get("height"), sizes.get("width")
    return int(height) if isinstance(height, int) and height == width and height > 0 else None
