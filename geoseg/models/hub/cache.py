"""The folder that keeps what was downloaded: files by their checksum, and small JSON records of where they came from.

    downloads/<sha256>/<name>   files, complete and checked
    index/<key>.json            url -> sha256, etag, size; one record a file, so that two processes never lose one
    parts/                      downloads under way, and what was left of interrupted ones
    locks/                      one a download: a second process waits for the first

A record's key is the SHA-256 of what it is about.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from geoseg.errors import WriteError

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 120


def folder() -> Path:
    """The cache's folder: GEOSEG_CACHE, else `geoseg` in the user's cache folder of this platform."""
    chosen = os.environ.get("GEOSEG_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else _platform_folder() / "geoseg"


def offline() -> bool:
    """Whether nothing may be fetched: GEOSEG_OFFLINE is set."""
    return os.environ.get("GEOSEG_OFFLINE", "") not in ("", "0")


def key_of(text: str) -> str:
    """The name that stands for `text` in the cache: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain_name(text: str) -> str:
    """`text` as the name of a file that every file system takes: at most 120 letters, digits, dots, dashes."""
    return _UNSAFE.sub("-", text).strip(".-")[-_LONGEST_NAME:].lstrip(".-") or "download"


@dataclass(frozen=True, slots=True)
class Download:
    """One record of the index: the file `name` of `size` bytes with that checksum came from `url`.

    `url` is without the query, where keys to private files stand.
    """

    url: str
    sha256: str
    size: int
    name: str
    etag: str | None = None

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return folder() / "downloads" / self.sha256 / self.name

    def keep(self, url: str) -> None:
        """Write the record for the complete `url`."""
        write_record("index", url, asdict(self))

    def drop(self, url: str) -> None:
        """Remove the record for the complete `url`. Raises OSError."""
        (folder() / "index" / f"{key_of(url)}.json").unlink(missing_ok=True)

    @classmethod
    def of(cls, url: str) -> Self | None:
        """What the index says of `url`, or None when it says nothing that can be used."""
        values = read_record("index", url)
        try:
            found = cls(**values) if values else None
        except TypeError:
            return None
        if found is None or not re.fullmatch(r"[0-9a-f]{64}", str(found.sha256)):
            return None
        return found if found.name == plain_name(str(found.name)) else None


def read_record(kind: str, about: str) -> dict[str, Any] | None:
    """The JSON object kept under `kind` about something; None when there is none, or it cannot be read."""
    try:
        values = json.loads((folder() / kind / f"{key_of(about)}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def write_record(kind: str, about: str, values: Mapping[str, Any]) -> None:
    """Write a JSON object, complete or not at all. Raises WriteError."""
    place = folder() / kind / f"{key_of(about)}.json"
    replace_text(place, json.dumps(values, indent=1) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a small file under a temporary name of its own, then rename it. Raises WriteError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:20]}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> WriteError:
    """The error for a cache that cannot be written."""
    return WriteError(
        f"{path}: cannot be written ({error.strerror or error}); make room there, or name another folder for what is "
        "downloaded with GEOSEG_CACHE"
    )


def _platform_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    chosen = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return chosen if chosen.is_absolute() else Path.home() / ".cache"
