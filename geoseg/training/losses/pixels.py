"""Losses of single pixels: cross-entropy and focal, with online hard examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.training.losses.reading import Reading
from geoseg.training.options import LossTerm


def cross_entropy(reading: Reading, term: LossTerm) -> Tensor:
    """The mean cross-entropy of the pixels, as torch has it; of a sigmoid model's channels the binary one's mean.

    Class weights count as in torch.nn.functional: softmax means are divided by the weights of the true classes; in
    sigmoid models they weigh the pixels that show the class.
    """
    losses, weights = _entropies(reading)
    return _mean(losses, weights, reading.edge_weights(term.edge, term.edge_m), term.hardest)


def focal(reading: Reading, term: LossTerm) -> Tensor:
    """The mean focal loss of the pixels: cross-entropy times (1 - score of the truth) ** gamma.

    After Lin et al. 2017, arXiv:1708.02002, without the paper's alpha: class weights stand in for it.
    """
    losses, weights = _entropies(reading)
    if reading.exclusive:
        truth = reading.probabilities().gather(0, reading.target[None])[0]
        easy = (1 - truth).clamp(0, 1) ** term.gamma
        return _mean(losses * easy, weights, reading.edge_weights(term.edge, term.edge_m), term.hardest)
    truth = reading.probabilities()
    hits = one_hot(reading)
    easy = (truth + hits - 2 * truth * hits).clamp(0, 1) ** term.gamma
    binary = _binary(reading) * easy
    return _mean(binary.mean(0), weights, reading.edge_weights(term.edge, term.edge_m), term.hardest)


def one_hot(reading: Reading) -> Tensor:
    """The truth as scores (channel, pixel) float32; a sigmoid model's background is 0 in all channels."""
    channels = torch.arange(len(reading.logits), device=reading.target.device)
    return (reading.target[None] == channels[:, None]).float()


def _entropies(reading: Reading) -> tuple[Tensor, Tensor | None]:
    """The loss of each pixel (pixel,), and what each counts in the mean's denominator, None where all count alike."""
    if not reading.exclusive:
        return _binary(reading).mean(0), None
    losses = functional.cross_entropy(
        reading.logits[None],  # channels before pixels: several times as fast as rows of a few channels
        reading.target[None],
        weight=reading.class_weights,
        reduction="none",
        label_smoothing=reading.smoothing,
    )[0]
    weights = reading.class_weights
    return losses, None if weights is None else weights[reading.target]


def _binary(reading: Reading) -> Tensor:
    """The binary cross-entropy of each channel and pixel (channel, pixel)."""
    truth = one_hot(reading) * (1 - reading.smoothing) + reading.smoothing / 2
    weights = None if reading.class_weights is None else reading.class_weights[:, None]
    return functional.binary_cross_entropy_with_logits(reading.logits, truth, pos_weight=weights, reduction="none")


def _mean(losses: Tensor, weights: Tensor | None, edges: Tensor | None, hardest: float) -> Tensor:
    """The weighted mean of the pixels' losses; with `hardest` below 1 of that share of pixels, those that lose most.

    Online hard examples after Shrivastava et al. 2016, arXiv:1604.03540.
    """
    shares = torch.ones_like(losses) if weights is None else weights
    if edges is not None:
        losses, shares = losses * edges, shares * edges
    if hardest < 1:
        kept = losses.detach().topk(max(1, round(hardest * len(losses))), sorted=False).indices
        losses, shares = losses[kept], shares[kept]
    return losses.sum() / shares.sum()
