"""Small areas merged into their neighbours, from strips of a class raster to strips of a class raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.errors import ResolutionError
from geoseg.vector.ground import Ground
from geoseg.vector.sieving.passes import Flagged, Pass, rule
from geoseg.vector.sieving.shares import PixelShares

PASSES = 8  # every one merges several patches into one, so that 8 grow single pixels to thousands

Strips = list[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]


@dataclass(frozen=True, slots=True)
class SieveSettings:
    """The least area in square metres, 0 for none, and the values that hold no objects; None where there is none."""

    min_area_m2: float
    background: int | None
    nodata: int = NODATA


class Sieve:
    """Takes the strips of a class raster from top to bottom and gives them back without small patches.

    A patch is a 4-connected component of a class that is not background; it is small where the pixels' areas on the
    ground add up to less than the least area. A small patch takes the class of one neighbour, that with the longest
    shared edge among those that are larger. Neighbours are: each small patch that is larger (more pixels, then the
    topmost, then leftmost first pixel), and each class of the large patches around, background included, with all sides
    that it shares. Where edges are equally long, classes of large patches go first (background last, else by number),
    then larger patches. Where the neighbour itself takes another's class, so does the patch.

    A small patch than which no neighbour is larger stays as it is, now that those around it are merged into it or into
    others, and the whole is done again, PASSES times, which leaves none in practice. What has no neighbour, alone amid
    nodata, or is left by the last pass, becomes background, or nodata where there is no background. So every patch that
    comes out is large; background and nodata pixels stay what they are.

    Of a large neighbour only the class counts, because its extent may be known much later. All else that a patch's
    class depends on is near it, so strips come out after few rows more than the patches span, and are the same for
    strips of any height. Scores are passed on unchanged.
    """

    def __init__(
        self, shape: tuple[int, int], ground: Ground, settings: SieveSettings, origin: tuple[int, int] = (0, 0)
    ) -> None:
        """Expect a raster of `shape` (height, width) whose first pixel is at `origin` (x, y) of the ground's raster.

        Raises ResolutionError where there is a least area and metres are not known.
        """
        self._height, self._width = shape
        if settings.min_area_m2 > 0 and not ground.measurable:
            raise ResolutionError(
                f"the scene has no usable CRS and no ground resolution, so that min_area_m2={settings.min_area_m2:g} "
                "has no meaning: state the scene's metres per pixel, or set it to 0"
            )
        count = PASSES if settings.min_area_m2 > 0 else 0
        self._passes = [
            Pass(
                self._width,
                PixelShares(ground, settings.min_area_m2, self._width, origin),
                rule(settings.background, settings.nodata, keep=number + 1 < count, shift=origin[0]),
            )
            for number in range(count)
        ]
        self._fed = 0
        self._scores: list[NDArray[np.uint8]] = []
        self._scored: bool | None = None

    def feed(self, class_ids: NDArray[np.uint8], scores: NDArray[np.uint8] | None = None) -> Strips:
        """The rows that are final, as strips of classes (y, x) with their scores, None where there are none.

        Raises ValueError where the strip does not fit the raster, is not of uint8, or only some come with scores.
        """
        self._check(class_ids, scores)
        self._scored = scores is not None
        if scores is not None and len(scores):
            self._scores.append(np.ascontiguousarray(scores, np.uint8))
        self._fed += len(class_ids)
        flagged = np.ascontiguousarray(class_ids), np.ones(len(class_ids), np.bool_)
        for step in self._passes:
            flagged = step.feed(*flagged)
        return self._with_scores(flagged)

    def finish(self) -> Strips:
        """The rows that are left. Raises ValueError where rows are missing."""
        if self._fed != self._height:
            raise ValueError(f"{self._fed} rows were fed; expected {self._height} before the end")
        flagged: Flagged = np.empty((0, self._width), np.uint8), np.empty(0, np.bool_)
        for step in self._passes:
            flagged = step.finish(*flagged)
        return self._with_scores(flagged)

    def _with_scores(self, flagged: Flagged) -> Strips:
        rows = flagged[0]
        if not len(rows):
            return []
        if not self._scored:
            return [(rows, None)]
        strips: Strips = []
        start = 0
        while start < len(rows):
            scores = self._scores[0][: len(rows) - start]
            strips.append((rows[start : start + len(scores)], scores))
            start += len(scores)
            self._scores[0] = self._scores[0][len(scores) :]
            if not len(self._scores[0]):
                self._scores.pop(0)
        return strips

    def _check(self, class_ids: NDArray[Any], scores: NDArray[Any] | None) -> None:
        rows = self._height - self._fed
        if class_ids.ndim != 2 or class_ids.shape[1] != self._width or class_ids.shape[0] > rows:
            expected = f"expected {self._width} columns and at most {rows} rows"
            raise ValueError(f"a strip of shape {class_ids.shape} (y, x) does not fit: {expected}")
        if class_ids.dtype != np.uint8:
            raise ValueError(f"classes are {class_ids.dtype}; expected uint8, for instances are not merged")
        if scores is not None and scores.shape != class_ids.shape:
            raise ValueError(f"scores have shape {scores.shape}; expected that of the classes, {class_ids.shape}")
        if self._scored not in (None, scores is not None):
            raise ValueError("either all strips come with scores, or none does")
