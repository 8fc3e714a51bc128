"""Networks that give scores of all classes, and what the QGIS plugin Deepness wants to know of them.

https://qgis-plugin-deepness.readthedocs.io/en/latest/creators/creators_add_metadata_to_model.html
"""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard

_THRESHOLD = 0.5  # of a sigmoid model without one


class Scored(nn.Module):
    """A network with its activation: (batch, band, y, x) to scores (batch, class, y, x), one channel for each class.

    A sigmoid model's background gets what its best foreground class leaves.
    """

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        """Take a network that gives the card's channels."""
        super().__init__()
        self.network, self._activation = network, card.activation
        ids = [info.id for info in card.classes.classes]
        self._ground = ids.index(card.classes.background) if card.classes.background is not None else 0

    def forward(self, chips: Tensor) -> Tensor:
        """Scores from 0 to 1."""
        logits: Tensor = self.network(chips)
        if self._activation == "softmax":
            return logits.softmax(1)
        if self._activation == "none":
            return logits
        scores = logits.sigmoid()
        rest = 1 - scores.amax(1, keepdim=True)
        return torch.cat([scores[:, : self._ground], rest, scores[:, self._ground :]], 1)


def scored_card(card: ModelCard) -> ModelCard:
    """The card of the same network within `Scored`: it decides alike, though its channels are scores of all classes."""
    threshold = card.threshold
    if threshold is None and card.activation == "sigmoid":
        threshold = _THRESHOLD
    return card.model_copy(update={"activation": "none", "threshold": threshold})


def deepness_metadata(card: ModelCard) -> dict[str, str]:
    """The entries of an ONNX file's metadata by which Deepness runs a model that gives scores, each as JSON text.

    It maps bytes to 0..1 before it standardises them; resolution is in centimetres per pixel, the overlap in percent.
    """
    low, high = card.value_range
    span = (high - low) / 255
    values = {
        "model_type": "Segmentor",
        "class_names": {str(i): info.name for i, info in enumerate(card.classes.classes)},
        "resolution": card.resolution * 100,
        "tile_size": card.tile_size,
        "tiles_size": card.tile_size,
        "tiles_overlap": round(100 * card.overlap / card.tile_size),
        "standardization_mean": [low / 255 + mean * span for mean in card.mean],
        "standardization_std": [std * span for std in card.std],
        "seg_thresh": card.threshold or 0.0,
        "seg_small_segment": 0,
    }
    return {name: json.dumps(value) for name, value in values.items()}
