"""Weights in a file of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.header import read_card
from geoseg.models.pretrained.encoder import Encoder
from geoseg.models.pretrained.published import timm_config, usual
from geoseg.models.pretrained.source import RGB, EncoderSource, Pretrained
from geoseg.models.pretrained.tensors import read_tensors


def of_file(path: Path, encoder: Encoder | None) -> Pretrained:
    """The weights in a file. A bundle of geoseg's says what it eats; any other file is taken at its first convolution.

    Three bands of such a file are red, green and blue, normalised as the encoder's published weights want it; other
    bands stay without a name. Raises ModelError.
    """
    tensors = read_tensors(path)
    card = _card(path)
    source = _of_card(path, card) if card else _guessed(path, tensors, encoder)
    return Pretrained(source, lambda: tensors)


def _card(path: Path) -> ModelCard | None:
    if path.suffix != ".safetensors":
        return None
    try:
        return read_card(path)
    except ModelError:  # tensors without a card; that they can be read is known already
        return None


def _of_card(path: Path, card: ModelCard) -> EncoderSource:
    return EncoderSource(
        reference=str(path),
        bands=card.bands,
        dtype=card.dtype,
        value_range=card.value_range,
        mean=card.mean,
        std=card.std,
        licence=card.license,
        attribution=card.attribution,
        source=card.source,
        limits=card.limits,
    )


def _guessed(path: Path, tensors: dict[str, Tensor], encoder: Encoder | None) -> EncoderSource:
    first = next((tensor for tensor in tensors.values() if tensor.ndim == 4), None)
    if first is None:
        raise ModelError(f"{path}: found no convolution among {len(tensors)} tensors; expected an encoder's weights")
    bands = first.shape[1]
    if bands != len(RGB):
        return replace(usual(), reference=str(path), bands=(None,) * bands, mean=(0.0,) * bands, std=(1.0,) * bands)
    config = (timm_config(encoder.module) if encoder else None) or {}
    known = usual()
    mean, std = (tuple(config.get(what) or getattr(known, what)) for what in ("mean", "std"))
    return replace(known, reference=str(path), mean=mean, std=std)
