"""Pure white or black pixels: where a scene without nodata shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import max_pool2d

from geoseg.core.protocols import Rows
from geoseg.core.tiling import Span
from geoseg.evaluation.blank import pure_pixels

PATCH = 5  # pixels a side of the smallest square that counts as a hole in the imagery
REACH = PATCH  # rows that decide on a pixel, to either side: those of its squares, and one for what resampling mixes


@dataclass(frozen=True, slots=True, eq=False)
class Imagery:
    """Rows `y` of a scene: `pixels` (band, y, x), and where they hold data, `valid` (y, x)."""

    y: Span
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Rows) -> Imagery:
        """What was read."""
        valid = np.ones(rows.pixels.shape[1:], np.bool_) if rows.valid is None else rows.valid
        return cls(rows.y, rows.pixels, valid)

    def after(self, above: Imagery) -> Imagery:
        """These rows below others."""
        pixels = np.concatenate([above.pixels, self.pixels], axis=1)
        return Imagery(Span(above.y.start, self.y.stop), pixels, np.concatenate([above.valid, self.valid]))

    def rows(self, y: Span) -> Imagery:
        """Some of them."""
        inside = slice(y.start - self.y.start, y.stop - self.y.start)
        return Imagery(y, self.pixels[:, inside], self.valid[inside])


def blank_pixels(shown: Imagery, colours: Sequence[str], *, widen: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pixels are pure, and which of them lie in a hole of the imagery; both (y, x).

    A hole is what pure or invalid squares of PATCH pixels cover; a bright roof or a deep shadow has pure pixels too,
    which a network has to see as they are. With `widen` the neighbours of pure pixels are pure: resampling mixes them.
    REACH rows from the edges on, where nothing is known of what lies beyond, both are right.
    """
    pure = pure_pixels(shown.pixels, colours)
    if not pure.any():
        return pure, pure
    rim = _opened(pure | ~shown.valid)
    return (_grown(pure, 3), rim | _grown(rim & pure, 3)) if widen else (pure, rim)


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of a mask that squares of PATCH pixels cover; what lies beyond the array counts as covered."""
    return _grown(~_grown(~mask, PATCH), PATCH) & mask


def _grown(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    plane = torch.from_numpy(mask.astype(np.float32))[None, None]
    return np.asarray(max_pool2d(plane, side, stride=1, padding=side // 2)[0, 0].numpy() > 0)
