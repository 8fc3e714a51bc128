"""The average of the weights over the steps: what is validated, kept and asked for labels."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

_LEAST = 0.1  # the decay of the first steps: the average must leave random weights behind


class Average:
    """The exponential moving average of a network's weights and statistics, as a network of its own.

    It looks back on about `look_back` of the steps done, until `decay` allows no more; with a decay of 0 the average is
    the network. A long look back finds flatter minima (Izmailov et al. 2018). Whole numbers are copied. The network
    must not move to another device in between.
    """

    def __init__(self, network: nn.Module, decay: float, look_back: float) -> None:
        """Start from the network as it is."""
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay, self._look_back = decay, look_back
        self._own, self._its = _floating(self.network), _floating(network)
        self._pairs = list(zip(_whole(self.network), _whole(network), strict=True))

    def update(self, step: int) -> None:
        """Take in the network's weights after `step` steps."""
        decay = min(self._decay, max(_LEAST, 1 - 1 / (1 + self._look_back * step)))
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
