"""A foreign file in, a geoseg model out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.digest import sha256_of
from geoseg.models.hub.checksums import sha256_digits
from geoseg.models.importing import checkpoints, folders, graphs, items, scripts
from geoseg.models.importing.cards import card_of
from geoseg.models.importing.detection import KNOWN, Form, form_of
from geoseg.models.importing.facts import Found, Hints
from geoseg.models.importing.tensors import refuse_pickle
from geoseg.models.importing.writing import write_model

_SILENT = Hints()
Reader = Callable[[Path, Hints], Found]


def import_model(path: Path, destination: Path, hints: Hints = _SILENT) -> ModelCard:
    """The card of the model written to `destination`, made of the foreign file or folder at `path`.

    Where the network is one of geoseg's architectures a bundle is written, else a container that is run as it is.
    `hints` count before what the file says. The destination is complete or absent. Raises ModelError: an unknown or
    damaged file, a pickle that wants to run code, weights that fit no architecture, facts that are missing (all are
    listed); WriteError when the destination cannot be written.
    """
    found = inspect(path, hints)
    card = card_of(path, found, hints)
    write_model(path, found, card, destination)
    return card


def inspect(path: Path, hints: Hints = _SILENT) -> Found:
    """What the foreign file or folder at `path` holds. Raises ModelError as `import_model` does."""
    form = form_of(path)
    if form == Form.BUNDLE:
        raise ModelError(f"{path}: found a geoseg bundle, which needs no import: use it as it is")
    if form == Form.STAC:
        return _named(path, hints)
    return _read(path, form, hints)


def _named(path: Path, hints: Hints) -> Found:
    """What the file of weights holds that a STAC item names, with what the item says of it."""
    weights, facts = items.read_item(path, hints)
    form = form_of(weights)
    if form == Form.STAC:
        raise ModelError(f"{path}: found another STAC item, {weights.name}, as its model; expected a file of weights")
    found = _read(weights, form, hints.over(facts))
    return replace(found, what=f"{Form.STAC} that names {form}", facts=facts.over(found.facts))


def _read(path: Path, form: Form, hints: Hints) -> Found:
    if form == Form.PICKLE:
        refuse_pickle(path)
    if form not in _READERS:
        raise ModelError(f"{path}: found {form}, which cannot be imported; expected {KNOWN}")
    return _READERS[form](path, hints)


def check_sum(path: Path, expected: str | None = None) -> str | None:
    """The SHA-256 of the file of weights that `path` stands for, in hexadecimal; None where they are in several files.

    A folder stands for the file of weights in it, a STAC item for the one that it names. Raises ModelError unless it is
    the `expected` one, for which one file is needed.
    """
    files = weights_of(path)
    if len(files) != 1:
        if expected:
            raise ModelError(
                f"{path}: found {len(files)} files of weights; expected one, which has a checksum: leave --sha256 out"
            )
        return None
    found = sha256_of(files[0])
    if expected and found != sha256_digits(expected, str(path)):
        raise ModelError(f"{files[0]}: found the checksum {found}, expected {expected}; fetch the file again")
    return found


def weights_of(path: Path) -> tuple[Path, ...]:
    """The files of weights that are read when `path` is imported. Raises ModelError as `import_model` does."""
    form = form_of(path)
    if form == Form.STAC:
        return (items.weights_of(path),)
    return folders.files_of(path) if form in (Form.SMP, Form.TRANSFORMERS) else (path,)


_READERS: Mapping[Form, Reader] = MappingProxyType(
    {
        Form.BUNDLE: checkpoints.read_bundle,
        Form.CHECKPOINT: checkpoints.read_checkpoint,
        Form.SAFETENSORS: checkpoints.read_safetensors,
        Form.TORCHSCRIPT: scripts.read_torchscript,
        Form.ONNX: graphs.read_onnx,
        Form.DEEPNESS: graphs.read_deepness,
        Form.SMP: folders.read_smp,
        Form.TRANSFORMERS: folders.read_transformers,
    }
)
