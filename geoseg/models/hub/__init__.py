"""Weights from where the field keeps them, in a checksummed cache.

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoseg.models.hub.fetching import fetch as fetch
    from geoseg.models.hub.licences import Licence as Licence
    from geoseg.models.hub.licences import licence_of as licence_of
    from geoseg.models.hub.pulling import Pulled as Pulled
    from geoseg.models.hub.pulling import cached as cached
    from geoseg.models.hub.pulling import pull as pull

_MODULES = {"fetching": ("fetch",), "licences": ("Licence", "licence_of"), "pulling": ("Pulled", "cached", "pull")}
_PUBLIC = {name: f"geoseg.models.hub.{module}" for module, listed in _MODULES.items() for name in listed}
__all__ = [*sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoseg.models.hub' has no attribute {name!r}")
