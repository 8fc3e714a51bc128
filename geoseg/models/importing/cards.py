"""The card that is made of what a foreign file says and what the user adds."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.errors import ModelError
from geoseg.models.importing.facts import Found, Hints

CONTAINED = "container"  # the architecture of a file that is run as it is
_FLAGS = {
    "architecture": "--architecture NAME (and --argument KEY=VALUE)",
    "task": "--task NAME",
    "bands": "--bands red,green,blue",
    "resolution": "--resolution METRES",
    "classes": "--classes background,building",
    "value_range": "--value-range LOW,HIGH",
    "mean": "--mean X,Y,...",
    "std": "--std X,Y,...",
    "license": "--license SPDX",
}
_TILE, _OVERLAP, _DIVISOR = 512, 128, 32
_SCALE = 2.0  # how much coarser or finer than its own resolution a network is run, when nothing is said
_BACKGROUND = "background"


def card_of(path: Path, found: Found, hints: Hints) -> ModelCard:
    """The card of a foreign model; `hints` count before what the file says.

    Raises ModelError: facts are missing (all are listed, each with its flag), bands or classes are not as many as the
    network has, or the facts contradict one another.
    """
    facts = hints.over(found.facts)
    _check_complete(path, found, facts)
    values = facts.known()
    _check_bands(path, found, values["bands"])
    activation = values.setdefault("activation", _activation(found, facts))
    values["classes"] = _classes(facts, activation)
    filled = {**_usual(path, found, facts), **values}
    filled.setdefault("overlap", min(_OVERLAP, filled["tile_size"] // 4))
    try:
        card = ModelCard.model_validate(filled)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg']}" for e in error.errors()[:5])
        raise ModelError(f"{path}: no card can be made of what is known: {faults}") from error
    _check_channels(path, found, card)
    return card


def class_set(names: Sequence[str], *, kind: str = "semantic", background: bool = False) -> ClassSet:
    """Classes of those names, numbered from 0; the one called "background" is it, and with `background` there is one.

    Colours go round the circle by the golden angle. Things are what objects are made of (instance and panoptic).
    """
    listed = list(names)
    lower = [name.lower() for name in listed]
    if background and _BACKGROUND not in lower:
        listed, lower = [_BACKGROUND, *listed], [_BACKGROUND, *lower]
    ground = lower.index(_BACKGROUND) if _BACKGROUND in lower else None
    thing = "stuff" if kind == "semantic" else "thing"
    infos = tuple(
        ClassInfo(id=i, name=name, colour=_colour(i, i == ground), kind="stuff" if i == ground else thing)
        for i, name in enumerate(listed)
    )
    return ClassSet(classes=infos, background=ground)


def slug(text: str) -> str:
    """`text` as a card's name: small letters, digits, dots, dashes."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") or "model"


def _colour(number: int, ground: bool) -> str:
    if ground:
        return "#000000"
    rgb = colorsys.hsv_to_rgb((0.11 + number * 0.618034) % 1, 0.75, 0.95)
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * v) for v in rgb))


def _check_complete(path: Path, found: Found, facts: Hints) -> None:
    known = facts.known()
    needed = [name for name in _FLAGS if name != "architecture" or found.attach is None]
    missing = [_FLAGS[name] for name in needed if name not in known]
    if missing:
        counts = [
            f"{count} {what}"
            for count, what in ((found.in_channels, "band(s)"), (found.channels, "channel(s) of scores"))
            if count
        ]
        told = f" with {' and '.join(counts)}" if counts else ""
        unsaid = f" ({found.unsaid})" if found.unsaid and "architecture" not in known else ""
        raise ModelError(
            f"{path}: found {found.what}{told}, which does not say everything that a card needs{unsaid}; "
            f"add {', '.join(missing)}"
        )


def _check_bands(path: Path, found: Found, bands: Sequence[str]) -> None:
    if found.in_channels is not None and len(bands) != found.in_channels:
        raise ModelError(
            f"{path}: found a network of {found.in_channels} band(s); expected {len(bands)}, as many as were named "
            f"({', '.join(bands)}); name them in the network's order with --bands"
        )


def _check_channels(path: Path, found: Found, card: ModelCard) -> None:
    expected = len(card.object_ids) if card.kind == "instance" else len(card.channel_ids)
    if found.channels is not None and card.kind != "panoptic" and found.channels != expected:
        names = ", ".join(c.name for c in card.classes.classes)
        raise ModelError(
            f"{path}: found a network of {found.channels} channel(s) of scores; expected {expected} for the classes "
            f"{names} with activation {card.activation!r}; name the classes in the network's order with --classes (a "
            "sigmoid model has no channel for the background)"
        )


def _activation(found: Found, facts: Hints) -> str:
    """Sigmoid for one channel less than classes (there is none for the background), else softmax."""
    if facts.kind not in (None, "semantic") or found.channels is None:
        return "softmax"
    classes = facts.classes
    names = [c.name for c in classes.classes] if isinstance(classes, ClassSet) else list(classes or ())
    return "sigmoid" if found.channels == 1 or found.channels == len(names) - 1 else "softmax"


def _classes(facts: Hints, activation: str) -> ClassSet:
    if isinstance(facts.classes, ClassSet):
        return facts.classes
    kind = facts.kind or "semantic"
    return class_set(facts.classes or (), kind=kind, background=activation == "sigmoid" or kind == "instance")


def _usual(path: Path, found: Found, facts: Hints) -> dict[str, Any]:
    """What is taken when nothing is said."""
    resolution = float(facts.resolution or 0)
    tile, divisor = facts.tile_size or _TILE, facts.divisor or _DIVISOR
    usual: dict[str, Any] = {
        "name": slug(path.stem),
        "version": "1.0.0",
        "description": f"Imported from {path.name}, {found.what}.",
        "architecture": CONTAINED,
        "resolution_range": (resolution / _SCALE, resolution * _SCALE),
        "dtype": _dtype(facts.value_range or (0, 255)),
        "tile_size": tile,
        "divisor": divisor if tile % divisor == 0 else 1,
    }
    return usual


def _dtype(value_range: Sequence[float]) -> str:
    """The dtype of scenes with such values: bytes for 0 to 255, whole numbers for wide ranges, else floats."""
    low, high = value_range
    if (low, high) == (0, 255):
        return "uint8"
    if high - low > 255:
        return "uint16" if low >= 0 else "int16"
    return "float32"


def hints_of(values: Mapping[str, Any], where: str) -> Hints:
    """Hints from JSON-able values such as those of a card.

    Raises ModelError for a fact that cards do not have, and for one of another type than theirs.
    """
    known = dict(values)
    known.pop("card_version", None)
    unknown = sorted(known.keys() - set(Hints.__slots__))
    if unknown:
        raise ModelError(f"{where}: found {', '.join(unknown)}; expected facts of a card: {', '.join(Hints.__slots__)}")
    try:
        return _hints().validate_python(known)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ModelError(
            f"{where}: found {'.'.join(map(str, fault['loc']))} {str(fault['input'])[:80]!r}; expected a card's fact: "
            f"{fault['msg']}"
        ) from error


@cache
def _hints() -> TypeAdapter[Hints]:
    return TypeAdapter(Hints)
