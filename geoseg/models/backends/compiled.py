"""The network compiled by torch.compile (inductor), its weights frozen in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, ResourceError
from geoseg.models.backends.eager import Eager, simplified
from geoseg.models.backends.folding import fold
from geoseg.models.settings import Settings


def compiled(network: nn.Module, card: ModelCard, settings: Settings) -> nn.Module:
    """A compiled copy of the network. Raises ResourceError where there is no C++ compiler to do it with."""
    if settings.device.type == "cpu":
        check_compiler()
    return Compiled(Eager(simplified(network, card, fold), settings), card)


class Compiled(nn.Module):
    """A network that is compiled when the first chips of a shape come, which takes a minute or so."""

    def __init__(self, network: Eager, card: ModelCard) -> None:
        """Keep what is to be compiled."""
        super().__init__()
        self._card = card
        self._compiled: Any = torch.compile(network, dynamic=False, options={"freezing": True})

    def forward(self, chips: Tensor) -> Tensor:
        """What the network gives for chips (batch, band, y, x). Raises ModelError when it cannot be compiled."""
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        try:
            with torch.no_grad():
                answer: Tensor = self._compiled(chips)
        except (TorchDynamoException, InductorError) as error:
            raise ModelError(
                f"model {self._card.name}: torch.compile fails ({str(error)[:300]}); choose --backend torch"
            ) from error
        return answer


def check_compiler() -> None:
    """Raise ResourceError unless torch finds a C++ compiler that works."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, OSError, RuntimeError) as error:
        raise ResourceError(
            "backend compile: found no C++ compiler; expected g++ or clang++ (apt install g++, or Xcode's tools): "
            "install one, or choose --backend torch or openvino"
        ) from error
