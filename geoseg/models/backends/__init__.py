"""What runs a network: torch as it is, torch compiled, ONNX Runtime or OpenVINO. `prepared` chooses."""

from geoseg.models.backends.preparation import BACKENDS as BACKENDS
from geoseg.models.backends.preparation import prepared as prepared

__all__ = ["BACKENDS", "prepared"]
