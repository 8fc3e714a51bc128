"""Rasters of classes or scores made elsewhere, as strips of class ids and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.classes import NODATA
from geoseg.core.protocols import Rows, Strip
from geoseg.core.tiling import Span
from geoseg.core.values import SCORE_UNIT
from geoseg.errors import SceneError
from geoseg.io.scene import Scene
from geoseg.jobs.codes import Codes, integers

STRIP_PIXELS = 1 << 23
NO_INSTANCE = -(2**31)  # what a raster of objects holds where there is no data
_SLACK = 1e-4  # beyond 0 and 1, for arithmetic in single precision


@dataclass(frozen=True, slots=True)
class Layer:
    """One band of a raster: `bidx` counts from 1; scores are its values times `scale`."""

    scene: Scene
    bidx: int = 1
    scale: float = 1.0


def strips_of(scene: Scene) -> list[Span]:
    """The rows in which a raster is read: whole blocks of the file, some million pixels."""
    height, width = scene.grid.shape
    block = scene.block_shape[0]
    rows = max(1, STRIP_PIXELS // (block * width)) * block
    return [Span(start, min(start + rows, height)) for start in range(0, height, rows)]


@dataclass(frozen=True, slots=True)
class ClassMask:
    """A raster of classes, with the scores that go with it where there are any."""

    layer: Layer
    codes: Codes
    background: int | None
    scores: Layer | None = None

    def strips(self, threads: int) -> Iterator[Strip]:
        """All rows from the first to the last. Raises ReadError, SceneError."""
        scored = _rows(self.scores, self.layer, threads) if self.scores else None
        for rows in _rows(self.layer, self.layer, threads):
            scores = None
            if scored is not None and self.scores is not None:
                found = next(scored)
                scores = as_scores(found.pixels[0], found.valid, self.scores)
            class_ids = self._ids(rows)
            if scores is not None:
                scores[(scores == NODATA) & (class_ids != NODATA)] = 0  # a pixel without a score is no sure one
            yield Strip(rows.y, class_ids, scores)

    def _ids(self, rows: Rows) -> NDArray[np.uint8]:
        """Class ids; where background and missing pixels have the same value, it is background."""
        pixels, valid = rows.pixels[0], rows.valid
        if valid is not None and self.background is not None and self.layer.scene.nodata == self.background:
            pixels, valid = np.where(valid, pixels, pixels.dtype.type(self.background)), None
        return self.codes.encode(pixels, valid)


@dataclass(frozen=True, slots=True)
class ScoreMask:
    """A raster of the scores of one class: pixels from `threshold` (0 to 1) on are objects, class 1."""

    layer: Layer
    threshold: float

    def strips(self, threads: int) -> Iterator[Strip]:
        """All rows from the first to the last. Raises ReadError, SceneError."""
        for rows in _rows(self.layer, self.layer, threads):
            scores = as_scores(rows.pixels[0], rows.valid, self.layer)
            pixels, least = rows.pixels[0], self.threshold / self.layer.scale
            with np.errstate(invalid="ignore"):
                found = pixels >= (pixels.dtype.type(least) if pixels.dtype.kind == "f" else least)
            class_ids = found.astype(np.uint8)
            if rows.valid is not None:
                class_ids[~rows.valid] = 0 if self.layer.scene.nodata == 0 else NODATA
                scores[~rows.valid] = 0 if self.layer.scene.nodata == 0 else NODATA
            yield Strip(rows.y, class_ids, scores)


@dataclass(frozen=True, slots=True)
class InstanceMask:
    """A raster in which every value is the number of one object."""

    layer: Layer
    background: int | None = 0

    def strips(self, threads: int) -> Iterator[Strip]:
        """All rows from the first to the last; ids are 32 bits wide. Raises ReadError, SceneError."""
        name = self.layer.scene.name
        for rows in _rows(self.layer, self.layer, threads):
            values = integers(rows.pixels[0], rows.valid, name)
            known = values if rows.valid is None else values[rows.valid]
            if known.size and (int(known.min()) <= NO_INSTANCE or int(known.max()) >= 2**31):
                worst = known.min() if int(known.min()) <= NO_INSTANCE else known.max()
                raise SceneError(f"{name}: found the value {worst}; expected numbers of objects of 32 bits")
            ids = values.astype(np.int32)
            if rows.valid is not None:
                empty = self.background is not None and self.layer.scene.nodata == self.background
                ids[~rows.valid] = self.background or 0 if empty else NO_INSTANCE
            yield Strip(rows.y, ids, None)


Mask = ClassMask | ScoreMask | InstanceMask


def as_scores(pixels: NDArray[Any], valid: NDArray[np.bool_] | None, layer: Layer) -> NDArray[np.uint8]:
    """Scores (y, x) as 0 to 254, 255 where there are none. Raises SceneError for values outside 0 to 1."""
    factor = layer.scale * SCORE_UNIT
    if pixels.dtype == np.uint8 and abs(factor - 1) < _SLACK:
        scores = pixels.copy()
    else:
        scaled = np.asarray(pixels, np.float32) * np.float32(layer.scale)
        known = scaled if valid is None else scaled[valid]
        if known.size and not (known.min() >= -_SLACK and known.max() <= 1 + _SLACK):
            worst = known.max() if known.max() > 1 + _SLACK else known.min()
            raise SceneError(
                f"{layer.scene.name}: found the score {worst:.6g}; expected scores from 0 to 1; state the factor that "
                "makes them so with --score-scale, for instance 0.00392157 for 0 to 255"
            )
        kept = scaled if valid is None else np.where(valid, scaled, 0)
        scores = np.rint(np.clip(kept, 0, 1) * SCORE_UNIT).astype(np.uint8)
    if valid is not None:
        scores[~valid] = NODATA
    return scores


def _rows(layer: Layer, lead: Layer, threads: int) -> Iterator[Rows]:
    """The rows of one band, in the strips of the leading raster."""
    reader = layer.scene.reader((layer.bidx,), threads=threads)
    return reader.rows(strips_of(lead.scene), Span(0, int(layer.scene.grid.shape[1])))
