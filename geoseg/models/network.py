"""The network that a card describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.header import TensorInfo
from geoseg.models.registry import OWN, architectures, create_model

FLOATING = frozenset({"F16", "BF16", "F32", "F64"})
_AGAIN = "write the bundle again from the network that was trained"
_LISTED = 4  # names in a message; the rest is counted


def network_of(card: ModelCard) -> nn.Module:
    """A new network of the card's architecture, with random weights.

    It takes the card's bands, gives a channel for each of its `channel_ids`, and a label for each of its `object_ids`.
    Raises ModelError or UnknownNameError, and MissingExtraError when a package is missing that it needs.
    """
    own = (OWN - {"encoder"}) & card.arguments.keys()
    if own:
        raise ModelError(
            f"card {card.name}: found {', '.join(sorted(own))} in arguments; expected options alone: "
            "they follow from bands and classes, and a name from the architecture"
        )
    known = architectures()
    if card.architecture in known and known[card.architecture].kind != card.kind:
        raise ModelError(
            f"card {card.name}: found kind {card.kind} with the architecture {card.architecture}, which is "
            f"{known[card.architecture].kind}; expected both to be the same"
        )
    classes, things = _counts(card)
    return create_model(
        card.architecture, in_channels=len(card.bands), classes=classes, things=things, **card.arguments
    )


def _counts(card: ModelCard) -> tuple[int, int]:
    """What `create_model` is told of classes and of things."""
    things = len(card.object_ids)
    return (things, 0) if card.kind == "instance" else (len(card.channel_ids), things)


def skeleton_of(card: ModelCard) -> nn.Module:
    """The same network without memory for its weights: names and shapes only."""
    with without_memory():
        return network_of(card)


@contextmanager
def without_memory() -> Iterator[None]:
    """A context in which networks are built, and run, without memory for their numbers (on torch's meta device)."""
    with torch.device("meta"), _RatesOnCpu():
        yield


class _RatesOnCpu(TorchFunctionMode):
    """Keeps torch.linspace on the CPU: SegFormer's encoders read their drop rates from it while they are built."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)


def remedy_of(card: ModelCard) -> str:
    """What to do where weights do not fit a card's network."""
    classes, things = _counts(card)
    counts = f"in_channels={len(card.bands)}, classes={classes}" + (f", things={things}" if things else "")
    return f"the card asks for {counts}: build the network with geoseg.models.network_of(card), or correct the card"


def check_fit(path: Path, skeleton: nn.Module, found: Mapping[str, TensorInfo], remedy: str = _AGAIN) -> None:
    """Raise ModelError unless the tensors `found` in the file are those of the network, by name, shape and kind."""
    expected = skeleton.state_dict()
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    unlike = [
        f"{name}: found {list(found[name].shape)} {found[name].dtype}, expected {list(tensor.shape)} {_word(tensor)}"
        for name, tensor in expected.items()
        if name in found and not _fits(tensor, found[name])
    ]
    faults = [
        f"{len(names)} tensors {what} ({', '.join(names[:_LISTED])}{', ...' if len(names) > _LISTED else ''})"
        for what, names in (("missing", missing), ("too many", unknown), ("of another shape or kind", unlike))
        if names
    ]
    if faults:
        raise ModelError(f"{path}: the weights do not fit the card's architecture: {'; '.join(faults)}; {remedy}")


def _fits(tensor: torch.Tensor, found: TensorInfo) -> bool:
    if tuple(tensor.shape) != found.shape:
        return False
    return found.dtype in FLOATING if tensor.is_floating_point() else found.dtype == _word(tensor)


def _word(tensor: torch.Tensor) -> str:
    if tensor.is_floating_point():
        return "floating"
    words = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
    return words.get(tensor.dtype, str(tensor.dtype))
