"""Checksums as people and STAC items write them, compared with files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoseg.errors import ModelError

_WHOLE = re.compile(r"[0-9a-f]{64}")
_MULTIHASHES = {"1220": ("sha256", 64), "1340": ("sha512", 128)}  # the function's code, then the digest's length


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum: the hash `function` ("sha256", "sha512"), and its digest in lower-case hexadecimal `digits`."""

    function: str
    digits: str

    def check(self, path: Path, place: str) -> None:
        """Raise ModelError unless the file at `path` has this checksum, which was read in `place`."""
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, self.function).hexdigest()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror or error}); {place} names it as its model"
            ) from error
        if found != self.digits:
            raise ModelError(
                f"{path}: found the checksum {found}, expected {self.digits}, as the item says ({place}); "
                "fetch the file again"
            )


def sha256_digits(text: str, place: str) -> str:
    """The 64 hexadecimal digits of a SHA-256 in lower case; `sha256:` may stand before them. Raises ModelError."""
    digits = text.strip().lower().removeprefix("sha256:")
    if not _WHOLE.fullmatch(digits):
        raise ModelError(f"{place}: found the checksum {text[:80]!r}; expected the 64 hexadecimal digits of SHA-256")
    return digits


def multihash(recorded: Any, place: str) -> Checksum | None:
    """The checksum in an asset's `file:checksum`; None where nothing is recorded.

    Raises ModelError for what cannot be read: a checksum that is passed over protects nobody.
    """
    if recorded is None:
        return None
    text = recorded.strip().lower() if isinstance(recorded, str) else ""
    function, length = _MULTIHASHES.get(text[:4], ("", 0))
    if not function or not re.fullmatch(rf"[0-9a-f]{{{length}}}", text[4:]):
        raise ModelError(
            f"{place}: found the checksum {str(recorded)[:80]!r} of its model; expected a multihash of SHA-256 or "
            "SHA-512 (1220 or 1340, then 64 or 128 hexadecimal digits): ask the publisher, or take file:checksum out"
        )
    return Checksum(function, text[4:])
