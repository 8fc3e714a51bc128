"""Losses of semantic networks: terms that are weighted and summed. Unknown pixels count in none of them."""

from __future__ import annotations

from geoseg.training.losses.combined import Loss, make_loss
from geoseg.training.losses.weights import class_weights

__all__ = ["Loss", "class_weights", "make_loss"]
