"""Files of torch.export (.pt2): the card is the extra file `geoseg.card`; torch runs them.

torch.export.load believes what it reads: it unpickles, evaluates sizes as Python, and looks names up in torch. So
torch never gets the file. Its entries are read here, whatever is more than a graph of tensor operations with plain
weights is refused, and torch reads a new archive of what was looked at; of its pickles, one that was written here.
"""

from __future__ import annotations

import io
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.containers.archive import EXTRA, Archive, extra_text, opened, rebuilt, with_extra
from geoseg.models.containers.graph import Answering
from geoseg.models.containers.program import screened_payloads, screened_program

_PROGRAM = "models/model.json"
_INPUTS = "data/sample_inputs/model.pt"
_PAYLOADS = {
    "data/weights/model_weights_config.json": "weight_",
    "data/constants/model_constants_config.json": "tensor_",
}
_RAW = re.compile(
    r"data/weights/weight_[0-9]+|data/constants/tensor_[0-9]+"
    r"|archive_format|archive_version|byteorder|version|\.data/version|\.data/serialization_id",
    re.ASCII,
)
_LARGEST_TEXT = 256 * 2**20
_LARGEST_INPUTS = 2**30


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
    """The network. Raises ModelError for a damaged file, and for one that holds more than a network."""
    content = screened(path)
    try:
        program = torch.export.load(content)
        graph = program.module()
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, TypeError, AssertionError) as error:
        raise ModelError(
            f"{path}: torch {torch.__version__} cannot read it ({str(error)[:300]}); export the model again with this "
            "torch, from its bundle"
        ) from error
    _check_sizes(path, card, program)
    return Answering(path, card, graph.requires_grad_(False))


def screened(path: Path) -> io.BytesIO:
    """The archive as torch is to read it. Raises ModelError when it holds more than a graph and plain weights."""
    with opened(path) as archive:
        try:
            contents = {name: _screened_entry(archive, name) for name in archive.entries if not name.startswith(EXTRA)}
            return rebuilt(archive, contents)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
            raise ModelError(
                f"{path}: found {str(error)[:300]}; expected a graph of tensor operations with plain weights: this "
                "file is not loaded, export the model from its bundle"
            ) from error


def _screened_entry(archive: Archive, name: str) -> bytes | None:
    """What torch is to read under that name; None for the entry as it is. Raises ValueError."""
    if name == _PROGRAM:
        return screened_program(archive.read(name, _LARGEST_TEXT))
    if name in _PAYLOADS:
        return screened_payloads(archive.read(name, _LARGEST_TEXT), _PAYLOADS[name])
    if name == _INPUTS:
        return _written_again(name, archive.read(name, _LARGEST_INPUTS))
    if not _RAW.fullmatch(name):
        raise ValueError(f"the entry {name[:80]!r}")
    return None


def _written_again(name: str, content: bytes) -> bytes:
    """The pickle of example inputs, made anew: where torch fails to read one, it reads it as if it were trusted."""
    if not content:
        return content
    try:
        values = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"a pickle of more than tensors in {name[:80]!r}") from error
    out = io.BytesIO()
    torch.save(values, out)
    return out.getvalue()


def _check_sizes(path: Path, card: ModelCard, program: Any) -> None:
    """Raise ModelError when the graph takes other chips than the card says."""
    names = set(program.graph_signature.user_inputs)
    shapes = [tuple(n.meta["val"].shape) for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    expected = (len(card.bands), card.tile_size, card.tile_size)
    fits = len(shapes) == 1 and len(shapes[0]) == 4
    if not fits or any(isinstance(f, int) and f != e for f, e in zip(shapes[0][1:], expected, strict=True)):
        found = "; ".join(str([s if isinstance(s, int) else "any" for s in shape]) for shape in shapes)
        raise ModelError(
            f"{path}: found the input {found}; expected (any, {', '.join(map(str, expected))}) as card {card.name} "
            "says: give the card these bands and this tile_size, or export the model again"
        )
