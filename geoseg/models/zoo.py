"""What there is to run and to build, without importing torch: models by their cards, architectures by their figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from geoseg.core.card import ModelCard
from geoseg.models import clouds
from geoseg.models.packaged import packaged

PATH = Path(__file__).parent / "zoo.json"


@dataclass(frozen=True, slots=True)
class Available:
    """A model that can be run: the name or reference it goes by, where it is from, and its card.

    "packaged" ones come with geoseg, those of an "extra" with a package that has to be installed, "pulled" ones lie in
    the cache.
    """

    reference: str
    origin: Literal["packaged", "extra", "pulled"]
    card: ModelCard

    def describe(self) -> dict[str, Any]:
        """The same as JSON-able values: reference and origin, then the fields of the card."""
        return {"reference": self.reference, "origin": self.origin, **self.card.model_dump(mode="json")}


def available() -> list[Available]:
    """Every model that can be run by name here."""
    from geoseg.models.hub import cached

    return [
        *(Available(card.name, "packaged", card) for card in packaged()),
        *(Available(name, "extra", clouds.card(name)) for name in clouds.NAMES),
        *(Available(reference, "pulled", card) for reference, card, _ in cached()),
    ]


def zoo() -> dict[str, Any]:
    """The contents of zoo.json, which `python -m geoseg.models.profile` writes.

    `architectures` lists name, kind, description, paper, default encoder, licence, extra, parameters and flops of each
    (`multiply_adds` are half of them) for chips as under `chip`; `published` sets figures of papers beside ours.
    """
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content
