"""Foreign model files made into geoseg models: checkpoints, folders of the hubs, TorchScript, ONNX, STAC items.

Nothing in a foreign file is executed while it is read: pickles go through torch's unpickler for weights only, and
graphs (TorchScript, ONNX) are looked through before they are loaded.
"""

from __future__ import annotations

from geoseg.models.importing.conversion import import_model as import_model
from geoseg.models.importing.detection import detect as detect
from geoseg.models.importing.facts import Hints as Hints

__all__ = ["Hints", "detect", "import_model"]
