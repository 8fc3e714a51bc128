"""Weights in a file of the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.header import read_card
from geoseg.models.importing.tensors import is_safetensors, read_tensors
from geoseg.models.pretrained.encoder import Encoder
from geoseg.models.pretrained.matching import partners
from geoseg.models.pretrained.published import timm_config, usual
from geoseg.models.pretrained.source import RGB, EncoderSource, Pretrained


def of_file(path: Path, encoder: Encoder | None) -> Pretrained:
    """The weights in a file. A bundle of geoseg's says what it eats; any other file is asked for its first convolution.

    Three bands of such a file are red, green and blue, normalised as the encoder's published weights want it; other
    bands stay without a name. Raises ModelError.
    """
    tensors, ordered = read_tensors(path), not is_safetensors(path)  # safetensors sorts by name
    card = _card(path)
    if card is not None:
        return Pretrained(_of_card(path, card), lambda: tensors, ordered)
    if encoder is None:
        raise ModelError(
            f"{path}: found weights without a card; expected the network that they are for: only it tells which of "
            f"{len(tensors)} tensors eats the bands"
        )
    first = tensors[partners(encoder, tensors, str(path), ordered)[encoder.first]]
    return Pretrained(_guessed(path, first.shape[1], encoder), lambda: tensors, ordered)


def _card(path: Path) -> ModelCard | None:
    if not is_safetensors(path):
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


def _guessed(path: Path, bands: int, encoder: Encoder) -> EncoderSource:
    known = replace(usual(), reference=str(path))
    if bands != len(RGB):
        return replace(known, bands=(None,) * bands, mean=(0.0,) * bands, std=(1.0,) * bands)
    config = timm_config(encoder.module) or {}
    mean, std = (tuple(config.get(what) or getattr(known, what)) for what in ("mean", "std"))
    return replace(known, mean=mean, std=std)
