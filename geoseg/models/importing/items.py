"""STAC items with the Machine Learning Model extension (MLM): the card's facts, and the weights that they name.

https://github.com/stac-extensions/mlm, versions 1.0 to 1.5.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geoseg.core.bands import common_name
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import ModelError
from geoseg.models.hub.checksums import multihash
from geoseg.models.hub.stac import check_item, model_asset
from geoseg.models.importing.cards import class_set, hints_of, slug
from geoseg.models.importing.detection import read_object
from geoseg.models.importing.facts import Hints

_RANGES = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0), "int16": (-32768.0, 32767.0)}
_CARD = "geoseg:card"


def read_item(path: Path, hints: Hints) -> tuple[Path, Hints]:
    """The file of weights that an item names, its checksum verified, and what the item says for the card.

    Raises ModelError: not one model among the assets, an address on the web, a missing file, another checksum.
    """
    item, asset, weights = _read(path)
    properties, recorded = item["properties"], multihash(asset.get("file:checksum"), str(path))
    if recorded is not None:
        recorded.check(weights, str(path))
    if isinstance(properties.get(_CARD), Mapping):
        return weights, hints_of(properties[_CARD], str(path))
    given, answer = (_only(path, properties.get(f"mlm:{what}"), what) for what in ("input", "output"))
    described = _described(item, asset)
    said = {
        "name": slug(str(properties.get("mlm:name") or item.get("id") or path.stem)),
        "description": properties.get("description") or properties.get("title"),
        "bands": _bands(given, described),
        "resolution": _resolution(properties, described),
        "classes": _classes(path, answer),
        "activation": _activation(answer),
        "tile_size": _tile(given),
        "license": properties.get("license"),
        "source": _source(item),
    }
    return weights, hints_of(said, str(path)).over(_values(_names(given), given, described, hints))


def weights_of(path: Path) -> Path:
    """The file of weights that an item names. Raises ModelError as `read_item` does; its checksum is not compared."""
    return _read(path)[2]


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any], Path]:
    """The item, its asset with the model, and the file that this names."""
    item = check_item(read_object(path), str(path))
    asset = model_asset(str(path), item["assets"])
    return item, asset, _file(path, asset["href"])


def _source(item: Mapping[str, Any]) -> str | None:
    """The address of the first link to the item itself, or to what describes the model."""
    links = item.get("links") or ()
    return next((link["href"] for link in links if link.get("rel") in ("self", "cite-as", "about")), None)


def _file(path: Path, href: str) -> Path:
    scheme = urllib.parse.urlsplit(href).scheme
    if scheme in ("http", "https", "s3", "gs", "ftp"):
        raise ModelError(f"{path}: found the address {href} as its model; fetch it with  geoseg models pull mlm:{path}")
    local = urllib.parse.unquote(urllib.parse.urlsplit(href).path) if scheme == "file" else href
    file = path.absolute().parent / local
    if not file.exists():
        raise ModelError(f"{path}: found {href} as its model, which is no file; expected it there; fetch it too")
    return file


def _only(path: Path, listed: Any, what: str) -> Mapping[str, Any]:
    if not listed or len(listed) != 1:
        raise ModelError(
            f"{path}: found {len(listed or ())} descriptions under mlm:{what}; expected one: such models are run"
        )
    found: Mapping[str, Any] = listed[0]
    return found


def _described(item: Mapping[str, Any], asset: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Descriptions of bands by name, of the item and the asset, in the words of STAC 1.1 and of older extensions."""
    found: dict[str, dict[str, Any]] = {}
    for holder in (item["properties"], asset):
        for key in ("bands", "eo:bands", "raster:bands"):
            for band in holder.get(key) or ():
                if "name" in band:
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
        names.append(common_name(said if isinstance(said, str) else None) or common_name(name) or name)
    return tuple(names) or None


def _resolution(properties: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]]) -> Any:
    """Metres a pixel: that of the item, or the one that all bands share."""
    said = [b.get("gsd", b.get("spatial_resolution", b.get("raster:spatial_resolution"))) for b in described.values()]
    return properties.get("gsd") or (said[0] if said and said.count(said[0]) == len(said) else None)


def _values(
    names: list[str], given: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]], hints: Hints
) -> Hints:
    """Value range, mean and standard deviation, where the scaling is linear and the range is known."""
    scaling = _scaling(given, len(names))
    types = {str(described.get(name, {}).get("data_type")) for name in names}
    dtype = types.pop() if len(types) == 1 else None
    limits = hints.value_range or _RANGES.get(dtype or "")
    if scaling is None or limits is None or limits[0] == limits[1]:
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
        said = given.get("statistics")
        listed = said if isinstance(said, list) else []
        told = [{**s, "type": given["norm_type"]} for s in listed if isinstance(s, Mapping)]
    if told is None:
        return None if given.get("pre_processing_function") else [(0.0, 1.0)] * count
    listed = told if isinstance(told, list) else [told]
    linear = [_linear(entry) for entry in (listed * count if len(listed) == 1 else listed)]
    known = [entry for entry in linear if entry is not None]
    return known if len(known) == count and not given.get("pre_processing_function") else None


def _linear(entry: Any) -> tuple[float, float] | None:
    if entry is None or (isinstance(entry, Mapping) and entry.get("type") is None):
        return 0.0, 1.0
    try:
        kind = entry["type"]
        if kind == "z-score":
            return float(entry["mean"]), float(entry["stddev"])
        if kind == "min-max":
            return float(entry["minimum"]), float(entry["maximum"]) - float(entry["minimum"])
        if kind in ("offset", "scale"):
            value = float(entry["value"])
            return (value, 1.0) if kind == "offset" else (0.0, value)
    except (KeyError, TypeError, ValueError, OverflowError):
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
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
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
    order, shape = structure.get("dim_order"), structure.get("shape")
    if not isinstance(order, list) or not isinstance(shape, list):
        return None
    sizes = dict(zip(map(str, order), shape, strict=False))
    height, width = sizes.get("height"), sizes.get("width")
    return int(height) if isinstance(height, int) and height == width and height > 0 else None
