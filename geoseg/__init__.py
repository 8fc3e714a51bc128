"""geoseg turns satellite and aerial imagery into maps: a georeferenced scene goes in, clean polygons come out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoseg.io.scene import open_scene as open_scene
    from geoseg.jobs import evaluate as evaluate
    from geoseg.jobs import predict as predict
    from geoseg.jobs import train as train
    from geoseg.jobs import vectorize as vectorize
    from geoseg.models import load_model as load_model

__version__ = "0.1.0"

_PUBLIC = {
    "open_scene": "geoseg.io.scene",
    "load_model": "geoseg.models",
    "predict": "geoseg.jobs",
    "train": "geoseg.jobs",
    "evaluate": "geoseg.jobs",
    "vectorize": "geoseg.jobs",
}
__all__ = ["__version__", "evaluate", "load_model", "open_scene", "predict", "train", "vectorize"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import geoseg` costs nothing (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoseg' has no attribute {name!r}")
