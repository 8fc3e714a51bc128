"""The tensors of foreign files: read without running anything, and freed of their wrappers' names."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models.bundle import read_weights
from geoseg.models.header import TensorInfo

_NESTED = ("state_dict", "model_state_dict", "model_state", "model", "module", "network", "net", "weights", "params")
_WRAPPERS = ("module.", "model.", "_orig_mod.", "network.", "net.", "segmentor.")
_BESIDE = re.compile(
    r"^(criterion|\w*loss\w*|\w*metrics?|ema\w*|classification_head|auxiliary_head)\."
)  # none of the network
_WORDS = {torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
_SAFE = "expected weights only: torch.save(network.state_dict(), ...), safetensors, TorchScript or ONNX"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch checkpoint. Raises ModelError: code in it, damage, or no tensors.

    Only torch's unpickler for weights reads it, which builds tensors and plain containers, and calls nothing else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: found a pickle that wants to run code ({_wanted(path, error)}); nothing of it was run; {_SAFE}; "
            "ask its author for one of these"
        ) from error
    except (
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        OSError,
        zipfile.BadZipFile,
    ) as error:
        why = str(error).partition("\n")[0][:200]
        raise ModelError(f"{path}: the checkpoint cannot be read ({why}); it is damaged: fetch it again") from error
    return _state(path, content)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, or of a torch checkpoint that holds tensors only, in the file's order.

    Which of them it is, its content tells. Raises ModelError when the file is unreadable, wants to run code, or holds
    no tensors.
    """
    return read_weights(path) if is_safetensors(path) else read_checkpoint(path)


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: eight bytes of length, then JSON. Raises ModelError."""
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error


def refuse_pickle(path: Path) -> None:
    """Raise the ModelError for a plain pickle."""
    raise ModelError(f"{path}: found a plain pickle, which can run code; nothing of it was run; {_SAFE}")


def infos(tensors: Mapping[str, Tensor]) -> dict[str, TensorInfo]:
    """Dtype and shape of each tensor, in the words of safetensors."""
    return {
        name: TensorInfo("F32" if t.is_floating_point() else _WORDS.get(t.dtype, str(t.dtype)), tuple(t.shape))
        for name, t in tensors.items()
    }


def unwrapped(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the network alone: without those of losses and metrics, and without the names of wrappers."""
    kept = {name: t for name, t in tensors.items() if not _BESIDE.match(name)}
    changed = True
    while kept and changed:
        changed = False
        for wrapper in _WRAPPERS:
            inner = {name.removeprefix(wrapper): t for name, t in kept.items() if name.startswith(wrapper)}
            if len(inner) == len(kept):
                kept, changed = {name: t for name, t in inner.items() if not _BESIDE.match(name)}, True
    if not kept:
        raise ModelError(f"{path}: found no tensors of a network; {_SAFE}")
    return kept


def _state(path: Path, content: Any) -> dict[str, Tensor]:
    """The mapping of names to tensors, wherever a trainer has put it."""
    if isinstance(content, Mapping):
        tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        if tensors and len(tensors) * 2 >= len(content):
            return tensors
        for key in _NESTED:
            if isinstance(content.get(key), Mapping):
                return _state(path, content[key])
        found = f"a mapping with {', '.join(map(str, list(content)[:6]))}"
    else:
        found = f"a {type(content).__name__}"
    raise ModelError(f"{path}: found {found} without the tensors of a network; {_SAFE}")


def _wanted(path: Path, error: Exception) -> str:
    """What a pickle asks for, in one line."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, ValueError, RuntimeError, OSError, KeyError, IndexError):
        names = re.findall(r"GLOBAL ([\w.]+)", str(error))
    return ", ".join(names[:4]) or str(error).partition("\n")[0][:160]
