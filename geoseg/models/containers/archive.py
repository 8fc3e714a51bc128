"""TorchScript and torch.export files: zip archives with a folder that holds all entries, extra files among them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from geoseg.errors import ModelError
from geoseg.models.header import CARD_KEY

LARGEST_CARD = 16 * 2**20
_EXTRA = "extra/"


def archive_kind(path: Path) -> Literal["torchscript", "pt2"] | None:
    """What a zip archive holds; None for anything else, checkpoints of torch.save among it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {_inside(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, ValueError):
        return None
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    return "pt2" if any(name.startswith("models/") and name.endswith(".json") for name in names) else None


def extra_text(path: Path) -> str | None:
    """The card's text among the extra files, or None. Raises ModelError for a damaged archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if _inside(entry.filename) == _EXTRA + CARD_KEY:
                    if entry.file_size > LARGEST_CARD:
                        raise ModelError(f"{path}: found a card of {entry.file_size} bytes; the file is damaged")
                    return archive.read(entry).decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); the file is damaged: fetch or export it again") from error
    return None


def with_extra(source: Path, text: str, destination: Path) -> None:
    """A copy of an archive with the card among its extra files; all other entries as they were."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(destination, "w", zipfile.ZIP_STORED) as new:
        root = old.namelist()[0].partition("/")[0]
        for entry in old.infolist():
            if _inside(entry.filename) != _EXTRA + CARD_KEY:
                with old.open(entry) as content, new.open(_plain(entry.filename), "w", force_zip64=True) as copied:
                    while block := content.read(1 << 20):
                        copied.write(block)
        new.writestr(_plain(f"{root}/{_EXTRA}{CARD_KEY}"), text)


def entries(path: Path) -> dict[str, bytes]:
    """Every entry of an archive by its name inside the archive's folder, the weights' left out."""
    with zipfile.ZipFile(path) as archive:
        names = {_inside(name): name for name in archive.namelist()}
        return {inside: archive.read(name) for inside, name in names.items() if not _is_weight(inside)}


def _is_weight(name: str) -> bool:
    return name.startswith(("data/weights/weight_", "data/0", "data/1")) or name.removeprefix("data/").isdigit()


def _plain(name: str) -> zipfile.ZipInfo:
    """An entry whose date does not depend on the day: equal models give equal bytes."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _inside(name: str) -> str:
    return name.partition("/")[2]
