"""Which kind of file holds a model, and what is done with each kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError, WriteError
from geoseg.models.containers.archive import archive_kind
from geoseg.models.containers.wire import is_onnx
from geoseg.models.digest import sha256_of
from geoseg.models.header import CARD_KEY, parse_card
from geoseg.models.placing import put, scratch

if TYPE_CHECKING:
    from torch import nn

Container = Literal["onnx", "torchscript", "pt2", "openvino"]

# The modules that read and write each kind; all of them have card_text, with_card, copy, parts and load.
CONTAINERS: Mapping[Container, str] = MappingProxyType(
    {
        "onnx": "geoseg.models.containers.onnx_file",
        "torchscript": "geoseg.models.containers.torchscript",
        "pt2": "geoseg.models.containers.exported",
        "openvino": "geoseg.models.containers.openvino_file",
    }
)
_HEAD = 512


def container_of(path: Path) -> Container | None:
    """The kind of container at `path`, by its content; None for anything else, and for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head.startswith(b"PK\x03\x04"):
        return archive_kind(path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<net")) and path.suffix.lower() == ".xml":
        return "openvino"
    return "onnx" if is_onnx(path, head) else None


def read_card(path: Path) -> ModelCard:
    """The card in the container at `path`; its graph is not built. Raises ModelError: no card, or a damaged file."""
    return parse_card(path, card_text(path, _known(path)))


def card_text(path: Path, container: Container) -> str:
    """The JSON text of the card in a container. Raises ModelError."""
    found: str | None = _module(container).card_text(path)
    if found is None:
        raise ModelError(
            f"{path}: found a model ({container}) without {CARD_KEY!r} inside; expected a card, which says what bands, "
            "values and classes it has: attach one with `geoseg models import`"
        )
    return found


def load_module(path: Path, card: ModelCard) -> nn.Module:
    """The network in the container at `path`, in eval mode, on the CPU: (batch, band, y, x) to logits, float32.

    Raises ModelError for damaged files, for what could run code or read other files, and for input sizes that are
    fixed and not the card's; MissingExtraError without the runtime.
    """
    container = _known(path)
    if card.kind != "semantic":
        raise ModelError(
            f"{path}: found a card of the kind {card.kind!r} in a file of the kind {container}; such files hold "
            "semantic models only: use the bundle (.safetensors)"
        )
    module: nn.Module = _module(container).load(path, card)
    return module.eval()


def write_card(source: str | Path, card: ModelCard, destination: str | Path) -> None:
    """Copy the model at `source`, with `card` inside, to `destination`, complete or not at all.

    A card that is there already is replaced. An OpenVINO model's weights are copied beside it. Nothing of the model
    is run. Raises ModelError when `source` is no container or needs other files, OutputError when `destination` is a
    folder or has another ending than such files have, WriteError when it cannot be written.
    """
    origin, target = Path(source), Path(destination)
    attach: Callable[[Path, str, Path], None] = _module(_known(origin)).with_card
    _make(target, lambda made: attach(origin, card.model_dump_json(), made))


def copy_container(source: Path, destination: Path) -> list[Path]:
    """The files written, the model last: a copy of the model at `source`, with all that belongs to it, or nothing.

    An OpenVINO model's weights get the name of `destination`. Older files are there again after a failure. Raises
    ModelError when `source` is no container, or an ONNX model with weights in other files (these names are fixed in
    it); OutputError when `destination` is a folder or has another ending than such files have, WriteError when it
    cannot be written.
    """
    copy: Callable[[Path, Path], None] = _module(_known(source)).copy
    return _make(destination, lambda made: copy(source, made))


def parts(path: Path) -> list[Path]:
    """The files beside the container at `path` that belong to it. Raises ModelError: missing ones, or others' files."""
    found: list[Path] = _module(_known(path)).parts(path)
    return found


def checksum(path: Path) -> str:
    """The SHA-256, in hexadecimal, of a container with all files that belong to it."""
    return sha256_of(path, *parts(path))


def _make(target: Path, write: Callable[[Path], None]) -> list[Path]:
    """What `write` makes at the path that it is given, and beside it, put at `target`, and beside it."""
    try:
        with scratch(target) as folder:
            made = folder / target.name
            write(made)
            ready = [*(part for part in sorted(folder.iterdir()) if part != made), made]
            put([(part, target.with_name(part.name)) for part in ready])
    except OSError as error:
        raise WriteError(f"{target}: the model cannot be written ({error.strerror or error})") from error
    return [target.with_name(part.name) for part in ready]


def _known(path: Path) -> Container:
    found = container_of(path)
    if found is None:
        raise ModelError(
            f"{path}: found neither an ONNX, TorchScript, torch.export (.pt2) nor OpenVINO (.xml) model; "
            "check the path, or fetch the file again"
        )
    return found


def _module(container: Container) -> Any:
    return importlib.import_module(CONTAINERS[container])
