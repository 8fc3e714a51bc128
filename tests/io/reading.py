"""Reading a whole scene in one go, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.tiling import Span
from geoseg.io.scene import Scene


def read_all(
    scene: Scene, bidx: Sequence[int] | None = None, grid: Any = None, *, step: int | None = None, **options: Any
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Pixels (band, y, x) and valid mask (y, x) of the scene, read `step` rows at a time."""
    reader = scene.reader(bidx or range(1, len(scene.bands) + 1), grid, **options)
    height, width = reader.shape
    step = step or height
    spans = [Span(y, min(y + step, height)) for y in range(0, height, step)]
    runs = list(reader.rows(spans, Span(0, width)))
    assert [run.y for run in runs] == spans
    valid = [np.ones(run.pixels.shape[1:], bool) if run.valid is None else run.valid for run in runs]
    return np.concatenate([run.pixels for run in runs], axis=1), np.concatenate(valid)
