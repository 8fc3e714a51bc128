"""Files by their web address, through the cache."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock

from geoseg.errors import ModelError
from geoseg.models.digest import sha256_of
from geoseg.models.hub import cache
from geoseg.models.hub.cache import Download
from geoseg.models.hub.checksums import sha256_digits
from geoseg.models.hub.transfer import Part, check_address, shown, transfer

_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
_WHOLE = 64  # digits of a complete checksum


def sum_in_name(url: str) -> str | None:
    """The first digits of the checksum that torch puts into a file's name (`resnet50-0676ba61.pth`), or None."""
    found = _IN_NAME.search(urllib.parse.urlsplit(url).path)
    return found[1] if found else None


def fetch(
    url: str,
    *,
    sha256: str | None = None,
    named: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The file at `url`, in the cache; it is downloaded where it is not there yet.

    `sha256` is the checksum, 64 hexadecimal digits; `named` are the first ones of it, as `sum_in_name` finds them.
    Without both, a file that was downloaded before has to be the same. `progress` gets the bytes so far and, where
    known, the size. Nothing is asked of the network for a file that the cache has. Raises ModelError when the file
    cannot be had or is not what was expected, ResourceError when there is no room for it, WriteError when the cache
    cannot be written.
    """
    wanted = named if sha256 is None else sha256_digits(sha256, shown(url))
    check_address(url, wanted is not None and len(wanted) == _WHOLE)
    found = cached_file(url, wanted)
    if found is not None:
        return found
    if cache.offline():
        raise _offline(url, wanted)
    with locked("download", url):
        return cached_file(url, wanted) or _download(url, wanted, progress)


def forget(url: str) -> None:
    """Remove the file at `url` and the record of it from the cache, so that the server is asked again."""
    known = Download.of(url)
    if known is None:
        return
    with locked("download", url):
        try:
            known.path.unlink(missing_ok=True)
            known.drop(url)
        except OSError as error:
            raise cache.unwritable(known.path, error) from error


def cached_file(url: str, sha256: str | None = None) -> Path | None:
    """The file at `url` when the cache has it and its content is still what was kept; never asks the network."""
    known = Download.of(url)
    if known is not None and known.sha256.startswith(sha256 or "") and _whole(known.path, known.sha256):
        return known.path
    return _by_hand(url, sha256) if sha256 else None


def locked(kind: str, about: str) -> AbstractContextManager[object]:
    """A context that one process at a time is in, for each thing that something is done about. Raises WriteError."""
    place = cache.folder() / "locks" / f"{cache.key_of(kind + about)}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a"):
            pass  # a folder that cannot be written is told here, not after a wait
    except OSError as error:
        raise cache.unwritable(place.parent, error) from error
    return FileLock(place)


def name_of(url: str) -> str:
    """The name that a download of `url` has in the cache."""
    return cache.plain_name(urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]))


def _by_hand(url: str, sha256: str) -> Path | None:
    """A file with that checksum, whatever address it came from, or that someone has put there."""
    for path in sorted((cache.folder() / "downloads").glob(f"{sha256}*/{name_of(url)}")):
        if sha256_of(path).startswith(sha256):
            return path
    return None


def _download(url: str, sha256: str | None, progress: Callable[[int, int | None], None] | None) -> Path:
    """Download into a part, check it, and give it its name. The caller holds the lock of `url`."""
    part = Part(cache.folder() / "parts" / f"{cache.key_of(url)}.part")
    try:
        part.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache.unwritable(part.path.parent, error) from error
    etag = transfer(url, part, progress, sha256 is not None and len(sha256) == _WHOLE)
    found = sha256_of(part.path)
    _check_sum(url, part, found, sha256)
    kept = Download(shown(url), found, part.size, name_of(url), etag)
    try:
        kept.path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part.path, kept.path)  # noqa: PTH105  (replaces a damaged file on every platform)
    except OSError as error:
        raise cache.unwritable(kept.path, error) from error
    part.discard()
    kept.keep(url)
    return kept.path


def _check_sum(url: str, part: Part, found: str, given: str | None) -> None:
    """Raise ModelError, and remove the part, when the file is not the one that was asked for or was there before."""
    known = Download.of(url)
    expected = given or (known.sha256 if known else "")
    if found.startswith(expected):
        return
    part.discard()
    if given:
        remedy = "check the address and the checksum; the download was removed"
    else:
        remedy = f"the file was changed since it was downloaded before: pass --sha256 {found} if that is meant to be"
    raise ModelError(f"{shown(url)}: found the checksum {found}, expected {expected}; {remedy}")


def _whole(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except ModelError:
        return False


def _offline(url: str, sha256: str | None) -> ModelError:
    known = Download.of(url)
    digits = known.sha256 if known else sha256
    place = cache.folder() / "downloads"
    copied = f"download it where there is a network and copy the folder {cache.folder()} from there"
    remedy = f"download it by hand to {place / digits / name_of(url)}, or {copied}" if digits else copied
    return ModelError(
        f"{shown(url)}: found no whole copy of it in the cache, and GEOSEG_OFFLINE forbids to fetch it; {remedy}"
    )
