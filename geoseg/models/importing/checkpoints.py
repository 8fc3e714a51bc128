"""State dicts of torch, in its own files and in safetensors: the architecture is named, or told by the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from geoseg.models.bundle import checked_sum, read_weights
from geoseg.models.header import read_header
from geoseg.models.importing import tensors
from geoseg.models.importing.cards import hints_of
from geoseg.models.importing.detection import Form
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.importing.recognition import Recognised, counted, recognise
from geoseg.models.registry import architectures


def read_checkpoint(path: Path, hints: Hints) -> Found:
    """What a torch checkpoint holds. Raises ModelError."""
    return found_in(tensors.unwrapped(path, tensors.read_checkpoint(path)), Form.CHECKPOINT, hints)


def read_safetensors(path: Path, hints: Hints) -> Found:
    """What a safetensors file without a card holds. Raises ModelError."""
    return found_in(tensors.unwrapped(path, read_weights(path)), Form.SAFETENSORS, hints)


def read_bundle(path: Path, hints: Hints) -> Found:
    """What a bundle of geoseg holds: its weights and all of its card. Raises ModelError."""
    header = read_header(path)
    checked_sum(header)
    return Found(Form.BUNDLE, hints_of(header.card.model_dump(), str(path)), weights=read_weights(path))


def found_in(weights: Mapping[str, Tensor], what: str, hints: Hints) -> Found:
    """The weights with what they tell: architecture, bands, channels. An architecture that is named is taken."""
    infos = tensors.infos(weights)
    if hints.architecture is not None:
        shapes = {name: info.shape for name, info in infos.items()}
        known = architectures().get(hints.architecture)
        kind = known.kind if known else "semantic"
        told = counted(Recognised(hints.architecture, dict(hints.arguments or {}), kind=kind), shapes)
    else:
        told = recognise(infos, hints.arguments)
    if told is None:
        listed = ", ".join(list(infos)[:3])
        unsaid = f"its {len(infos)} tensors, {listed}, ..., are those of no network that geoseg knows by their names"
        return Found(what, Hints(), weights=weights, unsaid=unsaid)
    facts = Hints(architecture=told.architecture, arguments=told.arguments, kind=told.kind)
    return Found(what, facts, weights=weights, in_channels=told.in_channels, channels=told.channels)
