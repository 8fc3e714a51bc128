"""One stretch for a whole job, measured on a part of the scene's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.protocols import Rows
from geoseg.core.tiling import Span
from geoseg.core.values import Stretch
from geoseg.errors import SceneError
from geoseg.io.scene import Scene

MAX_SIZE = 2048  # pixels a side of what is measured
WHOLE = 64 * 2**20  # pixels: larger scenes without overviews are sampled, because an overview would read all of them
SAMPLES = 16  # runs of rows of a sample
SAMPLE_ROWS = 64


def measure_stretch(scene: Scene, bidx: Sequence[int], percentiles: tuple[float, float] = (2.0, 98.0)) -> Stretch:
    """The stretch between two percentiles of each band's valid pixels, measured on an overview or on sampled rows.

    Where both percentiles are one value, the smallest and largest values are taken; a constant value gets a range of
    one above it. Raises SceneError when no pixel is valid.
    """
    origin, values = _sampled(scene, bidx) if _too_large(scene) else _reduced(scene, bidx)
    if values.shape[1] == 0:
        raise SceneError(
            f"{scene.name}: found no valid pixel to measure a stretch on (nodata {scene.nodata}); expected "
            "imagery; check the nodata value (--nodata), or give the limits with --limits"
        )
    limits = [_limits(band, percentiles) for band in values]
    text = f"percentiles {percentiles[0]:g} and {percentiles[1]:g} of {values.shape[1]} valid pixels of {origin}"
    return Stretch(tuple(low for low, _ in limits), tuple(high for _, high in limits), text)


def _too_large(scene: Scene) -> bool:
    if all(file.overviews for layer in scene.layers for file in layer.files):
        return False
    height, width = scene.grid.shape
    return bool(height * width > WHOLE)


def _reduced(scene: Scene, bidx: Sequence[int]) -> tuple[str, NDArray[Any]]:
    rows = scene.overview(bidx, MAX_SIZE)
    return f"an overview of {rows.pixels.shape[2]} x {rows.pixels.shape[1]} pixels", _valid(rows, 1)


def _sampled(scene: Scene, bidx: Sequence[int]) -> tuple[str, NDArray[Any]]:
    y, x = scene.window()
    spans = _spread(y)
    step = max(1, x.size // MAX_SIZE)
    parts = [_valid(rows, step) for rows in scene.reader(bidx, on_bad_block="nodata").rows(spans, x)]
    origin = f"{len(spans)} samples of {SAMPLE_ROWS} rows" if y.size >= SAMPLES * SAMPLE_ROWS else f"all {y.size} rows"
    return origin, np.concatenate(parts, axis=1)


def _spread(y: Span) -> list[Span]:
    """Runs of rows inside `y`, apart from each other, evenly from its first row to its last; all of a low one."""
    if y.size < SAMPLES * SAMPLE_ROWS:
        return [Span(start, start + SAMPLE_ROWS).clip(y) for start in range(y.start, y.stop, SAMPLE_ROWS)]
    starts = np.linspace(y.start, y.stop - SAMPLE_ROWS, SAMPLES).astype(int).tolist()
    return [Span(start, start + SAMPLE_ROWS) for start in starts]


def _valid(rows: Rows, step: int) -> NDArray[Any]:
    """The valid pixels of every step-th column: (band, pixel)."""
    pixels = rows.pixels[:, :, ::step]
    return pixels.reshape(len(pixels), -1) if rows.valid is None else pixels[:, rows.valid[:, ::step]]


def _limits(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(values, percentiles))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low, low + max(1.0, abs(low) * 1e-6))
