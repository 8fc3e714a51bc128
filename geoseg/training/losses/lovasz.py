"""The Lovász extension of the Jaccard index. Berman et al. 2018, arXiv:1705.08790."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.training.losses.reading import Reading
from geoseg.training.losses.regions import mean_of_present
from geoseg.training.options import LossTerm


def lovasz(reading: Reading, term: LossTerm) -> Tensor:
    """The Lovász loss, the mean over the classes that occur in the batch, the background left out.

    Lovász-Softmax where channels exclude each other, the Lovász hinge of each channel where they do not. The sums run
    over the whole batch. 0 when no class occurs (the hinge counts absent classes as well).
    """
    counted = list(reading.counted)
    truth = reading.one_hot()[counted]
    if reading.exclusive:
        errors = (truth - reading.probabilities()[counted]).abs()
        sizes = truth.sum(1)
    else:
        errors = (1 - reading.logits[counted] * (2 * truth - 1)).relu()
        sizes = torch.ones(len(counted), device=truth.device)
    if reading.known is not None:
        errors = errors * reading.known  # pixels without an error come last, and add nothing
    losses = torch.stack([_extension(e, t) for e, t in zip(errors, truth, strict=True)])
    return mean_of_present(losses, sizes, reading.class_weights, counted)


def _extension(errors: Tensor, truth: Tensor) -> Tensor:
    """The Lovász extension of the Jaccard loss at the errors (pixel,) of one class whose truth is (pixel,) 0 or 1."""
    ordered, order = errors.sort(descending=True)
    hits = truth[order]
    size = hits.sum()
    jaccard = 1 - (size - hits.cumsum(0)) / (size + (1 - hits).cumsum(0))
    slopes = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return torch.dot(ordered, slopes)
