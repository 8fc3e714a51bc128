"""The card of a model before it is trained: from the recipe, the model it starts from, and what the scenes hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA, ClassInfo, ClassSet
from geoseg.errors import BandError, ModelError, ResolutionError, SpecError
from geoseg.io.scene import Scene
from geoseg.models import architectures, create_model
from geoseg.models.network import without_memory
from geoseg.models.pretrained import card_facts
from geoseg.models.registry import Architecture
from geoseg.training.data.ground import OWN_RANGE
from geoseg.training.options import SeparatorOptions, Training

BYTES = (0.0, 255.0)
IMAGENET = "imagenet"
NONE = "none"  # of encoder weights: start from random ones
ARCHITECTURE = "unet"  # where neither a base nor a name is given
OVERVIEW = 1024  # pixels a side, from which the scenes' values are measured
SAMPLED = 1_000_000  # pixels of all scenes together that percentiles are taken of
TOP = 99.8  # percentile of the values that becomes the top of the value range, where no dtype says it
SEPARATOR = "#ffd400"


@dataclass(frozen=True, slots=True)
class Values:
    """What the values of scenes are, for a card: one entry of `mean` and `std` a band, on 0..1 of `value_range`."""

    value_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def with_separator(classes: ClassSet, asked: SeparatorOptions) -> ClassSet:
    """The classes with one more, that tells objects apart, if it is asked for. Raises SpecError without things."""
    plain = classes.without_separator()
    if asked.kind == "none":
        return plain
    if not any(c.kind == "thing" for c in plain.foreground):
        raise SpecError(
            f"separator {asked.kind!r}: found no class of the kind thing among "
            f"{', '.join(c.name for c in plain.classes)}; expected objects to separate: leave the separator out"
        )
    number = max(c.id for c in plain.classes) + 1
    if number >= NODATA:
        raise SpecError(f"separator: found the class id {number - 1}; expected ids below {NODATA - 1} beside it")
    info = ClassInfo(id=number, name=_free_name(asked.kind, plain), colour=SEPARATOR)
    return ClassSet(
        classes=(*plain.classes, info),
        background=plain.background,
        separator=number,
        separated={"kind": asked.kind, "width_m": asked.width_m},
        ignore_index=plain.ignore_index,
    )


def separator_of(card: ModelCard) -> SeparatorOptions:
    """How the separator of a card's classes is drawn."""
    told = card.classes.separated
    if card.classes.separator is None:
        return SeparatorOptions()
    return SeparatorOptions(kind="boundary") if told is None else SeparatorOptions(**told.model_dump())


def _free_name(kind: str, classes: ClassSet) -> str:
    names = {c.name for c in classes.classes}
    name = {"boundary": "boundary", "contact": "contact"}.get(kind, "edge")
    while name in names:
        name += "-"
    return name


def draft(
    options: Training, base: ModelCard | None, classes: ClassSet, scenes: Sequence[Scene], name: str
) -> ModelCard:
    """The card of the model that will be trained; `classes` are those of the labels, `name` is the last resort's.

    Raises BandError, ResolutionError, SpecError or UnknownNameError for what does not fit, naming the recipe's key.
    """
    wanted = options.model
    architecture = wanted.architecture or (base.architecture if base else ARCHITECTURE)
    known = architectures()
    kind = known[architecture].kind if architecture in known else "semantic"
    asked = wanted.separator or (separator_of(base) if base else SeparatorOptions())
    if kind != "semantic" and wanted.separator is not None and asked.kind != "none":
        raise SpecError(
            f"separator {asked.kind!r}: found the {kind} architecture {architecture}, which tells objects apart "
            "itself; leave the separator out"
        )
    if kind != "semantic":
        asked = SeparatorOptions()
    values: dict[str, Any] = {
        "kind": kind,
        "architecture": architecture,
        "arguments": _arguments(options, base, architecture),
        "classes": with_separator(classes, asked),
        "bands": bands_for(options, base, scenes),
        **_about(options, base, name),
        **_sizes(options, base),
    }
    values |= _resolution(options, base, scenes)
    values |= _values(options, base, values["bands"], scenes)
    if kind == "semantic":
        values["activation"] = base.activation if base and base.kind == kind else "softmax"
    try:
        return ModelCard(**values)
    except ValueError as error:
        raise SpecError(f"the recipe does not make a model: {_first(error)}") from error


