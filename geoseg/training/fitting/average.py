"""The average of the weights over the steps: what is validated, kept and asked for labels."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

_YOUNG = 10  # steps that the average looks back on at first: it must leave the random weights behind


class Average:
    """The exponential moving average of a network's weights and statistics, as a network of its own.

    After n steps the decay is the smaller one of `decay` and (1 + n) / (10 + n); with 0 the average is the network.
    Whole numbers are copied. The network must not move to another device in between.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network as it is."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._own, self._its = _floating(self.network), _floating(network)
        self._pairs = list(zip(_whole(self.network), _whole(network), strict=True))

    def update(self, step: int) -> None:
        """Take in the network's weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (_YOUNG + step))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self._own, self._its, step)  # type: ignore[no-untyped-call]
            for own, its in self._pairs:
                own.copy_(its)


def _floating(network: nn.Module) -> list[Tensor]:
    """Weights and statistics, sharing memory with the network."""
    tensors = (*(p.detach() for p in network.parameters()), *network.buffers())
    return [t for t in tensors if t.is_floating_point()]


def _whole(network: nn.Module) -> list[Tensor]:
    return [b for b in network.buffers() if not b.is_floating_point()]
