"""The module that runs a model on a device by a backend."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from weakref import WeakKeyDictionary

from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, SpecError, UnknownNameError
from geoseg.models.backends.compiled import compiled
from geoseg.models.backends.converted import in_onnx, in_openvino
from geoseg.models.backends.eager import Eager, eager
from geoseg.models.containers.graph import Answering
from geoseg.models.containers.onnx_file import OnnxSession
from geoseg.models.containers.openvino_file import OpenVinoSession
from geoseg.models.containers.session import Session
from geoseg.models.settings import Settings

_BUILDERS: Mapping[str, Callable[[nn.Module, ModelCard, Settings], nn.Module]] = MappingProxyType(
    {"torch": eager, "compile": compiled, "onnx": in_onnx, "openvino": in_openvino}
)
BACKENDS = ("auto", *_BUILDERS)
_SESSIONS: Mapping[type[Session], str] = MappingProxyType({OnnxSession: "onnx", OpenVinoSession: "openvino"})

_Key = tuple[str, str, Settings]
_prepared: WeakKeyDictionary[nn.Module, dict[_Key, nn.Module]] = WeakKeyDictionary()


def prepared(module: nn.Module, card: ModelCard, backend: str, settings: Settings) -> nn.Module:
    """A module that gives the model's logits (batch, channel, y, x) on the settings' device, in their precision.

    `module` is left as it is. "auto" is torch, or the runtime of the file that the model came in. The same module comes
    back for the same settings while `module` lives, so that nothing is converted twice. Objects are found by torch
    alone. Raises UnknownNameError for an unknown backend, SpecError for one that cannot run this model,
    MissingExtraError for one that is not installed, ModelError when the network cannot be converted.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    key = (backend, card.model_dump_json(), settings)
    known = _prepared.get(module, {}).get(key)
    if known is not None:
        return known
    made = _prepare(module, card, backend, settings)
    if made is not module:  # what holds its own key is never freed
        _prepared.setdefault(module, {})[key] = made
    return made


def _prepare(module: nn.Module, card: ModelCard, backend: str, settings: Settings) -> nn.Module:
    if isinstance(module, Session):
        own = _SESSIONS[type(module)]
        if backend not in ("auto", own):
            raise SpecError(
                f"backend {backend}: model {card.name} is a file that {own} runs; leave --backend out, or use the "
                "model's bundle (.safetensors)"
            )
        return module.settled(settings)
    chosen = "torch" if backend == "auto" else backend
    if chosen != "torch" and (card.kind != "semantic" or isinstance(module, Answering)):
        what = f"finds objects ({card.kind})" if card.kind != "semantic" else "is a file that torch runs as it is"
        raise SpecError(f"backend {chosen}: model {card.name} {what}; leave --backend out, or choose torch")
    if isinstance(module, Answering):
        return Eager(copy.deepcopy(module), settings)
    try:
        return _BUILDERS[chosen](module, card, settings)
    except RecursionError as error:
        raise ModelError(f"model {card.name}: the network cannot be prepared for {chosen} ({error})") from error
