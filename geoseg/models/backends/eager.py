"""The network in plain torch, made fast: folded, split, packed, channels last."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from geoseg.core.card import ModelCard
from geoseg.models.backends.folding import fold
from geoseg.models.backends.packing import PackedConvolution, can_pack, pack
from geoseg.models.backends.splitting import split
from geoseg.models.backends.tracing import Rewrite, rewritten
from geoseg.models.settings import Settings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ALLOWED = 1e-3  # of the largest logit: what folding may change on a chip of noise, far above rounding
_CHIP = 256  # pixels a side, at most, of that chip


class Eager(nn.Module):
    """A network on its device. With less than full precision, products are taken in it and sums in float32."""

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        """Put the network, which is used up, on the device."""
        super().__init__()
        self.network, self.settings = network, settings
        dtype = DTYPES[settings.precision]
        for module in network.modules():
            if isinstance(module, PackedConvolution):
                module.settle(dtype)
            elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                module.to(dtype)  # once, where autocast would do it for every batch
        self.to(settings.device)
        self.to(memory_format=torch.channels_last)

    def forward(self, chips: Tensor) -> Tensor:
        """What the network gives for chips (batch, band, y, x)."""
        device, precision = self.settings.device.type, self.settings.precision
        chips = chips.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, dtype=DTYPES[precision], enabled=precision != "fp32"):
            return self.network(chips)  # type: ignore[no-any-return]


def eager(network: nn.Module, card: ModelCard, settings: Settings) -> Eager:
    """A fast copy of the network; the one given is left as it is."""
    packed = settings.device.type == "cpu" and settings.precision != "fp16" and can_pack()
    return Eager(simplified(network, card, _for_cpu if packed else fold), settings)


def simplified(network: nn.Module, card: ModelCard, rewrite: Rewrite) -> nn.Module:
    """A copy of the network with its graph rewritten; a plain copy where there is no graph or the answer changed.

    Networks without convolutions are not run here, nor are those that find objects.
    """
    own = copy.deepcopy(network).eval().requires_grad_(False)
    if card.kind != "semantic" or not any(isinstance(module, nn.Conv2d) for module in own.modules()):
        return own
    side = -(-min(_CHIP, card.tile_size) // card.divisor) * card.divisor
    chip = torch.randn(1, len(card.bands), side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            expected = own(chip)
        except RuntimeError:  # another size may suit it
            return own
        found = rewritten(copy.deepcopy(own), chip, rewrite)
        return found if _close(found(chip), expected) else own


def without_doubled_maps(graph: fx.GraphModule) -> None:
    """Fold a graph, and split its convolutions over maps that were doubled in size."""
    fold(graph)
    split(graph)


def _for_cpu(graph: fx.GraphModule) -> None:
    without_doubled_maps(graph)
    pack(graph)


def _close(found: Tensor, expected: Tensor) -> bool:
    largest = max(float(expected.abs().max()), 1e-3)
    return found.shape == expected.shape and float((found - expected).abs().max()) <= _ALLOWED * largest
