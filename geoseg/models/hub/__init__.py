"""Weights from where the field keeps them, in a checksummed cache.

Names are imported when they are first used: a resolved reference costs nothing more than looking into the cache.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoseg.models.hub.fetching import fetch as fetch

_PUBLIC = {"fetch": "geoseg.models.hub.fetching"}
__all__ = [*sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoseg.models.hub' has no attribute {name!r}")
