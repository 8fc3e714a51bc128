"""Windows changed at random, as scenes differ from one another: the place, the light, the air, the camera, the file."""

from __future__ import annotations

from geoseg.training.augmentation.windows import augment

__all__ = ["augment"]
