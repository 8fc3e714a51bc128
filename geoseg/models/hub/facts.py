"""What is known for the cards of published weights: bands, values, resolution, classes.

Fields of the World: Kerner et al. 2024, arXiv:2409.16252, and torchgeo's datamodule (digital numbers divided by 3,000).
OAM-TCD: Veitch-Michaelis et al. 2024, arXiv:2407.11743, and its pipeline (bytes as they are, tiles of 1,024 pixels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from geoseg.core.bands import common_name
from geoseg.core.classes import ClassInfo, ClassSet

Meta = Mapping[str, Any]

_GROUND = ClassInfo(id=0, name="background", colour="#000000")


def facts_of(enum: str, member: str, meta: Meta) -> dict[str, Any]:
    """Facts for the card of an enum's member, under the names of its fields; what is not known is left out."""
    told = _DATASETS.get(str(meta.get("dataset")))
    if told is not None:
        return told(member, meta)
    return _coco(meta) if "categories" in meta else {}


def _unet(member: str, meta: Meta) -> dict[str, Any]:
    """What all of torchgeo's U-Nets have in common."""
    return {
        "name": member.lower().replace("_", "-"),
        "version": "1.0.0",
        "kind": "semantic",
        "architecture": "unet",
        "arguments": {"encoder": meta["encoder"]},
        "activation": "softmax",
        "divisor": 32,
        "license": str(meta["license"]),
        "source": str(meta["repo"]),
    }


def _fields(member: str, meta: Meta) -> dict[str, Any]:
    """Fields of the World: two dates of Sentinel-2, and fields told apart by their boundary in three classes."""
    classes = (_GROUND, ClassInfo(id=1, name="field", colour="#e6b422", kind="thing"))
    edge = ClassInfo(id=2, name="field-boundary", colour="#8c510a")
    three = meta["num_classes"] == 3
    return {
        **_unet(member, meta),
        "task": "fields",
        "description": "U-Net for agricultural fields in two dates of Sentinel-2 L2A, by Fields of the World.",
        "bands": dated(meta["bands"], "sentinel-2"),
        "resolution": 10.0,
        "resolution_range": (5.0, 12.0),
        "dtype": "uint16",
        "value_range": (0.0, 3000.0),
        "mean": (0.0,) * meta["in_chans"],
        "std": (1.0,) * meta["in_chans"],
        "classes": ClassSet(classes=(*classes, edge), separator=2) if three else ClassSet(classes=classes),
        "tile_size": 512,
        "overlap": 128,
        "attribution": "Fields of the World: Kerner et al. 2024, arXiv:2409.16252; weights published with torchgeo",
        "training_data": (_FIELDS_ALL if meta["license"] == "non-commercial" else _FIELDS_OPEN,),
        "limits": (
            "Two clear dates of one season, planting and harvest; the network learned with the later one first. "
            "Values are digital numbers of surface reflectance times 10,000. Pasture may be taken for fields."
        ),
    }


_FIELDS_OPEN = "Fields of the World, countries whose labels are CC-BY or as free"
_FIELDS_ALL = "Fields of the World, all countries, some of whose labels are for non-commercial use only"


def _trees(member: str, meta: Meta) -> dict[str, Any]:
    """OpenAerialMap tree cover: RGB bytes as they are, at 0.1 m."""
    names = meta.get("classes", ("background", "tree-canopy"))
    return {
        **_unet(member, meta),
        "task": "trees",
        "description": "U-Net for tree cover in aerial and drone imagery of 0.1 m, by Restor.",
        "bands": tuple(common_name(band) or band for band in meta["bands"]),
        "resolution": float(meta["resolution"]),
        "resolution_range": (meta["resolution"] / 2, meta["resolution"] * 2),
        "dtype": "uint8",
        "value_range": (0.0, 255.0),
        "mean": (0.0,) * meta["in_chans"],
        "std": (1 / 255,) * meta["in_chans"],
        "classes": ClassSet(classes=(_GROUND, ClassInfo(id=1, name=names[1], colour="#228b22"))),
        "tile_size": 1024,
        "overlap": 256,
        "attribution": "OAM-TCD: Veitch-Michaelis et al. 2024, arXiv:2407.11743 (Restor, ETH Zurich)",
        "training_data": ("OAM-TCD: imagery of OpenAerialMap under CC-BY, CC-BY-SA and CC-BY-NC",),
        "limits": "Canopy against the rest; single crowns are not told apart.",
    }


_DATASETS: Mapping[str, Callable[[str, Meta], dict[str, Any]]] = {"FTW": _fields, "OAM-TCD": _trees}


def _coco(meta: Meta) -> dict[str, Any]:
    """Segmenters of torchvision: RGB photographs of everyday things. Their resolution on the ground means nothing."""
    return {
        "bands": ("red", "green", "blue"),
        "dtype": "uint8",
        "value_range": (0.0, 255.0),
        "classes": _unique(meta["categories"]),
        "source": str(meta.get("recipe", "")),
        "attribution": "torchvision",
        "limits": "Learned from photographs taken on the ground: a start for training.",
    }


def dated(bands: Sequence[str], sensor: str) -> tuple[str, ...]:
    """Common names of a sensor's bands with the number of their date: the same band again is the next date."""
    names = [common_name(band, sensor) or band for band in bands]
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name}@{1 + names[:i].count(name)}" for i, name in enumerate(names))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes, each once; the first one is the background."""
    listed = ["background", *map(str, names[1:])]
    return tuple(n if listed.count(n) == 1 else f"{n}-{i}" for i, n in enumerate(listed))
