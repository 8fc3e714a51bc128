"""Models whose answer is known to the pixel, at almost no cost."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any, Literal

import torch

from geoseg.core.card import ModelCard
from geoseg.core.classes import ClassInfo, ClassSet
from geoseg.models import create_model, save_bundle

Kind = Literal["one-hot", "threshold"]
LIMIT = 128  # the raw value from which a "threshold" model says class 1


def toy_classes(count: int) -> ClassSet:
    """Classes `background`, `class-1`, ..., each with a colour of its own."""
    colours = [(0.0, 0.0, 0.0), *(colorsys.hsv_to_rgb(i / max(count, 1), 0.8, 0.9) for i in range(1, count))]
    return ClassSet(
        classes=tuple(
            ClassInfo(
                id=i,
                name=f"class-{i}" if i else "background",
                colour="#{:02x}{:02x}{:02x}".format(*(round(255 * v) for v in colour)),
                kind="thing" if i else "stuff",
            )
            for i, colour in enumerate(colours)
        )
    )


def toy_card(*, kind: Kind = "one-hot", classes: int = 2, **changes: Any) -> ModelCard:
    """The card of a toy model: raw values reach the network unchanged, nearly any resolution is accepted."""
    bands = changes.pop("bands", ("red", "green", "blue"))
    values: dict[str, Any] = {
        "name": f"toy-{kind}",
        "version": "1.0.0",
        "task": "toy",
        "description": "For tests: the class follows from the first band's value.",
        "architecture": "pixel-linear",
        "arguments": {"shape": "tent" if kind == "one-hot" else "step"},
        "bands": bands,
        "resolution": 1.0,
        "resolution_range": (0.001, 10000.0),
        "mean": (0.0,) * len(bands),
        "std": (1 / 255,) * len(bands),
        "classes": toy_classes(classes),
        "activation": "none",
        "tile_size": 64,
        "overlap": 16,
        "divisor": 1,
        "license": "CC0-1.0",
    }
    return ModelCard(**{**values, **changes})


def write_toy_bundle(path: str | Path, *, kind: Kind = "one-hot", classes: int = 2, **changes: Any) -> Path:
    """Write a toy model to `path` and return it; `changes` go to its card (bands, resolution, tile_size, overlap, ...).

    "one-hot": class k has score 1.0, and every other 0.0, where the raw value of the first band is k.
    "threshold": two classes; class 1 has score 1.0 where the raw value of the first band is at least LIMIT.
    """
    card = toy_card(kind=kind, classes=classes, **changes)
    module = create_model(card.architecture, in_channels=len(card.bands), classes=classes, **card.arguments)
    slope, start = ([1.0] * classes, [-float(k) for k in range(classes)])
    if kind == "threshold":
        slope, start = [-1.0, 1.0], [float(LIMIT), 1.0 - LIMIT]
    weight = torch.zeros(classes, len(card.bands), 1, 1)
    weight[:, 0, 0, 0] = torch.tensor(slope)
    module.load_state_dict({"head.weight": weight, "head.bias": torch.tensor(start)})
    save_bundle(path, module, card)
    return Path(path)
