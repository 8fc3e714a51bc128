"""A foreign file in, a geoseg model out."""

from __future__ import annotations

from pathlib import Path

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.importing.detection import detect
from geoseg.models.importing.facts import Hints

_SILENT = Hints()


def import_model(path: Path, destination: Path, hints: Hints = _SILENT) -> ModelCard:
    """The card of the model written to `destination`, made of the foreign file or folder at `path`.

    Where the network is one of geoseg's architectures a bundle is written, else a container that is run as it is.
    `hints` count before what the file says. The destination is complete or absent. Raises ModelError: an unknown or
    damaged file, a pickle that wants to run code, weights that fit no architecture, facts that are missing (all are
    listed); WriteError when the destination cannot be written.
    """
    raise ModelError(f"{path}: found {detect(path)}, which cannot be imported yet")
