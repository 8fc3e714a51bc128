"""Losses of whole regions: Dice and Tversky."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.training.losses.reading import Reading
from geoseg.training.options import LossTerm

_LEAST = 1e-7


def dice(reading: Reading, term: LossTerm) -> Tensor:
    """One minus soft Dice, the mean over the classes that occur in the batch, the background left out.

    After Milletari et al. 2016, arXiv:1606.04797, with the sums over the whole batch. 0 when no class occurs.
    """
    return _tversky(reading, term, 0.5, 0.5)


def tversky(reading: Reading, term: LossTerm) -> Tensor:
    """One minus the Tversky index, the mean over the classes that occur in the batch, the background left out.

    After Salehi et al. 2017, arXiv:1706.05721: `alpha` weighs false positives, `beta` false negatives; with 0.5 each
    it is Dice. 0 when no class occurs.
    """
    return _tversky(reading, term, term.alpha, term.beta)


def _tversky(reading: Reading, term: LossTerm, alpha: float, beta: float) -> Tensor:
    counted = list(reading.counted)
    scores, truth = reading.probabilities()[counted], reading.one_hot()[counted]
    weights = reading.weights(term.edge, term.edge_m)
    shown = truth if weights is None else truth * weights
    taken = scores if weights is None else scores * weights
    hit, size = (taken * truth).sum(1), shown.sum(1)
    wrong = alpha * (taken.sum(1) - hit) + beta * (size - hit)
    return mean_of_present(1 - hit / (hit + wrong).clamp_min(_LEAST), size, reading.class_weights, counted)


def mean_of_present(losses: Tensor, sizes: Tensor, weights: Tensor | None, counted: list[int]) -> Tensor:
    """The mean of the losses (class,) of classes with a size above 0, weighted by class; 0 when there is none."""
    shares = (sizes > 0).float()
    if weights is not None:
        shares = shares * weights[counted]
    return torch.where(shares > 0, losses * shares, 0.0).sum() / shares.sum().clamp_min(_LEAST)
