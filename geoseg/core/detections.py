"""Objects that a network found in one chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Objects of one chip, in the network's order; arrays have shape (object, ...).

    `boxes` int32 holds left, top, right, bottom of each mask in pixels of the chip, right and bottom exclusive, inside
    the chip. `masks` (pixel,) bool holds the pixels of the boxes one object after another, row by row; those of object
    i begin at `offsets[i]` (object + 1,) int64. `class_ids` is uint8, `scores` float32 from 0 to 1.
    """

    boxes: NDArray[np.int32]
    masks: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    class_ids: NDArray[np.uint8]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.scores)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """The pixels (y, x) of one object inside its box."""
        left, top, right, bottom = self.boxes[index]
        return self.masks[self.offsets[index] : self.offsets[index + 1]].reshape(bottom - top, right - left)
