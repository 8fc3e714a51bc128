"""Validation: the average of the weights is compared with labels that training never saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.core.classes import NODATA
from geoseg.evaluation.pixels import confusion, iou
from geoseg.training.batch import Batch
from geoseg.training.fitting.answers import shown_by, without_separator
from geoseg.training.fitting.objective import inputs_of
from geoseg.training.fitting.pictures import Gallery, Window, rgb_of


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """How validation runs: the card, the device, the context of a forward pass, and what collects pictures, if any."""

    card: ModelCard
    device: torch.device
    context: Callable[[], AbstractContextManager[Any]]
    gallery: Gallery | None


def validate(network: nn.Module, batches: Iterable[Batch], check: Check) -> dict[str, float]:
    """The figures of a network in eval mode: "iou", the mean over the foreground, and "iou.NAME" of each class.

    The separator's pixels count as those of the thing that scores best there. Classes that neither labels nor network
    show are left out; empty where nothing of the foreground is known.
    """
    ids = [c.id for c in check.card.classes.classes if c.id != check.card.classes.separator]
    counts = np.zeros((len(ids), len(ids)), np.int64)
    for batch in batches:
        with torch.inference_mode(), check.context():
            found = _found(network, batch.to(check.device), check.card)
        truth = torch.where(batch.valid, batch.classes, NODATA).to(torch.uint8).numpy()
        for index in range(len(batch)):
            part = confusion(truth[index], found[index], ids, check.card.classes.background)
            counts += part
            if check.gallery is not None:
                image = rgb_of(batch.images[index].numpy(), check.card)
                figures = _figures(part, ids, check.card)
                check.gallery.add(Window(image, truth[index], found[index], figures.get("iou", math.nan)))
    return _figures(counts, ids, check.card)


def _found(network: nn.Module, batch: Batch, card: ModelCard) -> NDArray[np.uint8]:
    """Class ids (window, y, x) uint8."""
    answer: Tensor = network(inputs_of(batch, card))
    size = batch.images.shape[2:]
    classes = without_separator(shown_by(answer, card, size).classes, answer, card)
    return np.asarray(classes.to("cpu", torch.uint8).numpy())


def _figures(counts: NDArray[np.int64], ids: list[int], card: ModelCard) -> dict[str, float]:
    ratios = iou(counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))
    named = {
        f"iou.{card.classes.by_id(i).name}": float(ratio)
        for i, ratio in zip(ids, ratios, strict=True)
        if i != card.classes.background and math.isfinite(ratio)
    }
    return {"iou": sum(named.values()) / len(named), **named} if named else {}
