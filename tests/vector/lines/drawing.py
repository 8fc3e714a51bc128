"""Roads drawn into rasters, and the lines that come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.vector.ground import Ground
from geoseg.vector.lines.centerlines import LineSettings, LineTracer, RawLines

METRES = Ground(Affine(1, 0, 0, 0, -1, 0), None, 1.0)
Road = tuple[Sequence[tuple[float, float]], float]


def draw(shape: tuple[int, int], *roads: Road) -> NDArray[np.uint8]:
    """A raster (y, x) of 1 where a pixel's centre lies on a road: its points (x, y), and its width with blunt ends."""
    areas = [shapely.buffer(shapely.linestrings(points), width / 2, cap_style="flat") for points, width in roads]
    return rasterio.features.rasterize(areas, out_shape=shape, dtype="uint8")


def trace_lines(
    raster: NDArray[np.uint8],
    cuts: tuple[int, ...] = (),
    *,
    scores: NDArray[np.uint8] | None = None,
    ground: Ground = METRES,
    classes: tuple[int, ...] = (1,),
    origin: tuple[int, int] = (0, 0),
    **settings: float,
) -> RawLines:
    """The lines of a raster fed in strips that end at the rows `cuts`."""
    height, width = raster.shape
    tracer = LineTracer(width, height, classes=classes, ground=ground, settings=LineSettings(**settings), origin=origin)
    for a, b in pairwise(sorted({0, height, *(cut % height for cut in cuts)})):
        tracer.feed(raster[a:b], None if scores is None else scores[a:b])
    return tracer.finish()


def exact(lines: RawLines) -> tuple[Any, ...]:
    """All that is said of lines, to the last bit."""
    numbers = (lines.class_id, lines.width_m, lines.length_m, lines.score_sum, lines.pixels, lines.touches_edge)
    return list(shapely.to_wkb(lines.geometry)), *(array.tobytes() for array in numbers)


def ends(lines: RawLines) -> Counter[tuple[float, float]]:
    """How many lines end at each place, a line that closes twice."""
    places = shapely.get_coordinates(shapely.get_point(lines.geometry, [[0], [-1]]))
    return Counter(map(tuple, places.tolist()))


def blobs(shape: tuple[int, int], seed: int, smooth: int = 12, share: float = 0.5) -> NDArray[np.uint8]:
    """Winding shapes of all widths: smoothed noise, so much of it 1."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for _ in range(smooth):
        noise = noise + sum(np.roll(noise, shift, axis) for axis in (0, 1) for shift in (-1, 1))
        noise /= noise.std()
    return (noise > np.quantile(noise, 1 - share)).astype(np.uint8)
