"""Parameters and operations of every architecture, counted; `python -m geoseg.models.profile` writes zoo.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from geoseg.models.network import without_memory
from geoseg.models.published import PUBLISHED, Channels, Published
from geoseg.models.registry import KINDS, Architecture, architectures, create_model
from geoseg.models.zoo import PATH

BANDS, SIDE, CLASSES = 3, 512, 2


Size = tuple[int, int]
Options = Mapping[str, Any]


def count_parameters(name: str, channels: Channels, options: Options | None = None) -> int:
    """The number of weights of an architecture for three bands. Raises as `create_model` does."""
    with without_memory():
        return sum(weight.numel() for weight in _network(name, channels, options).parameters())


def count_multiply_adds(name: str, channels: Channels, size: Size, options: Options | None = None) -> int:
    """The multiply-adds that one chip of three bands and `size` (y, x) takes. Raises as `create_model` does.

    Those of convolutions, matrix products and attention are counted, as papers do. Networks that find objects run for
    real, with random weights on an empty chip: what some of them compute depends on what they find. The others run
    without memory.
    """
    if architectures()[name].kind == "semantic":
        with without_memory():
            return _counted(_network(name, channels, options), size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _counted(_network(name, channels, options), size)


def _network(name: str, channels: Channels, options: Options | None) -> nn.Module:
    return create_model(
        name, in_channels=BANDS, classes=channels.classes, things=channels.things, **(options or {})
    ).eval()


def _counted(network: nn.Module, size: Size) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, BANDS, *size))
    return int(counter.get_total_flops()) // 2


def ordered_names() -> list[str]:
    """Names of all architectures: semantic ones, instance ones, panoptic ones, each by the alphabet."""
    return sorted(architectures(), key=lambda name: (KINDS.index(architectures()[name].kind), name))


def described(found: Architecture) -> dict[str, Any]:
    """What zoo.json says of an architecture as it is by default."""
    channels = Channels(CLASSES, CLASSES if found.kind == "panoptic" else 0)
    multiply_adds = count_multiply_adds(found.name, channels, (SIDE, SIDE))
    return {
        "name": found.name,
        "kind": found.kind,
        "description": found.description,
        "paper": found.paper,
        "encoder": found.encoder,
        "licence": found.licence,
        "extra": found.extra,
        "parameters": count_parameters(found.name, channels),
        "multiply_adds": multiply_adds,
        "flops": 2 * multiply_adds,
    }


def compared(one: Published) -> dict[str, Any]:
    """What zoo.json says of a network of a paper: its figures, then ours, both as plain counts."""
    stated, counted = one.stated, None
    if stated.multiply_adds is not None:
        counted = count_multiply_adds(one.architecture, one.channels, stated.size, one.arguments)
    return {
        "name": one.name,
        "architecture": one.architecture,
        "arguments": dict(one.arguments),
        "classes": one.channels.classes,
        "things": one.channels.things,
        "size": list(stated.size),
        "source": stated.source,
        "note": stated.note,
        "stated_parameters": round(stated.parameters * 1e6),
        "parameters": count_parameters(one.architecture, one.channels, one.arguments),
        "stated_multiply_adds": None if stated.multiply_adds is None else round(stated.multiply_adds * 1e9),
        "multiply_adds": counted,
    }


def write_zoo() -> None:
    """Count everything anew and write zoo.json: some minutes. All extras have to be installed."""
    content = {
        "chip": {"bands": BANDS, "size": [SIDE, SIDE], "classes": CLASSES},
        "architectures": [described(architectures()[name]) for name in ordered_names()],
        "published": [compared(one) for one in PUBLISHED],
    }
    PATH.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_zoo()