def bands_for(options: Training, base: ModelCard | None, scenes: Sequence[Scene]) -> tuple[str, ...]:
    """The bands that the model will eat: the recipe's, the base's, or those that the first scene names."""
    if options.model.bands:
        return options.model.bands
    if base is not None:
        return base.bands
    named = scenes[0].bands
    if not all(named) or len(set(named)) < len(named):
        raise BandError(
            f"{scenes[0].name}: found the bands {', '.join(str(n or '?') for n in named)}; expected a name for each: "
            "say which ones the model eats (--band-names, or model.bands in the recipe)"
        )
    return tuple(str(name) for name in named)


def _arguments(options: Training, base: ModelCard | None, architecture: str) -> dict[str, Any]:
    kept = base.arguments if base is not None and base.architecture == architecture else {}
    own = dict(options.model.arguments)
    if options.model.encoder:
        own["encoder"] = options.model.encoder
    return {**kept, **own}


def _about(options: Training, base: ModelCard | None, name: str) -> dict[str, Any]:
    told, origin = options.about, f" Trained further from {base.name} {base.version}." if base else ""
    return {
        "name": told.name or re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "model",
        "version": told.version,
        "task": told.task or (base.task if base else "any"),
        "description": told.description or ((base.description if base else "A model of its user's own.") + origin),
        "license": told.license or (base.license if base else "LicenseRef-unknown"),
        "attribution": told.attribution or (base.attribution if base else ""),
        "limits": told.limits or (base.limits if base else "Nothing is known beyond the figures of its validation."),
    }


def _sizes(options: Training, base: ModelCard | None) -> dict[str, Any]:
    asked = {"tile_size": options.model.tile_size, "overlap": options.model.overlap}
    kept = {key: getattr(base, key) for key in ("tile_size", "overlap", "divisor")} if base else {}
    return kept | {key: value for key, value in asked.items() if value is not None}


def _resolution(options: Training, base: ModelCard | None, scenes: Sequence[Scene]) -> dict[str, Any]:
    for scene in scenes:
        if scene.resolution is None:
            raise ResolutionError(
                f"{scene.name}: its ground resolution is unknown (no CRS); expected metres per pixel; state it with "
                "--scene-resolution, or scene.resolution in the recipe"
            )
    found = [scene.resolution for scene in scenes if scene.resolution is not None]
    target = options.model.resolution or (base.resolution if base else float(np.median(found)))
    if options.model.resolution_range:
        low, high = options.model.resolution_range
    elif base and base.resolution_range[0] <= target <= base.resolution_range[1]:
        low, high = base.resolution_range
    else:
        near, far = options.data.resolutions or (OWN_RANGE[0] * target, OWN_RANGE[1] * target)
        low, high = min(near, *found), max(far, target)
    return {"resolution": target, "resolution_range": (low, high)}


def _values(options: Training, base: ModelCard | None, bands: Sequence[str], scenes: Sequence[Scene]) -> dict[str, Any]:
    """The card's dtype, value_range, mean and std: the recipe's, the base's or its encoder's, or measured."""
    wanted = options.model
    dtype = wanted.dtype or (base.dtype if base else str(scenes[0].dtype))
    if dtype not in ("uint8", "uint16", "int16", "float32"):
        raise SpecError(f"{scenes[0].name}: found values of dtype {dtype}; expected uint8, uint16, int16 or float32")
    given = {key: getattr(wanted, key) for key in ("value_range", "mean", "std") if getattr(wanted, key) is not None}
    if base is not None and tuple(bands) == base.bands:
        return {"dtype": dtype, "value_range": base.value_range, "mean": base.mean, "std": base.std, **given}
    if base is not None:
        raise ModelError(
            f"model {base.name} eats {', '.join(base.bands)}, the recipe asks for {', '.join(bands)}; expected the "
            "same bands: start from an architecture instead (model.architecture and model.encoder_weights)"
        )
    if dtype == "uint8":
        given = {"value_range": BYTES} | given
    if len(given) < 3:
        given = (_encoders(options, bands, dtype) or _measured(scenes, bands, given.get("value_range"))) | given
    return {"dtype": dtype, **given}


