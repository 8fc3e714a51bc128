"""TorchScript and torch.export files: zip archives with a folder that holds all entries, extra files among them.

torch finds entries by other rules than Python does: it takes no account of case, and picks another one of two of the
same name. So an archive has to be plain (`Archive` refuses all others), and torch is given a new one, made of the
entries that were looked at.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from geoseg.errors import ModelError
from geoseg.models.header import CARD_KEY

LARGEST_CARD = 16 * 2**20
EXTRA = "extra/"
LARGEST_CODE = 64 * 2**20
_CARD = EXTRA + CARD_KEY
_CODE = "code/"  # of TorchScript: all that torch writes compressed
_BLOCK = 1 << 20
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error)


class Archive:
    """A plain archive that is open for reading: one folder, no two names that differ in case only, stored."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        """Look at the list of entries. Raises ModelError unless it is plain."""
        self._path, self._file = path, file
        infos = [info for info in file.infolist() if not info.is_dir()]
        self._check(infos)
        self.entries: Mapping[str, zipfile.ZipInfo] = {_inside(info.filename): info for info in infos}

    def read(self, name: str, largest: int) -> bytes:
        """The content of an entry, by its name inside the folder. Raises ModelError for more than `largest` bytes."""
        info = self.entries[name]
        if info.file_size > largest:
            raise ModelError(
                f"{self._path}: found {info.file_size} bytes in {name[:80]}; expected {largest} at the most: the file "
                "is damaged, fetch or export it again"
            )
        return b"".join(self._blocks(name))

    def copy(self, name: str, out: zipfile.ZipFile, root: str) -> None:
        """Copy an entry into another archive, as it is. Raises ModelError where it is damaged."""
        with out.open(_plain(f"{root}/{name}"), "w", force_zip64=True) as copied:
            for block in self._blocks(name):
                copied.write(block)

    def _blocks(self, name: str) -> Iterator[bytes]:
        try:
            with self._file.open(self.entries[name]) as content:
                while block := content.read(_BLOCK):
                    yield block
        except _DAMAGE as error:
            raise _damaged(self._path, error) from error

    @property
    def root(self) -> str:
        """The folder that holds all entries."""
        return next(iter(self.entries.values())).filename.partition("/")[0] if self.entries else "archive"

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        folded = {info.filename.casefold() for info in infos}
        roots = {info.filename.partition("/")[0] for info in infos}
        fault = ""
        if len(folded) < len(infos):
            fault = "entries of the same name"
        elif len(roots) > 1 or not all(_inside(info.filename) for info in infos):
            fault = "more than one folder"
        elif not all(_stored(info) or _inside(info.filename).startswith(_CODE) for info in infos):
            fault = "compressed entries"
        elif sum(info.file_size for info in infos if not _stored(info)) > LARGEST_CODE:
            fault = f"more than {LARGEST_CODE} bytes of code"
        elif any(info.flag_bits & 1 for info in infos):
            fault = "encrypted entries"
        elif sum(info.compress_size for info in infos) > self._path.stat().st_size:
            fault = "entries that overlap"
        if fault:
            raise ModelError(
                f"{self._path}: found {fault} in its archive; expected one as torch writes it: this file is not "
                "loaded, export the model again"
            )


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive at `path`. Raises ModelError for a damaged archive, and for one that is not plain."""
    try:
        file = zipfile.ZipFile(path)
    except (*_DAMAGE, ValueError) as error:
        raise _damaged(path, error) from error
    with file:
        yield Archive(path, file)


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
    with opened(path) as archive:
        if _CARD not in archive.entries:
            return None
        return archive.read(_CARD, LARGEST_CARD).decode("utf-8", "replace")


def with_extra(source: Path, text: str, destination: Path) -> None:
    """A copy of an archive with the card among its extra files; all other entries as they were."""
    with opened(source) as archive, zipfile.ZipFile(destination, "w", zipfile.ZIP_STORED) as new:
        for name in archive.entries:
            if name != _CARD:
                archive.copy(name, new, archive.root)
        new.writestr(_plain(f"{archive.root}/{_CARD}"), text)


def rebuilt(archive: Archive, contents: Mapping[str, bytes | None]) -> io.BytesIO:
    """A new archive with these entries in this order; None stands for what the old one holds."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for name, content in contents.items():
            if content is None:
                archive.copy(name, new, "archive")
            else:
                new.writestr(_plain(f"archive/{name}"), content)
    out.seek(0)
    return out


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: cannot be read ({error}); the file is damaged: fetch or export it again")


def _plain(name: str) -> zipfile.ZipInfo:
    """An entry whose date does not depend on the day: equal models give equal bytes."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _stored(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size


def _inside(name: str) -> str:
    return name.partition("/")[2]
