"""The models: architectures by name, and bundles of weights with their cards.

Names that need torch are imported when they are first used: reading cards is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geoseg.models.header import read_card as read_card
from geoseg.models.packaged import packaged as packaged  # at once: the function must win over the module of that name
from geoseg.models.packaged import remedy_for as remedy_for
from geoseg.models.packaged import resolve as resolve

if TYPE_CHECKING:
    from geoseg.models.bundle import LoadedModel as LoadedModel
    from geoseg.models.bundle import load_model as load_model
    from geoseg.models.bundle import save_bundle as save_bundle
    from geoseg.models.export import export_model as export_model
    from geoseg.models.mlm import export_mlm as export_mlm
    from geoseg.models.network import network_of as network_of
    from geoseg.models.registry import architectures as architectures
    from geoseg.models.registry import create_model as create_model
    from geoseg.models.registry import register as register
    from geoseg.models.verification import verify as verify

_MODULES = {
    "bundle": ("LoadedModel", "load_model", "save_bundle"),
    "export": ("export_model",),
    "mlm": ("export_mlm",),
    "network": ("network_of",),
    "registry": ("architectures", "create_model", "register"),
    "verification": ("verify",),
}
_PUBLIC = {name: f"geoseg.models.{module}" for module, listed in _MODULES.items() for name in listed}
__all__ = [*sorted((*_PUBLIC, "packaged", "read_card", "remedy_for", "resolve"))]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoseg.models' has no attribute {name!r}")