def _encoders(options: Training, bands: Sequence[str], dtype: str) -> dict[str, Any]:
    """The value_range, mean and std of what the encoder's weights learned from; nothing where they eat other values."""
    architecture = architectures().get(options.model.architecture or ARCHITECTURE)
    reference = options.model.encoder_weights or (IMAGENET if architecture and architecture.takes_encoder else NONE)
    if reference == NONE or architecture is None:
        return {}
    facts = card_facts(reference, bands, _skeleton(architecture, options, bands) if Path(reference).is_file() else None)
    return {key: facts[key] for key in ("value_range", "mean", "std")} if facts["dtype"] == dtype else {}


def _skeleton(architecture: Architecture, options: Training, bands: Sequence[str]) -> nn.Module:
    """The network that a file of weights is for, without memory: such a file may be understood by that alone."""
    things = 1 if architecture.kind == "panoptic" else 0
    arguments = _arguments(options, None, architecture.name)
    with without_memory():
        return create_model(architecture.name, in_channels=len(bands), classes=2, things=things, **arguments)


def _measured(scenes: Sequence[Scene], bands: Sequence[str], value_range: tuple[float, float] | None) -> dict[str, Any]:
    values = survey(scenes, bands, value_range)
    return {"value_range": values.value_range, "mean": values.mean, "std": values.std}


def survey(scenes: Sequence[Scene], bands: Sequence[str], value_range: tuple[float, float] | None = None) -> Values:
    """What the scenes' values are, measured on overviews: 0 to the dtype's top for bytes, else to a percentile."""
    count, total, squares = 0, np.zeros(len(bands)), np.zeros(len(bands))
    samples = []
    for scene in scenes:
        pixels = _overview(scene, bands)
        count += pixels.shape[1]
        total += pixels.sum(axis=1)
        squares += np.square(pixels).sum(axis=1)
        samples.append(pixels[:, :: max(1, pixels.shape[1] * len(scenes) // SAMPLED)])
    if not count:
        raise SpecError(f"{scenes[0].name}: found no valid pixel in its overview; expected imagery; check --nodata")
    low, high = value_range or _range(np.concatenate(samples, axis=1), scenes[0].dtype)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0)) / (high - low)
    scaled = (mean - low) / (high - low)
    return Values((low, high), tuple(np.round(scaled, 4).tolist()), tuple(np.round(np.maximum(std, 1e-3), 4).tolist()))


def _overview(scene: Scene, bands: Sequence[str]) -> NDArray[np.float64]:
    """Valid pixels (band, pixel) of a scene's overview."""
    rows = scene.overview(scene.bidx_for(bands), OVERVIEW)
    flat = rows.pixels.reshape(len(rows.pixels), -1).astype(np.float64)
    kept = np.isfinite(flat).all(axis=0)
    return flat[:, kept if rows.valid is None else kept & rows.valid.reshape(-1)]


def _range(pixels: NDArray[np.float64], dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype == np.uint8:
        return BYTES
    low = min(0.0, float(np.percentile(pixels, 100 - TOP)))
    return low, max(float(np.percentile(pixels, TOP)), low + 1e-6)


def _first(error: ValueError) -> str:
    return str(error).splitlines()[-1] if "\n" not in str(error) else " ".join(str(error).split())
