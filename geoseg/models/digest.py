"""The checksum of a model's files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from geoseg.errors import ModelError

_BLOCK = 1 << 20


def sha256_of(path: Path, *others: Path) -> str:
    """The SHA-256, in hexadecimal, of a file and of what lies behind it when `others` are joined to it.

    Raises ModelError when one of them cannot be read.
    """
    found = hashlib.sha256()
    for part in (path, *others):
        try:
            with part.open("rb") as file:
                while block := file.read(_BLOCK):
                    found.update(block)
        except OSError as error:
            raise ModelError(f"{part}: cannot be read ({error.strerror or error}); check the path") from error
    return found.hexdigest()
