"""What is known of a foreign model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from geoseg.core.card import Metric, ModelCard
from geoseg.core.classes import ClassSet


@dataclass(frozen=True, slots=True)
class Hints:
    """Facts of a model's card; None where nothing is said. The names are those of the card.

    `classes` may be names in the order of the channels: a class called "background" is what no object is made of.
    """

    name: str | None = None
    version: str | None = None
    task: str | None = None
    kind: str | None = None
    description: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, Any] | None = None
    bands: tuple[str, ...] | None = None
    resolution: float | None = None
    resolution_range: tuple[float, float] | None = None
    dtype: str | None = None
    value_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: ClassSet | tuple[str, ...] | None = None
    activation: str | None = None
    threshold: float | None = None
    tile_size: int | None = None
    overlap: int | None = None
    divisor: int | None = None
    license: str | None = None
    attribution: str | None = None
    training_data: tuple[str, ...] | None = None
    metrics: tuple[Metric, ...] | None = None
    limits: str | None = None
    source: str | None = None

    def over(self, other: Hints) -> Hints:
        """These facts, and those of `other` where these say nothing."""
        return replace(other, **self.known())

    def known(self) -> dict[str, Any]:
        """The facts that are said, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was read of a foreign model: `what` it is, the `facts` it says, and either weights or a way to write it.

    `weights` are for the network of `facts.architecture`; `attach` writes a file that is run as it is, with a card
    inside. `in_channels` and `channels` count bands and outputs where that is known. `unsaid` says why the architecture
    is not known.
    """

    what: str
    facts: Hints
    weights: Mapping[str, Tensor] | None = None
    attach: Callable[[ModelCard, Path], None] | None = None
    in_channels: int | None = None
    channels: int | None = None
    unsaid: str = ""
