"""State dicts of torch, in its own files and in safetensors: the architecture is named, or told by the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from geoseg.models.importing import tensors
from geoseg.models.importing.detection import Form
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.importing.recognition import channels_of, recognise


def read_checkpoint(path: Path, hints: Hints) -> Found:
    """What a torch checkpoint holds. Raises ModelError."""
    return found_in(tensors.read_checkpoint(path), Form.CHECKPOINT, hints)


def read_safetensors(path: Path, hints: Hints) -> Found:
    """What a safetensors file without a card holds. Raises ModelError."""
    return found_in(tensors.read_safetensors(path), Form.SAFETENSORS, hints)


def found_in(weights: Mapping[str, Tensor], what: str, hints: Hints) -> Found:
    """The weights with what they tell: architecture, bands, channels. An architecture that is named is taken."""
    infos = tensors.infos(weights)
    if hints.architecture is not None:
        return Found(what, Hints(), weights=weights)
    told = recognise(infos, hints.arguments)
    if told is None:
        counted = channels_of(infos) or (None, None)
        listed = ", ".join(list(infos)[:3])
        unsaid = f"its {len(infos)} tensors, {listed}, ..., are those of no network that geoseg knows by their names"
        return Found(what, Hints(), weights=weights, in_channels=counted[0], unsaid=unsaid)
    facts = Hints(architecture=told.architecture, arguments=told.arguments)
    return Found(what, facts, weights=weights, in_channels=told.in_channels, channels=told.channels)
