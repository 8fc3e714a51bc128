"""Bundles made byte by byte, to be wrong on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header, parsed, and the bytes of the tensors."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header: Any, data: bytes = b"") -> bytes:
    """A file with that header (JSON-able, or bytes as they are), whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def edit(path: Path, *, card: dict[str, Any] | None = None, checksum: bool = False, **entries: Any) -> Path:
    """Change a bundle in place: keys of its card, entries of its header (None removes one); drops the checksum."""
    header, data = split(path.read_bytes())
    if card is not None:
        old = json.loads(header["__metadata__"]["geoseg.card"])
        header["__metadata__"]["geoseg.card"] = json.dumps({**old, **card})
    if not checksum:
        header["__metadata__"].pop("geoseg.sha256")
    for name, value in entries.items():
        if value is None:
            header.pop(name)
        else:
            header[name] = value
    path.write_bytes(join(header, data))
    return path
