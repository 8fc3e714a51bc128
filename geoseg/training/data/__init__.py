"""Scenes and labels as what a network is shown: decoded once, split by space, drawn window by window."""

from __future__ import annotations

from geoseg.training.data.checking import Regular, validation_windows
from geoseg.training.data.feeding import Feeder
from geoseg.training.data.ground import Ground, Role, resolutions_for
from geoseg.training.data.plot import Plot
from geoseg.training.data.preparing import Asked, prepare
from geoseg.training.data.sampling import Sampler, class_frequencies
from geoseg.training.data.splitting import Split, split

__all__ = [
    "Asked",
    "Feeder",
    "Ground",
    "Plot",
    "Regular",
    "Role",
    "Sampler",
    "Split",
    "class_frequencies",
    "prepare",
    "resolutions_for",
    "split",
    "validation_windows",
]
