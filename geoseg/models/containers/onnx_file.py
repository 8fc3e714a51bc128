"""ONNX files: the card is the metadata entry `geoseg.card`; ONNX Runtime runs them."""

from __future__ import annotations

import importlib.util
import mmap
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.card import ModelCard
from geoseg.errors import DeviceMemoryError, MissingExtraError, ModelError, ResourceError
from geoseg.models.containers.session import InputForm, Session
from geoseg.models.containers.wire import (
    MODEL_METADATA,
    external_locations,
    fields,
    metadata_field,
    text_entry,
)
from geoseg.models.header import CARD_KEY
from geoseg.models.settings import Settings

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_QUIET = 3  # errors only
_FAULTS = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NoModel", "NotImplemented")
_CUDA, _TENSORRT, _OPENVINO, _CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "OpenVINO", "CPU"))


def card_text(path: Path) -> str | None:
    """The JSON text of the card, or None."""
    return metadata(path).get(CARD_KEY)


def metadata(path: Path) -> dict[str, str]:
    """All entries of the model's metadata. Raises ModelError for a damaged file."""
    try:
        with _mapped(path) as data:
            return dict(text_entry(data, first, last) for first, last in _metadata_entries(data))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as ONNX ({error}); fetch or export it again") from error


def with_card(source: Path, text: str, destination: Path) -> None:
    """Write the model with another card. Raises ModelError where its weights are in files of their own."""
    _check_one_file(source)
    with_metadata(source, {CARD_KEY: text}, destination)


def copy(source: Path, destination: Path) -> None:
    """Write the model as it is. Raises ModelError where its weights are in files of their own."""
    _check_one_file(source)
    shutil.copyfile(source, destination)


def with_metadata(source: Path, entries: dict[str, str], destination: Path) -> None:
    """Write the model with some entries of its metadata set, and all others as they were."""
    with _mapped(source) as data, destination.open("wb") as out:
        for number, begin, first, last in fields(data, 0, len(data), {MODEL_METADATA}):
            if number != MODEL_METADATA or text_entry(data, first, last)[0] not in entries:
                out.write(memoryview(data)[begin:last])
        for key, value in entries.items():
            out.write(metadata_field(key, value))


def parts(path: Path) -> list[Path]:
    """The files beside the model that hold weights. Raises ModelError for files elsewhere, and for missing ones."""
    with _mapped(path) as data:
        named = sorted(external_locations(path, data))
    return [_beside(path, location) for location in named]


def load(path: Path, card: ModelCard) -> Session:
    """The model in ONNX Runtime, on the CPU."""
    return OnnxSession(path, card, Settings())


class OnnxSession(Session):
    """A model in ONNX Runtime, in the precision of its file."""

    def __init__(self, path: Path, card: ModelCard, settings: Settings, content: bytes | None = None) -> None:
        """Open the file, or its `content`. On a CUDA device TensorRT runs what it can, where it is installed."""
        super().__init__(path, card, settings)
        self._content = content
        if content is None:
            parts(path)
        self._session = _session(path, settings, content)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _DTYPES:
            listed = ", ".join(f"{i.name}: {i.type}" for i in inputs)
            raise ModelError(f"{path}: found the inputs {listed}; expected one, of floating-point numbers")
        shape = [size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape]
        self.form = InputForm.of(path, card, shape, _DTYPES[inputs[0].type])
        self._input = inputs[0].name

    def settled(self, settings: Settings) -> OnnxSession:
        """The same model with other threads, or on another device."""
        same = (settings.device, settings.thread_count) == (self.settings.device, self.settings.thread_count)
        return self if same else OnnxSession(self.path, self.card, settings, self._content)

    def run(self, chips: NDArray[Any]) -> Sequence[NDArray[Any]]:
        """All outputs for one batch."""
        try:
            answers: Sequence[NDArray[Any]] = self._session.run(None, {self._input: chips})
        except _faults() as error:
            text = str(error)
            if "Failed to allocate memory" in text or "bad_alloc" in text:
                raise DeviceMemoryError(
                    f"{self.settings.device} ran out of memory with chips {chips.shape}; choose a smaller "
                    "--batch-size or --tile-size"
                ) from error
            raise ModelError(
                f"{self.path}: ONNX Runtime fails on chips of shape {chips.shape}: {text[:300]}"
            ) from error
        return answers


def runtime() -> Any:
    """The package onnxruntime. Raises MissingExtraError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnx", "onnxruntime", "running an ONNX model") from error
    return onnxruntime


def _session(path: Path, settings: Settings, content: bytes | None) -> Any:
    package = runtime()
    options = package.SessionOptions()
    options.intra_op_num_threads = settings.thread_count
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    providers = _providers(settings, package.get_available_providers())
    try:
        return package.InferenceSession(content or path, options, providers=providers)
    except _faults() as error:
        raise ModelError(
            f"{path}: ONNX Runtime {package.__version__} cannot open it ({str(error)[:300]}); the file is damaged or "
            "needs a newer runtime: fetch it again, or  pip install -U onnxruntime"
        ) from error


def _providers(settings: Settings, available: Sequence[str]) -> list[Any]:
    """The runtime's providers for a device, the best first; it hands on to the next what one cannot do."""
    if settings.device.type == "cpu":
        return [name for name in (_OPENVINO, _CPU) if name in available]
    if settings.device.type != "cuda" or _CUDA not in available:
        raise ResourceError(
            f"device {settings.device}: found the ONNX Runtime providers {', '.join(available)}; expected {_CUDA}: "
            "install onnxruntime-gpu in place of onnxruntime, or choose --device cpu"
        )
    tensorrt = _TENSORRT in available and importlib.util.find_spec("tensorrt") is not None
    number = {"device_id": settings.device.index or 0}
    return [*((name, number) for name in ([_TENSORRT, _CUDA] if tensorrt else [_CUDA])), _CPU]


def _faults() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (RuntimeError, ValueError, *(getattr(state, name) for name in _FAULTS if hasattr(state, name)))


def _check_one_file(path: Path) -> None:
    if outside := parts(path):
        raise ModelError(
            f"{path}: found weights in other files ({outside[0].name}); expected one file: save it with "
            "onnx.save_model(model, path, save_as_external_data=False)"
        )


def _metadata_entries(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    for number, _, first, last in fields(data, 0, len(data), {MODEL_METADATA}):
        if number == MODEL_METADATA:
            yield first, last


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _beside(path: Path, location: str) -> Path:
    """The file that a model names, which has to be beside it or below."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    folder = path.absolute().parent.resolve()
    escapes = posix.is_absolute() or windows.is_absolute() or windows.drive or ".." in (*posix.parts, *windows.parts)
    found = (folder / location).resolve() if not escapes and location else None
    if found is None or not found.is_relative_to(folder):
        raise ModelError(
            f"{path}: found weights at {location[:200]!r}, outside of the model's folder; expected a file beside the "
            "model: such a file is not opened, save the model as one file"
        )
    if not found.is_file():
        raise ModelError(f"{path}: found no file {location[:200]!r} beside it, which holds weights; fetch it too")
    return found
