"""TorchScript files: the card is the extra file `geoseg.card`; torch runs them."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.containers.archive import entries, extra_text, with_extra
from geoseg.models.containers.graph import Answering

# What TorchScript can call that touches files; a network needs none of it.
_TOUCHES_FILES = re.compile(rb"\b(from_file|torch\.save|torch\.load|aten\.save|os\.\w+|__import__|open)\s*\(")


def card_text(path: Path) -> str | None:
    """The JSON text of the card, or None."""
    return extra_text(path)


def with_card(source: Path, text: str, destination: Path) -> None:
    """Write the model with another card."""
    with_extra(source, text, destination)


def parts(path: Path) -> list[Path]:
    """No other files."""
    return []


def load(path: Path, card: ModelCard) -> nn.Module:
    """The network. TorchScript is interpreted; a file whose code reads or writes files is refused, unread by torch."""
    return Answering(path, card, script(path))


def script(path: Path) -> Any:
    """The scripted module, on the CPU, once its code was looked through. Raises ModelError."""
    check_code(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the format is old; files in it are plenty
            read: Any = torch.jit.load  # untyped
            module = read(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path}: the TorchScript model cannot be read ({str(error)[:300]}); fetch or export it again"
        ) from error
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def check_code(path: Path) -> None:
    """Raise ModelError when the model's code calls what touches files."""
    try:
        found = entries(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); the file is damaged: fetch or export it again") from error
    for name, content in found.items():
        if name.startswith("code/") and name.endswith(".py") and (call := _TOUCHES_FILES.search(content)):
            raise ModelError(
                f"{path}: found {call[1].decode()!r} in {name}, which touches files; expected a network: this one is "
                "not loaded"
            )
