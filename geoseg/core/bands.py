"""Names of bands: one vocabulary for models and scenes, and the matching of one with the other.

The vocabulary is that of the STAC electro-optical extension's common names, with `pan`, `vv`, `vh`, `hh` and `hv`,
`lwirhigh` (Landsat 7's thermal band at high gain) and `ndvi`. A model that eats several dates names its bands with the
date's number, counted from 1: `red@1`, `red@2`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from geoseg.errors import BandError, UnknownNameError

COMMON = (
    "coastal", "blue", "green", "yellow", "red", "rededge", "rededge071", "rededge075", "rededge078", "nir", "nir08",
    "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12", "pan", "vv", "vh", "hh", "hv",
    "lwirhigh", "ndvi",
)  # fmt: skip

_SYNONYMS = {
    "r": "red", "g": "green", "b": "blue", "n": "nir", "near infrared": "nir", "near-infrared": "nir",
    "infrared": "nir", "nearinfrared": "nir", "nir1": "nir", "panchromatic": "pan", "grey": "pan", "gray": "pan",
    "coastal aerosol": "coastal",
    "aerosol": "coastal", "red edge": "rededge", "red-edge": "rededge", "swir1": "swir16", "swir2": "swir22",
    "swir 1": "swir16", "swir 2": "swir22", "narrow nir": "nir08", "water vapour": "nir09", "thermal": "lwir",
    "b6 vcid 1": "lwir", "b6 vcid 2": "lwirhigh",
}  # fmt: skip

_SENTINEL_2 = {
    "b1": "coastal", "b2": "blue", "b3": "green", "b4": "red", "b5": "rededge071", "b6": "rededge075",
    "b7": "rededge078", "b8": "nir", "b8a": "nir08", "b9": "nir09", "b10": "cirrus", "b11": "swir16", "b12": "swir22",
}  # fmt: skip
_LANDSAT_8 = {
    "b1": "coastal", "b2": "blue", "b3": "green", "b4": "red", "b5": "nir08", "b6": "swir16", "b7": "swir22",
    "b8": "pan", "b9": "cirrus", "b10": "lwir11", "b11": "lwir12",
}  # fmt: skip
_LANDSAT_7 = {
    "b1": "blue", "b2": "green", "b3": "red", "b4": "nir08", "b5": "swir16", "b6": "lwir", "b7": "swir22", "b8": "pan",
}  # fmt: skip

SENSORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sentinel-2": _SENTINEL_2,
        "landsat-8": _LANDSAT_8,
        "landsat-9": _LANDSAT_8,
        "landsat-7": _LANDSAT_7,
        "landsat-5": {k: v for k, v in _LANDSAT_7.items() if k != "b8"},
        "naip": {"b1": "red", "b2": "green", "b3": "blue", "b4": "nir"},
    }
)


def common_name(text: str | None, sensor: str | None = None) -> str | None:
    """The common name that a band's description stands for, or None when it stands for none.

    Numbers such as `B04` mean different things to different satellites: they are read only when `sensor` is given. A
    date is a whole number from 1. Raises UnknownNameError for an unknown sensor.
    """
    if sensor is not None and sensor not in SENSORS:
        raise UnknownNameError("sensor", sensor, SENSORS)
    if not text:
        return None
    base, at, date = text.strip().lower().replace("_", " ").partition("@")
    date = date.strip().lstrip("0")
    if at and not (date.isascii() and date.isdigit()):
        return None
    base = _SYNONYMS.get(base.strip(), base).replace(" ", "")
    if base not in COMMON:
        number = re.fullmatch(r"(?:sr)?(?:band|b)0*(\d+a?)", base)
        found = SENSORS[sensor].get(f"b{number[1]}") if sensor and number else None
        if found is None:
            return None
        base = found
    return base + at + date


def undated(name: str) -> str:
    """The band's name without the date that a model of several dates adds: `red` for `red@2`."""
    return name.partition("@")[0]


def dated(names: Sequence[str]) -> tuple[str, ...]:
    """The names, those that stand more than once with the number of their date: red, red become red@1, red@2."""
    counts: dict[str, int] = {}
    numbered = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        numbered.append(f"{name}@{counts[name]}" if list(names).count(name) > 1 else name)
    return tuple(numbered)


def match(
    wanted: Sequence[str], available: Sequence[str | None], scene: str, texts: Sequence[str | None] = ()
) -> tuple[int, ...]:
    """Indices (1-based, as GDAL counts) of the `wanted` bands among those `available` in `scene`.

    `texts` are the descriptions in the file, for messages. Raises BandError when a band is missing or stands twice; the
    message says how to name the bands.
    """
    told = [*texts, *[None] * len(available)]
    listed = ", ".join(f"{i}={name or told[i - 1] or '?'}" for i, name in enumerate(available, 1)) or "none"
    numbers = ",".join(map(str, range(1, len(wanted) + 1)))
    if len(available) < len(wanted):
        raise BandError(
            f"{scene}: found {len(available)} band(s) ({listed}); the model eats {len(wanted)}: {', '.join(wanted)}; "
            "choose a model for such imagery, or add the missing bands with --band NAME=FILE"
        )
    names = "name them with --band-names"
    if any("@" in name for name in wanted):
        names += f" and the number of their date ({wanted[0]}), or give a file for each (--band {wanted[0]}=FILE)"
    remedy = (
        f"choose them in the model's order with --bidx (for instance --bidx {numbers}), "
        f"{names}, or say what took the picture with --sensor"
    )
    missing = [name for name in wanted if name not in available]
    if missing:
        raise BandError(f"{scene}: found bands {listed}; expected {', '.join(wanted)}; {remedy}")
    twice = [name for name in wanted if list(available).count(name) > 1]
    if twice:
        raise BandError(f"{scene}: the band {twice[0]} stands more than once ({listed}); {remedy}")
    return tuple(list(available).index(name) + 1 for name in wanted)
