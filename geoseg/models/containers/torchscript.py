"""TorchScript files: the card is the extra file `geoseg.card`; torch runs them."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.containers.archive import extra_text, with_extra
from geoseg.models.containers.graph import Answering
from geoseg.models.containers.screening import check_graph, screened


def card_text(path: Path) -> str | None:
    """The JSON text of the card, or None."""
    return extra_text(path)


def with_card(source: Path, text: str, destination: Path) -> None:
    """Write the model with another card."""
    with_extra(source, text, destination)


def copy(source: Path, destination: Path) -> None:
    """Write the model as it is."""
    shutil.copyfile(source, destination)


def parts(path: Path) -> list[Path]:
    """No other files."""
    return []


def load(path: Path, card: ModelCard) -> nn.Module:
    """The network. TorchScript is interpreted; a file that does anything but compute is refused."""
    return Answering(path, card, script(path))


def script(path: Path) -> Any:
    """The scripted module, on the CPU; looked through before it is loaded and after. Raises ModelError."""
    content = screened(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the format is old; files in it are plenty
            read: Any = torch.jit.load  # untyped
            module = read(content, map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path}: the TorchScript model cannot be read ({str(error)[:300]}); fetch or export it again"
        ) from error
    check_graph(path, module)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module
