"""What a foreign file or folder is, told by its content: endings are not asked, since hubs and users change them."""

from __future__ import annotations

import json
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from geoseg.errors import ModelError
from geoseg.models.containers import onnx_file
from geoseg.models.containers.archive import archive_kind
from geoseg.models.containers.wire import is_onnx
from geoseg.models.header import CARD_KEY

LARGEST_JSON = 64 * 2**20


class Form(StrEnum):
    """What a foreign model comes as; the values are the words that users see."""

    BUNDLE = "a geoseg bundle"
    SAFETENSORS = "a safetensors file"
    CHECKPOINT = "a torch checkpoint"
    TORCHSCRIPT = "a TorchScript file"
    PT2 = "a torch.export archive"
    PICKLE = "a plain pickle, which can run code"
    ONNX = "an ONNX file"
    DEEPNESS = "a Deepness ONNX file"
    STAC = "a STAC item with the MLM extension"
    SMP = "a folder of segmentation-models-pytorch"
    TRANSFORMERS = "a folder of transformers"


KNOWN = (
    "a torch checkpoint of weights, safetensors, TorchScript, ONNX, a STAC MLM item, or a folder with config.json and "
    "model.safetensors"
)

_TORCH_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # the number that torch.save wrote before files were zip archives
_STRANGERS = {
    b"\x89HDF": "an HDF5 file (Keras)",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: fetch it with git lfs pull",
    b"<!DOCTYPE": "a web page, not a model",
    b"<html": "a web page, not a model",
    b"<?xml": "an XML file (OpenVINO's graphs need no import)",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}


def detect(path: str | Path) -> str:
    """What `path` is, in words that users see; one of the values of `Form`.

    Nothing is loaded. Raises ModelError when it is missing, unreadable, or nothing that is known.
    """
    return form_of(Path(path)).value


def form_of(path: Path) -> Form:
    """The form of the model at `path`. Raises as `detect` does."""
    try:
        if path.is_dir():
            return _form_of_folder(path)
        with path.open("rb") as file:
            start = file.read(64)
            found = _form_of_file(path, start, file)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: cannot be read ({error}); expected {KNOWN}; check the path, or fetch it again"
        ) from (error)
    beside = path.with_name("config.json")
    if found in (Form.SAFETENSORS, Form.CHECKPOINT) and beside.is_file():
        return _form_of_config(beside) or found
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`. Raises ModelError when there is none."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ModelError(
                f"{path}: found {path.stat().st_size} bytes; expected a JSON text of at most {LARGEST_JSON}"
            )
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: found no readable JSON ({error}); fetch the file again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: found JSON that is no object; expected one; fetch the file again")
    return values


def _form_of_file(path: Path, start: bytes, file: IO[bytes]) -> Form:
    for magic, words in _STRANGERS.items():
        if start.startswith(magic):
            raise ModelError(f"{path}: found {words}; expected {KNOWN}")
    if start.startswith(b"PK\x03\x04"):
        return _form_of_archive(path, file)
    if start.startswith(b"\x80") and start[1:2] in b"\x02\x03\x04\x05":
        return Form.CHECKPOINT if _TORCH_MAGIC in start else Form.PICKLE
    if start[8:9] == b"{":
        return _form_of_safetensors(start, file)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _form_of_json(path)
    if start.startswith(b"\x08"):
        return _form_of_onnx(path, start)
    raise ModelError(f"{path}: found a file of an unknown kind (it starts with {start[:8]!r}); expected {KNOWN}")


def _form_of_archive(path: Path, file: IO[bytes]) -> Form:
    kind = archive_kind(path)
    if kind is not None:
        return Form.TORCHSCRIPT if kind == "torchscript" else Form.PT2
    with zipfile.ZipFile(file) as archive:
        if any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist()):
            return Form.CHECKPOINT
    raise ModelError(f"{path}: found a zip archive that is no model of torch; expected {KNOWN}; unpack it first")


def _form_of_safetensors(start: bytes, file: IO[bytes]) -> Form:
    length = int.from_bytes(start[:8], "little")
    file.seek(8)
    return Form.BUNDLE if f'"{CARD_KEY}"'.encode() in file.read(min(length, LARGEST_JSON)) else Form.SAFETENSORS


def _form_of_json(path: Path) -> Form:
    values = read_object(path)
    properties = values.get("properties")
    if (
        values.get("type") == "Feature"
        and isinstance(properties, dict)
        and any(k.startswith("mlm:") for k in properties)
    ):
        return Form.STAC
    if "architectures" in values or "_model_class" in values:
        raise ModelError(f"{path}: found the config of a model alone; name the folder that holds its weights too")
    raise ModelError(
        f"{path}: found JSON that is no STAC item with fields of the MLM extension (mlm:...); expected {KNOWN}"
    )


def _form_of_onnx(path: Path, start: bytes) -> Form:
    if not is_onnx(path, start):
        raise ModelError(
            f"{path}: found a file of an unknown kind, or an ONNX file that ends too early or holds no graph; "
            f"expected {KNOWN}; fetch it again"
        )
    return Form.DEEPNESS if "model_type" in onnx_file.metadata(path) else Form.ONNX


def _form_of_folder(folder: Path) -> Form:
    config = folder / "config.json"
    if not config.is_file():
        raise ModelError(
            f"{folder}: found a folder without config.json; expected {KNOWN}; name the model's file instead"
        )
    found = _form_of_config(config)
    if found is None:
        raise ModelError(
            f"{config}: found no '_model_class' (segmentation-models-pytorch) and no 'architectures' (transformers); "
            "name the file of weights instead, with --architecture"
        )
    return found


def _form_of_config(config: Path) -> Form | None:
    values = read_object(config)
    if "_model_class" in values:
        return Form.SMP
    return Form.TRANSFORMERS if "architectures" in values else None
