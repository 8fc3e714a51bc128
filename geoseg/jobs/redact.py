"""What must not leave the machine with a result or a report."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/\s\"'@]+@")
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s\"'?]+|/vsi[^\s\"'?]+)\?[^\s\"']*", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text, its URLs without user names, passwords and queries (where signed URLs keep their signatures)."""
    return _QUERY.sub(r"\1", _PASSWORD.sub("", text))
