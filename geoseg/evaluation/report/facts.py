"""JSON-able facts as lines of a table: every value under its path of keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.evaluation.report.words import NOTHING, count, label

LISTED = 20  # entries of a list that are written out
LONGEST = 600  # characters of one value
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: what, how deep it stands under other lines, and its value ("" for a heading of deeper ones)."""

    name: str
    depth: int
    text: str


def facts(values: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The lines of a mapping, in its order; long lists and long texts are cut, and say so."""
    return tuple(_lines(values, 0))


def card_facts(card: ModelCard) -> tuple[Fact, ...]:
    """What a card says, in the order in which a reader asks."""
    low, high = card.resolution_range
    said: dict[str, Any] = {
        "model": f"{card.name} {card.version}",
        "task": card.task,
        "what it is": card.description,
        "limits": card.limits,
        "licence": card.license,
        "credit": card.attribution,
        "training data": list(card.training_data),
        "classes": [c.name for c in card.classes.classes],
        "bands": list(card.bands),
        "resolution": f"{card.resolution:g} m (takes {low:g} to {high:g} m)",
        "network": f"{card.architecture}, {card.kind}",
        "threshold": "best score" if card.threshold is None else card.threshold,
        "source": card.source,
        "figures in the card": {f"{m.name} on {m.data}": m.value for m in card.metrics},
    }
    return facts({name: value for name, value in said.items() if value not in ("", [], {})})


def _lines(values: Mapping[str, Any], depth: int) -> Iterator[Fact]:
    for key, value in values.items():
        name = label(str(key))
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield Fact(name, depth, "")
            yield from _lines(value, depth + 1)
        elif _tabular(value) and depth < _DEEPEST:
            yield Fact(name, depth, "")
            yield from _lines({str(i): entry for i, entry in enumerate(value[:LISTED], 1)}, depth + 1)
            if len(value) > LISTED:
                yield Fact("…", depth + 1, f"and {len(value) - LISTED} more")
        else:
            yield Fact(name, depth, _text(value))


def _tabular(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value)


def _text(value: Any) -> str:
    """A value for people."""
    if value is None or value == {} or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(entry) for entry in value[:LISTED])
        return (f"{shown} and {len(value) - LISTED} more" if len(value) > LISTED else shown) or NOTHING
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text)} characters)"
