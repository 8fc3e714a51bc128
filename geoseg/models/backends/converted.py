"""The network converted for another runtime, in memory."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, ModelError, SpecError
from geoseg.models.backends.eager import simplified, without_doubled_maps
from geoseg.models.backends.folding import fold
from geoseg.models.containers import openvino_file
from geoseg.models.containers.onnx_file import OnnxSession, runtime
from geoseg.models.containers.openvino_file import OpenVinoSession
from geoseg.models.settings import Settings

INPUT, OUTPUT = "input", "output"
_FREE = {0: "batch", 2: "height", 3: "width"}
_OPSET = 17  # read by every ONNX Runtime since 1.13
_FAULTS = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, IndexError)


def in_onnx(network: nn.Module, card: ModelCard, settings: Settings) -> OnnxSession:
    """The network in ONNX Runtime, in float32. Raises MissingExtraError, ModelError, SpecError for other precisions."""
    runtime()
    content = onnx_bytes(simplified(network, card, fold), card)
    return OnnxSession(Path(f"{card.name}.onnx"), card, settings, content)


def in_openvino(network: nn.Module, card: ModelCard, settings: Settings) -> OpenVinoSession:
    """The network in OpenVINO, in float32 or bfloat16. Raises MissingExtraError, ModelError."""
    if settings.device.type != "cpu":
        raise SpecError(
            f"backend openvino: found the device {settings.device}; it runs on the CPU: choose --device cpu"
        )
    model = openvino_model(simplified(network, card, without_doubled_maps), card)
    return OpenVinoSession(Path(f"{card.name}.xml"), card, settings, model)


def onnx_bytes(network: nn.Module, card: ModelCard, free: bool = True) -> bytes:
    """The network as an ONNX file; with `free` for any number and size of chips, else for any number of the card's.

    Raises ModelError when it cannot be converted.
    """
    try:
        import onnx  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "converting a network to ONNX") from error
    axes = _FREE if free else {0: "batch"}
    out: Any = io.BytesIO()  # which it writes to, whatever it declares
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that this exporter will go, and that sizes are traced
            torch.onnx.export(
                copy.deepcopy(network),
                (example(card),),
                out,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: axes, OUTPUT: axes},
            )
    except _FAULTS as error:
        raise ModelError(
            f"model {card.name}: the network cannot be converted to ONNX ({str(error)[:300]}); use it with torch"
        ) from error
    content: bytes = out.getvalue()
    return content


def openvino_model(network: nn.Module, card: ModelCard, free: bool = True) -> Any:
    """The network as an OpenVINO model, for any number of chips; with `free` of any size, else of the card's."""
    package = openvino_file.runtime()
    side = -1 if free else card.tile_size
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            model = package.convert_model(
                copy.deepcopy(network), example_input=example(card), input=[-1, len(card.bands), side, side]
            )
    except _FAULTS as error:
        raise ModelError(
            f"model {card.name}: the network cannot be converted to OpenVINO ({str(error)[:300]}); use it with torch"
        ) from error
    model.input().get_tensor().set_names({INPUT})
    model.output().get_tensor().set_names({OUTPUT})
    return model


def example(card: ModelCard) -> Tensor:
    """A batch of chips of the card's size, of normalised noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, len(card.bands), card.tile_size, card.tile_size, generator=generator)
