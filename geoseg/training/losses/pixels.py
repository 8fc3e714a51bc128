"""Losses of single pixels: cross-entropy and focal, with online hard examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.training.losses.reading import UNKNOWN, Reading
from geoseg.training.options import LossTerm

_LEAST = 1e-7


def cross_entropy(reading: Reading, term: LossTerm) -> Tensor:
    """The mean cross-entropy of the pixels, as torch has it; of a sigmoid model's channels the binary one's mean.

    Class weights count as in torch.nn.functional: softmax means are divided by the weights of the true classes; in
    sigmoid models they weigh the pixels that show the class.
    """
    losses, weights = _entropies(reading)
    return _mean(reading, losses, weights, term)


def focal(reading: Reading, term: LossTerm) -> Tensor:
    """The mean focal loss of the pixels: cross-entropy times (1 - score of the truth) ** gamma.

    After Lin et al. 2017, arXiv:1708.02002, without the paper's alpha: class weights stand in for it.
    """
    losses, weights = _entropies(reading)
    if reading.exclusive:
        place = reading.target.clamp_max(len(reading.logits) - 1)  # unknown pixels' losses are 0
        truth = reading.probabilities().gather(0, place[None])[0]
        losses = losses * (1 - truth).clamp(0, 1) ** term.gamma
    else:
        scores, hits = reading.probabilities(), reading.one_hot()
        missed = (scores + hits - 2 * scores * hits).clamp(0, 1)
        losses = (_binary(reading) * missed**term.gamma).mean(0)
    return _mean(reading, losses, weights, term)


def _entropies(reading: Reading) -> tuple[Tensor, Tensor | None]:
    """The loss of each pixel (pixel,), and what each counts in the mean's denominator, None where all count alike."""
    if not reading.exclusive:
        return _binary(reading).mean(0), None
    losses = functional.cross_entropy(
        reading.logits[None],  # channels before pixels: several times as fast as rows of a few channels
        reading.target[None],
        weight=reading.class_weights,
        ignore_index=UNKNOWN,
        reduction="none",
        label_smoothing=reading.smoothing,
    )[0]
    weights = reading.class_weights
    return losses, None if weights is None else weights[reading.target.clamp_max(len(weights) - 1)]


def _binary(reading: Reading) -> Tensor:
    """The binary cross-entropy of each channel and pixel (channel, pixel)."""
    truth = reading.one_hot() * (1 - reading.smoothing) + reading.smoothing / 2
    weights = None if reading.class_weights is None else reading.class_weights[:, None]
    return functional.binary_cross_entropy_with_logits(reading.logits, truth, pos_weight=weights, reduction="none")


def _mean(reading: Reading, losses: Tensor, shares: Tensor | None, term: LossTerm) -> Tensor:
    """The mean of the pixels' losses, weighted; with `hardest` below 1 of that share of pixels, those that lose most.

    `shares` (pixel,) are the weights that the losses hold already. Online hard examples after Shrivastava et al. 2016,
    arXiv:1604.03540.
    """
    weights = reading.weights(term.edge, term.edge_m)
    count = len(losses) if reading.known is None else int(reading.known.sum())
    if weights is not None:
        losses = losses * weights
        shares = weights if shares is None else shares * weights
    elif shares is None:
        shares = torch.ones_like(losses)
    if term.hardest < 1:
        kept = losses.detach().topk(max(1, round(term.hardest * count)), sorted=False).indices
        losses, shares = losses[kept], shares[kept]
    return losses.sum() / shares.sum().clamp_min(_LEAST)
