"""OpenVINO models: NAME.xml with NAME.bin beside it; the card is an entry of the file's runtime information."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from geoseg.core.card import ModelCard
from geoseg.errors import MissingExtraError, ModelError, OutputError, ResourceError
from geoseg.models.containers.session import InputForm, Session
from geoseg.models.header import CARD_KEY
from geoseg.models.settings import Settings

RT_KEY = CARD_KEY.replace(".", "_")  # OpenVINO reads dots as a path
_KEPT_SHAPES = 4  # compiled networks that are kept, one for each shape of a batch


def card_text(path: Path) -> str | None:
    """The JSON text of the card, or None."""
    found = _document(path).getroot().find(f"rt_info/{RT_KEY}")
    return None if found is None else found.get("value")


def with_card(source: Path, text: str, destination: Path) -> None:
    """Write the model with another card, its weights beside it. Raises OutputError for another ending than .xml."""
    _check_ending(destination)
    document = _document(source)
    root = document.getroot()
    info = root.find("rt_info")
    if info is None:
        info = ElementTree.SubElement(root, "rt_info")
    for old in info.findall(RT_KEY):
        info.remove(old)
    ElementTree.SubElement(info, RT_KEY, {"value": text})
    for weights in parts(source):
        shutil.copyfile(weights, destination.with_suffix(".bin"))
    document.write(destination, encoding="utf-8", xml_declaration=True)


def copy(source: Path, destination: Path) -> None:
    """Write the model as it is, its weights beside it. Raises OutputError for another ending than .xml."""
    _check_ending(destination)
    for weights in parts(source):
        shutil.copyfile(weights, destination.with_suffix(".bin"))
    shutil.copyfile(source, destination)


def parts(path: Path) -> list[Path]:
    """The file with the weights. Raises ModelError when it is missing."""
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ModelError(f"{path}: found no {weights.name} beside it, which holds the weights; fetch it too")
    return [weights]


def load(path: Path, card: ModelCard) -> Session:
    """The model in OpenVINO, on the CPU."""
    parts(path)
    _document(path)
    return OpenVinoSession(path, card, Settings(), read(path))


class OpenVinoSession(Session):
    """A model in OpenVINO: in float32, or in bfloat16 where the settings ask for that and the processor has it."""

    def __init__(self, path: Path, card: ModelCard, settings: Settings, model: Any) -> None:
        """Take a model that OpenVINO has read or converted; it is compiled when chips of a new shape come."""
        super().__init__(path, card, settings)
        if settings.device.type != "cpu":
            raise ResourceError(
                f"device {settings.device}: OpenVINO models run on the CPU here; choose --device cpu, or the bundle"
            )
        self._model = model
        self._compiled: dict[tuple[int, ...], Any] = {}
        if len(model.inputs) != 1 or not model.input().element_type.is_real():
            raise ModelError(f"{path}: found {len(model.inputs)} inputs; expected one, of floating-point numbers")
        shape = [size.get_length() if size.is_static else None for size in model.input().partial_shape]
        self.form = InputForm.of(path, card, shape, model.input().element_type.to_dtype())

    def settled(self, settings: Settings) -> OpenVinoSession:
        """The same model with other threads, or in another precision."""
        ours, asked = self.settings, settings
        same = (ours.device, ours.precision, ours.thread_count) == (asked.device, asked.precision, asked.thread_count)
        return self if same else OpenVinoSession(self.path, self.card, settings, self._model)

    def run(self, chips: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """All outputs for one batch."""
        try:
            request = self._request(chips.shape)
            request.infer([chips], share_inputs=True)
            return [np.array(request.get_output_tensor(i).data) for i in range(len(self._model.outputs))]
        except RuntimeError as error:
            raise ModelError(
                f"{self.path}: OpenVINO fails on chips of shape {chips.shape}: {str(error)[:300]}"
            ) from error

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._compiled:
            if len(self._compiled) >= _KEPT_SHAPES:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[shape] = self._compile(shape).create_infer_request()
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._model
        if model.is_dynamic():  # a network for one shape is the faster one
            model = model.clone()
            model.reshape(list(shape))
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.settings.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": self.settings.thread_count,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        return runtime().Core().compile_model(model, "CPU", settings)


def read(path: Path) -> Any:
    """The file's model, as OpenVINO reads it. Raises ModelError."""
    try:
        return runtime().Core().read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: OpenVINO cannot read it ({str(error)[:300]}); the file is damaged or needs a newer version: "
            "fetch it again, or  pip install -U openvino"
        ) from error


def runtime() -> Any:
    """The package openvino. Raises MissingExtraError."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino", "running an OpenVINO model") from error
    return openvino


def _check_ending(path: Path) -> None:
    if path.suffix.lower() != ".xml":
        raise OutputError(f"{path}: found the ending {path.suffix!r}; expected .xml for an OpenVINO model")


def _document(path: Path) -> ElementTree.ElementTree[Any]:
    """The file as XML. Declarations of entities are refused: they can blow up, and no model needs one."""
    try:
        if b"<!DOCTYPE" in path.read_bytes() or b"<!ENTITY" in path.read_bytes():
            raise ModelError(f"{path}: found an XML file that declares entities; expected an OpenVINO model")
        document = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        raise ModelError(f"{path}: cannot be read as an OpenVINO model ({error}); fetch or export it again") from error
    if document.getroot().tag != "net":
        raise ModelError(f"{path}: found XML with the root {document.getroot().tag!r}; expected an OpenVINO model")
    return document
